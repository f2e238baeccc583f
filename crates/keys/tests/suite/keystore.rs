//! Making, opening, signing, refusing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use keys::custody::{
    CERTIFICATE_BYTES_MAX, Custody, KeepError, Key, KeyHandle, NewKey, SignError, State,
};
use keys::file::FileError;
use keys::object::TypedObject;
use keys::purpose::{Purpose, Suite};
use keys::seal::{Kind, UnsealError};
use keys::software::{Keystore, OpenError};
use keys::unlock::{
    KEY_FILE_BYTES, PASSPHRASE_BYTES_MAX, PASSPHRASE_BYTES_MIN, Unlock, UnlockError,
};
use vocabulary::time::Instant;

use crate::folder::{Folder, set_mode};
use crate::samples;

pub(crate) fn wait<T>(pending: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(pending)
}

fn request(purpose: Purpose) -> NewKey {
    NewKey::active(purpose, None, Instant::from_unix_seconds(1_790_000_000))
}

fn store_with(folder: &Folder, purpose: Purpose) -> (Keystore, Key) {
    let kind = if purpose == Purpose::CityRoot { Kind::Root } else { Kind::Server };
    let store = Keystore::create(&folder.path(purpose.as_str()), kind, &folder.unlock()).unwrap();
    let key = wait(store.generate(request(purpose))).unwrap();
    (store, key)
}

#[test]
fn every_key_signs_its_own_type_and_refuses_all_others() {
    let folder = Folder::new();
    for purpose in Purpose::ALL {
        let (store, key) = store_with(&folder, purpose);
        for (object_type, bytes) in samples::all() {
            let object = TypedObject::parse(object_type, &bytes).unwrap();
            let answer = wait(store.sign(&key.handle, &object));
            if object_type != purpose.object_type() {
                let refusal = SignError::WrongType { purpose, object: object_type };
                assert_eq!(answer, Err(refusal));
                continue;
            }
            let signature = answer.unwrap();
            let verified = AwsLc.verify(&key.public_key, &bytes, signature.as_bytes());
            assert_eq!(verified, Ok(()), "{purpose}");
        }
    }
}

#[test]
fn reopened_keystore_has_the_same_keys_and_signs_with_them() {
    let folder = Folder::new();
    let path = folder.path("keys.sealed");
    let store = Keystore::create(&path, Kind::Server, &folder.unlock()).unwrap();
    for purpose in Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::CityRoot) {
        let operator = Some("harbour".parse().unwrap());
        wait(store.generate(NewKey { operator, ..request(purpose) })).unwrap();
    }
    let again = Keystore::open_server(&path, &folder.unlock()).unwrap();
    assert_eq!(store.keys(), again.keys());
    let checkpoint = samples::checkpoint();
    let object = TypedObject::parse(Purpose::Checkpoint.object_type(), &checkpoint).unwrap();
    let harbour = "harbour".parse().unwrap();
    let key = again.newest(Purpose::Checkpoint, Some(&harbour)).unwrap();
    // Ed25519 is deterministic: the same signature means the same private key.
    assert_eq!(wait(store.sign(&key.handle, &object)), wait(again.sign(&key.handle, &object)));
    assert_eq!(again.newest(Purpose::Checkpoint, None), None);
}

#[test]
fn newest_key_of_a_purpose_is_the_last_one_made() {
    let folder = Folder::new();
    let (store, first) = store_with(&folder, Purpose::Bundle);
    assert_eq!(store.newest(Purpose::Bundle, None), Some(first));
    let second = wait(store.generate(request(Purpose::Bundle))).unwrap();
    assert_eq!(store.newest(Purpose::Bundle, None), Some(second));
}

