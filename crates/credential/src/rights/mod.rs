//! The rights inside a city pass: what it opens, where, when, how often, and for whom.
//!
//! The same claims travel as elements of an mdoc and as claims of an SD-JWT VC; `specs/city-pass.md`
//! registers them. Some claims widen a right (zones, places, class) and some narrow it (dates,
//! recurrence, uses, holder). Both formats let the holder withhold claims one by one, so the pass
//! carries `critical`: the names of all claims that narrow it. A pass without that list, or without
//! a claim that the list names, or with a name there that is not understood, gives no rights.

mod recurrence;
mod wire;

pub use recurrence::{
    Days, Frequency, OFFSET_MINUTES_MAX, ParseRuleError, RULE_BYTES_MAX, Recurrence, Weekday,
    Window,
};

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use vocabulary::code::{ClassCode, OperatorCode, PlaceCode, ProductCode, ZoneCode};
use vocabulary::time::Instant;

use crate::rejection::Rejection;

/// The document type of a city pass as mdoc.
pub const DOC_TYPE: &str = "city.limen.pass.1";
/// The name space of its elements.
pub const NAME_SPACE: &str = "city.limen.pass.1";
/// The type of a city pass as SD-JWT VC.
pub const VCT: &str = "urn:limen:pass:1";
/// Zones of one pass.
pub const ZONES_MAX: usize = 32;
/// Places of one pass.
pub const PLACES_MAX: usize = 32;
/// Names in `critical`.
pub const CRITICAL_MAX: usize = 16;
/// The names of all claims: what a reader asks for.
pub const CLAIMS: [&str; 11] = [
    "operator",
    "product",
    "class",
    "zones",
    "places",
    "recurrence",
    "valid_from",
    "valid_until",
    "uses_max",
    "holder_only",
    "critical",
];

/// What a pass entitles to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Who sold or gave it.
    pub operator: OperatorCode,
    /// Which of its products it is.
    pub product: ProductCode,
    /// The class of service, where the product has classes.
    pub class: Option<ClassCode>,
    /// The zones that it is good for; at most [`ZONES_MAX`].
    pub zones: Vec<ZoneCode>,
    /// The places that it opens, with all inside them; at most [`PLACES_MAX`].
    pub places: Vec<PlaceCode>,
    /// On which days and hours; always, if absent.
    pub recurrence: Option<Recurrence>,
    /// First instant of validity, to the second.
    pub valid_from: Instant,
    /// Last instant of validity, to the second, not before the first.
    pub valid_until: Instant,
    /// How often it may be used, at least once; without limit if absent.
    pub uses_max: Option<u32>,
    /// Whether only the person to whom it was issued may use it, proven by presence on the device.
    pub holder_only: bool,
}

impl Rights {
    /// Whether the rights hold at `at`: inside the validity, both ends included, and recurring then.
    #[must_use]
    pub fn hold_at(&self, at: Instant) -> bool {
        self.valid_from <= at
            && at.floor_to_second() <= self.valid_until
            && self.recurrence.as_ref().is_none_or(|recurrence| recurrence.allows(at))
    }

    /// The one run of seconds from `first` to `last` (Unix seconds, at most a week) in which the rights
    /// hold, both ends included; nothing where there is none or more than one.
    #[must_use]
    pub fn only_interval(&self, first: i64, last: i64) -> Option<(i64, i64)> {
        // An instant inside a second is not before `valid_from` once that second is over.
        let from = self.valid_from.saturating_add(core::time::Duration::from_micros(999_999));
        let first = first.max(from.unix_seconds());
        let last = last.min(self.valid_until.unix_seconds());
        match &self.recurrence {
            Some(recurrence) => recurrence.only_interval(first, last),
            None => (first <= last).then_some((first, last)),
        }
    }

    /// Whether `zone` is among the zones.
    #[must_use]
    pub fn cover_zone(&self, zone: &ZoneCode) -> bool {
        self.zones.contains(zone)
    }

    /// Whether `place` is one of the places or lies inside one.
    #[must_use]
    pub fn cover_place(&self, place: &PlaceCode) -> bool {
        self.places.iter().any(|own| own.contains(place))
    }

    fn check(&self) -> Result<(), RightsError> {
        if self.zones.len() > ZONES_MAX {
            return Err(RightsError::TooMany { claim: "zones" });
        }
        if self.places.len() > PLACES_MAX {
            return Err(RightsError::TooMany { claim: "places" });
        }
        if self.valid_until < self.valid_from {
            return Err(RightsError::Malformed { claim: "valid_until" });
        }
        if self.uses_max == Some(0) {
            return Err(RightsError::Malformed { claim: "uses_max" });
        }
        Ok(())
    }

    /// The claims that narrow this right.
    fn critical(&self) -> Vec<&'static str> {
        let optional = [
            ("recurrence", self.recurrence.is_some()),
            ("uses_max", self.uses_max.is_some()),
            ("holder_only", true),
        ];
        let present = optional.into_iter().filter(|(_, present)| *present).map(|(name, _)| name);
        ["valid_from", "valid_until"].into_iter().chain(present).collect()
    }
}

/// Why claims are no rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RightsError {
    /// A claim without which there is no right is absent.
    Missing {
        /// Its name.
        claim: &'static str,
    },
    /// A claim is of another type or out of its range.
    Malformed {
        /// Its name.
        claim: &'static str,
    },
    /// A list is longer than its limit.
    TooMany {
        /// The name of the claim.
        claim: &'static str,
    },
    /// A claim is marked critical and not understood.
    UnknownCritical {
        /// Its name.
        claim: String,
    },
    /// A claim is marked critical and was withheld.
    WithheldCritical {
        /// Its name.
        claim: String,
    },
}

impl fmt::Display for RightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { claim } => write!(f, "pass has no `{claim}`"),
            Self::Malformed { claim } => write!(f, "`{claim}` of the pass is out of its range"),
            Self::TooMany { claim } => write!(f, "`{claim}` of the pass has too many entries"),
            Self::UnknownCritical { claim } => {
                write!(f, "pass demands `{}`, which is not understood", claim.escape_debug())
            }
            Self::WithheldCritical { claim } => {
                write!(f, "`{}` narrows the pass and was withheld", claim.escape_debug())
            }
        }
    }
}

impl core::error::Error for RightsError {}

impl From<RightsError> for Rejection {
    /// A withheld claim is the holder's fault, everything else the issuer's.
    fn from(error: RightsError) -> Self {
        let message = alloc::format!("{error}");
        match error {
            RightsError::WithheldCritical { .. } | RightsError::Missing { .. } => {
                Self::holder("rights-withheld", message)
            }
            RightsError::UnknownCritical { .. } => Self::issuer("rights-critical", message),
            RightsError::Malformed { .. } | RightsError::TooMany { .. } => {
                Self::issuer("rights", message)
            }
        }
    }
}

#[cfg(test)]
mod tests;
