//! What `CKA_LABEL` says of a key: its purpose, owner, suite and where it stands in its life.
//!
//! The form is that of `specs/token.md`. A label is readable with any foreign client, and it may be
//! changed, so that a key's state can be kept on the token itself. Who may change it has the PIN, and
//! could as well sign.

use core::fmt;

use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use crate::custody::{Key, State};
use crate::purpose::{Purpose, Suite};

/// Begins every label that is ours, whatever its version.
pub(crate) const PREFIX: &str = "limen:";
const VERSION: &str = "limen:1";
/// A key that is being made; it gets its name once its public half is known.
pub(crate) const UNFINISHED: &str = "limen:1 unfinished";
const CERTIFICATE: &str = "certificate";
/// In place of an operator, for the city's own keys.
const NOBODY: &str = "-";

/// A key as its label describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    /// The order of making, from 1: instants may be equal.
    pub(crate) number: u32,
    pub(crate) purpose: Purpose,
    pub(crate) operator: Option<OperatorCode>,
    pub(crate) suite: Suite,
    pub(crate) created_at: Instant,
    pub(crate) state: State,
    pub(crate) state_since: Instant,
}

impl Description {
    pub(crate) fn of(number: u32, key: &Key) -> Self {
        Self {
            number,
            purpose: key.purpose,
            operator: key.operator.clone(),
            suite: key.suite,
            created_at: key.created_at,
            state: key.state,
            state_since: key.state_since,
        }
    }

    /// `None` when the label is not of this form to the last byte.
    pub(crate) fn parse(label: &str) -> Option<Self> {
        let mut words = label.split(' ');
        if words.next() != Some(VERSION) {
            return None;
        }
        let mut word = || words.next();
        let number = word()?.parse().ok()?;
        let purpose = word()?.parse().ok()?;
        let operator = match word()? {
            NOBODY => None,
            code => Some(code.parse().ok()?),
        };
        let suite = word()?.parse().ok()?;
        let created_at = Instant::parse_rfc3339(word()?).ok()?;
        let name = word()?;
        let state = State::ALL.into_iter().find(|state| state.as_str() == name)?;
        let state_since = Instant::parse_rfc3339(word()?).ok()?;
        let found = Self { number, purpose, operator, suite, created_at, state, state_since };
        // One description, one label: what is written otherwise was not written by us.
        (words.next().is_none() && found.to_string() == label).then_some(found)
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, purpose, suite, created_at, state, state_since, .. } = self;
        let operator = self.operator.as_ref().map_or(NOBODY, OperatorCode::as_str);
        write!(
            f,
            "{VERSION} {number} {purpose} {operator} {suite} {created_at} {state} {state_since}"
        )
    }
}

/// The label of the certificate that was attached as the `number`th.
pub(crate) fn of_certificate(number: u32) -> String {
    format!("{VERSION} {CERTIFICATE} {number}")
}

/// The number in the label of a certificate.
pub(crate) fn certificate_number(label: &str) -> Option<u32> {
    label.strip_prefix(VERSION)?.strip_prefix(' ')?.strip_prefix(CERTIFICATE)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Description {
        let at = Instant::from_unix_micros(1_790_000_000_123_456);
        Description {
            number: 17,
            purpose: Purpose::DocumentSignerMdoc,
            operator: Some("harbour".parse().unwrap()),
            suite: Suite::Es256,
            created_at: at.floor_to_second(),
            state: State::Active,
            state_since: at,
        }
    }

    #[test]
    fn label_reads_as_a_sentence_and_returns() {
        let label = sample().to_string();
        let expected = "limen:1 17 document-signer-mdoc harbour ES256 2026-09-21T14:13:20Z active \
                        2026-09-21T14:13:20.123456Z";
        assert_eq!(label, expected);
        assert_eq!(Description::parse(&label), Some(sample()));
        let city = Description { operator: None, ..sample() };
        assert_eq!(Description::parse(&city.to_string()), Some(city));
        assert_eq!(certificate_number(&of_certificate(3)), Some(3));
    }

    #[test]
    fn label_of_another_form_is_no_description() {
        let label = sample().to_string();
        for wrong in [
            label.replace("limen:1", "limen:2"),
            label.replace(" 17 ", " 017 "),
            label.replace("harbour", "Harbour"),
            label.replace("active", "eternal"),
            label.replace("ES256", "ES257"),
            format!("{label} "),
            format!("{label} more"),
            label.replace("20Z active", "20+00:00 active"),
            String::new(),
            UNFINISHED.to_owned(),
        ] {
            assert_eq!(Description::parse(&wrong), None, "{wrong}");
        }
    }
}
