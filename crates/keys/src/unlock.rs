//! What opens a sealed file: a passphrase, or a key file that lies outside the data folder.
//!
//! A key file inside the data folder would travel with every backup of what it protects, so it
//! is refused wherever its name leads.

use core::fmt;
use std::path::Path;

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::file::{self, FileError};
use crate::seal::SecretKind;

/// Bytes in a key file.
pub const KEY_FILE_BYTES: usize = 32;
/// Bytes in the shortest passphrase that seals a new file.
pub const PASSPHRASE_BYTES_MIN: usize = 12;
/// Bytes in the longest passphrase.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;

/// A secret that opens sealed files. Wiped when dropped, never shown.
pub struct Unlock {
    kind: SecretKind,
    secret: Zeroizing<Vec<u8>>,
}

impl Unlock {
    /// A passphrase of [`PASSPHRASE_BYTES_MIN`] to [`PASSPHRASE_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`UnlockError::PassphraseLength`].
    pub fn passphrase(text: &str) -> Result<Self, UnlockError> {
        if !(PASSPHRASE_BYTES_MIN..=PASSPHRASE_BYTES_MAX).contains(&text.len()) {
            return Err(UnlockError::PassphraseLength);
        }
        let secret = Zeroizing::new(text.as_bytes().to_vec());
        Ok(Self { kind: SecretKind::Passphrase, secret })
    }

    /// The key file `path`, which must lie outside `data_folder`.
    ///
    /// # Errors
    /// [`UnlockError::InsideDataFolder`], [`UnlockError::KeyFileLength`], [`UnlockError::File`]
    /// (among them loose permissions).
    pub fn key_file(path: &Path, data_folder: &Path) -> Result<Self, UnlockError> {
        if file::lies_inside(path, data_folder)? {
            return Err(UnlockError::InsideDataFolder);
        }
        let secret = file::read_secret(path)?;
        if secret.len() != KEY_FILE_BYTES {
            return Err(UnlockError::KeyFileLength { found: secret.len() });
        }
        Ok(Self { kind: SecretKind::KeyFile, secret })
    }

    /// Makes the key file `path` with fresh random bytes; it must not exist yet.
    ///
    /// # Errors
    /// [`UnlockError::File`] or [`UnlockError::Random`].
    pub fn create_key_file(path: &Path) -> Result<(), UnlockError> {
        let mut secret = Zeroizing::new([0_u8; KEY_FILE_BYTES]);
        rand::fill(secret.as_mut()).map_err(|_| UnlockError::Random)?;
        file::create_secret(path, secret.as_ref()).map_err(UnlockError::File)
    }

    pub(crate) const fn kind(&self) -> SecretKind {
        self.kind
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unlock({:?}, ..)", self.kind)
    }
}

/// Why a secret is not used.
#[derive(Debug)]
pub enum UnlockError {
    /// Too short to protect anything, or past the limit.
    PassphraseLength,
    /// A key file that is not [`KEY_FILE_BYTES`] long.
    KeyFileLength {
        /// Its length in bytes.
        found: usize,
    },
    /// The key file lies in the folder that it protects.
    InsideDataFolder,
    /// The random generator failed.
    Random,
    /// The key file could not be read or made.
    File(FileError),
}

impl From<FileError> for UnlockError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl fmt::Display for UnlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PassphraseLength => write!(
                f,
                "passphrase must have `{PASSPHRASE_BYTES_MIN}` to `{PASSPHRASE_BYTES_MAX}` bytes"
            ),
            Self::KeyFileLength { found } => {
                write!(f, "key file has `{found}` bytes instead of `{KEY_FILE_BYTES}`")
            }
            Self::InsideDataFolder => f.write_str(
                "the key file lies inside the data folder, where backups would copy it: move it out",
            ),
            Self::Random => f.write_str("make key file: the random generator failed"),
            Self::File(error) => write!(f, "key file: {error}"),
        }
    }
}

impl core::error::Error for UnlockError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::File(source) => source.source(),
            _ => None,
        }
    }
}
