//! How many signatures a client may have: a bucket that fills evenly and holds a minute's worth.

use vocabulary::time::Instant;

/// Signatures per minute of a client for which nothing else is said.
pub const SIGNATURES_PER_MINUTE: u32 = 60_000;
/// Signatures per minute, at most.
pub const SIGNATURES_PER_MINUTE_MAX: u32 = 60_000_000;

const MINUTE_MICROS: u64 = 60_000_000;

/// The signatures that one client has left.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_minute: u64,
    /// In parts of a signature, of which a whole one has [`MINUTE_MICROS`].
    left: u64,
    filled_at: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(per_minute: u32, at: Instant) -> Self {
        let per_minute = u64::from(per_minute);
        Self { per_minute, left: per_minute * MINUTE_MICROS, filled_at: at }
    }

    /// Takes one signature.
    ///
    /// # Errors
    /// The number of seconds after which there is one, from 1.
    pub fn take(&mut self, at: Instant) -> Result<(), u32> {
        let passed = u64::try_from(at.duration_since(self.filled_at).as_micros());
        let gained = passed.unwrap_or(u64::MAX).saturating_mul(self.per_minute);
        self.left = self.left.saturating_add(gained).min(self.per_minute * MINUTE_MICROS);
        // A clock that was set back costs nobody what is in the bucket.
        self.filled_at = at;
        match self.left.checked_sub(MINUTE_MICROS) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                let micros = (MINUTE_MICROS - self.left).div_ceil(self.per_minute.max(1));
                Err(u32::try_from(micros.div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_its_signatures_and_not_one_more() {
        let at = |seconds: i64| Instant::from_unix_seconds(1_000 + seconds);
        let mut bucket = Bucket::new(3, at(0));
        for _ in 0..3 {
            assert_eq!(bucket.take(at(0)), Ok(()));
        }
        assert_eq!(bucket.take(at(0)), Err(20), "a third of a minute");
        assert_eq!(bucket.take(at(19)), Err(1));
        assert_eq!(bucket.take(at(20)), Ok(()));
        assert_eq!(bucket.take(at(20)), Err(20));
        assert_eq!(bucket.take(at(0)), Err(20), "the clock was set back");
        for _ in 0..3 {
            assert_eq!(bucket.take(at(1_000)), Ok(()));
        }
        assert_eq!(bucket.take(at(1_000)), Err(20), "no more than a minute's worth is kept");
    }
}
