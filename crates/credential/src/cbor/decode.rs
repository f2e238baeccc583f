//! The reader: a cursor over one validated CBOR item.

use core::fmt;

use super::validate::validate;
use super::{CborError, Fault, Lengths, TAG_EMBEDDED};

/// A cursor over CBOR bytes that were found well formed as a whole.
///
/// ```
/// use credential::cbor::{CborError, Decoder};
/// # fn main() -> Result<(), CborError> {
/// let mut decoder = Decoder::new(&[0xa1, 0x61, b'a', 0x07])?;
/// let mut entries = decoder.map()?;
/// while decoder.more(&mut entries)? {
///     assert_eq!((decoder.text()?, decoder.unsigned()?), ("a", 7));
/// }
/// decoder.finish()
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) position: usize,
}

/// What stands at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An integer from 0 to 2^64 - 1.
    Unsigned,
    /// An integer from -2^64 to -1.
    Negative,
    /// A byte string.
    Bytes,
    /// A text string.
    Text,
    /// An array.
    Array,
    /// A map.
    Map,
    /// A tag before another item.
    Tag,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
    /// `undefined`.
    Undefined,
    /// A floating-point number of any width.
    Float,
    /// The end of an open container.
    Break,
    /// Another simple value, or a reserved header.
    Other,
    /// Nothing: the input has ended.
    End,
}

/// How many entries of a map or array are still to come. Hand it to [`Decoder::more`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// So many.
    Definite(u64),
    /// Unknown, until a break.
    Open,
}

impl Remaining {
    /// The number of entries, where it is known beforehand.
    #[must_use]
    pub const fn count(self) -> Option<u64> {
        match self {
            Self::Definite(count) => Some(count),
            Self::Open => None,
        }
    }
}

/// The head of an item: major type, argument, and whether the length is open.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) major: u8,
    pub(super) info: u8,
    pub(super) argument: u64,
    pub(super) length: usize,
}

impl Head {
    pub(super) fn is_open(self) -> bool {
        self.info == 31
    }

    /// Reads the head at the beginning of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let (&first, rest) = bytes.split_first().ok_or(Fault::Truncated)?;
        let (major, info) = (first >> 5, first & 31);
        let width = match info {
            0..=23 => 0,
            24..=27 => 1_usize << (info - 24),
            31 if major != 0 && major != 1 && major != 6 => 0,
            _ => return Err(Fault::Reserved),
        };
        let argument = match width {
            0 => u64::from(info),
            _ => rest
                .get(..width)
                .ok_or(Fault::Truncated)?
                .iter()
                .fold(0, |value, &byte| (value << 8) | u64::from(byte)),
        };
        Ok(Self { major, info, argument, length: 1 + width })
    }
}

impl<'a> Decoder<'a> {
    /// A cursor at the beginning of one whole item, all of whose lengths are definite.
    ///
    /// # Errors
    /// [`CborError`] if the bytes are not exactly one well-formed item within the limits.
    pub fn new(bytes: &'a [u8]) -> Result<Self, CborError> {
        Self::with_lengths(bytes, Lengths::Definite)
    }

    /// A cursor at the beginning of one whole item.
    ///
    /// # Errors
    /// [`CborError`] if the bytes are not exactly one well-formed item within the limits.
    pub fn with_lengths(bytes: &'a [u8], lengths: Lengths) -> Result<Self, CborError> {
        validate(bytes, lengths)?;
        Ok(Self { bytes, position: 0 })
    }

