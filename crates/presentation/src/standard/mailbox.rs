//! The mailbox of a device: bytes that readers of its groups read and write over the channel.
//!
//! Operations of one EXCHANGE take effect together or not at all; so do those of an atomic session of
//! several. A session that does not end leaves the mailbox as it was.

use alloc::vec::Vec;

use super::exchange::{Exchange, Operation, Session};

/// Bytes of a mailbox.
pub const MAILBOX_BYTES_MAX: usize = 4_096;

/// A mailbox. Without bytes there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailbox {
    bytes: Vec<u8>,
    staged: Option<Vec<u8>>,
}

/// What became of the operations of an EXCHANGE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The data of its reads.
    pub reads: Vec<Vec<u8>>,
    /// Whether the mailbox has changed.
    pub has_changed: bool,
}

/// An operation reaches past the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfRange;

impl Mailbox {
    /// A mailbox of these bytes, of which at most [`MAILBOX_BYTES_MAX`] are kept.
    #[must_use]
    pub fn new(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(MAILBOX_BYTES_MAX);
        Self { bytes, staged: None }
    }

    /// What it holds: only what took effect.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Does the operations of one EXCHANGE. Where one fails none is done, and its session ends.
    pub(super) fn run(&mut self, exchange: &Exchange) -> Result<Outcome, OutOfRange> {
        let mut bytes = self.staged.take().unwrap_or_else(|| self.bytes.clone());
        let mut reads = Vec::new();
        for operation in &exchange.operations {
            match operation {
                Operation::Read { offset, length } => {
                    reads.push(part(&mut bytes, *offset, usize::from(*length))?.to_vec());
                }
                Operation::Write { offset, data } => {
                    part(&mut bytes, *offset, data.len())?.copy_from_slice(data);
                }
                Operation::Set { offset, length, value } => {
                    part(&mut bytes, *offset, usize::from(*length))?.fill(*value);
                }
                Operation::ReaderStatus(_) => {}
            }
        }
        let mut has_changed = false;
        match exchange.session {
            Session::More => self.staged = Some(bytes),
            Session::Last => {
                has_changed = bytes != self.bytes;
                self.bytes = bytes;
            }
        }
        Ok(Outcome { reads, has_changed })
    }

    /// Forgets a session that did not end.
    pub(super) fn abandon(&mut self) {
        self.staged = None;
    }
}

fn part(bytes: &mut [u8], offset: u16, length: usize) -> Result<&mut [u8], OutOfRange> {
    let start = usize::from(offset);
    bytes.get_mut(start..start + length).ok_or(OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn exchange(session: Session, operations: &[Operation]) -> Exchange {
        Exchange { session, operations: operations.to_vec() }
    }

    const WRITE_FIRST: fn(u8) -> Operation = |value| Operation::Set { offset: 0, length: 1, value };

    #[test]
    fn a_session_takes_effect_with_its_last_exchange() {
        let mut mailbox = Mailbox::new(vec![0; 4]);
        let first = exchange(Session::More, &[Operation::Write { offset: 1, data: vec![1, 2] }]);
        assert!(!mailbox.run(&first).unwrap().has_changed);
        assert_eq!(mailbox.as_bytes(), [0; 4]);
        let read = Operation::Read { offset: 0, length: 4 };
        let last = mailbox.run(&exchange(Session::Last, &[WRITE_FIRST(9), read])).unwrap();
        assert_eq!(last, Outcome { reads: vec![vec![9, 1, 2, 0]], has_changed: true });
        assert_eq!(mailbox.as_bytes(), [9, 1, 2, 0]);
    }

    #[test]
    fn a_session_that_fails_or_breaks_off_changes_nothing() {
        let mut mailbox = Mailbox::new(vec![0; 4]);
        let past = Operation::Set { offset: 3, length: 2, value: 1 };
        assert_eq!(mailbox.run(&exchange(Session::Last, &[WRITE_FIRST(9), past])), Err(OutOfRange));
        assert_eq!(mailbox.as_bytes(), [0; 4]);
        mailbox.run(&exchange(Session::More, &[WRITE_FIRST(9)])).unwrap();
        mailbox.abandon();
        assert!(!mailbox.run(&exchange(Session::Last, &[])).unwrap().has_changed);
        assert_eq!(mailbox.as_bytes(), [0; 4]);
    }

    #[test]
    fn the_size_holds_to_its_limit() {
        assert_eq!(
            Mailbox::new(vec![0; MAILBOX_BYTES_MAX + 1]).as_bytes().len(),
            MAILBOX_BYTES_MAX
        );
        let mut mailbox = Mailbox::new(vec![0; MAILBOX_BYTES_MAX]);
        let last = Operation::Read { offset: 4_095, length: 1 };
        let past = Operation::Read { offset: 65_535, length: 65_535 };
        assert!(mailbox.run(&exchange(Session::Last, &[last])).is_ok());
        assert!(mailbox.run(&exchange(Session::Last, &[past])).is_err());
        assert!(Mailbox::default().run(&exchange(Session::Last, &[WRITE_FIRST(1)])).is_err());
    }
}
