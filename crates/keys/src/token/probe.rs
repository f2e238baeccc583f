//! What a token's mechanisms are good for, found out by trying them.
//!
//! Each try makes keys that live in the session only and holds the answer against one that is known:
//! published (NIST SP 800-38A, RFC 3394, RFC 4493) or of AWS-LC. A token may refuse to take a known
//! key in; that says nothing of the mechanism, which then counts as listed.

use core::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, UnparsedPublicKey,
    VerificationAlgorithm,
};
use aws_lc_rs::{aead, agreement, rand};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::ekdf::AesCbcDeriveParams;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;

use crate::purpose::Suite;
use crate::token::mechanism::SuiteOnToken;

/// How a mechanism did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The token does not list it.
    Missing,
    /// It gave the answer that is known.
    Works,
    /// It is listed and was not tried, for the reason given.
    Listed(String),
    /// It is listed and failed, as said.
    Fails(String),
}

impl Outcome {
    /// Whether it can be relied on.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        matches!(self, Self::Works | Self::Listed(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Works => f.write_str("works"),
            Self::Listed(why) => write!(f, "listed, not tried: {why}"),
            Self::Fails(how) => write!(f, "fails: {how}"),
        }
    }
}

/// Whether the answer was the known one.
type Attempt = fn(&Session) -> Result<bool, Error>;

/// A mechanism that something here needs.
pub(crate) struct Known {
    pub(crate) mechanism: MechanismType,
    /// Its name in the standard.
    pub(crate) name: &'static str,
    attempt: Option<Attempt>,
}

const fn known(mechanism: MechanismType, name: &'static str, attempt: Option<Attempt>) -> Known {
    Known { mechanism, name, attempt }
}

/// Every mechanism that something here needs.
pub(crate) const KNOWN: &[Known] = &[
    known(MechanismType::ECC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN", Some(makes_pairs)),
    known(MechanismType::ECDSA, "CKM_ECDSA", Some(signs_ecdsa)),
    known(
        MechanismType::ECC_EDWARDS_KEY_PAIR_GEN,
        "CKM_EC_EDWARDS_KEY_PAIR_GEN",
        Some(signs_eddsa),
    ),
    known(MechanismType::EDDSA, "CKM_EDDSA", Some(signs_eddsa)),
    known(MechanismType::AES_KEY_GEN, "CKM_AES_KEY_GEN", Some(makes_aes)),
    known(MechanismType::ECDH1_DERIVE, "CKM_ECDH1_DERIVE", Some(agrees)),
    known(MechanismType::AES_KEY_WRAP, "CKM_AES_KEY_WRAP", Some(wraps)),
    known(MechanismType::AES_KEY_WRAP_PAD, "CKM_AES_KEY_WRAP_PAD", None),
    known(MechanismType::AES_GCM, "CKM_AES_GCM", Some(seals)),
    known(MechanismType::AES_CMAC, "CKM_AES_CMAC", Some(macs)),
    known(MechanismType::AES_ECB, "CKM_AES_ECB", Some(encrypts_ecb)),
    known(MechanismType::AES_CBC, "CKM_AES_CBC", Some(encrypts_cbc)),
    known(
        MechanismType::AES_CBC_ENCRYPT_DATA,
        "CKM_AES_CBC_ENCRYPT_DATA",
        Some(derives_by_encryption),
    ),
    known(MechanismType::SP800_108_COUNTER_KDF, "CKM_SP800_108_COUNTER_KDF", None),
    known(MechanismType::HKDF_DERIVE, "CKM_HKDF_DERIVE", None),
];

/// Tries one mechanism that the token lists.
pub(crate) fn attempt(known: &Known, session: &Session) -> Result<Outcome, Error> {
    let Some(attempt) = known.attempt else {
        return Ok(Outcome::Listed("it has no try".to_owned()));
    };
    match attempt(session) {
        Ok(true) => Ok(Outcome::Works),
        Ok(false) => Ok(Outcome::Fails("it gives another answer than the known one".to_owned())),
        // The known key was not taken in, or could not be read back.
        Err(Error::Pkcs11(
            answer @ (RvError::TemplateInconsistent
            | RvError::AttributeValueInvalid
            | RvError::AttributeSensitive
            | RvError::AttributeReadOnly
            | RvError::FunctionRejected),
            function,
        )) => Ok(Outcome::Listed(format!("{function} answers {answer:?}"))),
        Err(Error::Pkcs11(answer, function)) => {
            Ok(Outcome::Fails(format!("{function} answers {answer:?}")))
        }
        Err(error) => Err(error),
    }
}

const KEY: [u8; 16] = 0x2B7E_1516_28AE_D2A6_ABF7_1588_09CF_4F3C_u128.to_be_bytes();
const BLOCK: [u8; 16] = 0x6BC1_BEE2_2E40_9F96_E93D_7E11_7393_172A_u128.to_be_bytes();
const COUNTING: [u8; 16] = 0x0001_0203_0405_0607_0809_0A0B_0C0D_0E0F_u128.to_be_bytes();
/// NIST SP 800-38A, F.1.1: `BLOCK` under `KEY`.
const ECB: [u8; 16] = 0x3AD7_7BB4_0D7A_3660_A89E_CAF3_2466_EF97_u128.to_be_bytes();
/// NIST SP 800-38A, F.2.1: `BLOCK` under `KEY` with `COUNTING` before it.
const CBC: [u8; 16] = 0x7649_ABAC_8119_B246_CEE9_8E9B_12E9_197D_u128.to_be_bytes();
/// RFC 4493, example 2: of `BLOCK` under `KEY`.
const CMAC: [u8; 16] = 0x070A_16B4_6B4D_4144_F79B_DD9D_D04A_287C_u128.to_be_bytes();
/// RFC 3394, 4.1: `WRAPPED_KEY` under `COUNTING`.
const WRAPPED_KEY: [u8; 16] = 0x0011_2233_4455_6677_8899_AABB_CCDD_EEFF_u128.to_be_bytes();
const WRAPPING: [u8; 24] = [
    0x1F, 0xA6, 0x8B, 0x0A, 0x81, 0x12, 0xB4, 0x47, 0xAE, 0xF3, 0x4B, 0xD8, 0xFB, 0x5A, 0x7B, 0x82,
    0x9D, 0x3E, 0x86, 0x23, 0x71, 0xD2, 0xCF, 0xE5,
];

fn known_key(session: &Session, value: [u8; 16], use_: Attribute) -> Result<ObjectHandle, Error> {
    session.create_object(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Value(value.to_vec()),
        use_,
    ])
}

