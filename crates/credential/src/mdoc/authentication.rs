//! The structures that bind a proof to one session: DeviceAuthentication, ReaderAuthentication and
//! the key of the device MAC (ISO/IEC 18013-5, 9.1.1.4, 9.1.3.4, 9.1.3.5 and 9.1.4.5).

use alloc::vec::Vec;

use crate::cbor::{Decoder, Encoder, Kind};
use crate::crypto::{Crypto, P256Secret, SharedSecret};
use crate::rejection::Rejection;

/// The session in which a document was presented.
#[derive(Clone, Copy, Debug)]
pub struct Session<'s> {
    /// SessionTranscript, bare or wrapped in tag 24.
    pub transcript: &'s [u8],
    /// The reader's ephemeral secret, without which no device MAC can be checked.
    pub reader_secret: Option<&'s P256Secret>,
}

/// SessionTranscript without a wrapping tag 24, found well formed.
pub(super) fn bare_transcript(transcript: &[u8]) -> Result<&[u8], Rejection> {
    let unreadable = |error| {
        Rejection::wire("session-transcript", alloc::format!("session transcript: {error}"))
    };
    let mut decoder = Decoder::new(transcript).map_err(unreadable)?;
    if decoder.kind() != Kind::Tag {
        decoder.array().map_err(unreadable)?;
        return Ok(transcript);
    }
    let inner = decoder.embedded().map_err(unreadable)?.inner;
    Decoder::new(inner).and_then(|mut decoder| decoder.array()).map_err(unreadable)?;
    Ok(inner)
}

/// SessionTranscriptBytes: the transcript, given bare or wrapped, in tag 24.
///
/// # Errors
/// [`Rejection`] with culprit `wire` if it is no CBOR array.
pub fn transcript_bytes(transcript: &[u8]) -> Result<Vec<u8>, Rejection> {
    let bare = bare_transcript(transcript)?;
    let mut encoder = Encoder::with_capacity(bare.len() + 8);
    encoder.embedded(bare);
    Ok(encoder.into_bytes())
}

/// EMacKey: what device and reader derive from the device key and the reader's ephemeral key.
///
/// # Errors
/// [`Rejection`] with culprit `wire` if the transcript is no CBOR array.
pub fn e_mac_key(
    crypto: &dyn Crypto,
    shared: &SharedSecret,
    transcript: &[u8],
) -> Result<[u8; 32], Rejection> {
    let salt = crypto.sha256(&transcript_bytes(transcript)?);
    Ok(crypto.hkdf_sha256(shared.danger_bytes(), &salt, b"EMacKey"))
}

/// DeviceAuthenticationBytes: the detached payload of device signature and device MAC.
///
/// `transcript` is bare; `name_spaces` is DeviceNameSpacesBytes with its tag.
pub(super) fn device_authentication(
    transcript: &[u8],
    doc_type: &str,
    name_spaces: &[u8],
) -> Vec<u8> {
    let mut inner =
        Encoder::with_capacity(transcript.len() + doc_type.len() + name_spaces.len() + 40);
    inner.array(4).text("DeviceAuthentication").raw(transcript).text(doc_type).raw(name_spaces);
    wrap(&inner)
}

/// ReaderAuthenticationBytes: the detached payload of the reader's signature.
///
/// `transcript` is bare; `items_request` is ItemsRequestBytes with its tag.
pub(super) fn reader_authentication(transcript: &[u8], items_request: &[u8]) -> Vec<u8> {
    let mut inner = Encoder::with_capacity(transcript.len() + items_request.len() + 40);
    inner.array(3).text("ReaderAuthentication").raw(transcript).raw(items_request);
    wrap(&inner)
}

fn wrap(inner: &Encoder) -> Vec<u8> {
    let mut outer = Encoder::with_capacity(inner.as_bytes().len() + 8);
    outer.embedded(inner.as_bytes());
    outer.into_bytes()
}
