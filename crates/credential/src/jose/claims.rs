//! The claims of a JWT (RFC 7519): typed access, and the check of its dates.
//!
//! Never judges a date by a clock of its own: the instant is an argument.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use serde_json::{Map, Value};
use vocabulary::time::Instant;

use crate::rejection::{Culprit, Rejection};

/// How far an issuer's clock may run ahead of ours before `iat` is taken for the future.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);

/// The members of a JWT, and who answers for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    members: Map<String, Value>,
    signer: Culprit,
}

/// The dates of a JWT, as far as it has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// `iat`: when it was made.
    pub issued_at: Option<Instant>,
    /// `nbf`: before this it is not valid.
    pub not_before: Option<Instant>,
    /// `exp`: from this on it is not valid.
    pub expires_at: Option<Instant>,
}

impl Claims {
    /// Claims for which `signer` answers.
    #[must_use]
    pub fn new(members: Map<String, Value>, signer: Culprit) -> Self {
        Self { members, signer }
    }

    /// All claims.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// All claims, taken out.
    #[must_use]
    pub fn into_members(self) -> Map<String, Value> {
        self.members
    }

    /// A claim that is text if it is there.
    ///
    /// # Errors
    /// [`Rejection`] of the signer if it is something else.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Rejection> {
        self.read(name, "text", Value::as_str)
    }

    /// A claim that must be there and be text.
    ///
    /// # Errors
    /// [`Rejection`] of the signer if it is missing or something else.
    pub fn required_text(&self, name: &str) -> Result<&str, Rejection> {
        self.required(name, self.text(name)?)
    }

    /// A claim that is a whole number, zero or more, if it is there.
    ///
    /// # Errors
    /// [`Rejection`] of the signer if it is something else.
    pub fn unsigned(&self, name: &str) -> Result<Option<u64>, Rejection> {
        self.read(name, "a whole number", Value::as_u64)
    }

    /// A claim that is a NumericDate (RFC 7519, section 2) if it is there.
    ///
    /// # Errors
    /// [`Rejection`] of the signer if it is something else.
    pub fn instant(&self, name: &str) -> Result<Option<Instant>, Rejection> {
        self.read(name, "a date in seconds", numeric_date)
    }

    /// A claim that must be there and be a NumericDate.
    ///
    /// # Errors
    /// [`Rejection`] of the signer if it is missing or something else.
    pub fn required_instant(&self, name: &str) -> Result<Instant, Rejection> {
        self.required(name, self.instant(name)?)
    }

    /// The dates, checked against `at`: `nbf` and `exp` exactly, `iat` with [`CLOCK_SKEW_MAX`].
    ///
    /// # Errors
    /// [`Rejection`] with culprit `time`, or of the signer if a date is malformed.
    pub fn validity(&self, at: Instant) -> Result<Validity, Rejection> {
        let validity = self.in_force(at)?;
        if let Some(issued) = validity.issued_at
            && at.saturating_add(CLOCK_SKEW_MAX) < issued
        {
            return Err(not_yet(format!("issued in the future, at `{issued}`")));
        }
        Ok(validity)
    }

    /// The dates, with `nbf` and `exp` checked exactly against `at`, and `iat` read only.
    ///
    /// # Errors
    /// As for [`Claims::validity`].
    pub fn in_force(&self, at: Instant) -> Result<Validity, Rejection> {
        let validity = Validity {
            issued_at: self.instant("iat")?,
            not_before: self.instant("nbf")?,
            expires_at: self.instant("exp")?,
        };
        if let Some(begin) = validity.not_before.filter(|&begin| at < begin) {
            return Err(not_yet(format!("not valid before `{begin}`")));
        }
        if let Some(end) = validity.expires_at.filter(|&end| end <= at) {
            return Err(Rejection::time("expired", format!("expired at `{end}`")));
        }
        Ok(validity)
    }

    /// Turns the absence of a claim into a rejection of the signer.
    ///
    /// # Errors
    /// [`Rejection`] of the signer if `value` is nothing.
    pub fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, Rejection> {
        value.ok_or_else(|| {
            Rejection::new(self.signer, "claim-missing", format!("claim `{name}` is missing"))
        })
    }

    fn read<'a, T>(
        &'a self,
        name: &str,
        kind: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Rejection> {
        let Some(value) = self.members.get(name) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| {
            Rejection::new(self.signer, "claim-type", format!("claim `{name}` is not {kind}"))
        })
    }
}

fn not_yet(message: String) -> Rejection {
    Rejection::time("not-yet-valid", message)
}

/// Seconds since 1970, whole or with a fraction, that lie in the years 1970 to 9999.
fn numeric_date(value: &Value) -> Option<Instant> {
    const SECONDS_MAX: i64 = 253_402_300_799;
    if let Some(seconds) = value.as_i64() {
        return (0..=SECONDS_MAX).contains(&seconds).then(|| Instant::from_unix_seconds(seconds));
    }
    let seconds = value.as_f64()?;
    if !(0.0..=253_402_300_799.0).contains(&seconds) {
        return None;
    }
    let fraction = Duration::from_secs_f64(seconds);
    Instant::UNIX_EPOCH.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> Claims {
        Claims::new(value.as_object().unwrap().clone(), Culprit::Issuer)
    }

    fn at(seconds: i64) -> Instant {
        Instant::from_unix_seconds(seconds)
    }

    fn check(value: Value, seconds: i64, expected: Result<(), &str>) {
        let outcome = claims(value.clone()).validity(at(seconds));
        assert_eq!(outcome.map(drop).map_err(|r| r.code), expected, "{value} at {seconds}");
    }

    #[test]
    fn dates_hold_to_the_second() {
        let token = json!({"iat": 1000, "nbf": 1000, "exp": 2000});
        check(token.clone(), 999, Err("not-yet-valid"));
        check(token.clone(), 1000, Ok(()));
        check(token.clone(), 1999, Ok(()));
        check(token, 2000, Err("expired"));
        check(json!({}), 0, Ok(()));
        check(json!({"iat": 1060}), 1000, Ok(()));
        check(json!({"iat": 1061}), 1000, Err("not-yet-valid"));
        check(json!({"exp": 1000.5}), 1000, Ok(()));
        check(json!({"exp": 1000.5}), 1001, Err("expired"));
    }

    #[test]
    fn dates_that_are_no_dates_are_refused() {
        for exp in [json!("2000"), json!(null), json!(-1), json!(1e300), json!([2000]), json!(true)]
        {
            check(json!({"exp": exp}), 1000, Err("claim-type"));
        }
        check(json!({"exp": 253_402_300_799_i64}), 1000, Ok(()));
        check(json!({"exp": 253_402_300_800_i64}), 1000, Err("claim-type"));
    }

    #[test]
    fn claims_are_read_as_what_they_are() {
        let claims = claims(json!({"text": "a", "number": 7, "date": 12}));
        assert_eq!(claims.text("text"), Ok(Some("a")));
        assert_eq!(claims.text("absent"), Ok(None));
        assert_eq!(claims.text("number").unwrap_err().code, "claim-type");
        assert_eq!(claims.required_text("absent").unwrap_err().code, "claim-missing");
        assert_eq!(claims.unsigned("number"), Ok(Some(7)));
        assert_eq!(claims.required_instant("date"), Ok(at(12)));
    }
}
