//! Each measure, broken on purpose: the attack that it stops succeeds. This is the control of the
//! refusals in `taps`.

use reader::decision::Reason;
use reader::engine::sabotage::{DangerSabotage, NAMES};

use crate::city::{City, GATE, GATE_C, days, key, noon, ticket};
use crate::gate::{Bent, Gate, Phone, Seen};
use crate::taps::phone;

/// Runs `attack` against a sound reader and against one with a broken measure.
fn check(name: &str, attack: impl Fn(&City, &mut Gate) -> Seen, sound: Reason) {
    let city = City::new();
    for other in NAMES {
        let mut gate = Gate::ready(&city);
        gate.engine.danger_sabotage(DangerSabotage::named(other).unwrap());
        let expected = if other == name { Seen::Unlocked } else { Seen::Refused(sound) };
        assert_eq!(attack(&city, &mut gate), expected, "{name} against {other}");
    }
    let mut gate = Gate::ready(&city);
    gate.engine.danger_sabotage(DangerSabotage::default());
    assert_eq!(attack(&city, &mut gate), Seen::Refused(sound), "{name} against none");
}

#[test]
fn altered_pass_enters_where_digests_are_not_compared() {
    let attack = |city: &City, gate: &mut Gate| {
        gate.tap(&Phone { bent: Bent::Alters, ..phone(city) }, GATE_C)
    };
    check("digest-not-compared", attack, Reason::PassAltered);
}

#[test]
fn expired_pass_enters_where_validity_is_ignored() {
    let attack = |city: &City, gate: &mut Gate| {
        gate.tap_at(noon().saturating_add(days(30)), &phone(city), GATE)
    };
    check("validity-ignored", attack, Reason::Expired);
}

#[test]
fn copied_pass_enters_where_the_device_key_is_unchecked() {
    let attack =
        |city: &City, gate: &mut Gate| gate.tap(&Phone { device: key(51), ..phone(city) }, GATE);
    check("device-key-unchecked", attack, Reason::HolderMismatch);
}

#[test]
fn revoked_pass_enters_where_status_is_ignored() {
    let attack = |city: &City, gate: &mut Gate| {
        let device = key(50);
        let issuer_signed = city.pass(&city.transit_signer, &ticket(), Some(1), &device);
        gate.tap(&Phone { issuer_signed, device, bent: Bent::Not }, GATE)
    };
    check("status-ignored", attack, Reason::Revoked);
}

#[test]
fn replayed_session_enters_where_the_nonce_is_reused() {
    let attack = |city: &City, gate: &mut Gate| {
        assert_eq!(gate.tap(&phone(city), GATE), Seen::Unlocked);
        let recording = gate.recorded.clone();
        gate.replay(noon(), GATE, &recording)
    };
    check("nonce-reused", attack, Reason::WireTampered);
}

#[test]
fn tap_leaves_no_trace_where_its_journal_entry_is_dropped() {
    let city = City::new();
    for name in NAMES {
        let mut gate = Gate::ready(&city);
        gate.engine.danger_sabotage(DangerSabotage::named(name).unwrap());
        assert_eq!(gate.tap(&phone(&city), GATE), Seen::Unlocked);
        assert_eq!(gate.events().is_empty(), name == "journal-entry-dropped", "{name}");
    }
}
