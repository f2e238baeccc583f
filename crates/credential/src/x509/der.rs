//! A strict reader and a small writer of the Distinguished Encoding Rules (ITU-T X.690, 2021).
//!
//! The reader borrows: it hands out slices of its input and allocates nothing. It refuses what DER
//! refuses (indefinite and longer-than-needed lengths, padded integers, booleans other than 00 and
//! FF) and, beyond that, tags of more than one byte, which X.509 does not use. It must never
//! accept two encodings of one value, because certificates are compared as bytes.

use alloc::vec::Vec;
use core::fmt;

use vocabulary::time::{Civil, Date, Instant};

/// BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// UTF8String.
pub const UTF8_STRING: u8 = 0x0C;
/// PrintableString.
pub const PRINTABLE_STRING: u8 = 0x13;
/// IA5String.
pub const IA5_STRING: u8 = 0x16;
/// UTCTime.
pub const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
pub const GENERALIZED_TIME: u8 = 0x18;
/// SEQUENCE and SEQUENCE OF.
pub const SEQUENCE: u8 = 0x30;
/// SET and SET OF.
pub const SET: u8 = 0x31;

/// The tag `[number]`, constructed. `number` is 0 to 30.
#[must_use]
pub const fn context_constructed(number: u8) -> u8 {
    0xA0 | number
}

/// The tag `[number]`, primitive. `number` is 0 to 30.
#[must_use]
pub const fn context(number: u8) -> u8 {
    0x80 | number
}

/// Why bytes are not the DER that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DerError {
    /// The input ends inside an element.
    Truncated,
    /// A length is indefinite, longer than needed, or over four bytes.
    Length,
    /// Another tag stands where `expected` belongs.
    Tag {
        /// The tag byte that belongs there.
        expected: u8,
    },
    /// A tag number takes more than one byte.
    LongTag,
    /// The value breaks the rules of its type.
    Value {
        /// The type in words.
        what: &'static str,
    },
    /// Bytes follow where the element should end.
    Trailing,
}

impl fmt::Display for DerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("input ends inside a DER element"),
            Self::Length => f.write_str("DER length is not in its shortest definite form"),
            Self::Tag { expected } => write!(f, "DER tag `{expected:#04x}` expected"),
            Self::LongTag => f.write_str("DER tag number exceeds one byte"),
            Self::Value { what } => write!(f, "DER value is no valid {what}"),
            Self::Trailing => f.write_str("bytes follow the end of a DER element"),
        }
    }
}

impl core::error::Error for DerError {}

/// One element: its tag, its contents, and all of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// The tag byte.
    pub tag: u8,
    /// The contents.
    pub value: &'a [u8],
    /// Tag, length and contents as they were read.
    pub raw: &'a [u8],
}

