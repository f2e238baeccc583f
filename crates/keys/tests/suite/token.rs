//! Custody on a token: the same life of a key as in the sealed file, seen by a foreign client, too.

use std::time::{Duration, Instant as Moment};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, UnparsedPublicKey,
};
use credential::crypto::Signature;
use keys::custody::{Custody, KeepError, Key, KeyHandle, NewKey, SignError, State};
use keys::object::TypedObject;
use keys::purpose::{Purpose, Suite};
use keys::token::{Role, Token, TokenError};
use vocabulary::time::Instant;

use crate::keystore::wait;
use crate::samples;
use crate::softhsm::{Softhsm, alone};

pub(crate) const AT: Instant = Instant::from_unix_seconds(1_790_000_000);

pub(crate) fn request(purpose: Purpose) -> NewKey {
    NewKey::active(purpose, None, AT)
}

/// Signs an object of the type that `key` is for.
pub(crate) fn sign(token: &Token, key: &Key) -> Result<(Vec<u8>, Signature), SignError> {
    let mut objects = samples::naming(key.suite).into_iter();
    let (object_type, bytes) =
        objects.find(|(object_type, _)| *object_type == key.purpose.object_type()).unwrap();
    let object = TypedObject::parse(object_type, &bytes).unwrap();
    let signature = wait(token.sign(&key.handle, &object))?;
    Ok((bytes, signature))
}

/// Verified by another library than the one that signed.
pub(crate) fn verify(key: &Key, bytes: &[u8], signature: &Signature) {
    let (public, signature) = (key.public_key.as_bytes(), signature.as_bytes());
    let verified = match key.suite {
        Suite::Es256 => {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).verify(bytes, signature)
        }
        Suite::Es384 => {
            UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, public).verify(bytes, signature)
        }
        Suite::Ed25519 => UnparsedPublicKey::new(&ED25519, public).verify(bytes, signature),
        Suite::Es256MlDsa44 => panic!("no token holds keys of this suite"),
    };
    assert_eq!(verified, Ok(()), "{}", key.purpose);
}

fn open(softhsm: &Softhsm, label: &str) -> Token {
    Token::open(&softhsm.token(label), Softhsm::pin(), Role::City).unwrap()
}

#[test]
fn every_key_on_a_token_signs_its_own_type_and_refuses_all_others() {
    alone(|softhsm| {
        let (city, root) = (softhsm.token("city"), softhsm.token("root"));
        let city = Token::open(&city, Softhsm::pin(), Role::City).unwrap();
        let root = Token::open(&root, Softhsm::pin(), Role::Root).unwrap();
        for purpose in Purpose::ALL {
            let token = if purpose == Purpose::CityRoot { &root } else { &city };
            let key = wait(token.generate(request(purpose))).unwrap();
            let (bytes, signature) = sign(token, &key).unwrap();
            verify(&key, &bytes, &signature);
            for (object_type, bytes) in samples::all() {
                if object_type == purpose.object_type() {
                    continue;
                }
                let object = TypedObject::parse(object_type, &bytes).unwrap();
                let refusal = SignError::WrongType { purpose, object: object_type };
                assert_eq!(wait(token.sign(&key.handle, &object)), Err(refusal));
            }
        }
        assert_eq!(city.refused().as_ref(), []);
        assert_eq!(root.refused().as_ref(), []);
        for (token, purpose) in [(&root, Purpose::Bundle), (&city, Purpose::CityRoot)] {
            let answer = wait(token.generate(request(purpose)));
            assert!(matches!(answer, Err(KeepError::PurposeNotHere { .. })), "{purpose}");
        }
    });
}

