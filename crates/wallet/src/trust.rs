//! Whom a wallet trusts, and how that moves along with the city.
//!
//! A wallet pins a root of its city when it is made. Authorities change while it lies in a pocket, and
//! so does the root, in years. What the city tells later is believed as far as the roots that the wallet
//! believes already vouch for it: a root follows by a link ([`credential::x509::succession`]), an authority
//! is certified by a root. Trust only moves along: the newest root stays until one after it is here.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use credential::crypto::Crypto;
use credential::x509::succession::{self, Listed, SuccessionError};
use credential::x509::{AnchorError, Certificate, TrustAnchors};
use vocabulary::time::Instant;

/// Roots of its city that a wallet believes at a time, and roots that a city may tell.
pub const ROOTS_MAX: usize = 4;

/// What trust is made of. Certificates are DER.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The base of the URLs of the city that the wallet was made with; empty where that is not known.
    pub city: String,
    /// The roots of the city, oldest first; none where the wallet was made before they were kept.
    pub roots: Vec<Vec<u8>>,
    /// The issuing authorities, for passes, and the document signers that passes name instead of carrying
    /// their certificates.
    pub issuers: Vec<Vec<u8>>,
    /// The reader authorities, for readers.
    pub readers: Vec<Vec<u8>>,
}

/// Whom a wallet trusts: issuing authorities for passes, reader authorities for readers.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    parts: Parts,
    issuer_anchors: TrustAnchors,
    reader_anchors: TrustAnchors,
}

/// A root as its city tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The certificate that it signed for itself, DER.
    pub certificate: Vec<u8>,
    /// The same key and name, certified by a root before it, DER; none for the city's first.
    pub link: Option<Vec<u8>>,
}

/// What a city tells of its authorities now.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Its roots in force, oldest first.
    pub roots: Vec<Root>,
    /// Its issuing authorities, DER.
    pub issuers: Vec<Vec<u8>>,
    /// Its reader authorities, DER.
    pub readers: Vec<Vec<u8>>,
    /// Its document signers that passes name instead of carrying their certificates, DER.
    pub signers: Vec<Vec<u8>>,
}

impl Trust {
    /// Trust in these authorities.
    ///
    /// # Errors
    /// [`AnchorError`] for the first certificate that cannot be used, or one too many.
    pub fn new(parts: Parts) -> Result<Self, AnchorError> {
        let anchors = |ders: &[Vec<u8>]| TrustAnchors::from_ders(ders.iter().map(Vec::as_slice));
        let (issuer_anchors, reader_anchors) = (anchors(&parts.issuers)?, anchors(&parts.readers)?);
        Ok(Self { parts, issuer_anchors, reader_anchors })
    }

    /// What it is made of.
    #[must_use]
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The issuing authorities.
    #[must_use]
    pub const fn issuer_anchors(&self) -> &TrustAnchors {
        &self.issuer_anchors
    }

    /// The reader authorities.
    #[must_use]
    pub const fn reader_anchors(&self) -> &TrustAnchors {
        &self.reader_anchors
    }

    /// The trust that follows from this one and from what the city tells at `at`. Authorities that the
    /// city tells no more are trusted no more.
    ///
    /// # Errors
    /// [`FollowError`]; then everything stays as it was.
    pub fn follow(
        &self,
        crypto: &dyn Crypto,
        told: &Told,
        at: Instant,
    ) -> Result<Self, FollowError> {
        if told.roots.len() > ROOTS_MAX {
            return Err(FollowError::TooManyRoots);
        }
        let present: Vec<&[u8]> = self.parts.roots.iter().map(Vec::as_slice).collect();
        if present.is_empty() {
            return Err(FollowError::NoRoot);
        }
        let listed = told
            .roots
            .iter()
            .map(|root| Listed { certificate: &root.certificate, link: root.link.as_deref() });
        let roots = succession::follow(crypto, &present, listed, at).map_err(FollowError::Roots)?;
        let is_older = |root: &&Root| !roots.contains(&root.certificate.as_slice());
        let older: Vec<&[u8]> =
            told.roots.iter().filter(is_older).map(|root| root.certificate.as_slice()).collect();
        let certified = |told: &[Vec<u8>]| certified(crypto, told, &roots, &older);
        let (mut issuers, readers) = (certified(&told.issuers)?, certified(&told.readers)?);
        if issuers.is_empty() || readers.is_empty() {
            return Err(FollowError::NoAuthority);
        }
        let signers = named(crypto, &told.signers, &issuers)?;
        issuers.extend(signers);
        let roots = roots.into_iter().map(<[u8]>::to_vec).collect();
        let parts = Parts { city: self.parts.city.clone(), roots, issuers, readers };
        Self::new(parts).map_err(FollowError::Anchor)
    }
}

