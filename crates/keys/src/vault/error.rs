//! Why a vault did not do what it was asked.

use core::fmt;

use credential::delivery::DeliveryError;

use super::diversify::Kdf;
use super::{RunId, SECRETS_MAX, SecretHandle, SecretKind};
use crate::custody::State;
use crate::file::FileError;

/// Why a secret was not made, moved on or destroyed. Nothing has changed.
#[derive(Debug)]
pub enum VaultError {
    /// No secret has this handle here.
    Unknown {
        /// The handle asked for.
        handle: SecretHandle,
    },
    /// A field of the request does not fit the kind.
    Request {
        /// What was to be made.
        kind: SecretKind,
        /// The field.
        field: &'static str,
    },
    /// The token lacks a mechanism that the key policy names. Nothing else is taken in its place.
    KdfNotHere {
        /// What the policy names.
        kdf: Kdf,
        /// What is missing.
        mechanism: &'static str,
    },
    /// A secret's life goes one way: from published to active to retired, and then to its end.
    Backwards {
        /// Where it stands.
        state: State,
    },
    /// [`SECRETS_MAX`] secrets are held already.
    Full,
    /// The random generator or the cipher failed.
    Cryptography,
    /// The vault cannot be reached now; it may be later.
    Unavailable,
    /// Another process wrote the file since it was read: open it again.
    ChangedMeanwhile,
    /// The file could not be written.
    Write(FileError),
}

impl fmt::Display for VaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { handle } => write!(f, "keep secret: no `{handle}` in this vault"),
            Self::Request { kind, field } => {
                write!(f, "make secret: the `{field}` does not fit a key of kind `{kind}`")
            }
            Self::KdfNotHere { kdf, mechanism } => write!(
                f,
                "use card master: its policy says `{kdf}` and the token lacks `{mechanism}`; move it \
                 to a token that has it, or make a master under another policy"
            ),
            Self::Backwards { state } => {
                write!(f, "move secret on: it is {state}, and a key's life goes one way")
            }
            Self::Full => write!(f, "make secret: the vault holds its limit of `{SECRETS_MAX}`"),
            Self::Cryptography => f.write_str("keep secret: the cryptographic module failed"),
            Self::Unavailable => f.write_str("keep secret: the vault cannot be reached at present"),
            Self::ChangedMeanwhile => {
                f.write_str("write vault: another process changed it; open it again")
            }
            Self::Write(_) => f.write_str("write vault"),
        }
    }
}

impl core::error::Error for VaultError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Write(source) => Some(source),
            _ => None,
        }
    }
}

/// Why a key was not wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrapError {
    /// No secret has this handle here.
    Unknown {
        /// The handle asked for.
        handle: SecretHandle,
    },
    /// Keys of this kind do not leave in this way.
    Kind {
        /// What was asked for.
        kind: SecretKind,
    },
    /// The secret is retired.
    Retired {
        /// The handle asked for.
        handle: SecretHandle,
    },
    /// The recipient's key is no point of the curve, or the delivery cannot be made from it.
    Recipient(DeliveryError),
    /// The token lacks the mechanism that the key policy names.
    KdfNotHere {
        /// What the policy names.
        kdf: Kdf,
        /// What is missing.
        mechanism: &'static str,
    },
    /// The vault could not wrap now; it may be able to later.
    Unavailable,
}

impl fmt::Display for WrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { handle } => write!(f, "wrap key: no `{handle}` in this vault"),
            Self::Kind { kind } => write!(f, "wrap key: a key of kind `{kind}` does not leave so"),
            Self::Retired { handle } => write!(f, "wrap key: `{handle}` is retired"),
            Self::Recipient(error) => write!(f, "wrap key: {error}"),
            Self::KdfNotHere { kdf, mechanism } => write!(
                f,
                "wrap card key: the master's policy says `{kdf}` and the token lacks `{mechanism}`"
            ),
            Self::Unavailable => f.write_str("wrap key: the vault cannot wrap at present"),
        }
    }
}

impl core::error::Error for WrapError {}

/// Why a card was not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardError {
    /// No secret has this handle here.
    Unknown {
        /// The handle asked for.
        handle: SecretHandle,
    },
    /// The secret is no card master, or none in use.
    NotAMaster {
        /// The handle asked for.
        handle: SecretHandle,
    },
    /// No such run is under way: it was finished, or too many began after it.
    NoRun {
        /// The run asked for.
        run: RunId,
    },
    /// The answer has not the length of this kind of authentication.
    Length,
    /// The card does not hold the key: its answer is not made with it.
    Card,
    /// The token lacks the mechanism that the key policy names.
    KdfNotHere {
        /// What the policy names.
        kdf: Kdf,
        /// What is missing.
        mechanism: &'static str,
    },
    /// The vault cannot work now; it may be able to later.
    Unavailable,
}

impl fmt::Display for CardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { handle } => write!(f, "authenticate card: no `{handle}` in this vault"),
            Self::NotAMaster { handle } => {
                write!(f, "authenticate card: `{handle}` is no card master in use")
            }
            Self::NoRun { .. } => {
                f.write_str("authenticate card: no such run is under way; begin again")
            }
            Self::Length => f.write_str("authenticate card: the answer has another length"),
            Self::Card => f.write_str("authenticate card: the card does not hold the key"),
            Self::KdfNotHere { kdf, mechanism } => write!(
                f,
                "authenticate card: the master's policy says `{kdf}` and the token lacks `{mechanism}`"
            ),
            Self::Unavailable => f.write_str("authenticate card: the vault cannot work at present"),
        }
    }
}

impl core::error::Error for CardError {}

/// A cipher that failed: the module's fault, never the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherFault;

impl From<CipherFault> for CardError {
    fn from(_: CipherFault) -> Self {
        Self::Unavailable
    }
}

impl From<CipherFault> for WrapError {
    fn from(_: CipherFault) -> Self {
        Self::Unavailable
    }
}

impl From<CipherFault> for VaultError {
    fn from(_: CipherFault) -> Self {
        Self::Cryptography
    }
}

impl From<aws_lc_rs::error::Unspecified> for CipherFault {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self
    }
}
