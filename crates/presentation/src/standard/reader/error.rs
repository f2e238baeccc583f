//! Why a reader's end of a transaction ends without success.

use alloc::format;
use core::fmt;

use credential::rejection::Rejection;

use super::super::exchange::ParseAnswerError;
use super::super::tlv::TlvError;
use crate::apdu::chain::CollectResponseError;
use crate::apdu::{EncodeCommandError, ParseResponseError};
use crate::session::ChannelError;

/// Why a transaction ended without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderError {
    /// The device sent bytes that are no response.
    Response(ParseResponseError),
    /// The device refused a command, or its answer does not fit together.
    Collect(CollectResponseError),
    /// The device sent a response, or the caller an input, that does not belong here.
    Unexpected,
    /// A command exceeds what a link carries.
    Command(EncodeCommandError),
    /// The device's answer is malformed.
    Data(TlvError),
    /// There is no version that both speak.
    NoVersion,
    /// The device's ephemeral key is not a point of the curve, or is the reader's own.
    DeviceEphemeral,
    /// An answer does not open: it is not of this transaction, or was changed on its way.
    Channel(ChannelError),
    /// The device names a key slot that the caller does not know.
    UnknownDevice,
    /// The device's signature does not verify for this transaction.
    DeviceSignature,
    /// The device's answer to EXCHANGE is malformed.
    Exchange(ParseAnswerError),
    /// The device has nothing to give in a step-up phase, or the phase follows a fast one.
    NoStepUp,
    /// An answer of the step-up phase is malformed.
    Envelope,
    /// The device, or the caller, did not go on in time.
    TimedOut,
    /// The device has gone.
    LinkLost,
}

impl ReaderError {
    /// The same as a rejection: who is to blame, a stable code and plain words.
    #[must_use]
    pub fn rejection(&self) -> Rejection {
        let message = format!("{self}");
        match self {
            Self::Channel(_) | Self::DeviceEphemeral => {
                Rejection::holder("session-undecryptable", message)
            }
            Self::DeviceSignature => Rejection::holder("device-signature", message),
            Self::UnknownDevice => Rejection::trust("device-unknown", message),
            Self::Response(_) | Self::Collect(_) | Self::Command(_) => {
                Rejection::wire("apdu", message)
            }
            Self::Data(_) | Self::Exchange(_) | Self::Envelope => {
                Rejection::wire("session-message", message)
            }
            Self::NoVersion => Rejection::wire("version", message),
            Self::Unexpected | Self::NoStepUp => Rejection::wire("session-out-of-order", message),
            Self::TimedOut => Rejection::wire("session-timed-out", message),
            Self::LinkLost => Rejection::wire("link-lost", message),
        }
    }
}

impl fmt::Display for ReaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("read device: ")?;
        match self {
            Self::Response(error) => write!(f, "{error}"),
            Self::Collect(error) => write!(f, "{error}"),
            Self::Unexpected => f.write_str("a response or an input that does not belong here"),
            Self::Command(error) => write!(f, "{error}"),
            Self::Data(error) => write!(f, "{error}"),
            Self::NoVersion => f.write_str("no version that both speak"),
            Self::DeviceEphemeral => {
                f.write_str("its ephemeral key is not a point of the curve, or is the reader's own")
            }
            Self::Channel(_) => f.write_str(
                "answer does not open with the keys of this transaction: replayed or tampered",
            ),
            Self::UnknownDevice => f.write_str("it names a key slot that nobody knows"),
            Self::DeviceSignature => f.write_str("its signature does not verify"),
            Self::Exchange(error) => write!(f, "{error}"),
            Self::NoStepUp => f.write_str("it has no step-up phase to offer"),
            Self::Envelope => f.write_str("an answer of the step-up phase is malformed"),
            Self::TimedOut => f.write_str("it did not go on in time"),
            Self::LinkLost => f.write_str("it has gone"),
        }
    }
}

impl core::error::Error for ReaderError {}
