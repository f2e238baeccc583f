//! Why a configuration is not taken.

use std::fmt;
use std::path::PathBuf;

use super::FILE_BYTES_MAX;

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
        /// Which.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => {
                write!(f, "cannot read key service configuration `{}`", path.display())
            }
            Self::Size { path } => {
                let path = path.display();
                write!(f, "key service configuration `{path}` exceeds `{FILE_BYTES_MAX}` bytes")
            }
            Self::Parse { .. } => f.write_str("key service configuration is not understood"),
            Self::Setting { key, reason } => write!(f, "setting `{key}`: {reason}"),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Parse { source } => Some(source),
            _ => None,
        }
    }
}
