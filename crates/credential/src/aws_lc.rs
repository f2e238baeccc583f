//! The fast provider: AWS-LC through `aws-lc-rs`, for servers, gateways and the command line.
//!
//! The ML-DSA half of the composite is by `libcrux-ml-dsa`, since `aws-lc-rs` 1.19 takes no context,
//! which the composite needs.
//!
//! ECDSA nonces come from the library's own generator, the one place where entropy is not an
//! argument; everything else is a function of its inputs.

use alloc::boxed::Box;
use core::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ED25519, EcdsaKeyPair, UnparsedPublicKey,
};
use aws_lc_rs::{digest, hkdf, hmac};
use libcrux_ml_dsa::ml_dsa_44::{
    self, MLDSA44Signature, MLDSA44SigningKey, MLDSA44VerificationKey,
};
use zeroize::{Zeroize, Zeroizing};

use crate::composite::{self, ML_DSA_KEY_BYTES, ML_DSA_SEED_BYTES, ML_DSA_SIGNATURE_BYTES};
use crate::crypto::ready::{Mac, Opener};
use crate::crypto::{
    Agreement, Algorithm, BadCiphertext, BadKey, BadSignature, Crypto, Digest, GCM_TAG_BYTES,
    HashAlgorithm, P256Secret, PublicKey, SharedSecret, Signature, Signer,
};

/// The fast provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsLc;

