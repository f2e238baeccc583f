//! What taps must prove at the doors of the city, and how fast: set by the city, told to every reader.

use ::reader::taps::Taps;
use policy::action::Action;
use policy::authorize::Permit;

use crate::change::Change;
use crate::refusal::Refusal;

/// What the city has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapSettings {
    /// By class of door.
    pub taps: Taps,
    /// Counts the writes, from 1.
    pub version: u32,
}

/// Sets what holds at every door of the city from each reader's next bundle on; `stored` is what was set
/// before, if anything was.
///
/// # Errors
/// [`Refusal::Taps`] for a value past its limit, [`Refusal::Permit`] for a wrong permit.
pub fn set_taps(
    permit: &Permit,
    stored: Option<&TapSettings>,
    taps: Taps,
) -> Result<Change, Refusal> {
    permit.covers(Action::TapsSet, permit.operator())?;
    taps.check().map_err(Refusal::Taps)?;
    let version = stored.map_or(1, |before| before.version.saturating_add(1));
    Ok(Change::SetTaps(TapSettings { taps, version }))
}
