//! Messages over GATT characteristics (ISO/IEC 18013-5 clause 8.3.3.1.1.6): each write or
//! notification begins with one byte, 01 when more follows and 00 on the last.
//!
//! Pure functions for any MTU; no radio, no queue. The reassembler never holds more than its limit.

use alloc::vec::Vec;
use core::fmt;

/// Bytes in one message.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

const MORE: u8 = 1;
const LAST: u8 = 0;
/// Bytes of the ATT header in front of a value.
const ATT_HEADER_BYTES: u16 = 3;
/// Bytes in one attribute value (Bluetooth Core, Vol 3, Part F, 3.2.9).
const VALUE_BYTES_MAX: u16 = 512;

/// An ATT MTU, 23 to 517 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtu(u16);

impl Mtu {
    /// What every connection begins with.
    pub const SMALLEST: Self = Self(23);
    /// What an ATT bearer can agree on.
    pub const LARGEST: Self = Self(517);

    /// An MTU within 23 to 517.
    #[must_use]
    pub fn new(bytes: u16) -> Option<Self> {
        (Self::SMALLEST.0..=Self::LARGEST.0).contains(&bytes).then_some(Self(bytes))
    }

    /// Bytes of a message in one fragment, 19 to 511.
    #[must_use]
    pub fn payload_bytes(self) -> usize {
        usize::from((self.0 - ATT_HEADER_BYTES).min(VALUE_BYTES_MAX) - 1)
    }
}

/// The fragments of a message, in the order to send them; none for an empty message.
pub fn fragments(message: &[u8], mtu: Mtu) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut chunks = message.chunks(mtu.payload_bytes()).peekable();
    core::iter::from_fn(move || {
        let chunk = chunks.next()?;
        let mark = if chunks.peek().is_some() { MORE } else { LAST };
        Some([&[mark], chunk].concat())
    })
}

/// Puts fragments together again.
#[derive(Debug, Default)]
pub struct Reassembler {
    message: Vec<u8>,
}

impl Reassembler {
    /// Takes the next fragment; gives the message when it was the last. After an error the
    /// reassembler is to be dropped together with its session.
    ///
    /// # Errors
    /// [`ReassembleError`] when the fragment is empty, has another first byte, or the message
    /// exceeds [`MESSAGE_BYTES_MAX`].
    pub fn push(&mut self, fragment: &[u8]) -> Result<Option<Vec<u8>>, ReassembleError> {
        let (mark, payload) = match fragment {
            [] | [_] => return Err(ReassembleError::Empty),
            [mark @ (MORE | LAST), payload @ ..] => (*mark, payload),
            [mark, ..] => return Err(ReassembleError::Mark(*mark)),
        };
        if self.message.len() + payload.len() > MESSAGE_BYTES_MAX {
            return Err(ReassembleError::TooLong);
        }
        self.message.extend_from_slice(payload);
        Ok((mark == LAST).then(|| core::mem::take(&mut self.message)))
    }
}

/// Why a fragment does not continue a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReassembleError {
    /// No byte behind the first.
    Empty,
    /// The first byte is neither 00 nor 01.
    Mark(u8),
    /// The message exceeds [`MESSAGE_BYTES_MAX`].
    TooLong,
}

impl fmt::Display for ReassembleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("reassemble message: empty fragment"),
            Self::Mark(mark) => write!(f, "reassemble message: fragment begins with `{mark:02x}`"),
            Self::TooLong => f.write_str("reassemble message: more than 262,144 bytes"),
        }
    }
}

impl core::error::Error for ReassembleError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn mtu_holds_to_its_range() {
        for (bytes, payload) in [
            (22, None),
            (23, Some(19)),
            (185, Some(181)),
            (515, Some(511)),
            (517, Some(511)),
            (518, None),
        ] {
            assert_eq!(Mtu::new(bytes).map(Mtu::payload_bytes), payload, "{bytes}");
        }
    }

    #[test]
    fn fragments_carry_their_mark() {
        let fragments: Vec<_> = fragments(&[7; 20], Mtu::SMALLEST).collect();
        assert_eq!(fragments, [[&[MORE][..], &[7; 19]].concat(), vec![LAST, 7]]);
    }

    #[test]
    fn wrong_fragments_are_refused() {
        for (fragment, error) in [
            (&[][..], ReassembleError::Empty),
            (&[MORE], ReassembleError::Empty),
            (&[LAST], ReassembleError::Empty),
            (&[2, 7], ReassembleError::Mark(2)),
        ] {
            assert_eq!(Reassembler::default().push(fragment), Err(error));
        }
    }

    #[test]
    fn a_message_at_the_limit_passes_and_one_byte_more_is_refused() {
        for (bytes, outcome) in
            [(MESSAGE_BYTES_MAX, None), (MESSAGE_BYTES_MAX + 1, Some(ReassembleError::TooLong))]
        {
            let message = vec![1; bytes];
            let mut reassembler = Reassembler::default();
            let error = fragments(&message, Mtu::LARGEST)
                .find_map(|fragment| reassembler.push(&fragment).err());
            assert_eq!(error, outcome, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn a_message_arrives_whole_with_any_mtu(
            message in proptest::collection::vec(any::<u8>(), 1..3_000),
            mtu in 23..=517_u16,
        ) {
            let mtu = Mtu::new(mtu).unwrap();
            let mut reassembler = Reassembler::default();
            let mut arrived = None;
            for fragment in fragments(&message, mtu) {
                prop_assert!(arrived.is_none());
                prop_assert!(fragment.len() <= mtu.payload_bytes() + 1);
                arrived = reassembler.push(&fragment).unwrap();
            }
            prop_assert_eq!(arrived, Some(message));
        }

        #[test]
        fn arbitrary_fragments_never_panic(list: Vec<Vec<u8>>) {
            let mut reassembler = Reassembler::default();
            for fragment in list {
                let _ = reassembler.push(&fragment);
            }
        }
    }
}
