//! How fast whatever is in the field must answer: a bound on a relay, by the class of the door.
//!
//! A tap that is carried to another place takes longer than one on the spot. A bound finds the slow
//! carrier and no other (SECURITY.md). What counts is the time from a command to its response as the
//! host measures it at the link, so that the reader's own work, its signature first of all, is not in
//! it; the time of the holder's hand is. Nothing counts after the answer: the decision is made then.

use alloc::format;
use core::time::Duration;

use credential::crypto::Crypto;
use credential::rejection::Rejection;
use vocabulary::code::PlaceCode;
use vocabulary::time::Instant;

use super::Engine;
use crate::table::{Door, ZoneClass};

/// How long the other end may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBound {
    /// For one response.
    pub apdu: Duration,
    /// For all responses of a tap together.
    pub total: Duration,
}

/// A bound for each class of door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBounds {
    /// For [`ZoneClass::Low`]: the holder may decide while the phone is in the field.
    pub low: TimeBound,
    /// For [`ZoneClass::Normal`]: the holder has decided before.
    pub normal: TimeBound,
    /// For [`ZoneClass::High`].
    pub high: TimeBound,
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

impl Default for TimeBounds {
    /// Low: 60 s and 120 s, which a session has anyway. Normal: 1 s and 3 s. High: 500 ms and 1.5 s;
    /// a phone with its keys in a chip needs about half of that for an identity tap.
    fn default() -> Self {
        let bound = |apdu, total| TimeBound {
            apdu: Duration::from_millis(apdu),
            total: Duration::from_millis(total),
        };
        Self { low: bound(60_000, 120_000), normal: bound(1_000, 3_000), high: bound(500, 1_500) }
    }
}

/// What the other end has taken in one tap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    bound: TimeBound,
    spent: Duration,
}

impl Pace {
    pub(super) const fn new(bound: TimeBound) -> Self {
        Self { bound, spent: Duration::ZERO }
    }

    /// Counts one response.
    pub(super) fn count(&mut self, took: Duration) -> Result<(), Rejection> {
        self.spent = self.spent.saturating_add(took);
        let TimeBound { apdu, total } = self.bound;
        if took > apdu {
            return Err(too_slow("a response", took, apdu));
        }
        if self.spent > total {
            return Err(too_slow("the tap", self.spent, total));
        }
        Ok(())
    }
}

impl Engine {
    /// The class of a door; the highest for one that the bundle does not know.
    pub(super) fn class(&self, door: &PlaceCode) -> ZoneClass {
        let table = self.bundle.as_ref().map(|bundle| &bundle.bundle().table);
        table.and_then(|table| table.door(door)).map_or(ZoneClass::High, Door::class)
    }

    pub(super) fn response(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        bytes: &[u8],
        took: Duration,
    ) {
        if let Some(tap) = &mut self.tap {
            tap.response(crypto, now, bytes, took);
            self.drain(crypto, now);
        }
    }
}

fn too_slow(what: &str, took: Duration, allowed: Duration) -> Rejection {
    let (took, allowed) = (took.as_millis(), allowed.as_millis());
    Rejection::wire("too-slow", format!("{what} took {took} ms; {allowed} ms are allowed here"))
}
