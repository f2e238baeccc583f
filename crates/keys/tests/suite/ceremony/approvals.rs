//! Approvals: a quorum is of distinct, registered persons for one deed at one time.

use std::time::Duration;

use credential::aws_lc::AwsLc;
use keys::ceremony::approval::{
    APPROVALS_MAX, Approval, ApprovalError, Approver, DeedName, Request, quorum,
};
use keys::custody::{Custody, Key, KeyHandle, NewKey};
use keys::object::{ObjectType, TypedObject};
use keys::purpose::{Purpose, Suite};
use keys::seal::Kind;
use keys::software::Keystore;
use vocabulary::time::Instant;

use crate::folder::Folder;
use crate::keystore::wait;

const NOW: Instant = Instant::from_unix_seconds(1_790_000_000);
const DIGEST: [u8; 32] = [7; 32];

struct Staff {
    store: Keystore,
    keys: Vec<Key>,
    approvers: Vec<Approver>,
    _folder: Folder,
}

impl Staff {
    /// Three persons; the third signs by ES384. The key of a fourth is known to nobody.
    fn new() -> Self {
        let folder = Folder::new();
        let path = folder.path("staff.keys");
        let store = Keystore::create(&path, Kind::Server, &folder.unlock()).unwrap();
        let suites = [Suite::Es256, Suite::Es256, Suite::Es384, Suite::Es256];
        let keys: Vec<Key> = suites
            .into_iter()
            .map(|suite| {
                let request = NewKey { suite, ..NewKey::active(Purpose::Staff, None, NOW) };
                wait(store.generate(request)).unwrap()
            })
            .collect();
        let names = ["Ada", "Bo", "Cem"];
        let approvers = names.iter().zip(&keys);
        let approvers = approvers
            .map(|(name, key)| Approver {
                name: name.parse().unwrap(),
                key: key.public_key.clone(),
            })
            .collect();
        Self { store, keys, approvers, _folder: folder }
    }

    fn approve(&self, person: usize, change: impl FnOnce(&mut Approval)) -> Vec<u8> {
        let key = &self.keys[person];
        let mut approval = Approval {
            deed: deed("open-vault"),
            digest: DIGEST,
            by: key.handle,
            at: NOW,
            expires_at: NOW.saturating_add(Duration::from_secs(60)),
        };
        change(&mut approval);
        let unsigned = approval.unsigned(&key.public_key);
        let bytes = unsigned.to_be_signed().to_vec();
        let object = TypedObject::parse(ObjectType::Approval, &bytes).unwrap();
        let signature = wait(self.store.sign(&key.handle, &object)).unwrap();
        unsigned.complete(&signature)
    }

    fn good(&self, person: usize) -> Vec<u8> {
        self.approve(person, |_| {})
    }

    fn judge(&self, needed: usize, approvals: &[Vec<u8>]) -> Result<usize, ApprovalError> {
        let deed = deed("open-vault");
        let request = Request { deed: &deed, digest: &DIGEST, needed, at: NOW };
        quorum(&AwsLc, &request, &self.approvers, approvals).map(|quorum| quorum.names().len())
    }
}

fn deed(name: &str) -> DeedName {
    name.parse().unwrap()
}

fn name(text: &str) -> keys::ceremony::approval::PersonName {
    text.parse().unwrap()
}

#[test]
fn distinct_registered_persons_make_a_quorum() {
    let staff = Staff::new();
    assert_eq!(staff.judge(2, &[staff.good(0), staff.good(2)]), Ok(2));
    assert_eq!(staff.judge(3, &[staff.good(0), staff.good(1), staff.good(2)]), Ok(3));
}

#[test]
fn the_same_person_twice_counts_once() {
    let staff = Staff::new();
    let later =
        staff.approve(0, |approval| approval.at = NOW.saturating_sub(Duration::from_secs(9)));
    let error = ApprovalError::Twice { position: 2, name: name("Ada") };
    assert_eq!(staff.judge(2, &[staff.good(0), later]), Err(error));
    // One person under two keys is one person.
    let mut two_keys = Staff::new();
    two_keys.approvers[1].name = name("Ada");
    let error = ApprovalError::Twice { position: 2, name: name("Ada") };
    assert_eq!(two_keys.judge(2, &[two_keys.good(0), two_keys.good(1)]), Err(error));
}

