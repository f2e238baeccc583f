//! DeviceEngagement (ISO/IEC 18013-5 clause 8.2.1.1): the holder's ephemeral key and how to
//! reach it, shown as a QR picture or inside a Handover Select message.
//!
//! The raw bytes enter the session transcript: parse borrows from them, and nothing here encodes
//! an engagement again that came from the other end. Entries of unknown meaning are passed over.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use credential::cbor::{CborError, Decoder, Encoder, Kind};
use credential::cose;
use credential::crypto::PublicKey;

use crate::apdu::LinkLimits;

/// Bytes in one DeviceEngagement.
pub const ENGAGEMENT_BYTES_MAX: usize = 2_048;
/// Retrieval methods in one DeviceEngagement.
pub const METHODS_MAX: usize = 8;
/// What the text in a QR picture begins with.
pub const URI_SCHEME: &str = "mdoc:";

/// P-256, HKDF-SHA-256 and AES-256-GCM: the one cipher suite of the standard.
const CIPHER_SUITE: u64 = 1;
const VERSION: &str = "1.0";

/// A parsed DeviceEngagement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engagement<'a> {
    /// All of its bytes, for the session transcript.
    pub raw: &'a [u8],
    /// EDeviceKeyBytes as they came, tag 24 included.
    pub device_key_bytes: &'a [u8],
    /// The holder's ephemeral key, uncompressed.
    pub device_key: [u8; 65],
    /// How to retrieve documents; empty when a Handover Select message tells it.
    pub methods: Vec<RetrievalMethod>,
}

/// How a reader may retrieve documents (DeviceRetrievalMethod).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetrievalMethod {
    /// Type 1, over NFC.
    Nfc(LinkLimits),
    /// Type 2, Bluetooth low energy: the service that the holder offers and the one it looks for.
    Ble {
        /// The holder as peripheral and server.
        peripheral_server: Option<[u8; 16]>,
        /// The holder as central and client.
        central_client: Option<[u8; 16]>,
    },
    /// A method that this crate does not know.
    Other {
        /// Its type.
        kind: u64,
    },
}

/// The bytes of a DeviceEngagement for the holder's ephemeral `key`. Methods that this crate does
/// not know are left out.
#[must_use]
pub fn build(key: &[u8; 65], methods: &[RetrievalMethod]) -> Vec<u8> {
    let is_known = |method: &&RetrievalMethod| !matches!(method, RetrievalMethod::Other { .. });
    let count = methods.iter().filter(is_known).count();
    let mut encoder = Encoder::default();
    encoder.map(if count == 0 { 2 } else { 3 });
    encoder.unsigned(0).text(VERSION);
    encoder.unsigned(1).array(2).unsigned(CIPHER_SUITE).raw(&key_bytes(key));
    if count > 0 {
        encoder.unsigned(2).array(count);
    }
    for method in methods {
        write_method(&mut encoder, *method);
    }
    encoder.into_bytes()
}

/// Parses a DeviceEngagement.
///
/// # Errors
/// [`ParseEngagementError`] when it is malformed, of another major version, or its key is not one
/// of cipher suite 1.
pub fn parse(raw: &[u8]) -> Result<Engagement<'_>, ParseEngagementError> {
    if raw.len() > ENGAGEMENT_BYTES_MAX {
        return Err(ParseEngagementError::TooLong);
    }
    let mut decoder = Decoder::new(raw)?;
    let (mut version, mut security, mut methods) = (None, None, Vec::new());
    let mut entries = decoder.map()?;
    while decoder.more(&mut entries)? {
        if decoder.kind() != Kind::Unsigned {
            decoder.skip()?;
            decoder.skip()?;
            continue;
        }
        match decoder.unsigned()? {
            0 => version = Some(decoder.text()?),
            1 => security = Some(parse_security(&mut decoder)?),
            2 => methods = parse_methods(&mut decoder)?,
            _ => decoder.skip()?,
        }
    }
    decoder.finish()?;
    if !version.ok_or(ParseEngagementError::Missing)?.starts_with("1.") {
        return Err(ParseEngagementError::Version);
    }
    let (device_key_bytes, device_key) = security.ok_or(ParseEngagementError::Missing)?;
    Ok(Engagement { raw, device_key_bytes, device_key, methods })
}

/// The text for a QR picture: `mdoc:` and the engagement in base64url without padding.
#[must_use]
pub fn to_uri(engagement: &[u8]) -> String {
    [URI_SCHEME, &Base64UrlUnpadded::encode_string(engagement)].concat()
}

