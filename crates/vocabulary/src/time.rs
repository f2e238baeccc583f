//! Instants and calendar dates, UTC, without leap seconds (RFC 3339, proleptic Gregorian calendar).
//!
//! Nothing here reads a clock: an instant is always handed in by the caller.

use core::fmt;
use core::time::Duration;

/// A moment: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

/// An instant taken apart in the UTC calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The calendar day.
    pub date: Date,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59; leap seconds are refused when parsing.
    pub second: u8,
    /// 0 to 999,999.
    pub microsecond: u32,
}

/// A calendar day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// 0 to 9999.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31, as the month allows.
    pub day: u8,
}

/// Why a text is not an instant or a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseInstantError {
    /// Not of the form `2026-11-22T14:00:00Z` (an offset or a fraction may follow the seconds).
    Form,
    /// A field exceeds its range, such as a month 13 or a 30th of February.
    Range,
}

impl fmt::Display for ParseInstantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "not an RFC 3339 instant such as `2026-11-22T14:00:00Z`",
            Self::Range => "a field of the date or time is out of its range",
        })
    }
}

impl core::error::Error for ParseInstantError {}

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

impl Instant {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// From microseconds since 1970.
    #[must_use]
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From seconds since 1970; saturates at the ends of the range (the year 294,247).
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// This instant without its fraction of a second, as the formats that Limen writes want it.
    #[must_use]
    pub const fn floor_to_second(self) -> Self {
        Self::from_unix_seconds(self.unix_seconds())
    }

    /// Later by `span`, or nothing if that exceeds the range.
    #[must_use]
    pub fn checked_add(self, span: Duration) -> Option<Self> {
        self.0.checked_add(i64::try_from(span.as_micros()).ok()?).map(Self)
    }

    /// Later by `span`, at most the end of the range.
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Earlier by `span`, at least the beginning of the range.
    #[must_use]
    pub fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The time since `earlier`, zero if that lies in the future.
    #[must_use]
    pub fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This instant in the UTC calendar.
    #[must_use]
    pub fn civil(self) -> Civil {
        let seconds = self.unix_seconds();
        let second_of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        let within =
            |value: i64, unit: i64, span: i64| u8::try_from(value / unit % span).unwrap_or(0);
        Civil {
            date: Date::from_day_number(seconds.div_euclid(SECONDS_PER_DAY)),
            hour: within(second_of_day, 3600, 24),
            minute: within(second_of_day, 60, 60),
            second: within(second_of_day, 1, 60),
            microsecond: u32::try_from(self.0.rem_euclid(MICROS_PER_SECOND)).unwrap_or(0),
        }
    }

    /// From calendar fields, or nothing if one is out of its range.
    #[must_use]
    pub fn from_civil(civil: Civil) -> Option<Self> {
        if !civil.date.is_valid()
            || civil.hour > 23
            || civil.minute > 59
            || civil.second > 59
            || civil.microsecond > 999_999
        {
            return None;
        }
        let seconds = civil.date.day_number() * SECONDS_PER_DAY
            + i64::from(civil.hour) * 3600
            + i64::from(civil.minute) * 60
            + i64::from(civil.second);
        Some(Self(seconds * MICROS_PER_SECOND + i64::from(civil.microsecond)))
    }

    /// Parses RFC 3339 with `Z` or an offset; digits past the microsecond are dropped.
    ///
    /// # Errors
    /// [`ParseInstantError`] when the form or a range does not hold; a leap second is out of range.
    pub fn parse_rfc3339(text: &str) -> Result<Self, ParseInstantError> {
        let bytes = text.as_bytes();
        let (date, rest) = split(bytes, 10)?;
        let (separator, rest) = split(rest, 1)?;
        let (clock, rest) = split(rest, 8)?;
        if !matches!(separator, b"T" | b"t" | b" ") {
            return Err(ParseInstantError::Form);
        }
        let [hour, minute, second] = fields(clock, b':')?;
        let (microsecond, rest) = fraction(rest)?;
        let civil = Civil { date: Date::parse_bytes(date)?, hour, minute, second, microsecond };
        let local = Self::from_civil(civil).ok_or(ParseInstantError::Range)?;
        let offset_micros = offset_seconds(rest)? * MICROS_PER_SECOND;
        local.0.checked_sub(offset_micros).map(Self).ok_or(ParseInstantError::Range)
    }
}

impl Date {
    /// Parses `YYYY-MM-DD` (RFC 3339 full-date).
    ///
    /// # Errors
    /// [`ParseInstantError`] when the form or a range does not hold.
    pub fn parse(text: &str) -> Result<Self, ParseInstantError> {
        Self::parse_bytes(text.as_bytes())
    }

    /// Days since 1970-01-01, negative before.
    #[must_use]
    pub fn day_number(self) -> i64 {
        // Years begin in March here, so that the leap day is the last of its year.
        let month = i64::from(self.month);
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
            - 719_468
    }

    /// The inverse of [`Date::day_number`].
    #[must_use]
    pub fn from_day_number(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Self {
            year: i32::try_from(year).unwrap_or(i32::MAX),
            month: u8::try_from(month).unwrap_or(1),
            day: u8::try_from(day).unwrap_or(1),
        }
    }

    /// The day of the week, 0 for Monday to 6 for Sunday.
    #[must_use]
    pub fn weekday(self) -> u8 {
        // 1970-01-01 was a Thursday.
        u8::try_from((self.day_number() + 3).rem_euclid(7)).unwrap_or(0)
    }

