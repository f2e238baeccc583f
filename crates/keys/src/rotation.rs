//! Rotation: what each key of the city is due for, from the keys and the time alone.
//!
//! A key is published before its first use, so that whoever must believe it has learnt of it; it
//! signs; its successor takes over, and for a while both are at hand; it retires; and when nothing
//! that it signed can be alive any more, it is destroyed. [`due`] says which of these steps a set of
//! keys is due for. It does nothing by itself and is asked again until it says nothing: it may be
//! interrupted between any two steps.
//!
//! The table of lives is [`lives::Lives`]; the reasons stand with it.

pub mod lives;

use core::time::Duration;
use std::collections::BTreeSet;

use credential::x509::Certificate;
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use self::lives::{Life, Lives};
use crate::custody::{Key, KeyHandle, State};
use crate::purpose::{Purpose, Suite};

/// One step in the life of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a key, [`State::Published`].
    Make {
        /// What it is for.
        purpose: Purpose,
        /// Whose it is; `None` for the city's own.
        operator: Option<OperatorCode>,
        /// Of which suite: that of the key which it follows.
        suite: Suite,
    },
    /// Have it certified by the authority above it, and keep the certificate.
    Certify(KeyHandle),
    /// Let it sign: [`State::Active`].
    Activate(KeyHandle),
    /// Let it sign no more: [`State::Retired`].
    Retire(KeyHandle),
    /// Destroy its private half and record that.
    Destroy(KeyHandle),
}

/// The steps that `keys` are due for at `now`, in the order in which to take them.
///
/// A purpose for which no key was ever made is not begun here: founding a city does that. A step
/// that cannot be taken yet (its authority is not at hand) may be left out; it comes again. After
/// the steps are taken, ask again: one makes another possible at the same instant.
#[must_use]
pub fn due(keys: &[Key], lives: &Lives, now: Instant) -> Vec<Step> {
    let owners: BTreeSet<(Purpose, Option<&OperatorCode>)> =
        keys.iter().map(|key| (key.purpose, key.operator.as_ref())).collect();
    let mut steps = Vec::new();
    for (purpose, operator) in owners {
        let line: Vec<&Key> = keys
            .iter()
            .filter(|key| key.purpose == purpose && key.operator.as_ref() == operator)
            .collect();
        let authority = authority_above(purpose)
            .and_then(|(above, is_own)| newest_active(keys, above, operator.filter(|_| is_own)));
        Line { keys: &line, life: lives.of(purpose), lives, authority, now }.due(&mut steps);
    }
    steps
}

/// Begins the rotation of one purpose of one owner before its time: the step that makes a successor
/// of the newest key, unless one is under way or there is no key.
#[must_use]
pub fn begin(keys: &[Key], purpose: Purpose, operator: Option<&OperatorCode>) -> Option<Step> {
    let mut line = keys.iter().filter(|key| {
        key.purpose == purpose && key.operator.as_ref() == operator && key.state != State::Retired
    });
    let newest = line.next_back()?;
    (newest.state == State::Active).then(|| successor(newest))
}

fn successor(key: &Key) -> Step {
    Step::Make { purpose: key.purpose, operator: key.operator.clone(), suite: key.suite }
}

/// Whose successor makes new keys of `purpose` due, because readers or verifiers follow the chain up
/// to it, and whether it is the operator's own.
const fn authority_above(purpose: Purpose) -> Option<(Purpose, bool)> {
    match purpose {
        Purpose::DocumentSignerMdoc | Purpose::DocumentSignerSdJwt => {
            Some((Purpose::IssuingAuthority, true))
        }
        Purpose::Bundle => Some((Purpose::CityRoot, false)),
        _ => None,
    }
}

fn newest_active<'k>(
    keys: &'k [Key],
    purpose: Purpose,
    operator: Option<&OperatorCode>,
) -> Option<&'k Key> {
    keys.iter().rev().find(|key| {
        key.purpose == purpose && key.operator.as_ref() == operator && key.state == State::Active
    })
}

