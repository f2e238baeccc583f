//! What the city's log says of the key service's journal of uses: anchors, which nobody can take back.
//!
//! Each anchor names a record of the journal by number and by the hash of the chain after it. Who
//! changes the journal later, or cuts it, contradicts the log.

use std::collections::BTreeMap;
use std::fmt;

use audit::entry::{Commitment, CommitmentKey};
use audit::hash::Hash;
use audit::journal::{Head, split_record, verify_run};
use keys::custody::SignError;
use keys::remote::Remote;
use serde::{Deserialize, Serialize};
use store::commit::Setting;
use store::page::Page;
use store::store::Store;

use super::facts::city;
use crate::config::Config;
use crate::server::open_store;
use crate::start::StartError;

/// The kind of the entry in the log.
pub(crate) const KIND: &str = "key-uses";
/// The deed that the entry records.
pub(crate) const DEED: &str = "key.uses";
/// The deed that tells of a [`Break`].
pub(crate) const BROKEN: &str = "key.uses-broken";
/// The setting of the city's own operator that holds the newest anchor.
const SETTING: &str = "key-uses";

/// A stretch of the journal, up to a record that the log knows the hash after.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Anchor {
    /// The name of the journal, 32 hexadecimal digits.
    pub journal: String,
    /// Number of the first record.
    pub first: u64,
    /// Number of the last record.
    pub last: u64,
    /// The hash after the last record, base64.
    pub head: String,
    /// How many records there are of keys of each purpose.
    pub counts: BTreeMap<String, u64>,
}

impl Anchor {
    /// The hash after the last record.
    #[must_use]
    pub fn head(&self) -> Option<Hash> {
        Hash::parse_base64(&self.head)
    }

    pub(crate) fn setting(&self, version: u32) -> Setting {
        // INVARIANT: texts and numbers always serialize.
        let value = serde_json::to_vec(self).unwrap_or_default();
        Setting { name: SETTING.into(), value, version }
    }

    /// The newest anchor in `store`, and the version of the setting that holds it.
    pub(crate) async fn newest(store: &Store) -> Result<(Option<Self>, u32), StartError> {
        let setting = store.for_operator(&city()).setting(SETTING).await?;
        Ok(setting.map_or((None, 0), |it| (serde_json::from_slice(&it.value).ok(), it.version)))
    }
}

/// How the journal of the key service contradicts what is known of it: somebody has changed or cut it, or
/// put an older one in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    /// It is another journal than the one that the log anchors.
    Another {
        /// The name of the one in the log.
        anchored: String,
    },
    /// It has lost records.
    Shorter {
        /// How many there were.
        known: u64,
    },
    /// It goes on otherwise than it did.
    Forked {
        /// The first record that may be another one.
        record: u64,
    },
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the journal of the key service is not what it was: ")?;
        match self {
            Self::Another { anchored } => write!(f, "the log anchors another one, `{anchored}`"),
            Self::Shorter { known } => write!(f, "it had `{known}` records and has lost some"),
            Self::Forked { record } => write!(f, "record `{record}` was another one"),
        }
    }
}

impl std::error::Error for Break {}

/// Holds the journal of `service` against `anchor`, which names a record that it must have.
///
/// # Errors
/// [`SignError::Unavailable`].
pub(crate) async fn check(
    anchor: &Anchor,
    service: &Remote,
) -> Result<Result<Head, Break>, SignError> {
    let (journal, entries, records) = service.uses(anchor.last).await?;
    let (last, known) = (anchor.last, anchor.last.saturating_add(1));
    if hex(&journal) != anchor.journal {
        return Ok(Err(Break::Another { anchored: anchor.journal.clone() }));
    }
    if entries < known {
        return Ok(Err(Break::Shorter { known }));
    }
    let head = split_record(&records, last).and_then(|(record, _)| {
        verify_run(&Head::stored(journal, last, record.previous), record.bytes, |_| {})
    });
    let head = head.ok().filter(|head| anchor.head().as_ref() == Some(head.hash()));
    Ok(head.ok_or(Break::Forked { record: last }))
}

/// Whether the journal of `service` contradicts the newest anchor in the log of the city that `config`
/// names. A service that does not answer contradicts nothing.
///
/// # Errors
/// [`StartError`].
pub async fn broken(config: &Config, service: &Remote) -> Result<Option<Break>, StartError> {
    let (anchor, _) = Anchor::newest(&open_store(&config.store.data)?).await?;
    let Some(anchor) = anchor else { return Ok(None) };
    Ok(check(&anchor, service).await.ok().and_then(Result::err))
}

/// The name of a journal as text.
pub(crate) fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}

#[derive(Deserialize)]
struct Details {
    what: String,
    more: Option<Anchor>,
}

/// Every anchor in the log of the city that `config` names, oldest first; a server may run meanwhile.
/// The details are checked against what the leaves commit to.
///
/// # Errors
/// [`StartError`].
pub async fn anchors(config: &Config) -> Result<Vec<Anchor>, StartError> {
    let tenant = open_store(&config.store.data)?.for_operator(&city());
    let (mut wanted, mut anchors) = (Page::FIRST, Vec::new());
    loop {
        let events = tenant.events(&wanted).await?;
        for event in events.items {
            let Some(detail) = event.detail.filter(|_| event.entry.kind.as_str() == KIND) else {
                continue;
            };
            let key = CommitmentKey::from_bytes(detail.key);
            let is_whole =
                Commitment::over(&key, detail.payload.as_bytes()) == event.entry.commitment;
            let details = serde_json::from_str::<Details>(&detail.payload).ok();
            let details = details.filter(|details| is_whole && details.what == DEED);
            anchors.extend(details.and_then(|details| details.more));
        }
        match events.next {
            Some(next) => wanted.after = Some(next),
            None => return Ok(anchors),
        }
    }
}
