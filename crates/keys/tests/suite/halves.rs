//! Hybrid keys whose halves lie apart: one with a custodian, one in a sealed file beside it.

use std::sync::Arc;

use credential::aws_lc::AwsLc;
use credential::crypto::{Algorithm, Crypto};
use credential::rustcrypto::RustCrypto;
use keys::custody::{Custody, KeepError, Key, NewKey, SignError, State};
use keys::hybrid::Hybrid;
use keys::object::TypedObject;
use keys::purpose::{Purpose, Suite};
use keys::seal::{Kind, UnsealError};
use keys::software::{Keystore, OpenError};
use keys::token::{Role, Token};
use vocabulary::time::Instant;

use crate::folder::Folder;
use crate::keystore::wait;
use crate::samples;
use crate::softhsm::{Softhsm, alone};

fn at() -> Instant {
    Instant::from_unix_seconds(1_790_000_000)
}

fn request(suite: Suite) -> NewKey {
    NewKey { suite, ..NewKey::active(Purpose::Bundle, None, at()) }
}

fn bundle(suite: Suite) -> Vec<u8> {
    let wanted = Purpose::Bundle.object_type();
    samples::naming(suite).into_iter().find(|(kind, _)| *kind == wanted).unwrap().1
}

fn sign(custody: &dyn Custody, key: &Key, bytes: &[u8]) -> Result<bool, SignError> {
    let object = TypedObject::parse(Purpose::Bundle.object_type(), bytes).unwrap();
    let signature = wait(custody.sign(&key.handle, &object))?;
    let verifies =
        |crypto: &dyn Crypto| crypto.verify(&key.public_key, bytes, signature.as_bytes()).is_ok();
    Ok(verifies(&AwsLc) && verifies(&RustCrypto))
}

fn keystore(folder: &Folder) -> Arc<Keystore> {
    Arc::new(Keystore::create(&folder.path("city"), Kind::Server, &folder.unlock()).unwrap())
}

#[test]
fn two_halves_are_one_key_and_sign_as_one() {
    let folder = Folder::new();
    let classic = keystore(&folder);
    let hybrid = Hybrid::create(&folder.path("pq"), &folder.unlock(), classic.clone()).unwrap();
    let key = wait(hybrid.generate(request(Suite::Es256MlDsa44))).unwrap();
    assert_eq!((key.suite, &*key.held_by), (Suite::Es256MlDsa44, "software + software"));
    assert_eq!(key.state, State::Active);
    assert_eq!(sign(&hybrid, &key, &bundle(Suite::Es256MlDsa44)), Ok(true));
    // Other keys pass through.
    let plain = wait(hybrid.generate(request(Suite::Es384))).unwrap();
    assert_eq!(sign(&hybrid, &plain, &bundle(Suite::Es384)), Ok(true));
    assert_eq!(hybrid.keys().as_ref(), [key.clone(), plain]);
    assert_eq!(hybrid.newest(Purpose::Bundle, None).unwrap().suite, Suite::Es384);

    let again = Hybrid::open(&folder.path("pq"), &folder.unlock(), classic).unwrap();
    assert_eq!(again.keys(), hybrid.keys());
    assert_eq!(sign(&again, &key, &bundle(Suite::Es256MlDsa44)), Ok(true));
}

/// The half of ES256 never leaves the token; the other lies in the file.
#[test]
fn one_half_is_on_a_token() {
    alone(|softhsm| {
        let folder = Folder::new();
        let token = Token::open(&softhsm.token("city"), Softhsm::pin(), Role::City).unwrap();
        let (path, unlock) = (folder.path("pq"), folder.unlock());
        let hybrid = Hybrid::create(&path, &unlock, Arc::new(token)).unwrap();
        let key = wait(hybrid.generate(request(Suite::Es256MlDsa44))).unwrap();
        assert_eq!(&*key.held_by, "token:city + software");
        assert_eq!(sign(&hybrid, &key, &bundle(Suite::Es256MlDsa44)), Ok(true));
        assert!(sign(&hybrid, &key, &bundle(Suite::Es256)).is_err());
    });
}

#[test]
fn half_is_not_shown_and_signs_nothing_alone() {
    let folder = Folder::new();
    let classic = keystore(&folder);
    let hybrid = Hybrid::create(&folder.path("pq"), &folder.unlock(), classic.clone()).unwrap();
    let key = wait(hybrid.generate(request(Suite::Es256MlDsa44))).unwrap();
    let half = classic.keys()[0].clone();
    assert_eq!(half.public_key.algorithm(), Algorithm::Es256);
    let unknown = Err(SignError::UnknownKey { handle: half.handle });
    assert_eq!(sign(&hybrid, &half, &bundle(Suite::Es256)), unknown);
    let downgraded = Err(SignError::WrongSuite {
        handle: key.handle,
        suite: Suite::Es256MlDsa44,
        named: Suite::Es256,
    });
    assert_eq!(sign(&hybrid, &key, &bundle(Suite::Es256)), downgraded);
}

#[test]
fn life_of_a_hybrid_key_is_that_of_both_halves() {
    let folder = Folder::new();
    let classic = keystore(&folder);
    let hybrid = Hybrid::create(&folder.path("pq"), &folder.unlock(), classic.clone()).unwrap();
    let key = wait(hybrid.generate(request(Suite::Es256MlDsa44))).unwrap();
    let refused = wait(hybrid.attach_certificate(&key.handle, b"no certificate"));
    assert!(matches!(refused, Err(KeepError::Certificate)));
    assert!(wait(hybrid.destroy(&key.handle)).is_err(), "an active key is not destroyed");
    wait(hybrid.set_state(&key.handle, State::Retired, at())).unwrap();
    let not_active = SignError::NotActive { handle: key.handle, state: State::Retired };
    assert_eq!(sign(&hybrid, &key, &bundle(Suite::Es256MlDsa44)), Err(not_active));
    wait(hybrid.destroy(&key.handle)).unwrap();
    assert!(hybrid.keys().is_empty() && classic.keys().is_empty());
    let again = Hybrid::open(&folder.path("pq"), &folder.unlock(), classic).unwrap();
    assert!(again.keys().is_empty());
}

#[test]
fn files_of_halves_and_of_keys_are_not_mixed_up() {
    let folder = Folder::new();
    let classic = keystore(&folder);
    Hybrid::create(&folder.path("pq"), &folder.unlock(), classic.clone()).unwrap();
    let damaged = |error: OpenError| matches!(error, OpenError::Unseal(UnsealError::Damaged));
    let opened = Keystore::open_server(&folder.path("pq"), &folder.unlock());
    assert!(damaged(opened.unwrap_err()));
    let opened = Hybrid::open(&folder.path("city"), &folder.unlock(), classic);
    assert!(damaged(opened.unwrap_err()));
}