    /// The offset of the cursor from the beginning of the input.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// What stands at the cursor.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let Some(&first) = self.bytes.get(self.position) else { return Kind::End };
        match (first >> 5, first & 31) {
            (0, _) => Kind::Unsigned,
            (1, _) => Kind::Negative,
            (2, _) => Kind::Bytes,
            (3, _) => Kind::Text,
            (4, _) => Kind::Array,
            (5, _) => Kind::Map,
            (6, _) => Kind::Tag,
            (_, 20 | 21) => Kind::Bool,
            (_, 22) => Kind::Null,
            (_, 23) => Kind::Undefined,
            (_, 25..=27) => Kind::Float,
            (_, 31) => Kind::Break,
            _ => Kind::Other,
        }
    }

    /// The error that the item at the cursor is not what `expected` says.
    #[must_use]
    pub fn unexpected(&self, expected: &'static str) -> CborError {
        self.fault(Fault::Unexpected { expected, found: self.kind() })
    }

    /// An integer from 0 to 2^64 - 1.
    ///
    /// # Errors
    /// [`CborError`] if something else stands at the cursor.
    pub fn unsigned(&mut self) -> Result<u64, CborError> {
        Ok(self.take(0, "an unsigned integer")?.argument)
    }

    /// An integer of 64 bits with sign.
    ///
    /// # Errors
    /// [`CborError`] if something else stands at the cursor, or a value outside that range.
    pub fn integer(&mut self) -> Result<i64, CborError> {
        let start = self.position;
        let out_of_range = CborError { fault: Fault::Range, offset: start };
        if self.kind() == Kind::Negative {
            let argument = self.take(1, "an integer")?.argument;
            return i64::try_from(argument).map(|value| -1 - value).map_err(|_| out_of_range);
        }
        i64::try_from(self.take(0, "an integer")?.argument).map_err(|_| out_of_range)
    }

    /// A byte string.
    ///
    /// # Errors
    /// [`CborError`] if something else stands at the cursor.
    pub fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        self.string(2, "a byte string")
    }

    /// A byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// [`CborError`] if something else, or another length, stands at the cursor.
    pub fn byte_array<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let start = self.position;
        let bytes = self.bytes()?;
        bytes.try_into().map_err(|_| CborError { fault: Fault::Range, offset: start })
    }

    /// A text string.
    ///
    /// # Errors
    /// [`CborError`] if something else stands at the cursor.
    pub fn text(&mut self) -> Result<&'a str, CborError> {
        let start = self.position;
        let bytes = self.string(3, "a text string")?;
        core::str::from_utf8(bytes).map_err(|_| CborError { fault: Fault::Utf8, offset: start })
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// [`CborError`] if something else stands at the cursor.
    pub fn bool(&mut self) -> Result<bool, CborError> {
        if self.kind() != Kind::Bool {
            return Err(self.unexpected("a boolean"));
        }
        Ok(self.take(7, "a boolean")?.info == 21)
    }

    /// `null`.
    ///
    /// # Errors
    /// [`CborError`] if something else stands at the cursor.
    pub fn null(&mut self) -> Result<(), CborError> {
        if self.kind() != Kind::Null {
            return Err(self.unexpected("null"));
        }
        self.take(7, "null").map(|_| ())
    }

    /// A floating-point number, widened to 64 bits.
    ///
    /// # Errors
    /// [`CborError`] if something else stands at the cursor.
    pub fn float(&mut self) -> Result<f64, CborError> {
        if self.kind() != Kind::Float {
            return Err(self.unexpected("a floating-point number"));
        }
        let head = self.take(7, "a floating-point number")?;
        let [.., a, b, c, d] = head.argument.to_be_bytes();
        Ok(match head.info {
            25 => half_to_double(u16::from_be_bytes([c, d])),
            26 => f64::from(f32::from_be_bytes([a, b, c, d])),
            _ => f64::from_bits(head.argument),
        })
    }

    /// The number of a tag; the tagged item follows.
    ///
    /// # Errors
    /// [`CborError`] if something else stands at the cursor.
    pub fn tag(&mut self) -> Result<u64, CborError> {
        Ok(self.take(6, "a tag")?.argument)
    }

    /// The tag `number` and no other.
    ///
    /// # Errors
    /// [`CborError`] if something else stands at the cursor.
    pub fn expect_tag(&mut self, number: u64, expected: &'static str) -> Result<(), CborError> {
        let before = self.clone();
        if self.kind() == Kind::Tag && self.tag()? == number {
            return Ok(());
        }
        Err(before.unexpected(expected))
    }

    /// The beginning of an array; ask [`Decoder::more`] before each entry.
    ///
    /// # Errors
    /// [`CborError`] if something else stands at the cursor.
    pub fn array(&mut self) -> Result<Remaining, CborError> {
        self.take(4, "an array").map(remaining)
    }

    /// The beginning of an array of exactly `count` entries, definite.
    ///
    /// # Errors
    /// [`CborError`] if something else, or another count, stands at the cursor.
    pub fn array_of(&mut self, count: u64) -> Result<(), CborError> {
        let before = self.clone();
        if self.array()? == Remaining::Definite(count) {
            return Ok(());
        }
        Err(before.fault(Fault::Range))
    }

    /// The beginning of a map; ask [`Decoder::more`] before each key.
    ///
    /// # Errors
    /// [`CborError`] if something else stands at the cursor.
    pub fn map(&mut self) -> Result<Remaining, CborError> {
        self.take(5, "a map").map(remaining)
    }

    /// Whether another entry follows; counts it off, and passes the break of an open container.
    ///
    /// # Errors
    /// [`CborError`] if the input ends before a break.
    pub fn more(&mut self, remaining: &mut Remaining) -> Result<bool, CborError> {
        match remaining {
            Remaining::Definite(0) => Ok(false),
            Remaining::Definite(count) => {
                *count -= 1;
                Ok(true)
            }
            Remaining::Open if self.kind() == Kind::Break => {
                self.position += 1;
                *remaining = Remaining::Definite(0);
                Ok(false)
            }
            Remaining::Open if self.kind() == Kind::End => Err(self.fault(Fault::Truncated)),
            Remaining::Open => Ok(true),
        }
    }

    /// Passes one whole item and returns its bytes.
    ///
    /// # Errors
    /// [`CborError`] if no item stands at the cursor.
    pub fn raw(&mut self) -> Result<&'a [u8], CborError> {
        let start = self.position;
        self.skip_items(1)?;
        self.bytes
            .get(start..self.position)
            .ok_or(CborError { fault: Fault::Truncated, offset: start })
    }

    /// Passes one whole item.
    ///
    /// # Errors
    /// [`CborError`] if no item stands at the cursor.
    pub fn skip(&mut self) -> Result<(), CborError> {
        self.skip_items(1)
    }

    /// An item embedded in a byte string under tag 24: its raw bytes with tag and header, and the
    /// bytes inside, which are not validated yet.
    ///
    /// # Errors
    /// [`CborError`] if something else stands at the cursor.
    pub fn embedded(&mut self) -> Result<Embedded<'a>, CborError> {
        let start = self.position;
        self.expect_tag(TAG_EMBEDDED, "an embedded item (tag 24)")?;
        let inner = self.bytes()?;
        let raw = self.bytes.get(start..self.position).unwrap_or_default();
        Ok(Embedded { raw, inner })
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`CborError`] if items are left.
    pub fn finish(self) -> Result<(), CborError> {
        if self.position == self.bytes.len() { Ok(()) } else { Err(self.fault(Fault::Trailing)) }
    }

    fn fault(&self, fault: Fault) -> CborError {
        CborError { fault, offset: self.position }
    }

    fn head(&self) -> Result<Head, CborError> {
        Head::read(self.bytes.get(self.position..).unwrap_or_default())
            .map_err(|fault| self.fault(fault))
    }

    fn take(&mut self, major: u8, expected: &'static str) -> Result<Head, CborError> {
        let head = self.head()?;
        if head.major != major {
            return Err(self.unexpected(expected));
        }
        self.position += head.length;
        Ok(head)
    }

    fn string(&mut self, major: u8, expected: &'static str) -> Result<&'a [u8], CborError> {
        let before = self.clone();
        let head = self.take(major, expected)?;
        let string = usize::try_from(head.argument)
            .ok()
            .filter(|_| !head.is_open())
            .and_then(|length| self.bytes.get(self.position..)?.get(..length))
            .ok_or_else(|| before.fault(Fault::Truncated))?;
        self.position += string.len();
        Ok(string)
    }

    /// Passes `count` items. Recursion is bounded: the input was validated against `DEPTH_MAX`.
    fn skip_items(&mut self, count: u64) -> Result<(), CborError> {
        for _ in 0..count {
            let head = self.head()?;
            match head.major {
                2 => {
                    self.bytes()?;
                }
                3 => {
                    self.string(3, "a text string")?;
                }
                _ => self.position += head.length,
            }
            match head.major {
                4 | 5 if head.is_open() => {
                    let mut entries = Remaining::Open;
                    while self.more(&mut entries)? {
                        self.skip_items(1)?;
                    }
                }
                4 => self.skip_items(head.argument)?,
                5 => self.skip_items(head.argument.saturating_mul(2))?,
                6 => self.skip_items(1)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// An item inside a tag 24 byte string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Embedded<'a> {
    /// Tag, header and content: what ISO/IEC 18013-5 hashes (`IssuerSignedItemBytes`).
    pub raw: &'a [u8],
    /// The content alone.
    pub inner: &'a [u8],
}

fn remaining(head: Head) -> Remaining {
    if head.is_open() { Remaining::Open } else { Remaining::Definite(head.argument) }
}

/// IEEE 754 half precision, as in RFC 8949 appendix D.
fn half_to_double(half: u16) -> f64 {
    let exponent = (half >> 10) & 0x1f;
    let mantissa = f64::from(half & 0x3ff);
    let magnitude = match exponent {
        0 => mantissa / 16_777_216.0,
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * f64::from_bits(u64::from(1023 - 25 + exponent) << 52),
    };
    if half & 0x8000 == 0 { magnitude } else { -magnitude }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsigned => "an unsigned integer",
            Self::Negative => "a negative integer",
            Self::Bytes => "a byte string",
            Self::Text => "a text string",
            Self::Array => "an array",
            Self::Map => "a map",
            Self::Tag => "a tag",
            Self::Bool => "a boolean",
            Self::Null => "null",
            Self::Undefined => "undefined",
            Self::Float => "a floating-point number",
            Self::Break => "a break",
            Self::Other => "another simple value",
            Self::End => "the end",
        })
    }
}
