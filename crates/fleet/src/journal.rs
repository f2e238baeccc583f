//! What a reader hands in: pieces of its hash-chained, signed journal.

use vocabulary::code::OperatorCode;
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use crate::reader::Watermark;

/// A piece of journal that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Whose journal.
    pub reader: ReaderId,
    /// The operator of the reader.
    pub operator: OperatorCode,
    /// The new records, in order, without those that were known; not empty.
    pub records: Vec<StoredRecord>,
    /// What the reader knew at the newest of them.
    pub watermark: Option<Watermark>,
    /// When they came in.
    pub received_at: Instant,
}

/// One journal record as it is stored: its bytes as they were signed, never encoded again.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its number in the journal.
    pub sequence: u64,
    /// Its hash, which the next record repeats.
    pub hash: [u8; 32],
    /// The record as the reader wrote it.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredRecord({}, {} bytes)", self.sequence, self.bytes.len())
    }
}
