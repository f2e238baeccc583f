//! The list itself: one status per index, packed, compressed (Token Status List, section 4).
//!
//! Entry `i` lies in byte `i * bits / 8`, least significant bits first; the bytes are compressed
//! by DEFLATE in the zlib format. Never inflates past [`BYTES_MAX`], whatever the input claims.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

/// The longest list, in bytes after inflating: 32 million passes at two bits each.
pub const BYTES_MAX: usize = 8 << 20;
/// The longest list, in bytes as compressed.
pub const COMPRESSED_MAX: usize = 4 << 20;
/// The level of compression; the draft recommends the highest.
const DEFLATE_LEVEL: u8 = 9;
/// The first buffer for inflating, in bytes.
const INFLATE_FIRST: usize = 16 << 10;

/// What a list says of one index (section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 0: the token stands.
    Valid,
    /// 1: revoked, for ever.
    Invalid,
    /// 2: stopped for now, may return.
    Suspended,
    /// 3 and 12 to 15: what the application agreed on.
    ApplicationSpecific(u8),
    /// A value that the registry holds back; a reader treats it as not valid.
    Reserved(u8),
}

impl Status {
    /// The meaning of a list entry.
    #[must_use]
    pub const fn from_value(value: u8) -> Self {
        match value {
            0 => Self::Valid,
            1 => Self::Invalid,
            2 => Self::Suspended,
            3 | 12..=15 => Self::ApplicationSpecific(value),
            _ => Self::Reserved(value),
        }
    }

    /// The list entry, 0 to 255.
    #[must_use]
    pub const fn value(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Suspended => 2,
            Self::ApplicationSpecific(value) | Self::Reserved(value) => value,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid => f.write_str("valid"),
            Self::Invalid => f.write_str("invalid"),
            Self::Suspended => f.write_str("suspended"),
            Self::ApplicationSpecific(value) => write!(f, "application-specific {value}"),
            Self::Reserved(value) => write!(f, "reserved {value}"),
        }
    }
}

/// How many bits an entry has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// Valid or invalid only.
    One = 1,
    /// The least that can suspend.
    Two = 2,
    /// Values 0 to 15.
    Four = 4,
    /// Values 0 to 255.
    Eight = 8,
}

impl Bits {
    /// From the `bits` of a token: 1, 2, 4 or 8.
    #[must_use]
    pub const fn from_count(count: u64) -> Option<Self> {
        match count {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            8 => Some(Self::Eight),
            _ => None,
        }
    }

    /// 1, 2, 4 or 8.
    #[must_use]
    pub const fn count(self) -> u8 {
        self as u8
    }

    /// The largest value of an entry.
    #[must_use]
    pub const fn value_max(self) -> u8 {
        u8::MAX >> (8 - self.count())
    }

    const fn entries_per_byte(self) -> usize {
        8 / self.count() as usize
    }
}

/// Why a status list cannot be built, read or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusListError {
    /// The index lies behind the end.
    Index {
        /// The index asked for.
        index: u64,
        /// How many entries there are.
        entries: u64,
    },
    /// The status needs more bits than an entry has.
    Value {
        /// The value of the status.
        value: u8,
        /// The bits of an entry.
        bits: u8,
    },
    /// More than [`COMPRESSED_MAX`] bytes, or more than [`BYTES_MAX`] when inflated.
    Length,
    /// Not a complete zlib stream, or bytes follow it.
    Compression,
}

impl fmt::Display for StatusListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index { index, entries } => {
                write!(f, "index `{index}` lies outside a status list of {entries} entries")
            }
            Self::Value { value, bits } => {
                write!(f, "status `{value}` does not fit into {bits} bits")
            }
            Self::Length => write!(f, "status list is longer than {BYTES_MAX} bytes"),
            Self::Compression => f.write_str("status list is not one complete zlib stream"),
        }
    }
}

impl core::error::Error for StatusListError {}

/// A status per index, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusList {
    bits: Bits,
    bytes: Vec<u8>,
}

impl StatusList {
    /// A list with at least `entries` entries, rounded up to whole bytes, all of them valid.
    ///
    /// # Errors
    /// [`StatusListError::Length`] above [`BYTES_MAX`].
    pub fn new(bits: Bits, entries: usize) -> Result<Self, StatusListError> {
        let length = entries.div_ceil(bits.entries_per_byte());
        if length > BYTES_MAX {
            return Err(StatusListError::Length);
        }
        Ok(Self { bits, bytes: vec![0; length] })
    }

