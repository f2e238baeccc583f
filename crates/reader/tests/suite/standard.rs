//! The standard tap and the fast one at a door: what they open, how they are judged, and which profile
//! follows which.

use credential::rights::Rights;
use presentation::profile::Profile;
use presentation::standard::device::{Device, Memory};
use presentation::standard::message::Signaling;
use presentation::standard::{AUTH0, AUTH1, CONTROL_FLOW, LOAD_CERT};
use reader::bundle::Bundle;
use reader::decision::Reason;
use reader::engine::{Config, Engine, Input, ReaderKey};
use reader::journal::{Outcome, Tapped, pass_trace};
use reader::table::Closed;
use reader::taps::{TapPolicy, Taps};
use vocabulary::time::Instant;

use crate::badge::{Badge, tap, tap_at};
use crate::city::{
    CRYPTO, City, GATE, GATE_C, VAULT, days, hours, key, noon, place, public, ticket,
};
use crate::gate::{Gate, Seen};

const SELECT: u8 = 0xA4;
const ENVELOPE: u8 = 0xC3;
const GET_RESPONSE: u8 = 0xC0;

pub(crate) fn refused(reason: Reason) -> Vec<Seen> {
    vec![Seen::Refused(reason)]
}

pub(crate) const OPEN: [Seen; 1] = [Seen::Unlocked];

/// A reader of `config` that knows the signers of access documents.
pub(crate) fn ready(city: &City, config: Config, taps: Taps) -> Gate {
    let mut gate = Gate::with(config);
    gate.give(Input::Bundle(&city.signed(&Bundle { taps, ..city.standard_bundle(1) })));
    gate.give(Input::StatusList(&city.status_list(hours(1))));
    assert_eq!(gate.rejected, [""; 0]);
    gate
}

pub(crate) fn gate(city: &City) -> Gate {
    ready(city, city.standard_config(), Taps::default())
}

/// By which profile the last tap was recorded.
pub(crate) fn profile(gate: &Gate) -> Option<Tapped> {
    gate.events().last().unwrap().tap
}

pub(crate) const STANDARD: Option<Tapped> = Some(Tapped::Keyed(Profile::Standard));
pub(crate) const FAST: Option<Tapped> = Some(Tapped::Keyed(Profile::Fast));

#[test]
fn the_first_tap_is_standard_and_the_next_is_fast() {
    let city = City::new();
    let (mut gate, mut badge) = (gate(&city), Badge::good(&city));
    assert_eq!(tap(&mut gate, &mut badge), OPEN);
    let whole = [SELECT, AUTH0, LOAD_CERT, AUTH1, SELECT, ENVELOPE, CONTROL_FLOW];
    let commands = || badge.commands.iter().filter(|it| **it != GET_RESPONSE);
    assert!(commands().eq(&whole), "{:x?}", badge.commands);
    let event = gate.events().pop().unwrap();
    assert_eq!((event.outcome, event.tap), (Outcome::Granted { rule: 0 }, STANDARD));
    let pass = event.pass.unwrap();
    assert_eq!(pass.device, pass_trace(CRYPTO, &public(&key(60))));
    assert_eq!((pass.operator.as_str(), pass.product.as_str()), ("transit", "ticket"));

    assert_eq!(tap(&mut gate, &mut badge), OPEN);
    assert_eq!(badge.commands, [SELECT, AUTH0, CONTROL_FLOW]);
    let fast = gate.events().pop().unwrap();
    assert_eq!((fast.outcome, fast.tap), (event.outcome, FAST));
    assert_eq!(fast.pass.unwrap(), pass, "the journal knows the same pass");
}

