//! From a chain of certificates to a trust anchor, and what each certificate may do there.
//!
//! The order is: read, find the path, check signatures, then dates, then purposes; so that nothing
//! is said about the contents of a certificate before its signature held. A path ends at an anchor:
//! an authority's certificate, a signer's certificate pinned byte for byte, or a bare public key.
//! A pinned signer is held to its dates and key, not to the profile. An anchor that is no authority
//! never vouches for another certificate.

use core::fmt;

use vocabulary::time::Instant;

use crate::crypto::{Algorithm, Crypto, PublicKey};
use crate::rejection::Rejection;
use crate::x509::anchors::{Anchor, AnchorCertificate, key_ids_agree};
use crate::x509::{Certificate, CertificateError, Profile, SignerCache, TrustAnchors};

/// Certificates of one chain, the leaf included and the anchor not necessarily.
pub const CHAIN_LENGTH_MAX: usize = 3;

/// A leaf certificate for which a path to an anchor was proven. Made by [`Judgement::signer`] only.
#[derive(Clone, Debug)]
pub struct TrustedSigner<'a> {
    leaf: Certificate<'a>,
    /// Of the anchor that vouches for it; its own where it is pinned.
    anchor: Algorithm,
    /// Of the first key on the path, from the leaf upwards, that is weaker than the anchor.
    weaker: Option<Algorithm>,
}

impl<'a> TrustedSigner<'a> {
    /// The certificate of the signer.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate<'a> {
        &self.leaf
    }

    /// The certificate of the signer, without copying.
    #[must_use]
    pub fn into_certificate(self) -> Certificate<'a> {
        self.leaf
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.leaf.public_key
    }

    /// The algorithm of the anchor that vouches for it; its own where it is pinned itself.
    #[must_use]
    pub const fn anchor(&self) -> Algorithm {
        self.anchor
    }

    /// Demands that no key on the path is weaker than that of the anchor: a city whose root outlasts
    /// a quantum computer is not to be spoken for by a key that does not.
    ///
    /// # Errors
    /// [`Rejection`] with culprit `trust` and the code `suite-downgrade`.
    pub fn demand_suite_of_anchor(&self) -> Result<(), Rejection> {
        let Some(weaker) = self.weaker else { return Ok(()) };
        Err(Rejection::trust(
            "suite-downgrade",
            alloc::format!(
                "path to `{}` has a key for `{weaker}` under an anchor for `{}`",
                self.leaf.subject,
                self.anchor
            ),
        ))
    }
}

/// What a chain is judged by.
pub struct Judgement<'j> {
    /// Provider of the signature checks.
    pub crypto: &'j dyn Crypto,
    /// What is trusted.
    pub anchors: &'j TrustAnchors,
    /// The instant at which all certificates must be valid.
    pub at: Instant,
    /// What the leaf is for.
    pub profile: Profile,
}