/// Reads elements one after another.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the beginning of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element, whatever its tag.
    ///
    /// # Errors
    /// [`DerError`] when the header breaks DER or the contents are cut short.
    pub fn element(&mut self) -> Result<Element<'a>, DerError> {
        let (&tag, rest) = self.rest.split_first().ok_or(DerError::Truncated)?;
        if tag & 0x1F == 0x1F {
            return Err(DerError::LongTag);
        }
        let (length, rest) = length(rest)?;
        let (value, rest) = rest.split_at_checked(length).ok_or(DerError::Truncated)?;
        let consumed = self.rest.len() - rest.len();
        let raw = self.rest.get(..consumed).ok_or(DerError::Truncated)?;
        self.rest = rest;
        Ok(Element { tag, value, raw })
    }

    /// The contents of the next element, which must have this tag.
    ///
    /// # Errors
    /// [`DerError::Tag`] on another tag; see [`Reader::element`].
    pub fn expect(&mut self, tag: u8) -> Result<&'a [u8], DerError> {
        self.expect_element(tag).map(|element| element.value)
    }

    /// The next element, which must have this tag.
    ///
    /// # Errors
    /// As [`Reader::expect`].
    pub fn expect_element(&mut self, tag: u8) -> Result<Element<'a>, DerError> {
        if self.rest.first().is_some_and(|&found| found != tag) {
            return Err(DerError::Tag { expected: tag });
        }
        self.element()
    }

    /// The contents of the next element if it has this tag.
    ///
    /// # Errors
    /// [`DerError`] when it has the tag and breaks DER.
    pub fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, DerError> {
        if self.rest.first() == Some(&tag) { self.expect(tag).map(Some) } else { Ok(None) }
    }

    /// A reader of the contents of the next element, a SEQUENCE.
    ///
    /// # Errors
    /// As [`Reader::expect`].
    pub fn sequence(&mut self) -> Result<Self, DerError> {
        self.expect(SEQUENCE).map(Self::new)
    }

    /// An INTEGER's contents: two's complement, without padding, at least one byte.
    ///
    /// # Errors
    /// As [`Reader::expect`], and [`DerError::Value`] on padding.
    pub fn integer(&mut self) -> Result<&'a [u8], DerError> {
        let value = self.expect(INTEGER)?;
        match value {
            [] | [0, 0..=0x7F, ..] | [0xFF, 0x80..=0xFF, ..] => {
                Err(DerError::Value { what: "integer" })
            }
            _ => Ok(value),
        }
    }

    /// An INTEGER of 0 to 255.
    ///
    /// # Errors
    /// As [`Reader::integer`], and [`DerError::Value`] outside that range.
    pub fn small_integer(&mut self) -> Result<u8, DerError> {
        match self.integer()? {
            [value @ 0..=0x7F] | [0, value] => Ok(*value),
            _ => Err(DerError::Value { what: "integer from 0 to 255" }),
        }
    }

    /// A BOOLEAN that is false when absent; an explicit FALSE breaks DER.
    ///
    /// # Errors
    /// [`DerError::Value`] for anything but FF.
    pub fn default_false(&mut self) -> Result<bool, DerError> {
        match self.optional(BOOLEAN)? {
            None => Ok(false),
            Some([0xFF]) => Ok(true),
            Some(_) => Err(DerError::Value { what: "boolean that differs from its default" }),
        }
    }

    /// A BIT STRING that fills whole bytes.
    ///
    /// # Errors
    /// [`DerError::Value`] when bits are unused.
    pub fn whole_bits(&mut self) -> Result<&'a [u8], DerError> {
        match self.expect(BIT_STRING)? {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(DerError::Value { what: "bit string of whole bytes" }),
        }
    }

    /// A UTCTime or GeneralizedTime in the form that RFC 5280, 4.1.2.5, demands: UTC, with seconds.
    ///
    /// # Errors
    /// [`DerError::Value`] on another form or an impossible date.
    pub fn time(&mut self) -> Result<Instant, DerError> {
        let element = self.element()?;
        let parsed = match element.tag {
            UTC_TIME => utc_time(element.value),
            GENERALIZED_TIME => generalized_time(element.value),
            _ => return Err(DerError::Tag { expected: UTC_TIME }),
        };
        parsed.ok_or(DerError::Value { what: "time" })
    }

    /// Nothing is left.
    ///
    /// # Errors
    /// [`DerError::Trailing`] otherwise.
    pub fn finish(self) -> Result<(), DerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DerError::Trailing) }
    }
}

fn length(bytes: &[u8]) -> Result<(usize, &[u8]), DerError> {
    let (&first, rest) = bytes.split_first().ok_or(DerError::Truncated)?;
    if first < 0x80 {
        return Ok((usize::from(first), rest));
    }
    let count = usize::from(first & 0x7F);
    if !(1..=4).contains(&count) {
        return Err(DerError::Length);
    }
    let (digits, rest) = rest.split_at_checked(count).ok_or(DerError::Truncated)?;
    let value = digits.iter().fold(0_u64, |value, &digit| value << 8 | u64::from(digit));
    if value < 0x80 || digits.first() == Some(&0) {
        return Err(DerError::Length);
    }
    usize::try_from(value).map(|value| (value, rest)).map_err(|_| DerError::Length)
}

