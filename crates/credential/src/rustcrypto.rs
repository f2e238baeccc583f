//! The portable provider: RustCrypto, no_std, pure Rust.
//!
//! ECDSA nonces are deterministic (RFC 6979), so that signing needs no generator.

use alloc::boxed::Box;
use core::fmt;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use hmac::{Hmac, Mac as _};
use ml_dsa::MlDsa44;
use p256::ecdsa::signature::{Signer as _, Verifier};
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::composite::{self, ML_DSA_KEY_BYTES, ML_DSA_SIGNATURE_BYTES};
use crate::crypto::ready::{Mac, Opener};
use crate::crypto::{
    Agreement, Algorithm, BadCiphertext, BadKey, BadSignature, Crypto, Digest, GCM_TAG_BYTES,
    HashAlgorithm, P256Secret, PublicKey, SharedSecret, Signature, Signer,
};

/// The portable provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

impl Crypto for RustCrypto {
    fn digest(&self, algorithm: HashAlgorithm, data: &[u8]) -> Digest {
        match algorithm {
            HashAlgorithm::Sha256 => Digest::new(&Sha256::digest(data)),
            HashAlgorithm::Sha384 => Digest::new(&Sha384::digest(data)),
            HashAlgorithm::Sha512 => Digest::new(&Sha512::digest(data)),
        }
    }

    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        Sha256::digest(data).into()
    }

    fn verify(
        &self,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        match key {
            PublicKey::P256(point) => {
                let key =
                    p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| BadSignature)?;
                let signature =
                    p256::ecdsa::Signature::from_slice(signature).map_err(|_| BadSignature)?;
                key.verify(message, &signature).map_err(|_| BadSignature)
            }
            PublicKey::P384(point) => {
                let key =
                    p384::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| BadSignature)?;
                let signature =
                    p384::ecdsa::Signature::from_slice(signature).map_err(|_| BadSignature)?;
                key.verify(message, &signature).map_err(|_| BadSignature)
            }
            PublicKey::Ed25519(point) => {
                let key =
                    ed25519_dalek::VerifyingKey::from_bytes(point).map_err(|_| BadSignature)?;
                let signature =
                    ed25519_dalek::Signature::from_slice(signature).map_err(|_| BadSignature)?;
                key.verify_strict(message, &signature).map_err(|_| BadSignature)
            }
            PublicKey::Composite(key) => composite::verify(self, key, message, signature),
        }
    }

    fn verify_ml_dsa_44(
        &self,
        key: &[u8; ML_DSA_KEY_BYTES],
        message: &[u8],
        context: &[u8],
        signature: &[u8; ML_DSA_SIGNATURE_BYTES],
    ) -> Result<(), BadSignature> {
        // Decoding refuses hints that are not in their one form.
        let signature = ml_dsa::Signature::<MlDsa44>::decode(&(*signature).into());
        let key = ml_dsa::VerifyingKey::<MlDsa44>::decode(&(*key).into());
        signature
            .filter(|signature| key.verify_with_context(message, context, signature))
            .map_or(Err(BadSignature), |_| Ok(()))
    }

    fn hmac_sha256(&self, key: &[u8], message: &[u8]) -> [u8; 32] {
        // HMAC takes a key of any length, so that this cannot fail.
        Hmac::<Sha256>::new_from_slice(key)
            .map(|mac| mac.chain_update(message).finalize().into_bytes().into())
            .unwrap_or_default()
    }

    fn aes256_gcm_opener(&self, key: &[u8; 32]) -> Box<dyn Opener> {
        Box::new(GcmKey(Aes256Gcm::new(&(*key).into())))
    }

    fn hmac_sha256_key(&self, key: &[u8]) -> Box<dyn Mac> {
        Box::new(MacKey(Hmac::new_from_slice(key).ok()))
    }

    fn hmac_sha256_two(&self, key: &[u8], messages: [&[u8]; 2]) -> [[u8; 32]; 2] {
        // HMAC takes a key of any length, so that this cannot fail.
        Hmac::<Sha256>::new_from_slice(key).map_or([[0; 32]; 2], |mac| {
            messages.map(|message| mac.clone().chain_update(message).finalize().into_bytes().into())
        })
    }

    fn hkdf_sha256_blocks(&self, secret: &[u8], salt: &[u8], info: &[u8], blocks: &mut [[u8; 32]]) {
        let key = hkdf::Hkdf::<Sha256>::new(Some(salt), secret);
        // INVARIANT: callers ask for a fixed number of blocks, far below the 255 of HKDF.
        let expanded = key.expand(info, blocks.as_flattened_mut());
        debug_assert!(expanded.is_ok());
    }

    fn seal_aes256_gcm_in_place(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
    ) {
        let sealed = buffer.split_last_chunk_mut::<GCM_TAG_BYTES>().and_then(|(text, tag)| {
            let cipher = Aes256Gcm::new(&(*key).into());
            // INVARIANT: plaintexts of Limen are far below the 64 GiB that GCM can take.
            let made = cipher.encrypt_inout_detached(&Nonce::from(*nonce), aad, text.into());
            *tag = made.ok()?.into();
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
        open(&Aes256Gcm::new(&(*key).into()), nonce, aad, buffer)
    }

    fn p256_agreement(&self, secret: &P256Secret) -> Result<Box<dyn Agreement>, BadKey> {
        Ok(Box::new(AgreementKey(scalar(secret)?)))
    }

    fn p256_signer(&self, secret: &P256Secret) -> Result<Box<dyn Signer>, BadKey> {
        Ok(Box::new(SigningKey(scalar(secret)?.into())))
    }
}

#[derive(Debug)]
struct AgreementKey(p256::SecretKey);

struct GcmKey(Aes256Gcm);

impl Opener for GcmKey {
    fn open_in_place<'b>(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<&'b mut [u8], BadCiphertext> {
        open(&self.0, nonce, aad, buffer)
    }
}

impl fmt::Debug for GcmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GcmKey(..)")
    }
}

