//! Devices that a standard tap has made known, for the fast tap: by which key, and what their access
//! documents said. In memory alone: after a restart each device makes itself known anew.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;

use credential::crypto::PublicKey;
use credential::mdoc::Validity;
use credential::rights::Rights;
use presentation::standard::keyring::{READER_KEYS_MAX, StoredKey, StoredKeys};
use presentation::standard::schedule::PersistentKey;

/// Devices that a reader knows; the one that was met first makes room.
pub(super) const KNOWN_MAX: usize = READER_KEYS_MAX;

/// What the access document of a device said when it was verified. Whether that still opens a door is
/// judged at each tap.
#[derive(Clone, Debug)]
pub(super) struct Learnt {
    pub(super) device_key: [u8; 65],
    pub(super) rights: Rights,
    /// Address of the status list, and the index in it.
    pub(super) status: Option<(String, u64)>,
    pub(super) issuer: PublicKey,
    pub(super) validity: Validity,
}

/// The devices that are known, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Known {
    devices: VecDeque<(Learnt, PersistentKey)>,
    /// Their keys, as a tap tries them.
    keys: Arc<StoredKeys>,
}

impl Known {
    /// From now on the device is known by `key`, and by no key of before.
    pub(super) fn keep(&mut self, learnt: Learnt, key: PersistentKey) {
        self.devices.retain(|(other, _)| other.device_key != learnt.device_key);
        if self.devices.len() == KNOWN_MAX {
            self.devices.pop_front();
        }
        self.devices.push_back((learnt, key));
        self.index();
    }

    /// The device is not known any more.
    pub(super) fn forget(&mut self, device_key: &[u8; 65]) {
        self.devices.retain(|(other, _)| other.device_key != *device_key);
        self.index();
    }

    pub(super) fn find(&self, device_key: &[u8; 65]) -> Option<&Learnt> {
        let mut devices = self.devices.iter();
        devices.find(|(learnt, _)| learnt.device_key == *device_key).map(|(learnt, _)| learnt)
    }

    pub(super) fn keys(&self) -> Arc<StoredKeys> {
        Arc::clone(&self.keys)
    }

    fn index(&mut self) {
        let keys = self.devices.iter().map(|(learnt, key)| {
            let device_key = learnt.device_key;
            StoredKey { device_key, key: key.clone() }
        });
        // INVARIANT: there are no more devices than keys fit.
        self.keys = StoredKeys::new(keys.collect()).map(Arc::new).unwrap_or_default();
    }
}
