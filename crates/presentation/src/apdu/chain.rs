//! Messages longer than one APDU: command chaining towards the holder and GET RESPONSE towards
//! the reader (ISO/IEC 7816-4 clauses 5.3.3 and 5.3.4, ISO/IEC 18013-5 clause 8.3.3.1.2).
//!
//! Each end is a small value that takes one APDU at a time. A collector never holds more than its
//! named limit and never accepts a step without progress, so a peer cannot keep it busy.

pub mod bare;

use alloc::vec::Vec;
use core::fmt;

use super::object::{self, UnwrapError};
use super::{
    CLASS_LAST, CLASS_MORE, Command, ENVELOPE, EncodeCommandError, GET_RESPONSE, LinkLimits,
    Response, StatusWord,
};

/// Bytes in one message to the holder, its data object included.
pub const COMMAND_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Bytes in one message to the reader, its data object included.
pub const RESPONSE_MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// The ENVELOPE commands that carry `message`, in the order to send them.
///
/// # Errors
/// [`EnvelopeError`] when the message exceeds [`COMMAND_MESSAGE_BYTES_MAX`].
pub fn envelopes(message: &[u8], limits: LinkLimits) -> Result<Vec<Vec<u8>>, EnvelopeError> {
    let object = object::wrap(message).map_err(|_| EnvelopeError)?;
    if object.len() > COMMAND_MESSAGE_BYTES_MAX {
        return Err(EnvelopeError);
    }
    let command = Command {
        class: CLASS_LAST,
        instruction: ENVELOPE,
        p1: 0,
        p2: 0,
        data: &object,
        expected_bytes: limits.response_data_bytes(),
    };
    bare::commands(&command, limits).map_err(|_: EncodeCommandError| EnvelopeError)
}

/// A message too long for one chain of ENVELOPE commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeError;

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("chain message into ENVELOPE commands: more than 65,536 bytes")
    }
}

impl core::error::Error for EnvelopeError {}

/// The holder's end of a chain: collects ENVELOPE commands until a message is whole.
#[derive(Debug, Default)]
pub struct CommandCollector {
    object: Vec<u8>,
}

/// What a command added to a chain.
#[derive(Debug, PartialEq, Eq)]
pub enum Collected {
    /// More commands of the chain follow; answer 9000.
    More,
    /// The message is whole; the answer may carry `expected_bytes` (1 to 65,536) at a time.
    Whole {
        /// The content of the data object.
        message: Vec<u8>,
        /// Ne of the last command.
        expected_bytes: u32,
    },
}

impl CommandCollector {
    /// Takes the next command of the chain. After [`Collected::Whole`] a new chain begins; after
    /// an error the collector is to be dropped.
    ///
    /// # Errors
    /// [`CollectCommandError`] when the command does not continue a chain, or the chain exceeds
    /// [`COMMAND_MESSAGE_BYTES_MAX`].
    pub fn push(&mut self, command: &Command<'_>) -> Result<Collected, CollectCommandError> {
        if (command.instruction, command.p1, command.p2) != (ENVELOPE, 0, 0) {
            return Err(CollectCommandError::NotEnvelope);
        }
        if command.data.is_empty() {
            return Err(CollectCommandError::Empty);
        }
        if self.object.len() + command.data.len() > COMMAND_MESSAGE_BYTES_MAX {
            return Err(CollectCommandError::TooLong);
        }
        self.object.extend_from_slice(command.data);
        match (command.class, command.expected_bytes) {
            (CLASS_MORE, 0) => Ok(Collected::More),
            (CLASS_LAST, expected_bytes @ 1..) => {
                let object = core::mem::take(&mut self.object);
                let message = object::unwrap(&object).map_err(CollectCommandError::Object)?;
                Ok(Collected::Whole { message: message.to_vec(), expected_bytes })
            }
            (CLASS_MORE | CLASS_LAST, _) => Err(CollectCommandError::Expected),
            _ => Err(CollectCommandError::Class),
        }
    }
}

/// Why a command does not continue a chain of ENVELOPE commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectCommandError {
    /// Another instruction, or P1-P2 not zero.
    NotEnvelope,
    /// Neither 00 nor 10.
    Class,
    /// No data.
    Empty,
    /// Le on a command before the last, or none on the last.
    Expected,
    /// The chain exceeds [`COMMAND_MESSAGE_BYTES_MAX`].
    TooLong,
    /// The whole chain is not one data object '53'.
    Object(UnwrapError),
}

