//! The backup: the root's private half under the wrapping key, with all that restoring needs.
//!
//! Without the shares it is of no use to anybody; it may be copied as often as custodians like. Layout
//! in `specs/ceremony-transcript.md`.

use core::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use credential::crypto::PublicKey;

use super::shares::CeremonyId;
use super::wrapping::CheckValue;
use crate::custody::CERTIFICATE_BYTES_MAX;
use crate::purpose::{Purpose, Suite};

/// Bytes in a backup.
pub const BACKUP_BYTES_MAX: usize = 8 * 1024;

const MAGIC: [u8; 8] = *b"LIMENBAK";
const VERSION: u16 = 1;
const WRAPPED_BYTES_MAX: usize = 1024;

/// A wrapped root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The ceremony that made it.
    pub ceremony: CeremonyId,
    /// The algorithm of the root.
    pub suite: Suite,
    /// The check value of the key that wraps it.
    pub check_value: CheckValue,
    /// The public half of the root.
    pub public_key: PublicKey,
    /// The certificate of the root, DER.
    pub certificate: Vec<u8>,
    /// The private half: PKCS#8 under AES key wrap with padding (RFC 5649).
    pub wrapped: Vec<u8>,
}

impl Backup {
    /// The bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(self.ceremony.as_bytes());
        bytes.push(self.suite.number());
        bytes.extend_from_slice(&self.check_value.0);
        for part in [self.public_key.as_bytes(), &self.certificate, &self.wrapped] {
            // INVARIANT: none of the parts is longer than a certificate may be.
            bytes.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        let sum = digest(&SHA256, &bytes);
        bytes.extend_from_slice(sum.as_ref());
        bytes
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BackupError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(BackupError::NotABackup);
        }
        if bytes.len() > BACKUP_BYTES_MAX {
            return Err(BackupError::Damaged);
        }
        let (content, sum) = bytes.split_last_chunk::<32>().ok_or(BackupError::Damaged)?;
        if digest(&SHA256, content).as_ref() != sum {
            return Err(BackupError::Damaged);
        }
        let rest = content.get(MAGIC.len()..).unwrap_or_default();
        let (version, rest) = rest.split_first_chunk::<2>().ok_or(BackupError::Damaged)?;
        let version = u16::from_be_bytes(*version);
        if version != VERSION {
            return Err(BackupError::Version { found: version });
        }
        Self::content(rest).ok_or(BackupError::Damaged)
    }

    fn content(rest: &[u8]) -> Option<Self> {
        let (ceremony, rest) = rest.split_first_chunk::<10>()?;
        let ([suite, check_value @ ..], rest) = rest.split_first_chunk::<4>()?;
        let (public_key, rest) = part(rest)?;
        let (certificate, rest) = part(rest)?;
        let (wrapped, rest) = part(rest)?;
        let suite = Suite::from_number(*suite).filter(|suite| Purpose::CityRoot.allows(*suite))?;
        let public_key = match suite {
            Suite::Es256 => PublicKey::P256(public_key.try_into().ok()?),
            Suite::Es384 => PublicKey::P384(public_key.try_into().ok()?),
            _ => return None,
        };
        let fits = rest.is_empty()
            && certificate.len() <= CERTIFICATE_BYTES_MAX
            && wrapped.len() <= WRAPPED_BYTES_MAX;
        fits.then(|| Self {
            ceremony: CeremonyId::from_bytes(*ceremony),
            suite,
            check_value: CheckValue(*check_value),
            public_key,
            certificate: certificate.to_vec(),
            wrapped: wrapped.to_vec(),
        })
    }
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Why a file is not a backup that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupError {
    /// It begins otherwise.
    NotABackup,
    /// Its form is one that this program does not know.
    Version {
        /// What stands there.
        found: u16,
    },
    /// A byte was changed, or the end is missing.
    Damaged,
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABackup => f.write_str("read backup: this is no backup of a root"),
            Self::Version { found } => {
                write!(
                    f,
                    "read backup: it is of version `{found}`, which this program does not know"
                )
            }
            Self::Damaged => f.write_str("read backup: it is damaged; take another copy"),
        }
    }
}

impl core::error::Error for BackupError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backup_returns_from_its_bytes_and_no_changed_byte_is_taken() {
        let backup = Backup {
            ceremony: CeremonyId::from_bytes([1; 10]),
            suite: Suite::Es256,
            check_value: CheckValue([1, 2, 3]),
            public_key: PublicKey::P256([4; 65]),
            certificate: vec![5; 300],
            wrapped: vec![6; 152],
        };
        let bytes = backup.to_bytes();
        assert_eq!(Backup::parse(&bytes), Ok(backup));
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert!(Backup::parse(&changed).is_err(), "{position}");
            assert!(Backup::parse(&bytes[..position]).is_err(), "{position}");
        }
        let mut next = bytes[..bytes.len() - 32].to_vec();
        next[9] = 2;
        let sum = digest(&SHA256, &next);
        next.extend_from_slice(sum.as_ref());
        assert_eq!(Backup::parse(&next), Err(BackupError::Version { found: 2 }));
    }
}
