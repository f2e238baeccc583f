//! Remembers which certificates were found to be signed by which key.
//!
//! Only the outcome of a signature is remembered. Dates, purposes and the anchors themselves are
//! judged anew each time, so that an entry can never outlive trust.

use alloc::vec::Vec;

use crate::crypto::PublicKey;

/// Certificates that one cache remembers; the oldest makes room.
pub const SIGNER_CACHE_ENTRIES_MAX: usize = 64;

/// A bounded memory of verified certificate signatures.
#[derive(Debug, Default)]
pub struct SignerCache {
    entries: Vec<Entry>,
    oldest: usize,
}

#[derive(Debug)]
struct Entry {
    certificate: Vec<u8>,
    authority: PublicKey,
}

impl SignerCache {
    /// An empty memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new(), oldest: 0 }
    }

    /// How many certificates are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether exactly these bytes were verified with exactly this key before.
    pub(super) fn knows(&self, certificate: &[u8], authority: &PublicKey) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.certificate == certificate && entry.authority == *authority)
    }

    pub(super) fn remember(&mut self, certificate: &[u8], authority: PublicKey) {
        let entry = Entry { certificate: certificate.to_vec(), authority };
        if self.entries.len() < SIGNER_CACHE_ENTRIES_MAX {
            self.entries.push(entry);
        } else if let Some(slot) = self.entries.get_mut(self.oldest) {
            *slot = entry;
            self.oldest = (self.oldest + 1) % SIGNER_CACHE_ENTRIES_MAX;
        }
    }
}
