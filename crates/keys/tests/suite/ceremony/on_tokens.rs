//! Ceremonies on SoftHSM2: the root is made on one token and comes back on another.

use std::path::Path;

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use keys::ceremony::backup::Backup;
use keys::ceremony::plan::Plan;
use keys::ceremony::restore::{RestoreError, open_shares, restore};
use keys::ceremony::seat::{RootSeat, SeatError};
use keys::ceremony::shares::Share;
use keys::ceremony::transcript::verify::Verified;
use keys::ceremony::wrapping::{WrapError, WrappingKey};
use keys::custody::{Custody, KeyHandle, NewKey, State};
use keys::purpose::{Purpose, Suite};
use keys::token::class::Class;
use keys::token::{Role, Token};

use super::hall::{Hall, NOW, PLAN, hold, root_file};
use crate::folder::Folder;
use crate::keystore::wait;
use crate::softhsm::{Softhsm, alone};

/// A token with its security officer, for a ceremony.
fn root_token(softhsm: &Softhsm, label: &str) -> Token {
    let settings = softhsm.token(label);
    Token::open_with_officer(&settings, Softhsm::pin(), Softhsm::officer_pin()).unwrap()
}

/// A token without its officer: a root comes back there.
fn other_token(softhsm: &Softhsm, label: &str) -> Token {
    Token::open(&softhsm.token(label), Softhsm::pin(), Role::Root).unwrap()
}

fn hold_on(seat: &dyn RootSeat, folder: &Folder, suite: Suite) -> (Plan, Verified) {
    let text = PLAN.replace("threshold = 2", &format!("threshold = 2\nsuite = \"{suite}\""));
    let plan = Plan::parse(&text, &folder.path("")).unwrap();
    let verified = hold(&plan, &text, seat, None, &mut Hall::default()).unwrap();
    (plan, verified)
}

fn share(path: &Path) -> Share {
    let text = std::fs::read_to_string(path).unwrap();
    keys::ceremony::files::without_heading(&text).parse().unwrap()
}

fn open(folder: &Folder, plan: &Plan, verified: &Verified) -> (Backup, WrappingKey) {
    let bytes = std::fs::read(&plan.backup).unwrap();
    let shares = [share(&folder.path("ada/share.txt")), share(&folder.path("bo/share.txt"))];
    let backup = Backup::parse(&bytes).unwrap();
    let key = open_shares(&backup, &bytes, verified, &shares).unwrap();
    (backup, key)
}

#[test]
fn a_root_made_on_one_token_signs_on_another_and_foreign_clients_see_it() {
    alone(|softhsm| {
        let (first, second) = (root_token(softhsm, "first"), other_token(softhsm, "second"));
        let before = softhsm.pkcs11_tool("second", &["--list-objects"]);
        assert!(!before.contains("city-root"), "{before}");
        let folder = Folder::new();
        let (plan, verified) = hold_on(&first, &folder, Suite::Es256);
        assert_eq!(verified.custody, "token:first");
        assert_eq!(verified.trusted_by.as_deref(), Some("security-officer"));
        let (backup, key) = open(&folder, &plan, &verified);
        let restored = wait(restore(&second, &backup, key, NOW)).unwrap();
        assert_eq!(restored.public_key, verified.root);
        assert_eq!(&*restored.held_by, "token:second");
        assert_eq!(restored.certificate.as_deref(), Some(&verified.certificate[..]));
        let objects = softhsm.pkcs11_tool("second", &["--list-objects"]);
        let id = restored.handle.to_string().replace("key_", "");
        assert!(objects.contains("city-root") && objects.contains(&id), "{objects}");
        assert!(objects.contains("Private Key Object; EC"), "{objects}");
        // The wrapping key is on neither token.
        for label in ["first", "second"] {
            let secrets = softhsm.pkcs11_tool(label, &["--list-objects", "--type", "secrkey"]);
            assert!(!secrets.contains("Secret Key Object"), "{secrets}");
        }
        // Opened anew, the token still has it, in its class.
        drop(second);
        let settings =
            keys::token::Settings { module: Softhsm::MODULE.into(), label: "second".into() };
        let again = Token::open(&settings, Softhsm::pin(), Role::Root).unwrap();
        assert_eq!(again.refused().as_ref(), []);
        assert_eq!(again.newest(Purpose::CityRoot, None).unwrap().handle, restored.handle);
    });
}

