//! Verification of documents: the one place where a document becomes a [`VerifiedDocument`].
//!
//! The order is that of trust: bytes, issuer chain, issuer signature, what the issuer signed,
//! digests of what was disclosed, and last the device. Nothing of the content is judged before its
//! signature held (ISO/IEC 18013-5, 9.3.1 and 9.3.3).

use alloc::vec::Vec;

use vocabulary::time::Instant;

use crate::cbor::{Decoder, Lengths};
use crate::cose::{Mac0, Sign1};
use crate::crypto::{Crypto, PublicKey};
use crate::rejection::{Culprit, Rejection};
use crate::status::StatusReference;
use crate::x509::{Certificate, Judgement, Profile, SignerCache, TrustAnchors};

use super::authentication::{Session, bare_transcript, device_authentication, e_mac_key};
use super::device_response::{
    DeviceAuth, DeviceResponse, DeviceSigned, Document, DocumentError, ElementError,
};
use super::issue::Validity;
use super::issuer_signed::{ELEMENTS_MAX, IssuerSigned, Item, SALT_BYTES_MIN};
use super::mso::{DigestLookup, Digests, MobileSecurityObject};
use super::names::NameFilter;
use super::signer;

/// By what a document is judged.
#[derive(Clone, Copy)]
pub struct Expectation<'e> {
    /// Provider of cryptography.
    pub crypto: &'e dyn Crypto,
    /// The issuers that are trusted.
    pub anchors: &'e TrustAnchors,
    /// The instant of judgement.
    pub at: Instant,
    /// The document type that is wanted; any if absent.
    pub doc_type: Option<&'e str>,
    /// The session of the presentation. Without it the holder stays unchecked.
    pub session: Option<Session<'e>>,
}

/// A response all of whose documents passed every check.
#[derive(Clone, Debug)]
pub struct VerifiedResponse<'a> {
    documents: Vec<VerifiedDocument<'a>>,
    document_errors: Vec<DocumentError<'a>>,
}

/// A document that passed every check. Its status is not judged here: see
/// [`VerifiedDocument::status`].
#[derive(Clone, Debug)]
pub struct VerifiedDocument<'a> {
    mso: MobileSecurityObject<'a>,
    items: Vec<Item<'a>>,
    device_items: Vec<DeviceItem<'a>>,
    errors: Vec<ElementError<'a>>,
    signer: Certificate<'a>,
    holder: Holder,
}

/// An element that the device itself signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceItem<'a> {
    /// Its name space.
    pub name_space: &'a str,
    /// Its name.
    pub element: &'a str,
    /// Its value, as CBOR.
    pub value: &'a [u8],
}

/// How the holder proved to be the one to whom the document was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Not at all: no session was given.
    Unchecked,
    /// By a signature of the device key over the session.
    Signature,
    /// By a MAC that only the device key and this session's reader can make.
    Mac,
}

impl Holder {
    /// `unchecked`, `signature` or `mac`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Signature => "signature",
            Self::Mac => "mac",
        }
    }
}

impl<'a> VerifiedResponse<'a> {
    /// The documents, at least one, in the order of the response.
    #[must_use]
    pub fn documents(&self) -> &[VerifiedDocument<'a>] {
        &self.documents
    }

    /// The document types that the device did not return, by its own word.
    #[must_use]
    pub fn document_errors(&self) -> &[DocumentError<'a>] {
        &self.document_errors
    }
}

