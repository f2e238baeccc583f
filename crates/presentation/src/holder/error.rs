//! Why the wallet's end of a tap ends early.

use alloc::format;
use core::fmt;

use credential::rejection::Rejection;

use crate::apdu::ParseCommandError;
use crate::apdu::chain::CollectCommandError;
use crate::session::ChannelError;
use crate::session::message::{ParseSessionError, SessionStatus};

/// Why a session ended before the reader had a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderError {
    /// The reader sent bytes that are no command.
    Command(ParseCommandError),
    /// The reader broke a chain of commands.
    Chain(CollectCommandError),
    /// The reader sent a command, or the caller an input, that does not belong here.
    Unexpected,
    /// The reader sent more commands than [`super::ENGAGING_COMMANDS_MAX`] before the session.
    TooManyCommands,
    /// The reader's SessionEstablishment is malformed.
    Establishment(ParseSessionError),
    /// The reader's ephemeral key is not a point of the curve.
    ReaderKey,
    /// The reader's request does not open.
    Request(ChannelError),
    /// The caller's response could not be sealed.
    Response(ChannelError),
    /// The caller's response exceeds what a session carries.
    ResponseTooLong,
    /// The reader reported a status instead of saying that it is done.
    Reported(SessionStatus),
    /// The caller did not decide in time.
    ConsentTimedOut,
    /// The reader did not go on in time.
    TimedOut,
    /// The reader has gone.
    LinkLost,
}

impl HolderError {
    /// The same as a rejection: who is to blame, a stable code and plain words.
    #[must_use]
    pub fn rejection(&self) -> Rejection {
        let code = match self {
            Self::Request(_) | Self::ReaderKey => {
                return Rejection::reader("session-undecryptable", format!("{self}"));
            }
            Self::Response(_) | Self::ResponseTooLong | Self::ConsentTimedOut => {
                return Rejection::holder("session-unanswered", format!("{self}"));
            }
            Self::Command(_) | Self::Chain(_) => "apdu",
            Self::Establishment(_) => "session-message",
            Self::Unexpected | Self::TooManyCommands => "session-out-of-order",
            Self::Reported(_) => "session-ended",
            Self::TimedOut => "session-timed-out",
            Self::LinkLost => "link-lost",
        };
        Rejection::wire(code, format!("{self}"))
    }
}

impl fmt::Display for HolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("answer tap: ")?;
        match self {
            Self::Command(error) => write!(f, "{error}"),
            Self::Chain(error) => write!(f, "{error}"),
            Self::Unexpected => f.write_str("a command or an answer that does not belong here"),
            Self::TooManyCommands => {
                f.write_str("reader sent more than 256 commands before a session")
            }
            Self::Establishment(error) => write!(f, "{error}"),
            Self::ReaderKey => {
                f.write_str("ephemeral key of the reader is not a point of the curve")
            }
            Self::Request(_) => f.write_str(
                "request does not open with the keys of this session: replayed or tampered",
            ),
            Self::Response(error) => write!(f, "{error}"),
            Self::ResponseTooLong => f.write_str("response is longer than a session carries"),
            Self::Reported(status) => write!(f, "reader reported status {status}"),
            Self::ConsentTimedOut => f.write_str("nobody decided about the request in time"),
            Self::TimedOut => f.write_str("reader did not go on in time"),
            Self::LinkLost => f.write_str("reader has gone"),
        }
    }
}

impl core::error::Error for HolderError {}
