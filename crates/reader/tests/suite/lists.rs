//! The room for status lists: who gives way to whom, and what is never forgotten.

use credential::status::{Bits, Status, StatusList};
use credential::x509::TrustAnchors;
use credential::x509::build::Purpose;
use reader::bundle::Bundle;
use reader::decision::Reason;
use reader::engine::{Input, Memory};
use reader::snapshot::{LIST_LIFE_MAX, LISTS_MAX, LOST_MAX, StatusSnapshot, URI_BYTES_MAX};
use vocabulary::time::Instant;

use crate::city::{CRYPTO, City, GATE, STATUS_URI, days, hours, identity, key, noon, ticket};
use crate::gate::{Bent, Gate, Phone, Seen};

const UNKNOWN: Seen = Seen::Refused(Reason::StatusUnknown);
const REVOKED: Seen = Seen::Refused(Reason::Revoked);

fn holder(city: &City, status: u64) -> Phone {
    let device = key(50);
    let issuer_signed = city.pass(&city.transit_signer, &ticket(), Some(status), &device);
    Phone { issuer_signed, device, bent: Bent::Not }
}

fn uri(number: usize) -> String {
    format!("https://city.example/status/other-{number}")
}

/// The list in which pass 1 is revoked.
fn revoking(city: &City, issued_at: Instant, end: Option<Instant>) -> Vec<u8> {
    let mut list = StatusList::new(Bits::Two, 64).unwrap();
    list.set(1, Status::Invalid).unwrap();
    city.list_of(STATUS_URI, list, issued_at, end)
}

/// A gate of low class, at which an unknown pass opens, with all room for lists taken: one of them
/// names pass 1 as revoked and is over in an hour, the others last.
fn full(city: &City) -> Gate {
    let mut gate = Gate::new(city);
    gate.give(Input::Bundle(&city.signed(&city.bundle(1))));
    let end = noon().saturating_add(hours(1));
    gate.give(Input::StatusList(&revoking(city, noon().saturating_sub(days(6)), Some(end))));
    for number in 1..LISTS_MAX {
        let end = Some(noon().saturating_add(days(7)));
        gate.give(Input::StatusList(&city.clean_list(&uri(number), noon(), end)));
    }
    assert_eq!(gate.rejected, [""; 0]);
    gate
}

#[test]
fn list_that_is_over_gives_way_and_what_it_revoked_stays_out() {
    let city = City::new();
    let mut gate = full(&city);
    let another = city.clean_list(&uri(LISTS_MAX), noon(), None);
    let later = noon().saturating_add(hours(1));
    gate.give_at(later.saturating_sub(hours(1)), Input::StatusList(&another));
    assert_eq!(gate.rejected, ["status-lists-too-many"], "control: none is over");
    assert_eq!(gate.tap_at(later, &holder(&city, 1), GATE), REVOKED, "over, but here");
    gate.give_at(later, Input::StatusList(&another));
    assert_eq!(gate.rejected.len(), 1, "{:?}", gate.rejected);
    assert_eq!(gate.tap_at(later, &holder(&city, 1), GATE), UNKNOWN);
    let mut woken = gate.restart(&city);
    assert_eq!(woken.tap_at(later, &holder(&city, 1), GATE), UNKNOWN, "nor after a restart");
    assert_eq!(woken.rejected, [""; 0]);
    // It comes back, but no older than it was, and in its turn.
    let older = revoking(&city, noon().saturating_sub(days(7)), None);
    let newer = revoking(&city, later, None);
    woken.give_at(later, Input::StatusList(&older));
    woken.give_at(later, Input::StatusList(&newer));
    assert_eq!(woken.rejected, ["status-list-older", "status-lists-too-many"]);
    let end = noon().saturating_add(days(7));
    let fresh = revoking(&city, end, None);
    woken.give_at(end, Input::StatusList(&fresh));
    assert_eq!(woken.tap_at(end, &holder(&city, 1), GATE), REVOKED);
    assert_eq!(woken.tap_at(end, &holder(&city, 0), GATE), Seen::Unlocked, "control");
}