impl<'a> VerifiedDocument<'a> {
    /// The document type, as the issuer signed it.
    #[must_use]
    pub const fn doc_type(&self) -> &'a str {
        self.mso.doc_type
    }

    /// What the issuer says: the disclosed elements; those of one name space stand together.
    #[must_use]
    pub fn elements(&self) -> &[Item<'a>] {
        &self.items
    }

    /// The CBOR value of one element that the issuer signed.
    #[must_use]
    pub fn element(&self, name_space: &str, element: &str) -> Option<&'a [u8]> {
        let found =
            self.items.iter().find(|item| item.element == element && item.name_space == name_space);
        found.map(|item| item.value)
    }

    /// What the device itself says, as the issuer allowed it.
    /// Empty while the holder is unchecked.
    #[must_use]
    pub fn device_elements(&self) -> &[DeviceItem<'a>] {
        &self.device_items
    }

    /// The elements that the device did not return, by its own word.
    #[must_use]
    pub fn errors(&self) -> &[ElementError<'a>] {
        &self.errors
    }

    /// Where the status of the document is found; its caller must look there.
    #[must_use]
    pub const fn status(&self) -> Option<StatusReference<'a>> {
        self.mso.status
    }

    /// The key of the device to which the document was issued.
    #[must_use]
    pub const fn device_key(&self) -> &PublicKey {
        &self.mso.device_key
    }

    /// What the issuer signed.
    #[must_use]
    pub const fn mobile_security_object(&self) -> &MobileSecurityObject<'a> {
        &self.mso
    }

    /// The certificate of the document signer.
    #[must_use]
    pub const fn signer(&self) -> &Certificate<'a> {
        &self.signer
    }

    /// How the holder was checked.
    #[must_use]
    pub const fn holder(&self) -> Holder {
        self.holder
    }
}

/// Verifies a bare IssuerSigned. No device takes part, so that a session must not be expected.
///
/// # Errors
/// [`Rejection`] for the first check that fails.
pub fn verify_issuer_signed<'a>(
    bytes: &'a [u8],
    expectation: &Expectation<'a>,
    cache: Option<&mut SignerCache>,
) -> Result<VerifiedDocument<'a>, Rejection> {
    let issuer_signed = IssuerSigned::parse(bytes)?;
    if expectation.session.is_some() {
        return Err(no_device_proof());
    }
    verify_issuer(issuer_signed, None, expectation, cache)
}

/// Verifies a DeviceResponse with all of its documents: one that fails fails the response.
///
/// # Errors
/// [`Rejection`] for the first check that fails; with several documents its message names which.
pub fn verify_response<'a>(
    bytes: &'a [u8],
    expectation: &Expectation<'a>,
    mut cache: Option<&mut SignerCache>,
) -> Result<VerifiedResponse<'a>, Rejection> {
    let response = DeviceResponse::parse(bytes)?;
    if !response.version.starts_with("1.") {
        let message =
            alloc::format!("response is of version `{}`", response.version.escape_debug());
        return Err(Rejection::wire("response-version", message));
    }
    if response.status != 0 {
        let message = alloc::format!("device answered with status {}", response.status);
        return Err(Rejection::holder("response-status", message));
    }
    let count = response.documents.len();
    if count == 0 {
        let message = match response.document_errors.first() {
            Some(error) => {
                alloc::format!("device did not return `{}`", error.doc_type.escape_debug())
            }
            None => "response holds no document".into(),
        };
        return Err(Rejection::holder("no-document", message));
    }
    let mut documents = Vec::with_capacity(count);
    for (position, document) in response.documents.into_iter().enumerate() {
        let doc_type = document.doc_type;
        let verified =
            verify_document(document, expectation, cache.as_deref_mut()).map_err(|rejection| {
                if count == 1 { rejection } else { in_document(rejection, position + 1, doc_type) }
            })?;
        documents.push(verified);
    }
    Ok(VerifiedResponse { documents, document_errors: response.document_errors })
}

fn in_document(rejection: Rejection, number: usize, doc_type: &str) -> Rejection {
    let message =
        alloc::format!("document {number} `{}`: {}", doc_type.escape_debug(), rejection.message);
    Rejection { message, ..rejection }
}

fn verify_document<'a>(
    document: Document<'a>,
    expectation: &Expectation<'a>,
    cache: Option<&mut SignerCache>,
) -> Result<VerifiedDocument<'a>, Rejection> {
    let Document { doc_type, issuer_signed, device_signed, errors } = document;
    let mut verified = verify_issuer(issuer_signed, Some(doc_type), expectation, cache)?;
    verified.errors = errors;
    if let Some(session) = &expectation.session {
        let device_signed = device_signed.ok_or_else(no_device_proof)?;
        verified.holder =
            verify_device(&device_signed, &verified.mso, session, expectation.crypto)?;
        verified.device_items = device_items(&device_signed, &verified.mso)?;
    }
    Ok(verified)
}

