//! The device's side: discloses chosen elements of a stored document and proves its key over a
//! session (ISO/IEC 18013-5, 9.1.3). Items are copied byte for byte.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::cbor::Encoder;
use crate::cose::{self, Sign1, Sign1Parts};
use crate::crypto::{Crypto, PublicKey, SharedSecret};
use crate::rejection::Rejection;
use crate::unsigned::Unsigned;

use super::authentication::{bare_transcript, device_authentication, e_mac_key};
use super::issuer_signed::{IssuerSigned, Item};
use super::labels::{Labels, Structure};
use super::mso::MobileSecurityObject;

/// DeviceNameSpacesBytes without any element: the empty map in tag 24.
const NO_DEVICE_ELEMENTS: &[u8] = &[0xd8, 0x18, 0x41, 0xa0];

/// A document with chosen elements, which waits for the proof of its device.
#[derive(Clone, Debug)]
pub struct Disclosure {
    doc_type: String,
    device_key: PublicKey,
    issuer_signed: Vec<u8>,
}

/// The bytes of one Document of a DeviceResponse.
#[derive(Clone, PartialEq, Eq)]
pub struct DocumentBytes(Vec<u8>);

impl DocumentBytes {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for DocumentBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocumentBytes({} bytes)", self.0.len())
    }
}

/// Why a stored document cannot be disclosed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscloseError {
    /// The stored bytes are not a document.
    Document(Rejection),
    /// The document has no such element.
    Element {
        /// The name of the element.
        element: String,
    },
    /// The transcript is no CBOR array.
    Transcript(Rejection),
}

impl fmt::Display for DiscloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document(_) => f.write_str("stored document is unreadable"),
            Self::Element { element } => write!(f, "stored document has no element `{element}`"),
            Self::Transcript(_) => f.write_str("session transcript is unreadable"),
        }
    }
}

impl core::error::Error for DiscloseError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Document(source) | Self::Transcript(source) => Some(source),
            Self::Element { .. } => None,
        }
    }
}

/// Takes the elements named in `chosen` (name space, element) out of a stored IssuerSigned.
/// The issuer's signature is not checked again.
///
/// # Errors
/// [`DiscloseError`] if the document is unreadable or lacks a chosen element.
pub fn disclose(
    issuer_signed: &[u8],
    chosen: &[(&str, &str)],
) -> Result<Disclosure, DiscloseError> {
    let document = IssuerSigned::parse(issuer_signed).map_err(DiscloseError::Document)?;
    let message = Sign1::parse(document.issuer_auth).map_err(DiscloseError::Document)?;
    let payload = message.payload.unwrap_or_default();
    let mso = MobileSecurityObject::parse(payload).map_err(DiscloseError::Document)?;

    let issuer_signed = select(&document, chosen, Labels::Iso)?;
    Ok(Disclosure {
        doc_type: String::from(mso.doc_type),
        device_key: mso.device_key,
        issuer_signed,
    })
}

/// IssuerSigned with the chosen elements of `document`, in the encoding that it came in.
pub(crate) fn select(
    document: &IssuerSigned<'_>,
    chosen: &[(&str, &str)],
    labels: Labels,
) -> Result<Vec<u8>, DiscloseError> {
    let label = |name| labels.label(Structure::IssuerSigned, name);
    let is_chosen = |item: &Item<'_>| chosen.contains(&(item.name_space, item.element));
    for (name_space, element) in chosen {
        let held = |item: &Item<'_>| item.name_space == *name_space && item.element == *element;
        if !document.items.iter().any(held) {
            return Err(DiscloseError::Element { element: String::from(*element) });
        }
    }
    let disclosed: Vec<&Item<'_>> = document.items.iter().filter(|item| is_chosen(item)).collect();
    let groups = || disclosed.chunk_by(|left, right| left.name_space == right.name_space);
    let room: usize = disclosed.iter().map(|item| item.raw.len()).sum();
    let mut encoder = Encoder::with_capacity(room + document.issuer_auth.len() + 256);
    encoder.map(1 + usize::from(!disclosed.is_empty()));
    if !disclosed.is_empty() {
        encoder.text(label("nameSpaces")).map(groups().count());
    }
    for group in groups() {
        encoder.text(group.first().map_or("", |item| item.name_space)).array(group.len());
        group.iter().for_each(|item| {
            encoder.raw(item.raw);
        });
    }
    encoder.text(label("issuerAuth")).raw(document.issuer_auth);
    Ok(encoder.into_bytes())
}

