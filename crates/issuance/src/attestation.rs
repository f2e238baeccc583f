//! Key attestations: what somebody vouches for about the keys of a wallet (OpenID4VCI 1.0,
//! appendix D.1).
//!
//! Attesters that the city trusts are listed with the highest level that each may vouch for. A
//! wallet may vouch for itself that its keys are in software, by a key that the attestation names;
//! that word is taken, since it claims nothing worth lying about. It is never taken for more, and
//! never for the possession of a key that did not sign.

use core::fmt;

use credential::crypto::{Algorithm, Crypto, PublicKey};
use credential::jose::{Claims, Jws, jwk};
use credential::rejection::{Culprit, Rejection};
use serde_json::Value;
use vocabulary::time::Instant;

use crate::product::{AttestationLevel, BATCH_MAX};

/// Keys in one attestation.
pub const ATTESTED_KEYS_MAX: usize = BATCH_MAX as usize;
/// Names in `key_storage`, and in `user_authentication`.
pub const LEVELS_MAX: usize = 16;

/// Somebody whose word about keys is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attester {
    /// The `kid` by which attestations name this key.
    pub kid: String,
    /// The key.
    pub key: PublicKey,
    /// The highest level that this attester may vouch for.
    pub level_max: AttestationLevel,
}

/// An attestation that was verified; only [`verify_attestation`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    keys: Vec<AttestedKey>,
    level: AttestationLevel,
    user_authentication: AttestationLevel,
    nonce: Option<String>,
    own_word: Option<PublicKey>,
}

/// A key that an attestation vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestedKey {
    /// The key.
    pub key: PublicKey,
    /// The name that the attestation gives it.
    pub kid: Option<String>,
}

impl Attestation {
    /// The keys, at least one and at most [`ATTESTED_KEYS_MAX`].
    #[must_use]
    pub fn keys(&self) -> &[AttestedKey] {
        &self.keys
    }

    /// What is vouched for.
    #[must_use]
    pub const fn level(&self) -> AttestationLevel {
        self.level
    }

    /// What is vouched for of how the device makes sure of its user.
    #[must_use]
    pub const fn user_authentication(&self) -> AttestationLevel {
        self.user_authentication
    }

    /// The issuer's nonce inside it.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// The key by which a wallet vouches for itself; nothing where a listed attester vouches.
    #[must_use]
    pub const fn own_word(&self) -> Option<&PublicKey> {
        self.own_word.as_ref()
    }
}

/// With what an attestation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttestationUse {
    /// In the header of a proof of the `jwt` type: it must carry `exp`.
    ProofHeader,
    /// As a proof of its own, of the `attestation` type.
    Proof,
}

/// Verifies an attestation.
///
/// # Errors
/// [`AttestationError`]
pub fn verify_attestation(
    crypto: &dyn Crypto,
    text: &str,
    attesters: &[Attester],
    purpose: AttestationUse,
    now: Instant,
) -> Result<Attestation, AttestationError> {
    let jws = Jws::parse(text, Culprit::Holder).map_err(AttestationError::Form)?;
    jws.require_typ("key-attestation+jwt").map_err(AttestationError::Form)?;
    if jws.header.algorithm != Algorithm::Es256 {
        return Err(AttestationError::Algorithm);
    }
    let Signer { key, level_max, is_listed } = signer(&jws, attesters)?;
    jws.verify(crypto, &key).map_err(AttestationError::Form)?;
    let claims = jws.claims().map_err(AttestationError::Form)?;
    let validity = claims.validity(now).map_err(AttestationError::Form)?;
    if validity.issued_at.is_none() {
        return Err(AttestationError::Date);
    }
    if purpose == AttestationUse::ProofHeader && validity.expires_at.is_none() {
        return Err(AttestationError::Date);
    }
    let storage = level(&claims, "key_storage")?;
    let user_authentication = level(&claims, "user_authentication")?;
    if storage > level_max || user_authentication > level_max {
        return Err(AttestationError::Overreach);
    }
    let nonce = claims.text("nonce").map_err(AttestationError::Form)?.map(str::to_owned);
    let (keys, own_word) = (attested_keys(&claims)?, (!is_listed).then_some(key));
    Ok(Attestation { keys, level: storage, user_authentication, nonce, own_word })
}

