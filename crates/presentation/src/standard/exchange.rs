//! What EXCHANGE carries, opened: operations on the mailbox and the reader's status.

use alloc::vec::Vec;
use core::fmt;

use super::ExchangeForm;
use super::mailbox::MAILBOX_BYTES_MAX;
use super::tlv::{Reader, TlvError, put};

/// Operations of one EXCHANGE.
pub const OPERATIONS_MAX: usize = 16;
/// Bytes of one EXCHANGE, opened, and of its answer.
pub const EXCHANGE_BYTES_MAX: usize = MAILBOX_BYTES_MAX + 256;

const CONTAINER: u16 = 0xBA;
const ATOMIC: u16 = 0x8C;
const READ: u16 = 0x87;
const WRITE: u16 = 0x8A;
const SET: u16 = 0x95;
const STATUS: u16 = 0x97;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Gives `length` bytes from `offset` on.
    Read {
        /// Where in the mailbox.
        offset: u16,
        /// How many bytes.
        length: u16,
    },
    /// Puts `data` at `offset`.
    Write {
        /// Where in the mailbox.
        offset: u16,
        /// What to put there.
        data: Vec<u8>,
    },
    /// Sets `length` bytes from `offset` on to one value.
    Set {
        /// Where in the mailbox.
        offset: u16,
        /// How many bytes.
        length: u16,
        /// To what.
        value: u8,
    },
    /// Tells the device how the reader stands (tag 97).
    ReaderStatus(u16),
}

/// Whether an atomic session of several EXCHANGE commands goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// This one is the last: all that was written takes effect now.
    Last,
    /// More follow: nothing takes effect yet.
    More,
}

/// The operations of one EXCHANGE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Whether more commands of the session follow.
    pub session: Session,
    /// The operations, in order; at most [`OPERATIONS_MAX`].
    pub operations: Vec<Operation>,
}

impl Exchange {
    /// Reads an opened EXCHANGE.
    ///
    /// # Errors
    /// [`TlvError`].
    pub fn parse(bytes: &[u8], form: ExchangeForm) -> Result<Self, TlvError> {
        let (flag, list) = match form {
            ExchangeForm::Container => {
                let mut outer = Reader::new(bytes);
                let container = outer.object()?.filter(|object| object.tag == CONTAINER);
                let container = container.ok_or(TlvError::Missing(CONTAINER))?;
                if let Some(more) = outer.object()? {
                    return Err(TlvError::Unknown(more.tag));
                }
                let mut inner = Reader::new(container.value);
                let flag = inner.object()?.filter(|object| object.tag == ATOMIC);
                match flag.ok_or(TlvError::Missing(ATOMIC))?.value {
                    [flag] => (*flag, inner),
                    _ => return Err(TlvError::Value(ATOMIC)),
                }
            }
            ExchangeForm::Bare => {
                let (flag, list) = bytes.split_first().ok_or(TlvError::Truncated)?;
                (*flag, Reader::new(list))
            }
        };
        let session = match flag {
            0 => Session::Last,
            1 => Session::More,
            _ => return Err(TlvError::Value(ATOMIC)),
        };
        Ok(Self { session, operations: read_operations(list)? })
    }

    /// The bytes that [`Exchange::parse`] reads; operations beyond [`OPERATIONS_MAX`] are left out.
    #[must_use]
    pub fn encode(&self, form: ExchangeForm) -> Vec<u8> {
        let flag = [u8::from(self.session == Session::More)];
        let mut list = Vec::new();
        if form == ExchangeForm::Container {
            put(&mut list, ATOMIC, &flag);
        } else {
            list.extend(flag);
        }
        for operation in self.operations.iter().take(OPERATIONS_MAX) {
            operation.put(&mut list);
        }
        if form == ExchangeForm::Bare {
            return list;
        }
        let mut out = Vec::with_capacity(list.len() + 4);
        put(&mut out, CONTAINER, &list);
        out
    }

    /// How many bytes each read asks for.
    pub(super) fn reads(&self) -> Vec<u16> {
        let read = |operation: &Operation| match operation {
            Operation::Read { length, .. } => Some(*length),
            _ => None,
        };
        self.operations.iter().filter_map(read).collect()
    }
}

