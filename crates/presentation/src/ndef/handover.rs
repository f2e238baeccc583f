//! The Handover Select message that a phone shows to a reader (NFC Forum Connection Handover 1.5,
//! ISO/IEC 18013-5 clauses 8.2.2.1 and 8.2.2.2): where the device engagement is, and over what to
//! continue.
//!
//! Built for static handover with NFC as the carrier. Parsed for any carrier; only NFC is named,
//! others are left to their own profile. The raw message enters the session transcript: keep the
//! bytes as they were read.

use alloc::vec::Vec;
use core::fmt;

use super::{BuildNdefError, Format, ParseNdefError, Record};
use crate::apdu::LinkLimits;

const VERSION: u8 = 0x15;
const ENGAGEMENT_TYPE: &[u8] = b"iso.org:18013:deviceengagement";
const ENGAGEMENT_ID: &[u8] = b"mdoc";
const NFC_TYPE: &[u8] = b"iso.org:18013:nfc";
const NFC_ID: &[u8] = b"nfc";
const NFC_VERSION: u8 = 1;
const CARRIER_ACTIVE: u8 = 1;

/// What a reader takes from a Handover Select message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandoverSelect<'a> {
    /// The bytes of DeviceEngagement.
    pub engagement: &'a [u8],
    /// What the phone carries over NFC, when it offers to continue there.
    pub nfc: Option<LinkLimits>,
}

/// A Handover Select message with the engagement and NFC as its one carrier.
///
/// # Errors
/// [`BuildNdefError`] when the engagement is too long for a tag.
pub fn build(engagement: &[u8], nfc: LinkLimits) -> Result<Vec<u8>, BuildNdefError> {
    let mut carrier = Vec::from([CARRIER_ACTIVE, 3]);
    carrier.extend_from_slice(NFC_ID);
    carrier.extend([1, 4]);
    carrier.extend_from_slice(ENGAGEMENT_ID);
    let carriers = super::build(&[Record {
        format: Format::WellKnown,
        kind: b"ac",
        id: &[],
        payload: &carrier,
    }])?;
    let select = [&[VERSION], &carriers[..]].concat();
    super::build(&[
        Record { format: Format::WellKnown, kind: b"Hs", id: &[], payload: &select },
        Record {
            format: Format::External,
            kind: ENGAGEMENT_TYPE,
            id: ENGAGEMENT_ID,
            payload: engagement,
        },
        Record {
            format: Format::External,
            kind: NFC_TYPE,
            id: NFC_ID,
            payload: &nfc_configuration(nfc),
        },
    ])
}

/// Parses a Handover Select message.
///
/// # Errors
/// [`ParseHandoverError`] when it is no such message, or it refers to no engagement.
pub fn parse(message: &[u8]) -> Result<HandoverSelect<'_>, ParseHandoverError> {
    let records = super::parse(message).map_err(ParseHandoverError::Ndef)?;
    let Some((select, records)) = records.split_first() else {
        return Err(ParseHandoverError::NotSelect);
    };
    let (Format::WellKnown, b"Hs", [version, carriers @ ..]) =
        (select.format, select.kind, select.payload)
    else {
        return Err(ParseHandoverError::NotSelect);
    };
    if version >> 4 != VERSION >> 4 {
        return Err(ParseHandoverError::Version(*version));
    }
    let is_engagement =
        |record: &&Record<'_>| (record.format, record.kind) == (Format::External, ENGAGEMENT_TYPE);
    let mut engagements = records.iter().filter(is_engagement);
    let (Some(engagement), None) = (engagements.next(), engagements.next()) else {
        return Err(ParseHandoverError::Engagement);
    };
    let mut nfc = None;
    for carrier in super::parse(carriers).map_err(ParseHandoverError::Ndef)? {
        if (carrier.format, carrier.kind) != (Format::WellKnown, b"ac") {
            continue;
        }
        let reference = carrier_reference(carrier.payload)?;
        let is_nfc = |record: &&Record<'_>| {
            (record.format, record.kind) == (Format::External, NFC_TYPE) && record.id == reference
        };
        if let Some(record) = records.iter().find(is_nfc) {
            nfc = Some(parse_nfc_configuration(record.payload)?);
        }
    }
    Ok(HandoverSelect { engagement: engagement.payload, nfc })
}

/// Why a message is not a usable Handover Select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseHandoverError {
    /// Not an NDEF message.
    Ndef(ParseNdefError),
    /// The first record is not Handover Select.
    NotSelect,
    /// The major version is not 1.
    Version(u8),
    /// An alternative carrier record ends too early.
    Carrier,
    /// No record with a device engagement, or several.
    Engagement,
    /// The NFC carrier configuration is malformed or its lengths are out of range.
    Nfc,
}

impl fmt::Display for ParseHandoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parse handover select message: ")?;
        match self {
            Self::Ndef(error) => write!(f, "{error}"),
            Self::NotSelect => f.write_str("first record is not `Hs`"),
            Self::Version(version) => write!(f, "unknown version `{version:02x}`"),
            Self::Carrier => f.write_str("malformed alternative carrier record"),
            Self::Engagement => f.write_str("no device engagement record, or several"),
            Self::Nfc => f.write_str("malformed NFC carrier configuration"),
        }
    }
}

impl core::error::Error for ParseHandoverError {}