fn value_of(session: &Session, key: ObjectHandle) -> Result<Vec<u8>, Error> {
    let found = session.get_attributes(key, &[AttributeType::Value])?;
    Ok(found.into_iter().fold(Vec::new(), |before, attribute| match attribute {
        Attribute::Value(value) => value,
        _ => before,
    }))
}

fn pair(
    session: &Session,
    suite: &SuiteOnToken,
    use_: Attribute,
) -> Result<(ObjectHandle, ObjectHandle), Error> {
    let public = [Attribute::Token(false), Attribute::EcParams(suite.curve.to_vec())];
    let private = [Attribute::Token(false), Attribute::Private(true), use_];
    session.generate_key_pair(&suite.making(), &public, &private)
}

fn point_of(session: &Session, public: ObjectHandle) -> Result<Vec<u8>, Error> {
    let found = session.get_attributes(public, &[AttributeType::EcPoint])?;
    Ok(found.into_iter().fold(Vec::new(), |before, attribute| match attribute {
        Attribute::EcPoint(point) => point,
        _ => before,
    }))
}

fn makes_pairs(session: &Session) -> Result<bool, Error> {
    let Some(suite) = SuiteOnToken::of(Suite::Es256) else { return Ok(false) };
    let (public, private) = pair(session, suite, Attribute::Sign(true))?;
    let made = suite.public_key(&point_of(session, public)?).is_some();
    session.destroy_object(private)?;
    session.destroy_object(public)?;
    Ok(made)
}

fn signs_ecdsa(session: &Session) -> Result<bool, Error> {
    Ok(signs(session, Suite::Es256, &ECDSA_P256_SHA256_FIXED)?
        && signs(session, Suite::Es384, &ECDSA_P384_SHA384_FIXED)?)
}

fn signs_eddsa(session: &Session) -> Result<bool, Error> {
    signs(session, Suite::Ed25519, &ED25519)
}

fn signs(
    session: &Session,
    suite: Suite,
    algorithm: &'static dyn VerificationAlgorithm,
) -> Result<bool, Error> {
    let Some(suite) = SuiteOnToken::of(suite) else { return Ok(false) };
    let (public, private) = pair(session, suite, Attribute::Sign(true))?;
    let signature = session.sign(&suite.signing(), private, &suite.to_sign(&BLOCK));
    let point = suite.public_key(&point_of(session, public)?);
    session.destroy_object(private)?;
    session.destroy_object(public)?;
    let signature = signature?;
    Ok(point.is_some_and(|point| {
        UnparsedPublicKey::new(algorithm, point.as_bytes()).verify(&BLOCK, &signature).is_ok()
    }))
}

