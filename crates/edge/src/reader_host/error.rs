//! Why the host of a reader cannot work.

use std::fmt;
use std::io;
use std::path::PathBuf;

use audit::journal::JournalError;
use credential::crypto::BadKey;
use credential::rejection::Rejection;
use credential::x509::AnchorError;
use reader::delivery::ElementError;
use reader::engine::MemoryError;

/// Why a reader cannot work.
#[derive(Debug)]
pub enum HostError {
    /// A file cannot be read or written.
    File(io::Error),
    /// The folder holds no reader.
    NotEnrolled {
        /// Which folder.
        folder: PathBuf,
    },
    /// A reader is enrolled in the folder already.
    Enrolled {
        /// Which folder.
        folder: PathBuf,
    },
    /// Another process works in the folder.
    Locked {
        /// Which folder.
        folder: PathBuf,
    },
    /// A file of the folder is none that this version wrote.
    Damaged {
        /// Which.
        file: PathBuf,
    },
    /// The stored journal does not chain.
    Journal {
        /// In which file.
        file: PathBuf,
        /// Why.
        source: JournalError,
    },
    /// The stored memory is not one.
    Memory {
        /// In which file.
        file: PathBuf,
        /// Why.
        source: MemoryError,
    },
    /// The stored root is no certificate.
    Root {
        /// In which file.
        file: PathBuf,
        /// Why.
        source: AnchorError,
    },
    /// The key of the reader cannot sign.
    Key(BadKey),
    /// The secure element did not serve.
    Element(ElementError),
    /// What the city sent is refused; what was there before still counts.
    Rejected(Rejection),
    /// The tap ended without a deed.
    NoDeed,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(_) => f.write_str("cannot use the reader's files"),
            Self::NotEnrolled { folder } => {
                write!(f, "no reader is enrolled in `{}`", folder.display())
            }
            Self::Enrolled { folder } => {
                write!(f, "a reader is enrolled in `{}` already", folder.display())
            }
            Self::Locked { folder } => {
                write!(f, "another process works with the reader in `{}`", folder.display())
            }
            Self::Damaged { file } => {
                write!(f, "the reader's file `{}` is damaged", file.display())
            }
            Self::Journal { file, .. } => {
                write!(f, "the journal in `{}` does not hold", file.display())
            }
            Self::Memory { file, .. } => {
                write!(f, "the memory in `{}` does not hold", file.display())
            }
            Self::Root { file, .. } => {
                write!(f, "the root of the city in `{}` cannot be used", file.display())
            }
            Self::Key(_) => f.write_str("the key of the reader cannot sign"),
            Self::Element(_) => f.write_str("cannot use the keys of the secure element"),
            Self::Rejected(rejection) => write!(f, "the reader refuses it: {rejection}"),
            Self::NoDeed => f.write_str("the tap ended without a deed"),
        }
    }
}

impl std::error::Error for HostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(source) => Some(source),
            Self::Journal { source, .. } => Some(source),
            Self::Memory { source, .. } => Some(source),
            Self::Root { source, .. } => Some(source),
            Self::Key(source) => Some(source),
            Self::Element(source) => Some(source),
            _ => None,
        }
    }
}

impl From<io::Error> for HostError {
    fn from(source: io::Error) -> Self {
        Self::File(source)
    }
}
