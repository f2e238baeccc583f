//! The writer: definite lengths and shortest headers; order is the caller's.

use alloc::vec::Vec;

use super::{TAG_DATE_TIME, TAG_EMBEDDED};

/// Builds CBOR bytes front to back. The caller announces as many entries as it writes.
///
/// ```
/// use credential::cbor::Encoder;
/// let mut encoder = Encoder::new();
/// encoder.map(1).text("a").unsigned(7);
/// assert_eq!(encoder.into_bytes(), [0xa1, 0x61, b'a', 0x07]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// An empty writer.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// An empty writer with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    /// Forgets the bytes written, and keeps the room for others.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The bytes written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The bytes written so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// An integer from 0 to 2^64 - 1.
    pub fn unsigned(&mut self, value: u64) -> &mut Self {
        self.head(0, value)
    }

    /// An integer of 64 bits with sign.
    pub fn integer(&mut self, value: i64) -> &mut Self {
        match u64::try_from(value) {
            Ok(value) => self.head(0, value),
            Err(_) => self.head(1, !value.cast_unsigned()),
        }
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(2, value.len() as u64);
        self.raw(value)
    }

    /// A text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(3, value.len() as u64);
        self.raw(value.as_bytes())
    }

    /// The beginning of an array of `count` entries.
    pub fn array(&mut self, count: usize) -> &mut Self {
        self.head(4, count as u64)
    }

    /// The beginning of a map of `count` pairs.
    pub fn map(&mut self, count: usize) -> &mut Self {
        self.head(5, count as u64)
    }

    /// A tag before the next item.
    pub fn tag(&mut self, number: u64) -> &mut Self {
        self.head(6, number)
    }

    /// `true` or `false`.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.raw(&[if value { 0xf5 } else { 0xf4 }])
    }

    /// `null`.
    pub fn null(&mut self) -> &mut Self {
        self.raw(&[0xf6])
    }

    /// Bytes that are already CBOR, as they are.
    pub fn raw(&mut self, item: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(item);
        self
    }

    /// CBOR bytes inside a byte string under tag 24.
    pub fn embedded(&mut self, item: &[u8]) -> &mut Self {
        self.tag(TAG_EMBEDDED).bytes(item)
    }

    /// An RFC 3339 instant under tag 0, to the second (`tdate`).
    pub fn date_time(&mut self, at: vocabulary::time::Instant) -> &mut Self {
        self.tag(TAG_DATE_TIME).text(&alloc::format!("{}", at.floor_to_second()))
    }

    fn head(&mut self, major: u8, argument: u64) -> &mut Self {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = argument.to_be_bytes();
        let major = major << 5;
        match argument {
            0..=23 => self.raw(&[major | b7]),
            24..=0xff => self.raw(&[major | 24, b7]),
            0x100..=0xffff => self.raw(&[major | 25, b6, b7]),
            0x1_0000..=0xffff_ffff => self.raw(&[major | 26, b4, b5, b6, b7]),
            _ => self.raw(&[major | 27, b0, b1, b2, b3, b4, b5, b6, b7]),
        }
    }
}
