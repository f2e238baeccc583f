//! Proofs of possession of device keys (OpenID4VCI 1.0, 8.2.1 and appendix F).
//!
//! Two proof types: `jwt`, one proof per key, each with or without a key attestation; and
//! `attestation`, one attestation for all keys. An attester that the city trusts stands for the
//! possession of all keys that it names; a wallet's own word stands for none but the key that
//! signed. All proofs of a request carry one and the same nonce, which is spent. What comes out is
//! the list of keys to which documents will be bound.

use core::fmt;
use core::time::Duration;

use credential::crypto::{Algorithm, Crypto, PublicKey};
use credential::jose::{Jws, jwk};
use credential::rejection::{Culprit, Rejection};
use serde_json::Value;
use vocabulary::time::Instant;

use crate::attestation::{
    Attestation, AttestationError, AttestationUse, AttestedKey, Attester, verify_attestation,
};
use crate::issuer::Issuer;
use crate::nonce::{NonceError, NonceKey, spend};
use crate::once::Once;
use crate::product::{AttestationLevel, BATCH_MAX};
use crate::secret::Digest;

/// Proofs, and keys, in one request; metadata says so. A product may give documents to fewer.
pub const PROOFS_MAX: usize = BATCH_MAX as usize;
/// How far the date of a proof may lie from now, both ways; the nonce is the stricter bound.
pub const PROOF_WINDOW: Duration = Duration::from_secs(300);
/// The algorithms in which a proof may be signed, which are those of device keys.
pub const PROOF_ALGORITHMS: [Algorithm; 1] = [Algorithm::Es256];

/// The `proofs` of a credential request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proofs {
    /// JWTs, each signed by one key.
    Jwt(Vec<String>),
    /// One key attestation for all keys.
    Attestation(String),
}

/// What proofs must live up to.
#[derive(Clone, Copy)]
pub struct Expectation<'a> {
    /// The issuer that they must name.
    pub issuer: &'a Issuer,
    /// The key of the issuer's nonces.
    pub nonce_key: &'a NonceKey,
    /// Whose attestations are taken.
    pub attesters: &'a [Attester],
    /// What must be attested of every key.
    pub level_min: AttestationLevel,
    /// What must be attested of how the device makes sure of its user; nothing without `level_min`.
    pub user_authentication_min: AttestationLevel,
}

impl Expectation<'_> {
    /// Every key needs an attestation where `level_min` asks for one, so that it suffices to look at
    /// each attestation.
    fn check_user(&self, attestation: &Attestation) -> Result<(), ProofError> {
        if attestation.user_authentication() < self.user_authentication_min {
            return Err(ProofError::UserUnattested);
        }
        Ok(())
    }
}

/// A device key of the wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceKey {
    /// The key.
    pub key: PublicKey,
    /// Its RFC 7638 thumbprint.
    pub thumbprint: Digest,
    /// What is attested of it.
    pub level: AttestationLevel,
}

/// Device keys whose possession was proven just now; only [`verify_proofs`] makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenKeys {
    keys: Vec<DeviceKey>,
    once: Once,
}

impl ProvenKeys {
    /// The keys, all different, in the order of the proofs.
    #[must_use]
    pub fn keys(&self) -> &[DeviceKey] {
        &self.keys
    }

    /// The mark of the nonce's use, to be committed with the deed.
    #[must_use]
    pub const fn once(&self) -> &Once {
        &self.once
    }
}

/// Verifies all proofs of a request; one bad proof refuses the request.
///
/// # Errors
/// [`ProofError`]
pub fn verify_proofs(
    crypto: &dyn Crypto,
    proofs: &Proofs,
    expectation: Expectation<'_>,
    now: Instant,
) -> Result<ProvenKeys, ProofError> {
    let mut found = Found { keys: Vec::new(), nonce: None, attested: None };
    match proofs {
        Proofs::Jwt(texts) => {
            if texts.is_empty() || texts.len() > PROOFS_MAX {
                return Err(ProofError::Count);
            }
            for text in texts {
                add_jwt(crypto, text, expectation, now, &mut found)?;
            }
        }
        Proofs::Attestation(text) => {
            let purpose = AttestationUse::Proof;
            let attestation = verify_attestation(crypto, text, expectation.attesters, purpose, now)
                .map_err(ProofError::Attestation)?;
            if attestation.own_word().is_some_and(|own| !is_alone(own, attestation.keys())) {
                return Err(ProofError::Unproven);
            }
            expectation.check_user(&attestation)?;
            found.take_nonce(attestation.nonce())?;
            found.add_attested(crypto, &attestation);
        }
    }
    found.finish(crypto, expectation, now)
}

