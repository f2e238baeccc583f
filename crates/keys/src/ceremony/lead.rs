//! Leading a ceremony: the steps in their order, each shown, confirmed, done and recorded.
//!
//! The record is kept in `TRANSCRIPT.partial` after every step. When somebody stops the ceremony all that
//! it made is taken back; when the machine stops, that file says how far it came, and [`discard`] takes
//! back the rest. Nothing is of use before the last step: the shares go out after the backup is written.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64ct::{Base64UrlUnpadded, Encoding};
use core::time::Duration;
use vocabulary::time::Instant;

use super::approval::PersonName;
use super::files;
use super::lead_error::{Cause, LeadError};
use super::plan::{Handover, Kind, Plan};
use super::room::{Room, Screen};
use super::seat::RootSeat;
use super::shares::CeremonyId;
use super::staff::Staff;
use super::transcript::verify::Verified;
use super::transcript::wire::Facts;
use super::transcript::{Event, Recorder, hex};
use crate::custody::{Custody, Key, State};
use crate::purpose::Purpose;

/// How long a custodian's signature may wait for the last one.
pub const APPROVAL_LIFE: Duration = Duration::from_secs(86_400);

/// What a ceremony needs besides people.
#[derive(Clone, Copy)]
pub struct Setting<'s> {
    /// The plan.
    pub plan: &'s Plan,
    /// The text of the plan, whose digest the transcript carries.
    pub plan_text: &'s str,
    /// Whether it is held for practice.
    pub rehearsal: bool,
    /// Name and version of the program.
    pub program: &'s str,
    /// Who will hold the root; no root may be there yet.
    pub root: &'s dyn RootSeat,
    /// Who holds the root that is replaced.
    pub old_root: Option<&'s dyn Custody>,
}

/// Holds the ceremony from the first step to the signatures.
///
/// # Errors
/// [`LeadError`] with what was left behind, if anything.
pub async fn lead(setting: &Setting<'_>, room: &mut dyn Room) -> Result<Verified, LeadError> {
    check_before(setting).await.map_err(|cause| LeadError::at(0, cause))?;
    let mut id = [0; 10];
    rand::fill(&mut id).map_err(|_| LeadError::at(0, Cause::Random))?;
    let id = CeremonyId::from_bytes(id);
    let recorder = Recorder::begin(id, setting.rehearsal);
    let mut lead =
        Lead { setting: *setting, room, recorder, id, steps: 0, last: None, staff: Vec::new() };
    match lead.all().await {
        Ok(verified) => Ok(verified),
        Err(cause) => {
            let mut left = discard(setting.plan, setting.root, lead.now()).await;
            // It was not there when we began; if it is now, writing it failed at the last moment.
            if let Err(error) = files::remove(&setting.plan.transcript) {
                left.push(error.to_string());
            }
            Err(LeadError { step: lead.steps + 1, cause, left })
        }
    }
}

/// Takes back what an unfinished ceremony made: the root key, the backup, the shares, the record.
/// Staff keys stay, they are the custodians' own. Returns what could not be taken back.
///
/// Only for a plan whose ceremony began and has not come to its end.
pub async fn discard(plan: &Plan, root: &dyn RootSeat, now: Instant) -> Vec<String> {
    let mut left = Vec::new();
    for key in root.keys().iter().filter(|key| key.purpose == Purpose::CityRoot) {
        let retired = root.set_state(&key.handle, State::Retired, now).await;
        if retired.is_err() || root.destroy(&key.handle).await.is_err() {
            left.push(format!("the root key `{}` in {}: destroy it", key.handle, root.held_by()));
        }
    }
    let shares = plan.custodians.iter().filter_map(|custodian| match &custodian.share {
        Handover::File(path) => Some(path.clone()),
        Handover::Screen => None,
    });
    // The record goes last, and only when nothing is left of which it tells.
    for path in shares.chain([plan.backup.clone()]) {
        if let Err(error) = files::remove(&path) {
            left.push(error.to_string());
        }
    }
    if left.is_empty()
        && let Err(error) = files::remove(&files::partial(&plan.transcript))
    {
        left.push(error.to_string());
    }
    left
}