/// The engagement bytes in the text of a QR picture.
///
/// # Errors
/// [`ParseEngagementError`] when the text has another scheme, is too long or no base64url.
pub fn from_uri(text: &str) -> Result<Vec<u8>, ParseEngagementError> {
    let encoded = text.strip_prefix(URI_SCHEME).ok_or(ParseEngagementError::Uri)?;
    if encoded.len() > ENGAGEMENT_BYTES_MAX.div_ceil(3) * 4 {
        return Err(ParseEngagementError::TooLong);
    }
    Base64UrlUnpadded::decode_vec(encoded).map_err(|_| ParseEngagementError::Uri)
}

/// An ephemeral key as both ends carry it: COSE_Key inside tag 24 (EDeviceKeyBytes, EReaderKeyBytes).
#[must_use]
pub fn key_bytes(key: &[u8; 65]) -> Vec<u8> {
    let mut inner = Encoder::default();
    cose::write_key(&mut inner, &PublicKey::P256(*key));
    let mut encoder = Encoder::default();
    encoder.embedded(inner.as_bytes());
    encoder.into_bytes()
}

/// The P-256 point of a COSE_Key, or nothing if it is anything else.
pub(crate) fn parse_key(cose_key: &[u8]) -> Option<[u8; 65]> {
    let mut decoder = Decoder::new(cose_key).ok()?;
    match cose::parse_key(&mut decoder).ok()? {
        PublicKey::P256(point) => Some(point),
        _ => None,
    }
}

/// Why bytes or a text are not a usable DeviceEngagement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseEngagementError {
    /// Not the CBOR that the standard demands.
    Cbor(CborError),
    /// Version or security is missing.
    Missing,
    /// A major version other than 1.
    Version,
    /// A cipher suite other than 1.
    CipherSuite(u64),
    /// The ephemeral key is no P-256 key in full.
    Key,
    /// More than [`ENGAGEMENT_BYTES_MAX`] bytes or [`METHODS_MAX`] methods.
    TooLong,
    /// A retrieval method's options are out of range.
    Method,
    /// Not `mdoc:` and base64url.
    Uri,
}

impl fmt::Display for ParseEngagementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parse device engagement: ")?;
        match self {
            Self::Cbor(error) => write!(f, "{error}"),
            Self::Missing => f.write_str("version or security is missing"),
            Self::Version => f.write_str("major version is not 1"),
            Self::CipherSuite(suite) => write!(f, "unknown cipher suite `{suite}`"),
            Self::Key => f.write_str("ephemeral key is not a P-256 key"),
            Self::TooLong => f.write_str("more than 2,048 bytes or 8 methods"),
            Self::Method => f.write_str("options of a retrieval method are out of range"),
            Self::Uri => f.write_str("text is not `mdoc:` and base64url"),
        }
    }
}

impl core::error::Error for ParseEngagementError {}

impl From<CborError> for ParseEngagementError {
    fn from(error: CborError) -> Self {
        Self::Cbor(error)
    }
}

fn parse_security<'a>(
    decoder: &mut Decoder<'a>,
) -> Result<(&'a [u8], [u8; 65]), ParseEngagementError> {
    decoder.array_of(2)?;
    let suite = decoder.unsigned()?;
    if suite != CIPHER_SUITE {
        return Err(ParseEngagementError::CipherSuite(suite));
    }
    let key = decoder.embedded()?;
    Ok((key.raw, parse_key(key.inner).ok_or(ParseEngagementError::Key)?))
}

fn parse_methods(decoder: &mut Decoder<'_>) -> Result<Vec<RetrievalMethod>, ParseEngagementError> {
    let mut methods = Vec::new();
    let mut entries = decoder.array()?;
    while decoder.more(&mut entries)? {
        if methods.len() == METHODS_MAX {
            return Err(ParseEngagementError::TooLong);
        }
        methods.push(parse_method(decoder)?);
    }
    Ok(methods)
}

/// One of `[type, version, options]`.
fn parse_method(decoder: &mut Decoder<'_>) -> Result<RetrievalMethod, ParseEngagementError> {
    decoder.array_of(3)?;
    let kind = decoder.unsigned()?;
    let version = decoder.unsigned()?;
    if !matches!((kind, version), (1 | 2, 1)) {
        decoder.skip()?;
        return Ok(RetrievalMethod::Other { kind });
    }
    let (mut command, mut response) = (0, 0);
    let (mut peripheral_server, mut central_client) = (None, None);
    let mut entries = decoder.map()?;
    while decoder.more(&mut entries)? {
        match (kind, decoder.unsigned()?) {
            (1, 0) => command = decoder.unsigned()?,
            (1, 1) => response = decoder.unsigned()?,
            (2, 10) => peripheral_server = Some(decoder.byte_array()?),
            (2, 11) => central_client = Some(decoder.byte_array()?),
            _ => decoder.skip()?,
        }
    }
    if kind == 2 {
        return Ok(RetrievalMethod::Ble { peripheral_server, central_client });
    }
    let limits = LinkLimits::new(command, response).ok_or(ParseEngagementError::Method)?;
    Ok(RetrievalMethod::Nfc(limits))
}