fn is_alone(key: &PublicKey, attested: &[AttestedKey]) -> bool {
    matches!(attested, [only] if only.key == *key)
}

/// What the proofs read so far have shown.
struct Found {
    keys: Vec<DeviceKey>,
    nonce: Option<String>,
    /// The attestation that was verified last, with its text: proofs of a batch share one.
    attested: Option<(String, Attestation)>,
}

impl Found {
    fn take_nonce(&mut self, nonce: Option<&str>) -> Result<(), ProofError> {
        let nonce = nonce.ok_or(ProofError::NonceMissing)?;
        match &self.nonce {
            Some(first) if first != nonce => Err(ProofError::NoncesDiffer),
            Some(_) => Ok(()),
            None => {
                self.nonce = Some(nonce.to_owned());
                Ok(())
            }
        }
    }

    /// The attestation in the header of a proof.
    fn attestation(
        &mut self,
        crypto: &dyn Crypto,
        text: &str,
        attesters: &[Attester],
        now: Instant,
    ) -> Result<Attestation, ProofError> {
        if let Some((_, known)) = self.attested.as_ref().filter(|(known, _)| known == text) {
            return Ok(known.clone());
        }
        let purpose = AttestationUse::ProofHeader;
        let attestation = verify_attestation(crypto, text, attesters, purpose, now)
            .map_err(ProofError::Attestation)?;
        self.attested = Some((text.to_owned(), attestation.clone()));
        Ok(attestation)
    }

    fn add(&mut self, crypto: &dyn Crypto, key: PublicKey, level: AttestationLevel) {
        if !self.keys.iter().any(|known| known.key == key) {
            let thumbprint = jwk::thumbprint(crypto, &key);
            self.keys.push(DeviceKey { key, thumbprint, level });
        }
    }

    fn add_attested(&mut self, crypto: &dyn Crypto, attestation: &Attestation) {
        for attested in attestation.keys() {
            self.add(crypto, attested.key.clone(), attestation.level());
        }
    }

    fn finish(
        self,
        crypto: &dyn Crypto,
        expectation: Expectation<'_>,
        now: Instant,
    ) -> Result<ProvenKeys, ProofError> {
        let nonce = self.nonce.ok_or(ProofError::NonceMissing)?;
        let operator = expectation.issuer.operator();
        let once = spend(crypto, expectation.nonce_key, operator, &nonce, now)
            .map_err(ProofError::Nonce)?;
        if self.keys.len() > PROOFS_MAX {
            return Err(ProofError::Count);
        }
        if self.keys.iter().any(|key| !PROOF_ALGORITHMS.contains(&key.key.algorithm())) {
            return Err(ProofError::Algorithm);
        }
        if self.keys.iter().any(|key| key.level < expectation.level_min) {
            return Err(ProofError::LevelTooLow);
        }
        Ok(ProvenKeys { keys: self.keys, once })
    }
}

fn add_jwt(
    crypto: &dyn Crypto,
    text: &str,
    expectation: Expectation<'_>,
    now: Instant,
    found: &mut Found,
) -> Result<(), ProofError> {
    let jws = Jws::parse(text, Culprit::Holder).map_err(ProofError::Proof)?;
    jws.require_typ("openid4vci-proof+jwt").map_err(ProofError::Proof)?;
    if !PROOF_ALGORITHMS.contains(&jws.header.algorithm) {
        return Err(ProofError::Algorithm);
    }
    let attestation = match jws.header.members.get("key_attestation") {
        None => None,
        Some(text) => {
            let text = text.as_str().ok_or(ProofError::AttestationForm)?;
            let attestation = found.attestation(crypto, text, expectation.attesters, now)?;
            expectation.check_user(&attestation)?;
            Some(attestation)
        }
    };
    let key = named_key(&jws, attestation.as_ref())?;
    jws.verify(crypto, &key).map_err(ProofError::Proof)?;
    let claims = jws.claims().map_err(ProofError::Proof)?;
    // `aud` is the one issuer, as text; a list of audiences could be shown to another issuer.
    if claims.members().get("aud").and_then(Value::as_str) != Some(expectation.issuer.identifier())
    {
        return Err(ProofError::Audience);
    }
    let made_at = claims.required_instant("iat").map_err(ProofError::Proof)?;
    if made_at.duration_since(now) > PROOF_WINDOW || now.duration_since(made_at) > PROOF_WINDOW {
        return Err(ProofError::Date);
    }
    found.take_nonce(claims.text("nonce").map_err(ProofError::Proof)?)?;
    match attestation {
        None => found.add(crypto, key, AttestationLevel::None),
        Some(attestation) => {
            found.take_nonce(attestation.nonce())?;
            match attestation.own_word() {
                // The wallet's word about its other keys proves nothing: they sign for themselves.
                Some(_) => found.add(crypto, key, attestation.level()),
                None => found.add_attested(crypto, &attestation),
            }
        }
    }
    Ok(())
}

