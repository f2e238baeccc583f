//! Verification as the simulation does it: real, remembered, or by a mark.
//!
//! A signature over the same bytes by the same key is verified once and the verdict remembered: the
//! certificate of a bundle signer is the same in ten thousand bundles. A bundle itself is different
//! for every reader. Those of the sampled readers are signed and verified with ECDSA; the others
//! carry [`mark`], which is no signature at all: whoever knows the public key can make it. Only this
//! module believes it, and only where it was told to.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use credential::aws_lc::AwsLc;
use credential::composite::{ML_DSA_KEY_BYTES, ML_DSA_SIGNATURE_BYTES};
use credential::crypto::ready::{Mac, Opener};
use credential::crypto::{
    Agreement, BadCiphertext, BadKey, BadSignature, Crypto, Digest, HashAlgorithm, P256Secret,
    PublicKey, Signer,
};

/// Verdicts that are remembered; beyond that the oldest memory is thrown away as a whole.
const VERDICTS_MAX: usize = 1 << 18;

/// A provider that remembers verdicts and may believe marks.
#[derive(Default)]
pub struct Remembering {
    verdicts: Mutex<HashMap<[u8; 32], bool>>,
    marks: Marks,
}

/// Whether marks count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Marks {
    /// They are bad signatures.
    #[default]
    Refused,
    /// They stand for signatures.
    Believed,
}

impl Remembering {
    /// One that treats marks so.
    #[must_use]
    pub fn new(marks: Marks) -> Self {
        Self { verdicts: Mutex::default(), marks }
    }
}

/// What stands in the place of a signature by `key` over `message`.
#[must_use]
pub fn mark(key: &PublicKey, message: &[u8]) -> [u8; 64] {
    let mut mark = [0; 64];
    let first =
        AwsLc.sha256(&[key.as_bytes(), b"limen simulation mark", &AwsLc.sha256(message)].concat());
    let second = AwsLc.sha256(&first);
    mark.iter_mut().zip(first.iter().chain(&second)).for_each(|(to, from)| *to = *from);
    mark
}

impl Crypto for Remembering {
    fn verify(
        &self,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        if self.marks == Marks::Believed && signature == mark(key, message) {
            return Ok(());
        }
        let name = AwsLc.sha256(&[key.as_bytes(), &AwsLc.sha256(message), signature].concat());
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if verdicts.len() >= VERDICTS_MAX {
            verdicts.clear();
        }
        let verdict =
            verdicts.entry(name).or_insert_with(|| AwsLc.verify(key, message, signature).is_ok());
        if *verdict { Ok(()) } else { Err(BadSignature) }
    }

    fn verify_ml_dsa_44(
        &self,
        key: &[u8; ML_DSA_KEY_BYTES],
        message: &[u8],
        context: &[u8],
        signature: &[u8; ML_DSA_SIGNATURE_BYTES],
    ) -> Result<(), BadSignature> {
        AwsLc.verify_ml_dsa_44(key, message, context, signature)
    }

    fn digest(&self, algorithm: HashAlgorithm, data: &[u8]) -> Digest {
        AwsLc.digest(algorithm, data)
    }

    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        AwsLc.sha256(data)
    }

    fn hmac_sha256(&self, key: &[u8], message: &[u8]) -> [u8; 32] {
        AwsLc.hmac_sha256(key, message)
    }

    fn aes256_gcm_opener(&self, key: &[u8; 32]) -> Box<dyn Opener> {
        AwsLc.aes256_gcm_opener(key)
    }

    fn hmac_sha256_key(&self, key: &[u8]) -> Box<dyn Mac> {
        AwsLc.hmac_sha256_key(key)
    }

    fn hkdf_sha256_blocks(&self, secret: &[u8], salt: &[u8], info: &[u8], blocks: &mut [[u8; 32]]) {
        AwsLc.hkdf_sha256_blocks(secret, salt, info, blocks);
    }

    fn seal_aes256_gcm_in_place(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
    ) {
        AwsLc.seal_aes256_gcm_in_place(key, nonce, aad, buffer);
    }

    fn open_aes256_gcm_in_place<'b>(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<&'b mut [u8], BadCiphertext> {
        AwsLc.open_aes256_gcm_in_place(key, nonce, aad, buffer)
    }

    fn p256_agreement(&self, secret: &P256Secret) -> Result<Box<dyn Agreement>, BadKey> {
        AwsLc.p256_agreement(secret)
    }

    fn p256_signer(&self, secret: &P256Secret) -> Result<Box<dyn Signer>, BadKey> {
        AwsLc.p256_signer(secret)
    }
}