impl Operation {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Read { offset, length } => {
                put(out, READ, &[offset.to_be_bytes(), length.to_be_bytes()].concat());
            }
            Self::Write { offset, data } => {
                put(out, WRITE, &[&offset.to_be_bytes(), &data[..]].concat());
            }
            Self::Set { offset, length, value } => {
                let [a, b] = offset.to_be_bytes();
                let [c, d] = length.to_be_bytes();
                put(out, SET, &[a, b, c, d, *value]);
            }
            Self::ReaderStatus(status) => put(out, STATUS, &status.to_be_bytes()),
        }
    }
}

fn read_operations(mut list: Reader<'_>) -> Result<Vec<Operation>, TlvError> {
    let mut operations = Vec::new();
    while let Some(object) = list.object()? {
        let operation = match (object.tag, object.value) {
            (READ, &[a, b, c, d]) => Operation::Read {
                offset: u16::from_be_bytes([a, b]),
                length: u16::from_be_bytes([c, d]),
            },
            (WRITE, [a, b, data @ ..]) => {
                Operation::Write { offset: u16::from_be_bytes([*a, *b]), data: data.to_vec() }
            }
            (SET, &[a, b, c, d, value]) => Operation::Set {
                offset: u16::from_be_bytes([a, b]),
                length: u16::from_be_bytes([c, d]),
                value,
            },
            (STATUS, &[a, b]) => Operation::ReaderStatus(u16::from_be_bytes([a, b])),
            (READ | WRITE | SET | STATUS, _) => return Err(TlvError::Value(object.tag)),
            _ => return Err(TlvError::Unknown(object.tag)),
        };
        if operations.len() == OPERATIONS_MAX {
            return Err(TlvError::TooMany);
        }
        operations.push(operation);
    }
    Ok(operations)
}

/// What the device says to an EXCHANGE: the data of each read, and a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeAnswer {
    /// The data of the reads, in order; none where an operation failed.
    pub reads: Vec<Vec<u8>>,
    /// How it went.
    pub result: ExchangeResult,
}

/// How an EXCHANGE went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeResult {
    /// Every operation was done.
    Done,
    /// None was: one reaches past the mailbox, or is not allowed.
    Range,
    /// None was: the bytes are not operations.
    Malformed,
    /// None was, for a reason that the code names.
    Failed(u16),
}

impl ExchangeResult {
    const fn code(self, form: ExchangeForm) -> u16 {
        match (self, form) {
            (Self::Done, _) => 0,
            (Self::Failed(code), _) => code,
            (_, ExchangeForm::Bare) => 0xFFFF,
            (Self::Range, ExchangeForm::Container) => 1,
            (Self::Malformed, ExchangeForm::Container) => 2,
        }
    }

    const fn from_code(code: u16) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::Range,
            2 => Self::Malformed,
            code => Self::Failed(code),
        }
    }
}

/// An answer that does not fit the EXCHANGE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseAnswerError;

impl fmt::Display for ParseAnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parse EXCHANGE answer: it does not hold what was asked for and a result")
    }
}

impl core::error::Error for ParseAnswerError {}

