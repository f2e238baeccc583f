//! What a tap must prove at doors of each class, and how fast, as the trust bundle says it.

use alloc::format;
use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;

use credential::cbor::{Decoder, Encoder};
use credential::rejection::Rejection;
use presentation::profile::Profile;

use crate::table::ZoneClass;

/// Of how many taps [`TapPolicy::stronger_per_mille`] counts.
pub const PER_MILLE_MAX: u16 = 1_000;
/// What a bundle may allow for one response, in milliseconds: below it honest cards stay outside, above it no
/// session lasts.
pub const APDU_MS: RangeInclusive<u32> = 50..=60_000;
/// What a bundle may allow for all responses of a tap together, in milliseconds.
pub const TOTAL_MS: RangeInclusive<u32> = 100..=120_000;

/// What a tap must prove at doors of one class, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapPolicy {
    /// The least profile. A holder that offers less is refused, whatever it shows.
    pub least: Profile,
    /// Of a thousand taps that could be express, how many go by a stronger profile instead, drawn at
    /// random: so whoever can forge handles alone is found. At most [`PER_MILLE_MAX`].
    pub stronger_per_mille: u16,
    /// How fast the other end must be, in whole milliseconds within [`APDU_MS`] and [`TOTAL_MS`].
    pub bound: TimeBound,
}

/// How long the other end may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBound {
    /// For one response.
    pub apdu: Duration,
    /// For all responses of a tap together; no less than that.
    pub total: Duration,
}

impl TimeBound {
    /// What a session takes at the most anyway.
    pub const WIDEST: Self = Self::of_ms(*APDU_MS.end(), *TOTAL_MS.end());

    /// A bound of so many milliseconds.
    #[must_use]
    pub const fn of_ms(apdu: u32, total: u32) -> Self {
        Self {
            apdu: Duration::from_millis(apdu as u64),
            total: Duration::from_millis(total as u64),
        }
    }

    /// The tighter of both, for one response and for the tap.
    #[must_use]
    pub fn tightened(self, by: Self) -> Self {
        Self { apdu: self.apdu.min(by.apdu), total: self.total.min(by.total) }
    }
}

/// A reader's own bound for each class of door: what its bundle says counts where that is tighter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBounds {
    /// For [`ZoneClass::Low`].
    pub low: TimeBound,
    /// For [`ZoneClass::Normal`].
    pub normal: TimeBound,
    /// For [`ZoneClass::High`].
    pub high: TimeBound,
}

impl Default for TimeBounds {
    /// None of its own: the bundle decides.
    fn default() -> Self {
        Self { low: TimeBound::WIDEST, normal: TimeBound::WIDEST, high: TimeBound::WIDEST }
    }
}

impl TimeBounds {
    /// The bound of a class.
    #[must_use]
    pub const fn of(&self, class: ZoneClass) -> TimeBound {
        match class {
            ZoneClass::Low => self.low,
            ZoneClass::Normal => self.normal,
            ZoneClass::High => self.high,
        }
    }
}

/// A policy for each class of door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    /// For [`ZoneClass::Low`].
    pub low: TapPolicy,
    /// For [`ZoneClass::Normal`].
    pub normal: TapPolicy,
    /// For [`ZoneClass::High`], where [`Profile::Express`] and [`Profile::Fast`] are never enough.
    pub high: TapPolicy,
}

impl Default for Taps {
    /// The express tap at doors of low and normal class, with one tap of fifty by a stronger profile.
    ///
    /// Low: 60 s and 120 s, so that the holder may decide while the phone is in the field. Normal: 1 s and
    /// 3 s, the holder has decided before. High: 500 ms and 1.5 s; a phone with its keys in a chip needs
    /// about half of that for an identity tap.
    fn default() -> Self {
        let policy =
            |least, stronger_per_mille, bound| TapPolicy { least, stronger_per_mille, bound };
        Self {
            low: policy(Profile::Express, 20, TimeBound::WIDEST),
            normal: policy(Profile::Express, 20, TimeBound::of_ms(1_000, 3_000)),
            high: policy(Profile::Standard, 0, TimeBound::of_ms(500, 1_500)),
        }
    }
}

impl Taps {
    /// The policy of a class.
    #[must_use]
    pub fn of(&self, class: ZoneClass) -> TapPolicy {
        match class {
            ZoneClass::Low => self.low,
            ZoneClass::Normal => self.normal,
            ZoneClass::High => {
                TapPolicy { least: self.high.least.max(Profile::Standard), ..self.high }
            }
        }
    }

