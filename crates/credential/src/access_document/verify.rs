//! Verification: the one place where bytes become a [`VerifiedDocument`], in the order of trust.

use alloc::vec::Vec;

use vocabulary::time::Instant;

use crate::cose::Sign1;
use crate::crypto::{Crypto, PublicKey};
use crate::mdoc::labels::Labels;
use crate::mdoc::mso::SignedObject;
use crate::mdoc::verify::{check_digests, check_validity};
use crate::mdoc::{DeviceResponse, IssuerSigned, Item, Validity};
use crate::rejection::{Culprit, Rejection};

use super::{AccessData, Kind, KnownExtension, RevocationData, key_id};

/// By what a document is judged.
#[derive(Clone, Copy)]
pub struct Expectation<'e> {
    /// Provider of cryptography.
    pub crypto: &'e dyn Crypto,
    /// The keys of the issuers that are trusted.
    pub issuers: &'e [PublicKey],
    /// The instant of judgement. It counts also for documents that do not insist on a clock.
    pub at: Instant,
    /// The device that proved its key at this tap, for an access document; nothing for a revocation
    /// document.
    pub device_key: Option<&'e PublicKey>,
}

/// A document that passed every check.
#[derive(Clone, Debug)]
pub struct VerifiedDocument<'a> {
    kind: Kind,
    issuer: PublicKey,
    object: SignedObject<'a>,
    items: Vec<Item<'a>>,
}

impl<'a> VerifiedDocument<'a> {
    /// Which of the two documents.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The key of the issuer that signed it, among those that were trusted.
    #[must_use]
    pub const fn issuer(&self) -> &PublicKey {
        &self.issuer
    }

    /// Its dates.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.object.validity
    }

    /// Whether a verifier without a clock must refuse it.
    #[must_use]
    pub const fn needs_clock(&self) -> bool {
        self.object.needs_clock
    }

    /// The names and CBOR values of the disclosed elements.
    pub fn elements(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.items.iter().map(|item| (item.element, item.value))
    }

    /// What one element of an access document allows; nothing where it was not disclosed.
    ///
    /// # Errors
    /// [`Rejection`] when it cannot be read, or holds a critical extension that is not `known`.
    pub fn access_data(
        &self,
        element: &str,
        known: &[KnownExtension],
    ) -> Result<Option<AccessData<'a>>, Rejection> {
        self.value(Kind::Access, element).map(|value| AccessData::parse(value, known)).transpose()
    }

    /// What one element of a revocation document revokes; nothing where it was not disclosed.
    ///
    /// # Errors
    /// [`Rejection`] when it cannot be read, or holds a critical extension that is not `known`.
    pub fn revocation_data(
        &self,
        element: &str,
        known: &[KnownExtension],
    ) -> Result<Option<RevocationData<'a>>, Rejection> {
        let value = self.value(Kind::Revocation, element);
        value.map(|value| RevocationData::parse(value, known)).transpose()
    }

    fn value(&self, kind: Kind, element: &str) -> Option<&'a [u8]> {
        let found = self.items.iter().find(|item| item.element == element);
        found.filter(|_| self.kind == kind).map(|item| item.value)
    }
}

/// Verifies the one document of a DeviceResponse, which must be of the kind that `expectation` tells.
///
/// # Errors
/// [`Rejection`] for the first check that fails.
pub fn verify_response<'a>(
    bytes: &'a [u8],
    expectation: &Expectation<'_>,
) -> Result<VerifiedDocument<'a>, Rejection> {
    let response = DeviceResponse::parse_as(bytes, Labels::Compact)?;
    if !response.version.starts_with("1.") {
        let version = response.version.escape_debug();
        let message = alloc::format!("response is of version `{version}`");
        return Err(Rejection::wire("response-version", message));
    }
    if response.status != 0 {
        let message = alloc::format!("device answered with status {}", response.status);
        return Err(Rejection::holder("response-status", message));
    }
    let kind = expectation.kind();
    let mut documents = response.documents.into_iter();
    let found = documents.find(|document| document.doc_type == kind.doc_type());
    let document = found.ok_or_else(|| {
        let message = alloc::format!("response holds no document of type `{}`", kind.doc_type());
        Rejection::holder("no-document", message)
    })?;
    verify(document.issuer_signed, expectation)
}

