//! Loss of power at every point at which something is stored.

use reader::decision::Reason;
use reader::engine::{Input, Memory, Output};

use crate::city::{CRYPTO, City, GATE, hours, noon};
use crate::gate::{Gate, Seen};
use crate::taps::phone;

/// Hands in `input` and takes the memory that the reader wants stored, without storing it.
fn interrupted(gate: &mut Gate, input: Input<'_>) -> Vec<u8> {
    gate.engine.handle(CRYPTO, noon(), input);
    match gate.engine.poll_output() {
        Some(Output::Persist(memory)) => memory,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bundle_counts_only_once_it_is_stored() {
    let city = City::new();
    let newer = city.signed(&city.bundle(2));
    let older = city.signed(&city.bundle(1));
    // Power goes before the memory is written: the reader is what it was.
    let mut gate = Gate::ready(&city);
    let memory = interrupted(&mut gate, Input::Bundle(&newer));
    assert_eq!(gate.engine.watermark().bundle_epoch, 1, "not in force yet");
    let mut woken = gate.restart(&city);
    assert_eq!(woken.engine.watermark().bundle_epoch, 1);
    assert_eq!(woken.tap(&phone(&city), GATE), Seen::Unlocked);
    // Power goes after it: the reader knows the newer one and refuses the older one.
    gate.memory = memory;
    let mut woken = gate.restart(&city);
    assert_eq!(woken.engine.watermark().bundle_epoch, 2);
    woken.give(Input::Bundle(&older));
    assert_eq!(woken.rejected, ["bundle-epoch"]);
    assert_eq!(woken.tap(&phone(&city), GATE), Seen::Unlocked);
}

#[test]
fn bundle_counts_by_its_own_memory_and_not_by_one_given_out_before() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    interrupted(&mut gate, Input::StatusList(&city.status_list(hours(0))));
    interrupted(&mut gate, Input::Bundle(&city.signed(&city.bundle(2))));
    gate.engine.handle(CRYPTO, noon(), Input::Persisted);
    assert_eq!(gate.engine.watermark().bundle_epoch, 1, "only the status list is stored");
    gate.engine.handle(CRYPTO, noon(), Input::Persisted);
    assert_eq!(gate.engine.watermark().bundle_epoch, 2, "control");
}

#[test]
fn full_disk_leaves_the_bundle_that_was() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    gate.disk_full = true;
    gate.give(Input::Bundle(&city.signed(&city.bundle(2))));
    assert_eq!(gate.engine.watermark().bundle_epoch, 1);
    gate.disk_full = false;
    gate.give(Input::Bundle(&city.signed(&city.bundle(2))));
    assert_eq!(gate.engine.watermark().bundle_epoch, 2, "control");
}

#[test]
fn second_bundle_waits_until_the_first_is_stored() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    let memory = interrupted(&mut gate, Input::Bundle(&city.signed(&city.bundle(2))));
    gate.give(Input::Bundle(&city.signed(&city.bundle(3))));
    assert_eq!(gate.rejected, ["bundle-pending"]);
    gate.memory = memory;
    gate.give(Input::Persisted);
    assert_eq!(gate.engine.watermark().bundle_epoch, 2);
}

#[test]
fn revocation_and_signed_time_outlive_a_restart() {
    let city = City::new();
    let gate = Gate::ready(&city);
    let device = crate::city::key(50);
    let revoked = crate::gate::Phone {
        issuer_signed: city.pass(&city.transit_signer, &crate::city::ticket(), Some(1), &device),
        ..phone(&city)
    };
    let mut woken = gate.restart(&city);
    assert_eq!(woken.tap(&revoked, GATE), Seen::Refused(Reason::Revoked));
    woken.begin(noon().saturating_sub(hours(3)), GATE);
    woken.drain(noon(), None);
    assert_eq!(woken.seen, [Seen::Refused(Reason::ClockBehind)]);
}

#[test]
fn grant_without_its_record_never_happened() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    gate.disk_full = true;
    assert_eq!(gate.tap(&phone(&city), GATE), Seen::Refused(Reason::JournalFull));
    let mut woken = gate.restart(&city);
    assert!(woken.events().is_empty());
    assert_eq!(woken.tap(&phone(&city), GATE), Seen::Unlocked);
    let mut again = woken.restart(&city);
    assert_eq!(again.tap(&phone(&city), GATE), Seen::Unlocked);
    assert_eq!(again.events().len(), 2, "the chain goes on");
}

#[test]
fn altered_memory_is_not_believed() {
    let city = City::new();
    let gate = Gate::ready(&city);
    let bytes = gate.memory.clone();
    let mut rejected = 0;
    for at in (0..bytes.len()).step_by(11) {
        let mut altered = bytes.clone();
        altered[at] ^= 4;
        if Memory::decode(&altered).is_err() {
            rejected += 1;
            continue;
        }
        let mut woken = Gate::new(&city);
        woken.memory = altered;
        let woken = woken.restart(&city);
        // What the city signed either still holds or is told to be wrong.
        let bundle = woken.engine.bundle().map(|bundle| bundle.bundle().clone());
        assert!(bundle.is_none_or(|bundle| bundle == city.bundle(1)), "byte {at}");
        rejected += usize::from(!woken.rejected.is_empty());
    }
    assert!(rejected > bytes.len() / 11 / 2, "{rejected}");
}
