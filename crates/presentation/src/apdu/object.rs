//! Data object '53' around a message (ISO/IEC 18013-5 clause 8.3.3.1.2): BER-TLV, one to four
//! length bytes (ISO/IEC 7816-4 clause 6.3).
//!
//! The object must fill its bytes: a shorter or longer content is refused, never cut.

use alloc::vec::Vec;
use core::fmt;

/// Bytes in a message that this module wraps or unwraps.
pub const MESSAGE_BYTES_MAX: usize = 0xFF_FFFF;
/// Bytes that the tag and the length add at most.
pub const OVERHEAD_BYTES_MAX: usize = 5;

const TAG: u8 = 0x53;

/// The message inside a data object '53', with the shortest length field.
///
/// # Errors
/// [`WrapError`] when the message exceeds [`MESSAGE_BYTES_MAX`].
pub fn wrap(message: &[u8]) -> Result<Vec<u8>, WrapError> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(WrapError);
    }
    let length = u32::try_from(message.len()).map_err(|_| WrapError)?.to_be_bytes();
    let mut bytes = Vec::with_capacity(message.len() + OVERHEAD_BYTES_MAX);
    bytes.push(TAG);
    match length {
        [0, 0, 0, low] if low < 0x80 => bytes.push(low),
        [0, 0, 0, low] => bytes.extend([0x81, low]),
        [0, 0, middle, low] => bytes.extend([0x82, middle, low]),
        [_, high, middle, low] => bytes.extend([0x83, high, middle, low]),
    }
    bytes.extend(message);
    Ok(bytes)
}

/// The message inside one data object '53' that fills `bytes`.
///
/// # Errors
/// [`UnwrapError`] when it is another object, or its length is not that of the content.
pub fn unwrap(bytes: &[u8]) -> Result<&[u8], UnwrapError> {
    let (length, content) = match bytes {
        [TAG, length @ ..=0x7F, content @ ..] => (usize::from(*length), content),
        [TAG, 0x81, low, content @ ..] => (be(&[*low]), content),
        [TAG, 0x82, middle, low, content @ ..] => (be(&[*middle, *low]), content),
        [TAG, 0x83, high, middle, low, content @ ..] => (be(&[*high, *middle, *low]), content),
        [TAG, ..] => return Err(UnwrapError::Length),
        _ => return Err(UnwrapError::Tag),
    };
    if content.len() == length { Ok(content) } else { Err(UnwrapError::Length) }
}

/// A message too long for the data object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrapError;

impl fmt::Display for WrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrap message in data object 53: more than 16,777,215 bytes")
    }
}

impl core::error::Error for WrapError {}

/// Bytes that are not one data object '53'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnwrapError {
    /// The first byte is not the tag '53'.
    Tag,
    /// The length field is malformed or is not that of the content.
    Length,
}

impl fmt::Display for UnwrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tag => "unwrap data object 53: another tag",
            Self::Length => "unwrap data object 53: length is not that of the content",
        })
    }
}

impl core::error::Error for UnwrapError {}

fn be(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |value, &byte| value << 8 | usize::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn check(message_bytes: usize, head: &[u8]) {
        let message = vec![7; message_bytes];
        let object = wrap(&message).unwrap();
        assert!(object.starts_with(head), "{message_bytes}");
        assert_eq!(object.len(), head.len() + message_bytes);
        assert_eq!(unwrap(&object), Ok(&message[..]));
    }

    #[test]
    fn every_length_form_wraps_and_unwraps() {
        check(0, &[0x53, 0]);
        check(127, &[0x53, 127]);
        check(128, &[0x53, 0x81, 128]);
        check(255, &[0x53, 0x81, 255]);
        check(256, &[0x53, 0x82, 1, 0]);
        check(65_536, &[0x53, 0x83, 1, 0, 0]);
        check(MESSAGE_BYTES_MAX, &[0x53, 0x83, 255, 255, 255]);
        assert_eq!(wrap(&vec![0; MESSAGE_BYTES_MAX + 1]), Err(WrapError));
    }

    #[test]
    fn a_longer_length_field_than_needed_is_accepted() {
        assert_eq!(unwrap(&[0x53, 0x83, 0, 0, 1, 9]), Ok(&[9][..]));
    }

    #[test]
    fn objects_that_do_not_fill_their_bytes_are_refused() {
        for bytes in [
            &[0x53][..],
            &[0x53, 1],
            &[0x53, 1, 9, 9],
            &[0x53, 0x80],
            &[0x53, 0x81],
            &[0x53, 0x82, 1],
            &[0x53, 0x84, 0, 0, 0, 1, 9],
        ] {
            assert_eq!(unwrap(bytes), Err(UnwrapError::Length), "{bytes:02x?}");
        }
        assert_eq!(unwrap(&[]), Err(UnwrapError::Tag));
        assert_eq!(unwrap(&[0x54, 0]), Err(UnwrapError::Tag));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = unwrap(&bytes);
        }
    }
}