impl fmt::Display for CollectCommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("collect chained command: ")?;
        f.write_str(match self {
            Self::NotEnvelope => "not an ENVELOPE with P1-P2 zero",
            Self::Class => "class is neither 00 nor 10",
            Self::Empty => "no data",
            Self::Expected => "expected length on a command before the last, or none on the last",
            Self::TooLong => "more than 65,536 bytes",
            Self::Object(_) => "not one data object 53",
        })
    }
}

impl core::error::Error for CollectCommandError {}

/// The holder's end of an answer: hands out a message in as many responses as the reader asks for.
#[derive(Debug)]
pub struct ResponseQueue {
    object: Vec<u8>,
    sent: usize,
}

impl ResponseQueue {
    /// A queue for `message`.
    ///
    /// # Errors
    /// [`QueueResponseError`] when it exceeds [`RESPONSE_MESSAGE_BYTES_MAX`].
    pub fn new(message: &[u8]) -> Result<Self, QueueResponseError> {
        Self::bare(object::wrap(message).map_err(|_| QueueResponseError)?)
    }

    /// A queue for `bytes` as they are, without a data object around them.
    ///
    /// # Errors
    /// [`QueueResponseError`] when they exceed [`RESPONSE_MESSAGE_BYTES_MAX`].
    pub fn bare(bytes: Vec<u8>) -> Result<Self, QueueResponseError> {
        if bytes.len() > RESPONSE_MESSAGE_BYTES_MAX {
            return Err(QueueResponseError);
        }
        Ok(Self { object: bytes, sent: 0 })
    }

    /// The next response APDU, with at most `expected_bytes` of data. The status is 9000 on the
    /// last, 61xx with the bytes left when at most 255 are, else 6100.
    pub fn take(&mut self, expected_bytes: u32) -> Vec<u8> {
        let left = self.object.get(self.sent..).unwrap_or_default();
        let size = usize::try_from(expected_bytes).unwrap_or(usize::MAX).min(left.len());
        let (data, rest) = left.split_at(size);
        let status = match u8::try_from(rest.len()) {
            Ok(0) => StatusWord::OK,
            Ok(count) => StatusWord::more_left(count),
            Err(_) => StatusWord::more_left(0),
        };
        self.sent += size;
        Response { data, status }.encode()
    }

    /// Whether everything was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent >= self.object.len()
    }
}

/// A message too long to answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueResponseError;

impl fmt::Display for QueueResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("queue response message: more than 262,144 bytes")
    }
}

impl core::error::Error for QueueResponseError {}

/// The reader's end of an answer: collects responses until the message is whole.
#[derive(Debug)]
pub struct ResponseCollector {
    object: Vec<u8>,
    limits: LinkLimits,
    expected_bytes: u32,
}

/// What a response added to an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// More waits; send this GET RESPONSE.
    More(Vec<u8>),
    /// The message is whole: the content of the data object.
    Whole(Vec<u8>),
}

impl ResponseCollector {
    /// A collector for the answer to the last ENVELOPE of a chain over a link with these limits.
    #[must_use]
    pub const fn new(limits: LinkLimits) -> Self {
        Self { object: Vec::new(), limits, expected_bytes: limits.response_data_bytes() }
    }

    /// Takes the next response. After an error or [`Answer::Whole`] the collector is to be dropped.
    ///
    /// # Errors
    /// [`CollectResponseError`] when the response fails, brings more than was asked for, brings
    /// nothing, or the message exceeds [`RESPONSE_MESSAGE_BYTES_MAX`].
    pub fn push(&mut self, response: &Response<'_>) -> Result<Answer, CollectResponseError> {
        match self.push_bare(response)? {
            Answer::Whole(object) if object.is_empty() => Err(CollectResponseError::Empty),
            Answer::Whole(object) => {
                let message = object::unwrap(&object).map_err(CollectResponseError::Object)?;
                Ok(Answer::Whole(message.to_vec()))
            }
            more => Ok(more),
        }
    }

