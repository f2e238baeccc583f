//! What the city's log says of the key service's journal of uses: anchors, which nobody can take back.
//!
//! Each anchor names a record of the journal by number and by the hash of the chain after it. Who
//! changes the journal later, or cuts it, contradicts the log.

use std::collections::BTreeMap;

use audit::entry::{Commitment, CommitmentKey};
use audit::hash::Hash;
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
