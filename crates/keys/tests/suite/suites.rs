//! Suites: a key signs what names its own algorithm, and nothing that names another.

use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use credential::rustcrypto::RustCrypto;
use keys::custody::{Custody, KeepError, NewKey, SignError, State};
use keys::object::TypedObject;
use keys::purpose::{Purpose, Suite};
use keys::seal::Kind;
use keys::software::Keystore;
use vocabulary::time::Instant;

use crate::folder::Folder;
use crate::keystore::wait;
use crate::samples;

fn request(purpose: Purpose, suite: Suite) -> NewKey {
    let at = Instant::from_unix_seconds(1_790_000_000);
    NewKey { purpose, operator: None, suite, state: State::Active, at }
}

/// All types by all suites: what verifies is what names the suite of the key.
#[test]
fn key_signs_objects_of_its_own_suite_and_refuses_all_others() {
    let folder = Folder::new();
    let store = |name: &str, kind| Keystore::create(&folder.path(name), kind, &folder.unlock());
    let (server, root) = (store("server", Kind::Server), store("root", Kind::Root));
    let (server, root) = (server.unwrap(), root.unwrap());
    let mut signed = 0;
    for purpose in Purpose::ALL {
        let store = if purpose == Purpose::CityRoot { &root } else { &server };
        for suite in Suite::ALL {
            let made = wait(store.generate(request(purpose, suite)));
            if !purpose.allows(suite) {
                assert!(matches!(made, Err(KeepError::SuiteNotHere { .. })), "{purpose} {suite}");
                continue;
            }
            let key = made.unwrap();
            for named in Suite::ALL {
                for (object_type, bytes) in samples::naming(named) {
                    if object_type != purpose.object_type() {
                        continue;
                    }
                    let Ok(object) = TypedObject::parse(object_type, &bytes) else {
                        assert_eq!(named, Suite::Ed25519, "{object_type} by {named}");
                        continue;
                    };
                    let answer = wait(store.sign(&key.handle, &object));
                    if object.algorithm() != suite.algorithm() {
                        let named = Suite::of(object.algorithm());
                        let refusal = SignError::WrongSuite { handle: key.handle, suite, named };
                        assert_eq!(answer, Err(refusal));
                        continue;
                    }
                    let signature = answer.unwrap();
                    for crypto in [&AwsLc as &dyn Crypto, &RustCrypto] {
                        let verdict = crypto.verify(&key.public_key, &bytes, signature.as_bytes());
                        assert_eq!(verdict, Ok(()), "{purpose} {suite}");
                    }
                    signed += 1;
                }
            }
        }
    }
    // Twelve samples by three suites each, and the checkpoint, which names Ed25519 in all four.
    assert_eq!(signed, 12 * 3 + 4);
}

#[test]
fn keys_of_every_suite_return_from_the_sealed_file() {
    let folder = Folder::new();
    let path = folder.path("keys.sealed");
    let store = Keystore::create(&path, Kind::Server, &folder.unlock()).unwrap();
    for suite in [Suite::Es256, Suite::Es384, Suite::Es256MlDsa44] {
        wait(store.generate(request(Purpose::Bundle, suite))).unwrap();
    }
    let again = Keystore::open_server(&path, &folder.unlock()).unwrap();
    assert_eq!(store.keys(), again.keys());
    for key in again.keys().iter() {
        let samples = samples::naming(key.suite);
        let mut bundles = samples.iter().filter(|(kind, _)| *kind == key.purpose.object_type());
        let (object_type, bytes) = bundles.next().unwrap();
        let object = TypedObject::parse(*object_type, bytes).unwrap();
        let signature = wait(again.sign(&key.handle, &object)).unwrap();
        assert!(AwsLc.verify(&key.public_key, bytes, signature.as_bytes()).is_ok());
    }
}