/// Whether the certificate of `key` names another authority than `authority` as its issuer.
fn is_of_another(key: &Key, authority: &Key) -> bool {
    let (Some(own), Some(above)) = (&key.certificate, &authority.certificate) else { return false };
    let (Ok(own), Ok(above)) = (Certificate::parse(own), Certificate::parse(above)) else {
        return false;
    };
    own.authority_key_id.is_some()
        && above.subject_key_id.is_some()
        && own.authority_key_id != above.subject_key_id
}

/// What comes next for `key` by the clock alone, and when: its first use, its successor, or its end.
/// A retired key may be kept for longer, a published one waits for its certificate.
#[must_use]
pub fn next_rotation(key: &Key, lives: &Lives) -> (Instant, &'static str) {
    let life = lives.of(key.purpose);
    match key.state {
        State::Published => {
            (key.state_since.saturating_add(lives.lead(key.purpose, key.suite)), "first use")
        }
        State::Active => (renewal(key, life), "successor"),
        State::Retired => (key.state_since.saturating_add(life.hold), "destruction"),
    }
}

/// Whether keys of `purpose` sign only with a certificate of an authority above them.
#[must_use]
pub const fn is_certified(purpose: Purpose) -> bool {
    !matches!(purpose, Purpose::Checkpoint | Purpose::Staff | Purpose::Firmware)
}

/// When the successor of the active `key` is to be made: by its age, or before its certificate ends.
fn renewal(key: &Key, life: Life) -> Instant {
    let by_age = key.state_since.saturating_add(life.successor_after);
    let end = key.certificate.as_deref().and_then(|der| Certificate::parse(der).ok());
    end.map_or(by_age, |end| by_age.min(end.not_after.saturating_sub(life.renew_before)))
}

/// The keys of one purpose and owner, oldest first.
struct Line<'l> {
    keys: &'l [&'l Key],
    life: Life,
    lives: &'l Lives,
    /// The authority whose chain the keys should be of.
    authority: Option<&'l Key>,
    now: Instant,
}

impl<'l> Line<'l> {
    fn due(&self, steps: &mut Vec<Step>) {
        let newest_active = self.of(State::Active).last();
        let has_heir = self.of(State::Published).next().is_some();
        let newest = newest_active.or_else(|| self.keys.last().copied());
        let needs_heir = newest_active.is_none_or(|key| {
            let is_left_behind = self.authority.is_some_and(|above| is_of_another(key, above));
            is_left_behind || renewal(key, self.life) <= self.now
        });
        if let (Some(key), true, false) = (newest, needs_heir, has_heir) {
            steps.push(successor(key));
        }
        // A first document signer has no predecessor that could sign while readers learn of it.
        let is_first =
            |key: &Key| newest_active.is_none() && key.purpose == Purpose::DocumentSignerMdoc;
        for key in self.of(State::Published) {
            if is_certified(key.purpose) && key.certificate.is_none() {
                steps.push(Step::Certify(key.handle));
            } else if is_first(key) || self.is_past(key, self.lives.lead(key.purpose, key.suite)) {
                steps.push(Step::Activate(key.handle));
            }
        }
        self.retire(steps);
        // What signs, or will, stands behind a destruction: the last key of a line stays.
        if newest_active.is_some() || has_heir {
            let over = self.of(State::Retired).filter(|key| self.is_past(key, self.life.hold));
            steps.extend(over.map(|key| Step::Destroy(key.handle)));
        }
    }

    /// Every active key retires once a later one has signed beside it for the overlap.
    fn retire(&self, steps: &mut Vec<Step>) {
        for (position, key) in self.keys.iter().enumerate() {
            let followers = self.keys.iter().skip(position + 1);
            let is_followed = followers
                .filter(|later| later.state == State::Active)
                .any(|later| self.is_past(later, self.life.overlap));
            if key.state == State::Active && is_followed {
                steps.push(Step::Retire(key.handle));
            }
        }
    }

    fn of(&self, state: State) -> impl Iterator<Item = &'l Key> + use<'l> {
        self.keys.iter().copied().filter(move |key| key.state == state)
    }

    fn is_past(&self, key: &Key, span: Duration) -> bool {
        key.state_since.saturating_add(span) <= self.now
    }
}
