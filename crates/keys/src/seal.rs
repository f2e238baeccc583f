//! The sealed file: header, key derivation and authenticated encryption (layout: `specs/keystore.md`).
//!
//! Argon2id (RFC 9106) makes a 256-bit key from the secret; AES-256-GCM seals the contents with
//! the whole header as associated data. Pure functions on bytes: nothing here touches a file, and
//! nothing that holds opened contents leaves this crate.

use core::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

/// The first eight bytes of every sealed file.
pub(crate) const MAGIC: [u8; 8] = *b"LIMENKEY";
/// The version of the layout that this code writes and reads.
pub(crate) const VERSION: u16 = 3;
/// Bytes before the ciphertext; all of them are authenticated.
pub(crate) const HEADER_BYTES: usize = 52;
/// Argon2 memory that a file may ask for, in KiB (1 GiB): a forged header must not exhaust memory.
pub(crate) const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Argon2 passes that a file may ask for.
pub(crate) const PASSES_MAX: u32 = 64;

const TAG_BYTES: usize = 16;

/// Which keys a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The keys that a running server signs with.
    Server,
    /// The city root, opened by a ceremony only.
    Root,
    /// The symmetric keys of a vault.
    Vault,
    /// Halves of ML-DSA whose other halves lie elsewhere.
    Halves,
}

/// What the sealing key is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A passphrase that a person types.
    Passphrase,
    /// 32 random bytes in a file.
    KeyFile,
}

/// The cost of one derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Memory in KiB, at least 8, at most [`MEMORY_KIB_MAX`].
    pub(crate) memory_kib: u32,
    /// Passes over the memory, 1 to [`PASSES_MAX`].
    pub(crate) passes: u32,
}

impl Cost {
    /// RFC 9106 section 4, second recommended option: 64 MiB and three passes.
    pub(crate) const PASSPHRASE: Self = Self { memory_kib: 64 * 1024, passes: 3 };
    /// A key file already has 256 bits of entropy: there is nothing to stretch.
    pub(crate) const KEY_FILE: Self = Self { memory_kib: 1024, passes: 1 };

    const fn of(secret: SecretKind) -> Self {
        match secret {
            SecretKind::Passphrase => Self::PASSPHRASE,
            SecretKind::KeyFile => Self::KEY_FILE,
        }
    }
}

/// The plain part of a sealed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Which keys the file holds.
    pub(crate) kind: Kind,
    /// What opens it.
    pub(crate) secret: SecretKind,
    /// The cost of the derivation.
    pub(crate) cost: Cost,
    /// Salt of the derivation, drawn once when the file is made.
    pub(crate) salt: [u8; 16],
    /// Nonce of this write, drawn anew each time.
    pub(crate) nonce: [u8; 12],
}

impl Header {
    /// A header for a new file with the default cost for its kind of secret.
    #[must_use]
    pub(crate) const fn new(
        kind: Kind,
        secret: SecretKind,
        salt: [u8; 16],
        nonce: [u8; 12],
    ) -> Self {
        Self { kind, secret, cost: Cost::of(secret), salt, nonce }
    }

