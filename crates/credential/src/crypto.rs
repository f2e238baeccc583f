//! What verification and sessions need from cryptography, as one small trait.
//!
//! Two providers implement it: `rustcrypto` (portable, no_std) and `aws_lc` (fast, servers). Entropy is never
//! drawn here: secrets and nonces are arguments. Algorithms are a closed list; nothing weaker can be named.

pub mod ready;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use self::ready::{Mac, Opener};
use crate::composite::{self, CompositeKey};

/// The signature algorithms that Limen accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519 (pure).
    EdDsa,
    /// The composite of ML-DSA-44 and ECDSA on P-256 with SHA-256: see [`composite`].
    MlDsa44Es256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::Es256, Self::Es384, Self::EdDsa, Self::MlDsa44Es256];

    /// The identifier in the COSE Algorithms registry; for the composite, that of its draft.
    #[must_use]
    pub const fn cose_id(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::Es384 => -35,
            Self::EdDsa => -8,
            Self::MlDsa44Es256 => composite::COSE_ALGORITHM,
        }
    }

    /// The algorithm of a COSE identifier, if it is on the list.
    #[must_use]
    pub const fn from_cose_id(id: i64) -> Option<Self> {
        match id {
            -7 => Some(Self::Es256),
            -35 => Some(Self::Es384),
            -8 => Some(Self::EdDsa),
            composite::COSE_ALGORITHM => Some(Self::MlDsa44Es256),
            _ => None,
        }
    }

    /// The name in the JOSE registry.
    #[must_use]
    pub const fn jose_name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::MlDsa44Es256 => "ML-DSA-44-ES256",
        }
    }

    /// The algorithm of a JOSE name, if it is on the list.
    #[must_use]
    pub fn from_jose_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.jose_name() == name)
    }

    /// Whether a signature is no weaker than one of `other` to a quantum computer: the composite is stronger than all others.
    #[must_use]
    pub const fn is_as_strong_as(self, other: Self) -> bool {
        matches!(self, Self::MlDsa44Es256) || !matches!(other, Self::MlDsa44Es256)
    }

    /// Bytes in a signature at the most: the half of a composite that is in DER may be shorter.
    #[must_use]
    pub const fn signature_bytes_max(self) -> usize {
        match self {
            Self::Es256 | Self::EdDsa => 64,
            Self::Es384 => FIXED_BYTES_MAX,
            Self::MlDsa44Es256 => composite::SIGNATURE_BYTES_MAX,
        }
    }

    /// Whether a signature may have this many bytes.
    const fn allows_length(self, bytes: usize) -> bool {
        match self {
            Self::MlDsa44Es256 => {
                bytes > composite::ML_DSA_SIGNATURE_BYTES && bytes <= composite::SIGNATURE_BYTES_MAX
            }
            _ => bytes == self.signature_bytes_max(),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.jose_name())
    }
}

/// A public key of one of the accepted kinds. Whether a point lies on its curve is found out when the
/// key is used. The composite, twenty times as long, lies behind a pointer, so that others copy cheaply.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// P-256, uncompressed: 0x04, x, y (SEC 1, section 2.3.3).
    P256([u8; 65]),
    /// P-384, uncompressed: 0x04, x, y.
    P384([u8; 97]),
    /// Ed25519 (RFC 8032).
    Ed25519([u8; 32]),
    /// ML-DSA-44 and P-256 as one key.
    Composite(Arc<CompositeKey>),
}

impl PublicKey {
    /// The one algorithm that this key verifies.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256(_) => Algorithm::Es256,
            Self::P384(_) => Algorithm::Es384,
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::Composite(_) => Algorithm::MlDsa44Es256,
        }
    }

    /// The encoded point, of 65, 97 or 32 bytes, or the 1377 bytes of the composite.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::P256(bytes) => bytes,
            Self::P384(bytes) => bytes,
            Self::Ed25519(bytes) => bytes,
            Self::Composite(key) => key.as_bytes(),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key ", self.algorithm())?;
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A signature in the form that COSE and JOSE use.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature(Form);

/// Short signatures are kept in place.
#[derive(Clone, PartialEq, Eq)]
enum Form {
    Fixed { bytes: [u8; FIXED_BYTES_MAX], length: usize },
    Composite(Box<[u8]>),
}

/// Bytes of the longest signature of fixed form, that of P-384.
const FIXED_BYTES_MAX: usize = 96;