/// The payload of the NFC carrier configuration record (clause 8.2.2.2): version, then length,
/// type and value of the two maximum lengths.
fn nfc_configuration(limits: LinkLimits) -> Vec<u8> {
    let [high, low] = limits.command_data_bytes().to_be_bytes();
    let mut bytes = Vec::from([NFC_VERSION, 3, 1, high, low]);
    match limits.response_data_bytes().to_be_bytes() {
        [0, 0, high, low] => bytes.extend([3, 2, high, low]),
        [_, top, high, low] => bytes.extend([4, 2, top, high, low]),
    }
    bytes
}

fn parse_nfc_configuration(payload: &[u8]) -> Result<LinkLimits, ParseHandoverError> {
    let [NFC_VERSION, fields @ ..] = payload else { return Err(ParseHandoverError::Nfc) };
    let (command, rest) = length_field(fields, 1)?;
    let (response, _) = length_field(rest, 2)?;
    LinkLimits::new(command, response).ok_or(ParseHandoverError::Nfc)
}

/// One maximum length: length byte, type byte, one to three bytes of value.
fn length_field(bytes: &[u8], kind: u8) -> Result<(u64, &[u8]), ParseHandoverError> {
    let [length @ 2..=4, found, rest @ ..] = bytes else { return Err(ParseHandoverError::Nfc) };
    let value = rest.split_at_checked(usize::from(length - 1)).filter(|_| *found == kind);
    let (value, rest) = value.ok_or(ParseHandoverError::Nfc)?;
    Ok((value.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)), rest))
}

/// The reference to the carrier in an alternative carrier record.
fn carrier_reference(payload: &[u8]) -> Result<&[u8], ParseHandoverError> {
    match payload {
        [_, length, rest @ ..] => {
            rest.get(..usize::from(*length)).ok_or(ParseHandoverError::Carrier)
        }
        _ => Err(ParseHandoverError::Carrier),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn a_built_message_is_parsed_again() {
        for limits in [LinkLimits::SHORT, LinkLimits::EXTENDED] {
            let message = build(&[0xA0], limits).unwrap();
            let select = HandoverSelect { engagement: &[0xA0], nfc: Some(limits) };
            assert_eq!(parse(&message), Ok(select));
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_standard() {
        // Connection Handover 1.5, `ac` active, reference `nfc`, auxiliary `mdoc`; records in order.
        let wanted = [
            &b"\x91\x02\x11Hs\x15\xD1\x02\x0Bac\x01\x03nfc\x01\x04mdoc"[..],
            b"\x1C\x1E\x01\x04iso.org:18013:deviceengagementmdoc\xA0",
            b"\x5C\x11\x0A\x03iso.org:18013:nfcnfc\x01\x03\x01\xFF\xFF\x04\x02\x01\x00\x00",
        ]
        .concat();
        assert_eq!(build(&[0xA0], LinkLimits::EXTENDED).unwrap(), wanted);
    }

    fn with_records(records: &[Record<'_>]) -> Vec<u8> {
        super::super::build(records).unwrap()
    }

    #[test]
    fn messages_without_what_a_reader_needs_are_refused() {
        let carriers = with_records(&[Record {
            format: Format::WellKnown,
            kind: b"ac",
            id: &[],
            payload: b"\x01\x03nfc\x00",
        }]);
        let payload = [&[VERSION], &carriers[..]].concat();
        let select = Record { format: Format::WellKnown, kind: b"Hs", id: &[], payload: &payload };
        let engagement = Record {
            format: Format::External,
            kind: ENGAGEMENT_TYPE,
            id: ENGAGEMENT_ID,
            payload: &[0xA0],
        };
        let nfc =
            |payload| Record { format: Format::External, kind: NFC_TYPE, id: NFC_ID, payload };
        let old = [&[0x25], &carriers[..]].concat();
        let short = [&[VERSION], &b"\xD1\x02\x02ac\x01\x03"[..]].concat();
        for (records, error) in [
            (vec![engagement, select], ParseHandoverError::NotSelect),
            (vec![select], ParseHandoverError::Engagement),
            (vec![select, engagement, engagement], ParseHandoverError::Engagement),
            (
                vec![Record { payload: &old, ..select }, engagement],
                ParseHandoverError::Version(0x25),
            ),
            (vec![Record { payload: &short, ..select }, engagement], ParseHandoverError::Carrier),
            (vec![select, engagement, nfc(&[1])], ParseHandoverError::Nfc),
            (vec![select, engagement, nfc(&[2, 3, 1, 1, 0, 3, 2, 1, 0])], ParseHandoverError::Nfc),
            (
                vec![select, engagement, nfc(&[1, 3, 1, 0, 254, 3, 2, 1, 0])],
                ParseHandoverError::Nfc,
            ),
            (vec![select, engagement, nfc(&[1, 3, 2, 1, 0, 3, 2, 1, 0])], ParseHandoverError::Nfc),
        ] {
            assert_eq!(parse(&with_records(&records)), Err(error));
        }
        let valid = with_records(&[select, engagement, nfc(&[1, 2, 1, 255, 3, 2, 1, 0])]);
        assert_eq!(parse(&valid).unwrap().nfc, Some(LinkLimits::SHORT));
        assert_eq!(parse(&with_records(&[select, engagement])).unwrap().nfc, None);
    }

    proptest! {
        #[test]
        fn a_message_with_any_byte_changed_never_panics(position: prop::sample::Index, byte: u8) {
            let mut message = build(&[0xA0; 80], LinkLimits::EXTENDED).unwrap();
            let position = position.index(message.len());
            message[position] = byte;
            let _ = parse(&message);
        }
    }
}
