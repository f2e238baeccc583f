//! A secure element in software, which says so. Its keys are sealed at rest under a key of the host.
//!
//! It guards against a stolen disk, not against a program that runs as the owner.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use credential::cbor::{CborError, Decoder, Encoder};
use credential::crypto::{BadCiphertext, Crypto, P256Secret, PublicKey, SharedSecret, Signature};
use zeroize::Zeroizing;

use crate::secure_element::{DeviceKey, Presence, PresenceRule, SecureElement, SecureElementError};

/// Keys that it holds at the most.
pub const KEYS_MAX: usize = 1024;
/// What it says of itself.
pub const KEY_STORAGE: &str = "urn:limen:key-storage:software";

const SEAL_LABEL: &[u8] = b"limen/software-element/1";

/// Device keys in memory.
#[derive(Debug, Default)]
pub struct SoftwareElement {
    keys: BTreeMap<DeviceKey, Slot>,
    /// Keys for agreement, each for one request: they are not sealed.
    agreements: BTreeMap<DeviceKey, P256Secret>,
    next: u32,
}

#[derive(Debug)]
struct Slot {
    secret: P256Secret,
    public: [u8; 65],
    rule: PresenceRule,
}

/// Why sealed keys do not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The key of the host is another, or the bytes were changed.
    Seal(BadCiphertext),
    /// What was sealed is not what this version understands.
    Content(CborError),
    /// A key that is sealed is not valid.
    Key,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seal(_) => "sealed keys do not open under this key",
            Self::Content(_) | Self::Key => "sealed keys are damaged",
        })
    }
}

impl core::error::Error for OpenError {}

impl From<CborError> for OpenError {
    fn from(error: CborError) -> Self {
        Self::Content(error)
    }
}

impl SoftwareElement {
    /// An element without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys, sealed by AES-256-GCM under `host_key`. `nonce` must be fresh every time.
    #[must_use]
    pub fn seal(&self, crypto: &dyn Crypto, host_key: &[u8; 32], nonce: [u8; 12]) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.array(2).unsigned(u64::from(self.next)).array(self.keys.len());
        for (key, slot) in &self.keys {
            let is_needed = slot.rule == PresenceRule::Needed;
            encoder.array(3).unsigned(u64::from(key.0)).bool(is_needed);
            encoder.bytes(slot.secret.danger_bytes());
        }
        let mut content = encoder.into_bytes();
        crypto.seal_aes256_gcm(host_key, &nonce, SEAL_LABEL, &mut content);
        [&nonce[..], &content].concat()
    }

    /// What [`SoftwareElement::seal`] sealed.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        crypto: &dyn Crypto,
        host_key: &[u8; 32],
        sealed: &[u8],
    ) -> Result<Self, OpenError> {
        let (nonce, content) =
            sealed.split_first_chunk::<12>().ok_or(OpenError::Seal(BadCiphertext))?;
        let mut content = Zeroizing::new(content.to_vec());
        crypto
            .open_aes256_gcm(host_key, nonce, SEAL_LABEL, &mut content)
            .map_err(OpenError::Seal)?;
        let mut decoder = Decoder::new(&content)?;
        decoder.array_of(2)?;
        let next = u32::try_from(decoder.unsigned()?).map_err(|_| OpenError::Key)?;
        let mut element = Self { next, ..Self::default() };
        let mut entries = decoder.array()?;
        while decoder.more(&mut entries)? {
            decoder.array_of(3)?;
            let name = u32::try_from(decoder.unsigned()?).map_err(|_| OpenError::Key)?;
            let rule = if decoder.bool()? { PresenceRule::Needed } else { PresenceRule::NotNeeded };
            let secret = P256Secret::from_bytes(decoder.byte_array()?);
            let public = crypto.p256_public(&secret).map_err(|_| OpenError::Key)?;
            element.keys.insert(DeviceKey(name), Slot { secret, public, rule });
        }
        Ok(element)
    }
}

impl SoftwareElement {
    /// A new key, and its name.
    fn draw(
        &mut self,
        crypto: &dyn Crypto,
        entropy: [u8; 32],
    ) -> Result<(DeviceKey, P256Secret, [u8; 65]), SecureElementError> {
        if self.keys.len() + self.agreements.len() >= KEYS_MAX {
            return Err(SecureElementError::Full);
        }
        let secret = P256Secret::from_bytes(entropy);
        let public = crypto.p256_public(&secret).map_err(|_| SecureElementError::Entropy)?;
        let key = DeviceKey(self.next);
        self.next = self.next.checked_add(1).ok_or(SecureElementError::Full)?;
        Ok((key, secret, public))
    }
}

impl SecureElement for SoftwareElement {
    fn generate(
        &mut self,
        crypto: &dyn Crypto,
        entropy: [u8; 32],
        rule: PresenceRule,
    ) -> Result<DeviceKey, SecureElementError> {
        let (key, secret, public) = self.draw(crypto, entropy)?;
        self.keys.insert(key, Slot { secret, public, rule });
        Ok(key)
    }

    fn public_key(&self, key: DeviceKey) -> Result<PublicKey, SecureElementError> {
        let slot = self.keys.get(&key).ok_or(SecureElementError::UnknownKey)?;
        Ok(PublicKey::P256(slot.public))
    }

