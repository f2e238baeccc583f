//! The keys that pairs keep for the fast phase: those of a device, by reader, and those of a
//! reader, which it must try one after another.

use alloc::vec::Vec;
use core::fmt;

use credential::crypto::Crypto;

use super::ReaderIdentifier;
use super::message::{CRYPTOGRAM_BYTES, Signaling, Timestamps};
use super::schedule::{Context, PersistentKey};

/// Keys that a device keeps.
pub const DEVICE_KEYS_MAX: usize = 16;
/// Keys that a reader tries at one tap.
pub const READER_KEYS_MAX: usize = 256;

/// The keys of a device, one for each reader, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    entries: Vec<KeptKey>,
}

/// A key that a device keeps: for which reader, and of which of its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptKey {
    /// The reader.
    pub reader: ReaderIdentifier,
    /// The static key with which the device proved itself there, uncompressed.
    pub device_key: [u8; 65],
    /// The key of the pair.
    pub key: PersistentKey,
}

impl Keyring {
    /// Keeps a key in place of the one that this reader had. Beyond [`DEVICE_KEYS_MAX`] the oldest is
    /// forgotten.
    pub fn keep(&mut self, kept: KeptKey) {
        self.entries.retain(|other| other.reader != kept.reader);
        if self.entries.len() == DEVICE_KEYS_MAX {
            self.entries.remove(0);
        }
        self.entries.push(kept);
    }

    /// The key of a reader.
    #[must_use]
    pub fn find(&self, reader: &ReaderIdentifier) -> Option<&KeptKey> {
        self.entries.iter().find(|kept| kept.reader == *reader)
    }

    /// Forgets the keys for which `keeps` does not hold.
    pub fn retain(&mut self, keeps: impl FnMut(&KeptKey) -> bool) {
        self.entries.retain(keeps);
    }

    /// All keys, the oldest first.
    #[must_use]
    pub fn entries(&self) -> &[KeptKey] {
        &self.entries
    }
}

/// A key that a reader keeps, and of which device.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// The device's static key, uncompressed.
    pub device_key: [u8; 65],
    /// The key of the pair.
    pub key: PersistentKey,
}

/// The keys of a reader: at most [`READER_KEYS_MAX`].
#[derive(Clone, Debug, Default)]
pub struct StoredKeys(Vec<StoredKey>);

/// More than [`READER_KEYS_MAX`] keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyKeys;

impl fmt::Display for TooManyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keep keys of a reader: more than {READER_KEYS_MAX}")
    }
}

impl core::error::Error for TooManyKeys {}

/// The device whose proof one of the keys opened.
#[derive(Clone, Debug)]
pub(super) struct Match<'k> {
    pub stored: &'k StoredKey,
    pub signaling: Signaling,
    pub timestamps: Timestamps,
}

impl StoredKeys {
    /// These keys.
    ///
    /// # Errors
    /// [`TooManyKeys`].
    pub fn new(keys: Vec<StoredKey>) -> Result<Self, TooManyKeys> {
        if keys.len() > READER_KEYS_MAX { Err(TooManyKeys) } else { Ok(Self(keys)) }
    }

    /// The keys.
    #[must_use]
    pub fn as_slice(&self) -> &[StoredKey] {
        &self.0
    }

    /// The key that opens a device's proof. Every key is tried with the same work, also behind the one
    /// that fits: how long it takes says how many there are, and not which.
    pub(super) fn find(
        &self,
        crypto: &dyn Crypto,
        context: &Context,
        cryptogram: &[u8; CRYPTOGRAM_BYTES],
    ) -> Option<Match<'_>> {
        let mut found = None;
        let mut buffer = Vec::with_capacity(CRYPTOGRAM_BYTES);
        for stored in &self.0 {
            let key = context.cryptogram_key(crypto, &stored.key, &stored.device_key);
            if let Some((signaling, timestamps)) = key.open(crypto, cryptogram, &mut buffer) {
                found = Some(Match { stored, signaling, timestamps });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn the_oldest_key_is_forgotten_and_a_new_one_replaces_its_own() {
        let reader = |n: u8| ReaderIdentifier { group: [1; 16], sub_group: [n; 16] };
        let kept = |of: u8, n: u8| KeptKey {
            reader: reader(of),
            device_key: [4; 65],
            key: PersistentKey::from_bytes([n; 32]),
        };
        let mut keyring = Keyring::default();
        for n in 0..16 {
            keyring.keep(kept(n, n));
        }
        keyring.keep(kept(0, 99));
        assert_eq!(keyring.entries().len(), DEVICE_KEYS_MAX);
        assert_eq!(keyring.find(&reader(0)).unwrap().key.danger_bytes(), &[99; 32]);
        keyring.keep(kept(16, 16));
        assert_eq!(keyring.entries().len(), DEVICE_KEYS_MAX);
        assert!(keyring.find(&reader(1)).is_none());
        assert!(keyring.find(&reader(0)).is_some());
    }

    #[test]
    fn the_keys_of_a_reader_hold_to_their_limit() {
        let key = StoredKey { device_key: [4; 65], key: PersistentKey::from_bytes([1; 32]) };
        assert!(StoredKeys::new(vec![key.clone(); READER_KEYS_MAX]).is_ok());
        assert_eq!(StoredKeys::new(vec![key; READER_KEYS_MAX + 1]).unwrap_err(), TooManyKeys);
    }
}
