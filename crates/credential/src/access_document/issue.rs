//! Issues documents; they wait for the signature of the issuer.

use crate::cose::{self, Sign1Parts};
use crate::crypto::{Algorithm, Crypto, PublicKey};
use crate::mdoc::issue::{Object, check_content, items_and_digests};
use crate::mdoc::labels::Labels;
use crate::mdoc::{IssueError, IssuerSignedBytes, NameSpace, Validity};
use crate::unsigned::Unsigned;

use super::{Kind, key_id};

/// A document to be issued.
#[derive(Clone, Copy, Debug)]
pub struct IssueRequest<'r> {
    /// The device for which an access document is issued; none for a revocation document.
    pub device_key: Option<&'r PublicKey>,
    /// Names and CBOR values of its elements.
    pub elements: &'r [(&'r str, &'r [u8])],
    /// When it is valid.
    pub validity: Validity,
    /// Whether a verifier without a clock must refuse it.
    pub needs_clock: bool,
}

/// The document that `request` describes, waiting for the signature of `issuer`, which is named by
/// [`key_id`] and not carried.
///
/// `entropy` holds [`crate::mdoc::ENTROPY_BYTES_PER_ELEMENT`] fresh random bytes for each element.
///
/// # Errors
/// [`IssueError`] when the request cannot give a valid document; [`IssueError::Signer`] when the
/// issuer's key is not on P-256.
pub fn issue(
    crypto: &dyn Crypto,
    request: &IssueRequest<'_>,
    issuer: &PublicKey,
    entropy: &[u8],
) -> Result<Unsigned<IssuerSignedBytes>, IssueError> {
    let kind = if request.device_key.is_some() { Kind::Access } else { Kind::Revocation };
    let spaces = [NameSpace { name: kind.doc_type(), elements: request.elements }];
    check_content(&spaces, &request.validity, entropy)?;
    if issuer.algorithm() != Algorithm::Es256 {
        return Err(IssueError::Signer);
    }
    let labels = Labels::Compact;
    let (items, digests) = items_and_digests(crypto, &spaces, entropy, labels);
    let object = Object {
        doc_type: kind.doc_type(),
        device_key: request.device_key,
        authorized_name_spaces: &[],
        validity: request.validity,
        needs_clock: Some(request.needs_clock),
        status: None,
    };
    let payload = object.encode(&digests, labels);
    let kid = key_id(crypto, issuer);
    let parts =
        Sign1Parts { payload: &payload, unprotected_kid: Some(&kid), ..Sign1Parts::default() };
    Ok(cose::sign1(Algorithm::Es256, &parts)
        .map(move |issuer_auth| IssuerSignedBytes::join(&items, &issuer_auth, labels)))
}