impl Signature {
    /// From the bytes of a signature by `algorithm`.
    ///
    /// # Errors
    /// [`BadSignature`] if the length is not one of the algorithm.
    pub fn new(algorithm: Algorithm, signature: &[u8]) -> Result<Self, BadSignature> {
        if !algorithm.allows_length(signature.len()) {
            return Err(BadSignature);
        }
        if algorithm == Algorithm::MlDsa44Es256 {
            return Ok(Self(Form::Composite(Box::from(signature))));
        }
        let mut bytes = [0; FIXED_BYTES_MAX];
        let length = signature.len();
        bytes.get_mut(..length).ok_or(BadSignature)?.copy_from_slice(signature);
        Ok(Self(Form::Fixed { bytes, length }))
    }

    /// 64 or 96 bytes, or up to 2492 of the composite.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Fixed { bytes, length } => bytes.get(..*length).unwrap_or_default(),
            Form::Composite(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The hash functions that a document may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// The name in a MobileSecurityObject (ISO/IEC 18013-5, 9.1.2.5).
    #[must_use]
    pub const fn mso_name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }

    /// Bytes in a digest.
    #[must_use]
    pub const fn digest_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// A digest of up to 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    bytes: [u8; 64],
    length: usize,
}

impl Digest {
    /// From the output of a hash function; at most 64 bytes are kept.
    #[must_use]
    pub fn new(digest: &[u8]) -> Self {
        let length = digest.len().min(64);
        let mut bytes = [0; 64];
        bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
        Self { bytes, length }
    }

    /// 32, 48 or 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// A private scalar of P-256, big endian; erased when dropped and never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct P256Secret([u8; 32]);

impl P256Secret {
    /// From entropy or a stored key. Whether it is a valid scalar (not zero, below the order) is found
    /// out when it is used; a random one fails with probability 2^-32.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The scalar, for providers and for sealing at rest.
    #[must_use]
    pub const fn danger_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What two parties agree on; erased when dropped and never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret([u8; 32]);

impl SharedSecret {
    /// From the x coordinate of the shared point.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The x coordinate, input of a key derivation.
    #[must_use]
    pub const fn danger_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for P256Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P256Secret(..)")
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

/// A signature, message authentication code or ciphertext that does not verify. It says no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

/// A key that is no valid point or scalar of its curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKey;

/// A ciphertext that does not open under its key, nonce and associated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCiphertext;

/// Blocks of 32 bytes that HKDF-SHA-256 can expand to.
pub const HKDF_BLOCKS_MAX: usize = 255;
/// An error that says one thing.
macro_rules! says {
    ($error:ident, $text:literal) => {
        impl fmt::Display for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }

        impl core::error::Error for $error {}
    };
}

says!(BadSignature, "signature does not verify");
says!(BadKey, "key is not valid on its curve");
says!(BadCiphertext, "ciphertext does not open");

/// Bytes that AES-GCM adds to a plaintext.
pub const GCM_TAG_BYTES: usize = 16;

/// The operations that a provider supplies.
pub trait Crypto {
    /// The digest of `data`.
    fn digest(&self, algorithm: HashAlgorithm, data: &[u8]) -> Digest;

    /// SHA-256 of `data`.
    fn sha256(&self, data: &[u8]) -> [u8; 32];

    /// Verifies `signature` (in the form of COSE) over `message` by the algorithm of `key`.
    ///
    /// # Errors
    /// [`BadSignature`] for a wrong signature, a wrong length and a key off its curve alike.
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8])
    -> Result<(), BadSignature>;

    /// Verifies by pure ML-DSA-44 with `context` (FIPS 204, algorithm 3), of at most 255 bytes. Half of
    /// a composite, and nowhere accepted alone.
    ///
    /// # Errors
    /// [`BadSignature`] for a wrong signature and a context that is too long alike.
    fn verify_ml_dsa_44(
        &self,
        key: &[u8; composite::ML_DSA_KEY_BYTES],
        message: &[u8],
        context: &[u8],
        signature: &[u8; composite::ML_DSA_SIGNATURE_BYTES],
    ) -> Result<(), BadSignature>;

    /// HMAC-SHA-256 (RFC 2104).
    fn hmac_sha256(&self, key: &[u8], message: &[u8]) -> [u8; 32];

    /// A key of AES-256-GCM, read once for any number of messages to open.
    fn aes256_gcm_opener(&self, key: &[u8; 32]) -> Box<dyn Opener>;

    /// A key of HMAC-SHA-256, read once for any number of messages.
    fn hmac_sha256_key(&self, key: &[u8]) -> Box<dyn Mac>;

