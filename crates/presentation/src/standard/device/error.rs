//! Why a device's end of a transaction ends without success, and what it tells the reader.

use core::fmt;

use credential::rejection::Rejection;

use super::super::tlv::TlvError;
use crate::apdu::chain::bare::JoinCommandError;
use crate::apdu::{ParseCommandError, StatusWord};
use crate::session::ChannelError;

/// Why a transaction ended without success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// The reader sent bytes that are no command.
    Command(ParseCommandError),
    /// The reader's chain of commands does not fit together.
    Chain(JoinCommandError),
    /// The reader sent a command, or the caller an input, that does not belong here.
    Unexpected,
    /// More commands before AUTH0 than anyone needs.
    TooManyCommands,
    /// A command is of another class.
    Class,
    /// A command is not of this application.
    Instruction,
    /// A command has other parameters P1-P2 than it must.
    Parameters,
    /// A command's data are malformed.
    Data(TlvError),
    /// The reader chose a version that was not offered.
    Version,
    /// The reader's ephemeral key is not a point of the curve.
    ReaderEphemeral,
    /// The reader is of no group that this device knows.
    UnknownReader,
    /// The reader brought no certificate where it must, or one where it must not.
    Certificate,
    /// The reader's certificate does not hold.
    CertificateRejected(Rejection),
    /// The reader's signature does not verify for this transaction.
    ReaderSignature,
    /// The caller declined.
    Declined,
    /// A message does not open: it is not of this transaction, or was changed on its way.
    Channel(ChannelError),
    /// A message of the step-up phase is malformed.
    Envelope,
    /// The answer exceeds what a response carries.
    AnswerTooLong,
    /// The reader says that the transaction failed, for the reason of this code.
    ReaderFailed(u8),
    /// The reader, or the caller, did not go on in time.
    TimedOut,
    /// The reader has gone.
    LinkLost,
}

impl DeviceError {
    /// What the reader is told: it learns no more than it needs to go on.
    pub(super) fn status(&self) -> StatusWord {
        match self {
            Self::Command(_) | Self::Chain(_) | Self::AnswerTooLong => StatusWord::WRONG_LENGTH,
            Self::Class => StatusWord::WRONG_CLASS,
            Self::Instruction => StatusWord::WRONG_INSTRUCTION,
            Self::Parameters => StatusWord::WRONG_PARAMETERS,
            Self::Data(_) | Self::ReaderEphemeral | Self::Envelope => StatusWord::WRONG_DATA,
            Self::UnknownReader
            | Self::Certificate
            | Self::CertificateRejected(_)
            | Self::ReaderSignature
            | Self::Channel(_) => StatusWord::SECURITY,
            Self::Unexpected
            | Self::TooManyCommands
            | Self::Version
            | Self::Declined
            | Self::ReaderFailed(_)
            | Self::TimedOut
            | Self::LinkLost => StatusWord::CONDITIONS,
        }
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("answer reader: ")?;
        match self {
            Self::Command(error) => write!(f, "{error}"),
            Self::Chain(error) => write!(f, "{error}"),
            Self::Unexpected => f.write_str("a command that does not belong here"),
            Self::TooManyCommands => f.write_str("more commands before AUTH0 than anyone needs"),
            Self::Class => f.write_str("a command of another class"),
            Self::Instruction => f.write_str("an unknown command"),
            Self::Parameters => f.write_str("parameters P1-P2 that the command must not have"),
            Self::Data(error) => write!(f, "{error}"),
            Self::Version => f.write_str("it chose a version that was not offered"),
            Self::ReaderEphemeral => f.write_str("its ephemeral key is not a point of the curve"),
            Self::UnknownReader => f.write_str("it is of no group that this device knows"),
            Self::Certificate => f.write_str("a certificate is missing, or is one too many"),
            Self::CertificateRejected(rejection) => write!(f, "{rejection}"),
            Self::ReaderSignature => {
                f.write_str("its signature does not verify: another reader, or a replay")
            }
            Self::Declined => f.write_str("the owner declined"),
            Self::Channel(_) => {
                f.write_str("a message does not open with the keys of this transaction")
            }
            Self::Envelope => f.write_str("a message of the step-up phase is malformed"),
            Self::AnswerTooLong => f.write_str("the answer is longer than a response carries"),
            Self::ReaderFailed(code) => write!(f, "it failed with code `{code:02x}`"),
            Self::TimedOut => f.write_str("it did not go on in time"),
            Self::LinkLost => f.write_str("it has gone"),
        }
    }
}

impl core::error::Error for DeviceError {}
