//! What a card says no with.

use presentation::apdu::StatusWord;

use crate::memory::MemoryFault;

/// A status of a native command, second byte of `91 xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Done.
    Done = 0x00,
    /// No room for another application.
    Full = 0x0e,
    /// No such command.
    Command = 0x1c,
    /// MAC, padding or check sum is wrong.
    Integrity = 0x1e,
    /// No such key.
    Key = 0x40,
    /// Wrong length.
    Length = 0x7e,
    /// This key may not.
    Permission = 0x9d,
    /// A value that the command does not take.
    Parameter = 0x9e,
    /// No such application.
    Application = 0xa0,
    /// Too many authentications failed.
    Delay = 0xad,
    /// The key is wrong, or there is no session.
    Authentication = 0xae,
    /// The other half is awaited.
    More = 0xaf,
    /// Outside the file.
    Boundary = 0xbe,
    /// The session is used up.
    Aborted = 0xca,
    /// It is there already.
    Duplicate = 0xde,
    /// The memory failed.
    Memory = 0xee,
    /// No such file.
    File = 0xf0,
}

impl Status {
    pub(crate) const fn word(self) -> StatusWord {
        StatusWord(0x9100 | self as u16)
    }
}

/// A command was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusError(pub(crate) Status);

impl From<Status> for StatusError {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

impl From<MemoryFault> for StatusError {
    fn from(_: MemoryFault) -> Self {
        Self(Status::Memory)
    }
}