#[test]
fn keys_on_a_token_outlast_the_process_that_made_them() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let open = || Token::open(&settings, Softhsm::pin(), Role::City).unwrap();
        let token = open();
        let operator = Some("harbour".parse().unwrap());
        let made = [
            NewKey { operator: operator.clone(), ..request(Purpose::IssuingAuthority) },
            NewKey { suite: Suite::Es384, ..request(Purpose::Bundle) },
            request(Purpose::Checkpoint),
            NewKey { state: State::Published, ..request(Purpose::StatusList) },
            request(Purpose::Bundle),
        ]
        .map(|request| wait(token.generate(request)).unwrap());
        assert_eq!(token.keys().as_ref(), made);
        // Both were made at the same instant; the order of making decides.
        assert_eq!(token.newest(Purpose::Bundle, None).as_ref(), made.last());
        assert_eq!(token.newest(Purpose::IssuingAuthority, None), None);
        assert!(made.iter().all(|key| &*key.held_by == "token:city"));
        drop(token);
        let again = open();
        assert_eq!(again.keys().as_ref(), made);
        for key in made.iter().filter(|key| key.state == State::Active) {
            let (bytes, signature) = sign(&again, key).unwrap();
            verify(key, &bytes, &signature);
        }
        let wrong = NewKey { suite: Suite::Ed25519, ..request(Purpose::Bundle) };
        assert!(matches!(wait(again.generate(wrong)), Err(KeepError::SuiteNotHere { .. })));
    });
}

#[test]
fn key_on_a_token_is_destroyed_after_its_life_and_the_foreign_client_sees_none() {
    alone(|softhsm| {
        let token = open(softhsm, "city");
        let published = NewKey { state: State::Published, ..request(Purpose::Checkpoint) };
        let Key { handle, .. } = wait(token.generate(published)).unwrap();
        let id = handle.to_string().replace("key_", "");
        let later = Instant::from_unix_seconds(1_790_000_100);
        for state in State::ALL {
            let moved = wait(token.set_state(&handle, state, later)).unwrap();
            let since = if state == State::Published { AT } else { later };
            assert_eq!((moved.state, moved.state_since), (state, since));
            let listed = softhsm.pkcs11_tool("city", &["--list-objects"]);
            assert!(listed.contains(&format!(" {state} {since}")), "{listed}");
            assert!(listed.contains(&id), "{listed}");
            match sign(&token, &moved) {
                Ok((bytes, signature)) => {
                    assert_eq!(state, State::Active);
                    verify(&moved, &bytes, &signature);
                    let destroyed = wait(token.destroy(&handle));
                    assert!(matches!(destroyed, Err(KeepError::Backwards { .. })));
                }
                Err(refusal) => assert_eq!(refusal, SignError::NotActive { handle, state }),
            }
        }
        let back = wait(token.set_state(&handle, State::Active, later));
        assert!(matches!(back, Err(KeepError::Backwards { state: State::Retired })));
        wait(token.destroy(&handle)).unwrap();
        assert!(token.keys().is_empty());
        let listed = softhsm.pkcs11_tool("city", &["--list-objects"]);
        assert!(!listed.contains(&id), "{listed}");
        let answer = wait(token.destroy(&handle));
        assert!(matches!(answer, Err(KeepError::UnknownKey { .. })));
    });
}

#[test]
fn certificate_lies_on_the_token_beside_the_key_that_it_certifies() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let open = || Token::open(&settings, Softhsm::pin(), Role::City).unwrap();
        let token = open();
        let key = wait(token.generate(request(Purpose::Bundle))).unwrap();
        let point: [u8; 65] = key.public_key.as_bytes().try_into().unwrap();
        let of = |name| samples::certificate(&samples::tbs("Root", name, &[], &point));
        let foreign = samples::certificate(&samples::tbs("Root", "Bundle", &[], &[4; 65]));
        for wrong in [&foreign[..], b"", b"no certificate"] {
            let answer = wait(token.attach_certificate(&key.handle, wrong));
            assert!(matches!(answer, Err(KeepError::Certificate)));
        }
        for name in ["Bundle 1", "Bundle 2", "Bundle 3"] {
            let kept = wait(token.attach_certificate(&key.handle, &of(name))).unwrap();
            assert_eq!(kept.certificate.as_deref(), Some(&of(name)[..]));
        }
        let listed = softhsm.pkcs11_tool("city", &["--list-objects", "--type", "cert"]);
        assert_eq!(listed.matches("Certificate Object").count(), 1, "{listed}");
        assert!(listed.contains("Bundle 3"), "{listed}");
        let kept = token.keys();
        drop(token);
        let again = open();
        assert_eq!(again.keys(), kept);
        let later = Instant::from_unix_seconds(1_790_000_100);
        wait(again.set_state(&key.handle, State::Retired, later)).unwrap();
        wait(again.destroy(&key.handle)).unwrap();
        let listed = softhsm.pkcs11_tool("city", &["--list-objects", "--type", "cert"]);
        assert!(!listed.contains("Certificate Object"), "{listed}");
    });
}