async fn check_before(setting: &Setting<'_>) -> Result<(), Cause> {
    let plan = setting.plan;
    let partial = files::partial(&plan.transcript);
    if exists(&partial) {
        return Err(Cause::Unfinished { path: partial });
    }
    let shares = plan.custodians.iter().filter_map(|custodian| match &custodian.share {
        Handover::File(path) => Some(path),
        Handover::Screen => None,
    });
    for path in [&plan.transcript, &plan.backup].into_iter().chain(shares) {
        if exists(path) {
            return Err(Cause::InTheWay { path: path.clone() });
        }
    }
    if let Some(key) = setting.root.keys().iter().find(|key| key.purpose == Purpose::CityRoot) {
        return Err(Cause::RootThere { handle: key.handle, held_by: setting.root.held_by() });
    }
    if plan.kind == Kind::Renew {
        old_root(setting)?;
    }
    Ok(setting.root.check_ready().await?)
}

pub(super) fn old_root(setting: &Setting<'_>) -> Result<(Key, Vec<u8>), Cause> {
    let old = setting.old_root.and_then(|custody| custody.newest(Purpose::CityRoot, None));
    let old = old.ok_or(Cause::NoOldRoot)?;
    let certificate = old.certificate.as_deref().map(<[u8]>::to_vec).ok_or(Cause::NoOldRoot)?;
    Ok((old, certificate))
}

/// A broken link counts: something stands there.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

pub(super) struct Lead<'l> {
    pub(super) setting: Setting<'l>,
    pub(super) room: &'l mut dyn Room,
    pub(super) recorder: Recorder,
    pub(super) id: CeremonyId,
    steps: u32,
    last: Option<Instant>,
    pub(super) staff: Vec<Staff>,
}

/// What was on the screen when those present confirmed.
pub(super) struct Shown {
    text: String,
    present: Vec<PersonName>,
}

impl Lead<'_> {
    async fn all(&mut self) -> Result<Verified, Cause> {
        self.open()?;
        for custodian in &self.setting.plan.custodians {
            self.staff_key(custodian).await?;
        }
        let key = self.make_wrapping_key()?;
        let check_value = key.check_value()?;
        let root = self.make_root().await?;
        let root = self.certify(root).await?;
        if self.setting.plan.kind == Kind::Renew {
            self.link(&root).await?;
        }
        self.back_up(&root, &key, check_value).await?;
        let shares = self.split(&key)?;
        for (custodian, share) in self.setting.plan.custodians.iter().zip(shares) {
            self.hand_over(custodian, &share)?;
        }
        self.destroy(key, check_value)?;
        self.close()?;
        self.sign().await
    }

    pub(super) fn everybody(&self) -> Vec<PersonName> {
        self.setting.plan.custodians.iter().map(|custodian| custodian.name.clone()).collect()
    }

    pub(super) fn plan_digest(&self) -> String {
        sha256(self.setting.plan_text.as_bytes())
    }

    /// Now, never earlier than the step before, whatever the clock does meanwhile.
    pub(super) fn now(&mut self) -> Instant {
        let now = self.room.now();
        let now = self.last.map_or(now, |last| now.max(last));
        self.last = Some(now);
        now
    }

    pub(super) fn confirm(
        &mut self,
        title: &'static str,
        text: String,
        check: Vec<String>,
        present: Vec<PersonName>,
    ) -> Result<Shown, Cause> {
        let plan = self.setting.plan;
        let renewal = u32::from(plan.kind == Kind::Renew);
        let count = 7 + renewal + 2 * u32::from(plan.split.custodians());
        let screen = Screen { number: self.steps + 1, count, title, text, check, present };
        self.room.confirm(&screen)?;
        Ok(Shown { text: screen.to_string(), present: screen.present })
    }

    /// Records a step, once what it says is done.
    pub(super) fn record(&mut self, shown: Shown, result: &str, facts: Facts) -> Result<(), Cause> {
        let mut text = shown.text;
        if !result.is_empty() {
            self.room.tell(result);
            text.push('\n');
            text.push_str(result);
            text.push('\n');
        }
        let at = self.now();
        let event = Event { at, shown: &text, confirmed_by: &shown.present, facts };
        self.recorder.record(event);
        self.steps += 1;
        let partial = files::partial(&self.setting.plan.transcript);
        Ok(files::replace(&partial, &self.recorder.to_bytes())?)
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}
