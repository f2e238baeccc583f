//! Where device keys live: made inside, never shown, used only as their rule allows.

use core::fmt;

use credential::crypto::{Crypto, PublicKey, SharedSecret, Signature};

/// Names a device key within one secure element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey(pub u32);

/// What must hold when a key is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceRule {
    /// Nothing: the phone may answer from a pocket.
    NotNeeded,
    /// The holder has just confirmed, by finger, face or code.
    Needed,
}

/// What the holder has just done, as the device knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Unknown,
    /// Confirmed, by finger, face or code.
    Confirmed,
}

/// Why a secure element does not do what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureElementError {
    /// No key of that name.
    UnknownKey,
    /// The key needs the holder's presence.
    PresenceNeeded,
    /// It holds as many keys as it can.
    Full,
    /// The entropy given makes no key; draw another.
    Entropy,
    /// The key is for another use, or the point is none of the curve.
    Use,
}

impl fmt::Display for SecureElementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownKey => "secure element has no such key",
            Self::PresenceNeeded => "the key needs the holder to confirm",
            Self::Full => "secure element is full",
            Self::Entropy => "entropy makes no key",
            Self::Use => "the key is for another use, or the point is none of its curve",
        })
    }
}

impl core::error::Error for SecureElementError {}

/// A place for device keys: a chip, a trusted zone of a phone, or software that says so.
pub trait SecureElement {
    /// Makes a key.
    ///
    /// # Errors
    /// [`SecureElementError::Full`], [`SecureElementError::Entropy`].
    fn generate(
        &mut self,
        crypto: &dyn Crypto,
        entropy: [u8; 32],
        rule: PresenceRule,
    ) -> Result<DeviceKey, SecureElementError>;

    /// The public half of a key.
    ///
    /// # Errors
    /// [`SecureElementError::UnknownKey`].
    fn public_key(&self, key: DeviceKey) -> Result<PublicKey, SecureElementError>;

    /// Signs `message` by ES256.
    ///
    /// # Errors
    /// [`SecureElementError::UnknownKey`], [`SecureElementError::PresenceNeeded`].
    fn sign(
        &self,
        crypto: &dyn Crypto,
        key: DeviceKey,
        message: &[u8],
        presence: Presence,
    ) -> Result<Signature, SecureElementError>;

    /// Whether the holder must confirm each use of a key.
    ///
    /// # Errors
    /// [`SecureElementError::UnknownKey`].
    fn needs_presence(&self, key: DeviceKey) -> Result<bool, SecureElementError>;

    /// Makes a key for agreement alone, for one request, and gives its point. It is not kept when the
    /// device is restarted.
    ///
    /// # Errors
    /// [`SecureElementError::Full`], [`SecureElementError::Entropy`].
    fn generate_agreement(
        &mut self,
        crypto: &dyn Crypto,
        entropy: [u8; 32],
    ) -> Result<(DeviceKey, [u8; 65]), SecureElementError>;

    /// What a key for agreement agrees on with `point`.
    ///
    /// # Errors
    /// [`SecureElementError::UnknownKey`], [`SecureElementError::Use`].
    fn agree(
        &self,
        crypto: &dyn Crypto,
        key: DeviceKey,
        point: &[u8; 65],
    ) -> Result<SharedSecret, SecureElementError>;

    /// Destroys a key; one that is unknown is destroyed already.
    fn destroy(&mut self, key: DeviceKey);

    /// What may honestly be said of it to an issuer (`key_storage`, OpenID4VCI 1.0, appendix D.2).
    fn key_storage(&self) -> &'static str;
}
