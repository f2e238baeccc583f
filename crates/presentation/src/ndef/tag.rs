//! The Type 4 tag that a phone plays towards a reader (NFC Forum Type 4 Tag 1.2): application and
//! file identifiers, capability container, NDEF file, SELECT and READ BINARY.
//!
//! Read-only: a phone that writes its own tag has no business here.

use alloc::vec::Vec;
use core::fmt;

use super::MESSAGE_BYTES_MAX;
use crate::apdu::{CLASS_LAST, Command, READ_BINARY, SELECT};

/// The NDEF tag application.
pub const APPLICATION: [u8; 7] = [0xD2, 0x76, 0x00, 0x00, 0x85, 0x01, 0x01];
/// The capability container file.
pub const CONTAINER_FILE: u16 = 0xE103;
/// Bytes in the capability container: header and one NDEF file control block.
pub const CONTAINER_BYTES: u8 = 15;
/// The NDEF file of the tag that this crate plays.
pub const NDEF_FILE: u16 = 0xE104;

/// P1 and P2 of SELECT by application name.
pub const SELECT_APPLICATION: (u8, u8) = (0x04, 0x00);
/// P1 and P2 of SELECT by file identifier, without answer data.
pub const SELECT_FILE: (u8, u8) = (0x00, 0x0C);

/// What a capability container says of the NDEF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Container {
    /// Bytes that one READ BINARY may ask for (MLe).
    pub read_bytes: u16,
    /// The identifier of the NDEF file.
    pub file: u16,
    /// Bytes in that file, its length field included.
    pub file_bytes: u16,
}

impl Container {
    /// Parses the fifteen bytes of a version 2 or 3 container with one NDEF file that may be read.
    ///
    /// # Errors
    /// [`ParseContainerError`] when it is anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseContainerError> {
        let &[
            length_high,
            length_low,
            version,
            read_high,
            read_low,
            _,
            _,
            tag,
            tag_length,
            file_high,
            file_low,
            size_high,
            size_low,
            read_access,
            _,
        ] = bytes
        else {
            return Err(ParseContainerError::Length);
        };
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        if length < usize::from(CONTAINER_BYTES) {
            return Err(ParseContainerError::Length);
        }
        if !matches!(version >> 4, 2 | 3) {
            return Err(ParseContainerError::Version(version));
        }
        if (tag, tag_length) != (4, 6) {
            return Err(ParseContainerError::NoFile);
        }
        if read_access != 0 {
            return Err(ParseContainerError::Access);
        }
        let container = Self {
            read_bytes: u16::from_be_bytes([read_high, read_low]),
            file: u16::from_be_bytes([file_high, file_low]),
            file_bytes: u16::from_be_bytes([size_high, size_low]),
        };
        // Type 4 Tag 1.2: MLe at least 000F; 0000, E102, E103, 3F00 and 3FFF name no NDEF file.
        let is_file = !matches!(container.file, 0 | 0xE102 | 0xE103 | 0x3F00 | 0x3FFF | 0xFFFF);
        let holds = container.read_bytes >= 15 && is_file && container.file_bytes >= 5;
        holds.then_some(container).ok_or(ParseContainerError::Range)
    }

    /// The bytes of a version 2.0 container: read always, write never.
    #[must_use]
    pub fn encode(&self) -> [u8; CONTAINER_BYTES as usize] {
        let [read_high, read_low] = self.read_bytes.to_be_bytes();
        let [file_high, file_low] = self.file.to_be_bytes();
        let [size_high, size_low] = self.file_bytes.to_be_bytes();
        [
            0, 15, 0x20, read_high, read_low, 0, 0xFF, 4, 6, file_high, file_low, size_high,
            size_low, 0, 0xFF,
        ]
    }
}