#[test]
fn a_foreign_client_signs_with_the_restored_root_and_sees_it_sealed() {
    alone(|softhsm| {
        let (first, second) = (root_token(softhsm, "first"), root_token(softhsm, "second"));
        let folder = Folder::new();
        let (plan, verified) = hold_on(&first, &folder, Suite::Es256);
        let (backup, key) = open(&folder, &plan, &verified);
        let restored = wait(restore(&second, &backup, key, NOW)).unwrap();
        let id = restored.handle.to_string().replace("key_", "");
        let (digest, signature) = (softhsm.path("digest"), softhsm.path("signature"));
        std::fs::write(&digest, [7; 32]).unwrap();
        let (input, output) = (digest.to_str().unwrap(), signature.to_str().unwrap());
        let arguments = ["--sign", "--mechanism", "ECDSA", "--id", &id];
        let files = ["--input-file", input, "--output-file", output];
        softhsm.pkcs11_tool("second", &[&arguments[..], &files].concat());
        let signature = std::fs::read(&signature).unwrap();
        let public = aws_lc_rs::signature::ParsedPublicKey::new(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED,
            verified.root.as_bytes(),
        )
        .unwrap();
        let digest =
            aws_lc_rs::digest::Digest::import_less_safe(&[7; 32], &aws_lc_rs::digest::SHA256)
                .unwrap();
        public.verify_digest_sig(&digest, &signature).unwrap();
        // As foreign eyes see it: the root can leave the first token, wrapped, and not the second.
        for (label, leaves) in [("first", true), ("second", false)] {
            let told = softhsm.pkcs11_tool(label, &["--list-objects", "--type", "privkey"]);
            let access = told.lines().find(|line| line.contains("Access:")).unwrap();
            assert!(access.contains("sensitive"), "{told}");
            assert_eq!(access.contains("extract"), leaves, "{told}");
        }
    });
}

#[test]
fn roots_go_between_a_token_and_a_sealed_file_in_both_suites() {
    alone(|softhsm| {
        for (number, suite) in [Suite::Es256, Suite::Es384].into_iter().enumerate() {
            let token = root_token(softhsm, &format!("token-{number}"));
            let folder = Folder::new();
            let (plan, verified) = hold_on(&token, &folder, suite);
            let (backup, key) = open(&folder, &plan, &verified);
            let file = root_file(&folder, "restored.keys");
            let restored = wait(restore(&file, &backup, key, NOW)).unwrap();
            assert_eq!((restored.suite, restored.public_key), (suite, verified.root));

            let folder = Folder::new();
            let file = root_file(&folder, "root.keys");
            let (plan, verified) = hold_on(&file, &folder, suite);
            let (backup, key) = open(&folder, &plan, &verified);
            assert_eq!(verified.trusted_by, None);
            let other = other_token(softhsm, &format!("other-{number}"));
            let restored = wait(restore(&other, &backup, key, NOW)).unwrap();
            assert_eq!((restored.suite, restored.public_key), (suite, verified.root));
        }
    });
}

#[test]
fn a_token_refuses_a_root_wrapped_by_another_key_or_one_that_it_has() {
    alone(|softhsm| {
        let (first, second) = (root_token(softhsm, "first"), root_token(softhsm, "second"));
        let folder = Folder::new();
        let (plan, verified) = hold_on(&first, &folder, Suite::Es256);
        let (backup, key) = open(&folder, &plan, &verified);
        let error = wait(restore(&first, &backup, key, NOW)).unwrap_err();
        assert!(matches!(error, RestoreError::Seat(SeatError::Present { .. })), "{error}");
        let other = WrappingKey::generate().unwrap();
        let error = wait(restore(&second, &backup, other, NOW)).unwrap_err();
        let refused = matches!(
            error,
            RestoreError::Seat(SeatError::Wrap(WrapError::OtherKey) | SeatError::Token(_))
        );
        assert!(refused, "{error}");
        assert!(second.keys().is_empty());
        let objects = softhsm.pkcs11_tool("second", &["--list-objects"]);
        assert!(!objects.contains("Key Object"), "{objects}");
        // The control: with the right key the same token takes it.
        let (backup, key) = open(&folder, &plan, &verified);
        wait(restore(&second, &backup, key, NOW)).unwrap();
    });
}

#[test]
fn whoever_leaves_a_ceremony_on_a_token_leaves_no_key_on_it() {
    alone(|softhsm| {
        let token = root_token(softhsm, "root");
        for step in [7, 8, 11, 13] {
            let folder = Folder::new();
            let plan = Plan::parse(PLAN, &folder.path("")).unwrap();
            let mut hall = Hall { leave_at: Some(step), ..Hall::default() };
            let error = hold(&plan, PLAN, &token, None, &mut hall).unwrap_err();
            assert_eq!((error.step, error.left.len()), (step, 0), "{error}");
            let objects = softhsm.pkcs11_tool("root", &["--list-objects"]);
            assert!(!objects.contains("Key Object"), "{step}: {objects}");
        }
    });
}

