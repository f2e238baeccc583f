//! Anchoring the key service's journal of uses in the log of the city.
//!
//! An entry is made whenever there are uses of other keys than the log's own: those follow every entry,
//! and the log would never rest.

use std::collections::BTreeMap;
use std::error::Error;

use audit::journal::{Head, verify_run};
use keys::purpose::Purpose;
use keys::remote::Remote;
use keys::service::uses::Use;
use serde_json::json;
use store::commit::{Change, CommitError};
use vocabulary::time::Instant;

use crate::city::facts::city;
use crate::city::uses::{Anchor, BROKEN, Break, DEED, check, hex};
use crate::server::{Server, worker_deed};

/// Why there is no anchor, for the log of the server.
type AnchorFault = Box<dyn Error + Send + Sync>;

/// How far the journal was read, and what was found behind the newest anchor.
pub(crate) struct Progress {
    first: u64,
    head: Head,
    counts: BTreeMap<String, u64>,
    /// The version of the setting that holds the newest anchor.
    version: u32,
}

/// Anchors the uses since the last anchor. What fails is logged, and tried again next time; a journal that
/// is not what it was stands in the log as well.
pub(super) async fn anchor(server: &Server, at: Instant) {
    let Some(service) = &server.key_service else { return };
    let mut progress = server.uses.lock().await;
    if let Err(error) = anchor_news(server, service, &mut progress, at).await {
        match error.downcast::<Break>() {
            Ok(found) => {
                // What is to be held against the journal from now on is the newest anchor.
                *progress = None;
                tell(server, *found, at).await;
            }
            Err(error) => tracing::warn!(%error, "the uses of keys are not anchored"),
        }
    }
}

/// Tells of a break, once: in both logs, and to whoever asks for readiness.
async fn tell(server: &Server, found: Break, at: Instant) {
    if !server.findings.add_break(&found) {
        return;
    }
    tracing::error!(%found, "somebody has changed the journal of uses");
    let mut deed = worker_deed(city(), BROKEN, "uses".into(), at);
    deed.more = Some(json!({ "found": found.to_string() }));
    if let Err(error) = server.attempt(deed, Vec::new(), Vec::new()).await {
        tracing::error!(%error, "it is not recorded");
    }
}

async fn anchor_news(
    server: &Server,
    service: &Remote,
    progress: &mut Option<Progress>,
    at: Instant,
) -> Result<(), AnchorFault> {
    let known = match progress {
        Some(progress) => progress,
        None => progress.insert(begin(server, service, at).await?),
    };
    read(service, known).await?;
    let is_of_log = |purpose: &String| purpose == Purpose::Checkpoint.as_str();
    if known.counts.keys().all(is_of_log) {
        return Ok(());
    }
    let anchor = Anchor {
        journal: hex(known.head.journal()),
        first: known.first,
        last: known.head.entries().saturating_sub(1),
        head: known.head.hash().to_base64(),
        counts: known.counts.clone(),
    };
    let version = known.version.saturating_add(1);
    let mut deed = worker_deed(city(), DEED, format!("uses {}-{}", anchor.first, anchor.last), at);
    // INVARIANT: texts and numbers always serialize.
    deed.more = serde_json::to_value(&anchor).ok();
    match server.attempt(deed, vec![Change::Setting(anchor.setting(version))], Vec::new()).await {
        Ok(_) => {
            let (first, counts) = (known.head.entries(), BTreeMap::new());
            *known = Progress { first, head: known.head, counts, version };
        }
        // Another server did it.
        Err(CommitError::Conflict(_)) => *known = begin(server, service, at).await?,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Reads on to the end of the journal.
async fn read(service: &Remote, known: &mut Progress) -> Result<(), AnchorFault> {
    loop {
        let from = known.head.entries();
        let (journal, entries, records) = service.uses(from).await?;
        if journal != *known.head.journal() {
            return Err(Break::Another { anchored: hex(known.head.journal()) }.into());
        }
        if entries < from || (entries > from && records.is_empty()) {
            return Err(Break::Shorter { known: entries.max(from) }.into());
        }
        if records.is_empty() {
            return Ok(());
        }
        let counts = &mut known.counts;
        let read = verify_run(&known.head, &records, |record| {
            let used = Use::of_payload(record.at, record.payload).ok();
            let purpose = used.and_then(|used| used.purpose).map_or("none", Purpose::as_str);
            *counts.entry(purpose.into()).or_default() += 1;
        });
        known.head = read.map_err(|_| Break::Forked { record: from.saturating_sub(1) })?;
    }
}

/// Where the newest anchor ends, or the beginning of the journal that the service has now.
async fn begin(server: &Server, service: &Remote, at: Instant) -> Result<Progress, AnchorFault> {
    let (anchor, version) = Anchor::newest(&server.store).await?;
    let checked = match &anchor {
        Some(anchor) => check(anchor, service).await?,
        None => Ok(Head::start(service.uses(u64::MAX).await?.0)),
    };
    let head = match checked {
        Ok(head) => head,
        Err(found @ Break::Another { .. }) => {
            // It is anchored from its beginning.
            tell(server, found, at).await;
            Head::start(service.uses(u64::MAX).await?.0)
        }
        Err(found) => return Err(found.into()),
    };
    Ok(Progress { first: head.entries(), head, counts: BTreeMap::new(), version })
}

#[cfg(test)]
mod tests;
