//! Events: what happened, as the operator whose deed it was may read it.

use audit::entry::Entry;

use crate::commit::Detail;

/// A deed that was done.
#[derive(Clone, Debug)]
pub struct Event {
    /// The place of its leaf in the log, from 0.
    pub sequence: u64,
    /// The leaf.
    pub entry: Entry,
    /// What the leaf commits to, unless it was forgotten.
    pub detail: Option<Detail>,
}
