//! What a leaf certificate is held to, by its use (ISO/IEC 18013-5, Annex B).

use crate::rejection::{Culprit, Rejection};
use crate::x509::{Certificate, KeyUsage, oid};

/// What a leaf certificate is used for, and hence what it is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Signs mobile security objects: ISO/IEC 18013-5, B.1.4, under an authority as in B.1.2.
    DocumentSigner,
    /// Authenticates a reader: ISO/IEC 18013-5, B.1.7.
    Reader,
    /// Signs the trust bundles of readers: like [`Profile::Leaf`], with an extended key usage of its own.
    BundleSigner,
    /// Signs something else of the city (status lists, SD-JWTs): digitalSignature and no authority;
    /// and not certified as a reader, whose key hangs in a wall, nor to sign bundles.
    Leaf,
}

impl Profile {
    /// Who is to blame for a certificate that does not fit.
    #[must_use]
    pub const fn culprit(self) -> Culprit {
        match self {
            Self::DocumentSigner | Self::BundleSigner | Self::Leaf => Culprit::Issuer,
            Self::Reader => Culprit::Reader,
        }
    }

    /// Whether a certificate fits: its purposes and no more, not its dates and not who signed it.
    ///
    /// # Errors
    /// [`Rejection`] that blames the role of the certificate.
    pub fn check_leaf(self, leaf: &Certificate<'_>) -> Result<(), Rejection> {
        let wrong = |what: &str| {
            let message = alloc::format!("certificate of `{}` {what}", leaf.subject);
            Rejection::new(self.culprit(), "certificate-profile", message)
        };
        if leaf.basic_constraints.is_some_and(|constraints| constraints.authority) {
            return Err(wrong("is that of an authority, not of a signer"));
        }
        let usage = leaf.key_usage.ok_or_else(|| wrong("names no key usage"))?;
        if !usage.allows(KeyUsage::DIGITAL_SIGNATURE) || usage.allows(KeyUsage::CERTIFICATE_SIGN) {
            return Err(wrong("is not for digital signatures alone"));
        }
        let is_for =
            |purpose| leaf.extended_key_usage.is_some_and(|usages| usages.contains(purpose));
        let (fits, complaint) = match self {
            Self::DocumentSigner => (
                is_for(oid::MDOC_DOCUMENT_SIGNER),
                "is not for mdoc document signers (extended key usage 1.0.18013.5.1.2)",
            ),
            Self::Reader => (
                is_for(oid::MDOC_READER),
                "is not for mdoc readers (extended key usage 1.0.18013.5.1.6)",
            ),
            Self::BundleSigner => (is_for(oid::BUNDLE_SIGNER), "is not for signers of bundles"),
            Self::Leaf => (
                !is_for(oid::MDOC_READER) && !is_for(oid::BUNDLE_SIGNER),
                "is for mdoc readers or for signers of bundles, and for nothing else",
            ),
        };
        if fits { Ok(()) } else { Err(wrong(complaint)) }
    }
}