fn makes_aes(session: &Session) -> Result<bool, Error> {
    let template = [
        Attribute::Token(false),
        Attribute::Sensitive(true),
        Attribute::ValueLen(Ulong::new(32)),
        Attribute::Encrypt(true),
    ];
    let key = session.generate_key(&Mechanism::AesKeyGen, &template)?;
    let is_hidden = value_of(session, key)?.is_empty();
    session.destroy_object(key)?;
    Ok(is_hidden)
}

fn agrees(session: &Session) -> Result<bool, Error> {
    let Some(suite) = SuiteOnToken::of(Suite::Es256) else { return Ok(false) };
    let random = rand::SystemRandom::new();
    let Ok(ours) = agreement::EphemeralPrivateKey::generate(&agreement::ECDH_P256, &random) else {
        return Ok(false);
    };
    let Ok(our_point) = ours.compute_public_key() else { return Ok(false) };
    let (public, private) = pair(session, suite, Attribute::Derive(true))?;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::ValueLen(Ulong::new(32)),
    ];
    let params = Ecdh1DeriveParams::new(EcKdf::null(), our_point.as_ref());
    let derived = session.derive_key(&Mechanism::Ecdh1Derive(params), private, &template);
    let their_point = suite.public_key(&point_of(session, public)?);
    session.destroy_object(private)?;
    session.destroy_object(public)?;
    let derived = derived?;
    let value = value_of(session, derived)?;
    session.destroy_object(derived)?;
    let Some(their_point) = their_point else { return Ok(false) };
    let peer = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, their_point.as_bytes());
    let same = agreement::agree_ephemeral(ours, peer, (), |secret| Ok(secret == value));
    Ok(same == Ok(true))
}

fn wraps(session: &Session) -> Result<bool, Error> {
    let wrapping = known_key(session, COUNTING, Attribute::Wrap(true))?;
    let wrapped = known_key(session, WRAPPED_KEY, Attribute::Encrypt(false))?;
    let bytes = session.wrap_key(&Mechanism::AesKeyWrap, wrapping, wrapped);
    session.destroy_object(wrapped)?;
    session.destroy_object(wrapping)?;
    Ok(bytes? == WRAPPING)
}

fn with_key(
    session: &Session,
    use_: Attribute,
    work: impl FnOnce(ObjectHandle) -> Result<bool, Error>,
) -> Result<bool, Error> {
    let key = known_key(session, KEY, use_)?;
    let answer = work(key);
    session.destroy_object(key)?;
    answer
}

fn seals(session: &Session) -> Result<bool, Error> {
    with_key(session, Attribute::Encrypt(true), |key| {
        let (mut nonce, data) = ([7; 12], b"associated");
        let params = GcmParams::new(&mut nonce, data, Ulong::new(128))?;
        let sealed = session.encrypt(&Mechanism::AesGcm(params), key, &BLOCK)?;
        let Ok(cipher) = aead::UnboundKey::new(&aead::AES_128_GCM, &KEY) else { return Ok(false) };
        let mut expected = BLOCK.to_vec();
        let nonce = aead::Nonce::assume_unique_for_key([7; 12]);
        let sealed_here = aead::LessSafeKey::new(cipher).seal_in_place_append_tag(
            nonce,
            aead::Aad::from(data),
            &mut expected,
        );
        Ok(sealed_here.is_ok() && sealed == expected)
    })
}

fn macs(session: &Session) -> Result<bool, Error> {
    with_key(session, Attribute::Sign(true), |key| {
        Ok(session.sign(&Mechanism::AesCMac, key, &BLOCK)? == CMAC)
    })
}

fn encrypts_ecb(session: &Session) -> Result<bool, Error> {
    with_key(session, Attribute::Encrypt(true), |key| {
        Ok(session.encrypt(&Mechanism::AesEcb, key, &BLOCK)? == ECB)
    })
}

fn encrypts_cbc(session: &Session) -> Result<bool, Error> {
    with_key(session, Attribute::Encrypt(true), |key| {
        Ok(session.encrypt(&Mechanism::AesCbc(COUNTING), key, &BLOCK)? == CBC)
    })
}

fn derives_by_encryption(session: &Session) -> Result<bool, Error> {
    with_key(session, Attribute::Derive(true), |key| {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Token(false),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::ValueLen(Ulong::new(16)),
        ];
        let params = AesCbcDeriveParams::new(COUNTING, &BLOCK);
        let child = session.derive_key(&Mechanism::AesCbcEncryptData(params), key, &template)?;
        let value = value_of(session, child)?;
        session.destroy_object(child)?;
        Ok(value == CBC)
    })
}
