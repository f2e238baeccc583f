//! What lies inside a sealed file: the keys one after another (layout: `specs/keystore.md`).
//!
//! Plain bytes exist only in buffers that are wiped and never grow, so that no copy stays behind.

use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin, EcPrivateKeyBin};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::pkcs8::Document;
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use credential::aws_lc::MlDsa44Key;
use credential::composite::{self, CompositeKey, ML_DSA_SEED_BYTES};
use credential::crypto::{Algorithm, PublicKey, Signature};
use vocabulary::code::{OperatorCode, SLUG_BYTES_MAX};
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use crate::custody::{CERTIFICATE_BYTES_MAX, KEYS_MAX, Key, KeyHandle, NewKey, State};
use crate::purpose::{Purpose, Suite};
use crate::seal::take;

/// Bytes of the largest private half, of the composite: the seed of ML-DSA, then the scalar.
const SECRET_BYTES_MAX: usize = ML_DSA_SEED_BYTES + 32;
/// Bytes of a record without operator, public key, private key and certificate.
const RECORD_FIXED_BYTES: usize = 1 + 1 + 1 + 8 + 8 + 1 + 2 + 1 + 4;

/// What [`Key::held_by`] says of keys in a sealed file.
const HELD_BY: &str = "software";
const P256: &EcdsaSigningAlgorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
const P384: &EcdsaSigningAlgorithm = &ECDSA_P384_SHA384_FIXED_SIGNING;

/// A key with its private half, which the cryptographic module holds and wipes.
pub(crate) struct Stored {
    pub(crate) key: Key,
    pair: Pair,
}

enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Composite(Box<CompositePair>),
}

impl Stored {
    pub(crate) fn generate(request: NewKey) -> Result<Self, Unspecified> {
        let pair = match request.suite {
            Suite::Es256 => Pair::P256(EcdsaKeyPair::generate(P256)?),
            Suite::Es384 => Pair::P384(EcdsaKeyPair::generate(P384)?),
            Suite::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate()?),
            Suite::Es256MlDsa44 => Pair::Composite(Box::new(CompositePair::generate()?)),
        };
        Self::of(request, pair)
    }

    fn of(request: NewKey, pair: Pair) -> Result<Self, Unspecified> {
        let NewKey { purpose, operator, suite, state, at } = request;
        let key = Key {
            handle: KeyHandle::of(pair.public_bytes()),
            purpose,
            suite,
            operator,
            created_at: at,
            public_key: pair.public_key().ok_or(Unspecified)?,
            certificate: None,
            state,
            state_since: at,
            held_by: Arc::from(HELD_BY),
        };
        Ok(Self { key, pair })
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Option<Signature> {
        let signature = match &self.pair {
            Pair::P256(pair) | Pair::P384(pair) => pair.sign(&SystemRandom::new(), message).ok()?,
            Pair::Ed25519(pair) => pair.try_sign(message).ok()?,
            Pair::Composite(pair) => return pair.sign(message),
        };
        Signature::new(self.key.public_key.algorithm(), signature.as_ref()).ok()
    }

    /// The private half as PKCS#8 (RFC 5958), for wrapping only. EC keys alone have one here.
    pub(crate) fn to_pkcs8(&self) -> Result<Document, Unspecified> {
        match &self.pair {
            Pair::P256(pair) | Pair::P384(pair) => pair.to_pkcs8v1(),
            _ => Err(Unspecified),
        }
    }

    /// The key whose private half is `pkcs8`, described by `request`.
    pub(crate) fn from_pkcs8(request: NewKey, pkcs8: &[u8]) -> Option<Self> {
        let pair = match request.suite {
            Suite::Es256 => Pair::P256(EcdsaKeyPair::from_pkcs8(P256, pkcs8).ok()?),
            Suite::Es384 => Pair::P384(EcdsaKeyPair::from_pkcs8(P384, pkcs8).ok()?),
            _ => return None,
        };
        Self::of(request, pair).ok()
    }

    /// The same key, described anew.
    pub(crate) fn with(&self, key: Key) -> Option<Self> {
        let mut secret = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX));
        self.pair.append_secret(&mut secret).ok()?;
        let pair = Pair::restore(self.key.suite, &secret, self.pair.public_bytes())?;
        Some(Self { key, pair })
    }
}

impl Pair {
    fn public_bytes(&self) -> &[u8] {
        match self {
            Self::P256(pair) | Self::P384(pair) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
            Self::Composite(pair) => pair.public.as_bytes(),
        }
    }

    fn public_key(&self) -> Option<PublicKey> {
        match self {
            Self::P256(pair) => pair.public_key().as_ref().try_into().ok().map(PublicKey::P256),
            Self::P384(pair) => pair.public_key().as_ref().try_into().ok().map(PublicKey::P384),
            Self::Ed25519(pair) => {
                pair.public_key().as_ref().try_into().ok().map(PublicKey::Ed25519)
            }
            Self::Composite(pair) => Some(pair.public.clone()),
        }
    }

