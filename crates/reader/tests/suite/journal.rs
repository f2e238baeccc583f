//! No record, no deed; and the way out is always free.

use std::time::Duration;

use audit::journal::Head;
use credential::crypto::PublicKey;
use reader::decision::Reason;
use reader::engine::{EGRESS_UNLOCK_MS, Engine, Input, Memory, Output, RECORD_WAIT_MAX};
use reader::journal::{Outcome, RESERVE};
use vocabulary::time::Instant;

use crate::city::{CRYPTO, City, GATE, GATE_C, READER, noon, place, public};
use crate::gate::{Gate, Seen};
use crate::taps::phone;

/// A reader whose journal has room for so many records.
fn small(city: &City, records: u64) -> Gate {
    let mut config = city.config();
    config.journal_records_max = records;
    let head = Head::start(*READER.as_bytes());
    let engine = Engine::new(CRYPTO, config, Memory::default(), head, 0);
    let mut gate = Gate::around(engine, Vec::new(), Memory::default().encode());
    gate.give(Input::Bundle(&city.signed(&city.bundle(1))));
    gate.give(Input::StatusList(&city.status_list(crate::city::hours(1))));
    gate
}

fn egress(gate: &mut Gate) {
    gate.seen.clear();
    gate.give(Input::Egress { door: place(GATE) });
    assert_eq!(gate.seen, [Seen::Unlocked]);
}

#[test]
fn record_that_fails_keeps_the_door_closed() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    gate.disk_full = true;
    assert_eq!(gate.tap(&phone(&city), GATE), Seen::Refused(Reason::JournalFull));
    egress(&mut gate);
    gate.disk_full = false;
    assert_eq!(gate.tap(&phone(&city), GATE), Seen::Unlocked, "control");
    let events = gate.events();
    assert_eq!((events.len(), events[0].missed), (1, 2), "{events:?}");
}

#[test]
fn way_out_unlocks_for_long_enough_whatever_the_bundle_says() {
    let city = City::new();
    for (unlock_ms, expected) in [(0, EGRESS_UNLOCK_MS), (20_000, 20_000)] {
        let mut gate = Gate::ready(&city);
        let bundle = reader::bundle::Bundle { unlock_ms, ..city.bundle(2) };
        gate.give(Input::Bundle(&city.signed(&bundle)));
        gate.engine.handle(CRYPTO, noon(), Input::Egress { door: place(GATE) });
        let Some(Output::Unlock { duration_ms, .. }) = gate.engine.poll_output() else {
            panic!("the way out is free")
        };
        assert_eq!(duration_ms, expected);
    }
}

#[test]
fn nothing_unlocks_before_its_record_is_durable() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    gate.disk_full = true;
    assert_eq!(gate.tap(&phone(&city), GATE), Seen::Refused(Reason::JournalFull));
    // A confirmation that nobody waits for opens nothing.
    gate.seen.clear();
    gate.give(Input::Recorded);
    assert_eq!(gate.seen, []);
}

/// What becomes of a grant whose record is durable after `waited`; a way out stands behind it.
fn late(city: &City, now: Instant) -> (Vec<Seen>, Vec<Outcome>) {
    let mut gate = Gate::ready(city);
    gate.stalled = true;
    assert_eq!(gate.try_tap(&phone(city), GATE), []);
    gate.engine.handle(CRYPTO, noon(), Input::Egress { door: place(GATE) });
    gate.drain(noon(), None);
    assert_eq!(gate.seen, [Seen::Unlocked], "the way out waits for nothing");
    gate.stalled = false;
    gate.give_at(now, Input::Recorded);
    let pass = gate.events()[0].pass.clone();
    assert!(
        gate.events().iter().all(|event| event.outcome == Outcome::Egress || event.pass == pass)
    );
    (gate.seen.split_off(1), gate.events().into_iter().map(|event| event.outcome).collect())
}