#[test]
fn token_of_the_root_and_that_of_the_city_are_not_taken_for_one_another() {
    alone(|softhsm| {
        for (label, role, purpose) in
            [("root", Role::Root, Purpose::CityRoot), ("city", Role::City, Purpose::Bundle)]
        {
            let settings = softhsm.token(label);
            let token = Token::open(&settings, Softhsm::pin(), role).unwrap();
            wait(token.generate(request(purpose))).unwrap();
            drop(token);
            let other = if role == Role::Root { Role::City } else { Role::Root };
            let answer = Token::open(&settings, Softhsm::pin(), other);
            match other {
                Role::City => assert!(matches!(answer, Err(TokenError::HoldsRoot { .. }))),
                Role::Root => assert!(matches!(answer, Err(TokenError::HoldsOthers { .. }))),
            }
            let again = Token::open(&settings, Softhsm::pin(), role).unwrap();
            assert_eq!(again.keys().len(), 1);
        }
    });
}

#[test]
fn token_that_is_pulled_and_put_back_signs_again_by_itself() {
    alone(|softhsm| {
        let token = open(softhsm, "city");
        let key = wait(token.generate(request(Purpose::Bundle))).unwrap();
        let held = token.keys();
        for _ in 0..2 {
            assert!(sign(&token, &key).is_ok());
            assert_eq!(token.trouble(), None);
            softhsm.take_away();
            let begin = Moment::now();
            for _ in 0..200 {
                assert_eq!(sign(&token, &key).unwrap_err(), SignError::Unavailable);
            }
            // While it is away the answer comes at once.
            assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
            assert!(token.trouble().unwrap().contains("city"), "{:?}", token.trouble());
            let made = wait(token.generate(request(Purpose::Bundle)));
            assert!(matches!(made, Err(KeepError::Unavailable)));
            assert_eq!(token.keys(), held);
            softhsm.put_back();
            let begin = Moment::now();
            let (bytes, signature) = loop {
                match sign(&token, &key) {
                    Ok(signed) => break signed,
                    Err(_) => assert!(begin.elapsed() < Duration::from_secs(10)),
                }
            };
            verify(&key, &bytes, &signature);
            assert_eq!(token.keys(), held);
        }
    });
}

#[test]
fn key_that_another_process_destroys_is_gone_here_too() {
    alone(|softhsm| {
        let token = open(softhsm, "city");
        let key = wait(token.generate(request(Purpose::Bundle))).unwrap();
        let unknown = KeyHandle::of(b"nobody");
        let checkpoint = samples::checkpoint();
        let object = TypedObject::parse(Purpose::Checkpoint.object_type(), &checkpoint).unwrap();
        let answer = wait(token.sign(&unknown, &object));
        assert_eq!(answer, Err(SignError::UnknownKey { handle: unknown }));
        assert!(sign(&token, &key).is_ok());
        // The foreign client destroys the key behind the custodian's back.
        let id = key.handle.to_string().replace("key_", "");
        softhsm.pkcs11_tool("city", &["--delete-object", "--type", "privkey", "--id", &id]);
        let handle = key.handle;
        assert_eq!(sign(&token, &key).unwrap_err(), SignError::UnknownKey { handle });
        assert!(token.keys().is_empty());
    });
}
