//! Why the reader's end of a tap ends without a response.

use alloc::format;
use core::fmt;

use credential::rejection::Rejection;

use crate::apdu::chain::CollectResponseError;
use crate::apdu::{ParseResponseError, StatusWord};
use crate::engagement::ParseEngagementError;
use crate::ndef::handover::ParseHandoverError;
use crate::ndef::tag::ParseContainerError;
use crate::session::ChannelError;
use crate::session::message::{ParseSessionError, SessionStatus};

/// Why a session ended without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifierError {
    /// The phone sent bytes that are no response.
    Response(ParseResponseError),
    /// The phone refused a command.
    Status(StatusWord),
    /// The phone sent a response, or the caller an input, that does not belong here.
    Unexpected,
    /// The phone's capability container cannot be read on.
    Container(ParseContainerError),
    /// The phone gave more or fewer bytes of a file than asked for.
    ReadLength,
    /// The phone's NDEF file is empty or longer than it says it can be.
    MessageLength,
    /// The phone's message is not a usable Handover Select.
    Handover(ParseHandoverError),
    /// The phone does not offer to continue over NFC.
    NoCarrier,
    /// The phone's DeviceEngagement is not usable.
    Engagement(ParseEngagementError),
    /// The phone's ephemeral key is not a point of the curve.
    HolderKey,
    /// The caller's request exceeds what a session carries.
    RequestTooLong,
    /// The phone's answer breaks off or does not fit together.
    Collect(CollectResponseError),
    /// The phone's answer is not a message of a session.
    Answer(ParseSessionError),
    /// The phone's answer does not open: it is not of this session, or was changed on its way.
    Channel(ChannelError),
    /// The phone ended the session instead of answering.
    HolderEnded(SessionStatus),
    /// The phone, or the caller, did not go on in time.
    TimedOut,
    /// The phone has gone.
    LinkLost,
}

impl VerifierError {
    /// The same as a rejection: who is to blame, a stable code and plain words.
    #[must_use]
    pub fn rejection(&self) -> Rejection {
        let code = match self {
            Self::Channel(_) | Self::HolderKey => {
                return Rejection::holder("session-undecryptable", format!("{self}"));
            }
            Self::HolderEnded(_) => {
                return Rejection::holder("session-declined", format!("{self}"));
            }
            Self::Response(_) | Self::Status(_) | Self::Collect(_) => "apdu",
            Self::Container(_) | Self::ReadLength | Self::MessageLength => "ndef",
            Self::Handover(_) | Self::NoCarrier | Self::Engagement(_) => "engagement",
            Self::Answer(_) => "session-message",
            Self::Unexpected | Self::RequestTooLong => "session-out-of-order",
            Self::TimedOut => "session-timed-out",
            Self::LinkLost => "link-lost",
        };
        Rejection::wire(code, format!("{self}"))
    }
}

impl fmt::Display for VerifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("read phone: ")?;
        match self {
            Self::Response(error) => write!(f, "{error}"),
            Self::Status(status) => write!(f, "it refused a command with status `{status}`"),
            Self::Unexpected => f.write_str("a response or a request that does not belong here"),
            Self::Container(error) => write!(f, "{error}"),
            Self::ReadLength => f.write_str("it gave another number of bytes than asked for"),
            Self::MessageLength => f.write_str("its NDEF file is empty or too long"),
            Self::Handover(error) => write!(f, "{error}"),
            Self::NoCarrier => f.write_str("it does not offer to continue over NFC"),
            Self::Engagement(error) => write!(f, "{error}"),
            Self::HolderKey => f.write_str("its ephemeral key is not a point of the curve"),
            Self::RequestTooLong => f.write_str("request is longer than a session carries"),
            Self::Collect(error) => write!(f, "{error}"),
            Self::Answer(error) => write!(f, "{error}"),
            Self::Channel(_) => f.write_str(
                "answer does not open with the keys of this session: replayed or tampered",
            ),
            Self::HolderEnded(status) => write!(f, "it declined with status {status}"),
            Self::TimedOut => f.write_str("it did not go on in time"),
            Self::LinkLost => f.write_str("it has gone"),
        }
    }
}

impl core::error::Error for VerifierError {}