    /// The days of this date's month.
    #[must_use]
    pub fn days_in_month(self) -> u8 {
        match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0) => 29,
            2 => 28,
            _ => 31,
        }
    }

    fn is_valid(self) -> bool {
        (0..=9999).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=self.days_in_month()).contains(&self.day)
    }

    fn parse_bytes(bytes: &[u8]) -> Result<Self, ParseInstantError> {
        let (year, rest) = split(bytes, 4)?;
        let (dash, rest) = split(rest, 1)?;
        if dash != b"-" {
            return Err(ParseInstantError::Form);
        }
        let [month, day] = fields(rest, b'-')?;
        let [century, years] =
            [year.get(..2), year.get(2..)].map(|pair| two_digits(pair.unwrap_or_default()));
        let date = Self { year: i32::from(century?) * 100 + i32::from(years?), month, day };
        if date.is_valid() { Ok(date) } else { Err(ParseInstantError::Range) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { date, hour, minute, second, microsecond } = self.civil();
        write!(f, "{date}T{hour:02}:{minute:02}:{second:02}")?;
        if microsecond != 0 {
            write!(f, ".{microsecond:06}")?;
        }
        f.write_str("Z")
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn split(bytes: &[u8], at: usize) -> Result<(&[u8], &[u8]), ParseInstantError> {
    bytes.split_at_checked(at).ok_or(ParseInstantError::Form)
}

fn two_digits(bytes: &[u8]) -> Result<u8, ParseInstantError> {
    match bytes {
        [tens @ b'0'..=b'9', units @ b'0'..=b'9'] => Ok((tens - b'0') * 10 + (units - b'0')),
        _ => Err(ParseInstantError::Form),
    }
}

/// `N` two-digit fields with `separator` between them, and nothing else.
fn fields<const N: usize>(bytes: &[u8], separator: u8) -> Result<[u8; N], ParseInstantError> {
    let mut values = [0; N];
    let mut parts = bytes.split(|&b| b == separator);
    for value in &mut values {
        *value = two_digits(parts.next().ok_or(ParseInstantError::Form)?)?;
    }
    if parts.next().is_some() { Err(ParseInstantError::Form) } else { Ok(values) }
}

fn fraction(bytes: &[u8]) -> Result<(u32, &[u8]), ParseInstantError> {
    let Some(digits) = bytes.strip_prefix(b".") else { return Ok((0, bytes)) };
    let length = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = split(digits, length)?;
    if digits.is_empty() {
        return Err(ParseInstantError::Form);
    }
    let mut micros = 0;
    for position in 0..6 {
        micros = micros * 10 + u32::from(digits.get(position).map_or(0, |digit| digit - b'0'));
    }
    Ok((micros, rest))
}

fn offset_seconds(bytes: &[u8]) -> Result<i64, ParseInstantError> {
    let (sign, clock) = match bytes {
        [b'Z' | b'z'] => return Ok(0),
        [b'+', clock @ ..] => (1, clock),
        [b'-', clock @ ..] => (-1, clock),
        _ => return Err(ParseInstantError::Form),
    };
    let [hours, minutes] = fields(clock, b':')?;
    if hours > 23 || minutes > 59 {
        return Err(ParseInstantError::Range);
    }
    Ok(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<i64, ParseInstantError>) {
        assert_eq!(Instant::parse_rfc3339(text).map(Instant::unix_micros), expected, "{text}");
    }

    #[test]
    fn rfc3339_examples_parse() {
        check("1970-01-01T00:00:00Z", Ok(0));
        check("1985-04-12T23:20:50.52Z", Ok(482_196_050_520_000));
        check("1996-12-19T16:39:57-08:00", Ok(851_042_397_000_000));
        check("2024-02-29T12:00:00Z", Ok(1_709_208_000_000_000));
        check("1969-12-31T23:59:59.999999Z", Ok(-1));
        check("2026-11-22T14:00:00.1234567Z", Ok(1_795_356_000_123_456));
    }

    #[test]
    fn wrong_forms_and_ranges_are_refused() {
        check("2023-02-29T12:00:00Z", Err(ParseInstantError::Range));
        check("2026-13-01T12:00:00Z", Err(ParseInstantError::Range));
        check("1990-12-31T23:59:60Z", Err(ParseInstantError::Range));
        check("2026-11-22", Err(ParseInstantError::Form));
        check("2026-11-22T14:00:00", Err(ParseInstantError::Form));
        check("2026-11-22T14:00:00.Z", Err(ParseInstantError::Form));
        check("2026-11-22T14:00:00+24:00", Err(ParseInstantError::Range));
        check("2026-11-22T14:00:00Zx", Err(ParseInstantError::Form));
    }

    #[test]
    fn weekdays_are_those_of_the_calendar() {
        for (text, weekday) in [("1970-01-01", 3), ("2026-11-22", 6), ("2024-02-29", 3)] {
            assert_eq!(Date::parse(text).unwrap().weekday(), weekday, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_form_returns_to_the_same_instant(micros in 0..253_402_300_799_999_999_i64) {
            let instant = Instant::from_unix_micros(micros);
            prop_assert_eq!(Instant::parse_rfc3339(&instant.to_string()), Ok(instant));
        }

        #[test]
        fn arbitrary_text_never_panics(text: alloc::string::String) {
            let _ = Instant::parse_rfc3339(&text);
            let _ = Date::parse(&text);
        }
    }
}
