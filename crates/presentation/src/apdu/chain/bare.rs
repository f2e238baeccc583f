//! Command chaining of any instruction, its data as they are (ISO/IEC 7816-4 clause 5.3.3).

use alloc::vec::Vec;
use core::fmt;

use super::super::{Command, EncodeCommandError, LinkLimits};

/// The bit of the class that says that another command of the chain follows.
pub const MORE_BIT: u8 = 0x10;

/// The commands that carry the data of `command`, in the order to send them. Only the last asks
/// for the answer.
///
/// # Errors
/// [`EncodeCommandError`] when the expected length exceeds the extended form.
pub fn commands(
    command: &Command<'_>,
    limits: LinkLimits,
) -> Result<Vec<Vec<u8>>, EncodeCommandError> {
    let room = usize::from(limits.command_data_bytes());
    if command.data.len() <= room {
        return Ok(alloc::vec![command.encode()?]);
    }
    let mut chunks = command.data.chunks(room).peekable();
    let mut commands = Vec::new();
    while let Some(data) = chunks.next() {
        let part = match chunks.peek() {
            Some(_) => {
                Command { class: command.class | MORE_BIT, data, expected_bytes: 0, ..*command }
            }
            None => Command { data, ..*command },
        };
        commands.push(part.encode()?);
    }
    Ok(commands)
}

/// The other end of a chain: joins commands until one is whole.
#[derive(Debug)]
pub struct CommandJoiner {
    bytes_max: usize,
    header: Option<[u8; 4]>,
    data: Vec<u8>,
}

/// A whole command: one that came alone, or a chain that ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Joined {
    /// CLA without the bit of chaining, INS, P1, P2.
    pub header: [u8; 4],
    /// The data field of all commands of the chain.
    pub data: Vec<u8>,
    /// Ne of the last command.
    pub expected_bytes: u32,
}

impl CommandJoiner {
    /// A joiner of chains with up to `bytes_max` bytes of data.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, header: None, data: Vec::new() }
    }

    /// Whether a chain has begun and not ended.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.header.is_some()
    }

    /// Takes the next command: gives it whole, or nothing where others of its chain follow, which
    /// is to be answered with 9000. An error forgets the chain.
    ///
    /// # Errors
    /// [`JoinCommandError`] when the command does not continue the chain that has begun, or the
    /// chain exceeds its limit.
    pub fn push(&mut self, command: &Command<'_>) -> Result<Option<Joined>, JoinCommandError> {
        let header = [command.class & !MORE_BIT, command.instruction, command.p1, command.p2];
        let begun = self.header.take();
        let mut data = core::mem::take(&mut self.data);
        if begun.is_some_and(|begun| begun != header) {
            return Err(JoinCommandError::Broken);
        }
        if data.len() + command.data.len() > self.bytes_max {
            return Err(JoinCommandError::TooLong);
        }
        data.extend_from_slice(command.data);
        if command.class & MORE_BIT == 0 {
            return Ok(Some(Joined { header, data, expected_bytes: command.expected_bytes }));
        }
        if command.data.is_empty() || command.expected_bytes != 0 {
            return Err(JoinCommandError::Part);
        }
        (self.header, self.data) = (Some(header), data);
        Ok(None)
    }
}

/// Why a command does not continue a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinCommandError {
    /// Another command in the middle of a chain.
    Broken,
    /// A command before the last has no data, or asks for an answer.
    Part,
    /// The chain exceeds its limit.
    TooLong,
}

impl fmt::Display for JoinCommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "join chained commands: another command in the middle of a chain",
            Self::Part => {
                "join chained commands: a part without data, or one that asks for an answer"
            }
            Self::TooLong => "join chained commands: more data than the chain may have",
        })
    }
}

impl core::error::Error for JoinCommandError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMMAND: Command<'_> =
        Command { class: 0x80, instruction: 0x81, p1: 0, p2: 0, data: &[], expected_bytes: 256 };

    #[test]
    fn what_breaks_a_chain_is_refused_and_forgotten() {
        let first = Command { class: 0x90, data: &[1], expected_bytes: 0, ..COMMAND };
        for (next, error) in [
            (Command { instruction: 0xD1, ..first }, JoinCommandError::Broken),
            (Command { class: 0x10, ..first }, JoinCommandError::Broken),
            (Command { p2: 1, ..first }, JoinCommandError::Broken),
            (Command { data: &[], ..first }, JoinCommandError::Part),
            (Command { expected_bytes: 1, ..first }, JoinCommandError::Part),
            (Command { data: &[2; 8], ..first }, JoinCommandError::TooLong),
        ] {
            let mut joiner = CommandJoiner::new(8);
            assert_eq!(joiner.push(&first), Ok(None));
            assert_eq!(joiner.push(&next), Err(error));
            assert!(!joiner.is_open());
            assert!(joiner.push(&COMMAND).unwrap().unwrap().data.is_empty());
        }
    }

    proptest! {
        #[test]
        fn data_arrive_whole(data in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let mut joiner = CommandJoiner::new(data.len());
            let parts = commands(&Command { data: &data, ..COMMAND }, LinkLimits::SHORT).unwrap();
            prop_assert_eq!(parts.len(), data.len().div_ceil(255).max(1));
            let (last, first) = parts.split_last().unwrap();
            for part in first {
                prop_assert_eq!(joiner.push(&Command::parse(part).unwrap()), Ok(None));
            }
            let whole = joiner.push(&Command::parse(last).unwrap()).unwrap().unwrap();
            let header = [0x80, 0x81, 0, 0];
            prop_assert_eq!(whole, Joined { header, data, expected_bytes: 256 });
        }
    }
}
