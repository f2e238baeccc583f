//! DeviceResponse: what a device sends, borrowed (ISO/IEC 18013-5, 8.3.2.1.2.2). Reading verifies nothing.

use alloc::vec::Vec;

use crate::cbor::{Decoder, Embedded, Lengths};
use crate::rejection::Rejection;

use super::issuer_signed::{ELEMENTS_MAX, IssuerSigned};
use super::labels::{Labels, Structure};

/// Documents of one response.
pub const DOCUMENTS_MAX: usize = 16;

/// A DeviceResponse as it came.
#[derive(Clone, Debug)]
pub struct DeviceResponse<'a> {
    /// The version of the structure, such as `1.0`.
    pub version: &'a str,
    /// The documents, in order.
    pub documents: Vec<Document<'a>>,
    /// The document types that were not returned, and why.
    pub document_errors: Vec<DocumentError<'a>>,
    /// 0 for success (ISO/IEC 18013-5, table 8).
    pub status: u64,
}

/// One document of a response.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    /// Its type as the device names it.
    pub doc_type: &'a str,
    /// The issuer's part.
    pub issuer_signed: IssuerSigned<'a>,
    /// The device's part; absent in documents that were never presented.
    pub device_signed: Option<DeviceSigned<'a>>,
    /// The elements that were not returned, and why.
    pub errors: Vec<ElementError<'a>>,
}

/// A document type that was not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentError<'a> {
    /// The document type that was asked for.
    pub doc_type: &'a str,
    /// The error code (ISO/IEC 18013-5, table 9): 0 for data not returned.
    pub code: i64,
}

/// An element that was not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementError<'a> {
    /// Its name space.
    pub name_space: &'a str,
    /// Its name.
    pub element: &'a str,
    /// The error code (ISO/IEC 18013-5, table 9).
    pub code: i64,
}

/// The device's part of a document.
#[derive(Clone, Copy, Debug)]
pub struct DeviceSigned<'a> {
    /// DeviceNameSpacesBytes.
    pub name_spaces: Embedded<'a>,
    /// The proof over the session.
    pub auth: DeviceAuth<'a>,
}

/// The proof of a device, as COSE bytes.
#[derive(Clone, Copy, Debug)]
pub enum DeviceAuth<'a> {
    /// A COSE_Sign1.
    Signature(&'a [u8]),
    /// A COSE_Mac0.
    Mac(&'a [u8]),
}

impl<'a> DeviceResponse<'a> {
    /// Reads bytes that are one DeviceResponse and nothing else.
    ///
    /// # Errors
    /// [`Rejection`] with culprit `wire`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Rejection> {
        Self::parse_as(bytes, Labels::Iso)
    }

    /// As [`DeviceResponse::parse`], in this encoding.
    pub(crate) fn parse_as(bytes: &'a [u8], labels: Labels) -> Result<Self, Rejection> {
        let mut decoder = Decoder::with_lengths(bytes, Lengths::OpenContainers)?;
        let (mut version, mut status) = (None, None);
        let (mut documents, mut document_errors) = (Vec::new(), Vec::new());
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match labels.name(Structure::DeviceResponse, decoder.text()?) {
                "version" => version = Some(decoder.text()?),
                "documents" => read_documents(&mut decoder, &mut documents, labels)?,
                "documentErrors" => read_document_errors(&mut decoder, &mut document_errors)?,
                "status" => status = Some(decoder.unsigned()?),
                _ => decoder.skip()?,
            }
        }
        decoder.finish()?;
        let version = version.ok_or_else(|| missing("version"))?;
        let status = status.ok_or_else(|| missing("status"))?;
        Ok(Self { version, documents, document_errors, status })
    }
}

fn read_documents<'a>(
    decoder: &mut Decoder<'a>,
    documents: &mut Vec<Document<'a>>,
    labels: Labels,
) -> Result<(), Rejection> {
    let mut list = decoder.array()?;
    while decoder.more(&mut list)? {
        if documents.len() == DOCUMENTS_MAX {
            let message = alloc::format!("response holds more than {DOCUMENTS_MAX} documents");
            return Err(Rejection::wire("documents-too-many", message));
        }
        documents.push(Document::read(decoder, labels)?);
    }
    Ok(())
}

fn read_document_errors<'a>(
    decoder: &mut Decoder<'a>,
    errors: &mut Vec<DocumentError<'a>>,
) -> Result<(), Rejection> {
    let mut list = decoder.array()?;
    while decoder.more(&mut list)? {
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            let (doc_type, code) = (decoder.text()?, decoder.integer()?);
            if errors.len() == DOCUMENTS_MAX {
                return Err(Rejection::wire("documents-too-many", "too many document errors"));
            }
            errors.push(DocumentError { doc_type, code });
        }
    }
    Ok(())
}

impl<'a> Document<'a> {
    fn read(decoder: &mut Decoder<'a>, labels: Labels) -> Result<Self, Rejection> {
        let (mut doc_type, mut issuer_signed, mut device_signed) = (None, None, None);
        let mut errors = Vec::new();
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match labels.name(Structure::Document, decoder.text()?) {
                "docType" => doc_type = Some(decoder.text()?),
                "issuerSigned" => issuer_signed = Some(IssuerSigned::read(decoder, labels)?),
                "deviceSigned" => device_signed = Some(DeviceSigned::read(decoder)?),
                "errors" => read_errors(decoder, &mut errors)?,
                _ => decoder.skip()?,
            }
        }
        Ok(Self {
            doc_type: doc_type.ok_or_else(|| missing("docType"))?,
            issuer_signed: issuer_signed.ok_or_else(|| missing("issuerSigned"))?,
            device_signed,
            errors,
        })
    }
}

fn read_errors<'a>(
    decoder: &mut Decoder<'a>,
    errors: &mut Vec<ElementError<'a>>,
) -> Result<(), Rejection> {
    let mut name_spaces = decoder.map()?;
    while decoder.more(&mut name_spaces)? {
        let name_space = decoder.text()?;
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            let (element, code) = (decoder.text()?, decoder.integer()?);
            if errors.len() == ELEMENTS_MAX {
                return Err(Rejection::wire("elements-too-many", "too many element errors"));
            }
            errors.push(ElementError { name_space, element, code });
        }
    }
    Ok(())
}

impl<'a> DeviceSigned<'a> {
    fn read(decoder: &mut Decoder<'a>) -> Result<Self, Rejection> {
        let (mut name_spaces, mut auth) = (None, None);
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match decoder.text()? {
                "nameSpaces" => name_spaces = Some(decoder.embedded()?),
                "deviceAuth" => auth = Some(DeviceAuth::read(decoder)?),
                _ => decoder.skip()?,
            }
        }
        Ok(Self {
            name_spaces: name_spaces.ok_or_else(|| missing("nameSpaces"))?,
            auth: auth.ok_or_else(|| missing("deviceAuth"))?,
        })
    }
}

impl<'a> DeviceAuth<'a> {
    fn read(decoder: &mut Decoder<'a>) -> Result<Self, Rejection> {
        let mut auth = None;
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            let (name, value) = (decoder.text()?, decoder.raw()?);
            let found = match name {
                "deviceSignature" => Self::Signature(value),
                "deviceMac" => Self::Mac(value),
                _ => continue,
            };
            if auth.replace(found).is_some() {
                let message = "device proves itself by a signature and a MAC at once";
                return Err(Rejection::wire("device-auth", message));
            }
        }
        auth.ok_or_else(|| missing("deviceSignature"))
    }
}

fn missing(field: &str) -> Rejection {
    Rejection::wire("field-missing", alloc::format!("response has no `{field}`"))
}
