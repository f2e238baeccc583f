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
    /// Signs something else of the city (status lists, bundles): digitalSignature and no authority.
    Leaf,
}

impl Profile {
    /// Who is to blame for a certificate that does not fit.
    #[must_use]
    pub const fn culprit(self) -> Culprit {
        match self {
            Self::DocumentSigner | Self::Leaf => Culprit::Issuer,
            Self::Reader => Culprit::Reader,
        }
    }

    pub(super) fn check_leaf(self, leaf: &Certificate<'_>) -> Result<(), Rejection> {
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
        let purpose = match self {
            Self::DocumentSigner => oid::MDOC_DOCUMENT_SIGNER,
            Self::Reader => oid::MDOC_READER,
            Self::Leaf => return Ok(()),
        };
        if leaf.extended_key_usage.is_some_and(|usages| usages.contains(purpose)) {
            return Ok(());
        }
        Err(wrong(match self {
            Self::Reader => "is not for mdoc readers (extended key usage 1.0.18013.5.1.6)",
            _ => "is not for mdoc document signers (extended key usage 1.0.18013.5.1.2)",
        }))
    }
}