#[test]
fn key_signs_while_it_is_active_and_is_destroyed_only_after_that() {
    let folder = Folder::new();
    let path = folder.path("keys.sealed");
    let store = Keystore::create(&path, Kind::Server, &folder.unlock()).unwrap();
    let published = NewKey { state: State::Published, ..request(Purpose::Checkpoint) };
    let key = wait(store.generate(published)).unwrap();
    let checkpoint = samples::checkpoint();
    let object = TypedObject::parse(Purpose::Checkpoint.object_type(), &checkpoint).unwrap();
    let at = Instant::from_unix_seconds(1_790_000_100);
    let handle = key.handle;
    for state in State::ALL {
        let moved = wait(store.set_state(&handle, state, at)).unwrap();
        let since = if state == State::Published { key.created_at } else { at };
        assert_eq!((moved.state, moved.state_since), (state, since));
        let is_newest = store.newest(Purpose::Checkpoint, None).is_some();
        assert_eq!(is_newest, state == State::Active);
        let signed = wait(store.sign(&handle, &object));
        if state == State::Active {
            assert!(signed.is_ok());
            assert!(matches!(wait(store.destroy(&handle)), Err(KeepError::Backwards { .. })));
        } else {
            assert_eq!(signed, Err(SignError::NotActive { handle, state }));
        }
    }
    let back = wait(store.set_state(&handle, State::Active, at));
    assert!(matches!(back, Err(KeepError::Backwards { state: State::Retired })));
    assert_eq!(Keystore::open_server(&path, &folder.unlock()).unwrap().keys(), store.keys());
    wait(store.destroy(&handle)).unwrap();
    assert!(store.keys().is_empty());
    assert!(Keystore::open_server(&path, &folder.unlock()).unwrap().keys().is_empty());
}

#[test]
fn keys_of_the_second_suite_sign_and_outlast_the_process() {
    let folder = Folder::new();
    let path = folder.path("keys.sealed");
    let store = Keystore::create(&path, Kind::Server, &folder.unlock()).unwrap();
    let wanted = NewKey { suite: Suite::Es384, ..request(Purpose::Bundle) };
    let key = wait(store.generate(wanted)).unwrap();
    let wrong = NewKey { suite: Suite::Ed25519, ..request(Purpose::Bundle) };
    assert!(matches!(wait(store.generate(wrong)), Err(KeepError::SuiteNotHere { .. })));
    let again = Keystore::open_server(&path, &folder.unlock()).unwrap();
    assert_eq!(again.keys().as_ref(), std::slice::from_ref(&key));
    let samples = samples::naming(Suite::Es384);
    let mut bundles = samples.iter().filter(|(kind, _)| *kind == Purpose::Bundle.object_type());
    let (object_type, bundle) = bundles.next().unwrap();
    let object = TypedObject::parse(*object_type, bundle).unwrap();
    let signature = wait(again.sign(&key.handle, &object)).unwrap();
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key.public_key.as_bytes())
        .verify(bundle, signature.as_bytes())
        .unwrap();
}

#[test]
fn unknown_handle_is_named() {
    let folder = Folder::new();
    let (store, _) = store_with(&folder, Purpose::Checkpoint);
    let handle = KeyHandle::of(b"nobody");
    let checkpoint = samples::checkpoint();
    let object = TypedObject::parse(Purpose::Checkpoint.object_type(), &checkpoint).unwrap();
    let answer = wait(store.sign(&handle, &object));
    assert_eq!(answer, Err(SignError::UnknownKey { handle }));
    assert_eq!(handle.to_string().parse(), Ok(handle));
    assert!(handle.to_string().to_uppercase().parse::<KeyHandle>().is_err());
}

#[test]
fn root_file_opens_for_the_ceremony_and_not_for_a_server() {
    let folder = Folder::new();
    let (_, root) = store_with(&folder, Purpose::CityRoot);
    let (_, _) = store_with(&folder, Purpose::Bundle);
    let root_path = folder.path("city-root");
    assert!(matches!(
        Keystore::open_server(&root_path, &folder.unlock()),
        Err(OpenError::HoldsRoot)
    ));
    assert!(matches!(
        Keystore::open_root(&folder.path("bundle"), &folder.unlock()),
        Err(OpenError::HoldsNoRoot)
    ));
    let opened = Keystore::open_root(&root_path, &folder.unlock()).unwrap();
    assert_eq!(opened.keys().as_ref(), [root]);
}

