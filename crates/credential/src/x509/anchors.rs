//! What is trusted without further proof: certificates and bare keys that the caller brings.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use vocabulary::time::Instant;

use crate::crypto::{Crypto, PublicKey};
use crate::x509::pem::{self, PemError};
use crate::x509::{Certificate, CertificateError, Profile};

/// Anchors of one set.
pub const ANCHORS_MAX: usize = 1024;

/// Certificates and keys that are trusted without further proof.
#[derive(Clone, Debug, Default)]
pub struct TrustAnchors {
    pub(super) anchors: Vec<Anchor>,
}

#[derive(Clone, Debug)]
pub(super) enum Anchor {
    Certificate(AnchorCertificate),
    Key(PublicKey),
}

/// What a path needs to know of an anchor, read once.
#[derive(Clone, Debug)]
pub(super) struct AnchorCertificate {
    pub(super) raw: Vec<u8>,
    subject: Vec<u8>,
    pub(super) subject_text: String,
    pub(super) country: Option<String>,
    pub(super) key: PublicKey,
    key_id: Option<Vec<u8>>,
    pub(super) not_before: Instant,
    pub(super) not_after: Instant,
    pub(super) authority: bool,
    pub(super) path_length: Option<u8>,
    is_document_signer: bool,
    /// SHA-256 of the certificate, once it was asked for.
    thumbprint: Option<[u8; 32]>,
}

/// Why something is not usable as a trust anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnchorError {
    /// The certificate cannot be read.
    Certificate(CertificateError),
    /// The text is not PEM.
    Pem(PemError),
    /// The text holds no certificate.
    NoCertificate,
    /// More than [`ANCHORS_MAX`] anchors.
    TooMany,
}

impl fmt::Display for AnchorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => write!(f, "trust anchor is unreadable: {error}"),
            Self::Pem(error) => write!(f, "trust anchors are unreadable: {error}"),
            Self::NoCertificate => f.write_str("no certificate among the trust anchors"),
            Self::TooMany => write!(f, "more than {ANCHORS_MAX} trust anchors"),
        }
    }
}

impl core::error::Error for AnchorError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Certificate(source) => Some(source),
            Self::Pem(source) => Some(source),
            Self::NoCertificate | Self::TooMany => None,
        }
    }
}

impl TrustAnchors {
    /// No anchor: nothing is trusted.
    #[must_use]
    pub const fn new() -> Self {
        Self { anchors: Vec::new() }
    }

    /// One anchor for each DER certificate.
    ///
    /// # Errors
    /// [`AnchorError`] for the first that cannot be read.
    pub fn from_ders<'d>(ders: impl IntoIterator<Item = &'d [u8]>) -> Result<Self, AnchorError> {
        let mut anchors = Self::new();
        ders.into_iter().try_for_each(|der| anchors.add_certificate(der))?;
        Ok(anchors)
    }

    /// One anchor for each certificate in PEM text; at least one.
    ///
    /// # Errors
    /// [`AnchorError`] when there is none, or one cannot be read.
    pub fn from_pem(text: &str) -> Result<Self, AnchorError> {
        let ders = pem::decode(text, pem::CERTIFICATE).map_err(AnchorError::Pem)?;
        if ders.is_empty() {
            return Err(AnchorError::NoCertificate);
        }
        Self::from_ders(ders.iter().map(Vec::as_slice))
    }

    /// Adds a DER certificate.
    ///
    /// # Errors
    /// [`AnchorError`] when it cannot be read or is one too many.
    pub fn add_certificate(&mut self, der: &[u8]) -> Result<(), AnchorError> {
        let certificate = Certificate::parse(der).map_err(AnchorError::Certificate)?;
        self.add(Anchor::Certificate(AnchorCertificate {
            raw: der.to_vec(),
            subject: certificate.subject.as_der().to_vec(),
            subject_text: alloc::format!("{}", certificate.subject),
            country: certificate.subject.country().map(String::from),
            key: certificate.public_key.clone(),
            key_id: certificate.subject_key_id.map(Vec::from),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            authority: certificate.is_authority(),
            path_length: certificate.basic_constraints.and_then(|limits| limits.path_length),
            is_document_signer: Profile::DocumentSigner.check_leaf(&certificate).is_ok(),
            thumbprint: None,
        }))
    }

    /// Adds a bare public key: it vouches for leaf certificates that carry it or are signed by it,
    /// and for objects that are signed by it directly.
    ///
    /// # Errors
    /// [`AnchorError::TooMany`].
    pub fn add_key(&mut self, key: PublicKey) -> Result<(), AnchorError> {
        self.add(Anchor::Key(key))
    }

    /// Works out the hashes by which documents name their signers, so that
    /// [`TrustAnchors::document_signer`] need not each time.
    pub fn hash_document_signers(&mut self, crypto: &dyn Crypto) {
        for anchor in &mut self.anchors {
            if let Anchor::Certificate(certificate) = anchor
                && certificate.is_document_signer
            {
                certificate.thumbprint = Some(crypto.sha256(&certificate.raw));
            }
        }
    }

    /// The certificate (DER) among the anchors that is a document signer's and has this SHA-256.
    #[must_use]
    pub fn document_signer(&self, crypto: &dyn Crypto, sha256: &[u8; 32]) -> Option<&[u8]> {
        let certificates = self.anchors.iter().filter_map(|anchor| match anchor {
            Anchor::Certificate(certificate) => Some(certificate),
            Anchor::Key(_) => None,
        });
        let mut signers = certificates.filter(|certificate| certificate.is_document_signer);
        let is_named = |certificate: &&AnchorCertificate| {
            let hash = certificate.thumbprint;
            hash.unwrap_or_else(|| crypto.sha256(&certificate.raw)) == *sha256
        };
        signers.find(is_named).map(|certificate| certificate.raw.as_slice())
    }

    /// The keys on P-256 of the document signers among the anchors whose certificates are in force at
    /// `at`: access documents name such a key and carry no certificate.
    pub fn document_signer_keys(&self, at: Instant) -> impl Iterator<Item = &PublicKey> {
        self.anchors.iter().filter_map(move |anchor| match anchor {
            Anchor::Certificate(it) if it.is_document_signer => {
                let is_usable = matches!(it.key, PublicKey::P256(_))
                    && it.not_before <= at
                    && at <= it.not_after;
                is_usable.then_some(&it.key)
            }
            _ => None,
        })
    }

    /// How many anchors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether nothing is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// The certificates among the anchors, DER, in the order in which they came.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.anchors.iter().filter_map(|anchor| match anchor {
            Anchor::Certificate(certificate) => Some(certificate.raw.as_slice()),
            Anchor::Key(_) => None,
        })
    }

    /// The bare keys among the anchors.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.anchors.iter().filter_map(|anchor| match anchor {
            Anchor::Key(key) => Some(key),
            Anchor::Certificate(_) => None,
        })
    }

    fn add(&mut self, anchor: Anchor) -> Result<(), AnchorError> {
        if self.anchors.len() >= ANCHORS_MAX {
            return Err(AnchorError::TooMany);
        }
        self.anchors.push(anchor);
        Ok(())
    }
}

impl AnchorCertificate {
    pub(super) fn may_have_signed(&self, certificate: &Certificate<'_>) -> bool {
        self.subject == certificate.issuer.as_der()
            && key_ids_agree(certificate.authority_key_id, self.key_id.as_deref())
    }
}

/// Two key identifiers contradict each other only if both are there.
pub(super) fn key_ids_agree(named: Option<&[u8]>, own: Option<&[u8]>) -> bool {
    named.is_none() || own.is_none() || named == own
}
