//! A city moves from one sealed file to another: keys are made in the new one, the old one falls
//! silent, and what it signed verifies all the same.

use core::time::Duration;
use std::sync::Arc;

use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use credential::delivery::{Scope, epoch_at};
use keys::custody::{Custody, Key, NewKey, SignError, State};
use keys::object::{ObjectType, TypedObject};
use keys::pair::Pair;
use keys::purpose::Purpose;
use keys::rotation::lives::Lives;
use keys::rotation::{Step, begin, due};
use keys::seal::Kind;
use keys::software::Keystore;
use keys::vault::pair::VaultPair;
use keys::vault::software::SoftwareVault;
use keys::vault::{NewSecret, Secret, SecretKind, Vault};
use vocabulary::time::Instant;

use crate::folder::Folder;
use crate::keystore::wait;

pub(crate) const NOW: Instant = Instant::from_unix_seconds(1_790_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
const TEXT: &[u8] = b"city.example/log\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

pub(crate) fn checkpoint() -> TypedObject<'static> {
    TypedObject::parse(ObjectType::Checkpoint, TEXT).unwrap()
}

/// Takes every step that is due at `at` with `custody`.
pub(crate) fn turn(custody: &dyn Custody, at: Instant) {
    loop {
        let steps = due(&custody.keys(), &Lives::default(), at);
        let [step, ..] = steps.as_slice() else { return };
        match step {
            Step::Activate(handle) => drop(wait(custody.set_state(handle, State::Active, at))),
            Step::Retire(handle) => drop(wait(custody.set_state(handle, State::Retired, at))),
            Step::Destroy(handle) => wait(custody.destroy(handle)).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn city_moves_to_a_new_custodian_and_the_old_one_falls_silent() {
    let folder = Folder::new();
    let unlock = folder.unlock();
    let store = |name: &str| -> Arc<Keystore> {
        Arc::new(Keystore::create(&folder.path(name), Kind::Server, &unlock).unwrap())
    };
    let (old, new) = (store("old.sealed"), store("new.sealed"));
    let first = wait(old.generate(NewKey::active(Purpose::Checkpoint, None, NOW))).unwrap();
    let pair = Pair::new(old.clone(), new.clone());
    let handles = |custody: &dyn Custody| {
        custody.keys().iter().map(|key| (key.handle, key.state)).collect::<Vec<_>>()
    };
    assert_eq!(handles(&pair), [(first.handle, State::Active)]);
    let signed = wait(pair.sign(&first.handle, &checkpoint())).unwrap();

    // The successor is made on the new side, published for its lead, and takes over.
    let Some(Step::Make { purpose, operator, suite }) =
        begin(&pair.keys(), Purpose::Checkpoint, None)
    else {
        panic!("nothing to begin")
    };
    let request = NewKey { purpose, operator, suite, state: State::Published, at: NOW };
    let heir: Key = wait(pair.generate(request)).unwrap();
    assert_eq!(handles(&*new), [(heir.handle, State::Published)]);
    assert_eq!(pair.unready(), std::slice::from_ref(&first), "nothing on the new side signs yet");
    let over = NOW.saturating_add(DAY * 30);
    turn(&pair, over);
    assert_eq!(pair.unready(), []);
    assert!(wait(pair.sign(&heir.handle, &checkpoint())).is_ok());
    assert!(wait(pair.sign(&first.handle, &checkpoint())).is_ok(), "control: both sign for now");

    // From the named instant the old side signs nothing, not even for who opens it alone.
    let retired = wait(pair.retire_old(over)).unwrap();
    assert_eq!(retired.len(), 1);
    let refused = SignError::NotActive { handle: first.handle, state: State::Retired };
    assert_eq!(wait(pair.sign(&first.handle, &checkpoint())), Err(refused.clone()));
    assert_eq!(wait(old.sign(&first.handle, &checkpoint())), Err(refused));
    assert!(AwsLc.verify(&first.public_key, TEXT, signed.as_bytes()).is_ok(), "it still verifies");

    // The same engine destroys what is left there.
    turn(&pair, over.saturating_add(DAY));
    assert_eq!(handles(&*old), []);
    let opened = Keystore::open_server(&folder.path("old.sealed"), &unlock).unwrap();
    assert_eq!(handles(&opened), []);
    assert_eq!(handles(&pair), [(heir.handle, State::Active)]);
}

/// A vault in a sealed file of its own.
fn vault(folder: &Folder, name: &str) -> Arc<SoftwareVault> {
    Arc::new(SoftwareVault::create(&folder.path(name), &folder.unlock()).unwrap())
}

#[test]
fn secrets_are_made_on_the_new_side_with_the_versions_that_follow() {
    let folder = Folder::new();
    let (old, new) = (vault(&folder, "old.vault"), vault(&folder, "new.vault"));
    let operator: vocabulary::code::OperatorCode = "harbour".parse().unwrap();
    let scope = Some(Scope { operator, zone: None });
    let epoch = epoch_at(NOW);
    let request = |kind, epoch, kdf| NewSecret {
        kind,
        scope: scope.clone(),
        epoch,
        kdf,
        state: State::Active,
        after: 0,
        at: NOW,
    };
    let now = request(SecretKind::Epoch, epoch, None);
    let next = request(SecretKind::Epoch, epoch + 1, None);
    let zone = request(SecretKind::Zone, 0, None);
    for first in [&now, &zone] {
        wait(old.generate(first.clone())).unwrap();
    }
    let pair = VaultPair::new(old.clone(), new.clone());
    let versions = |secret: &Secret| (secret.kind, secret.epoch, secret.version);
    // No version is given twice.
    assert_eq!(wait(pair.generate(zone)).unwrap().version, 2);
    assert_eq!(wait(pair.generate(now)).unwrap().version, 2);
    let current = pair.current(SecretKind::Zone, scope.as_ref().unwrap(), 0).unwrap();
    assert!(new.secrets().iter().any(|secret| secret.handle == current.handle));
    let made = wait(pair.generate(next)).unwrap();
    assert_eq!(versions(&made), (SecretKind::Epoch, epoch + 1, 1));
    assert_eq!((old.secrets().len(), new.secrets().len()), (2, 3));
    assert_eq!(pair.secrets().len(), 5);
    // Each is kept where it lies.
    for secret in pair.secrets().iter() {
        wait(pair.set_state(&secret.handle, State::Retired, NOW)).unwrap();
        wait(pair.destroy(&secret.handle)).unwrap();
    }
    assert_eq!((old.secrets().len(), new.secrets().len()), (0, 0));
}