    /// Takes the next response of an answer without a data object around it, which may be empty.
    ///
    /// # Errors
    /// As [`ResponseCollector::push`].
    pub fn push_bare(&mut self, response: &Response<'_>) -> Result<Answer, CollectResponseError> {
        let more = response.status.more();
        if response.status != StatusWord::OK && more.is_none() {
            return Err(CollectResponseError::Status(response.status));
        }
        if response.data.is_empty() && (more.is_some() || !self.object.is_empty()) {
            return Err(CollectResponseError::Empty);
        }
        if u32::try_from(response.data.len()).map_or(true, |size| size > self.expected_bytes) {
            return Err(CollectResponseError::Unasked);
        }
        if self.object.len() + response.data.len() > RESPONSE_MESSAGE_BYTES_MAX {
            return Err(CollectResponseError::TooLong);
        }
        self.object.extend_from_slice(response.data);
        let Some(left) = more else {
            return Ok(Answer::Whole(core::mem::take(&mut self.object)));
        };
        self.expected_bytes = match left {
            0 => self.limits.response_data_bytes(),
            left => u32::from(left),
        };
        Ok(Answer::More(get_response(self.expected_bytes)))
    }
}

/// Why a response does not continue an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectResponseError {
    /// The status is neither 9000 nor 61xx.
    Status(StatusWord),
    /// No data.
    Empty,
    /// More data than the command asked for.
    Unasked,
    /// The message exceeds [`RESPONSE_MESSAGE_BYTES_MAX`].
    TooLong,
    /// The whole answer is not one data object '53'.
    Object(UnwrapError),
}

impl fmt::Display for CollectResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("collect response: ")?;
        match self {
            Self::Status(status) => write!(f, "status `{status}`"),
            Self::Empty => f.write_str("no data"),
            Self::Unasked => f.write_str("more data than asked for"),
            Self::TooLong => f.write_str("more than 262,144 bytes"),
            Self::Object(_) => f.write_str("not one data object 53"),
        }
    }
}

impl core::error::Error for CollectResponseError {}

