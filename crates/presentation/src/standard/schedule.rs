//! The keys of a transaction: X9.63 KDF, HKDF-SHA-256, and the bytes that both sides sign.
//!
//! ```text
//! Kdh         = X9.63-KDF(ECDH, transaction identifier)
//! keys        = HKDF(Kdh, salt Volatile****, info)                    after AUTH1
//! Kpersistent = HKDF(Kdh, salt Persistent**, info)                    kept for the next tap
//! keys        = HKDF(Kpersistent, salt VolatileFast, info)            in the fast phase
//! ```

use alloc::vec::Vec;
use core::fmt;

use credential::crypto::{Crypto, SharedSecret};
use zeroize::Zeroizing;

use super::message::{CRYPTOGRAM_BYTES, Signaling, Timestamps};
use super::tlv::{Objects, put};
use super::{ReaderIdentifier, Transport, Version};
use crate::session::SessionKeys;

/// The key that a pair keeps from one tap to the next; erased when dropped and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PersistentKey(Zeroizing<[u8; 32]>);

impl PersistentKey {
    /// From its bytes, as they were kept.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes, for keeping.
    #[must_use]
    pub fn danger_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PersistentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersistentKey(..)")
    }
}

/// Whose signature it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// The reader's.
    Reader,
    /// The device's.
    Device,
}

/// All that the keys of a transaction are bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The key of the reader's group, or of the issuer of its certificates; uncompressed.
    pub group_key: [u8; 65],
    /// The reader.
    pub reader: ReaderIdentifier,
    /// What carries the commands.
    pub transport: Transport,
    /// The version that the reader chose.
    pub version: Version,
    /// The reader's ephemeral key.
    pub reader_ephemeral: [u8; 65],
    /// The device's ephemeral key.
    pub device_ephemeral: [u8; 65],
    /// The transaction identifier.
    pub transaction: [u8; 16],
    /// The values of tags 41 and 42 of AUTH0.
    pub flags: [u8; 2],
    /// Object A5 of the device's offer, as it was sent.
    pub proprietary: Vec<u8>,
    /// The vendor extension of AUTH0.
    pub vendor: Option<Vec<u8>>,
    /// The vendor extension of its answer.
    pub vendor_answer: Option<Vec<u8>>,
}