#[test]
fn root_keys_and_other_keys_never_share_a_file() {
    let folder = Folder::new();
    let (root, _) = store_with(&folder, Purpose::CityRoot);
    let (server, _) = store_with(&folder, Purpose::Bundle);
    for (store, purpose) in [(root, Purpose::Bundle), (server, Purpose::CityRoot)] {
        let answer = wait(store.generate(request(purpose)));
        assert!(matches!(answer, Err(KeepError::PurposeNotHere { .. })), "{purpose}");
    }
}

#[test]
fn wrong_passphrase_is_told_and_right_one_opens() {
    let folder = Folder::new();
    let path = folder.path("keys.sealed");
    let right = Unlock::passphrase("correct horse battery").unwrap();
    Keystore::create(&path, Kind::Server, &right).unwrap();
    let wrong = Unlock::passphrase("correct horse batterx").unwrap();
    assert!(matches!(
        Keystore::open_server(&path, &wrong),
        Err(OpenError::Unseal(UnsealError::WrongSecret))
    ));
    assert!(matches!(
        Keystore::open_server(&path, &folder.unlock()),
        Err(OpenError::OtherSecretKind { .. })
    ));
    Keystore::open_server(&path, &right).unwrap();
}

#[test]
fn passphrase_length_is_held_at_both_limits() {
    for (length, accepted) in [
        (PASSPHRASE_BYTES_MIN - 1, false),
        (PASSPHRASE_BYTES_MIN, true),
        (PASSPHRASE_BYTES_MAX, true),
        (PASSPHRASE_BYTES_MAX + 1, false),
    ] {
        assert_eq!(Unlock::passphrase(&"p".repeat(length)).is_ok(), accepted, "{length}");
    }
}

#[test]
fn damaged_file_does_not_open() {
    let folder = Folder::new();
    let (_, _) = store_with(&folder, Purpose::Bundle);
    let path = folder.path("bundle");
    let whole = fs::read(&path).unwrap();
    for (what, bytes) in [
        ("empty", vec![]),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("a changed byte", [&whole[..whole.len() - 1], &[!whole[whole.len() - 1]]].concat()),
        ("a byte more", [&whole[..], &[0]].concat()),
    ] {
        fs::write(&path, bytes).unwrap();
        let answer = Keystore::open_server(&path, &folder.unlock());
        assert!(matches!(answer, Err(OpenError::Unseal(_))), "{what}");
    }
    fs::write(&path, whole).unwrap();
    Keystore::open_server(&path, &folder.unlock()).unwrap();
}

#[test]
fn loose_permissions_are_refused_with_the_command_to_run() {
    let folder = Folder::new();
    let (_, _) = store_with(&folder, Purpose::Bundle);
    let (store, key_file) = (folder.path("bundle"), folder.path("unlock.key"));
    for mode in [0o640, 0o604, 0o620, 0o610, 0o601, 0o666] {
        set_mode(&store, mode);
        let error = Keystore::open_server(&store, &folder.unlock()).unwrap_err().to_string();
        assert!(error.contains(&format!("chmod 600 {}", store.display())), "{error}");
    }
    set_mode(&store, 0o400);
    Keystore::open_server(&store, &folder.unlock()).unwrap();
    set_mode(&key_file, 0o640);
    assert!(matches!(
        Unlock::key_file(&key_file, &folder.data()),
        Err(UnlockError::File(FileError::Loose { .. }))
    ));
}

#[test]
fn key_file_inside_the_data_folder_is_refused_through_links_too() {
    let folder = Folder::new();
    let (inside, outside) = (folder.data().join("sub.key"), folder.path("outside.key"));
    Unlock::create_key_file(&inside).unwrap();
    Unlock::create_key_file(&outside).unwrap();
    let link = folder.path("link.key");
    std::os::unix::fs::symlink(&inside, &link).unwrap();
    for (path, accepted) in [(&inside, false), (&link, false), (&outside, true)] {
        let answer = Unlock::key_file(path, &folder.data());
        assert_eq!(answer.is_ok(), accepted, "{}", path.display());
    }
}

