//! Who signed a document: by the certificates that it carries or, of the hybrid suite, by the hash of one
//! that the verifier has.
//!
//! ISO/IEC 18013-5 has every document carry the certificate of its signer (`x5chain`). That of a hybrid
//! signer is of 4 KB; a document that is signed by one names it instead (`x5t`, RFC 9360), and whoever
//! verifies has it among its trust anchors. The hash only chooses: the signature must verify by the key of the
//! certificate that it chose, and it stands in the protected header.

use crate::cose::{Chain, Sign1};
use crate::crypto::Algorithm;
use crate::rejection::{Culprit, Rejection};

use super::verify::Expectation;

/// Whether documents that a key of this algorithm signs name their signer instead of carrying it.
pub(super) fn is_named_by(algorithm: Algorithm) -> bool {
    algorithm == Algorithm::MlDsa44Es256
}

/// The certificates of the signer, leaf first; none where the document says nothing of it.
pub(super) fn chain<'a>(
    message: &Sign1<'a>,
    expectation: &Expectation<'a>,
) -> Result<Chain<'a>, Rejection> {
    // RFC 9360 allows the chain in either header; ISO/IEC 18013-5, 9.1.2.4, puts it in the unprotected.
    let carried = match message.unprotected.x5chain.certificates() {
        [] => message.protected.x5chain,
        _ => message.unprotected.x5chain,
    };
    let Some(hash) = message.protected.x5t.filter(|_| carried.certificates().is_empty()) else {
        return Ok(carried);
    };
    let algorithm = message.algorithm(Culprit::Issuer)?;
    if !is_named_by(algorithm) {
        let message = alloc::format!(
            "document signed by `{algorithm}` names its signer, whose certificate it must carry"
        );
        return Err(Rejection::issuer("signer-not-carried", message));
    }
    let known: Option<&'a [u8]> = expectation.anchors.document_signer(expectation.crypto, hash);
    known.map(Chain::of).ok_or_else(|| {
        let start = hash.iter().take(8).map(|byte| alloc::format!("{byte:02x}"));
        let start: alloc::string::String = start.collect();
        let message = alloc::format!(
            "document names a signer, `{start}`, that is not known here: fetch the city's trust anew"
        );
        Rejection::trust("signer-unknown", message)
    })
}