#[test]
fn too_few_are_too_few_and_no_deed_needs_nobody() {
    let staff = Staff::new();
    let few = ApprovalError::TooFew { found: 1, needed: 2 };
    assert_eq!(staff.judge(2, &[staff.good(0)]), Err(few));
    assert_eq!(staff.judge(1, &[staff.good(0)]), Ok(1));
    assert_eq!(staff.judge(0, &[]), Err(ApprovalError::TooFew { found: 0, needed: 1 }));
}

#[test]
fn another_deed_or_another_object_is_refused() {
    let staff = Staff::new();
    let other = staff.approve(1, |approval| approval.deed = deed("open-door"));
    let error = ApprovalError::OtherDeed { position: 2, name: name("Bo"), deed: deed("open-door") };
    assert_eq!(staff.judge(2, &[staff.good(0), other]), Err(error));
    let other = staff.approve(1, |approval| approval.digest = [8; 32]);
    let error =
        ApprovalError::OtherDeed { position: 2, name: name("Bo"), deed: deed("open-vault") };
    assert_eq!(staff.judge(2, &[staff.good(0), other]), Err(error));
}

#[test]
fn approvals_hold_from_their_first_instant_to_the_last() {
    let staff = Staff::new();
    let second = Duration::from_secs(1);
    let error = || Err(ApprovalError::NotInForce { position: 1, name: name("Ada") });
    for (at, expires_at, expected) in [
        (NOW, NOW.saturating_add(second), Ok(1)),
        (NOW.saturating_sub(second), NOW, error()),
        (NOW.saturating_add(second), NOW.saturating_add(2 * second), error()),
    ] {
        let approval = staff.approve(0, |approval| {
            approval.at = at;
            approval.expires_at = expires_at;
        });
        assert_eq!(staff.judge(1, &[approval]), expected);
    }
}

#[test]
fn unknown_keys_and_forged_signatures_are_refused() {
    let mut staff = Staff::new();
    let stranger = staff.good(3);
    let key = staff.keys[3].handle;
    let error = ApprovalError::UnknownKey { position: 2, key };
    assert_eq!(staff.judge(2, &[staff.good(0), stranger.clone()]), Err(error));
    // A stranger who writes Bo's handle into the approval and signs with their own key.
    let bo: KeyHandle = staff.keys[1].handle;
    let forged = staff.approve(3, |approval| approval.by = bo);
    let error = ApprovalError::Forged { position: 2, name: name("Bo") };
    assert_eq!(staff.judge(2, &[staff.good(0), forged]), Err(error));
    // The control: once the stranger is registered, the same bytes count.
    let key = staff.keys[3].public_key.clone();
    staff.approvers.push(Approver { name: name("Dee"), key });
    assert_eq!(staff.judge(2, &[staff.good(0), stranger]), Ok(2));
}

#[test]
fn no_byte_of_an_approval_can_be_changed() {
    let staff = Staff::new();
    for person in [0, 2] {
        let good = staff.good(person);
        for position in 0..good.len() {
            for bit in [1, 0x80] {
                let mut changed = good.clone();
                changed[position] ^= bit;
                assert!(staff.judge(1, &[changed]).is_err(), "{position}");
            }
            assert!(staff.judge(1, &[good[..position].to_vec()]).is_err());
        }
        assert_eq!(staff.judge(1, &[good]), Ok(1));
    }
}

#[test]
fn the_number_of_approvals_is_limited() {
    let staff = Staff::new();
    let garbage = |count| vec![vec![0]; count];
    let form = ApprovalError::Form { position: 1 };
    assert_eq!(staff.judge(1, &garbage(APPROVALS_MAX)), Err(form));
    let many = ApprovalError::TooMany { found: APPROVALS_MAX + 1 };
    assert_eq!(staff.judge(1, &garbage(APPROVALS_MAX + 1)), Err(many));
}
