//! mdoc: issue, disclose, request and verify documents (ISO/IEC 18013-5:2021, chapters 8 and 9;
//! any document type, as ISO/IEC TS 23220-4 allows).
//!
//! What an issuer signed or hashed is borrowed from the bytes that came and never encoded again.
//! [`VerifiedResponse`] and [`VerifiedDocument`] have no public constructor: they exist only if
//! every check of [`verify_response`] or [`verify_issuer_signed`] held. What is outside: radios,
//! session encryption, the status of a document (its reference is handed out), and decisions.

mod authentication;
pub(crate) mod device_request;
mod device_response;
pub(crate) mod disclose;
pub(crate) mod issue;
mod issuer_signed;
pub(crate) mod labels;
pub(crate) mod mso;
mod names;
mod signer;
pub(crate) mod verify;

pub use authentication::{Session, e_mac_key, transcript_bytes};
pub use device_request::{
    DOC_REQUESTS_MAX, DeviceRequest, DocRequest, DocRequestBytes, ItemsRequest, ReaderJudgement,
    RequestedElement, RequestedNameSpace, VerifiedReader, device_request, doc_request,
    doc_request_unauthenticated,
};
pub use device_response::{
    DOCUMENTS_MAX, DeviceAuth, DeviceResponse, DeviceSigned, Document, DocumentError, ElementError,
};
pub use disclose::{
    DiscloseError, Disclosure, DocumentBytes, device_response, device_response_status, disclose,
};
pub use issue::{
    ENTROPY_BYTES_PER_ELEMENT, IssueError, IssueRequest, IssuerSignedBytes, NameSpace, SALT_BYTES,
    Validity, issue,
};
pub use issuer_signed::{ELEMENTS_MAX, IssuerSigned, Item, SALT_BYTES_MIN};
pub use mso::{KeyAuthorizations, MobileSecurityObject};
pub use verify::{
    DeviceItem, Expectation, Holder, VerifiedDocument, VerifiedResponse, verify_issuer_signed,
    verify_response,
};