fn verify_issuer<'a>(
    issuer_signed: IssuerSigned<'a>,
    doc_type: Option<&str>,
    expectation: &Expectation<'a>,
    cache: Option<&mut SignerCache>,
) -> Result<VerifiedDocument<'a>, Rejection> {
    let IssuerSigned { items, issuer_auth } = issuer_signed;
    let message = Sign1::parse(issuer_auth)?;
    let chain = signer::chain(&message, expectation)?;
    let Expectation { crypto, anchors, at, .. } = *expectation;
    let judgement = Judgement { crypto, anchors, at, profile: Profile::DocumentSigner };
    let signer = judgement.signer(chain.certificates(), cache)?;
    message.verify(crypto, signer.key(), None, &[], Culprit::Issuer)?;
    let payload = message
        .payload
        .ok_or_else(|| Rejection::wire("payload-missing", "issuer signed no payload"))?;

    let mut mso = MobileSecurityObject::parse(payload)?;
    check_doc_type(&mso, doc_type, expectation.doc_type)?;
    check_validity(&mso.validity(), Some(signer.certificate()), at)?;
    check_digests(&items, mso.digests_mut(), crypto)?;
    Ok(VerifiedDocument {
        mso,
        items,
        device_items: Vec::new(),
        errors: Vec::new(),
        signer: signer.into_certificate(),
        holder: Holder::Unchecked,
    })
}

/// ISO/IEC 18013-5, 9.3.1: the document type must be the one that the issuer signed.
fn check_doc_type(
    mso: &MobileSecurityObject<'_>,
    document: Option<&str>,
    expected: Option<&str>,
) -> Result<(), Rejection> {
    if let Some(claimed) = document.filter(|claimed| *claimed != mso.doc_type) {
        return Err(Rejection::holder(
            "doc-type-mismatch",
            alloc::format!(
                "document claims to be `{}`, but was issued as `{}`",
                claimed.escape_debug(),
                mso.doc_type.escape_debug()
            ),
        ));
    }
    if let Some(expected) = expected.filter(|expected| *expected != mso.doc_type) {
        return Err(Rejection::holder(
            "doc-type-unexpected",
            alloc::format!("`{expected}` was asked for, not `{}`", mso.doc_type.escape_debug()),
        ));
    }
    Ok(())
}

/// The dates of a document, which the certificate of its signer must cover if it has one.
pub(crate) fn check_validity(
    validity: &Validity,
    signer: Option<&Certificate<'_>>,
    at: Instant,
) -> Result<(), Rejection> {
    let Validity { signed, valid_from, valid_until, .. } = *validity;
    if valid_from < signed || valid_until < valid_from {
        return Err(Rejection::issuer(
            "validity-order",
            alloc::format!(
                "signed {signed}, valid from {valid_from}, valid until {valid_until} are out of order"
            ),
        ));
    }
    // ISO/IEC 18013-5, 9.3.1, step 5: the signer must have been certified when it signed.
    if signer.is_some_and(|signer| !signer.is_current(signed)) {
        return Err(Rejection::issuer(
            "signed-outside-certificate",
            alloc::format!("signed {signed}, outside the validity of the signer's certificate"),
        ));
    }
    if at < signed {
        let message = alloc::format!("document was signed {signed}, after {at}");
        return Err(Rejection::time("document-not-yet-signed", message));
    }
    if at < valid_from {
        let message = alloc::format!("document is valid from {valid_from}, not at {at}");
        return Err(Rejection::time("document-not-yet-valid", message));
    }
    if at > valid_until {
        let message = alloc::format!("document was valid until {valid_until}, not at {at}");
        return Err(Rejection::time("document-expired", message));
    }
    Ok(())
}