#[test]
fn an_access_document_is_judged_like_an_mdoc() {
    let city = City::new();
    let with = |change: &dyn Fn(&mut Rights)| {
        let mut rights = ticket();
        change(&mut rights);
        rights
    };
    let early = with(&|it| it.valid_from = noon().saturating_add(hours(1)));
    let late = with(&|it| it.valid_until = noon().saturating_sub(hours(1)));
    let product = with(&|it| it.product = "badge".parse().unwrap());
    let zone = with(&|it| it.zones = vec!["C".parse().unwrap()]);
    let counted = with(&|it| it.uses_max = Some(3));
    for (rights, status, reason) in [
        (early, Some(0), Reason::NotYetValid),
        (late, Some(0), Reason::Expired),
        (product, Some(0), Reason::Closed(Closed::Product)),
        (zone, Some(0), Reason::Closed(Closed::Zone)),
        (counted, Some(0), Reason::UsesCounted),
        (ticket(), Some(1), Reason::Revoked),
        (ticket(), Some(2), Reason::Suspended),
        (ticket(), Some(64), Reason::StatusUnknown),
    ] {
        let mut gate = gate(&city);
        let mut badge = Badge::with(&city, &rights, status);
        // What was refused once is not known: the second tap is a standard one as well.
        for _ in 0..2 {
            assert_eq!(tap(&mut gate, &mut badge), refused(reason));
            assert_eq!(profile(&gate), STANDARD, "{reason}");
        }
        assert_eq!(tap(&mut gate, &mut Badge::good(&city)), OPEN, "control");
    }
}

#[test]
fn freshness_counts_by_the_class_of_the_door() {
    let city = City::new();
    let mut gate = gate(&city);
    let rights = Rights { zones: vec!["C".parse().unwrap()], ..ticket() };
    let mut badge = Badge::with(&city, &rights, Some(0));
    assert_eq!(tap_at(&mut gate, &mut badge, GATE_C, noon()), OPEN, "control");
    let later = noon().saturating_add(days(2));
    assert_eq!(tap_at(&mut gate, &mut badge, GATE_C, later), refused(Reason::StatusStale));
    assert_eq!(profile(&gate), FAST);
    assert_eq!(tap_at(&mut gate, &mut badge, VAULT, later), refused(Reason::StatusStale));
    assert_eq!(profile(&gate), STANDARD);
}

#[test]
fn a_known_device_is_judged_anew_at_each_tap() {
    let city = City::new();
    let met = || {
        let (mut gate, mut badge) = (gate(&city), Badge::good(&city));
        assert_eq!(tap(&mut gate, &mut badge), OPEN);
        (gate, badge)
    };
    let later = |days_later| noon().saturating_add(days(days_later));
    let check = |gate: &mut Gate, badge: &mut Badge, now: Instant, reason: Option<Reason>| {
        let expected = reason.map_or(OPEN.to_vec(), refused);
        assert_eq!(tap_at(gate, badge, GATE, now), expected);
        assert_eq!(badge.commands, [SELECT, AUTH0, CONTROL_FLOW], "{reason:?}");
    };
    // The document holds for 20 days, the ticket for 25.
    let (mut gate, mut badge) = met();
    check(&mut gate, &mut badge, later(20), None);
    check(&mut gate, &mut badge, later(21), Some(Reason::Expired));
    check(&mut gate, &mut badge, later(19), None);
    // A pass that is revoked since, and one that is suspended.
    for (status, reason) in [
        (credential::status::Status::Invalid, Reason::Revoked),
        (credential::status::Status::Suspended, Reason::Suspended),
    ] {
        let (mut gate, mut badge) = met();
        let bits = credential::status::Bits::Two;
        let mut list = credential::status::StatusList::new(bits, 64).unwrap();
        list.set(0, status).unwrap();
        gate.give(Input::StatusList(&city.signed_list(list, days(0))));
        check(&mut gate, &mut badge, noon(), Some(reason));
    }
    // A bundle that does not name the signer any more; and again one that does.
    let (mut gate, mut badge) = met();
    gate.give(Input::Bundle(&city.signed(&city.bundle(2))));
    let seen = tap(&mut gate, &mut badge);
    assert_eq!(seen, refused(Reason::OperatorMismatch));
    gate.give(Input::Bundle(&city.signed(&city.standard_bundle(3))));
    check(&mut gate, &mut badge, noon(), None);
    // A table without the door.
    let mut bundle = city.standard_bundle(4);
    let vault = bundle.table.door(&place(VAULT)).unwrap().clone();
    bundle.table = reader::table::AccessTable::new(vec![vault]).unwrap();
    gate.give(Input::Bundle(&city.signed(&bundle)));
    assert_eq!(tap(&mut gate, &mut badge), refused(Reason::Closed(Closed::Door)));
}