/// The screens of a ceremony that went to its end, or the refusal of one that was not begun.
fn attempt(token: &Token) -> Result<Vec<String>, String> {
    let folder = Folder::new();
    let plan = Plan::parse(PLAN, &folder.path("")).unwrap();
    let mut hall = Hall::default();
    match hold(&plan, PLAN, token, None, &mut hall) {
        Ok(_) => Ok(hall.screens),
        Err(error) => {
            assert_eq!((error.step, hall.screens.len()), (0, 0), "{error}");
            Err(error.to_string())
        }
    }
}

#[test]
fn a_ceremony_without_its_officer_is_refused_before_anything_is_made() {
    alone(|softhsm| {
        let settings = softhsm.token("root");
        let nothing = || {
            let objects = softhsm.pkcs11_tool("root", &["--list-objects"]);
            assert!(!objects.contains("Key Object"), "{objects}");
        };
        let open = |pin: &str| {
            let pin = keys::token::pin::Pin::new(pin).unwrap();
            Token::open_with_officer(&settings, Softhsm::pin(), pin).unwrap()
        };
        let nobody = Token::open(&settings, Softhsm::pin(), Role::Root).unwrap();
        let refused = attempt(&nobody).unwrap_err();
        assert!(refused.contains("(`officer_pin`)"), "{refused}");
        nothing();
        drop(nobody);
        let wrong = open("wrong");
        for _ in 0..2 {
            let refused = attempt(&wrong).unwrap_err();
            assert!(refused.contains("as its security officer: the PIN is wrong"), "{refused}");
            nothing();
        }
        drop(wrong);
        // The control: the right officer.
        let screens = attempt(&open(Softhsm::OFFICER_PIN)).unwrap();
        let officers = screens.iter().filter(|screen| screen.contains("security officer logs in"));
        assert_eq!(officers.count(), 1);
    });
}

/// Whoever has the user's PIN and no more does not get the root out, wrapped by a key of their own.
#[test]
fn a_root_leaves_its_token_under_the_officers_key_alone() {
    alone(|softhsm| {
        let token = root_token(softhsm, "root");
        let (_, verified) = hold_on(&token, &Folder::new(), Suite::Es256);
        let id = KeyHandle::of(verified.root.as_bytes());
        let wrapped = token.pool().once(|session| {
            let own = own_wrapping_key(session, false)?;
            // The user does not make it trusted, at once or later.
            assert!(own_wrapping_key(session, true).is_err());
            assert!(session.update_attributes(own, &[Attribute::Trusted(true)]).is_err());
            let private =
                [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id.as_bytes().to_vec())];
            let root = session.find_objects(&private)?[0];
            let refused = session.wrap_key(&Mechanism::AesKeyWrapPad, own, root).unwrap_err();
            assert!(matches!(refused, Error::Pkcs11(RvError::KeyNotWrappable, _)), "{refused}");
            let lifted = session.update_attributes(root, &[Attribute::WrapWithTrusted(false)]);
            assert!(lifted.is_err());
            // The control: a root that was made without the attribute goes out under the same key.
            let public = [
                Attribute::Token(false),
                Attribute::EcParams(vec![6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7]),
            ];
            let mut bare = Class::Root.rules().template(false);
            bare.retain(|one| !matches!(one, Attribute::Token(_)));
            bare.push(Attribute::Token(false));
            let pair = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &bare)?;
            session.wrap_key(&Mechanism::AesKeyWrapPad, own, pair.1)
        });
        assert!(wrapped.unwrap().len() > 64);
    });
}

fn own_wrapping_key(session: &Session, is_trusted: bool) -> Result<ObjectHandle, Error> {
    session.create_object(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::Wrap(true),
        Attribute::Trusted(is_trusted),
        Attribute::Value(vec![7; 32]),
    ])
}

#[test]
fn a_token_of_the_city_is_no_place_for_a_ceremony() {
    alone(|softhsm| {
        let token = Token::open(&softhsm.token("city"), Softhsm::pin(), Role::City).unwrap();
        let bundle = NewKey { state: State::Active, ..NewKey::active(Purpose::Bundle, None, NOW) };
        wait(token.generate(bundle)).unwrap();
        let folder = Folder::new();
        let plan = Plan::parse(PLAN, &folder.path("")).unwrap();
        let error = hold(&plan, PLAN, &token, None, &mut Hall::default()).unwrap_err();
        assert!(error.to_string().contains("open for the city's keys"), "{error}");
        assert_eq!(token.keys().len(), 1);
    });
}