/// Why bytes are not a capability container that can be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseContainerError {
    /// Not fifteen bytes, or a length field below that.
    Length,
    /// A mapping version other than 2.x or 3.x.
    Version(u8),
    /// The first block is no NDEF file control.
    NoFile,
    /// The NDEF file may not be read.
    Access,
    /// A length or file identifier outside its range.
    Range,
}

impl fmt::Display for ParseContainerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parse capability container: ")?;
        match self {
            Self::Length => f.write_str("not fifteen bytes"),
            Self::Version(version) => write!(f, "unknown mapping version `{version:02x}`"),
            Self::NoFile => f.write_str("no NDEF file control block"),
            Self::Access => f.write_str("NDEF file may not be read"),
            Self::Range => f.write_str("a length or the file identifier is out of range"),
        }
    }
}

impl core::error::Error for ParseContainerError {}

/// The NDEF file of a message: its length in two bytes, then the message. Nothing when it exceeds
/// [`MESSAGE_BYTES_MAX`].
#[must_use]
pub fn file(message: &[u8]) -> Option<Vec<u8>> {
    let length =
        u16::try_from(message.len()).ok().filter(|_| message.len() <= MESSAGE_BYTES_MAX)?;
    Some([&length.to_be_bytes(), message].concat())
}

/// SELECT of an application by its name.
#[must_use]
pub fn select_application(name: &[u8]) -> Command<'_> {
    let (p1, p2) = SELECT_APPLICATION;
    Command { class: CLASS_LAST, instruction: SELECT, p1, p2, data: name, expected_bytes: 256 }
}

/// SELECT of a file by its identifier.
#[must_use]
pub fn select_file(file: &[u8; 2]) -> Command<'_> {
    let (p1, p2) = SELECT_FILE;
    Command { class: CLASS_LAST, instruction: SELECT, p1, p2, data: file, expected_bytes: 0 }
}

/// READ BINARY of the selected file, at most 32,767 bytes from its beginning.
#[must_use]
pub fn read_binary(offset: u16, expected_bytes: u32) -> Command<'static> {
    let [p1, p2] = offset.to_be_bytes();
    Command { class: CLASS_LAST, instruction: READ_BINARY, p1, p2, data: &[], expected_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    const CONTAINER: Container = Container { read_bytes: 255, file: NDEF_FILE, file_bytes: 0x7FFF };

    #[test]
    fn a_container_returns_from_its_bytes() {
        let bytes = CONTAINER.encode();
        assert_eq!(bytes, [0, 15, 0x20, 0, 255, 0, 255, 4, 6, 0xE1, 4, 0x7F, 255, 0, 255]);
        assert_eq!(Container::parse(&bytes), Ok(CONTAINER));
    }

    fn check(position: usize, byte: u8, error: ParseContainerError) {
        let mut bytes = CONTAINER.encode();
        bytes[position] = byte;
        assert_eq!(Container::parse(&bytes), Err(error), "{position}");
    }

    #[test]
    fn containers_that_cannot_be_read_on_are_refused() {
        check(1, 14, ParseContainerError::Length);
        check(2, 0x10, ParseContainerError::Version(0x10));
        check(4, 14, ParseContainerError::Range);
        check(7, 5, ParseContainerError::NoFile);
        check(8, 7, ParseContainerError::NoFile);
        check(10, 3, ParseContainerError::Range);
        check(13, 1, ParseContainerError::Access);
        assert_eq!(Container::parse(&CONTAINER.encode()[..14]), Err(ParseContainerError::Length));
    }

    #[test]
    fn a_file_holds_to_its_limit() {
        assert_eq!(file(&[7]), Some(vec![0, 1, 7]));
        assert!(file(&vec![0; MESSAGE_BYTES_MAX]).is_some());
        assert!(file(&vec![0; MESSAGE_BYTES_MAX + 1]).is_none());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 15)) {
            if let Ok(container) = Container::parse(&bytes) {
                prop_assert_eq!(Container::parse(&container.encode()), Ok(container));
            }
        }
    }
}
