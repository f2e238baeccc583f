//! When a right recurs: a subset of the recurrence rules of RFC 5545 (3.3.10) and a daily window.
//!
//! The subset is `FREQ=DAILY` or `FREQ=WEEKLY`, `BYDAY` without numbers, and `UNTIL` in UTC. There
//! is no start and hence no `COUNT` or `INTERVAL`; a weekly rule must name its days. Local time is
//! UTC plus a fixed number of minutes that stands beside the rule, so that a reader needs no table
//! of time zones. A part that is not of the subset makes the rule unreadable, never wider.

use alloc::string::String;
use core::fmt::{self, Write};
use core::str::FromStr;

use vocabulary::time::{Civil, Date, Instant};

/// Bytes of a rule.
pub const RULE_BYTES_MAX: usize = 128;
/// Minutes between local time and UTC, either way (14 hours).
pub const OFFSET_MINUTES_MAX: i16 = 840;

const MINUTES_PER_DAY: u16 = 1440;
const SECONDS_PER_DAY: i64 = 86_400;
const INTERVAL_SECONDS_MAX: i64 = 7 * SECONDS_PER_DAY;

/// On which days, in which hours, and until when a right recurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recurrence {
    frequency: Frequency,
    days: Days,
    until: Option<Instant>,
    window: Window,
    offset_minutes: i16,
}

/// `FREQ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frequency {
    /// Every day, or every day of those named.
    Daily,
    /// Every week on the days named.
    Weekly,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say all")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Monday, "MO"),
        (Self::Tuesday, "TU"),
        (Self::Wednesday, "WE"),
        (Self::Thursday, "TH"),
        (Self::Friday, "FR"),
        (Self::Saturday, "SA"),
        (Self::Sunday, "SU"),
    ];
}

/// A set of days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u8);

impl Days {
    /// No day.
    pub const NONE: Self = Self(0);

    /// This set with `day`.
    #[must_use]
    pub const fn with(self, day: Weekday) -> Self {
        Self(self.0 | 1 << day as u8)
    }

    /// Whether `day` is in the set.
    #[must_use]
    pub const fn contains(self, day: Weekday) -> bool {
        self.0 & (1 << day as u8) != 0
    }

    /// Whether the set names no day.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The part of a day in which a right holds, in minutes of local time since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: u16,
    to: u16,
}

impl Window {
    /// The whole day.
    pub const WHOLE_DAY: Self = Self { from: 0, to: MINUTES_PER_DAY };

    /// From minute `from` (0 to 1439) up to, not including, minute `to` (1 to 1440). If `to` is
    /// not later than `from`, the window ends on the next day and belongs to the day it begins on.
    #[must_use]
    pub fn new(from: u16, to: u16) -> Option<Self> {
        let valid = from < MINUTES_PER_DAY && (1..=MINUTES_PER_DAY).contains(&to) && from != to;
        valid.then_some(Self { from, to })
    }

    /// The first minute.
    #[must_use]
    pub const fn from(self) -> u16 {
        self.from
    }

    /// The minute after the last.
    #[must_use]
    pub const fn to(self) -> u16 {
        self.to
    }
}

/// Why a text and its numbers are no recurrence of the subset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseRuleError {
    /// Longer than [`RULE_BYTES_MAX`].
    Length,
    /// A part is unknown, repeated or not of the form `NAME=VALUE`.
    Part,
    /// The frequency is missing or not of the subset.
    Frequency,
    /// A day is unknown or repeated, or a weekly rule names none.
    Days,
    /// The end is not of the form `20261231T235959Z`.
    Until,
    /// The offset exceeds [`OFFSET_MINUTES_MAX`].
    Offset,
}

impl fmt::Display for ParseRuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "recurrence rule is too long",
            Self::Part => "recurrence rule has a part that is unknown, repeated or malformed",
            Self::Frequency => "recurrence rule needs `FREQ=DAILY` or `FREQ=WEEKLY`",
            Self::Days => "recurrence rule needs days such as `BYDAY=MO,TU`",
            Self::Until => "recurrence rule ends at an instant such as `UNTIL=20261231T235959Z`",
            Self::Offset => "recurrence offset exceeds fourteen hours",
        })
    }
}

impl core::error::Error for ParseRuleError {}

impl FromStr for Recurrence {
    type Err = ParseRuleError;

    /// Reads a rule such as `FREQ=WEEKLY;BYDAY=MO,TU;UNTIL=20261231T235959Z`; the whole day, in UTC.
    fn from_str(rule: &str) -> Result<Self, ParseRuleError> {
        if rule.len() > RULE_BYTES_MAX {
            return Err(ParseRuleError::Length);
        }
        let (mut frequency, mut days, mut until) = (None, None, None);
        for part in rule.split(';') {
            let (name, value) = part.split_once('=').ok_or(ParseRuleError::Part)?;
            let repeated = match name {
                "FREQ" => frequency.replace(parse_frequency(value)?).is_some(),
                "BYDAY" => days.replace(parse_days(value)?).is_some(),
                "UNTIL" => {
                    let instant = parse_until(value).ok_or(ParseRuleError::Until)?;
                    until.replace(instant).is_some()
                }
                _ => true,
            };
            if repeated {
                return Err(ParseRuleError::Part);
            }
        }
        let frequency = frequency.ok_or(ParseRuleError::Frequency)?;
        let days = match (frequency, days) {
            (Frequency::Weekly, None) => return Err(ParseRuleError::Days),
            (_, days) => days.unwrap_or(Days::NONE),
        };
        Ok(Self { frequency, days, until, window: Window::WHOLE_DAY, offset_minutes: 0 })
    }
}

