//! Rotation on virtual time: keys that live through years of due steps, taken late and in part.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use credential::crypto::PublicKey;
use keys::custody::{Key, KeyHandle, State};
use keys::purpose::{Purpose, Suite};
use keys::rotation::lives::{BUNDLE_LIFE_MAX, LEARNING_MARGIN, Lives};
use keys::rotation::{Step, due, is_certified, next_rotation};
use proptest::prelude::*;
use vocabulary::time::Instant;

const DAY: Duration = Duration::from_secs(86_400);
const START: Instant = Instant::from_unix_seconds(1_790_000_000);

/// Rounds in which everything that is due must be done.
const ROUNDS_MAX: usize = 8;

/// A city whose keys are descriptions only.
struct Keyring {
    keys: Vec<Key>,
    made: u64,
    lives: Lives,
    /// Since when each key is published.
    published: BTreeMap<KeyHandle, Instant>,
    /// The last instant at which each key could have signed.
    signed_until: BTreeMap<KeyHandle, Instant>,
}

impl Keyring {
    fn founded(lives: Lives) -> Self {
        let (published, signed_until) = (BTreeMap::new(), BTreeMap::new());
        let mut ring = Self { keys: Vec::new(), made: 0, lives, published, signed_until };
        for purpose in Purpose::ALL {
            let handle = ring.make(purpose, purpose.suite(), START);
            ring.key(handle).certificate = Some(Arc::from([0]));
            ring.key(handle).state = State::Active;
        }
        ring
    }

    fn make(&mut self, purpose: Purpose, suite: Suite, at: Instant) -> KeyHandle {
        self.made += 1;
        let mut point = [0; 65];
        point[..8].copy_from_slice(&self.made.to_be_bytes());
        let handle = KeyHandle::of(&point);
        self.published.insert(handle, at);
        self.keys.push(Key {
            handle,
            purpose,
            suite,
            operator: None,
            created_at: at,
            public_key: PublicKey::P256(point),
            certificate: None,
            state: State::Published,
            state_since: at,
            held_by: Arc::from("test"),
        });
        handle
    }

    fn key(&mut self, handle: KeyHandle) -> &mut Key {
        self.keys.iter_mut().find(|key| key.handle == handle).unwrap()
    }

    fn take(&mut self, step: &Step, at: Instant) {
        let lives = self.lives;
        match step {
            Step::Make { purpose, suite, .. } => drop(self.make(*purpose, *suite, at)),
            Step::Certify(handle) => self.key(*handle).certificate = Some(Arc::from([0])),
            Step::Activate(handle) => {
                let lead = at.duration_since(self.published[handle]);
                let key = self.key(*handle);
                assert_eq!(key.state, State::Published, "a life goes one way");
                assert!(lead >= lives.of(key.purpose).lead, "{} before its lead", key.purpose);
                assert!(key.certificate.is_some() || !is_certified(key.purpose));
                (key.state, key.state_since) = (State::Active, at);
            }
            Step::Retire(handle) => {
                let key = self.key(*handle);
                assert_eq!(key.state, State::Active, "a life goes one way");
                (key.state, key.state_since) = (State::Retired, at);
                self.signed_until.insert(*handle, at);
            }
            Step::Destroy(handle) => {
                let key = self.key(*handle).clone();
                assert_eq!(key.state, State::Retired, "a life goes one way");
                let silent = at.duration_since(self.signed_until[handle]);
                assert!(silent >= lives.of(key.purpose).hold, "{} may be alive", key.purpose);
                self.keys.retain(|key| key.handle != *handle);
            }
        }
    }