#[test]
fn list_lost_with_its_signer_stays_lost_whatever_other_list_comes() {
    let city = City::new();
    let mut gate = full(&city);
    let next = City { status_signer: identity(83, Purpose::Leaf, Some(&city.root)), ..City::new() };
    gate.give(Input::Bundle(&next.signed(&next.bundle(2))));
    assert_eq!(gate.rejected.len(), LISTS_MAX);
    for number in 1..LISTS_MAX {
        gate.give(Input::StatusList(&next.clean_list(&uri(number), noon(), None)));
    }
    assert_eq!(gate.tap(&holder(&city, 1), GATE), UNKNOWN);
    assert_eq!(gate.restart(&city).tap(&holder(&city, 1), GATE), UNKNOWN, "nor after a restart");
    gate.give(Input::StatusList(&revoking(&next, noon(), None)));
    assert_eq!(gate.tap(&holder(&city, 1), GATE), REVOKED);
    assert_eq!(gate.tap(&holder(&city, 0), GATE), Seen::Unlocked, "control");
}

fn anchors(city: &City) -> TrustAnchors {
    TrustAnchors::from_ders([city.status_signer.der.as_slice()]).unwrap()
}

#[test]
fn list_without_an_end_is_over_after_the_longest_life() {
    let city = City::new();
    let mut snapshot = StatusSnapshot::new();
    for number in 0..LISTS_MAX {
        let list = city.clean_list(&uri(number), noon(), None);
        snapshot.update(CRYPTO, &list, &anchors(&city), noon()).unwrap();
    }
    let another = city.clean_list(&uri(LISTS_MAX), noon(), None);
    let mut take = |at| {
        let taken = snapshot.update(CRYPTO, &another, &anchors(&city), at);
        taken.err().map(|rejection| rejection.code)
    };
    let over = noon().saturating_add(LIST_LIFE_MAX);
    let second = core::time::Duration::from_secs(1);
    assert_eq!(take(over.saturating_sub(second)), Some("status-lists-too-many"));
    assert_eq!(take(over), None);
}

#[test]
fn beyond_the_names_that_are_kept_every_list_that_is_not_here_counts_as_lost() {
    let city = City::new();
    let mut gate = Gate::new(&city);
    gate.give(Input::Bundle(&city.signed(&city.bundle(1))));
    // Each list is over when the next comes; none is of one day's handles.
    let take = |gate: &mut Gate, number: usize| {
        let at = noon().saturating_add(hours(number as u64));
        let end = at.saturating_add(hours(1));
        let list = city.clean_list(&uri(number), at.saturating_sub(days(4)), Some(end));
        gate.give_at(at, Input::StatusList(&list));
        assert_eq!(gate.rejected, [""; 0]);
        at
    };
    let mut at = noon();
    for number in 0..LISTS_MAX + LOST_MAX {
        at = take(&mut gate, number);
    }
    // Nothing was ever known of the list of this pass.
    assert_eq!(gate.tap_at(at, &holder(&city, 1), GATE), Seen::Unlocked, "at the limit");
    assert_eq!(gate.restart(&city).tap_at(at, &holder(&city, 1), GATE), Seen::Unlocked);
    let at = take(&mut gate, LISTS_MAX + LOST_MAX);
    assert_eq!(gate.tap_at(at, &holder(&city, 1), GATE), UNKNOWN, "one past it");
    assert_eq!(gate.restart(&city).tap_at(at, &holder(&city, 1), GATE), UNKNOWN);
    assert!(Memory::decode(&gate.memory).is_ok());
}

#[test]
fn name_of_a_list_has_its_limit() {
    let city = City::new();
    let take = |length: usize| {
        let list = city.clean_list(&"u".repeat(length), noon(), None);
        let taken = StatusSnapshot::new().update(CRYPTO, &list, &anchors(&city), noon());
        taken.err().map(|rejection| rejection.code)
    };
    assert_eq!(take(URI_BYTES_MAX), None);
    assert_eq!(take(URI_BYTES_MAX + 1), Some("status-list-uri"));
}

#[test]
fn lists_of_days_are_forgotten_when_they_are_over() {
    let city = City::new();
    let mut gate = Gate::new(&city);
    gate.give(Input::Bundle(
        &city.signed(&Bundle { expires_at: noon().saturating_add(days(800)), ..city.bundle(1) }),
    ));
    // Two lists of handles a day, for longer than names of lost lists would be kept.
    for number in 0..2 * LOST_MAX {
        let now = noon().saturating_add(hours(12 * number as u64));
        let end = Some(now.saturating_add(days(2)));
        let list = city.clean_list(&uri(number), now, end);
        gate.give_at(now, Input::StatusList(&list));
        assert_eq!(gate.rejected, [""; 0], "list {number}");
    }
    let memory = Memory::decode(&gate.memory).unwrap().encode();
    assert!(memory.len() < 32 * 1024, "{} bytes: no names are left", memory.len());
}