/// Those of `told` that one of `roots` certified. What only a root older than the wallet certified is
/// left out; what nobody of the city certified spoils everything.
fn certified(
    crypto: &dyn Crypto,
    told: &[Vec<u8>],
    roots: &[&[u8]],
    older: &[&[u8]],
) -> Result<Vec<Vec<u8>>, FollowError> {
    let mut believed = Vec::new();
    for der in told {
        let authority = Certificate::parse(der).map_err(|_| FollowError::Unreadable)?;
        let is_by = |root: &&[u8]| {
            Certificate::parse(root).is_ok_and(|root| {
                root.subject == authority.issuer
                    && authority.is_authority()
                    && authority.is_signed_by(crypto, &root.public_key)
            })
        };
        if roots.iter().any(is_by) {
            believed.push(der.clone());
        } else if !older.iter().any(is_by) {
            let subject = authority.subject.to_string();
            return Err(FollowError::Foreign { subject });
        }
    }
    Ok(believed)
}

/// The document signers of `told` that one of `issuers` certified. Others are left out: their authority may
/// be one that only a root older than the wallet certified.
fn named(
    crypto: &dyn Crypto,
    told: &[Vec<u8>],
    issuers: &[Vec<u8>],
) -> Result<Vec<Vec<u8>>, FollowError> {
    let mut believed = Vec::new();
    for der in told {
        let signer = Certificate::parse(der).map_err(|_| FollowError::Unreadable)?;
        let is_by = |issuer: &Vec<u8>| {
            Certificate::parse(issuer).is_ok_and(|issuer| {
                issuer.subject == signer.issuer && signer.is_signed_by(crypto, &issuer.public_key)
            })
        };
        if signer.is_authority() {
            return Err(FollowError::Foreign { subject: signer.subject.to_string() });
        }
        if issuers.iter().any(is_by) {
            believed.push(der.clone());
        }
    }
    Ok(believed)
}

/// Why what a city tells is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowError {
    /// The wallet was made before roots were kept.
    NoRoot,
    /// The roots that are told do not follow from those of the wallet.
    Roots(SuccessionError),
    /// More roots than [`ROOTS_MAX`].
    TooManyRoots,
    /// An authority is told that no root of the city certified.
    Foreign {
        /// Its name.
        subject: String,
    },
    /// No authority is left for passes or for readers.
    NoAuthority,
    /// A certificate cannot be read.
    Unreadable,
    /// A certificate cannot be used.
    Anchor(AnchorError),
}

impl fmt::Display for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoot => f.write_str("this wallet keeps no root of its city: make a new one"),
            Self::Roots(error) => write!(f, "what the city tells of its roots {error}"),
            Self::TooManyRoots => write!(f, "the city tells more than {ROOTS_MAX} roots"),
            Self::Foreign { subject } => {
                write!(f, "`{}` is not certified by the city", subject.escape_debug())
            }
            Self::NoAuthority => f.write_str("the city tells no authority that it certified"),
            Self::Unreadable => f.write_str("the city tells a certificate that cannot be read"),
            Self::Anchor(_) => f.write_str("the city tells a certificate that cannot be used"),
        }
    }
}

impl core::error::Error for FollowError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Anchor(source) => Some(source),
            Self::Roots(source) => Some(source),
            _ => None,
        }
    }
}