impl ExchangeAnswer {
    /// Reads the opened answer to an EXCHANGE whose reads ask for so many bytes each.
    ///
    /// # Errors
    /// [`ParseAnswerError`].
    pub fn parse(mut bytes: &[u8], reads: &[u16]) -> Result<Self, ParseAnswerError> {
        let mut entries = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, rest) = rest.split_at_checked(length).ok_or(ParseAnswerError)?;
            if entries.len() > OPERATIONS_MAX {
                return Err(ParseAnswerError);
            }
            entries.push(entry);
            bytes = rest;
        }
        let result = entries.pop().filter(|_| bytes.is_empty()).ok_or(ParseAnswerError)?;
        let result = u16::from_be_bytes(result.try_into().map_err(|_| ParseAnswerError)?);
        let result = ExchangeResult::from_code(result);
        let expected = if result == ExchangeResult::Done { reads } else { &[] };
        let fits = entries.len() == expected.len()
            && entries
                .iter()
                .zip(expected)
                .all(|(entry, length)| entry.len() == usize::from(*length));
        if !fits {
            return Err(ParseAnswerError);
        }
        Ok(Self { reads: entries.into_iter().map(<[u8]>::to_vec).collect(), result })
    }

    /// The bytes that [`ExchangeAnswer::parse`] reads.
    #[must_use]
    pub fn encode(&self, form: ExchangeForm) -> Vec<u8> {
        let mut out = Vec::new();
        for read in &self.reads {
            // INVARIANT: no read is longer than the mailbox.
            out.extend(u16::try_from(read.len()).unwrap_or(0).to_be_bytes());
            out.extend(read);
        }
        out.extend([0, 2]);
        out.extend(self.result.code(form).to_be_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    const FORMS: [ExchangeForm; 2] = [ExchangeForm::Container, ExchangeForm::Bare];

    fn all() -> Vec<Operation> {
        vec![
            Operation::Read { offset: 1, length: 2 },
            Operation::Write { offset: 3, data: vec![4, 5] },
            Operation::Set { offset: 6, length: 7, value: 8 },
            Operation::ReaderStatus(0x0101),
            Operation::Read { offset: 0, length: 0 },
        ]
    }

    #[test]
    fn operations_return_from_their_bytes() {
        for (form, session) in FORMS.into_iter().zip([Session::Last, Session::More]) {
            let exchange = Exchange { session, operations: all() };
            assert_eq!(Exchange::parse(&exchange.encode(form), form), Ok(exchange.clone()));
            assert_eq!(exchange.reads(), [2, 0]);
        }
    }

    #[test]
    fn the_number_of_operations_holds_to_its_limit() {
        let mut bytes = vec![0];
        for _ in 0..OPERATIONS_MAX {
            Operation::ReaderStatus(1).put(&mut bytes);
        }
        assert!(Exchange::parse(&bytes, ExchangeForm::Bare).is_ok());
        Operation::ReaderStatus(1).put(&mut bytes);
        assert_eq!(Exchange::parse(&bytes, ExchangeForm::Bare), Err(TlvError::TooMany));
    }

    #[test]
    fn malformed_operations_are_refused() {
        for (bytes, error) in [
            (&[][..], TlvError::Missing(0xBA)),
            (&[0xBA, 0], TlvError::Missing(0x8C)),
            (&[0xBA, 3, 0x8C, 1, 2], TlvError::Value(0x8C)),
            (&[0xBA, 3, 0x8C, 1, 0, 0x41, 0], TlvError::Unknown(0x41)),
            (&[0xBA, 5, 0x8C, 1, 0, 0x41, 0], TlvError::Unknown(0x41)),
            (&[0xBA, 5, 0x8C, 1, 0, 0x87, 0], TlvError::Value(0x87)),
            (&[0xBA, 5, 0x8C, 1, 0, 0x8A, 0], TlvError::Value(0x8A)),
            (&[0xBA, 4, 0x8C, 1, 0], TlvError::Truncated),
        ] {
            assert_eq!(Exchange::parse(bytes, ExchangeForm::Container), Err(error), "{bytes:02x?}");
        }
    }

    #[test]
    fn answers_must_hold_what_was_asked_for() {
        let answer =
            ExchangeAnswer { reads: vec![vec![1, 2], vec![]], result: ExchangeResult::Done };
        let bytes = answer.encode(ExchangeForm::Container);
        assert_eq!(ExchangeAnswer::parse(&bytes, &[2, 0]), Ok(answer));
        for reads in [&[2][..], &[2, 1], &[2, 0, 0], &[]] {
            assert_eq!(ExchangeAnswer::parse(&bytes, reads), Err(ParseAnswerError));
        }
        for length in 0..bytes.len() {
            // What is left may look like a failure, and never like data.
            let cut = ExchangeAnswer::parse(&bytes[..length], &[2, 0]);
            assert!(cut.is_err() || cut.unwrap().reads.is_empty(), "{length}");
        }
        let failed = ExchangeAnswer { reads: vec![], result: ExchangeResult::Range };
        let bare = failed.encode(ExchangeForm::Bare);
        let result = ExchangeAnswer::parse(&bare, &[2]).unwrap().result;
        assert_eq!(result, ExchangeResult::Failed(0xFFFF));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, reads: Vec<u16>) {
            for form in FORMS {
                let _ = Exchange::parse(&bytes, form);
            }
            let _ = ExchangeAnswer::parse(&bytes, &reads);
        }
    }
}
