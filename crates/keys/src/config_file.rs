//! A configuration of a process of the city: one TOML file of a bounded size.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Bytes in a configuration file.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The text of the file `path`.
///
/// # Errors
/// [`ConfigError::Read`] or [`ConfigError::Size`].
pub fn read(path: &Path) -> Result<String, ConfigError> {
    let read = |source| ConfigError::Read { path: path.into(), source };
    // Counted while it is read: not every file says beforehand how long it is.
    let mut file = File::open(path).map_err(read)?.take(FILE_BYTES_MAX + 1);
    let mut text = Vec::new();
    if file.read_to_end(&mut text).map_err(read)? as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::Size { path: path.into() });
    }
    let not_text = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    String::from_utf8(text).map_err(|error| read(not_text(error)))
}

/// What a text says; unknown keys are refused where `C` says so.
///
/// # Errors
/// [`ConfigError::Parse`].
pub fn parse<C: DeserializeOwned>(text: &str) -> Result<C, ConfigError> {
    toml::from_str(text).map_err(|source| ConfigError::Parse { source: Box::new(source) })
}

/// Why a configuration is not taken.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is too large to be a configuration.
    Size {
        /// Which.
        path: PathBuf,
    },
    /// The text is not what this program understands.
    Parse {
        /// Where and why, with the line.
        source: Box<toml::de::Error>,
    },
    /// A setting contradicts another, or is out of its range.
    Setting {
        /// Which, as `section.key`.
        key: &'static str,
        /// What is wrong and what to write instead.
        reason: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => write!(f, "cannot read configuration `{}`", path.display()),
            Self::Size { path } => {
                write!(f, "configuration `{}` exceeds `{FILE_BYTES_MAX}` bytes", path.display())
            }
            Self::Parse { .. } => f.write_str("configuration is not understood"),
            Self::Setting { key, reason } => write!(f, "setting `{key}`: {reason}"),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Parse { source } => Some(source),
            Self::Size { .. } | Self::Setting { .. } => None,
        }
    }
}
