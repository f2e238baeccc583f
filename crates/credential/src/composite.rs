//! The composite of ML-DSA-44 and ES256: one key of two halves, one signature that needs both.
//!
//! id-MLDSA44-ECDSA-P256-SHA256 of draft-ietf-lamps-pq-composite-sigs-19, which
//! draft-ietf-jose-pq-composite-sigs-04 takes over as `ML-DSA-44-ES256`, so that keys and
//! signatures have one form in X.509, COSE and JOSE. Drafts: identifiers may still change (see
//! `specs/suites.md`). The application context is empty, as the second demands.
//!
//! Both halves sign the same short message, which names the composite; neither signature counts
//! anywhere alone. A half key must never be used for anything else.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::crypto::{Algorithm, BadSignature, Crypto, PublicKey, Signature};
use crate::x509::der::{self, DerError, Reader, Writer};

/// The identifier that draft-ietf-jose-pq-composite-sigs-04 asks IANA for in COSE Algorithms.
pub const COSE_ALGORITHM: i64 = -54;
/// Binds both signatures to this composite; also the context of the ML-DSA half.
pub const LABEL: &[u8] = b"COMPSIG-MLDSA44-ECDSA-P256-SHA256";
/// Bytes of a public key of ML-DSA-44 (FIPS 204, table 2).
pub const ML_DSA_KEY_BYTES: usize = 1312;
/// Bytes of a signature by ML-DSA-44.
pub const ML_DSA_SIGNATURE_BYTES: usize = 2420;
/// Bytes of the seed that is the private key of ML-DSA-44.
pub const ML_DSA_SEED_BYTES: usize = 32;
/// Bytes of an uncompressed point of P-256.
pub const POINT_BYTES: usize = 65;
/// Bytes of a composite public key.
pub const KEY_BYTES: usize = ML_DSA_KEY_BYTES + POINT_BYTES;
/// Bytes of a composite signature at the most: the half by ECDSA is an Ecdsa-Sig-Value in DER.
pub const SIGNATURE_BYTES_MAX: usize = ML_DSA_SIGNATURE_BYTES + 72;
/// Bytes of the message that both halves sign.
pub const MESSAGE_BYTES: usize = PREFIX.len() + LABEL.len() + 1 + 32;

const PREFIX: &[u8] = b"CompositeAlgorithmSignatures2025";

/// A composite public key: that of ML-DSA-44, then the point of P-256.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CompositeKey([u8; KEY_BYTES]);

impl CompositeKey {
    /// From its two halves.
    #[must_use]
    pub fn new(ml_dsa: &[u8; ML_DSA_KEY_BYTES], point: &[u8; POINT_BYTES]) -> Self {
        let mut bytes = [0; KEY_BYTES];
        bytes.iter_mut().zip(ml_dsa.iter().chain(point)).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }

    /// From its 1377 bytes; `None` for another length or a point that is not uncompressed.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let key = Self(bytes.try_into().ok()?);
        (key.point().first() == Some(&0x04)).then_some(key)
    }

    /// The 1377 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The half of ML-DSA-44.
    #[must_use]
    pub fn ml_dsa(&self) -> &[u8; ML_DSA_KEY_BYTES] {
        // INVARIANT: the key is longer than its first half.
        self.0.first_chunk().unwrap_or(&[0; ML_DSA_KEY_BYTES])
    }

    /// The half of P-256.
    #[must_use]
    pub fn point(&self) -> &[u8; POINT_BYTES] {
        // INVARIANT: the key is longer than its second half.
        self.0.last_chunk().unwrap_or(&[0; POINT_BYTES])
    }
}

impl From<CompositeKey> for PublicKey {
    fn from(key: CompositeKey) -> Self {
        Self::Composite(Arc::new(key))
    }
}

impl fmt::Debug for CompositeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompositeKey(..)")
    }
}

/// What both halves sign, given the SHA-256 of the message: prefix, label, the length of an empty
/// context, the digest.
#[must_use]
pub fn message(digest: &[u8; 32]) -> [u8; MESSAGE_BYTES] {
    let mut message = [0; MESSAGE_BYTES];
    let parts = PREFIX.iter().chain(LABEL).chain(&[0]).chain(digest);
    message.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    message
}

/// Verifies a composite signature: both halves, each by its own half of the key.
///
/// # Errors
/// [`BadSignature`] if either does not hold, without saying which.
pub(crate) fn verify(
    crypto: &dyn Crypto,
    key: &CompositeKey,
    signed: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    let (ml_dsa, es256) = split(signature)?;
    let message = message(&crypto.sha256(signed));
    crypto.verify(&PublicKey::P256(*key.point()), &message, &es256)?;
    crypto.verify_ml_dsa_44(key.ml_dsa(), &message, LABEL, ml_dsa)
}

/// The composite signature of two halves, that of ES256 as `r || s`.
///
/// # Errors
/// [`BadSignature`] if a half does not have the length of its algorithm.
pub fn join(ml_dsa: &[u8], es256: &Signature) -> Result<Signature, BadSignature> {
    if ml_dsa.len() != ML_DSA_SIGNATURE_BYTES || es256.as_bytes().len() != 64 {
        return Err(BadSignature);
    }
    let whole = [ml_dsa, &ecdsa_to_der(es256.as_bytes())].concat();
    Signature::new(Algorithm::MlDsa44Es256, &whole)
}

/// The halves of a composite signature: that of ML-DSA-44, and that of ES256 as `r || s`.
///
/// # Errors
/// [`BadSignature`] if it is too short, or its second half is not in DER to the last byte.
pub fn split(signature: &[u8]) -> Result<(&[u8; ML_DSA_SIGNATURE_BYTES], [u8; 64]), BadSignature> {
    let (ml_dsa, ecdsa) = signature.split_first_chunk().ok_or(BadSignature)?;
    let mut fixed = [0; 64];
    ecdsa_from_der(ecdsa, &mut fixed).map_err(|_| BadSignature)?;
    Ok((ml_dsa, fixed))
}

/// Ecdsa-Sig-Value (RFC 3279, 2.2.3) of `r || s`.
pub(crate) fn ecdsa_to_der(fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let mut writer = Writer::new();
    writer.nested(der::SEQUENCE, |pair| {
        pair.unsigned(r).unsigned(s);
    });
    writer.into_bytes()
}

/// Ecdsa-Sig-Value as `r || s`, which fill `fixed`.
pub(crate) fn ecdsa_from_der(signature: &[u8], fixed: &mut [u8]) -> Result<(), DerError> {
    let mut outer = Reader::new(signature);
    let mut pair = outer.sequence()?;
    outer.finish()?;
    fixed.fill(0);
    let half = fixed.len() / 2;
    for part in fixed.chunks_exact_mut(half.max(1)) {
        put_scalar(pair.integer()?, part)?;
    }
    pair.finish()
}

/// Right-aligns a positive integer in `out`.
fn put_scalar(integer: &[u8], out: &mut [u8]) -> Result<(), DerError> {
    let wrong = DerError::Value { what: "signature" };
    let digits = match integer {
        [0x80..=0xFF, ..] => return Err(wrong),
        [0, digits @ ..] => digits,
        digits => digits,
    };
    let start = out.len().checked_sub(digits.len()).ok_or(wrong)?;
    out.get_mut(start..).ok_or(wrong)?.copy_from_slice(digits);
    Ok(())
}