    /// Passes when a city may say so.
    ///
    /// # Errors
    /// [`TapsError`] for the first value past its limit.
    pub fn check(&self) -> Result<(), TapsError> {
        if self.high.least < Profile::Standard {
            return Err(TapsError { class: ZoneClass::High, amiss: Amiss::Least(self.high.least) });
        }
        self.check_ranges()
    }

    fn check_ranges(&self) -> Result<(), TapsError> {
        for class in ZoneClass::ALL {
            self.of(class).check().map_err(|amiss| TapsError { class, amiss })?;
        }
        Ok(())
    }

    pub(crate) fn write(&self, encoder: &mut Encoder) {
        encoder.array(ZoneClass::ALL.len());
        for TapPolicy { least, stronger_per_mille, bound } in [self.low, self.normal, self.high] {
            encoder.array(4).unsigned(least.number()).unsigned(stronger_per_mille.into());
            encoder.unsigned(millis(bound.apdu)).unsigned(millis(bound.total));
        }
    }

    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Result<Self, Rejection> {
        decoder.array_of(ZoneClass::ALL.len() as u64)?;
        let (low, normal, high) = (policy(decoder)?, policy(decoder)?, policy(decoder)?);
        let taps = Self { low, normal, high };
        taps.check_ranges().map_err(|error| form(&error))?;
        Ok(taps)
    }
}

impl TapPolicy {
    fn check(&self) -> Result<(), Amiss> {
        let TimeBound { apdu, total } = self.bound;
        let is_within = |range: &RangeInclusive<u32>, time| {
            u32::try_from(millis(time)).is_ok_and(|ms| range.contains(&ms))
        };
        if self.stronger_per_mille > PER_MILLE_MAX {
            return Err(Amiss::Stronger(self.stronger_per_mille));
        }
        if !is_within(&APDU_MS, apdu) {
            return Err(Amiss::Apdu(apdu));
        }
        if !is_within(&TOTAL_MS, total) {
            return Err(Amiss::Total(total));
        }
        if total < apdu {
            return Err(Amiss::Shorter { apdu, total });
        }
        Ok(())
    }
}

/// A value that no city may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapsError {
    /// The class of doors for which it was to hold.
    pub class: ZoneClass,
    /// What is amiss.
    pub amiss: Amiss,
}

/// Which value of a [`TapPolicy`] is amiss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amiss {
    /// Doors of the high class take no less than [`Profile::Standard`].
    Least(Profile),
    /// More than [`PER_MILLE_MAX`].
    Stronger(u16),
    /// Outside of [`APDU_MS`].
    Apdu(Duration),
    /// Outside of [`TOTAL_MS`].
    Total(Duration),
    /// A tap would have less time than one response of it.
    Shorter {
        /// For one response.
        apdu: Duration,
        /// For the tap.
        total: Duration,
    },
}

impl fmt::Display for TapsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = self.class.as_str();
        let range = |f: &mut fmt::Formatter<'_>, name, time, range: RangeInclusive<u32>| {
            let (start, end) = (range.start(), range.end());
            write!(f, "`{class}.{name}` is {}, not within {start} to {end}", millis(time))
        };
        match self.amiss {
            Amiss::Least(least) => {
                write!(f, "`{class}.least` is `{least}`, and at the least must be `standard`")
            }
            Amiss::Stronger(stronger) => {
                write!(f, "`{class}.stronger_per_mille` is {stronger}, more than {PER_MILLE_MAX}")
            }
            Amiss::Apdu(apdu) => range(f, "apdu_ms", apdu, APDU_MS),
            Amiss::Total(total) => range(f, "total_ms", total, TOTAL_MS),
            Amiss::Shorter { apdu, total } => {
                let (apdu, total) = (millis(apdu), millis(total));
                write!(f, "`{class}.total_ms` is {total}, less than `{class}.apdu_ms`, {apdu}")
            }
        }
    }
}

impl core::error::Error for TapsError {}

fn policy(decoder: &mut Decoder<'_>) -> Result<TapPolicy, Rejection> {
    decoder.array_of(4)?;
    let least = Profile::from_number(decoder.unsigned()?)
        .ok_or_else(|| form(&"a profile that is not known"))?;
    // Past its type a number is past its limit, too.
    let stronger_per_mille = u16::try_from(decoder.unsigned()?).unwrap_or(u16::MAX);
    let (apdu, total) = (decoder.unsigned()?, decoder.unsigned()?);
    let bound =
        TimeBound { apdu: Duration::from_millis(apdu), total: Duration::from_millis(total) };
    Ok(TapPolicy { least, stronger_per_mille, bound })
}

fn form(what: &dyn fmt::Display) -> Rejection {
    Rejection::wire("bundle-form", format!("trust bundle has a wrong policy for taps: {what}"))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