fn utc_time(text: &[u8]) -> Option<Instant> {
    let years = two_digits(text.get(..2)?)?;
    // RFC 5280, 4.1.2.5.1: 50 to 99 are of the twentieth century.
    let century = if years >= 50 { 1900 } else { 2000 };
    calendar(century + i32::from(years), text.get(2..)?)
}

fn generalized_time(text: &[u8]) -> Option<Instant> {
    let century = i32::from(two_digits(text.get(..2)?)?);
    let years = i32::from(two_digits(text.get(2..4)?)?);
    calendar(century * 100 + years, text.get(4..)?)
}

fn calendar(year: i32, rest: &[u8]) -> Option<Instant> {
    let (digits, zone) = rest.split_at_checked(10)?;
    if zone != b"Z" {
        return None;
    }
    let mut fields = [0_u8; 5];
    for (field, pair) in fields.iter_mut().zip(digits.chunks_exact(2)) {
        *field = two_digits(pair)?;
    }
    let [month, day, hour, minute, second] = fields;
    let date = Date { year, month, day };
    Instant::from_civil(Civil { date, hour, minute, second, microsecond: 0 })
}

fn two_digits(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [tens @ b'0'..=b'9', units @ b'0'..=b'9'] => Some((tens - b'0') * 10 + (units - b'0')),
        _ => None,
    }
}