/// The key that the header names: a `jwk`, or the `kid` of an attested key, or its place among
/// them. A proof with an attestation must be by one of the attested keys.
fn named_key(jws: &Jws<'_>, attestation: Option<&Attestation>) -> Result<PublicKey, ProofError> {
    if !jws.header.x5c.is_empty() {
        return Err(ProofError::Key);
    }
    let attested = attestation.map(Attestation::keys);
    match (jws.header.jwk.clone(), jws.header.kid.as_deref(), attested) {
        (Some(key), None, None) => Ok(key),
        (Some(key), None, Some(attested)) => {
            let among = attested.iter().any(|attested| attested.key == key);
            if among { Ok(key) } else { Err(ProofError::KeyNotAttested) }
        }
        (None, Some(kid), Some(attested)) => {
            let by_name = attested.iter().find(|attested| attested.kid.as_deref() == Some(kid));
            let by_place = || kid.parse().ok().and_then(|place: usize| attested.get(place));
            let key = by_name.or_else(by_place).ok_or(ProofError::KeyNotAttested)?;
            Ok(key.key.clone())
        }
        _ => Err(ProofError::Key),
    }
}

/// Why proofs are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// No proof, or more keys than allowed.
    Count,
    /// A proof is no JWT of type `openid4vci-proof+jwt`, its signature is wrong, or a claim is
    /// missing.
    Proof(Rejection),
    /// A proof or a key is not of [`PROOF_ALGORITHMS`].
    Algorithm,
    /// A proof names no key, two, or one in a way that is not understood.
    Key,
    /// A proof is by a key that its attestation does not vouch for.
    KeyNotAttested,
    /// `aud` is not this issuer.
    Audience,
    /// `iat` lies outside [`PROOF_WINDOW`].
    Date,
    /// A proof or an attestation has no nonce.
    NonceMissing,
    /// Two nonces in one request.
    NoncesDiffer,
    /// The nonce is not ours or too old.
    Nonce(NonceError),
    /// `key_attestation` is not text.
    AttestationForm,
    /// The attestation does not hold.
    Attestation(AttestationError),
    /// A wallet vouches for itself for keys that signed nothing.
    Unproven,
    /// The keys are not attested as well as the product demands.
    LevelTooLow,
    /// Too little is attested of how the device makes sure of its user.
    UserUnattested,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "the number of keys is not one that is allowed",
            Self::Proof(rejection) => return write!(f, "proof: {}", rejection.message),
            Self::Algorithm => "a proof is not signed in ES256",
            Self::Key => "a proof does not name its key by `jwk`",
            Self::KeyNotAttested => "a proof is by a key that is not attested",
            Self::Audience => "a proof is for another issuer",
            Self::Date => "a proof is too old or from the future",
            Self::NonceMissing => "a proof has no nonce",
            Self::NoncesDiffer => "the proofs have different nonces",
            Self::Nonce(error) => return write!(f, "{error}"),
            Self::AttestationForm => "a key attestation is not text",
            Self::Attestation(error) => return write!(f, "{error}"),
            Self::Unproven => "a wallet's own attestation proves no key but the one that signed it",
            Self::LevelTooLow => "the keys are not attested as the product demands",
            Self::UserUnattested => "it is not attested that the device makes sure of its user",
        })
    }
}

impl core::error::Error for ProofError {}
