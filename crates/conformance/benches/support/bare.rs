//! The floor: the cryptography that a verification cannot do without, called straight in
//! `aws-lc-rs`, over the very bytes of a presentation, with keys parsed beforehand.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use credential::cose::{Sign1, structure};
use credential::crypto::PublicKey;
use credential::mdoc::{DeviceAuth, DeviceResponse};
use credential::x509::Certificate;

use super::city::City;
use super::licence::Presentation;

const TAG_BYTES: usize = 16;

/// A signature that verifies.
pub struct Signed {
    key: ParsedPublicKey,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    fn new(key: &PublicKey, message: &[u8], signature: &[u8]) -> Self {
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.as_bytes()).unwrap();
        Self { key, message: message.to_vec(), signature: signature.to_vec() }
    }

    pub fn verify(&self) {
        self.key.verify_sig(&self.message, &self.signature).unwrap();
    }
}

/// Something sealed by AES-256-GCM, and room for what is in it.
pub struct Sealed {
    key: [u8; 32],
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
    out: Vec<u8>,
}

impl Sealed {
    pub fn new(plaintext: &[u8]) -> Self {
        let key = [9; 32];
        let mut ciphertext = plaintext.to_vec();
        cipher(&key).seal_in_place_append_tag(nonce(), Aad::empty(), &mut ciphertext).unwrap();
        let tag = ciphertext.split_off(ciphertext.len() - TAG_BYTES);
        Self { key, out: vec![0; ciphertext.len()], ciphertext, tag }
    }

    pub fn open(&mut self) {
        let Self { key, ciphertext, tag, out } = self;
        let opened = cipher(key).open_separate_gather(nonce(), Aad::empty(), ciphertext, tag, out);
        opened.unwrap();
    }
}

pub fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap())
}

pub fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

pub fn sha256(bytes: &[u8]) {
    std::hint::black_box(digest(&SHA256, bytes));
}

/// What must be computed of a presentation: three signatures, one message, all digests.
pub struct Bundle {
    pub sealed: Sealed,
    /// By the authority, the document signer and the device.
    pub signatures: [Signed; 3],
    pub items: Vec<Vec<u8>>,
}

impl Bundle {
    pub fn of(city: &City, presentation: &Presentation) -> Self {
        let authority = Certificate::parse(&city.authority).unwrap();
        let bytes = &presentation.response;
        Self::new(&authority.public_key, &city.device.public(), bytes, &presentation.device_signed)
    }

    pub fn new(
        authority: &PublicKey,
        device: &PublicKey,
        response: &[u8],
        device_signed: &[u8],
    ) -> Self {
        let parsed = DeviceResponse::parse(response).unwrap();
        let document = &parsed.documents[0];
        let issuer_auth = Sign1::parse(document.issuer_signed.issuer_auth).unwrap();
        let signer = Certificate::parse(issuer_auth.unprotected.x5chain.certificates()[0]).unwrap();
        let mut buffer = [0; 96];
        let certified = Signed::new(authority, signer.tbs, signer.signature(&mut buffer).unwrap());
        let payload = issuer_auth.payload.unwrap();
        let message = structure("Signature1", issuer_auth.protected_raw, &[], payload);
        let issued = Signed::new(&signer.public_key, &message, issuer_auth.signature);
        let DeviceAuth::Signature(proof) = document.device_signed.unwrap().auth else {
            panic!("the device signs")
        };
        let proof = Sign1::parse(proof).unwrap();
        let presented = Signed::new(device, device_signed, proof.signature);
        Self {
            sealed: Sealed::new(response),
            signatures: [certified, issued, presented],
            items: document.issuer_signed.items.iter().map(|item| item.raw.to_vec()).collect(),
        }
    }

    pub fn run(&mut self) {
        self.sealed.open();
        self.signatures.iter().for_each(Signed::verify);
        self.items.iter().for_each(|item| sha256(item));
    }
}
