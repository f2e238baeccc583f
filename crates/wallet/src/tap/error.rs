//! Why a tap showed nothing.

use alloc::string::String;
use core::fmt;

use credential::mdoc;
use credential::rejection::Rejection;
use presentation::holder::HolderError;
use presentation::standard::device::DeviceError;

use crate::secure_element::SecureElementError;

/// Why nothing was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapError {
    /// The reader did not prove who it is.
    Reader(Rejection),
    /// The request is not what the standard demands.
    Request(Rejection),
    /// No pass fits what was asked for.
    NoPass {
        /// What was asked for.
        doc_type: String,
    },
    /// The owner declined.
    Declined,
    /// The secure element did not sign.
    Element(SecureElementError),
    /// A stored document cannot be shown.
    Document(mdoc::DiscloseError),
    /// The session broke.
    Session(HolderError),
    /// A standard or fast tap broke.
    Standard(DeviceError),
    /// The session ended before the reader had its answer.
    Unfinished,
}

impl fmt::Display for TapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reader(_) => f.write_str("the reader is not trusted"),
            Self::Request(_) => f.write_str("the request is malformed"),
            Self::NoPass { doc_type } => write!(f, "no pass of the type `{doc_type}`"),
            Self::Declined => f.write_str("the owner declined"),
            Self::Element(_) => f.write_str("the secure element did not sign"),
            Self::Document(_) => f.write_str("the stored document cannot be shown"),
            Self::Session(_) | Self::Standard(_) => f.write_str("the session broke"),
            Self::Unfinished => f.write_str("the reader left before it had its answer"),
        }
    }
}

impl core::error::Error for TapError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Reader(source) | Self::Request(source) => Some(source),
            Self::Element(source) => Some(source),
            Self::Document(source) => Some(source),
            Self::Session(source) => Some(source),
            Self::Standard(source) => Some(source),
            _ => None,
        }
    }
}