fn write_method(encoder: &mut Encoder, method: RetrievalMethod) {
    match method {
        RetrievalMethod::Nfc(limits) => {
            encoder.array(3).unsigned(1).unsigned(1).map(2);
            encoder.unsigned(0).unsigned(u64::from(limits.command_data_bytes()));
            encoder.unsigned(1).unsigned(u64::from(limits.response_data_bytes()));
        }
        RetrievalMethod::Ble { peripheral_server, central_client } => {
            let services = [(10, peripheral_server), (11, central_client)];
            encoder.array(3).unsigned(2).unsigned(1);
            encoder.map(2 + services.iter().filter(|(_, service)| service.is_some()).count());
            encoder.unsigned(0).bool(peripheral_server.is_some());
            encoder.unsigned(1).bool(central_client.is_some());
            for (label, service) in services {
                if let Some(service) = service {
                    encoder.unsigned(label).bytes(&service);
                }
            }
        }
        RetrievalMethod::Other { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    const KEY: [u8; 65] = {
        let mut key = [7; 65];
        key[0] = 4;
        key
    };

    #[test]
    fn what_was_built_is_parsed() {
        for methods in [
            vec![],
            vec![RetrievalMethod::Nfc(LinkLimits::EXTENDED)],
            vec![
                RetrievalMethod::Ble { peripheral_server: Some([1; 16]), central_client: None },
                RetrievalMethod::Nfc(LinkLimits::SHORT),
            ],
        ] {
            let raw = build(&KEY, &methods);
            let engagement = parse(&raw).unwrap();
            assert_eq!((engagement.device_key, &engagement.methods), (KEY, &methods));
            assert_eq!(engagement.device_key_bytes, key_bytes(&KEY));
            assert_eq!(from_uri(&to_uri(&raw)), Ok(raw));
        }
    }

    #[test]
    fn the_number_of_methods_holds_to_its_limit() {
        let method = RetrievalMethod::Nfc(LinkLimits::SHORT);
        assert!(parse(&build(&KEY, &[method; METHODS_MAX])).is_ok());
        let raw = build(&KEY, &[method; METHODS_MAX + 1]);
        assert_eq!(parse(&raw), Err(ParseEngagementError::TooLong));
    }

    #[test]
    fn the_size_holds_to_its_limit() {
        let with_padding = |bytes| {
            let mut encoder = Encoder::default();
            encoder.map(3).unsigned(0).text("1.0").unsigned(1).array(2).unsigned(1);
            encoder.raw(&key_bytes(&KEY)).integer(-1).bytes(&vec![0; bytes]);
            encoder.into_bytes()
        };
        let overhead = with_padding(1_000).len() - 1_000;
        assert!(parse(&with_padding(ENGAGEMENT_BYTES_MAX - overhead)).is_ok());
        let raw = with_padding(ENGAGEMENT_BYTES_MAX - overhead + 1);
        assert_eq!(parse(&raw), Err(ParseEngagementError::TooLong));
    }

    #[test]
    fn engagements_of_another_kind_are_refused() {
        let build = |version: &str, suite, key: &[u8]| {
            let mut encoder = Encoder::default();
            encoder.map(2).unsigned(0).text(version).unsigned(1).array(2).unsigned(suite);
            encoder.embedded(key);
            encoder.into_bytes()
        };
        let mut key = Encoder::default();
        cose::write_key(&mut key, &PublicKey::P256(KEY));
        let mut other = Encoder::default();
        cose::write_key(&mut other, &PublicKey::Ed25519([1; 32]));
        assert!(parse(&build("1.1", 1, key.as_bytes())).is_ok());
        for (raw, error) in [
            (build("2.0", 1, key.as_bytes()), ParseEngagementError::Version),
            (build("1.0", 2, key.as_bytes()), ParseEngagementError::CipherSuite(2)),
            (build("1.0", 1, other.as_bytes()), ParseEngagementError::Key),
            (vec![0xA0], ParseEngagementError::Missing),
        ] {
            assert_eq!(parse(&raw), Err(error));
        }
        assert_eq!(from_uri("mdoc:*"), Err(ParseEngagementError::Uri));
        assert_eq!(from_uri("http:AA"), Err(ParseEngagementError::Uri));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text: String) {
            let _ = parse(&bytes);
            let _ = from_uri(&text);
        }

        #[test]
        fn an_engagement_with_any_byte_changed_never_panics(position: prop::sample::Index, byte: u8) {
            let mut raw = build(&KEY, &[RetrievalMethod::Nfc(LinkLimits::SHORT)]);
            let position = position.index(raw.len());
            raw[position] = byte;
            let _ = parse(&raw);
        }
    }
}