    /// Somebody signs for every purpose, and not by more keys than an overlap explains.
    fn check(&self) {
        for purpose in Purpose::ALL {
            let of = |state| {
                self.keys.iter().filter(|key| key.purpose == purpose && key.state == state).count()
            };
            assert!((1..=2).contains(&of(State::Active)), "{purpose}");
            assert!(of(State::Published) <= 1, "{purpose}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The assertions stand where the steps are taken.
    #[test]
    fn somebody_can_always_sign_and_nobody_before_its_lead(
        pauses in prop::collection::vec((1_u64..40 * 24, any::<u8>()), 1..200),
        bundle_days in 0_u32..40,
    ) {
        let mut ring = Keyring::founded(Lives::new(DAY * bundle_days));
        let mut at = START;
        for (hours, skipped) in pauses {
            at = at.saturating_add(Duration::from_secs(3_600 * hours));
            let mut rounds = 0;
            loop {
                let steps = due(&ring.keys, &ring.lives, at);
                // At times one step fails, or the power does; the rest is taken all the same.
                let fails = |position: usize| rounds == 0 && position == usize::from(skipped) % 16;
                steps.iter().enumerate().filter(|(position, _)| !fails(*position))
                    .for_each(|(_, step)| ring.take(step, at));
                ring.check();
                if steps.is_empty() { break }
                rounds += 1;
                prop_assert!(rounds < ROUNDS_MAX, "{steps:?}");
            }
        }
    }
}

#[test]
fn skipped_lead_is_noticed() {
    let mut ring = Keyring::founded(Lives::default());
    let at = START.saturating_add(DAY * 400);
    let sabotaged = ring.lives.danger_without_leads();
    let early = (0..ROUNDS_MAX).any(|_| {
        let steps = due(&ring.keys, &sabotaged, at);
        let activated = steps.iter().any(|step| {
            matches!(step, Step::Activate(handle) if ring.key(*handle).purpose == Purpose::StatusList)
        });
        if !activated {
            steps.iter().filter(|step| !matches!(step, Step::Activate(_))).for_each(|step| ring.take(step, at));
        }
        activated
    });
    assert!(early, "the control activates at once what a lead would have held back");
}

#[test]
fn leads_outlast_every_bundle_from_before() {
    for days in [0, 1, 7, 30, 31] {
        let lives = Lives::new(DAY * days);
        assert_eq!(lives.bundle_life(), (DAY * days).min(BUNDLE_LIFE_MAX));
        for purpose in [
            Purpose::CityRoot,
            Purpose::IssuingAuthority,
            Purpose::ReaderAuthority,
            Purpose::StatusList,
            Purpose::Firmware,
        ] {
            assert!(lives.of(purpose).lead >= lives.bundle_life() + LEARNING_MARGIN, "{purpose}");
        }
    }
}

#[test]
fn successor_is_made_in_time_before_its_predecessors_certificate_ends() {
    for purpose in Purpose::ALL {
        for days in [1, 7, 30] {
            let life = Lives::new(DAY * days).of(purpose);
            assert!(
                life.renew_before >= life.lead + life.overlap || !is_certified(purpose),
                "{purpose}"
            );
            assert!(life.successor_after > life.lead + life.overlap, "{purpose}");
        }
    }
}

#[test]
fn line_without_a_signer_gets_one_and_its_last_key_is_kept() {
    let mut ring = Keyring::founded(Lives::default());
    ring.keys.retain(|key| key.purpose == Purpose::DocumentSignerMdoc);
    let handle = ring.keys[0].handle;
    ring.take(&Step::Retire(handle), START);
    let late = START.saturating_add(DAY * 1000);
    let steps = due(&ring.keys, &ring.lives, late);
    assert!(matches!(steps.as_slice(), [Step::Make { .. }]), "{steps:?}");
    ring.take(&steps[0], late);
    let heir = ring.keys[1].handle;
    assert_eq!(due(&ring.keys, &ring.lives, late), [Step::Certify(heir), Step::Destroy(handle)],);
    ring.take(&Step::Certify(heir), late);
    let steps = due(&ring.keys, &ring.lives, late);
    assert_eq!(steps, [Step::Activate(heir), Step::Destroy(handle)]);
}

#[test]
fn next_rotation_tells_what_comes_and_when() {
    let mut ring = Keyring::founded(Lives::default());
    let lives = ring.lives;
    let key = ring.keys.iter().find(|key| key.purpose == Purpose::StatusList).unwrap().clone();
    let days = |days: u32| START.saturating_add(DAY * days);
    assert_eq!(next_rotation(&key, &lives), (days(365), "successor"));
    let retired = Key { state: State::Retired, ..key.clone() };
    assert_eq!(next_rotation(&retired, &lives), (days(8), "destruction"));
    let handle = ring.make(Purpose::StatusList, Suite::Es256, START);
    assert_eq!(next_rotation(ring.key(handle), &lives), (days(8), "first use"));
}
