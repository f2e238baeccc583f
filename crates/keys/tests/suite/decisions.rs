//! The service's own decision over 100,000 objects: valid ones of every type, changed, cut, joined
//! and mixed. A key signs what is wholly of its type, and nothing else.

use std::collections::BTreeSet;

use keys::custody::{Key, KeyHandle, State};
use keys::object::TypedObject;
use keys::purpose::Purpose;
use keys::service::decide::{Rights, decide};
use keys::wire::refusal::Refusal;

use crate::post::AT;
use crate::samples;

const OBJECTS: u32 = 100_000;

fn key(purpose: Purpose) -> Key {
    let public = [4; 65];
    Key {
        handle: KeyHandle::of(&public),
        purpose,
        suite: purpose.suite(),
        operator: None,
        created_at: AT,
        public_key: credential::crypto::PublicKey::P256(public),
        certificate: None,
        state: State::Active,
        state_since: AT,
        held_by: "software".into(),
    }
}

fn all_rights() -> Rights {
    Rights { sign: BTreeSet::from(Purpose::ALL), ..Rights::default() }
}

/// Numbers that are the same in every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

fn mutated(numbers: &mut Seeded, samples: &[Vec<u8>]) -> Vec<u8> {
    let one = samples[numbers.below(samples.len())].clone();
    let other = &samples[numbers.below(samples.len())];
    let at = numbers.below(one.len());
    match numbers.below(7) {
        0 => one,
        1 => {
            let mut changed = one;
            changed[at] ^= u8::try_from(1 << numbers.below(8)).unwrap();
            changed
        }
        2 => one[..at].to_vec(),
        3 => [&one[..], other].concat(),
        4 => [&one[..at], &other[numbers.below(other.len())..]].concat(),
        5 => [&one[..at], other, &one[at..]].concat(),
        _ => {
            let mut changed = one;
            let end = (at + other.len()).min(changed.len());
            changed[at..end].copy_from_slice(&other[..end - at]);
            changed
        }
    }
}

#[test]
fn no_object_is_signed_by_a_key_of_another_type() {
    let rights = all_rights();
    let keys = Purpose::ALL.map(key);
    let samples: Vec<Vec<u8>> = samples::all().into_iter().map(|(_, bytes)| bytes).collect();
    let mut numbers = Seeded(3);
    let (mut allowed, mut elsewhere, mut other_suite) = (0, 0, 0);
    for _ in 0..OBJECTS {
        let bytes = mutated(&mut numbers, &samples);
        let signers: Vec<Purpose> = keys
            .iter()
            .filter(|key| match decide(&rights, key, &bytes) {
                Ok(object) => {
                    assert_eq!(object.object_type(), key.purpose.object_type());
                    assert_eq!(object.bytes(), bytes);
                    true
                }
                Err(Refusal::WrongType { purpose, found }) => {
                    assert_eq!(purpose, key.purpose);
                    assert_ne!(found.as_deref(), Some(purpose.object_type().as_str()));
                    elsewhere += u32::from(found.is_some());
                    false
                }
                // A change may have made one suite of another.
                Err(Refusal::WrongSuite { suite, named }) => {
                    assert!(suite == key.suite && named != suite);
                    other_suite += 1;
                    false
                }
                Err(other) => panic!("{other:?}"),
            })
            .map(|key| key.purpose)
            .collect();
        assert!(signers.len() <= 1, "{signers:?} would all sign {bytes:02x?}");
        allowed += u32::from(signers.len() == 1);
    }
    // The control: some were whole, and were refused by all keys but one.
    assert!(allowed > OBJECTS / 8, "{allowed}");
    assert_eq!(elsewhere, (allowed + other_suite) * 9);
}

#[test]
fn rights_and_state_come_before_the_bytes() {
    for (object_type, bytes) in samples::all() {
        let purpose = Purpose::ALL.into_iter().find(|it| it.object_type() == object_type).unwrap();
        let key = key(purpose);
        assert!(decide(&all_rights(), &key, &bytes).is_ok());
        let mut rights = all_rights();
        rights.sign.remove(&purpose);
        let refused = decide(&rights, &key, &bytes);
        let expected = Refusal::NotAllowed { deed: "sign".into(), purpose: Some(purpose) };
        assert_eq!(refused, Err(expected));
        for state in [State::Published, State::Retired] {
            let resting = Key { state, ..key.clone() };
            let refused = decide(&all_rights(), &resting, &bytes);
            assert_eq!(refused, Err(Refusal::NotActive { state }));
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(TypedObject::parse(object_type, &longer).is_err());
    }
}
