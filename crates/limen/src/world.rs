//! The clock and the generator of this machine.

use std::time::{SystemTime, UNIX_EPOCH};

use vocabulary::time::Instant;

/// Now, by the clock of this machine.
pub(crate) fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