    fn sign(
        &self,
        crypto: &dyn Crypto,
        key: DeviceKey,
        message: &[u8],
        presence: Presence,
    ) -> Result<Signature, SecureElementError> {
        let slot = self.keys.get(&key).ok_or(SecureElementError::UnknownKey)?;
        if slot.rule == PresenceRule::Needed && presence != Presence::Confirmed {
            return Err(SecureElementError::PresenceNeeded);
        }
        // INVARIANT: only secrets with a public key are ever kept.
        crypto.p256_sign(&slot.secret, message).map_err(|_| SecureElementError::UnknownKey)
    }

    fn needs_presence(&self, key: DeviceKey) -> Result<bool, SecureElementError> {
        let slot = self.keys.get(&key).ok_or(SecureElementError::UnknownKey)?;
        Ok(slot.rule == PresenceRule::Needed)
    }

    fn generate_agreement(
        &mut self,
        crypto: &dyn Crypto,
        entropy: [u8; 32],
    ) -> Result<(DeviceKey, [u8; 65]), SecureElementError> {
        let (key, secret, public) = self.draw(crypto, entropy)?;
        self.agreements.insert(key, secret);
        Ok((key, public))
    }

    fn agree(
        &self,
        crypto: &dyn Crypto,
        key: DeviceKey,
        point: &[u8; 65],
    ) -> Result<SharedSecret, SecureElementError> {
        if self.keys.contains_key(&key) {
            return Err(SecureElementError::Use);
        }
        let secret = self.agreements.get(&key).ok_or(SecureElementError::UnknownKey)?;
        crypto.p256_agree(secret, point).map_err(|_| SecureElementError::Use)
    }

    fn destroy(&mut self, key: DeviceKey) {
        self.keys.remove(&key);
        self.agreements.remove(&key);
    }

    fn key_storage(&self) -> &'static str {
        KEY_STORAGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credential::rustcrypto::RustCrypto;

    #[test]
    fn keys_come_back_from_their_seal() {
        let mut element = SoftwareElement::new();
        let key = element.generate(&RustCrypto, [7; 32], PresenceRule::Needed).unwrap();
        let sealed = element.seal(&RustCrypto, &[1; 32], [2; 12]);
        let opened = SoftwareElement::open(&RustCrypto, &[1; 32], &sealed).unwrap();
        assert_eq!(opened.public_key(key), element.public_key(key));
        let refused = opened.sign(&RustCrypto, key, b"m", Presence::Unknown);
        assert_eq!(refused, Err(SecureElementError::PresenceNeeded));
        assert!(opened.sign(&RustCrypto, key, b"m", Presence::Confirmed).is_ok());
        assert!(!sealed.windows(32).any(|window| window == [7; 32]));
    }

    #[test]
    fn a_key_for_agreement_signs_nothing_and_is_not_sealed() {
        let mut element = SoftwareElement::new();
        let device = element.generate(&RustCrypto, [7; 32], PresenceRule::NotNeeded).unwrap();
        let (key, point) = element.generate_agreement(&RustCrypto, [8; 32]).unwrap();
        let (other, far) = element.generate_agreement(&RustCrypto, [9; 32]).unwrap();
        let agreed = element.agree(&RustCrypto, key, &far).unwrap();
        let same = element.agree(&RustCrypto, other, &point).unwrap();
        assert_eq!(agreed.danger_bytes(), same.danger_bytes());
        let unknown = Some(SecureElementError::UnknownKey);
        let wrong = Some(SecureElementError::Use);
        assert_eq!(element.sign(&RustCrypto, key, b"m", Presence::Confirmed).err(), unknown);
        assert_eq!(element.agree(&RustCrypto, device, &far).err(), wrong);
        assert_eq!(element.agree(&RustCrypto, key, &[4; 65]).err(), wrong);
        let sealed = element.seal(&RustCrypto, &[1; 32], [2; 12]);
        let opened = SoftwareElement::open(&RustCrypto, &[1; 32], &sealed).unwrap();
        assert_eq!(opened.agree(&RustCrypto, key, &far).err(), unknown);
        element.destroy(key);
        assert_eq!(element.agree(&RustCrypto, key, &far).err(), unknown);
    }

    #[test]
    fn another_key_or_a_changed_byte_does_not_open() {
        let mut element = SoftwareElement::new();
        element.generate(&RustCrypto, [7; 32], PresenceRule::NotNeeded).unwrap();
        let sealed = element.seal(&RustCrypto, &[1; 32], [2; 12]);
        assert!(SoftwareElement::open(&RustCrypto, &[9; 32], &sealed).is_err());
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(SoftwareElement::open(&RustCrypto, &[1; 32], &changed).is_err());
            assert!(SoftwareElement::open(&RustCrypto, &[1; 32], &sealed[..position]).is_err());
        }
    }

    #[test]
    fn one_key_past_the_limit_is_refused() {
        let mut element = SoftwareElement::new();
        let entropy = |number: usize| {
            let mut entropy = [1; 32];
            entropy[24..].copy_from_slice(&number.to_be_bytes());
            entropy
        };
        for number in 0..KEYS_MAX {
            element.generate(&RustCrypto, entropy(number), PresenceRule::NotNeeded).unwrap();
        }
        let one_more = element.generate(&RustCrypto, [3; 32], PresenceRule::NotNeeded);
        assert_eq!(one_more, Err(SecureElementError::Full));
        element.destroy(DeviceKey(0));
        assert!(element.generate(&RustCrypto, [3; 32], PresenceRule::NotNeeded).is_ok());
    }
}