/// ISO/IEC 18013-5, 9.3.1, step 3: every disclosed element must have the digest of its number.
pub(crate) fn check_digests(
    items: &[Item<'_>],
    digests: &mut Digests<'_>,
    crypto: &dyn Crypto,
) -> Result<(), Rejection> {
    let mut names = NameFilter::new();
    for (position, item) in items.iter().enumerate() {
        let named = |code, what: &str| {
            let name = item.element.escape_debug();
            Rejection::holder(code, alloc::format!("element `{name}` {what}"))
        };
        let expected = match digests.take(item.name_space, item.digest_id) {
            DigestLookup::Found(digest) => digest,
            DigestLookup::Absent => return Err(named("digest-missing", "was never issued")),
            DigestLookup::Repeated => {
                return Err(named("digest-repeated", "repeats the number of another digest"));
            }
        };
        if crypto.digest(digests.algorithm, item.raw).as_bytes() != expected {
            return Err(named("digest-mismatch", "is not what was issued"));
        }
        if item.random.len() < SALT_BYTES_MIN {
            let what = "has too short a salt";
            return Err(Rejection { culprit: Culprit::Issuer, ..named("salt-length", what) });
        }
        let same =
            |other: &Item<'_>| other.element == item.element && other.name_space == item.name_space;
        if names.may_repeat(item.element) && items.iter().take(position).any(same) {
            return Err(named("element-repeated", "is disclosed twice"));
        }
    }
    Ok(())
}

/// ISO/IEC 18013-5, 9.3.3: device signature or device MAC over this session.
fn verify_device(
    device_signed: &DeviceSigned<'_>,
    mso: &MobileSecurityObject<'_>,
    session: &Session<'_>,
    crypto: &dyn Crypto,
) -> Result<Holder, Rejection> {
    let transcript = bare_transcript(session.transcript)?;
    let payload = device_authentication(transcript, mso.doc_type, device_signed.name_spaces.raw);
    match device_signed.auth {
        DeviceAuth::Signature(bytes) => {
            let message = Sign1::parse(bytes)?;
            message.verify(crypto, &mso.device_key, Some(&payload), &[], Culprit::Holder).map_err(
                |rejection| match rejection.code {
                    "signature" => Rejection::holder(
                        "device-signature",
                        "device signature does not verify for this document and session",
                    ),
                    _ => rejection,
                },
            )?;
            Ok(Holder::Signature)
        }
        DeviceAuth::Mac(bytes) => {
            let secret = session.reader_secret.ok_or_else(|| {
                let message = "device MAC cannot be checked without the reader's ephemeral key";
                Rejection::holder("device-mac-unverifiable", message)
            })?;
            let PublicKey::P256(device_key) = &mso.device_key else {
                let message = "device MAC needs a device key on P-256";
                return Err(Rejection::holder("device-mac", message));
            };
            let shared = crypto.p256_agree(secret, device_key).map_err(|_| {
                Rejection::issuer("device-key", "device key is no point of its curve")
            })?;
            let key = e_mac_key(crypto, &shared, transcript)?;
            Mac0::parse(bytes)?.verify(crypto, &key, Some(&payload))?;
            Ok(Holder::Mac)
        }
    }
}

/// The elements that the device signed, each of which the issuer must have allowed
/// (ISO/IEC 18013-5, 9.1.2.4, KeyAuthorizations).
fn device_items<'a>(
    device_signed: &DeviceSigned<'a>,
    mso: &MobileSecurityObject<'_>,
) -> Result<Vec<DeviceItem<'a>>, Rejection> {
    let mut items = Vec::new();
    let mut decoder =
        Decoder::with_lengths(device_signed.name_spaces.inner, Lengths::OpenContainers)?;
    let mut name_spaces = decoder.map()?;
    while decoder.more(&mut name_spaces)? {
        let name_space = decoder.text()?;
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            let (element, value) = (decoder.text()?, decoder.raw()?);
            if items.len() == ELEMENTS_MAX {
                let message = alloc::format!("device signed more than {ELEMENTS_MAX} elements");
                return Err(Rejection::wire("elements-too-many", message));
            }
            if !mso.key_authorizations.allow(name_space, element) {
                return Err(Rejection::holder(
                    "device-element-unauthorized",
                    alloc::format!("device must not sign element `{}`", element.escape_debug()),
                ));
            }
            items.push(DeviceItem { name_space, element, value });
        }
    }
    decoder.finish()?;
    Ok(items)
}

fn no_device_proof() -> Rejection {
    Rejection::holder("device-proof-missing", "no device proof for the session")
}