/// What a salt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Salt<'a> {
    Volatile,
    VolatileFast(&'a [u8; 65]),
    Persistent(&'a [u8; 65]),
}

impl Context {
    /// The bytes that one side signs.
    #[must_use]
    pub fn signed(&self, usage: Usage) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        put(&mut out, 0x4D, &self.reader.to_bytes());
        put(&mut out, 0x86, x(&self.device_ephemeral));
        put(&mut out, 0x87, x(&self.reader_ephemeral));
        put(&mut out, 0x4C, &self.transaction);
        let usage: [u8; 4] = match usage {
            Usage::Reader => [0x41, 0x5D, 0x95, 0x69],
            Usage::Device => [0x4E, 0x88, 0x7B, 0x4C],
        };
        put(&mut out, 0x93, &usage);
        out
    }

    /// Kdh: what both ephemeral keys agree on, for this transaction.
    #[must_use]
    pub fn agreed(&self, crypto: &dyn Crypto, shared: &SharedSecret) -> Zeroizing<[u8; 32]> {
        x963_kdf(crypto, shared, &self.transaction)
    }

    /// The keys after AUTH1.
    #[must_use]
    pub fn standard_keys(&self, crypto: &dyn Crypto, agreed: &[u8; 32]) -> StandardKeys {
        let mut keys = Zeroizing::new([[0; 32]; 5]);
        let salt = self.salt(Salt::Volatile);
        crypto.hkdf_sha256_blocks(agreed, &salt, &self.info(), &mut *keys);
        let [reader, device, step_up, ble, ranging] = *keys;
        StandardKeys {
            exchange: SessionKeys::from_bytes(reader, device),
            step_up: Zeroizing::new(step_up),
            ble: Zeroizing::new(ble),
            ranging: Zeroizing::new(ranging),
        }
    }

    /// Kpersistent, for the next tap of this reader and the device with this static key.
    #[must_use]
    pub fn persistent_key(
        &self,
        crypto: &dyn Crypto,
        agreed: &[u8; 32],
        device_key: &[u8; 65],
    ) -> PersistentKey {
        let salt = self.salt(Salt::Persistent(device_key));
        PersistentKey::from_bytes(crypto.hkdf_sha256(agreed, &salt, &self.info()))
    }

    /// The keys of the fast phase between this reader and the device with this static key.
    #[must_use]
    pub fn fast_keys(
        &self,
        crypto: &dyn Crypto,
        key: &PersistentKey,
        device_key: &[u8; 65],
    ) -> FastKeys {
        let mut keys = Zeroizing::new([[0; 32]; 5]);
        let salt = self.salt(Salt::VolatileFast(device_key));
        crypto.hkdf_sha256_blocks(key.danger_bytes(), &salt, &self.info(), &mut *keys);
        let [cryptogram, reader, device, ble, ranging] = *keys;
        FastKeys {
            cryptogram: CryptogramKey(Zeroizing::new(cryptogram)),
            exchange: SessionKeys::from_bytes(reader, device),
            ble: Zeroizing::new(ble),
            ranging: Zeroizing::new(ranging),
        }
    }

    /// The first of the [`Context::fast_keys`] alone: what a reader needs to try a kept key.
    #[must_use]
    pub fn cryptogram_key(
        &self,
        crypto: &dyn Crypto,
        key: &PersistentKey,
        device_key: &[u8; 65],
    ) -> CryptogramKey {
        let salt = self.salt(Salt::VolatileFast(device_key));
        let key = crypto.hkdf_sha256(key.danger_bytes(), &salt, &self.info());
        CryptogramKey(Zeroizing::new(key))
    }

    fn salt(&self, salt: Salt<'_>) -> Vec<u8> {
        let (word, device_key): (&[u8; 12], _) = match salt {
            Salt::Volatile => (b"Volatile****", None),
            Salt::VolatileFast(key) => (b"VolatileFast", Some(key)),
            Salt::Persistent(key) => (b"Persistent**", Some(key)),
        };
        [
            x(&self.group_key),
            word,
            &self.reader.to_bytes(),
            &[self.transport.byte(), 0x5C, 0x02],
            &self.version.0,
            x(&self.reader_ephemeral),
            &self.transaction,
            &self.flags,
            &self.proprietary,
            device_key.map_or(&[], x),
        ]
        .concat()
    }

    fn info(&self) -> Vec<u8> {
        let vendor = self.vendor.as_deref().unwrap_or_default();
        let answer = self.vendor_answer.as_deref().unwrap_or_default();
        [x(&self.device_ephemeral), vendor, answer].concat()
    }
}

/// The keys of a transaction after AUTH1.
#[derive(Debug)]
pub struct StandardKeys {
    /// Of the channel of AUTH1 and EXCHANGE.
    pub exchange: SessionKeys,
    step_up: Zeroizing<[u8; 32]>,
    ble: Zeroizing<[u8; 32]>,
    ranging: Zeroizing<[u8; 32]>,
}

impl StandardKeys {
    /// The keys of the channel of the step-up phase.
    #[must_use]
    pub fn step_up(&self, crypto: &dyn Crypto) -> SessionKeys {
        branch(crypto, &self.step_up, [b"SKReader", b"SKDevice"])
    }

    /// The keys of the channel over Bluetooth Low Energy.
    #[must_use]
    pub fn ble(&self, crypto: &dyn Crypto) -> SessionKeys {
        branch(crypto, &self.ble, [b"BleSKReader", b"BleSKDevice"])
    }

