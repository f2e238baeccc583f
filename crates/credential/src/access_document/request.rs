//! What a reader asks for, and what a device answers, in the compact encoding.

use alloc::vec::Vec;

use crate::cbor::Encoder;
use crate::mdoc::device_request::encode_items_request;
use crate::mdoc::disclose::select;
use crate::mdoc::labels::{Labels, Structure};
use crate::mdoc::{
    DeviceRequest, DiscloseError, IssuerSigned, ItemsRequest, RequestedElement, RequestedNameSpace,
};
use crate::rejection::Rejection;

use super::Kind;

const LABELS: Labels = Labels::Compact;

/// A DeviceRequest for elements of one document. A reader proves itself by the channel that it is sent
/// over, and not in the request.
#[must_use]
pub fn device_request(kind: Kind, elements: &[&str]) -> Vec<u8> {
    let elements: Vec<(&str, bool)> = elements.iter().map(|name| (*name, false)).collect();
    let space = RequestedNameSpace { name: kind.doc_type(), elements: &elements };
    let items = ItemsRequest { doc_type: kind.doc_type(), name_spaces: &[space] };
    let label = |name| LABELS.label(Structure::DeviceRequest, name);
    let mut request = Encoder::new();
    request.map(2).text(label("version")).text("1.0").text(label("docRequests")).array(1);
    request.map(1).text(LABELS.label(Structure::DocRequest, "itemsRequest"));
    request.raw(&encode_items_request(&items, LABELS));
    request.into_bytes()
}

/// The elements that a DeviceRequest asks for of one kind of document; none where it asks for others.
///
/// # Errors
/// [`Rejection`] with culprit `wire`.
pub fn parse_request(bytes: &[u8], kind: Kind) -> Result<Vec<RequestedElement<'_>>, Rejection> {
    let request = DeviceRequest::parse_as(bytes, LABELS)?;
    let found = request.doc_requests.into_iter().find(|asked| asked.doc_type == kind.doc_type());
    Ok(found.map(|asked| asked.elements).unwrap_or_default())
}

/// A DeviceResponse with these elements of a stored document, byte for byte as they were issued.
///
/// # Errors
/// [`DiscloseError`] if the document is unreadable or lacks an element.
pub fn device_response(
    kind: Kind,
    issuer_signed: &[u8],
    elements: &[&str],
) -> Result<Vec<u8>, DiscloseError> {
    let document =
        IssuerSigned::parse_as(issuer_signed, LABELS).map_err(DiscloseError::Document)?;
    let chosen: Vec<_> = elements.iter().map(|name| (kind.doc_type(), *name)).collect();
    let selected = select(&document, &chosen, LABELS)?;
    let label = |name| LABELS.label(Structure::DeviceResponse, name);
    let mut response = Encoder::with_capacity(selected.len() + 48);
    response.map(3).text(label("version")).text("1.0").text(label("documents")).array(1);
    response.map(2).text(LABELS.label(Structure::Document, "issuerSigned")).raw(&selected);
    response.text(LABELS.label(Structure::Document, "docType")).text(kind.doc_type());
    response.text(label("status")).unsigned(0);
    Ok(response.into_bytes())
}
