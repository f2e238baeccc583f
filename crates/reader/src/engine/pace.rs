//! How fast whatever is in the field must answer: a bound on a relay, by the class of the door.
//!
//! A tap that is carried to another place takes longer than one on the spot. A bound finds the slow
//! carrier and no other (SECURITY.md). What counts is the time from a command to its response as the
//! host measures it at the link, so that the reader's own work, its signature first of all, is not in
//! it; the time of the holder's hand is. Nothing counts after the answer: the decision is made then.

use alloc::format;
use core::time::Duration;

use credential::rejection::Rejection;

use crate::taps::TimeBound;

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

fn too_slow(what: &str, took: Duration, allowed: Duration) -> Rejection {
    let (took, allowed) = (took.as_millis(), allowed.as_millis());
    Rejection::wire("too-slow", format!("{what} took {took} ms; {allowed} ms are allowed here"))
}