#[test]
fn a_pass_for_its_holder_alone_is_asked_for_its_key_each_time() {
    let city = City::new();
    let mut gate = gate(&city);
    let rights = Rights { holder_only: true, ..ticket() };
    let mut badge = Badge::with(&city, &rights, Some(0));
    for _ in 0..2 {
        assert_eq!(tap(&mut gate, &mut badge), OPEN);
        assert_eq!(profile(&gate), STANDARD);
    }
}

#[test]
fn a_reader_that_woke_up_knows_nobody() {
    let city = City::new();
    let (mut gate, mut badge) = (gate(&city), Badge::good(&city));
    tap(&mut gate, &mut badge);
    let memory = reader::engine::Memory::decode(&gate.memory).unwrap();
    let head = *gate.engine.journal_head();
    let config = Config { restarts: 2, ..city.standard_config() };
    gate.engine = Engine::new(CRYPTO, config, memory, head, 0);
    gate.drain(noon(), None);
    for expected in [STANDARD, FAST] {
        assert_eq!(tap(&mut gate, &mut badge), OPEN);
        assert_eq!(profile(&gate), expected);
    }
}

#[test]
fn the_device_that_was_met_first_makes_room() {
    let city = City::new();
    let mut gate = gate(&city);
    let mut first = Badge::good(&city);
    tap(&mut gate, &mut first);
    let secret = |number: u16| {
        let mut bytes = [3; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        credential::crypto::P256Secret::from_bytes(bytes)
    };
    let mut meet = |number: u16| {
        let own = secret(number);
        let signer = &city.transit_signer.key;
        let document = city.access_document(signer, &ticket(), Some(0), &own);
        let mut badge = Badge::new(&city, 60, document);
        badge.device = Device::new(Badge::setup(&city, &own), Memory::default());
        badge.key = own;
        assert_eq!(tap(&mut gate, &mut badge), OPEN);
        (number == 255).then(|| tap(&mut gate, &mut first));
    };
    (1..=255).for_each(&mut meet);
    assert_eq!(profile(&gate), FAST, "256 devices are known");
    let own = secret(256);
    let document = city.access_document(&city.transit_signer.key, &ticket(), Some(0), &own);
    let mut last = Badge::new(&city, 60, document);
    last.device = Device::new(Badge::setup(&city, &own), Memory::default());
    last.key = own;
    tap(&mut gate, &mut last);
    assert_eq!(tap(&mut gate, &mut first), OPEN);
    assert_eq!(profile(&gate), STANDARD, "one too many");
}

fn least(least: Profile) -> Taps {
    let policy = TapPolicy { least, stronger_per_mille: 0, ..Taps::default().low };
    Taps { low: policy, normal: policy, high: policy }
}

#[test]
fn the_stronger_floor_of_bundle_and_reader_counts() {
    let city = City::new();
    use Profile::{Express, Fast, Identity, Standard};
    for (bundle, own, expected) in [
        (Express, Express, FAST),
        (Fast, Express, FAST),
        (Express, Fast, FAST),
        (Standard, Express, STANDARD),
        (Express, Standard, STANDARD),
        (Identity, Express, None),
        (Express, Identity, None),
    ] {
        let config = Config { least: own, ..city.standard_config() };
        let mut gate = ready(&city, config, least(bundle));
        let mut badge = Badge::good(&city);
        let seen = [tap(&mut gate, &mut badge), tap(&mut gate, &mut badge)];
        assert_eq!(profile(&gate), expected, "{bundle} {own}");
        if expected.is_none() {
            assert!(!seen.concat().contains(&Seen::Unlocked), "{bundle} {own}");
            assert!(!badge.commands.contains(&AUTH0));
        } else {
            assert_eq!(seen, [OPEN, OPEN], "{bundle} {own}");
        }
    }
}

#[test]
fn doors_of_high_class_take_no_fast_tap_and_leave_no_key_for_one() {
    let city = City::new();
    let mut gate = ready(&city, city.standard_config(), least(Profile::Express));
    let mut badge = Badge::good(&city);
    for door in [VAULT, VAULT, GATE] {
        assert_eq!(tap_at(&mut gate, &mut badge, door, noon()), OPEN);
        assert_eq!(profile(&gate), STANDARD, "{door}");
    }
    tap(&mut gate, &mut badge);
    assert_eq!(profile(&gate), FAST, "control");
    assert_eq!(tap_at(&mut gate, &mut badge, VAULT, noon()), OPEN);
    assert_eq!(profile(&gate), STANDARD);
}

#[test]
fn a_holder_without_a_standard_tap_is_asked_for_the_identity_profile() {
    let city = City::new();
    let mut gate = gate(&city);
    let mut badge = Badge { phone: Some(crate::taps::phone(&city)), ..Badge::good(&city) };
    // It knows no reader of this city: it does not prove itself.
    badge.device = Device::new(
        presentation::standard::device::Setup {
            credentials: Vec::new(),
            ..Badge::setup(&city, &key(60))
        },
        Memory::default(),
    );
    assert_eq!(tap(&mut gate, &mut badge), OPEN);
    assert_eq!(profile(&gate), Some(Tapped::Keyed(Profile::Identity)));
    assert!(badge.commands.contains(&AUTH1));
    // It has no such application at all.
    assert_eq!(gate.tap(&crate::taps::phone(&city), GATE), Seen::Unlocked);
    // Its owner declines the one and not the other.
    let phone = Some(crate::taps::phone(&city));
    let mut badge = Badge { phone, consents: false, ..Badge::good(&city) };
    assert_eq!(tap(&mut gate, &mut badge), OPEN);
    assert_eq!(profile(&gate), Some(Tapped::Keyed(Profile::Identity)));
    let mut badge = Badge { consents: false, ..Badge::good(&city) };
    assert_ne!(tap(&mut gate, &mut badge), OPEN, "control");
}

#[test]
fn a_device_that_proved_itself_is_not_asked_again() {
    let city = City::new();
    let mut gate = gate(&city);
    let phone = || Some(crate::taps::phone(&city));
    // Each would be let in by the identity profile.
    let mut none = Badge { phone: phone(), ..Badge::good(&city) };
    let mut setup = Badge::setup(&city, &key(60));
    setup.credentials[0].documents = Signaling::default();
    none.device = Device::new(setup, Memory::default());
    assert_eq!(tap(&mut gate, &mut none), refused(Reason::NoPass));
    let withholds = Badge { phone: phone(), withholds: true, ..Badge::good(&city) };
    let revoked = Badge { phone: phone(), ..Badge::with(&city, &ticket(), Some(1)) };
    for (mut badge, reason) in [(withholds, Reason::Withheld), (revoked, Reason::Revoked)] {
        assert_eq!(tap(&mut gate, &mut badge), refused(reason));
    }
}

#[test]
fn a_key_that_lies_elsewhere_signs_too() {
    let city = City::new();
    let config = Config { key: ReaderKey::Elsewhere, ..city.standard_config() };
    let mut gate = ready(&city, config, Taps::default());
    let mut badge = Badge::good(&city);
    for expected in [STANDARD, FAST] {
        assert_eq!(tap(&mut gate, &mut badge), OPEN);
        assert_eq!(profile(&gate), expected);
    }
}

#[test]
fn without_a_certificate_there_is_no_standard_tap() {
    let city = City::new();
    let mut gate = ready(&city, city.config(), Taps::default());
    let mut badge = Badge::good(&city);
    assert_ne!(tap(&mut gate, &mut badge), OPEN);
    assert!(!badge.commands.contains(&AUTH0));
    assert_eq!(tap(&mut self::gate(&city), &mut badge), OPEN, "control");
}
