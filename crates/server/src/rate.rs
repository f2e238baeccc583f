//! How many requests a token, a reader or an address may send per minute.
//!
//! A bucket per caller fills steadily and is emptied by one per request. A bucket that was left
//! alone for a minute is full and says nothing, so buckets live in two generations: those of this
//! minute, and those of the minute before, which are forgotten together. No request pays for more
//! than its own bucket. When a generation is full before its minute is over, the next begins:
//! whoever has that many addresses is not held by a limit for each of them, and nobody else is shut
//! out for it.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use vocabulary::time::Instant;

/// Callers that are remembered in one generation.
pub const CALLERS_MAX: usize = 65_536;
/// After what time an untouched bucket is full.
const MINUTE: Duration = Duration::from_secs(60);
/// The bits of an IPv6 address by which its host is known; it chooses the others as it likes.
const HOST_BITS: u32 = 64;

/// The buckets of all callers.
pub struct RateLimit<K> {
    per_minute: u32,
    buckets: Mutex<Buckets<K>>,
}

struct Buckets<K> {
    since: Instant,
    young: HashMap<K, Bucket>,
    old: HashMap<K, Bucket>,
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
        let (young, old) = (HashMap::new(), HashMap::new());
        let buckets = Buckets { since: Instant::UNIX_EPOCH, young, old };
        Self { per_minute, buckets: Mutex::new(buckets) }
    }

    /// Counts a request of `caller`, or says that it is one too many.
    pub fn admit(&self, caller: K, now: Instant) -> Admission {
        let capacity = f64::from(self.per_minute);
        let mut buckets = self.buckets();
        let bucket = buckets.get(&caller);
        let bucket = bucket.unwrap_or(Bucket { tokens: capacity, filled_at: now });
        let level = bucket.level(now, capacity);
        let admission = Admission::at(level);
        let tokens = if admission == Admission::Admitted { level - 1.0 } else { level };
        let filled_at = now.max(bucket.filled_at);
        buckets.put(caller, Bucket { tokens, filled_at }, now);
        admission
    }

    /// What [`Self::admit`] would say, without counting.
    pub fn would_admit(&self, caller: &K, now: Instant) -> Admission {
        let capacity = f64::from(self.per_minute);
        let bucket = self.buckets().get(caller);
        Admission::at(bucket.map_or(capacity, |bucket| bucket.level(now, capacity)))
    }

    fn buckets(&self) -> MutexGuard<'_, Buckets<K>> {
        // A poisoned lock still guards tables of numbers that make sense.
        self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Buckets<K> {
    fn get(&self, caller: &K) -> Option<Bucket> {
        self.young.get(caller).or_else(|| self.old.get(caller)).copied()
    }

    fn put(&mut self, caller: K, bucket: Bucket, now: Instant) {
        let is_over = now.duration_since(self.since) >= MINUTE;
        let is_full = self.young.len() >= CALLERS_MAX && !self.young.contains_key(&caller);
        if is_over || is_full {
            self.old = std::mem::take(&mut self.young);
            self.since = now;
        }
        self.young.insert(caller, bucket);
    }
}

/// Where a request comes from, as far as one host can be told from another: an IPv4 address, or
/// the first half of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    /// The origin of `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                let network = address.to_bits() >> HOST_BITS << HOST_BITS;
                Self(Ipv6Addr::from_bits(network).into())
            }
            address => Self(address),
        }
    }

    /// Whether it is this machine, hence often a proxy behind which stand many.
    #[must_use]
    pub const fn is_loopback(self) -> bool {
        self.0.is_loopback()
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

impl Admission {
    fn at(level: f64) -> Self {
        if level >= 1.0 { Self::Admitted } else { Self::Refused }
    }
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
    fn asking_first_counts_nothing() {
        let limit = RateLimit::new(1);
        for _ in 0..3 {
            assert_eq!(limit.would_admit(&"caller", at(0)), Admission::Admitted);
        }
        limit.admit("caller", at(0));
        assert_eq!(limit.would_admit(&"caller", at(0)), Admission::Refused);
        assert_eq!(limit.would_admit(&"caller", at(60)), Admission::Admitted);
    }

    #[test]
    fn nothing_is_forgotten_within_a_minute() {
        let limit = RateLimit::new(1);
        limit.admit("early", at(0));
        for second in 1..60 {
            limit.admit("late", at(second));
            assert_eq!(limit.would_admit(&"early", at(second)), Admission::Refused, "{second}");
        }
    }

    #[test]
    fn crowd_shuts_nobody_out_and_the_tables_stay_bounded() {
        let limit = RateLimit::new(1);
        for caller in 0..CALLERS_MAX {
            assert_eq!(limit.admit(caller, at(0)), Admission::Admitted);
        }
        assert_eq!(limit.admit(CALLERS_MAX, at(0)), Admission::Admitted, "one past the limit");
        assert_eq!(limit.admit(0, at(0)), Admission::Refused, "the generation before counts");
        for caller in 0..3 * CALLERS_MAX {
            limit.admit(caller, at(1));
        }
        let buckets = limit.buckets();
        assert!(buckets.young.len() <= CALLERS_MAX && buckets.old.len() <= CALLERS_MAX);
    }

    #[test]
    fn half_of_an_ipv6_address_is_its_host() {
        let origin = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(origin("2001:db8:1:2::1"), origin("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(origin("2001:db8:1:2::1"), origin("2001:db8:1:3::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("::ffff:192.0.2.1"), origin("::ffff:192.0.2.2"));
        assert!(origin("::1").is_loopback() && origin("127.0.0.1").is_loopback());
        assert!(!origin("::2").is_loopback());
    }
}
