//! Whether the clock of the machine is believed: what follows from the time alone cannot be taken back.
//!
//! A clock that jumps would have keys destroyed that are in use and others sign before anybody knows
//! them. So the city notes a time in its log each day, and what stands further past it than a server may
//! be off, or before it, is not believed until a person has confirmed the date. Deeds that such a clock
//! dates wrongly prove nothing: what counts is the note, which is made only while the clock is believed.

use std::fmt;
use std::time::Duration;

use keys::rotation::lives::BUNDLE_LIFE_DEFAULT;
use serde::{Deserialize, Serialize};
use store::commit::{Change, CommitError, Setting};
use store::store::Store;
use vocabulary::time::Instant;

use super::ceremony::{CeremonyError, Registry, host_deed};
use super::facts::city;
use crate::config::Config;
use crate::server::{Server, open_store, worker_deed};
use crate::start::StartError;

/// How far past its newest note a city believes its clock. A server that was off for longer finds no
/// reader with a bundle in force: a person has to see to it anyway.
pub const SILENCE_MAX: Duration = BUNDLE_LIFE_DEFAULT;
/// How old the note may be before another is made.
const NOTE_LIFE: Duration = Duration::from_secs(86_400);
/// The setting of the city's own operator that holds the note.
const SETTING: &str = "clock";
/// Deeds that make a note: of the server, and of a person.
const NOTE: &str = "clock.note";
const CONFIRM: &str = "clock.confirm";

/// Why a clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What the clock says.
    pub clock: Instant,
    /// The newest time that the city noted.
    pub noted: Instant,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (clock, noted) = (self.clock.floor_to_second(), self.noted.floor_to_second());
        let side = if self.clock < self.noted { "before" } else { "too far past" };
        write!(
            f,
            "the clock says {clock}, {side} the newest time in the log, {noted}: no key moves on and \
             nothing ends until it is set right, or confirmed with `limen key confirm-clock DATE`"
        )
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    noted: String,
}

/// The note of a city at `at`.
pub(super) fn note(at: Instant, version: u32) -> Setting {
    // INVARIANT: a text always serializes.
    let value = serde_json::to_vec(&Stored { noted: at.to_string() }).unwrap_or_default();
    Setting { name: SETTING.into(), value, version }
}

/// The newest time that the city noted, and the version of the setting; of a city that never did, that
/// of the newest entry in its log.
async fn noted(store: &Store) -> Result<(Option<Instant>, u32), StartError> {
    let Some(setting) = store.for_operator(&city()).setting(SETTING).await? else {
        return Ok((store.city().newest_entry().await?.map(|entry| entry.at), 0));
    };
    let stored: Option<Stored> = serde_json::from_slice(&setting.value).ok();
    Ok((stored.and_then(|stored| Instant::parse_rfc3339(&stored.noted).ok()), setting.version))
}

fn judge(noted: Option<Instant>, clock: Instant) -> Option<Doubt> {
    let noted = noted?;
    let is_believed = noted <= clock && clock <= noted.saturating_add(SILENCE_MAX);
    (!is_believed).then_some(Doubt { clock, noted })
}

/// Whether the clock is believed at `at`; notes the time where it is. A doubt is logged once.
pub(crate) async fn is_believed(server: &Server, at: Instant) -> bool {
    let doubt = match noted(&server.store).await {
        Ok((noted, version)) => match judge(noted, at) {
            None => {
                let is_old = |noted: Instant| noted.saturating_add(NOTE_LIFE) <= at;
                if version == 0 || noted.is_none_or(is_old) {
                    keep(server, at, version).await;
                }
                None
            }
            doubt => doubt,
        },
        Err(error) => {
            tracing::error!(%error, "the newest time in the log cannot be read");
            return false;
        }
    };
    if server.findings.set_clock(doubt)
        && let Some(doubt) = doubt
    {
        tracing::error!(%doubt, "the clock is not believed");
    }
    doubt.is_none()
}

async fn keep(server: &Server, at: Instant, version: u32) {
    let deed = worker_deed(city(), NOTE, at.to_string(), at);
    let change = Change::Setting(note(at, version.saturating_add(1)));
    match server.attempt(deed, vec![change], Vec::new()).await {
        // Another server did it.
        Ok(_) | Err(CommitError::Conflict(_)) => {}
        Err(error) => tracing::warn!(%error, "the time is not noted"),
    }
}

/// Why the city that `config` names would not believe its clock now, if so.
///
/// # Errors
/// [`StartError`].
pub async fn doubt(config: &Config, now: Instant) -> Result<Option<Doubt>, StartError> {
    let (noted, _) = noted(&open_store(&config.store.data)?).await?;
    Ok(judge(noted, now))
}

/// Notes the time of the machine, which a person has confirmed. A server that runs goes by it within the
/// hour.
///
/// # Errors
/// [`CeremonyError`].
pub async fn confirm(config: &Config, now: Instant) -> Result<(), CeremonyError> {
    let registry = Registry::open(config)?;
    let (_, version) = noted(&registry.store).await?;
    let change = Change::Setting(note(now, version.saturating_add(1)));
    registry.record(host_deed(city(), CONFIRM, now.to_string(), now), vec![change]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_is_believed_from_the_note_on_and_for_as_long_as_a_server_may_be_off() {
        let noted = Instant::from_unix_seconds(1_800_000_000);
        let after = |span| noted.saturating_add(span);
        let second = Duration::from_secs(1);
        for (clock, is_believed) in [
            (noted.saturating_sub(second), false),
            (noted, true),
            (after(SILENCE_MAX), true),
            (after(SILENCE_MAX + second), false),
        ] {
            assert_eq!(judge(Some(noted), clock).is_none(), is_believed, "{clock}");
        }
        assert_eq!(judge(None, noted), None, "a city without a log has nothing to lose");
    }
}