    /// The header as the first [`HEADER_BYTES`] of the file.
    #[must_use]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.push(match self.kind {
            Kind::Server => 1,
            Kind::Root => 2,
            Kind::Vault => 3,
            Kind::Halves => 4,
        });
        bytes.push(match self.secret {
            SecretKind::Passphrase => 1,
            SecretKind::KeyFile => 2,
        });
        bytes.extend_from_slice(&self.cost.memory_kib.to_be_bytes());
        bytes.extend_from_slice(&self.cost.passes.to_be_bytes());
        bytes.extend_from_slice(&1_u32.to_be_bytes()); // lanes
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.nonce);
        bytes
    }

    /// Reads the header of `file`.
    ///
    /// # Errors
    /// [`UnsealError::NotAKeystore`], [`UnsealError::Version`] or [`UnsealError::Damaged`].
    pub(crate) fn parse(file: &[u8]) -> Result<Self, UnsealError> {
        let (magic, rest) = take::<8>(file).ok_or(UnsealError::NotAKeystore)?;
        if magic != MAGIC {
            return Err(UnsealError::NotAKeystore);
        }
        let (version, rest) = take::<2>(rest).ok_or(UnsealError::Damaged)?;
        let version = u16::from_be_bytes(version);
        if version != VERSION {
            return Err(UnsealError::Version { found: version });
        }
        Self::parse_version_1(rest).ok_or(UnsealError::Damaged)
    }

    fn parse_version_1(rest: &[u8]) -> Option<Self> {
        let ([kind, secret], rest) = take::<2>(rest)?;
        let (memory, rest) = take::<4>(rest)?;
        let (passes, rest) = take::<4>(rest)?;
        let (lanes, rest) = take::<4>(rest)?;
        let (salt, rest) = take::<16>(rest)?;
        let (nonce, _) = take::<12>(rest)?;
        let cost =
            Cost { memory_kib: u32::from_be_bytes(memory), passes: u32::from_be_bytes(passes) };
        let sane = (8..=MEMORY_KIB_MAX).contains(&cost.memory_kib)
            && (1..=PASSES_MAX).contains(&cost.passes)
            && u32::from_be_bytes(lanes) == 1;
        let kind = match kind {
            1 => Kind::Server,
            2 => Kind::Root,
            3 => Kind::Vault,
            4 => Kind::Halves,
            _ => return None,
        };
        let secret = match secret {
            1 => SecretKind::Passphrase,
            2 => SecretKind::KeyFile,
            _ => return None,
        };
        sane.then_some(Self { kind, secret, cost, salt, nonce })
    }
}

/// The derived key of one file, wiped when dropped. It never leaves this module.
pub(crate) struct SealingKey(Zeroizing<[u8; 32]>);

impl SealingKey {
    /// Derives the key of the file with `header` from `secret`.
    ///
    /// # Errors
    /// [`UnsealError::Damaged`] when the header's cost is outside Argon2's own bounds.
    pub(crate) fn derive(secret: &[u8], header: &Header) -> Result<Self, UnsealError> {
        let params = Params::new(header.cost.memory_kib, header.cost.passes, 1, Some(32))
            .map_err(|_| UnsealError::Damaged)?;
        let mut blocks = vec![Block::new(); params.block_count()];
        let mut key = Zeroizing::new([0_u8; 32]);
        let derived = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(secret, &header.salt, key.as_mut(), &mut blocks);
        blocks.iter_mut().for_each(Zeroize::zeroize);
        derived.map(|()| Self(key)).map_err(|_| UnsealError::Damaged)
    }

    /// The whole file: `header`, then the sealed `contents`.
    ///
    /// # Errors
    /// [`UnsealError::Damaged`] when the cipher refuses the length.
    pub(crate) fn seal(&self, header: &Header, contents: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let mut file = header.to_bytes();
        let mut sealed = Zeroizing::new(Vec::with_capacity(contents.len() + TAG_BYTES));
        sealed.extend_from_slice(contents);
        let nonce = Nonce::assume_unique_for_key(header.nonce);
        self.cipher()?
            .seal_in_place_append_tag(nonce, Aad::from(&file), &mut *sealed)
            .map_err(|_| UnsealError::Damaged)?;
        file.extend_from_slice(&sealed);
        Ok(file)
    }

    /// The contents of `file`, whose header is `header`.
    ///
    /// # Errors
    /// [`UnsealError::WrongSecret`] when the tag does not match.
    pub(crate) fn open(
        &self,
        header: &Header,
        file: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let (aad, sealed) = file.split_at_checked(HEADER_BYTES).ok_or(UnsealError::Damaged)?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(header.nonce);
        let length = self
            .cipher()?
            .open_in_place(nonce, Aad::from(aad), &mut plain)
            .map_err(|_| UnsealError::WrongSecret)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }

    fn cipher(&self) -> Result<LessSafeKey, UnsealError> {
        let key = UnboundKey::new(&AES_256_GCM, self.0.as_ref());
        key.map(LessSafeKey::new).map_err(|_| UnsealError::Damaged)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

/// Why a sealed file did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsealError {
    /// The file does not begin with the eight bytes of a keystore.
    NotAKeystore,
    /// The file was written by another version of the layout.
    Version {
        /// The version in the file.
        found: u16,
    },
    /// The passphrase or key file is another one, or a byte of the file has changed. Authenticated
    /// encryption cannot tell these apart.
    WrongSecret,
    /// The file is too short or a field is out of its range.
    Damaged,
}

impl fmt::Display for UnsealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAKeystore => f.write_str("the file is not a keystore"),
            Self::Version { found } => {
                write!(
                    f,
                    "the keystore has layout version `{found}`, this program reads `{VERSION}`"
                )
            }
            Self::WrongSecret => {
                f.write_str("wrong passphrase or key file, or the keystore has been altered")
            }
            Self::Damaged => f.write_str("the keystore is damaged: restore it from a backup"),
        }
    }
}

impl core::error::Error for UnsealError {}

pub(crate) fn take<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    bytes.split_first_chunk::<N>().map(|(head, rest)| (*head, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header::new(Kind::Server, SecretKind::KeyFile, [1; 16], [2; 12])
    }

    fn sealed() -> Vec<u8> {
        let header = header();
        SealingKey::derive(&[3; 32], &header).unwrap().seal(&header, b"the contents").unwrap()
    }

    fn open(file: &[u8], secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let header = Header::parse(file)?;
        SealingKey::derive(secret, &header)?.open(&header, file)
    }

    #[test]
    fn sealed_contents_return_with_the_right_secret_only() {
        let file = sealed();
        assert_eq!(open(&file, &[3; 32]).unwrap().as_slice(), b"the contents");
        assert_eq!(open(&file, &[4; 32]).unwrap_err(), UnsealError::WrongSecret);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let file = sealed();
        for position in 0..file.len() {
            let mut changed = file.clone();
            changed[position] ^= 1;
            assert!(open(&changed, &[3; 32]).is_err(), "byte {position}");
        }
    }

    #[test]
    fn every_truncation_is_noticed() {
        let file = sealed();
        for length in 0..file.len() {
            assert!(open(&file[..length], &[3; 32]).is_err(), "length {length}");
        }
    }

    #[test]
    fn cost_is_accepted_at_its_limit_and_refused_one_past_it() {
        for (memory_kib, passes, accepted) in [
            (MEMORY_KIB_MAX, PASSES_MAX, true),
            (MEMORY_KIB_MAX + 1, 1, false),
            (8, PASSES_MAX + 1, false),
            (8, 1, true),
            (7, 1, false),
            (8, 0, false),
        ] {
            let header = Header { cost: Cost { memory_kib, passes }, ..header() };
            assert_eq!(
                Header::parse(&header.to_bytes()).is_ok(),
                accepted,
                "{memory_kib} {passes}"
            );
        }
    }

    #[test]
    fn other_layout_versions_are_named() {
        let mut file = sealed();
        file[9] = 1;
        assert_eq!(Header::parse(&file), Err(UnsealError::Version { found: 1 }));
    }

    /// The derivation is Argon2id itself: an independent computation (`argon2-cffi` 25.1, the
    /// reference C library) of secret 03*32, salt 01*16, t=1, m=1024 KiB, p=1 gives the same key.
    #[test]
    fn derivation_is_plain_argon2id() {
        let key = SealingKey::derive(&[3; 32], &header()).unwrap();
        let hex: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "765b0a1e278629f8188a16aa45252b091b301180659adb62e5c0aa5af9077361");
    }
}