#[test]
fn key_file_of_another_length_is_refused() {
    let folder = Folder::new();
    let path = folder.path("short.key");
    for (length, accepted) in
        [(KEY_FILE_BYTES - 1, false), (KEY_FILE_BYTES, true), (KEY_FILE_BYTES + 1, false)]
    {
        fs::write(&path, vec![7; length]).unwrap();
        set_mode(&path, 0o600);
        assert_eq!(Unlock::key_file(&path, &folder.data()).is_ok(), accepted, "{length}");
    }
}

#[test]
fn new_files_belong_to_their_owner_alone_and_never_replace_another() {
    let folder = Folder::new();
    let (_, _) = store_with(&folder, Purpose::Bundle);
    for name in ["bundle", "unlock.key"] {
        let mode = fs::metadata(folder.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let before = fs::read(folder.path("bundle")).unwrap();
    let answer = Keystore::create(&folder.path("bundle"), Kind::Server, &folder.unlock());
    assert!(matches!(answer, Err(OpenError::File(FileError::Io { .. }))));
    assert!(Unlock::create_key_file(&folder.path("unlock.key")).is_err());
    assert_eq!(fs::read(folder.path("bundle")).unwrap(), before);
    assert!(!folder.path("bundle.new").exists());
}

#[test]
fn certificate_is_kept_only_with_the_key_that_it_certifies() {
    let folder = Folder::new();
    let (store, key) = store_with(&folder, Purpose::Bundle);
    let point: [u8; 65] = key.public_key.as_bytes().try_into().unwrap();
    let certifying = samples::certificate(&samples::tbs("Root", "Bundle", &[], &point));
    let foreign = samples::certificate(&samples::tbs("Root", "Bundle", &[], &[4; 65]));
    for wrong in [&foreign[..], b"", b"no certificate", &vec![0; CERTIFICATE_BYTES_MAX + 1]] {
        let answer = wait(store.attach_certificate(&key.handle, wrong));
        assert!(matches!(answer, Err(KeepError::Certificate)));
    }
    let kept = wait(store.attach_certificate(&key.handle, &certifying)).unwrap();
    assert_eq!(kept.certificate.as_deref(), Some(&certifying[..]));
    let again = Keystore::open_server(&folder.path("bundle"), &folder.unlock()).unwrap();
    assert_eq!(again.keys().as_ref(), [kept]);
}

#[test]
fn second_process_that_would_undo_a_change_is_refused() {
    let folder = Folder::new();
    let (first, _) = store_with(&folder, Purpose::Bundle);
    let second = Keystore::open_server(&folder.path("bundle"), &folder.unlock()).unwrap();
    let key = wait(second.generate(request(Purpose::StatusList))).unwrap();
    let answer = wait(first.generate(request(Purpose::Checkpoint)));
    assert!(matches!(answer, Err(KeepError::ChangedMeanwhile)));
    let third = Keystore::open_server(&folder.path("bundle"), &folder.unlock()).unwrap();
    assert!(third.keys().contains(&key));
}

#[test]
fn failed_write_leaves_file_and_memory_as_they_were() {
    let folder = Folder::new();
    let (store, _) = store_with(&folder, Purpose::Bundle);
    let before = fs::read(folder.path("bundle")).unwrap();
    // A folder where the staged file belongs makes the write fail, for root too.
    fs::create_dir_all(folder.path("bundle.new/in-the-way")).unwrap();
    let answer = wait(store.generate(request(Purpose::Checkpoint)));
    assert!(matches!(answer, Err(KeepError::Write(_))));
    assert_eq!(store.keys().len(), 1);
    assert_eq!(fs::read(folder.path("bundle")).unwrap(), before);
    fs::remove_dir_all(folder.path("bundle.new")).unwrap();
    wait(store.generate(request(Purpose::Checkpoint))).unwrap();
}

#[test]
fn nothing_shown_for_people_holds_a_secret() {
    let folder = Folder::new();
    let (store, _) = store_with(&folder, Purpose::Bundle);
    let unlock = Unlock::passphrase("correct horse battery").unwrap();
    assert!(!format!("{unlock:?}").contains("horse"));
    assert!(!format!("{store:?}").contains("secret"));
}