    fn append_secret(&self, plain: &mut Vec<u8>) -> Result<(), Unspecified> {
        match self {
            Self::P256(pair) | Self::P384(pair) => {
                let secret: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes()?;
                plain.extend_from_slice(secret.as_ref());
            }
            Self::Ed25519(pair) => {
                let secret: Curve25519SeedBin<'_> = pair.seed()?.as_be_bytes()?;
                plain.extend_from_slice(secret.as_ref());
            }
            Self::Composite(pair) => {
                plain.extend_from_slice(pair.ml_dsa.danger_seed());
                let secret: EcPrivateKeyBin<'_> = pair.es256.private_key().as_be_bytes()?;
                plain.extend_from_slice(secret.as_ref());
            }
        }
        Ok(())
    }

    fn restore(suite: Suite, secret: &[u8], public: &[u8]) -> Option<Self> {
        let ecdsa = |algorithm| {
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, secret, public).ok()
        };
        match suite {
            Suite::Es256 => ecdsa(P256).map(Self::P256),
            Suite::Es384 => ecdsa(P384).map(Self::P384),
            Suite::Ed25519 => {
                Ed25519KeyPair::from_seed_and_public_key(secret, public).ok().map(Self::Ed25519)
            }
            Suite::Es256MlDsa44 => {
                CompositePair::restore(secret, public).map(Box::new).map(Self::Composite)
            }
        }
    }
}

/// Both halves of a composite key.
struct CompositePair {
    es256: EcdsaKeyPair,
    ml_dsa: MlDsa44Key,
    public: PublicKey,
}

impl CompositePair {
    fn generate() -> Result<Self, Unspecified> {
        let mut seed = Zeroizing::new([0; ML_DSA_SEED_BYTES]);
        rand::fill(&mut *seed)?;
        Self::of(EcdsaKeyPair::generate(P256)?, MlDsa44Key::from_seed(&seed)).ok_or(Unspecified)
    }

    fn of(es256: EcdsaKeyPair, ml_dsa: MlDsa44Key) -> Option<Self> {
        let point = es256.public_key().as_ref().try_into().ok()?;
        let public = CompositeKey::new(ml_dsa.public(), point).into();
        Some(Self { es256, ml_dsa, public })
    }

    fn restore(secret: &[u8], public: &[u8]) -> Option<Self> {
        let (seed, scalar) = secret.split_first_chunk()?;
        let (_, point) = public.split_at_checked(composite::ML_DSA_KEY_BYTES)?;
        let es256 = EcdsaKeyPair::from_private_key_and_public_key(P256, scalar, point).ok()?;
        let pair = Self::of(es256, MlDsa44Key::from_seed(seed))?;
        (pair.public.as_bytes() == public).then_some(pair)
    }

    fn sign(&self, message: &[u8]) -> Option<Signature> {
        let digest = digest::digest(&digest::SHA256, message);
        let message = composite::message(digest.as_ref().try_into().ok()?);
        let es256 = self.es256.sign(&SystemRandom::new(), &message).ok()?;
        let es256 = Signature::new(Algorithm::Es256, es256.as_ref()).ok()?;
        let mut entropy = [0; 32];
        rand::fill(&mut entropy).ok()?;
        let ml_dsa = self.ml_dsa.sign(&message, composite::LABEL, entropy).ok()?;
        composite::join(&ml_dsa, &es256).ok()
    }
}

/// The records of `keys`, one after another.
pub(crate) fn encode(keys: &[Arc<Stored>]) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let capacity = 4 + keys.iter().map(|stored| record_bytes(stored)).sum::<usize>();
    let mut plain = Zeroizing::new(Vec::with_capacity(capacity));
    plain.extend_from_slice(&u32::try_from(keys.len()).map_err(|_| Unspecified)?.to_be_bytes());
    for stored in keys {
        append(&mut plain, stored)?;
    }
    // INVARIANT: the buffer was reserved at its exact size and has not moved.
    debug_assert_eq!(plain.len(), capacity);
    Ok(plain)
}

fn append(plain: &mut Vec<u8>, stored: &Stored) -> Result<(), Unspecified> {
    let key = &stored.key;
    let operator = key.operator.as_ref().map_or("", OperatorCode::as_str).as_bytes();
    let public = stored.pair.public_bytes();
    let certificate = key.certificate.as_deref().unwrap_or_default();
    plain.extend_from_slice(&[key.purpose.number(), key.suite.number(), key.state.number()]);
    plain.extend_from_slice(&key.created_at.unix_micros().to_be_bytes());
    plain.extend_from_slice(&key.state_since.unix_micros().to_be_bytes());
    plain.push(u8::try_from(operator.len()).map_err(|_| Unspecified)?);
    plain.extend_from_slice(operator);
    plain.extend_from_slice(&u16::try_from(public.len()).map_err(|_| Unspecified)?.to_be_bytes());
    plain.extend_from_slice(public);
    plain.push(u8::try_from(secret_bytes(key.suite)).map_err(|_| Unspecified)?);
    stored.pair.append_secret(plain)?;
    plain.extend_from_slice(
        &u32::try_from(certificate.len()).map_err(|_| Unspecified)?.to_be_bytes(),
    );
    plain.extend_from_slice(certificate);
    Ok(())
}