/// Who must have signed an attestation.
struct Signer {
    key: PublicKey,
    /// The most that it may say.
    level_max: AttestationLevel,
    /// Whether it is an attester that the city trusts, not the wallet itself.
    is_listed: bool,
}

fn signer(jws: &Jws<'_>, attesters: &[Attester]) -> Result<Signer, AttestationError> {
    let listed = |known: &Attester| Signer {
        key: known.key.clone(),
        level_max: known.level_max,
        is_listed: true,
    };
    if let Some(key) = jws.header.jwk.clone() {
        let known = attesters.iter().find(|attester| attester.key == key).map(listed);
        let own = Signer { key, level_max: AttestationLevel::Software, is_listed: false };
        return Ok(known.unwrap_or(own));
    }
    let kid = jws.header.kid.as_deref().ok_or(AttestationError::Unknown)?;
    let known = attesters.iter().find(|attester| attester.kid == kid).map(listed);
    known.ok_or(AttestationError::Unknown)
}

/// The highest level among the values of `member` that are known; all of them hold at once.
fn level(claims: &Claims, member: &'static str) -> Result<AttestationLevel, AttestationError> {
    let Some(value) = claims.members().get(member) else {
        return Ok(AttestationLevel::None);
    };
    let malformed = AttestationError::Level(member);
    let names = value.as_array().filter(|names| !names.is_empty() && names.len() <= LEVELS_MAX);
    let texts = names.and_then(|names| names.iter().map(Value::as_str).collect());
    let texts: Vec<&str> = texts.ok_or(malformed)?;
    let known = texts.into_iter().filter_map(AttestationLevel::named);
    Ok(known.max().unwrap_or(AttestationLevel::None))
}

fn attested_keys(claims: &Claims) -> Result<Vec<AttestedKey>, AttestationError> {
    let keys = claims.members().get("attested_keys").and_then(Value::as_array);
    let keys = keys.filter(|keys| !keys.is_empty() && keys.len() <= ATTESTED_KEYS_MAX);
    let keys = keys.ok_or(AttestationError::Keys)?;
    let read = |value: &Value| {
        let kid = value.get("kid").and_then(Value::as_str).map(str::to_owned);
        let key = jwk::parse(value).map_err(|_| AttestationError::Keys)?;
        Ok(AttestedKey { key, kid })
    };
    keys.iter().map(read).collect()
}

/// Why an attestation is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttestationError {
    /// It is no JWT of type `key-attestation+jwt`, a claim is malformed, it is out of date, or its
    /// signature is wrong.
    Form(Rejection),
    /// It is not signed in ES256.
    Algorithm,
    /// Its signer is nobody whom the city trusts.
    Unknown,
    /// It has no `iat`, or no `exp` where one is needed.
    Date,
    /// This member, `key_storage` or `user_authentication`, is not a list of names.
    Level(&'static str),
    /// Its signer may not vouch for so much.
    Overreach,
    /// `attested_keys` is empty, longer than [`ATTESTED_KEYS_MAX`], or holds what is no key.
    Keys,
}

impl fmt::Display for AttestationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form(rejection) => return write!(f, "key attestation: {}", rejection.message),
            Self::Algorithm => "key attestation is not signed in ES256",
            Self::Unknown => "key attestation is signed by nobody trusted",
            Self::Date => "key attestation has no usable dates",
            Self::Level(member) => return write!(f, "key attestation has a malformed `{member}`"),
            Self::Overreach => "key attestation claims more than its signer may vouch for",
            Self::Keys => "key attestation has no usable keys",
        })
    }
}

impl core::error::Error for AttestationError {}