    /// From packed bytes, as [`StatusList::as_bytes`] gives them.
    ///
    /// # Errors
    /// [`StatusListError::Length`] above [`BYTES_MAX`].
    pub fn from_bytes(bits: Bits, bytes: Vec<u8>) -> Result<Self, StatusListError> {
        if bytes.len() > BYTES_MAX {
            return Err(StatusListError::Length);
        }
        Ok(Self { bits, bytes })
    }

    /// From the `lst` of a token, inflated with a hard limit (section 4.1).
    ///
    /// # Errors
    /// [`StatusListError::Length`] or [`StatusListError::Compression`].
    pub fn inflate(bits: Bits, compressed: &[u8]) -> Result<Self, StatusListError> {
        Ok(Self { bits, bytes: inflate(compressed, BYTES_MAX)? })
    }

    /// The `lst` of a token.
    #[must_use]
    pub fn deflate(&self) -> Vec<u8> {
        compress_to_vec_zlib(&self.bytes, DEFLATE_LEVEL)
    }

    /// The bits of an entry.
    #[must_use]
    pub fn bits(&self) -> Bits {
        self.bits
    }

    /// The packed entries.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many entries there are: a multiple of the entries in a byte.
    #[must_use]
    pub fn entries(&self) -> u64 {
        let entries = self.bytes.len().saturating_mul(self.bits.entries_per_byte());
        u64::try_from(entries).unwrap_or(u64::MAX)
    }

    /// The status at `index`.
    ///
    /// # Errors
    /// [`StatusListError::Index`] behind the end: the draft forbids to take that for valid.
    pub fn status(&self, index: u64) -> Result<Status, StatusListError> {
        let (byte, shift) = self.place(index)?;
        let byte = self.bytes.get(byte).ok_or_else(|| self.outside(index))?;
        Ok(Status::from_value((byte >> shift) & self.bits.value_max()))
    }

    /// Changes the status at `index`.
    ///
    /// # Errors
    /// [`StatusListError::Index`] behind the end, [`StatusListError::Value`] when the entry is too
    /// small, such as a suspension in a list of one bit.
    pub fn set(&mut self, index: u64, status: Status) -> Result<(), StatusListError> {
        let (value, mask) = (status.value(), self.bits.value_max());
        if value > mask {
            return Err(StatusListError::Value { value, bits: self.bits.count() });
        }
        let (byte, shift) = self.place(index)?;
        let outside = self.outside(index);
        let byte = self.bytes.get_mut(byte).ok_or(outside)?;
        *byte = (*byte & !(mask << shift)) | (value << shift);
        Ok(())
    }

    /// The byte that holds `index`, and how far the entry is shifted in it.
    fn place(&self, index: u64) -> Result<(usize, usize), StatusListError> {
        let entry = usize::try_from(index).map_err(|_| self.outside(index))?;
        let per_byte = self.bits.entries_per_byte();
        Ok((entry / per_byte, entry % per_byte * usize::from(self.bits.count())))
    }

    fn outside(&self, index: u64) -> StatusListError {
        StatusListError::Index { index, entries: self.entries() }
    }
}