impl fmt::Display for Recurrence {
    /// The rule alone; window and offset stand beside it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.frequency {
            Frequency::Daily => "FREQ=DAILY",
            Frequency::Weekly => "FREQ=WEEKLY",
        })?;
        let mut separator = ";BYDAY=";
        for (day, name) in Weekday::ALL {
            if self.days.contains(day) {
                write!(f, "{separator}{name}")?;
                separator = ",";
            }
        }
        if let Some(until) = self.until {
            let Civil { date: Date { year, month, day }, hour, minute, second, .. } = until.civil();
            write!(f, ";UNTIL={year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")?;
        }
        Ok(())
    }
}

impl Recurrence {
    /// The same rule in a part of the day.
    #[must_use]
    pub const fn within(self, window: Window) -> Self {
        Self { window, ..self }
    }

    /// The same rule where local time is UTC plus `minutes`.
    ///
    /// # Errors
    /// [`ParseRuleError::Offset`] beyond [`OFFSET_MINUTES_MAX`] either way.
    pub fn with_offset(self, minutes: i16) -> Result<Self, ParseRuleError> {
        if (-OFFSET_MINUTES_MAX..=OFFSET_MINUTES_MAX).contains(&minutes) {
            Ok(Self { offset_minutes: minutes, ..self })
        } else {
            Err(ParseRuleError::Offset)
        }
    }

    /// The rule as text, without window and offset.
    #[must_use]
    pub fn rule(&self) -> String {
        let mut text = String::new();
        // INVARIANT: writing to a String does not fail.
        let _ = write!(text, "{self}");
        text
    }

    /// The part of the day.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Minutes from UTC to local time.
    #[must_use]
    pub const fn offset_minutes(&self) -> i16 {
        self.offset_minutes
    }

    /// Whether the right recurs at `at`.
    #[must_use]
    pub fn allows(&self, at: Instant) -> bool {
        if self.until.is_some_and(|until| until < at.floor_to_second()) {
            return false;
        }
        let local = at.unix_seconds().saturating_add(i64::from(self.offset_minutes) * 60);
        let day = local.div_euclid(86_400);
        let minute = local.rem_euclid(86_400) / 60;
        let (from, to) = (i64::from(self.window.from), i64::from(self.window.to));
        if from < to {
            return from <= minute && minute < to && self.recurs_on(day);
        }
        (from <= minute && self.recurs_on(day)) || (minute < to && self.recurs_on(day - 1))
    }

    /// The one run of seconds from `first` to `last` (Unix seconds, at most a week) in which the right
    /// recurs, both ends included; nothing where there is none or more than one.
    #[must_use]
    pub fn only_interval(&self, first: i64, last: i64) -> Option<(i64, i64)> {
        let last = self.until.map_or(last, |until| last.min(until.unix_seconds()));
        let is_instant = |second: i64| second.checked_mul(1_000_000).is_some();
        let is_right = is_instant(first) && is_instant(last) && first <= last;
        if !is_right || last - first >= INTERVAL_SECONDS_MAX {
            return None;
        }
        let offset = i64::from(self.offset_minutes) * 60;
        let day = |second: i64| (second + offset).div_euclid(SECONDS_PER_DAY);
        let (from, to) = (i64::from(self.window.from) * 60, i64::from(self.window.to) * 60);
        let to = if from < to { to } else { to + SECONDS_PER_DAY };
        let mut found: Option<(i64, i64)> = None;
        // The day before may reach over midnight.
        for day in (day(first) - 1..=day(last)).filter(|day| self.recurs_on(*day)) {
            let midnight = day * SECONDS_PER_DAY - offset;
            let (begin, end) = ((midnight + from).max(first), (midnight + to - 1).min(last));
            if end < begin {
                continue;
            }
            found = match found {
                None => Some((begin, end)),
                Some((earlier, until)) if until + 1 == begin => Some((earlier, end)),
                Some(_) => return None,
            };
        }
        found
    }

    /// Whether the day, counted from 1970-01-01, is one of the rule.
    fn recurs_on(&self, day: i64) -> bool {
        if self.days.is_empty() {
            return self.frequency == Frequency::Daily;
        }
        let weekday = Date::from_day_number(day).weekday();
        self.days.0 & (1 << weekday) != 0
    }
}

fn parse_frequency(value: &str) -> Result<Frequency, ParseRuleError> {
    match value {
        "DAILY" => Ok(Frequency::Daily),
        "WEEKLY" => Ok(Frequency::Weekly),
        _ => Err(ParseRuleError::Frequency),
    }
}

fn parse_days(value: &str) -> Result<Days, ParseRuleError> {
    value.split(',').try_fold(Days::NONE, |days, name| {
        let found = Weekday::ALL.into_iter().find(|(_, known)| *known == name);
        let (day, _) = found.ok_or(ParseRuleError::Days)?;
        if days.contains(day) { Err(ParseRuleError::Days) } else { Ok(days.with(day)) }
    })
}

/// `20261231T235959Z` (RFC 5545, 3.3.5, form 2).
fn parse_until(value: &str) -> Option<Instant> {
    let (date, time) = value.split_once('T')?;
    let (year, rest) = date.split_at_checked(4)?;
    let (month, day) = rest.split_at_checked(2)?;
    let (hour, rest) = time.split_at_checked(2)?;
    let (minute, rest) = rest.split_at_checked(2)?;
    let (second, zone) = rest.split_at_checked(2)?;
    if zone != "Z" {
        return None;
    }
    let text = alloc::format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    Instant::parse_rfc3339(&text).ok()
}
