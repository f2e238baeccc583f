//! What is simulated: a file in TOML, with every number in it.

use core::fmt;

use serde::Deserialize;
use vocabulary::time::Instant;

/// Minutes since the beginning of a simulation.
pub(crate) type Minute = u32;

pub(crate) const HOUR: Minute = 60;
pub(crate) const DAY: Minute = 24 * HOUR;

/// The scenarios that come along, by name.
pub const SCENARIOS: [(&str, &str); 1] =
    [("rotate-all", include_str!("../scenarios/rotate-all.toml"))];

/// Readers of one run.
pub const READERS_MAX: u32 = 100_000;
/// Days of one run.
pub const DAYS_MAX: u32 = 400;

/// The noon at which virtual time begins.
const START: Instant = Instant::from_unix_seconds(1_798_761_600);

/// A scenario; `scenarios/rotate-all.toml` explains each number.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "the scenario's own file says what each is, with its unit in the name"
)]
pub struct Scenario {
    pub name: String,
    pub operators: u32,
    pub readers: u32,
    pub wallets: u32,
    pub auditors: u32,
    pub trust_days_max: u32,
    pub warm_up_days: u32,
    pub days: u32,
    pub sync_hours: u32,
    pub taps_per_day: u32,
    pub bundle_life_days: u32,
    pub document_life_days: u32,
    pub sampled_share: f64,
    pub outage: Outage,
}

/// The law of outages.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "the scenario's own file says what each is, with its unit in the name"
)]
pub struct Outage {
    pub offline_share: f64,
    pub mean_hours: f64,
    pub tail_share: f64,
    pub tail_min_hours: f64,
    pub tail_max_hours: f64,
    pub tail_exponent: f64,
}

impl Scenario {
    /// The scenario of this name.
    ///
    /// # Errors
    /// [`ScenarioError`].
    pub fn named(name: &str) -> Result<Self, ScenarioError> {
        let found = SCENARIOS.iter().find(|(known, _)| *known == name);
        let (_, text) = found.ok_or_else(|| ScenarioError::Unknown(name.to_owned()))?;
        Self::parse(text)
    }

    /// Reads a scenario.
    ///
    /// # Errors
    /// [`ScenarioError`] for a text that is none, or a number out of its range.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(ScenarioError::Form)?;
        let within = [
            (1..=READERS_MAX).contains(&scenario.readers),
            (1..=DAYS_MAX).contains(&scenario.days),
            scenario.warm_up_days < scenario.days,
            (1..=16).contains(&scenario.operators),
            (1..=1_000_000).contains(&scenario.wallets),
            (1..=10_000).contains(&scenario.auditors),
            (1..=90).contains(&scenario.trust_days_max),
            (1..=24 * 7).contains(&scenario.sync_hours),
            (1..=48).contains(&scenario.taps_per_day),
            (1..=30).contains(&scenario.bundle_life_days),
            (1..=60).contains(&scenario.document_life_days),
            (0.01..=1.0).contains(&scenario.sampled_share),
            (0.01..=0.9).contains(&scenario.outage.offline_share),
            scenario.outage.mean_hours > 0.0,
            (0.0..=1.0).contains(&scenario.outage.tail_share),
            scenario.outage.tail_min_hours > 0.0,
            scenario.outage.tail_max_hours > scenario.outage.tail_min_hours,
            scenario.outage.tail_exponent > 1.0,
        ];
        match within.iter().position(|is| !is) {
            None => Ok(scenario),
            Some(number) => Err(ScenarioError::Range { number: number + 1 }),
        }
    }

    pub(crate) const fn end(&self) -> Minute {
        self.days * DAY
    }

    pub(crate) const fn rotation_at(&self) -> Minute {
        self.warm_up_days * DAY
    }
}

/// The instant of a minute.
pub(crate) fn instant(at: Minute) -> Instant {
    START.saturating_add(core::time::Duration::from_secs(60 * u64::from(at)))
}

/// The minute of an instant that is not before the beginning.
pub(crate) fn minute_of(at: Instant) -> Minute {
    let minutes = at.duration_since(START).as_secs() / 60;
    Minute::try_from(minutes).unwrap_or(Minute::MAX)
}

/// Why there is no scenario.
#[derive(Debug)]
pub enum ScenarioError {
    /// There is none of this name.
    Unknown(String),
    /// The text is not a scenario.
    Form(toml::de::Error),
    /// A number is out of its range.
    Range {
        /// Which rule, from 1, in the order of the file.
        number: usize,
    },
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(f, "find scenario: there is no `{name}`; there is")?;
                SCENARIOS.iter().try_for_each(|(known, _)| write!(f, " `{known}`"))
            }
            Self::Form(error) => write!(f, "read scenario: {error}"),
            Self::Range { number } => {
                write!(f, "read scenario: a number is out of its range (rule {number})")
            }
        }
    }
}

impl core::error::Error for ScenarioError {}