/// Inflates one zlib stream that fills all of `compressed` into at most `limit` bytes.
fn inflate(compressed: &[u8], limit: usize) -> Result<Vec<u8>, StatusListError> {
    if compressed.len() > COMPRESSED_MAX {
        return Err(StatusListError::Length);
    }
    let flags = inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER
        | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut inflater = Box::<DecompressorOxide>::default();
    let mut rest = compressed;
    let mut bytes = vec![0; INFLATE_FIRST.min(limit)];
    let mut written = 0;
    loop {
        let (status, read, wrote) = decompress(&mut inflater, rest, &mut bytes, written, flags);
        written += wrote;
        rest = rest.get(read..).unwrap_or_default();
        match status {
            TINFLStatus::Done if rest.is_empty() => {
                bytes.truncate(written);
                return Ok(bytes);
            }
            TINFLStatus::HasMoreOutput if bytes.len() >= limit => {
                return Err(StatusListError::Length);
            }
            TINFLStatus::HasMoreOutput => bytes.resize((bytes.len() * 2).min(limit), 0),
            _ => return Err(StatusListError::Compression),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL_BITS: [Bits; 4] = [Bits::One, Bits::Two, Bits::Four, Bits::Eight];

    #[test]
    fn inflating_stops_at_the_limit_and_one_past_it() {
        for length in [0, 1, 999, 1000] {
            let stream = compress_to_vec_zlib(&vec![7; length], DEFLATE_LEVEL);
            assert_eq!(inflate(&stream, 1000), Ok(vec![7; length]), "{length}");
        }
        let stream = compress_to_vec_zlib(&vec![7; 1001], DEFLATE_LEVEL);
        assert_eq!(inflate(&stream, 1000), Err(StatusListError::Length));
        // The control: the same stream is sound when there is room.
        assert!(inflate(&stream, 1001).is_ok());
    }

    #[test]
    fn lists_are_limited_in_length() {
        let entries = BYTES_MAX * 4;
        assert!(StatusList::new(Bits::Two, entries).is_ok());
        assert_eq!(StatusList::new(Bits::Two, entries + 1), Err(StatusListError::Length));
        let longest = vec![0; BYTES_MAX + 1];
        assert_eq!(StatusList::from_bytes(Bits::Two, longest), Err(StatusListError::Length));
        let compressed = vec![0; COMPRESSED_MAX + 1];
        assert_eq!(inflate(&compressed, BYTES_MAX), Err(StatusListError::Length));
    }

    #[test]
    fn a_stream_with_a_tail_or_without_an_end_is_refused() {
        let whole = compress_to_vec_zlib(b"status", DEFLATE_LEVEL);
        for end in 0..whole.len() {
            assert_eq!(inflate(&whole[..end], 100), Err(StatusListError::Compression), "{end}");
        }
        let mut tail = whole.clone();
        tail.push(0);
        assert_eq!(inflate(&tail, 100), Err(StatusListError::Compression));
        let mut checksum = whole.clone();
        *checksum.last_mut().unwrap() ^= 1;
        assert_eq!(inflate(&checksum, 100), Err(StatusListError::Compression));
    }

    #[test]
    fn indexes_behind_the_end_and_values_too_large_are_refused() {
        let mut list = StatusList::new(Bits::One, 9).unwrap();
        assert_eq!(list.entries(), 16);
        assert_eq!(list.status(15), Ok(Status::Valid));
        let outside = |index| StatusListError::Index { index, entries: 16 };
        assert_eq!(list.status(16), Err(outside(16)));
        assert_eq!(list.status(u64::MAX), Err(outside(u64::MAX)));
        assert_eq!(list.set(16, Status::Invalid), Err(outside(16)));
        let narrow = StatusListError::Value { value: 2, bits: 1 };
        assert_eq!(list.set(0, Status::Suspended), Err(narrow));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_inflate_within_the_limit(bytes: Vec<u8>, limit in 0..4096_usize) {
            if let Ok(inflated) = inflate(&bytes, limit) {
                prop_assert!(inflated.len() <= limit);
            }
        }

        #[test]
        fn changed_streams_inflate_within_the_limit(
            at in 0..40_usize, bits: u8, length in 0..100_000_usize,
        ) {
            let mut stream = compress_to_vec_zlib(&vec![0; length], DEFLATE_LEVEL);
            if let Some(byte) = stream.get_mut(at) {
                *byte ^= bits;
            }
            if let Ok(inflated) = inflate(&stream, 50_000) {
                prop_assert!(inflated.len() <= 50_000);
            }
        }

        #[test]
        fn a_changed_entry_changes_no_other(
            width in 0..4_usize, entries in 1..200_usize, changes: Vec<(u8, u8)>,
        ) {
            let bits = ALL_BITS[width];
            let mut list = StatusList::new(bits, entries).unwrap();
            let mut model = vec![0; usize::try_from(list.entries()).unwrap()];
            for (index, value) in changes {
                let index = usize::from(index) % model.len();
                model[index] = value & bits.value_max();
                list.set(index as u64, Status::from_value(model[index])).unwrap();
            }
            let read = StatusList::inflate(bits, &list.deflate()).unwrap();
            for (index, value) in model.iter().enumerate() {
                prop_assert_eq!(read.status(index as u64).unwrap().value(), *value);
            }
        }
    }
}