impl Crypto for AwsLc {
    fn digest(&self, algorithm: HashAlgorithm, data: &[u8]) -> Digest {
        let algorithm = match algorithm {
            HashAlgorithm::Sha256 => &digest::SHA256,
            HashAlgorithm::Sha384 => &digest::SHA384,
            HashAlgorithm::Sha512 => &digest::SHA512,
        };
        Digest::new(digest::digest(algorithm, data).as_ref())
    }

    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        // INVARIANT: SHA-256 yields 32 bytes.
        digest::digest(&digest::SHA256, data).as_ref().try_into().unwrap_or_default()
    }

    fn verify(
        &self,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let algorithm: &dyn signature::VerificationAlgorithm = match key {
            PublicKey::P256(_) => &ECDSA_P256_SHA256_FIXED,
            PublicKey::P384(_) => &ECDSA_P384_SHA384_FIXED,
            PublicKey::Ed25519(_) => &ED25519,
            PublicKey::Composite(key) => return composite::verify(self, key, message, signature),
        };
        UnparsedPublicKey::new(algorithm, key.as_bytes())
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }

    fn verify_ml_dsa_44(
        &self,
        key: &[u8; ML_DSA_KEY_BYTES],
        message: &[u8],
        context: &[u8],
        signature: &[u8; ML_DSA_SIGNATURE_BYTES],
    ) -> Result<(), BadSignature> {
        let (key, signature) =
            (MLDSA44VerificationKey::new(*key), MLDSA44Signature::new(*signature));
        ml_dsa_44::verify(&key, message, context, &signature).map_err(|_| BadSignature)
    }

    fn hmac_sha256(&self, key: &[u8], message: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        // INVARIANT: HMAC-SHA-256 yields 32 bytes.
        hmac::sign(&key, message).as_ref().try_into().unwrap_or_default()
    }

    fn aes256_gcm_opener(&self, key: &[u8; 32]) -> Box<dyn Opener> {
        Box::new(GcmKey(gcm(key)))
    }

    fn hmac_sha256_key(&self, key: &[u8]) -> Box<dyn Mac> {
        Box::new(MacKey(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    fn hmac_sha256_two(&self, key: &[u8], messages: [&[u8]; 2]) -> [[u8; 32]; 2] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        // INVARIANT: HMAC-SHA-256 yields 32 bytes.
        messages.map(|message| hmac::sign(&key, message).as_ref().try_into().unwrap_or_default())
    }

    fn hkdf_sha256_blocks(&self, secret: &[u8], salt: &[u8], info: &[u8], blocks: &mut [[u8; 32]]) {
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
        let out = blocks.as_flattened_mut();
        // INVARIANT: callers ask for a fixed number of blocks, far below the 255 of HKDF.
        let filled = key.expand(&[info], Length(out.len())).and_then(|material| material.fill(out));
        debug_assert!(filled.is_ok());
    }

    fn seal_aes256_gcm_in_place(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
    ) {
        // INVARIANT: the key has the length of the algorithm, and plaintexts of Limen are far
        // below the 64 GiB that GCM can take.
        let sealed = buffer.split_last_chunk_mut::<GCM_TAG_BYTES>().and_then(|(text, tag)| {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let made = gcm(key)?.seal_in_place_separate_tag(nonce, Aad::from(aad), text).ok()?;
            *tag = made.as_ref().try_into().ok()?;
            Some(())
        });
        if sealed.is_none() {
            buffer.fill(0);
        }
    }

    fn open_aes256_gcm_in_place<'b>(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<&'b mut [u8], BadCiphertext> {
        open(gcm(key).as_ref(), nonce, aad, buffer)
    }

    fn p256_agreement(&self, secret: &P256Secret) -> Result<Box<dyn Agreement>, BadKey> {
        let private = agreement::PrivateKey::from_private_key(&ECDH_P256, secret.danger_bytes())
            .map_err(|_| BadKey)?;
        let public = private.compute_public_key().map_err(|_| BadKey)?;
        let public = public.as_ref().try_into().map_err(|_| BadKey)?;
        Ok(Box::new(AgreementKey { private, public }))
    }

    fn p256_signer(&self, secret: &P256Secret) -> Result<Box<dyn Signer>, BadKey> {
        // From the scalar alone the library makes and checks the public key in two multiplications;
        // its other ways in take four.
        let der = Zeroizing::new([SEC1_BEFORE, secret.danger_bytes(), SEC1_AFTER].concat());
        let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
        Ok(Box::new(SigningKey(key.map_err(|_| BadKey)?)))
    }
}

/// ECPrivateKey (RFC 5915) of P-256 without its public key, around the scalar.
const SEC1_BEFORE: &[u8] = &[0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
const SEC1_AFTER: &[u8] = &[0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// How many bytes HKDF shall expand to.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

struct AgreementKey {
    private: agreement::PrivateKey,
    public: [u8; 65],
}

impl Agreement for AgreementKey {
    fn public(&self) -> [u8; 65] {
        self.public
    }

    fn agree(&self, public: &[u8; 65]) -> Result<SharedSecret, BadKey> {
        let peer = agreement::UnparsedPublicKey::new(&ECDH_P256, public);
        agreement::agree(&self.private, peer, BadKey, |shared| {
            shared.try_into().map(SharedSecret::from_bytes).map_err(|_| BadKey)
        })
    }
}

impl fmt::Debug for AgreementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgreementKey(..)")
    }
}

/// The ML-DSA half of a composite key, in software; erased when dropped and never shown.
pub struct MlDsa44Key {
    seed: Zeroizing<[u8; ML_DSA_SEED_BYTES]>,
    key: Box<MLDSA44SigningKey>,
    public: [u8; ML_DSA_KEY_BYTES],
}

impl MlDsa44Key {
    /// The key that a seed stands for (FIPS 204, algorithm 6).
    #[must_use]
    pub fn from_seed(seed: &[u8; ML_DSA_SEED_BYTES]) -> Self {
        let pair = ml_dsa_44::generate_key_pair(*seed);
        let public = *pair.verification_key.as_ref();
        Self { seed: Zeroizing::new(*seed), key: Box::new(pair.signing_key), public }
    }

    /// The seed, for sealing at rest.
    #[must_use]
    pub fn danger_seed(&self) -> &[u8; ML_DSA_SEED_BYTES] {
        &self.seed
    }

    /// Its public key.
    #[must_use]
    pub const fn public(&self) -> &[u8; ML_DSA_KEY_BYTES] {
        &self.public
    }

    /// Signs `message` with `context` of at most 255 bytes, hedged with `entropy` (FIPS 204,
    /// algorithm 2).
    ///
    /// # Errors
    /// [`BadKey`] if the context is too long or, as good as never, no attempt succeeds.
    pub fn sign(
        &self,
        message: &[u8],
        context: &[u8],
        entropy: [u8; 32],
    ) -> Result<[u8; ML_DSA_SIGNATURE_BYTES], BadKey> {
        let signature = ml_dsa_44::sign(&self.key, message, context, entropy);
        signature.map(|signature| *signature.as_ref()).map_err(|_| BadKey)
    }
}

impl Drop for MlDsa44Key {
    fn drop(&mut self) {
        self.key.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for MlDsa44Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MlDsa44Key(..)")
    }
}

struct SigningKey(EcdsaKeyPair);

impl Signer for SigningKey {
    fn sign(&self, message: &[u8]) -> Result<Signature, BadKey> {
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| BadKey)?;
        Signature::new(Algorithm::Es256, signature.as_ref()).map_err(|_| BadKey)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The key has the length of the algorithm, so that there always is one.
struct GcmKey(Option<LessSafeKey>);

impl Opener for GcmKey {
    fn open_in_place<'b>(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<&'b mut [u8], BadCiphertext> {
        open(self.0.as_ref(), nonce, aad, buffer)
    }
}

impl fmt::Debug for GcmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GcmKey(..)")
    }
}

struct MacKey(hmac::Key);

impl Mac for MacKey {
    fn code(&self, message: &[u8]) -> [u8; 32] {
        // INVARIANT: HMAC-SHA-256 yields 32 bytes.
        hmac::sign(&self.0, message).as_ref().try_into().unwrap_or_default()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

fn open<'b>(
    cipher: Option<&LessSafeKey>,
    nonce: &[u8; 12],
    aad: &[u8],
    buffer: &'b mut [u8],
) -> Result<&'b mut [u8], BadCiphertext> {
    let opened = cipher.and_then(|cipher| {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        cipher.open_in_place(nonce, Aad::from(aad), buffer).map(|text| text.len()).ok()
    });
    match opened {
        Some(length) => Ok(buffer.split_at_mut(length).0),
        None => {
            buffer.fill(0);
            Err(BadCiphertext)
        }
    }
}

fn gcm(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new)
}
