//! The owner's log: which reader asked for what, and what was shown. It stays in the wallet.

use alloc::string::String;
use alloc::vec::Vec;

use vocabulary::time::Instant;

/// Entries that are kept; the oldest make room.
pub const ENTRIES_MAX: usize = 1000;

/// One meeting with a reader or an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// With whom, by the name in its certificate; empty if it proved none.
    pub with: String,
    /// Which pass was shown or collected; empty if none.
    pub pass: String,
    /// The elements that left the wallet.
    pub disclosed: Vec<String>,
    /// What came of it, in plain words. A session can break after elements have left.
    pub outcome: String,
}

/// Appends an entry, dropping the oldest beyond the limit.
pub fn append(log: &mut Vec<Entry>, entry: Entry) {
    if log.len() >= ENTRIES_MAX {
        log.drain(..=log.len() - ENTRIES_MAX);
    }
    log.push(entry);
}