    /// HMAC-SHA-256 of two messages under one key, which a provider may read once.
    fn hmac_sha256_two(&self, key: &[u8], messages: [&[u8]; 2]) -> [[u8; 32]; 2] {
        messages.map(|message| self.hmac_sha256(key, message))
    }

    /// HKDF-SHA-256 (RFC 5869) to fill `blocks`; more than [`HKDF_BLOCKS_MAX`] are left as they are.
    fn hkdf_sha256_blocks(&self, secret: &[u8], salt: &[u8], info: &[u8], blocks: &mut [[u8; 32]]);

    /// HKDF-SHA-256, extract and expand to 32 bytes (RFC 5869).
    fn hkdf_sha256(&self, secret: &[u8], salt: &[u8], info: &[u8]) -> [u8; 32] {
        let mut out = [[0; 32]];
        self.hkdf_sha256_blocks(secret, salt, info, &mut out);
        let [block] = out;
        block
    }

    /// AES-256-GCM without memory of its own: encrypts all of `buffer` but its last
    /// [`GCM_TAG_BYTES`] in place and writes the tag there. A shorter buffer is erased.
    fn seal_aes256_gcm_in_place(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
    );

    /// AES-256-GCM without memory of its own: `buffer` ends with the tag; the plaintext is returned.
    ///
    /// # Errors
    /// [`BadCiphertext`]; the buffer is then erased.
    fn open_aes256_gcm_in_place<'b>(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<&'b mut [u8], BadCiphertext>;

    /// AES-256-GCM: encrypts `buffer` in place and appends the tag.
    fn seal_aes256_gcm(&self, key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], buffer: &mut Vec<u8>) {
        buffer.extend([0; GCM_TAG_BYTES]);
        self.seal_aes256_gcm_in_place(key, nonce, aad, buffer);
    }

    /// AES-256-GCM: checks and removes the tag, decrypts `buffer` in place.
    ///
    /// # Errors
    /// [`BadCiphertext`]; the buffer is then empty.
    fn open_aes256_gcm(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<(), BadCiphertext> {
        let opened = self.open_aes256_gcm_in_place(key, nonce, aad, buffer).map(|text| text.len());
        buffer.truncate(opened.unwrap_or(0));
        opened.map(|_| ())
    }

    /// A private key of P-256, read once for any number of agreements.
    ///
    /// # Errors
    /// [`BadKey`] if the secret is not a valid scalar.
    fn p256_agreement(&self, secret: &P256Secret) -> Result<Box<dyn Agreement>, BadKey>;

    /// A private key of P-256, read once for any number of signatures.
    ///
    /// # Errors
    /// [`BadKey`] if the secret is not a valid scalar.
    fn p256_signer(&self, secret: &P256Secret) -> Result<Box<dyn Signer>, BadKey>;

    /// The public key of `secret`.
    ///
    /// # Errors
    /// [`BadKey`] if the secret is not a valid scalar.
    fn p256_public(&self, secret: &P256Secret) -> Result<[u8; 65], BadKey> {
        Ok(self.p256_agreement(secret)?.public())
    }

    /// ECDH on P-256: the x coordinate of the shared point.
    ///
    /// # Errors
    /// [`BadKey`] if the secret is not a valid scalar or the public key not a point of the curve.
    fn p256_agree(&self, secret: &P256Secret, public: &[u8; 65]) -> Result<SharedSecret, BadKey> {
        self.p256_agreement(secret)?.agree(public)
    }

    /// Signs `message` by ES256.
    ///
    /// # Errors
    /// [`BadKey`] if the secret is not a valid scalar.
    fn p256_sign(&self, secret: &P256Secret, message: &[u8]) -> Result<Signature, BadKey> {
        self.p256_signer(secret)?.sign(message)
    }
}

/// A private key of P-256 that is ready to agree on secrets. It never shows itself.
pub trait Agreement: fmt::Debug + Send + Sync {
    /// Its public key.
    fn public(&self) -> [u8; 65];

    /// ECDH: the x coordinate of the shared point.
    ///
    /// # Errors
    /// [`BadKey`] if the public key is not a point of the curve.
    fn agree(&self, public: &[u8; 65]) -> Result<SharedSecret, BadKey>;
}

/// A private key of P-256 that is ready to sign. It never shows itself.
pub trait Signer: fmt::Debug + Send + Sync {
    /// Signs `message` by ES256.
    ///
    /// # Errors
    /// [`BadKey`] if the provider cannot sign.
    fn sign(&self, message: &[u8]) -> Result<Signature, BadKey>;
}

/// Compares in a time that does not depend on where the two differ.
#[must_use]
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(left, right).into()
}