const fn secret_bytes(suite: Suite) -> usize {
    match suite {
        Suite::Es256 | Suite::Ed25519 => 32,
        Suite::Es384 => 48,
        Suite::Es256MlDsa44 => SECRET_BYTES_MAX,
    }
}

fn record_bytes(stored: &Stored) -> usize {
    RECORD_FIXED_BYTES
        + secret_bytes(stored.key.suite)
        + stored.key.operator.as_ref().map_or(0, |operator| operator.as_str().len())
        + stored.pair.public_bytes().len()
        + stored.key.certificate.as_ref().map_or(0, |certificate| certificate.len())
}

/// The keys in `plain`; `None` when the records do not fit the layout to the last byte.
pub(crate) fn decode(plain: &[u8]) -> Option<Vec<Stored>> {
    let (count, mut rest) = take::<4>(plain)?;
    let count = usize::try_from(u32::from_be_bytes(count)).ok()?;
    if count > KEYS_MAX {
        return None;
    }
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        let (stored, after) = record(rest)?;
        keys.push(stored);
        rest = after;
    }
    rest.is_empty().then_some(keys)
}

fn record(bytes: &[u8]) -> Option<(Stored, &[u8])> {
    let ([purpose, suite, state], rest) = take::<3>(bytes)?;
    let (created_at, rest) = take::<8>(rest)?;
    let (state_since, rest) = take::<8>(rest)?;
    let (operator, rest) = short(rest)?;
    let (length, rest) = take::<2>(rest)?;
    let (public, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(length)))?;
    let (secret, rest) = short(rest)?;
    let (length, rest) = take::<4>(rest)?;
    let (certificate, rest) =
        rest.split_at_checked(usize::try_from(u32::from_be_bytes(length)).ok()?)?;
    let purpose = Purpose::from_number(purpose)?;
    let suite = Suite::from_number(suite)?;
    if !purpose.allows(suite)
        || secret.len() != secret_bytes(suite)
        || operator.len() > SLUG_BYTES_MAX
        || certificate.len() > CERTIFICATE_BYTES_MAX
    {
        return None;
    }
    let operator = match operator {
        [] => None,
        text => Some(core::str::from_utf8(text).ok()?.parse().ok()?),
    };
    let pair = Pair::restore(suite, secret, public)?;
    let key = Key {
        handle: KeyHandle::of(public),
        purpose,
        suite,
        operator,
        created_at: Instant::from_unix_micros(i64::from_be_bytes(created_at)),
        public_key: pair.public_key()?,
        certificate: (!certificate.is_empty()).then(|| Arc::from(certificate)),
        state: State::from_number(state)?,
        state_since: Instant::from_unix_micros(i64::from_be_bytes(state_since)),
        held_by: Arc::from(HELD_BY),
    };
    Some((Stored { key, pair }, rest))
}

/// A run of at most 255 bytes behind its length.
fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{Header, Kind, SealingKey, SecretKind};

    fn contains(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    /// The seed is found by the layout of `specs/keystore.md` and proved to be the private key; then
    /// it is looked for in the sealed bytes. The control finds it in the unsealed ones.
    #[test]
    fn sealed_bytes_do_not_contain_the_private_key() {
        let at = Instant::from_unix_seconds(0);
        let request = NewKey::active(Purpose::Checkpoint, None, at);
        let stored = Stored::generate(request).unwrap();
        let public = stored.pair.public_bytes().to_vec();
        let plain = encode(&[Arc::new(stored)]).unwrap();
        // count 4; purpose, suite, state 3; made at 8, since 8, operator length 1, key length 2,
        // key 32, seed length 1, seed 32
        let seed = &plain[4 + 22 + 32 + 1..][..32];
        assert!(Ed25519KeyPair::from_seed_and_public_key(seed, &public).is_ok());
        let header = Header::new(Kind::Server, SecretKind::KeyFile, [1; 16], [2; 12]);
        let sealed = SealingKey::derive(&[3; 32], &header).unwrap().seal(&header, &plain).unwrap();
        for part in seed.windows(8) {
            assert!(contains(&plain, part));
            assert!(!contains(&sealed, part));
        }
    }

    #[test]
    fn contents_with_a_field_out_of_range_are_refused() {
        let at = Instant::from_unix_seconds(0);
        let request = NewKey::active(Purpose::Bundle, None, at);
        let plain = encode(&[Arc::new(Stored::generate(request).unwrap())]).unwrap();
        assert!(decode(&plain).is_some());
        for (what, position, value) in [
            ("count", 3, 2),
            ("purpose", 4, 99),
            ("suite", 5, 2),
            ("state", 6, 4),
            ("public key", 40, plain[40] ^ 1),
        ] {
            let mut changed = plain.clone();
            changed[position] = value;
            assert!(decode(&changed).is_none(), "{what}");
        }
        let too_many = u32::try_from(KEYS_MAX + 1).unwrap().to_be_bytes();
        assert!(decode(&too_many).is_none());
    }
}
