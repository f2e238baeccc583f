//! Every refusal of a tap, each beside the tap that is granted.

use credential::rights::{Recurrence, Rights};
use reader::decision::Reason;
use reader::engine::{CLOCK_LAG_MAX, Input};
use reader::journal::Outcome;
use reader::table::Closed;

use crate::city::{City, GATE, GATE_C, VAULT, days, hours, key, noon, ticket};
use crate::gate::{Bent, Gate, Phone, Seen};

const DEVICE: u8 = 50;

fn phone_with(city: &City, rights: &Rights, status: Option<u64>) -> Phone {
    let device = key(DEVICE);
    let issuer_signed = city.pass(&city.transit_signer, rights, status, &device);
    Phone { issuer_signed, device, bent: Bent::Not }
}

pub(crate) fn phone(city: &City) -> Phone {
    phone_with(city, &ticket(), Some(0))
}

fn refused(reason: Reason) -> Seen {
    Seen::Refused(reason)
}

#[test]
fn gate_of_the_zone_opens_and_the_tap_is_recorded() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    assert_eq!(gate.tap(&phone(&city), GATE), Seen::Unlocked);
    let events = gate.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].outcome, Outcome::Granted { rule: 0 });
    assert_eq!(events[0].watermark.bundle_epoch, 1);
    assert_eq!(events[0].watermark.status_issued_at, Some(noon().saturating_sub(hours(1))));
    let pass = events[0].pass.clone().unwrap();
    assert_eq!((pass.operator.as_str(), pass.product.as_str()), ("transit", "ticket"));
}

#[test]
fn gate_of_another_zone_stays_closed() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    assert_eq!(gate.tap(&phone(&city), GATE_C), refused(Reason::Closed(Closed::Zone)));
    assert_eq!(gate.tap(&phone(&city), "harbour/nowhere"), refused(Reason::Closed(Closed::Door)));
    let other = Rights { product: "parking".parse().unwrap(), ..ticket() };
    let other = phone_with(&city, &other, Some(0));
    assert_eq!(gate.tap(&other, GATE), refused(Reason::Closed(Closed::Product)));
    assert_eq!(gate.tap(&phone(&city), GATE), Seen::Unlocked, "control");
    assert_eq!(gate.events().len(), 4);
}

#[test]
fn same_ticket_on_another_phone_is_refused() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    let thief = Phone { device: key(DEVICE + 1), ..phone(&city) };
    assert_eq!(gate.tap(&thief, GATE), refused(Reason::HolderMismatch));
    assert_eq!(gate.tap(&phone(&city), GATE), Seen::Unlocked, "control");
}

#[test]
fn time_of_pass_and_document_is_kept() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    let at = |gate: &mut Gate, phone: &Phone, at| gate.tap_at(at, phone, GATE);
    let month = noon().saturating_add(days(30));
    assert_eq!(at(&mut gate, &phone(&city), month), refused(Reason::Expired));
    let short = Rights { valid_until: noon(), ..ticket() };
    let short = phone_with(&city, &short, Some(0));
    assert_eq!(at(&mut gate, &short, noon()), Seen::Unlocked, "control: the last second");
    let late = noon().saturating_add(hours(1));
    assert_eq!(at(&mut gate, &short, late), refused(Reason::Expired));
    let next = Rights { valid_from: late, ..ticket() };
    let next = phone_with(&city, &next, Some(0));
    assert_eq!(at(&mut gate, &next, noon()), refused(Reason::NotYetValid));
    assert_eq!(at(&mut gate, &next, late), Seen::Unlocked, "control");
    // 2026-11-22 is a Sunday.
    let weekdays: Recurrence = "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR".parse().unwrap();
    let weekdays = phone_with(&city, &Rights { recurrence: Some(weekdays), ..ticket() }, Some(0));
    assert_eq!(at(&mut gate, &weekdays, noon()), refused(Reason::OutsideHours));
    let monday = noon().saturating_add(hours(20));
    assert_eq!(at(&mut gate, &weekdays, monday), Seen::Unlocked, "control");
}

