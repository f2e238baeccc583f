//! DeviceRequest: what a reader asks for, and its proof of who it is (ISO/IEC 18013-5, 8.3.2.1.2.1
//! and 9.1.4). A wallet discloses nothing before [`DocRequest::verify_reader`] held.

use alloc::vec::Vec;
use core::fmt;

use vocabulary::time::Instant;

use crate::cbor::{Decoder, Encoder, Lengths};
use crate::cose::{self, Sign1, Sign1Parts};
use crate::crypto::{Algorithm, Crypto};
use crate::rejection::{Culprit, Rejection};
use crate::unsigned::Unsigned;
use crate::x509::{Judgement, Profile, SignerCache, TrustAnchors, TrustedSigner};

use super::authentication::{bare_transcript, reader_authentication};
use super::issuer_signed::ELEMENTS_MAX;
use super::labels::{Labels, Structure};

/// Documents that one request may ask for.
pub const DOC_REQUESTS_MAX: usize = 16;

/// What a reader asks of one document type.
#[derive(Clone, Copy, Debug)]
pub struct ItemsRequest<'r> {
    /// The document type.
    pub doc_type: &'r str,
    /// The elements by name space.
    pub name_spaces: &'r [RequestedNameSpace<'r>],
}

/// The elements that are asked for of one name space.
#[derive(Clone, Copy, Debug)]
pub struct RequestedNameSpace<'r> {
    /// Its name.
    pub name: &'r str,
    /// Their names; `true` if the reader means to keep the value beyond the transaction.
    pub elements: &'r [(&'r str, bool)],
}

/// The bytes of one DocRequest.
#[derive(Clone, PartialEq, Eq)]
pub struct DocRequestBytes(Vec<u8>);

impl fmt::Debug for DocRequestBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocRequestBytes({} bytes)", self.0.len())
    }
}

/// A request for one document, waiting for the signature of the reader over this session.
/// `chain` is the reader's, leaf first; `algorithm` that of its key.
///
/// # Errors
/// [`Rejection`] with culprit `wire` if the transcript is no CBOR array.
pub fn doc_request(
    items: &ItemsRequest<'_>,
    transcript: &[u8],
    algorithm: Algorithm,
    chain: &[&[u8]],
) -> Result<Unsigned<DocRequestBytes>, Rejection> {
    let items_request = encode_items_request(items, Labels::Iso);
    let payload = reader_authentication(bare_transcript(transcript)?, &items_request);
    let parts =
        Sign1Parts { payload: &payload, detached: true, x5chain: chain, ..Default::default() };
    Ok(cose::sign1(algorithm, &parts).map(move |reader_auth| {
        let mut request = Encoder::with_capacity(items_request.len() + reader_auth.len() + 32);
        request.map(2).text("itemsRequest").raw(&items_request);
        request.text("readerAuth").raw(&reader_auth);
        DocRequestBytes(request.into_bytes())
    }))
}

/// A request for one document by a reader that does not say who it is. Limen's wallet refuses it.
#[must_use]
pub fn doc_request_unauthenticated(items: &ItemsRequest<'_>) -> DocRequestBytes {
    let mut request = Encoder::new();
    request.map(1).text("itemsRequest").raw(&encode_items_request(items, Labels::Iso));
    DocRequestBytes(request.into_bytes())
}

/// A DeviceRequest for these documents.
#[must_use]
pub fn device_request(doc_requests: &[DocRequestBytes]) -> Vec<u8> {
    let mut request = Encoder::new();
    request.map(2).text("version").text("1.0").text("docRequests").array(doc_requests.len());
    doc_requests.iter().for_each(|doc_request| {
        request.raw(&doc_request.0);
    });
    request.into_bytes()
}

/// ItemsRequestBytes: the request in tag 24.
pub(crate) fn encode_items_request(items: &ItemsRequest<'_>, labels: Labels) -> Vec<u8> {
    let label = |name| labels.label(Structure::ItemsRequest, name);
    let mut inner = Encoder::new();
    inner.map(2).text(label("docType")).text(items.doc_type);
    inner.text(label("nameSpaces")).map(items.name_spaces.len());
    for space in items.name_spaces {
        inner.text(space.name).map(space.elements.len());
        for (element, retain) in space.elements {
            inner.text(element).bool(*retain);
        }
    }
    let mut outer = Encoder::new();
    outer.embedded(inner.as_bytes());
    outer.into_bytes()
}

/// A DeviceRequest as it came. Nothing is verified.
#[derive(Clone, Debug)]
pub struct DeviceRequest<'a> {
    /// The version of the structure, such as `1.0`.
    pub version: &'a str,
    /// What is asked for, at least one.
    pub doc_requests: Vec<DocRequest<'a>>,
}

/// A request for one document as it came.
#[derive(Clone, Debug)]
pub struct DocRequest<'a> {
    /// The document type.
    pub doc_type: &'a str,
    /// The elements that are asked for.
    pub elements: Vec<RequestedElement<'a>>,
    items_request: &'a [u8],
    reader_auth: Option<&'a [u8]>,
}

/// One element that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedElement<'a> {
    /// Its name space.
    pub name_space: &'a str,
    /// Its name.
    pub element: &'a str,
    /// Whether the reader means to keep the value beyond the transaction.
    pub intent_to_retain: bool,
}

