//! Pairing secrets: what one client and the service share, in a file each that only its owner reads.

use core::fmt;
use std::path::Path;

use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

use crate::file::{self, FileError};

/// Bytes in a pairing secret, and in its file.
pub const SECRET_BYTES: usize = 32;
/// Bytes in the name of a client.
pub const NAME_BYTES_MAX: usize = 64;

/// The secret of one client. Wiped when dropped, never shown.
pub struct Pairing {
    name: String,
    secret: Zeroizing<Vec<u8>>,
}

impl Pairing {
    /// Reads the secret of the client `name` from the file `path`.
    ///
    /// # Errors
    /// [`PairingError`].
    pub fn open(name: &str, path: &Path) -> Result<Self, PairingError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(PairingError::Name);
        }
        let secret = file::read_secret(path)?;
        if secret.len() != SECRET_BYTES {
            return Err(PairingError::Length { found: secret.len() });
        }
        Ok(Self { name: name.into(), secret })
    }

    /// Makes one fresh secret and writes it to every one of `paths`, none of which may exist.
    ///
    /// # Errors
    /// [`PairingError`]; none of the files has been made then.
    pub fn create(paths: &[&Path]) -> Result<(), PairingError> {
        let mut secret = Zeroizing::new([0_u8; SECRET_BYTES]);
        rand::fill(secret.as_mut()).map_err(|_| PairingError::Random)?;
        for (made, path) in paths.iter().enumerate() {
            if let Err(error) = file::create_secret(path, secret.as_ref()) {
                // A secret that nobody else has is of no use, and in the way of the next try.
                for done in paths.iter().take(made) {
                    let _ = std::fs::remove_file(done);
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The name of the client.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.secret)
    }
}

impl fmt::Debug for Pairing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pairing({}, ..)", self.name)
    }
}

/// Why a pairing secret is not used.
#[derive(Debug)]
pub enum PairingError {
    /// The name is empty or longer than [`NAME_BYTES_MAX`].
    Name,
    /// The file is not [`SECRET_BYTES`] long.
    Length {
        /// Its length.
        found: usize,
    },
    /// The random generator failed.
    Random,
    /// The file could not be read or made.
    File(FileError),
}

impl From<FileError> for PairingError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl fmt::Display for PairingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(f, "a client's name has `1` to `{NAME_BYTES_MAX}` bytes"),
            Self::Length { found } => {
                write!(f, "pairing file has `{found}` bytes instead of `{SECRET_BYTES}`")
            }
            Self::Random => f.write_str("make pairing secret: the random generator failed"),
            Self::File(error) => write!(f, "pairing file: {error}"),
        }
    }
}

impl core::error::Error for PairingError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::File(source) => source.source(),
            _ => None,
        }
    }
}