#[test]
fn altered_pass_and_withheld_claims_are_refused() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    let bent = |bent| Phone { bent, ..phone(&city) };
    assert_eq!(gate.tap(&bent(Bent::Alters), GATE_C), refused(Reason::PassAltered));
    assert_eq!(gate.tap(&bent(Bent::Withholds("valid_until")), GATE), refused(Reason::Withheld));
    assert_eq!(gate.tap(&bent(Bent::Withholds("critical")), GATE), refused(Reason::Withheld));
    let zones = bent(Bent::Withholds("zones"));
    assert_eq!(gate.tap(&zones, GATE), refused(Reason::Closed(Closed::Zone)));
    assert_eq!(gate.tap(&bent(Bent::Empty), GATE), refused(Reason::NoPass));
    assert_eq!(gate.tap(&bent(Bent::Declines), GATE), refused(Reason::Declined));
    assert_eq!(gate.tap(&bent(Bent::Withholds("class")), GATE), Seen::Unlocked, "control");
}

#[test]
fn every_change_on_the_wire_is_refused() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    let mut lengths = Vec::new();
    let phone = phone(&city);
    let seen = gate.tap_over(noon(), &phone, GATE, |response| {
        lengths.push(response.len());
        response
    });
    assert_eq!(seen, Seen::Unlocked, "control");
    // The answer is the longest response; the good-bye after it changes nothing any more.
    let answer = lengths.iter().enumerate().max_by_key(|(_, length)| **length).unwrap().0;
    for at in (0..lengths[answer]).step_by(lengths[answer] / 20) {
        let mut count = 0;
        let seen = gate.tap_over(noon(), &phone, GATE, |mut response| {
            if count == answer {
                response[at] ^= 0x40;
            }
            count += 1;
            response
        });
        assert!(matches!(seen, Seen::Refused(_)), "byte {at}");
    }
    let middle = lengths[answer] / 2;
    let mut count = 0;
    let seen = gate.tap_over(noon(), &phone, GATE, |mut response| {
        if count == answer {
            response[middle] ^= 1;
        }
        count += 1;
        response
    });
    assert_eq!(seen, refused(Reason::WireTampered));
}

#[test]
fn replayed_session_is_refused() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    assert_eq!(gate.tap(&phone(&city), GATE), Seen::Unlocked);
    let recording = gate.recorded.clone();
    assert_eq!(gate.replay(noon(), GATE, &recording), refused(Reason::WireTampered));
    let mut woken = gate.restart(&city);
    assert_eq!(woken.replay(noon(), GATE, &recording), refused(Reason::WireTampered));
}

#[test]
fn status_decides_and_freshness_by_class_of_door() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    let with = |status| phone_with(&city, &ticket(), status);
    assert_eq!(gate.tap(&with(Some(1)), GATE), refused(Reason::Revoked));
    assert_eq!(gate.tap(&with(Some(2)), GATE), refused(Reason::Suspended));
    assert_eq!(gate.tap(&with(Some(64)), GATE), refused(Reason::StatusUnknown), "behind the end");
    assert_eq!(gate.tap(&with(Some(0)), VAULT), Seen::Unlocked, "control");
    assert_eq!(gate.tap(&with(None), GATE), Seen::Unlocked, "low class follows the bundle");
    assert_eq!(gate.tap(&with(None), VAULT), refused(Reason::StatusUnknown));
    let later = noon().saturating_add(hours(24));
    let at = |gate: &mut Gate, status, door| gate.tap_at(later, &with(status), door);
    assert_eq!(at(&mut gate, Some(0), GATE), Seen::Unlocked, "low class follows the bundle");
    assert_eq!(at(&mut gate, Some(0), GATE_C), refused(Reason::StatusStale));
    assert_eq!(at(&mut gate, Some(0), VAULT), refused(Reason::StatusStale));
    assert_eq!(at(&mut gate, Some(1), GATE), refused(Reason::Revoked), "known however long ago");
    gate.give_at(later, Input::StatusList(&city.status_list(hours(0))));
    assert_eq!(at(&mut gate, Some(0), VAULT), Seen::Unlocked, "control: a fresh list");
}