impl<'a> DeviceRequest<'a> {
    /// Reads bytes that are one DeviceRequest and nothing else.
    ///
    /// # Errors
    /// [`Rejection`] with culprit `wire`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Rejection> {
        Self::parse_as(bytes, Labels::Iso)
    }

    /// As [`DeviceRequest::parse`], in this encoding.
    pub(crate) fn parse_as(bytes: &'a [u8], labels: Labels) -> Result<Self, Rejection> {
        let mut decoder = Decoder::with_lengths(bytes, Lengths::OpenContainers)?;
        let (mut version, mut doc_requests) = (None, Vec::new());
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match labels.name(Structure::DeviceRequest, decoder.text()?) {
                "version" => version = Some(decoder.text()?),
                "docRequests" => read_doc_requests(&mut decoder, &mut doc_requests, labels)?,
                _ => decoder.skip()?,
            }
        }
        decoder.finish()?;
        let version = version.ok_or_else(|| missing("version"))?;
        if !version.starts_with("1.") {
            let message = alloc::format!("request is of version `{}`", version.escape_debug());
            return Err(Rejection::wire("request-version", message));
        }
        if doc_requests.is_empty() {
            return Err(missing("docRequests"));
        }
        Ok(Self { version, doc_requests })
    }
}

fn read_doc_requests<'a>(
    decoder: &mut Decoder<'a>,
    doc_requests: &mut Vec<DocRequest<'a>>,
    labels: Labels,
) -> Result<(), Rejection> {
    let mut list = decoder.array()?;
    while decoder.more(&mut list)? {
        if doc_requests.len() == DOC_REQUESTS_MAX {
            let message = alloc::format!("request asks for more than {DOC_REQUESTS_MAX} documents");
            return Err(Rejection::wire("documents-too-many", message));
        }
        doc_requests.push(DocRequest::read(decoder, labels)?);
    }
    Ok(())
}

/// By what a reader is judged.
#[derive(Clone, Copy)]
pub struct ReaderJudgement<'j> {
    /// Provider of cryptography.
    pub crypto: &'j dyn Crypto,
    /// The reader authorities that are trusted.
    pub anchors: &'j TrustAnchors,
    /// The instant of judgement.
    pub at: Instant,
    /// SessionTranscript, bare or wrapped in tag 24.
    pub transcript: &'j [u8],
}

/// A reader that proved who it is, for one request in one session. Made by
/// [`DocRequest::verify_reader`] only.
#[derive(Clone, Debug)]
pub struct VerifiedReader<'a> {
    signer: TrustedSigner<'a>,
}

impl<'a> VerifiedReader<'a> {
    /// The certificate of the reader.
    #[must_use]
    pub const fn signer(&self) -> &TrustedSigner<'a> {
        &self.signer
    }
}

impl<'a> DocRequest<'a> {
    /// Whether the reader gave a proof, of whatever worth.
    #[must_use]
    pub const fn has_reader_auth(&self) -> bool {
        self.reader_auth.is_some()
    }

    /// Verifies that a trusted reader made this request in this session.
    ///
    /// # Errors
    /// [`Rejection`]: a missing or wrong proof blames the reader, a chain without anchor `trust`.
    pub fn verify_reader(
        &self,
        judgement: &ReaderJudgement<'_>,
        cache: Option<&mut SignerCache>,
    ) -> Result<VerifiedReader<'a>, Rejection> {
        let ReaderJudgement { crypto, anchors, at, transcript } = *judgement;
        let bytes = self.reader_auth.ok_or_else(|| {
            Rejection::reader("reader-auth-missing", "reader does not prove who it is")
        })?;
        let message = Sign1::parse(bytes)?;
        let chain = match message.unprotected.x5chain.certificates() {
            [] => message.protected.x5chain,
            _ => message.unprotected.x5chain,
        };
        let chain_judgement = Judgement { crypto, anchors, at, profile: Profile::Reader };
        let signer = chain_judgement.signer(chain.certificates(), cache)?;
        let payload = reader_authentication(bare_transcript(transcript)?, self.items_request);
        message.verify(crypto, signer.key(), Some(&payload), &[], Culprit::Reader)?;
        Ok(VerifiedReader { signer })
    }

    fn read(decoder: &mut Decoder<'a>, labels: Labels) -> Result<Self, Rejection> {
        let (mut items_request, mut reader_auth) = (None, None);
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match labels.name(Structure::DocRequest, decoder.text()?) {
                "itemsRequest" => items_request = Some(decoder.embedded()?),
                "readerAuth" => reader_auth = Some(decoder.raw()?),
                _ => decoder.skip()?,
            }
        }
        let items_request = items_request.ok_or_else(|| missing("itemsRequest"))?;
        let (mut doc_type, mut elements) = (None, Vec::new());
        let mut inner = Decoder::with_lengths(items_request.inner, Lengths::OpenContainers)?;
        let mut entries = inner.map()?;
        while inner.more(&mut entries)? {
            match labels.name(Structure::ItemsRequest, inner.text()?) {
                "docType" => doc_type = Some(inner.text()?),
                "nameSpaces" => read_elements(&mut inner, &mut elements)?,
                _ => inner.skip()?,
            }
        }
        inner.finish()?;
        let doc_type = doc_type.ok_or_else(|| missing("docType"))?;
        Ok(Self { doc_type, elements, items_request: items_request.raw, reader_auth })
    }
}

fn read_elements<'a>(
    decoder: &mut Decoder<'a>,
    elements: &mut Vec<RequestedElement<'a>>,
) -> Result<(), Rejection> {
    let mut name_spaces = decoder.map()?;
    while decoder.more(&mut name_spaces)? {
        let name_space = decoder.text()?;
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            let (element, intent_to_retain) = (decoder.text()?, decoder.bool()?);
            if elements.len() == ELEMENTS_MAX {
                let message = alloc::format!("request asks for more than {ELEMENTS_MAX} elements");
                return Err(Rejection::wire("elements-too-many", message));
            }
            elements.push(RequestedElement { name_space, element, intent_to_retain });
        }
    }
    Ok(())
}

fn missing(field: &str) -> Rejection {
    Rejection::wire("field-missing", alloc::format!("request has no `{field}`"))
}