#[test]
fn grant_whose_record_comes_late_opens_nothing() {
    let city = City::new();
    let granted = Outcome::Granted { rule: 0 };
    let second = Duration::from_secs(1);
    let in_time = (vec![Seen::Unlocked], vec![granted, Outcome::Egress]);
    let refused = Reason::RecordLate;
    let too_late =
        (vec![Seen::Refused(refused)], vec![granted, Outcome::Egress, Outcome::Refused(refused)]);
    assert_eq!(late(&city, noon()), in_time);
    assert_eq!(late(&city, noon().saturating_add(RECORD_WAIT_MAX)), in_time, "at the limit");
    let past = noon().saturating_add(RECORD_WAIT_MAX + Duration::from_micros(1));
    assert_eq!(late(&city, past), too_late, "one past it");
    assert_eq!(late(&city, noon().saturating_add(30 * second)), too_late);
    // The clock was set back while the disk stalled.
    assert_eq!(late(&city, noon().saturating_sub(RECORD_WAIT_MAX)), in_time);
    assert_eq!(late(&city, noon().saturating_sub(3 * second)), too_late);
}

#[test]
fn taps_leave_the_reserve_to_ways_out() {
    let city = City::new();
    let mut gate = small(&city, RESERVE + 2);
    let phone = phone(&city);
    assert_eq!(gate.tap(&phone, GATE), Seen::Unlocked, "at the limit");
    assert_eq!(gate.tap(&phone, GATE), Seen::Unlocked, "at the limit");
    assert_eq!(gate.tap(&phone, GATE), Seen::Refused(Reason::JournalFull), "one past it");
    for _ in 0..RESERVE {
        egress(&mut gate);
    }
    assert_eq!(gate.events().len() as u64, RESERVE + 2);
    egress(&mut gate);
    assert_eq!(gate.events().len() as u64, RESERVE + 2, "free even without room to record");
    gate.give(Input::Acknowledged { records: RESERVE + 2 });
    assert_eq!(gate.tap(&phone, GATE), Seen::Unlocked, "room again");
    assert_eq!(gate.events().last().unwrap().missed, 1);
}

#[test]
fn refusals_do_not_crowd_out_those_who_may_enter() {
    let city = City::new();
    let mut gate = small(&city, 4 * RESERVE);
    let phone = phone(&city);
    for _ in 0..2 * RESERVE + 1 {
        assert!(matches!(gate.tap(&phone, GATE_C), Seen::Refused(_)));
    }
    assert_eq!(gate.events().len() as u64, 2 * RESERVE, "half of the room");
    assert_eq!(gate.tap(&phone, GATE), Seen::Unlocked);
    let last = gate.events().pop().unwrap();
    assert_eq!((last.outcome, last.missed), (Outcome::Granted { rule: 0 }, 1));
}

#[test]
fn events_wait_for_the_record_before_them() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    let door = || place(GATE);
    gate.engine.handle(CRYPTO, noon(), Input::Egress { door: door() });
    gate.engine.handle(CRYPTO, noon(), Input::Egress { door: door() });
    let outputs: Vec<Output> = core::iter::from_fn(|| gate.engine.poll_output()).collect();
    let [Output::Unlock { .. }, Output::Record(first), Output::Unlock { .. }] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    gate.journal.push(first.clone());
    gate.give(Input::Recorded);
    assert_eq!(gate.events().len(), 2);
}

#[test]
fn signed_head_covers_the_journal_and_verifies_with_the_reader_key() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    assert_eq!(gate.tap(&phone(&city), GATE), Seen::Unlocked);
    let head = *gate.engine.journal_head();
    let signed = gate.engine.signed_head(&head, noon()).unwrap().unwrap();
    let other = audit::journal::Head::start([9; 16]);
    assert_eq!(gate.engine.signed_head(&other, noon()), Ok(None));
    let verify = |key: PublicKey| {
        let head = gate.engine.journal_head();
        head.verify_signed(&signed, |bytes, signature| {
            CRYPTO.verify(&key, bytes, signature).is_ok()
        })
    };
    assert_eq!(verify(public(&city.reader.key)), Ok(noon()));
    assert!(verify(public(&city.transit.key)).is_err(), "control");
}
