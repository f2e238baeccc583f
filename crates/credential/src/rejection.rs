//! The one error of verification: who is to blame, a stable code, and plain words.

use alloc::string::String;
use core::fmt;

use crate::cbor::CborError;

/// Why a credential or a peer is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Whose fault it is.
    pub culprit: Culprit,
    /// A stable word for programs, in kebab case, such as `digest-mismatch`.
    pub code: &'static str,
    /// Plain words for people; lower case, no full stop, the offending part in backticks.
    pub message: String,
}

/// Whose fault a rejection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Culprit {
    /// What the issuer signed, or should have signed, does not hold.
    Issuer,
    /// The holder's proof does not hold.
    Holder,
    /// The reader's proof does not hold.
    Reader,
    /// The bytes are not what the format demands.
    Wire,
    /// The document is good, but not now.
    Time,
    /// No path leads to a trust anchor.
    Trust,
}

impl Culprit {
    /// The word in machine-readable answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Holder => "holder",
            Self::Reader => "reader",
            Self::Wire => "wire",
            Self::Time => "time",
            Self::Trust => "trust",
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Rejection {
    /// A rejection from its three parts.
    pub fn new(culprit: Culprit, code: &'static str, message: impl Into<String>) -> Self {
        Self { culprit, code, message: message.into() }
    }

    /// The fault of the issuer.
    pub fn issuer(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Culprit::Issuer, code, message)
    }

    /// The fault of the holder.
    pub fn holder(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Culprit::Holder, code, message)
    }

    /// The fault of the reader.
    pub fn reader(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Culprit::Reader, code, message)
    }

    /// Bytes that the format forbids.
    pub fn wire(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Culprit::Wire, code, message)
    }

    /// The wrong moment.
    pub fn time(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Culprit::Time, code, message)
    }

    /// No path to a trust anchor.
    pub fn trust(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Culprit::Trust, code, message)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for Rejection {}

impl From<CborError> for Rejection {
    fn from(error: CborError) -> Self {
        Self::wire("cbor", alloc::format!("{error}"))
    }
}
