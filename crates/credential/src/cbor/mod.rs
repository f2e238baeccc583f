//! CBOR (RFC 8949): a strict reader that borrows from its input, and a writer.
//!
//! The reader keeps the raw bytes of every item at hand, because what was signed or hashed must
//! be checked as it came and never encoded again. It refuses what makes two readers disagree:
//! duplicate keys, trailing bytes, strings in chunks, reserved headers, text that is not UTF-8.
//! Length headers longer than needed are accepted, since deployed wallets send them. It never
//! allocates for a length that the input claims.

mod decode;
mod encode;
mod validate;

pub use decode::{Decoder, Embedded, Kind, Remaining};
pub use encode::Encoder;
pub use validate::{DEPTH_MAX, ITEMS_MAX};

use core::fmt;

/// The tag of a byte string that holds an encoded CBOR item (RFC 8949, section 3.4.5.1).
pub const TAG_EMBEDDED: u64 = 24;
/// The tag of an RFC 3339 date and time (`tdate` in ISO/IEC 18013-5).
pub const TAG_DATE_TIME: u64 = 0;

/// Whether maps and arrays may leave their length open until a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// Every length stands in its header: for all that is signed or hashed.
    Definite,
    /// Maps and arrays may be open; strings may not.
    OpenContainers,
}

/// Why bytes are not the CBOR that was asked for, and at which offset from their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CborError {
    /// What is wrong.
    pub fault: Fault,
    /// Where the offending item begins.
    pub offset: usize,
}

/// What is wrong with a CBOR item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The input ends inside an item.
    Truncated,
    /// Bytes follow the item.
    Trailing,
    /// A header that RFC 8949 reserves, or a simple value of unknown meaning.
    Reserved,
    /// An open length where only definite ones may stand.
    OpenLength,
    /// The same key stands twice in one map.
    DuplicateKey,
    /// Text that is not UTF-8.
    Utf8,
    /// Items lie deeper than [`DEPTH_MAX`].
    Depth,
    /// More than [`ITEMS_MAX`] items.
    Items,
    /// An integer outside the range asked for.
    Range,
    /// An item of another kind than expected.
    Unexpected {
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: Kind,
    },
}

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::Truncated => f.write_str("CBOR ends inside an item"),
            Fault::Trailing => f.write_str("bytes follow the CBOR item"),
            Fault::Reserved => f.write_str("reserved CBOR header"),
            Fault::OpenLength => {
                f.write_str("CBOR item of open length where a definite one is required")
            }
            Fault::DuplicateKey => f.write_str("key stands twice in a CBOR map"),
            Fault::Utf8 => f.write_str("CBOR text is not UTF-8"),
            Fault::Depth => write!(f, "CBOR items nest deeper than {DEPTH_MAX}"),
            Fault::Items => write!(f, "more than {ITEMS_MAX} CBOR items"),
            Fault::Range => f.write_str("CBOR integer is out of range"),
            Fault::Unexpected { expected, found } => {
                write!(f, "expected {expected}, found {found}")
            }
        }?;
        write!(f, " at byte {}", self.offset)
    }
}

impl core::error::Error for CborError {}

#[cfg(test)]
mod tests;
