//! When a schedule recurs: a duration and a pattern. Whatever breaks the rules of its pattern is
//! unreadable, never wider.

use crate::cbor::Decoder;
use crate::rejection::Rejection;

use super::data::{unreadable, unsigned};

/// A recurrence rule: read and checked, not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recurrence {
    /// Seconds from the beginning of each occurrence to its end; above 0.
    pub duration_seconds: u32,
    /// Bits 0 to 6: Monday to Sunday; 7 to 18: January to December; or, by date, 0 to 30: days 1 to 31.
    pub mask: u32,
    /// What recurs.
    pub pattern: Pattern,
    /// Every how many days, weeks, months or years: 1 to 255.
    pub interval: u8,
    /// Which one within the month or year, from its end where negative; 0 where the pattern has none.
    pub ordinal: i8,
}

/// What recurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Days.
    Daily,
    /// Days of the week.
    Weekly,
    /// The n-th of some weekdays in a month.
    MonthlyByDay,
    /// Dates of a month, or the n-th day of it if that is a certain weekday.
    MonthlyByDate,
    /// The n-th of some weekdays in certain months of a year.
    YearlyByDay,
    /// The n-th day of certain months of a year.
    YearlyByDate,
    /// Weekdays of the n-th week of a year.
    YearlyByWeek,
    /// Weekdays of the n-th week of certain months.
    YearlyByMonthAndWeek,
}

const WEEKDAYS: u32 = 0x7F;
const MONTHS: u32 = 0x7_FF80;
const DATES: u32 = 0x7FFF_FFFF;

impl Recurrence {
    pub(super) fn read(decoder: &mut Decoder<'_>) -> Result<Self, Rejection> {
        decoder.array_of(5)?;
        let duration_seconds = unsigned(decoder, u64::from(u32::MAX), "duration")?;
        let mask = unsigned(decoder, u64::from(u32::MAX), "mask")?;
        let pattern = match unsigned(decoder, 0xFF, "pattern")? {
            1_u8 => Pattern::Daily,
            2 => Pattern::Weekly,
            3 => Pattern::MonthlyByDay,
            4 => Pattern::MonthlyByDate,
            5 => Pattern::YearlyByDay,
            6 => Pattern::YearlyByDate,
            7 => Pattern::YearlyByWeek,
            8 => Pattern::YearlyByMonthAndWeek,
            _ => return Err(unreadable("an unknown pattern of recurrence")),
        };
        let interval = unsigned(decoder, 0xFF, "interval")?;
        let ordinal = i8::try_from(decoder.integer()?)
            .map_err(|_| unreadable("an ordinal of more than eight bits"))?;
        let rule = Self { duration_seconds, mask, pattern, interval, ordinal };
        if rule.is_sound() { Ok(rule) } else { Err(unreadable("a recurrence against its pattern")) }
    }

    fn is_sound(&self) -> bool {
        let Self { mask, ordinal, .. } = *self;
        let within = |last: i8| ordinal != 0 && (-last..=last).contains(&ordinal);
        let names = |allowed: u32| mask != 0 && mask & !allowed == 0;
        let fits = match self.pattern {
            Pattern::Daily => mask == 0 && ordinal == 0,
            Pattern::Weekly => names(WEEKDAYS) && ordinal == 0,
            Pattern::MonthlyByDay => names(WEEKDAYS) && within(5),
            Pattern::MonthlyByDate if ordinal == 0 => names(DATES),
            Pattern::MonthlyByDate => names(WEEKDAYS) && within(31),
            Pattern::YearlyByDay => names(WEEKDAYS | MONTHS) && within(5),
            Pattern::YearlyByDate => names(WEEKDAYS | MONTHS) && within(31),
            Pattern::YearlyByWeek => names(WEEKDAYS) && within(53),
            Pattern::YearlyByMonthAndWeek => names(WEEKDAYS | MONTHS) && within(5),
        };
        fits && self.duration_seconds > 0 && self.interval > 0
    }
}