/// Appends elements to a buffer, innermost last; lengths are put in when an element closes.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// One element with these contents.
    pub fn primitive(&mut self, tag: u8, value: &[u8]) -> &mut Self {
        self.bytes.push(tag);
        put_length(&mut self.bytes, value.len());
        self.bytes.extend_from_slice(value);
        self
    }

    /// One element whose contents `write` appends.
    pub fn nested(&mut self, tag: u8, write: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::new();
        write(&mut inner);
        self.primitive(tag, &inner.bytes)
    }

    /// Bytes that are DER already.
    pub fn raw(&mut self, der: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(der);
        self
    }

    /// A non-negative INTEGER from big-endian bytes of any length.
    pub fn unsigned(&mut self, big_endian: &[u8]) -> &mut Self {
        let start = big_endian.iter().take_while(|&&byte| byte == 0).count();
        let digits = big_endian.get(start..).unwrap_or_default();
        self.bytes.push(INTEGER);
        let padded = digits.first().is_none_or(|&first| first >= 0x80);
        put_length(&mut self.bytes, digits.len() + usize::from(padded));
        if padded {
            self.bytes.push(0);
        }
        self.bytes.extend_from_slice(digits);
        self
    }

    /// A BIT STRING of whole bytes.
    pub fn whole_bits(&mut self, value: &[u8]) -> &mut Self {
        self.bytes.push(BIT_STRING);
        put_length(&mut self.bytes, value.len() + 1);
        self.bytes.push(0);
        self.bytes.extend_from_slice(value);
        self
    }

    /// UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280, 4.1.2.5). Fractions are dropped.
    pub fn time(&mut self, at: Instant) -> &mut Self {
        let Civil { date, hour, minute, second, .. } = at.civil();
        let rest =
            alloc::format!("{:02}{:02}{hour:02}{minute:02}{second:02}Z", date.month, date.day);
        if (1950..2050).contains(&date.year) {
            let text = alloc::format!("{:02}{rest}", date.year.rem_euclid(100));
            self.primitive(UTC_TIME, text.as_bytes())
        } else {
            let text = alloc::format!("{:04}{rest}", date.year);
            self.primitive(GENERALIZED_TIME, text.as_bytes())
        }
    }

    /// All bytes written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    let bytes = length.to_be_bytes();
    let start = bytes.iter().take_while(|&&byte| byte == 0).count();
    let digits = bytes.get(start..).unwrap_or_default();
    match digits {
        [] => out.push(0),
        [short @ 0..=0x7F] => out.push(*short),
        _ => {
            // INVARIANT: a usize has at most eight bytes.
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            out.extend_from_slice(digits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn check(bytes: &[u8], expected: Result<&[u8], DerError>) {
        let mut reader = Reader::new(bytes);
        let found = reader.element().and_then(|element| {
            reader.finish()?;
            Ok(element.value)
        });
        assert_eq!(found, expected, "{bytes:02x?}");
    }

    #[test]
    fn only_the_shortest_definite_length_is_read() {
        check(&[0x04, 0x01, 0xAA], Ok(&[0xAA]));
        check(&[0x04, 0x81, 0x01, 0xAA], Err(DerError::Length));
        check(&[0x04, 0x80, 0xAA, 0x00, 0x00], Err(DerError::Length));
        check(&[0x04, 0x82, 0x00, 0x80], Err(DerError::Length));
        check(&[0x04, 0x85, 1, 0, 0, 0, 0], Err(DerError::Length));
        check(&[0x04, 0x02, 0xAA], Err(DerError::Truncated));
        check(&[0x04, 0x00, 0x00], Err(DerError::Trailing));
        check(&[0x1F, 0x81, 0x01, 0x00], Err(DerError::LongTag));
        check(&[], Err(DerError::Truncated));
    }

    #[test]
    fn padded_integers_and_odd_booleans_are_refused() {
        for (value, valid) in
            [(&[0_u8][..], true), (&[0, 0x80], true), (&[0, 0x7F], false), (&[0xFF, 0x80], false)]
        {
            let mut writer = Writer::new();
            writer.primitive(INTEGER, value);
            assert_eq!(Reader::new(&writer.into_bytes()).integer().is_ok(), valid, "{value:?}");
        }
        for (value, valid) in [(0xFF_u8, true), (0, false), (1, false)] {
            assert_eq!(Reader::new(&[BOOLEAN, 1, value]).default_false().is_ok(), valid);
        }
    }

    #[test]
    fn times_are_those_of_rfc_5280() {
        for (tag, text, expected) in [
            (UTC_TIME, "201001133002Z", Some("2020-10-01T13:30:02Z")),
            (UTC_TIME, "500101000000Z", Some("1950-01-01T00:00:00Z")),
            (UTC_TIME, "491231235959Z", Some("2049-12-31T23:59:59Z")),
            (GENERALIZED_TIME, "20500101000000Z", Some("2050-01-01T00:00:00Z")),
            (UTC_TIME, "2010011330Z", None),
            (UTC_TIME, "201001133002+0000", None),
            (UTC_TIME, "201301133002Z", None),
            (GENERALIZED_TIME, "20500101000000.5Z", None),
        ] {
            let mut writer = Writer::new();
            writer.primitive(tag, text.as_bytes());
            let found = Reader::new(&writer.into_bytes()).time().ok();
            let expected = expected.map(|text| Instant::parse_rfc3339(text).unwrap());
            assert_eq!(found, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: Vec<u8>, tag in 0_u8..0x1F) {
            let mut writer = Writer::new();
            writer.primitive(tag, &value);
            let der = writer.into_bytes();
            prop_assert_eq!(Reader::new(&der).expect(tag), Ok(&value[..]));
        }

        #[test]
        fn unsigned_integers_survive(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut writer = Writer::new();
            writer.unsigned(&value);
            let bytes = writer.into_bytes();
            let read = Reader::new(&bytes).integer().unwrap();
            let strip = |bytes: &[u8]| {
                let start = bytes.iter().take_while(|&&b| b == 0).count();
                bytes[start..].to_vec()
            };
            prop_assert_eq!(strip(read), strip(&value));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.element().is_ok() && !reader.is_empty() {}
            let _ = Reader::new(&bytes).time();
        }

        #[test]
        fn length_forms_agree(length in 0_usize..70_000) {
            let mut writer = Writer::new();
            writer.primitive(OCTET_STRING, &vec![7; length]);
            prop_assert_eq!(Reader::new(&writer.into_bytes()).expect(OCTET_STRING).unwrap().len(), length);
        }
    }
}
