//! When a reader is without a network, and when others ask the city.

use crate::random::Stream;
use crate::scenario::{DAY, HOUR, Minute, Outage, Scenario};

/// The outages of one reader, in order: from the first minute to the one before the second.
pub(crate) fn outages(law: &Outage, end: Minute, random: &mut Stream) -> Vec<(Minute, Minute)> {
    let mean_online = law.mean_all() * (1.0 - law.offline_share) / law.offline_share;
    let mut found = Vec::new();
    // The fleet is met in the middle of its life: who is offline at the start is left to chance.
    let mut is_offline = random.unit() < law.offline_share;
    let mut at = 0;
    while at < end {
        let hours = if is_offline { law.draw(random) } else { exponential(mean_online, random) };
        let until = at + minutes(hours);
        if is_offline {
            found.push((at, until.min(end)));
        }
        (at, is_offline) = (until, !is_offline);
    }
    found
}

impl Outage {
    fn draw(&self, random: &mut Stream) -> f64 {
        if random.unit() >= self.tail_share {
            return exponential(self.mean_hours, random).min(self.tail_max_hours);
        }
        // Pareto between two bounds, by the inverse of its distribution.
        let (low, high, exponent) = (self.tail_min_hours, self.tail_max_hours, self.tail_exponent);
        let beyond = (low / high).powf(exponent);
        low / (1.0 - random.unit() * (1.0 - beyond)).powf(1.0 / exponent)
    }

    /// The mean of all outages, in hours.
    fn mean_all(&self) -> f64 {
        let (low, high, exponent) = (self.tail_min_hours, self.tail_max_hours, self.tail_exponent);
        let scale = low.powf(exponent) / (1.0 - (low / high).powf(exponent));
        let spread = low.powf(1.0 - exponent) - high.powf(1.0 - exponent);
        let tail = scale * exponent / (exponent - 1.0) * spread;
        (1.0 - self.tail_share).mul_add(self.mean_hours, self.tail_share * tail)
    }
}

fn exponential(mean: f64, random: &mut Stream) -> f64 {
    -mean * (1.0 - random.unit()).ln()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "hours of a simulation are few, and never negative"
)]
fn minutes(hours: f64) -> Minute {
    ((hours * f64::from(HOUR)) as Minute).max(1)
}

/// When a client with a rhythm of its own last fetched the city's trust.
pub(crate) fn last_fetch(
    scenario: &Scenario,
    seed: u64,
    label: &str,
    number: u64,
    at: Minute,
) -> Minute {
    let mut random = Stream::new(seed, label, number);
    let every = DAY * (1 + within(&mut random, scenario.trust_days_max));
    let phase = within(&mut random, every);
    if at < phase { 0 } else { phase + (at - phase) / every * every }
}

/// A minute below `span`.
pub(crate) fn within(random: &mut Stream, span: Minute) -> Minute {
    Minute::try_from(random.below(span.into())).unwrap_or(0)
}