impl Disclosure {
    /// The document type.
    #[must_use]
    pub fn doc_type(&self) -> &str {
        &self.doc_type
    }

    /// The key whose holder must make the proof.
    #[must_use]
    pub const fn device_key(&self) -> &PublicKey {
        &self.device_key
    }

    /// The document, waiting for the signature of the device key over this session.
    ///
    /// # Errors
    /// [`DiscloseError::Transcript`].
    pub fn sign(self, transcript: &[u8]) -> Result<Unsigned<DocumentBytes>, DiscloseError> {
        let payload = self.authentication(transcript)?;
        let parts = Sign1Parts { payload: &payload, detached: true, ..Default::default() };
        Ok(cose::sign1(self.device_key.algorithm(), &parts)
            .map(move |signature| self.assemble("deviceSignature", &signature)))
    }

    /// The document with a MAC for this session and its reader. `shared` is agreed between the
    /// device key and the reader's ephemeral key.
    ///
    /// # Errors
    /// [`DiscloseError::Transcript`].
    pub fn mac(
        self,
        crypto: &dyn Crypto,
        shared: &SharedSecret,
        transcript: &[u8],
    ) -> Result<DocumentBytes, DiscloseError> {
        let payload = self.authentication(transcript)?;
        let key = e_mac_key(crypto, shared, transcript).map_err(DiscloseError::Transcript)?;
        let mac = cose::mac0_detached(crypto, &key, &payload);
        Ok(self.assemble("deviceMac", &mac))
    }

    fn authentication(&self, transcript: &[u8]) -> Result<Vec<u8>, DiscloseError> {
        let transcript = bare_transcript(transcript).map_err(DiscloseError::Transcript)?;
        Ok(device_authentication(transcript, &self.doc_type, NO_DEVICE_ELEMENTS))
    }

    fn assemble(&self, kind: &str, proof: &[u8]) -> DocumentBytes {
        let room = self.issuer_signed.len() + proof.len() + self.doc_type.len() + 128;
        let mut document = Encoder::with_capacity(room);
        document.map(3).text("docType").text(&self.doc_type);
        document.text("issuerSigned").raw(&self.issuer_signed);
        document.text("deviceSigned").map(2).text("nameSpaces").raw(NO_DEVICE_ELEMENTS);
        document.text("deviceAuth").map(1).text(kind).raw(proof);
        DocumentBytes(document.into_bytes())
    }
}

/// A DeviceResponse of these documents; `not_returned` names the document types that were asked for
/// and are withheld (code 0, data not returned).
#[must_use]
pub fn device_response(documents: &[DocumentBytes], not_returned: &[&str]) -> Vec<u8> {
    let room: usize = documents.iter().map(|document| document.0.len()).sum();
    let mut response = Encoder::with_capacity(room + 64);
    let fields = 2 + usize::from(!documents.is_empty()) + usize::from(!not_returned.is_empty());
    response.map(fields).text("version").text("1.0");
    if !documents.is_empty() {
        response.text("documents").array(documents.len());
        documents.iter().for_each(|document| {
            response.raw(&document.0);
        });
    }
    if !not_returned.is_empty() {
        response.text("documentErrors").array(not_returned.len());
        not_returned.iter().for_each(|doc_type| {
            response.map(1).text(doc_type).unsigned(0);
        });
    }
    response.text("status").unsigned(0);
    response.into_bytes()
}

/// A DeviceResponse that says only why there is nothing (ISO/IEC 18013-5, table 8).
#[must_use]
pub fn device_response_status(status: u64) -> Vec<u8> {
    let mut response = Encoder::new();
    response.map(2).text("version").text("1.0").text("status").unsigned(status);
    response.into_bytes()
}