    /// The key from which ranging begins.
    #[must_use]
    pub fn danger_ranging(&self) -> &[u8; 32] {
        &self.ranging
    }
}

/// The keys of the fast phase.
#[derive(Debug)]
pub struct FastKeys {
    /// Of the device's proof.
    pub cryptogram: CryptogramKey,
    /// Of the channel of EXCHANGE.
    pub exchange: SessionKeys,
    ble: Zeroizing<[u8; 32]>,
    ranging: Zeroizing<[u8; 32]>,
}

impl FastKeys {
    /// The keys of the channel over Bluetooth Low Energy.
    #[must_use]
    pub fn ble(&self, crypto: &dyn Crypto) -> SessionKeys {
        branch(crypto, &self.ble, [b"BleSKReader", b"BleSKDevice"])
    }

    /// The key from which ranging begins.
    #[must_use]
    pub fn danger_ranging(&self) -> &[u8; 32] {
        &self.ranging
    }
}

/// CryptogramSK: seals the device's proof of the fast phase, once. Its nonce is zero, which is safe
/// because the key belongs to one transaction and seals one message.
pub struct CryptogramKey(Zeroizing<[u8; 32]>);

impl CryptogramKey {
    /// From its bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The proof, which says as much of the device as the answer to AUTH1 would.
    #[must_use]
    pub fn seal(
        self,
        crypto: &dyn Crypto,
        signaling: Signaling,
        timestamps: &Timestamps,
    ) -> [u8; CRYPTOGRAM_BYTES] {
        let mut buffer = Vec::with_capacity(CRYPTOGRAM_BYTES);
        put(&mut buffer, 0x5E, &signaling.0.to_be_bytes());
        put(&mut buffer, 0x91, &timestamps.access);
        put(&mut buffer, 0x92, &timestamps.revocation);
        crypto.seal_aes256_gcm(&self.0, &[0; 12], &[], &mut buffer);
        // INVARIANT: 4 + 22 + 22 bytes and the tag are 64.
        buffer.try_into().unwrap_or([0; CRYPTOGRAM_BYTES])
    }

    /// What the proof says, if this key sealed it. `buffer` is reused from one key to the next.
    #[must_use]
    pub fn open(
        &self,
        crypto: &dyn Crypto,
        cryptogram: &[u8; CRYPTOGRAM_BYTES],
        buffer: &mut Vec<u8>,
    ) -> Option<(Signaling, Timestamps)> {
        buffer.clear();
        buffer.extend(cryptogram);
        crypto.open_aes256_gcm(&self.0, &[0; 12], &[], buffer).ok()?;
        let objects = Objects::parse(buffer).ok()?;
        let signaling = Signaling(u16::from_be_bytes(objects.array(0x5E).ok()?));
        let access = objects.array(0x91).ok()?;
        let revocation = objects.array(0x92).ok()?;
        Some((signaling, Timestamps { access, revocation }))
    }
}

impl fmt::Debug for CryptogramKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CryptogramKey(..)")
    }
}

/// The key derivation of ANSI X9.63 with SHA-256, one block of it.
#[must_use]
pub fn x963_kdf(crypto: &dyn Crypto, shared: &SharedSecret, info: &[u8]) -> Zeroizing<[u8; 32]> {
    let input = Zeroizing::new([&shared.danger_bytes()[..], &[0, 0, 0, 1], info].concat());
    Zeroizing::new(crypto.sha256(&input))
}

/// The x coordinate of an uncompressed point.
fn x(point: &[u8; 65]) -> &[u8] {
    point.get(1..33).unwrap_or_default()
}

fn branch(crypto: &dyn Crypto, key: &[u8; 32], [reader, device]: [&[u8]; 2]) -> SessionKeys {
    let derive = |label| crypto.hkdf_sha256(key, &[], label);
    SessionKeys::from_bytes(derive(reader), derive(device))
}