#[test]
fn older_and_foreign_status_lists_are_refused() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    gate.give(Input::StatusList(&city.status_list(hours(2))));
    assert_eq!(gate.rejected, ["status-list-older"]);
    let rogue = City { status_signer: city.bundle_signer.clone(), ..City::new() };
    gate.give(Input::StatusList(&rogue.status_list(hours(0))));
    assert_eq!(gate.rejected, ["status-list-older", "untrusted-signer"]);
    let watermark = gate.engine.watermark();
    assert_eq!(watermark.status_issued_at, Some(noon().saturating_sub(hours(1))));
    gate.give(Input::StatusList(&city.status_list(hours(0))));
    assert_eq!(gate.engine.watermark().status_issued_at, Some(noon()), "control");
}

#[test]
fn operator_speaks_for_itself_alone() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    let device = key(DEVICE);
    let by = |signer, rights: &Rights| Phone {
        issuer_signed: city.pass(signer, rights, Some(0), &device),
        device: device.clone(),
        bent: Bent::Not,
    };
    let usurped = by(&city.landlord_signer, &ticket());
    assert_eq!(gate.tap(&usurped, GATE), refused(Reason::OperatorMismatch));
    let stranger = Rights { operator: "stranger".parse().unwrap(), ..ticket() };
    let stranger = by(&city.transit_signer, &stranger);
    assert_eq!(gate.tap(&stranger, GATE), refused(Reason::OperatorMismatch));
    let authority = crate::city::identity(70, credential::x509::build::Purpose::Root, None);
    let rogue = crate::city::identity(
        71,
        credential::x509::build::Purpose::DocumentSigner,
        Some(&authority),
    );
    assert_eq!(gate.tap(&by(&rogue, &ticket()), GATE), refused(Reason::IssuerUnknown));
    assert_eq!(gate.tap(&by(&city.transit_signer, &ticket()), GATE), Seen::Unlocked, "control");
}

#[test]
fn counted_pass_is_refused_by_a_reader_that_cannot_count() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    let counted = phone_with(&city, &Rights { uses_max: Some(1), ..ticket() }, Some(0));
    assert_eq!(gate.tap(&counted, GATE), refused(Reason::UsesCounted));
}

#[test]
fn reader_without_instructions_opens_nothing_but_the_way_out() {
    let city = City::new();
    let mut gate = Gate::new(&city);
    gate.begin(noon(), GATE);
    gate.drain(noon(), None);
    assert_eq!(gate.seen, [refused(Reason::NoBundle)]);
    gate.seen.clear();
    gate.give(Input::Egress { door: crate::city::place(GATE) });
    assert_eq!(gate.seen, [Seen::Unlocked]);
}

#[test]
fn expired_bundle_and_clock_below_signed_time_open_nothing() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    // The newest signed time is that of the status list, an hour before noon.
    let floor = noon().saturating_sub(hours(1));
    let at = |gate: &mut Gate, at| gate.tap_at(at, &phone(&city), GATE);
    assert_eq!(at(&mut gate, floor.saturating_sub(CLOCK_LAG_MAX)), Seen::Unlocked, "control");
    let behind = floor.saturating_sub(CLOCK_LAG_MAX + core::time::Duration::from_secs(1));
    gate.begin(behind, GATE);
    gate.drain(behind, None);
    assert_eq!(gate.seen, [refused(Reason::ClockBehind)]);
    let mut short = city.bundle(2);
    short.expires_at = noon().saturating_add(hours(1));
    gate.give(Input::Bundle(&city.signed(&short)));
    assert_eq!(at(&mut gate, noon()), Seen::Unlocked, "control");
    let late = noon().saturating_add(hours(1));
    assert_eq!(at(&mut gate, late), refused(Reason::BundleExpired));
    let mut woken = gate.restart(&city);
    assert_eq!(at(&mut woken, late), refused(Reason::BundleExpired), "after a restart, too");
}

#[test]
fn phone_that_leaves_is_told_and_leaves_no_record() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    gate.begin(noon(), GATE);
    gate.drain(noon(), None);
    gate.give(Input::LinkLost);
    assert_eq!(gate.seen, [refused(Reason::Interrupted)]);
    gate.begin(noon(), GATE);
    gate.drain(noon(), None);
    let late = gate.engine.poll_timeout().unwrap();
    gate.give_at(late, Input::Timeout);
    assert_eq!(gate.seen, [refused(Reason::Interrupted)]);
    assert!(gate.events().is_empty());
}
