//! How many requests a token, or an address without one, may send per minute.
//!
//! A bucket per caller fills steadily and is emptied by one per request. The table is bounded:
//! full buckets are forgotten first, since they say nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

use vocabulary::time::Instant;

/// Callers that are remembered at a time.
pub const CALLERS_MAX: usize = 65_536;

/// The buckets of all callers.
pub struct RateLimit<K> {
    per_minute: u32,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl<K: Eq + Hash> RateLimit<K> {
    /// Every caller may send `per_minute` requests a minute, and as many at once after a pause.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, buckets: Mutex::new(HashMap::new()) }
    }

    /// Counts a request of `caller`, or says that it is one too many.
    pub fn admit(&self, caller: K, now: Instant) -> Admission {
        let capacity = f64::from(self.per_minute);
        // A poisoned lock still guards a table of numbers that make sense.
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if buckets.len() >= CALLERS_MAX && !buckets.contains_key(&caller) {
            buckets.retain(|_, bucket| bucket.level(now, capacity) < capacity);
            if buckets.len() >= CALLERS_MAX {
                return Admission::Refused;
            }
        }
        let bucket = buckets.entry(caller).or_insert(Bucket { tokens: capacity, filled_at: now });
        let level = bucket.level(now, capacity);
        let admitted = level >= 1.0;
        let tokens = if admitted { level - 1.0 } else { level };
        *bucket = Bucket { tokens, filled_at: now.max(bucket.filled_at) };
        if admitted { Admission::Admitted } else { Admission::Refused }
    }
}

/// Whether a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Admitted,
    /// It is one too many; the caller may try again later.
    Refused,
}

impl Bucket {
    fn level(self, now: Instant, capacity: f64) -> f64 {
        let elapsed = now.duration_since(self.filled_at).as_secs_f64();
        (self.tokens + elapsed * capacity / 60.0).min(capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_unix_seconds(seconds)
    }

    #[test]
    fn one_past_the_limit_is_refused_and_time_heals() {
        let limit = RateLimit::new(60);
        for _ in 0..60 {
            assert_eq!(limit.admit("caller", at(0)), Admission::Admitted);
        }
        assert_eq!(limit.admit("caller", at(0)), Admission::Refused);
        assert_eq!(limit.admit("another", at(0)), Admission::Admitted);
        assert_eq!(limit.admit("caller", at(1)), Admission::Admitted);
        assert_eq!(limit.admit("caller", at(1)), Admission::Refused);
    }

    #[test]
    fn a_clock_that_runs_back_gives_nothing_away() {
        let limit = RateLimit::new(1);
        assert_eq!(limit.admit("caller", at(100)), Admission::Admitted);
        assert_eq!(limit.admit("caller", at(0)), Admission::Refused);
        assert_eq!(limit.admit("caller", at(101)), Admission::Refused);
    }

    #[test]
    fn the_table_of_callers_is_bounded() {
        let limit = RateLimit::new(2);
        for caller in 0..CALLERS_MAX {
            assert_eq!(limit.admit(caller, at(0)), Admission::Admitted);
        }
        assert_eq!(limit.admit(CALLERS_MAX, at(0)), Admission::Refused);
        assert_eq!(limit.admit(CALLERS_MAX, at(60)), Admission::Admitted);
    }
}
