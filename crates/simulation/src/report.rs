//! What a run found, as one value that two runs of the same seed give to the byte.

use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use serde::Serialize;

use crate::city::History;
use crate::record::{Counts, Level, Tally};
use crate::scenario::{DAY, Minute, Scenario, instant};

/// What a run found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The name of the scenario.
    pub scenario: String,
    /// From which everything followed.
    pub seed: u64,
    /// How many readers there were.
    pub readers: u32,
    /// The share of time that they were offline, as it came out.
    pub offline_share: f64,
    /// Taps with a good document, over all.
    pub taps: u64,
    /// One for each level of keys.
    pub levels: Vec<LevelReport>,
    /// Taps, bundles, lists and checkpoints that should have been believed and were not, over all levels.
    pub wrong_denials: u64,
    /// Taps at readers that were offline beyond the life of their bundle: refused by the written rule.
    pub refused_expired_bundle: u64,
    /// The share of bundles that were signed and verified with real cryptography.
    pub sampled_crypto_share: f64,
    /// SHA-256 over everything before it, in hexadecimal.
    pub digest: String,
}

/// What became of one level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LevelReport {
    /// Its name.
    pub level: String,
    /// When its successor was made and published.
    pub started: String,
    /// When the successor signed first; of several operators, the last one's.
    pub first_use: Option<String>,
    /// When the old key signed no more; of several operators, the last one's.
    pub retired: Option<String>,
    /// From the start until the last who believed the old key did so no more; nothing while somebody
    /// does.
    pub dead_after_hours: Option<u32>,
    /// Of this level.
    pub wrong_denials: u64,
    /// The share of those who can believe the old key that still did, at the end of each day from
    /// the start until nobody does.
    pub believed_share_by_day: Vec<f64>,
}

impl Report {
    pub(crate) fn of(scenario: &Scenario, seed: u64, history: &History, tally: &Tally) -> Self {
        let began = scenario.rotation_at();
        let levels: Vec<LevelReport> = Level::ALL
            .into_iter()
            .map(|level| {
                let (counts, times) = (tally.of(level), history.times(level));
                let text = |at: Option<Minute>| at.map(|at| instant(at).to_string());
                LevelReport {
                    level: level.as_str().to_owned(),
                    started: instant(began).to_string(),
                    first_use: match level {
                        // A reader renews by itself at its next word with the city.
                        Level::ReaderCertificate => text(Some(began)),
                        _ => text(times.first_use),
                    },
                    retired: text(times.retired),
                    dead_after_hours: dead_after_hours(&counts, began),
                    wrong_denials: counts.wrong_denials,
                    believed_share_by_day: shares(&counts, began, scenario.end()),
                }
            })
            .collect();
        let report = Self {
            scenario: scenario.name.clone(),
            seed,
            readers: scenario.readers,
            offline_share: share(tally.offline_minutes, tally.minutes),
            taps: tally.taps,
            wrong_denials: levels.iter().map(|level| level.wrong_denials).sum(),
            levels,
            refused_expired_bundle: tally.refused_expired,
            sampled_crypto_share: share(tally.bundles_sampled, tally.bundles),
            digest: String::new(),
        };
        // INVARIANT: a struct of texts and numbers always serializes.
        let bytes = serde_json::to_vec(&report).unwrap_or_default();
        let digest = AwsLc.sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { digest, ..report }
    }
}

fn dead_after_hours(counts: &Counts, began: Minute) -> Option<u32> {
    if counts.alive > 0 {
        return None;
    }
    let last = counts.believed_until.iter().max()?;
    Some(last.saturating_sub(began).div_ceil(60))
}

fn shares(counts: &Counts, began: Minute, end: Minute) -> Vec<f64> {
    let all = counts.believed_until.len() + counts.alive as usize;
    let mut shares = Vec::new();
    let mut at = began + DAY;
    while at < end {
        let later = counts.believed_until.iter().filter(|until| **until > at).count();
        let left = later + counts.alive as usize;
        shares.push(share(left as u64, all as u64));
        if left == 0 {
            break;
        }
        at += DAY;
    }
    shares
}

/// A ratio with four digits, so that it reads the same everywhere.
#[allow(clippy::cast_precision_loss, reason = "counts of a simulation are far below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 10_000.0).round() / 10_000.0 }
}
