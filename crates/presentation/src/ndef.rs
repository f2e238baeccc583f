//! NDEF records and messages (NFC Forum NDEF 1.0): parse and build.
//!
//! The parser borrows, holds to named limits and accepts a message only when its records fill it:
//! begin and end marks in place, no chunks, no bytes behind. What the records mean is told by
//! [`handover`]; how a reader gets at them, by [`tag`].

pub mod handover;
pub mod tag;

use alloc::vec::Vec;
use core::fmt;

/// Records in one message.
pub const RECORDS_MAX: usize = 32;
/// Bytes in one message: what a mapping version 2.0 tag file can hold.
pub const MESSAGE_BYTES_MAX: usize = 0x7FFF - 2;

const MESSAGE_BEGIN: u8 = 0x80;
const MESSAGE_END: u8 = 0x40;
const CHUNK: u8 = 0x20;
const SHORT: u8 = 0x10;
const HAS_ID: u8 = 0x08;

/// The type name format of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// No type, no identifier, no payload.
    Empty,
    /// A type of the NFC Forum, such as `Hs`.
    WellKnown,
    /// A media type (RFC 2046).
    Media,
    /// An absolute URI.
    Uri,
    /// A type of another organisation, such as `iso.org:18013:nfc`.
    External,
    /// A payload of unknown type.
    Unknown,
}

impl Format {
    const ALL: [(u8, Self); 6] = [
        (0, Self::Empty),
        (1, Self::WellKnown),
        (2, Self::Media),
        (3, Self::Uri),
        (4, Self::External),
        (5, Self::Unknown),
    ];
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// How to read the type.
    pub format: Format,
    /// The type, at most 255 bytes.
    pub kind: &'a [u8],
    /// The identifier, at most 255 bytes; empty when there is none.
    pub id: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

/// The records of a message, in order.
///
/// # Errors
/// [`ParseNdefError`] when the bytes are not exactly one message within the limits.
pub fn parse(bytes: &[u8]) -> Result<Vec<Record<'_>>, ParseNdefError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(ParseNdefError::TooLong);
    }
    let mut records = Vec::new();
    let mut rest = bytes;
    loop {
        let (&header, _) = rest.split_first().ok_or(ParseNdefError::Truncated)?;
        if (header & MESSAGE_BEGIN != 0) != records.is_empty() {
            return Err(ParseNdefError::Marks);
        }
        if records.len() == RECORDS_MAX {
            return Err(ParseNdefError::TooMany);
        }
        let (record, behind) = parse_record(rest)?;
        records.push(record);
        rest = behind;
        if header & MESSAGE_END != 0 {
            break;
        }
    }
    if rest.is_empty() { Ok(records) } else { Err(ParseNdefError::Marks) }
}

/// The bytes of a message made of `records`.
///
/// # Errors
/// [`BuildNdefError`] when there is no record, or one or all of them exceed their limits.
pub fn build(records: &[Record<'_>]) -> Result<Vec<u8>, BuildNdefError> {
    if records.is_empty() || records.len() > RECORDS_MAX {
        return Err(BuildNdefError::Count);
    }
    let mut bytes = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let mut header =
            Format::ALL.iter().find(|(_, f)| *f == record.format).map_or(0, |(n, _)| *n);
        let kind = u8::try_from(record.kind.len()).map_err(|_| BuildNdefError::Length)?;
        let id = u8::try_from(record.id.len()).map_err(|_| BuildNdefError::Length)?;
        let payload = u32::try_from(record.payload.len()).map_err(|_| BuildNdefError::Length)?;
        header |= if index == 0 { MESSAGE_BEGIN } else { 0 };
        header |= if index + 1 == records.len() { MESSAGE_END } else { 0 };
        header |= if payload <= 255 { SHORT } else { 0 };
        header |= if id > 0 { HAS_ID } else { 0 };
        bytes.extend([header, kind]);
        match payload.to_be_bytes() {
            [0, 0, 0, short] => bytes.push(short),
            long => bytes.extend(long),
        }
        if id > 0 {
            bytes.push(id);
        }
        for part in [record.kind, record.id, record.payload] {
            bytes.extend_from_slice(part);
        }
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(BuildNdefError::Length);
        }
    }
    Ok(bytes)
}

/// Why bytes are not one NDEF message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseNdefError {
    /// The bytes end inside a record, or there are none.
    Truncated,
    /// Begin or end mark out of place, or bytes behind the last record.
    Marks,
    /// A chunked record.
    Chunked,
    /// A reserved type name format, or an empty record that is not empty.
    Format,
    /// More than [`RECORDS_MAX`] records.
    TooMany,
    /// More than [`MESSAGE_BYTES_MAX`] bytes.
    TooLong,
}

impl fmt::Display for ParseNdefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parse NDEF message: ")?;
        f.write_str(match self {
            Self::Truncated => "it ends inside a record",
            Self::Marks => "begin or end mark out of place",
            Self::Chunked => "chunked record",
            Self::Format => "reserved type name format",
            Self::TooMany => "more than 32 records",
            Self::TooLong => "more than 32,765 bytes",
        })
    }
}

impl core::error::Error for ParseNdefError {}

/// Why records do not make a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildNdefError {
    /// No record, or more than [`RECORDS_MAX`].
    Count,
    /// A type or identifier over 255 bytes, or a message over [`MESSAGE_BYTES_MAX`].
    Length,
}