/// Verifies a bare IssuerSigned.
///
/// # Errors
/// [`Rejection`] for the first check that fails.
pub fn verify_issuer_signed<'a>(
    bytes: &'a [u8],
    expectation: &Expectation<'_>,
) -> Result<VerifiedDocument<'a>, Rejection> {
    verify(IssuerSigned::parse_as(bytes, Labels::Compact)?, expectation)
}

/// The device that an IssuerSigned names, none in a revocation document; nothing is verified.
///
/// # Errors
/// [`Rejection`] when it cannot be read.
pub fn named_device(bytes: &[u8]) -> Result<Option<PublicKey>, Rejection> {
    let IssuerSigned { issuer_auth, .. } = IssuerSigned::parse_as(bytes, Labels::Compact)?;
    let payload = Sign1::parse(issuer_auth)?.payload.unwrap_or_default();
    Ok(SignedObject::parse(payload, Labels::Compact)?.device_key)
}

impl Expectation<'_> {
    const fn kind(&self) -> Kind {
        if self.device_key.is_some() { Kind::Access } else { Kind::Revocation }
    }
}

fn verify<'a>(
    issuer_signed: IssuerSigned<'a>,
    expectation: &Expectation<'_>,
) -> Result<VerifiedDocument<'a>, Rejection> {
    let IssuerSigned { items, issuer_auth } = issuer_signed;
    let Expectation { crypto, issuers, at, device_key } = *expectation;
    let message = Sign1::parse(issuer_auth)?;
    let kid = message.unprotected.kid.or(message.protected.kid).ok_or_else(|| {
        Rejection::trust("issuer-unnamed", "document does not name the key of its issuer")
    })?;
    let issuer = issuers.iter().find(|issuer| key_id(crypto, issuer) == kid).ok_or_else(|| {
        Rejection::trust("issuer-unknown", "document names an issuer that is not trusted here")
    })?;
    message.verify(crypto, issuer, None, &[], Culprit::Issuer)?;
    let payload = message
        .payload
        .ok_or_else(|| Rejection::wire("payload-missing", "issuer signed no payload"))?;
    let mut object = SignedObject::parse(payload, Labels::Compact)?;
    let kind = expectation.kind();
    if object.doc_type != kind.doc_type() {
        let found = object.doc_type.escape_debug();
        let message = alloc::format!("`{}` was asked for, not `{found}`", kind.doc_type());
        return Err(Rejection::holder("doc-type-unexpected", message));
    }
    check_device(object.device_key.as_ref(), device_key)?;
    check_validity(&object.validity, None, at)?;
    if items.iter().any(|item| item.name_space != kind.doc_type()) {
        let message = "document has a name space that is not its type";
        return Err(Rejection::issuer("name-space", message));
    }
    check_digests(&items, &mut object.digests, crypto)?;
    Ok(VerifiedDocument { kind, issuer: issuer.clone(), object, items })
}

/// An access document is for the device that proved its key; a revocation document for none.
fn check_device(named: Option<&PublicKey>, proved: Option<&PublicKey>) -> Result<(), Rejection> {
    match (named, proved) {
        (None, None) => Ok(()),
        (Some(named), Some(proved)) if named == proved => Ok(()),
        (Some(_), Some(_)) => Err(Rejection::holder(
            "device-key-mismatch",
            "access document was issued for another device",
        )),
        (None, Some(_)) => Err(Rejection::issuer("device-key", "access document names no device")),
        (Some(_), None) => {
            Err(Rejection::issuer("device-key", "revocation document names a device"))
        }
    }
}