/// GET RESPONSE for 1 to 65,536 bytes.
fn get_response(expected_bytes: u32) -> Vec<u8> {
    let command = Command {
        class: CLASS_LAST,
        instruction: GET_RESPONSE,
        p1: 0,
        p2: 0,
        data: &[],
        expected_bytes,
    };
    // INVARIANT: the limits of a link keep the length within the extended form.
    command.encode().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    /// The message as it leaves the holder's collector.
    fn through_commands(message: &[u8], limits: LinkLimits) -> (usize, Vec<u8>) {
        let commands = envelopes(message, limits).unwrap();
        let mut collector = CommandCollector::default();
        for (index, bytes) in commands.iter().enumerate() {
            match collector.push(&Command::parse(bytes).unwrap()).unwrap() {
                Collected::More => assert!(index + 1 < commands.len()),
                Collected::Whole { message, expected_bytes } => {
                    assert_eq!(index + 1, commands.len());
                    assert_eq!(expected_bytes, limits.response_data_bytes());
                    return (commands.len(), message);
                }
            }
        }
        panic!("the chain never ended");
    }

    /// The message as it leaves the reader's collector.
    fn through_responses(message: &[u8], limits: LinkLimits) -> (usize, Vec<u8>) {
        let mut queue = ResponseQueue::new(message).unwrap();
        let mut collector = ResponseCollector::new(limits);
        let mut expected_bytes = limits.response_data_bytes();
        for count in 1.. {
            let bytes = queue.take(expected_bytes);
            match collector.push(&Response::parse(&bytes).unwrap()).unwrap() {
                Answer::More(next) => {
                    expected_bytes = Command::parse(&next).unwrap().expected_bytes
                }
                Answer::Whole(message) => {
                    assert!(queue.is_empty());
                    return (count, message);
                }
            }
        }
        unreachable!()
    }

    #[test]
    fn messages_at_the_limit_pass_and_one_byte_more_is_refused() {
        let longest = vec![1; COMMAND_MESSAGE_BYTES_MAX - 5];
        assert_eq!(through_commands(&longest, LinkLimits::SHORT).1, longest);
        assert_eq!(
            envelopes(&vec![1; COMMAND_MESSAGE_BYTES_MAX - 3], LinkLimits::SHORT),
            Err(EnvelopeError)
        );
        let longest = vec![1; RESPONSE_MESSAGE_BYTES_MAX - 5];
        assert_eq!(through_responses(&longest, LinkLimits::SHORT).1, longest);
        assert!(ResponseQueue::new(&vec![1; RESPONSE_MESSAGE_BYTES_MAX - 4]).is_err());
    }

    #[test]
    fn a_chain_that_never_ends_stops_at_the_limit() {
        let mut collector = CommandCollector::default();
        let data = [0; 256];
        let command = Command {
            class: CLASS_MORE,
            instruction: ENVELOPE,
            p1: 0,
            p2: 0,
            data: &data,
            expected_bytes: 0,
        };
        for _ in 0..COMMAND_MESSAGE_BYTES_MAX / 256 {
            assert_eq!(collector.push(&command), Ok(Collected::More));
        }
        assert_eq!(collector.push(&command), Err(CollectCommandError::TooLong));
        let mut collector = ResponseCollector::new(LinkLimits::SHORT);
        let response = Response { data: &data, status: StatusWord::more_left(0) };
        for _ in 0..RESPONSE_MESSAGE_BYTES_MAX / 256 {
            assert!(matches!(collector.push(&response), Ok(Answer::More(_))));
        }
        assert_eq!(collector.push(&response), Err(CollectResponseError::TooLong));
    }

    #[test]
    fn commands_out_of_place_are_refused() {
        let valid = Command {
            class: CLASS_LAST,
            instruction: ENVELOPE,
            p1: 0,
            p2: 0,
            data: &[0x53, 0],
            expected_bytes: 256,
        };
        for (command, error) in [
            (Command { instruction: GET_RESPONSE, ..valid }, CollectCommandError::NotEnvelope),
            (Command { p2: 1, ..valid }, CollectCommandError::NotEnvelope),
            (Command { class: 0x01, ..valid }, CollectCommandError::Class),
            (Command { data: &[], ..valid }, CollectCommandError::Empty),
            (Command { expected_bytes: 0, ..valid }, CollectCommandError::Expected),
            (Command { class: CLASS_MORE, ..valid }, CollectCommandError::Expected),
            (
                Command { data: &[0x53, 1], ..valid },
                CollectCommandError::Object(UnwrapError::Length),
            ),
        ] {
            assert_eq!(CommandCollector::default().push(&command), Err(error));
        }
        assert!(CommandCollector::default().push(&valid).is_ok());
    }

    #[test]
    fn responses_out_of_place_are_refused() {
        let data = [0x53; 257];
        for (data, status, error) in [
            (
                &[0x53, 0][..],
                StatusWord::FAILURE,
                CollectResponseError::Status(StatusWord::FAILURE),
            ),
            (&[], StatusWord::OK, CollectResponseError::Empty),
            (&[], StatusWord::more_left(1), CollectResponseError::Empty),
            (&data, StatusWord::OK, CollectResponseError::Unasked),
            (&[0x53, 1], StatusWord::OK, CollectResponseError::Object(UnwrapError::Length)),
        ] {
            let mut collector = ResponseCollector::new(LinkLimits::SHORT);
            assert_eq!(collector.push(&Response { data, status }), Err(error));
        }
    }

    #[test]
    fn the_status_tells_what_is_left() {
        let mut queue = ResponseQueue::new(&[9; 600]).unwrap();
        let statuses: Vec<_> =
            (0..3).map(|_| Response::parse(&queue.take(256)).unwrap().status).collect();
        // 604 bytes: 256 of them, 348 left; 256 more, 92 left.
        assert_eq!(statuses, [StatusWord(0x6100), StatusWord(0x615C), StatusWord::OK]);
    }

    proptest! {
        #[test]
        fn a_message_arrives_whole_over_any_link(
            message in proptest::collection::vec(any::<u8>(), 0..3_000),
            command in 255..2_000_u64,
            response in 256..2_000_u64,
        ) {
            let limits = LinkLimits::new(command, response).unwrap();
            prop_assert_eq!(&through_commands(&message, limits).1, &message);
            prop_assert_eq!(&through_responses(&message, limits).1, &message);
        }
    }
}
