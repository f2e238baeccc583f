//! Whose key signed a token: a pinned key, or the leaf of a chain that leads to a trust anchor.
//!
//! Never believes a key because the token carries it.

use alloc::vec::Vec;

use crate::crypto::PublicKey;
use crate::rejection::Rejection;
use crate::x509::Judgement;

/// How strong the keys of a path must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    /// As strong as the anchor.
    OfAnchor,
    /// Of any suite that is accepted at all.
    Any,
}

/// Finds the trusted key by which `verify` accepts a token, given the `chain` that the token
/// carries (leaf first, empty if none). Pinned keys come first, since they need no path.
///
/// Of a status list, the path must be as strong as its anchor ([`Strength`]).
///
/// # Errors
/// [`Rejection`]: that of `verify` if the key is known and the signature is wrong, that of
/// [`Judgement::signer`] if no path leads to an anchor, culprit `trust` if there is neither chain
/// nor pinned key.
pub(crate) fn trusted_key(
    judgement: &Judgement<'_>,
    chain: &[&[u8]],
    strength: Strength,
    verify: &dyn Fn(&PublicKey) -> Result<(), Rejection>,
) -> Result<PublicKey, Rejection> {
    let mut failed = None;
    for key in judgement.anchors.keys() {
        match verify(key) {
            Ok(()) => return Ok(key.clone()),
            Err(rejection) => failed = Some(rejection),
        }
    }
    if !chain.is_empty() {
        let signer = judgement.signer(chain, None)?;
        if strength == Strength::OfAnchor {
            signer.demand_suite_of_anchor()?;
        }
        return verify(signer.key()).map(|()| signer.key().clone());
    }
    Err(failed.unwrap_or_else(|| {
        Rejection::trust("untrusted-signer", "token carries no certificate and no key is pinned")
    }))
}

/// The certificates of an `x5c` header, borrowed as [`trusted_key`] wants them.
pub(crate) fn borrow_chain(certificates: &[Vec<u8>]) -> Vec<&[u8]> {
    certificates.iter().map(Vec::as_slice).collect()
}
