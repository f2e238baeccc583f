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
use store::commit::{Change, CommitError};
use vocabulary::time::Instant;

use crate::city::facts::city;
use crate::city::uses::{Anchor, DEED};
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

/// Anchors the uses since the last anchor. What fails is logged, and tried again next time.
pub(super) async fn anchor(server: &Server, at: Instant) {
    let Some(service) = &server.key_service else { return };
    let mut progress = server.uses.lock().await;
    // Whatever fails: the next try begins at the newest anchor again.
    let read = read(server, service, progress.take(), at).await;
    match read {
        Ok(read) => *progress = Some(read),
        Err(error) => tracing::warn!(%error, "the uses of keys are not anchored"),
    }
}

async fn read(
    server: &Server,
    service: &Remote,
    progress: Option<Progress>,
    at: Instant,
) -> Result<Progress, AnchorFault> {
    let mut progress = match progress {
        Some(progress) => progress,
        None => begin(server, service).await?,
    };
    loop {
        let from = progress.head.entries();
        let (journal, entries, records) = service.uses(from).await?;
        if journal != *progress.head.journal() {
            tracing::error!("the key service has begun another journal of uses");
            return begin(server, service).await;
        }
        if entries < from {
            let text = format!("the journal of uses had `{from}` records and has `{entries}`");
            return Err(text.into());
        }
        if records.is_empty() {
            break;
        }
        let counts = &mut progress.counts;
        progress.head = verify_run(&progress.head, &records, |record| {
            let used = Use::of_payload(record.at, record.payload).ok();
            let purpose = used.and_then(|used| used.purpose).map_or("none", Purpose::as_str);
            *counts.entry(purpose.into()).or_default() += 1;
        })?;
    }
    let is_of_log = |purpose: &String| purpose == Purpose::Checkpoint.as_str();
    if progress.counts.keys().all(is_of_log) {
        return Ok(progress);
    }
    let anchor = Anchor {
        journal: hex(progress.head.journal()),
        first: progress.first,
        last: progress.head.entries().saturating_sub(1),
        head: progress.head.hash().to_base64(),
        counts: progress.counts,
    };
    let version = progress.version.saturating_add(1);
    let mut deed = worker_deed(city(), DEED, format!("uses {}-{}", anchor.first, anchor.last), at);
    // INVARIANT: texts and numbers always serialize.
    deed.more = serde_json::to_value(&anchor).ok();
    match server.attempt(deed, vec![Change::Setting(anchor.setting(version))], Vec::new()).await {
        Ok(_) => {}
        // Another server did it.
        Err(CommitError::Conflict(_)) => return begin(server, service).await,
        Err(error) => return Err(error.into()),
    }
    let first = progress.head.entries();
    Ok(Progress { first, head: progress.head, counts: BTreeMap::new(), version })
}

/// Where the newest anchor ends, or the beginning of the journal that the service has now.
async fn begin(server: &Server, service: &Remote) -> Result<Progress, AnchorFault> {
    let (anchor, version) = Anchor::newest(&server.store).await?;
    let (journal, _, _) = service.uses(u64::MAX).await?;
    let same = anchor.filter(|anchor| anchor.journal == hex(&journal));
    let (first, head) = match same.and_then(|it| Some((it.last.saturating_add(1), it.head()?))) {
        Some((first, hash)) => (first, Head::stored(journal, first, hash)),
        None => (0, Head::start(journal)),
    };
    Ok(Progress { first, head, counts: BTreeMap::new(), version })
}

/// The name of a journal as text.
pub(crate) fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}
