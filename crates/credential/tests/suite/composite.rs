//! The composite of ML-DSA-44 and ES256: both halves count, and no half counts elsewhere.

use credential::aws_lc::MlDsa44Key;
use credential::composite::{self, CompositeKey, ML_DSA_SIGNATURE_BYTES};
use credential::crypto::{Algorithm, Crypto, PublicKey, Signature};
use credential::rustcrypto::RustCrypto;
use proptest::prelude::*;

use crate::tokens::{PROVIDERS, Signatory};

/// A composite key pair that follows from one byte.
pub(crate) struct CompositeSigner {
    pub(crate) es256: Signatory,
    pub(crate) ml_dsa: MlDsa44Key,
    pub(crate) key: PublicKey,
}

impl CompositeSigner {
    pub(crate) fn new(seed: u8) -> Self {
        Self::of(Signatory::new(seed), MlDsa44Key::from_seed(&[seed; 32]))
    }

    fn of(es256: Signatory, ml_dsa: MlDsa44Key) -> Self {
        let PublicKey::P256(point) = &es256.key else { panic!("a signatory is on P-256") };
        let key = CompositeKey::new(ml_dsa.public(), point).into();
        Self { es256, ml_dsa, key }
    }

    /// What both halves sign.
    fn inner(message: &[u8]) -> [u8; composite::MESSAGE_BYTES] {
        composite::message(&RustCrypto.sha256(message))
    }

    fn ml_dsa_half(&self, inner: &[u8], context: &[u8]) -> [u8; ML_DSA_SIGNATURE_BYTES] {
        self.ml_dsa.sign(inner, context, [9; 32]).unwrap()
    }

    pub(crate) fn signature(&self, message: &[u8]) -> Signature {
        let inner = Self::inner(message);
        let ml_dsa = self.ml_dsa_half(&inner, composite::LABEL);
        composite::join(&ml_dsa, &self.es256.signature(&inner)).unwrap()
    }
}

fn check(what: &str, key: &PublicKey, message: &[u8], signature: &[u8], holds: bool) {
    for crypto in PROVIDERS {
        assert_eq!(crypto.verify(key, message, signature).is_ok(), holds, "{what}");
    }
}

const MESSAGE: &[u8] = b"open the harbour gate";

/// Each attempt has one honest half; the control has both.
#[test]
fn one_half_of_a_signature_is_not_enough() {
    let [city, other] = [1, 2].map(CompositeSigner::new);
    let whole = city.signature(MESSAGE);
    check("control", &city.key, MESSAGE, whole.as_bytes(), true);
    let inner = CompositeSigner::inner(MESSAGE);
    let (ml_dsa, es256) = composite::split(whole.as_bytes()).unwrap();
    let es256 = Signature::new(Algorithm::Es256, &es256).unwrap();
    let (foreign_ml_dsa, foreign_es256) =
        (other.ml_dsa_half(&inner, composite::LABEL), other.es256.signature(&inner));
    let join = |ml_dsa: &[u8], es256: &Signature| composite::join(ml_dsa, es256).unwrap();
    for (what, forged) in [
        ("half of ES256 by another key", join(ml_dsa, &foreign_es256)),
        ("half of ML-DSA by another key", join(&foreign_ml_dsa, &es256)),
        ("half of ES256 over the bare message", join(ml_dsa, &city.es256.signature(MESSAGE))),
        ("half of ML-DSA over the bare message", {
            join(&city.ml_dsa_half(MESSAGE, composite::LABEL), &es256)
        }),
        ("half of ML-DSA without its context", join(&city.ml_dsa_half(&inner, b""), &es256)),
        ("half of ML-DSA of zeros", join(&[0; ML_DSA_SIGNATURE_BYTES], &es256)),
    ] {
        check(what, &city.key, MESSAGE, forged.as_bytes(), false);
    }
}

#[test]
fn halves_are_not_stripped_swapped_or_padded() {
    let city = CompositeSigner::new(1);
    let whole = city.signature(MESSAGE).as_bytes().to_vec();
    let (ml_dsa, ecdsa) = whole.split_at(ML_DSA_SIGNATURE_BYTES);
    let fixed = composite::split(&whole).unwrap().1;
    for (what, forged) in [
        ("no second half", ml_dsa.to_vec()),
        ("no first half", ecdsa.to_vec()),
        ("halves swapped", [ecdsa, ml_dsa].concat()),
        ("second half twice", [&whole, ecdsa].concat()),
        ("a byte more", [&whole[..], &[0]].concat()),
        ("second half as r and s", [ml_dsa, &fixed].concat()),
        ("nothing", Vec::new()),
    ] {
        check(what, &city.key, MESSAGE, &forged, false);
    }
    check("control", &city.key, MESSAGE, &whole, true);
}

/// The message of the halves names the composite, so that what was signed by both says nothing to a
/// verifier of plain ES256, even if somebody reused the half key. The control shows that the half is
/// a sound ES256 signature of what it does sign.
#[test]
fn half_of_a_signature_counts_nowhere_alone() {
    let city = CompositeSigner::new(1);
    let whole = city.signature(MESSAGE);
    let (_, es256) = composite::split(whole.as_bytes()).unwrap();
    check("stripped", &city.es256.key, MESSAGE, &es256, false);
    check("control", &city.es256.key, &CompositeSigner::inner(MESSAGE), &es256, true);
    check("plain under the composite", &city.key, MESSAGE, &es256, false);
}

#[test]
fn key_mixed_from_two_cities_verifies_for_neither() {
    let [one, two] = [1, 2].map(CompositeSigner::new);
    let mixed = CompositeSigner::of(Signatory::new(1), MlDsa44Key::from_seed(&[2; 32]));
    for signer in [&one, &two] {
        check("mixed", &mixed.key, MESSAGE, signer.signature(MESSAGE).as_bytes(), false);
        check("mixed", &signer.key, MESSAGE, mixed.signature(MESSAGE).as_bytes(), false);
    }
    check("control", &mixed.key, MESSAGE, mixed.signature(MESSAGE).as_bytes(), true);
}

#[test]
fn keys_have_one_length_and_an_uncompressed_point() {
    let city = CompositeSigner::new(1);
    let bytes = city.key.as_bytes();
    assert_eq!(bytes.len(), composite::KEY_BYTES);
    assert_eq!(CompositeKey::from_bytes(bytes).map(PublicKey::from).as_ref(), Some(&city.key));
    assert_eq!(CompositeKey::from_bytes(&bytes[1..]), None);
    assert_eq!(CompositeKey::from_bytes(&[bytes, &[0]].concat()), None);
    let mut compressed = bytes.to_vec();
    compressed[composite::ML_DSA_KEY_BYTES] = 2;
    assert_eq!(CompositeKey::from_bytes(&compressed), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changed_byte_anywhere_is_refused(position: prop::sample::Index, flip in 1_u8..) {
        let city = CompositeSigner::new(1);
        let mut signature = city.signature(MESSAGE).as_bytes().to_vec();
        let position = position.index(signature.len());
        signature[position] ^= flip;
        check("changed", &city.key, MESSAGE, &signature, false);
    }

    #[test]
    fn arbitrary_signatures_never_panic(signature in prop::collection::vec(any::<u8>(), 0..2600)) {
        check("arbitrary", &CompositeSigner::new(1).key, MESSAGE, &signature, false);
    }
}