impl fmt::Display for BuildNdefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "build NDEF message: no record, or more than 32",
            Self::Length => "build NDEF message: a field or the whole is too long",
        })
    }
}

impl core::error::Error for BuildNdefError {}

/// The first record and what stands behind it.
fn parse_record(bytes: &[u8]) -> Result<(Record<'_>, &[u8]), ParseNdefError> {
    let mut rest = bytes;
    let [header, kind_length] = take(&mut rest)?;
    if header & CHUNK != 0 {
        return Err(ParseNdefError::Chunked);
    }
    let format = Format::ALL.iter().find(|(number, _)| *number == header & 7);
    let format = format.ok_or(ParseNdefError::Format)?.1;
    let payload_length = if header & SHORT != 0 {
        u32::from(u8::from_be_bytes(take(&mut rest)?))
    } else {
        u32::from_be_bytes(take(&mut rest)?)
    };
    let id_length = if header & HAS_ID != 0 { u8::from_be_bytes(take(&mut rest)?) } else { 0 };
    let kind = take_slice(&mut rest, usize::from(kind_length))?;
    let id = take_slice(&mut rest, usize::from(id_length))?;
    let payload_length = usize::try_from(payload_length).map_err(|_| ParseNdefError::Truncated)?;
    let payload = take_slice(&mut rest, payload_length)?;
    let is_empty = kind.is_empty() && id.is_empty() && payload.is_empty();
    if format == Format::Empty && !is_empty {
        return Err(ParseNdefError::Format);
    }
    Ok((Record { format, kind, id, payload }, rest))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ParseNdefError> {
    let (taken, behind) = rest.split_first_chunk::<N>().ok_or(ParseNdefError::Truncated)?;
    *rest = behind;
    Ok(*taken)
}

fn take_slice<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], ParseNdefError> {
    let (taken, behind) = rest.split_at_checked(length).ok_or(ParseNdefError::Truncated)?;
    *rest = behind;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn record(payload: &[u8]) -> Record<'_> {
        Record { format: Format::External, kind: b"limen:test", id: b"x", payload }
    }

    #[test]
    fn messages_that_do_not_fill_their_bytes_are_refused() {
        let valid = build(&[record(&[1]), record(&[2])]).unwrap();
        for length in 0..valid.len() {
            assert!(parse(&valid[..length]).is_err(), "{length}");
        }
        let doubled = [&valid[..], &valid[..]].concat();
        assert_eq!(parse(&doubled), Err(ParseNdefError::Marks));
    }

    #[test]
    fn chunks_and_reserved_formats_are_refused() {
        for (bytes, error) in [
            (&[0xF1, 0, 0][..], ParseNdefError::Chunked),
            (&[0xD6, 0, 0], ParseNdefError::Format),
            (&[0xD7, 0, 0], ParseNdefError::Format),
            (&[0xD0, 0, 1, 9], ParseNdefError::Format),
            (&[0x51, 0, 0], ParseNdefError::Marks),
            (&[0x91, 0, 0, 0x91, 0, 0], ParseNdefError::Marks),
            (&[0xC1, 0, 0xFF, 0xFF, 0xFF, 0xFF], ParseNdefError::Truncated),
        ] {
            assert_eq!(parse(bytes), Err(error), "{bytes:02x?}");
        }
    }

    #[test]
    fn the_number_of_records_holds_to_its_limit() {
        let records = vec![record(&[]); RECORDS_MAX];
        assert_eq!(parse(&build(&records).unwrap()), Ok(records.clone()));
        let records = vec![record(&[]); RECORDS_MAX + 1];
        assert_eq!(build(&records), Err(BuildNdefError::Count));
        let mut bytes = vec![0x91, 0, 0];
        bytes.extend([0x11, 0, 0].repeat(RECORDS_MAX));
        assert_eq!(parse(&bytes), Err(ParseNdefError::TooMany));
    }

    #[test]
    fn the_size_of_a_message_holds_to_its_limit() {
        let overhead = build(&[record(&[0; 256])]).unwrap().len() - 256;
        let payload = vec![0; MESSAGE_BYTES_MAX - overhead];
        assert_eq!(build(&[record(&payload)]).unwrap().len(), MESSAGE_BYTES_MAX);
        let payload = vec![0; MESSAGE_BYTES_MAX - overhead + 1];
        assert_eq!(build(&[record(&payload)]), Err(BuildNdefError::Length));
        assert_eq!(parse(&vec![0; MESSAGE_BYTES_MAX + 1]), Err(ParseNdefError::TooLong));
    }

    proptest! {
        #[test]
        fn records_return_from_their_message(
            fields in proptest::collection::vec((0..5_usize, any::<[Vec<u8>; 2]>(), 0..600_usize), 1..9),
        ) {
            let payload = [7; 600];
            let records: Vec<_> = fields
                .iter()
                .map(|(format, [kind, id], length)| Record {
                    format: Format::ALL[format + 1].1,
                    kind: &kind[..kind.len().min(255)],
                    id: &id[..id.len().min(255)],
                    payload: &payload[..*length],
                })
                .collect();
            let bytes = build(&records).unwrap();
            prop_assert_eq!(parse(&bytes), Ok(records));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