/// HMAC takes a key of any length, so that there always is one.
struct MacKey(Option<Hmac<Sha256>>);

impl Mac for MacKey {
    fn code(&self, message: &[u8]) -> [u8; 32] {
        let mac = self.0.clone();
        mac.map_or([0; 32], |mac| mac.chain_update(message).finalize().into_bytes().into())
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

fn open<'b>(
    cipher: &Aes256Gcm,
    nonce: &[u8; 12],
    aad: &[u8],
    buffer: &'b mut [u8],
) -> Result<&'b mut [u8], BadCiphertext> {
    if buffer.len() < GCM_TAG_BYTES {
        buffer.fill(0);
        return Err(BadCiphertext);
    }
    let (text, tag) = buffer.split_last_chunk_mut::<GCM_TAG_BYTES>().ok_or(BadCiphertext)?;
    let (nonce, tag) = (Nonce::from(*nonce), Tag::from(*tag));
    match cipher.decrypt_inout_detached(&nonce, aad, (&mut *text).into(), &tag) {
        Ok(()) => Ok(text),
        Err(_) => {
            text.fill(0);
            Err(BadCiphertext)
        }
    }
}

impl Agreement for AgreementKey {
    fn public(&self) -> [u8; 65] {
        // INVARIANT: an uncompressed point of P-256 has 65 bytes.
        self.0.public_key().to_sec1_point(false).as_bytes().try_into().unwrap_or([0; 65])
    }

    fn agree(&self, public: &[u8; 65]) -> Result<SharedSecret, BadKey> {
        let public = p256::PublicKey::from_sec1_bytes(public).map_err(|_| BadKey)?;
        let shared = p256::ecdh::diffie_hellman(self.0.to_nonzero_scalar(), public.as_affine());
        Ok(SharedSecret::from_bytes((*shared.raw_secret_bytes()).into()))
    }
}

#[derive(Debug)]
struct SigningKey(p256::ecdsa::SigningKey);

impl Signer for SigningKey {
    fn sign(&self, message: &[u8]) -> Result<Signature, BadKey> {
        let signature: p256::ecdsa::Signature = self.0.sign(message);
        Signature::new(Algorithm::Es256, &signature.to_bytes()).map_err(|_| BadKey)
    }
}

fn scalar(secret: &P256Secret) -> Result<p256::SecretKey, BadKey> {
    p256::SecretKey::from_slice(secret.danger_bytes()).map_err(|_| BadKey)
}