/// Where a path ended.
enum End<'j> {
    /// The leaf, or its key, is an anchor itself: pinned.
    Pinned,
    /// An authority's certificate signed the last certificate of the path.
    Authority(&'j AnchorCertificate),
    /// A bare key signed the last certificate of the path.
    Key(&'j PublicKey),
}

impl<'j> Judgement<'j> {
    /// Follows `chain`, leaf first, to an anchor. Certificates after the anchor are passed over.
    ///
    /// # Errors
    /// [`Rejection`]: unreadable certificates and wrong purposes blame the role of the leaf, dates
    /// blame `time`, everything else blames `trust`.
    pub fn signer<'a>(
        &self,
        chain: &[&'a [u8]],
        mut cache: Option<&mut SignerCache>,
    ) -> Result<TrustedSigner<'a>, Rejection> {
        if chain.len() > CHAIN_LENGTH_MAX {
            let message = alloc::format!("chain has more than {CHAIN_LENGTH_MAX} certificates");
            return Err(Rejection::new(self.profile.culprit(), "chain-too-long", message));
        }
        let (&first, intermediates) = chain.split_first().ok_or_else(|| {
            Rejection::new(self.profile.culprit(), "chain-missing", "no signer certificate given")
        })?;
        let leaf = self.read(first)?;
        // Authorities below the anchor, from the leaf upwards.
        let mut authorities: [Option<Certificate<'a>>; CHAIN_LENGTH_MAX] = Default::default();
        let mut above = intermediates.iter();
        let mut slots = authorities.iter_mut();
        let mut current = leaf.clone();
        let end = loop {
            if let Some(end) = self.anchor_of(&current, first, cache.as_deref_mut())? {
                break end;
            }
            let (Some(raw), Some(slot)) = (above.next(), slots.next()) else {
                return Err(untrusted(&current));
            };
            let authority = self.read(raw)?;
            self.check_signed_by_certificate(&current, &authority, cache.as_deref_mut())?;
            current = authority.clone();
            *slot = Some(authority);
        };
        self.check_dates(&leaf, &authorities, &end)?;
        self.check_purposes(&leaf, &authorities, &end)?;
        let anchor = match &end {
            End::Pinned => leaf.public_key.algorithm(),
            End::Authority(anchor) => anchor.key.algorithm(),
            End::Key(key) => key.algorithm(),
        };
        let path = core::iter::once(&leaf).chain(authorities.iter().flatten());
        let mut algorithms = path.map(|certificate| certificate.public_key.algorithm());
        let weaker = algorithms.find(|algorithm| !algorithm.is_as_strong_as(anchor));
        Ok(TrustedSigner { leaf, anchor, weaker })
    }

    fn read<'a>(&self, raw: &'a [u8]) -> Result<Certificate<'a>, Rejection> {
        Certificate::parse(raw).map_err(|error| {
            let message = match error {
                CertificateError::Der(cause) => alloc::format!("{error}: {cause}"),
                _ => alloc::format!("{error}"),
            };
            Rejection::new(self.profile.culprit(), "certificate", message)
        })
    }

    /// The anchor at which the path ends with `current`, if there is one.
    fn anchor_of(
        &self,
        current: &Certificate<'_>,
        leaf: &[u8],
        mut cache: Option<&mut SignerCache>,
    ) -> Result<Option<End<'j>>, Rejection> {
        // A pinned signer costs no signature, though its authority may be an anchor, too.
        let is_pinned = |anchor: &Anchor| match anchor {
            Anchor::Certificate(anchor) => anchor.raw == leaf,
            Anchor::Key(_) => false,
        };
        if current.raw == leaf && self.anchors.anchors.iter().any(is_pinned) {
            return Ok(Some(End::Pinned));
        }
        let mut failed = None;
        for anchor in &self.anchors.anchors {
            match anchor {
                Anchor::Certificate(anchor) if anchor.raw == current.raw => {
                    return Ok(Some(End::Authority(anchor)));
                }
                Anchor::Certificate(anchor) if anchor.may_have_signed(current) => {
                    match self.check_signature(current, &anchor.key, cache.as_deref_mut()) {
                        Ok(()) => return Ok(Some(End::Authority(anchor))),
                        Err(rejection) => failed = Some(rejection),
                    }
                }
                Anchor::Certificate(_) => {}
                Anchor::Key(key) => {
                    if current.raw == leaf && current.public_key == *key {
                        return Ok(Some(End::Pinned));
                    }
                    if self.check_signature(current, key, cache.as_deref_mut()).is_ok() {
                        return Ok(Some(End::Key(key)));
                    }
                }
            }
        }
        failed.map_or(Ok(None), Err)
    }

    fn check_signed_by_certificate(
        &self,
        subject: &Certificate<'_>,
        authority: &Certificate<'_>,
        cache: Option<&mut SignerCache>,
    ) -> Result<(), Rejection> {
        let named = subject.issuer == authority.subject;
        if !named || !key_ids_agree(subject.authority_key_id, authority.subject_key_id) {
            return Err(untrusted(subject));
        }
        self.check_signature(subject, &authority.public_key, cache)
    }

    fn check_signature(
        &self,
        certificate: &Certificate<'_>,
        authority: &PublicKey,
        cache: Option<&mut SignerCache>,
    ) -> Result<(), Rejection> {
        if cache.as_ref().is_some_and(|cache| cache.knows(certificate.raw, authority)) {
            return Ok(());
        }
        let verified = certificate.is_signed_by(self.crypto, authority);
        if !verified {
            return Err(Rejection::trust(
                "certificate-signature",
                alloc::format!(
                    "certificate of `{}` is not signed by `{}`",
                    certificate.subject,
                    certificate.issuer
                ),
            ));
        }
        if let Some(cache) = cache {
            cache.remember(certificate.raw, authority.clone());
        }
        Ok(())
    }

    fn check_dates(
        &self,
        leaf: &Certificate<'_>,
        authorities: &[Option<Certificate<'_>>],
        end: &End<'_>,
    ) -> Result<(), Rejection> {
        for certificate in core::iter::once(leaf).chain(authorities.iter().flatten()) {
            let span = (certificate.not_before, certificate.not_after);
            check_span(self.at, span, &certificate.subject)?;
        }
        match end {
            End::Authority(anchor) => {
                check_span(self.at, (anchor.not_before, anchor.not_after), &anchor.subject_text)
            }
            End::Pinned | End::Key(_) => Ok(()),
        }
    }

    fn check_purposes(
        &self,
        leaf: &Certificate<'_>,
        authorities: &[Option<Certificate<'_>>],
        end: &End<'_>,
    ) -> Result<(), Rejection> {
        if matches!(end, End::Pinned) {
            return Ok(());
        }
        self.profile.check_leaf(leaf)?;
        // How many authorities stand between this one and the leaf.
        let mut below = 0_u8;
        for authority in authorities.iter().flatten() {
            let limits = authority.basic_constraints.and_then(|limits| limits.path_length);
            let country = authority.subject.country();
            self.check_authority(authority.is_authority(), limits, below, &authority.subject)?;
            self.check_country(below, leaf, country)?;
            below += 1;
        }
        if let End::Authority(anchor) = end {
            // An anchor that came along in the chain was counted above.
            let counted = authorities.iter().flatten().any(|one| one.raw == anchor.raw);
            if !counted {
                let (authority, limits) = (anchor.authority, anchor.path_length);
                self.check_authority(authority, limits, below, &anchor.subject_text)?;
                self.check_country(below, leaf, anchor.country.as_deref())?;
            }
        }
        Ok(())
    }

    fn check_authority(
        &self,
        authority: bool,
        path_length: Option<u8>,
        below: u8,
        subject: &dyn fmt::Display,
    ) -> Result<(), Rejection> {
        let wrong = |what: &str| {
            Rejection::trust(
                "authority-profile",
                alloc::format!("certificate of `{subject}` {what}"),
            )
        };
        if !authority {
            return Err(wrong("is not that of an authority"));
        }
        if path_length.is_some_and(|limit| limit < below) {
            return Err(wrong("allows no such long chain below it"));
        }
        // ISO/IEC 18013-5, table B.1: an IACA certificate has a path length of zero.
        if self.profile == Profile::DocumentSigner && below == 0 && path_length != Some(0) {
            return Err(wrong("signed a document signer without a path length of zero"));
        }
        Ok(())
    }

    /// ISO/IEC 18013-5, table B.3: a document signer is of the country of its authority.
    fn check_country(
        &self,
        below: u8,
        leaf: &Certificate<'_>,
        authority: Option<&str>,
    ) -> Result<(), Rejection> {
        let (Some(own), Some(authority)) = (leaf.subject.country(), authority) else {
            return Ok(());
        };
        if below > 0 || self.profile != Profile::DocumentSigner || own == authority {
            return Ok(());
        }
        Err(Rejection::issuer(
            "certificate-profile",
            alloc::format!(
                "certificate of `{}` names another country than its authority",
                leaf.subject
            ),
        ))
    }
}

fn untrusted(certificate: &Certificate<'_>) -> Rejection {
    Rejection::trust(
        "untrusted-signer",
        alloc::format!(
            "no trust anchor vouches for `{}`, signed by `{}`",
            certificate.subject,
            certificate.issuer
        ),
    )
}

fn check_span(
    at: Instant,
    (not_before, not_after): (Instant, Instant),
    subject: &dyn fmt::Display,
) -> Result<(), Rejection> {
    if at < not_before {
        return Err(Rejection::time(
            "certificate-not-yet-valid",
            alloc::format!("certificate of `{subject}` is valid from {not_before}, not at {at}"),
        ));
    }
    if at.floor_to_second() > not_after {
        return Err(Rejection::time(
            "certificate-expired",
            alloc::format!("certificate of `{subject}` was valid until {not_after}, not at {at}"),
        ));
    }
    Ok(())
}
