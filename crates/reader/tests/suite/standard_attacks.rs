//! Whoever is not what it says at a standard or a fast tap, and a card that is pulled away: each with the
//! control that the same tap opens without.

use core::time::Duration;

use credential::rights::Rights;
use credential::x509::build::Purpose;
use presentation::standard::device::{Device, Memory};
use presentation::standard::{AUTH0, AUTH1};
use reader::decision::Reason;
use reader::engine::{Config, Engine, Input};
use reader::taps::Taps;
use vocabulary::time::Instant;

use crate::badge::{Badge, tap, tap_at, tap_over};
use crate::city::{
    CRYPTO, City, GATE, GATE_C, Identity, days, identity, issuer, key, noon, ticket,
};
use crate::gate::{Gate, Seen};
use crate::standard::{FAST, OPEN, STANDARD, gate, profile, ready, refused};

/// A document signed by `signer` for the device with the key of this number, on the device with key 60.
fn shown(city: &City, signer: &Identity, rights: &Rights, device: u8) -> Badge {
    let document = city.access_document(&signer.key, rights, Some(0), &key(device));
    Badge::new(city, 60, document)
}

#[test]
fn documents_of_others_open_nothing() {
    let city = City::new();
    let stranger = identity(90, Purpose::DocumentSigner, Some(&city.transit));
    let landlord = Rights { operator: "landlord".parse().unwrap(), ..ticket() };
    for (mut badge, reason) in [
        // Of another city, or of a signer of this one whom the bundle does not name.
        (shown(&city, &stranger, &ticket(), 60), Reason::IssuerUnknown),
        // An authority signs no documents.
        (shown(&city, &city.transit, &ticket(), 60), Reason::IssuerUnknown),
        // A signer of one operator speaks for another.
        (shown(&city, &city.landlord_signer, &ticket(), 60), Reason::OperatorMismatch),
        (shown(&city, &city.transit_signer, &landlord, 60), Reason::OperatorMismatch),
        // Somebody else's document.
        (shown(&city, &city.transit_signer, &ticket(), 61), Reason::HolderMismatch),
    ] {
        let mut gate = gate(&city);
        for _ in 0..2 {
            assert_eq!(tap(&mut gate, &mut badge), refused(reason));
            assert!(badge.commands.contains(&AUTH1), "nothing is known of it");
        }
        let mut good = shown(&city, &city.transit_signer, &ticket(), 60);
        assert_eq!(tap(&mut gate, &mut good), OPEN, "control");
    }
}

#[test]
fn a_changed_document_opens_nothing() {
    let city = City::new();
    let good = Badge::good(&city).document;
    let zones = b"\x82\x61A\x61B";
    let at = good.windows(zones.len()).position(|window| window == zones).unwrap();
    let mut gate = gate(&city);
    let mut document = good.clone();
    document[at + 4] = b'C';
    let mut badge = Badge::new(&city, 60, document);
    assert_eq!(tap(&mut gate, &mut badge), refused(Reason::PassAltered));
    assert_eq!(tap(&mut gate, &mut Badge::new(&city, 60, good)), OPEN, "control");
}

#[test]
fn a_signer_is_believed_by_its_dates_and_its_operator() {
    let city = City::new();
    let by = Some(&city.transit);
    let certified = |from: Instant, until: Instant| {
        crate::city::dated(5, Purpose::DocumentSigner, by, (from, until))
    };
    let (before, after) = (noon().saturating_sub(days(9)), noon().saturating_add(days(9)));
    for (signer, expected) in [
        (certified(before, after), OPEN.to_vec()),
        (certified(before, noon().saturating_sub(days(1))), refused(Reason::OperatorMismatch)),
        // It signed before it was certified.
        (
            certified(noon().saturating_sub(Duration::from_secs(60)), after),
            refused(Reason::OperatorMismatch),
        ),
    ] {
        let mut bundle = city.bundle(2);
        bundle.issuers.push(issuer("transit", &signer));
        let mut gate = gate(&city);
        gate.give(Input::Bundle(&city.signed(&bundle)));
        assert_eq!(tap(&mut gate, &mut Badge::good(&city)), expected);
    }
    // Fast taps are judged by the same dates.
    let mut bundle = city.bundle(2);
    bundle.issuers.push(issuer("transit", &certified(before, after)));
    let (mut gate, mut badge) = (gate(&city), Badge::good(&city));
    gate.give(Input::Bundle(&city.signed(&bundle)));
    assert_eq!(tap(&mut gate, &mut badge), OPEN);
    let later = after.saturating_add(days(1));
    assert_eq!(tap_at(&mut gate, &mut badge, GATE, later), refused(Reason::OperatorMismatch));
}

#[test]
fn a_device_without_the_key_of_its_credential_opens_nothing() {
    let city = City::new();
    let mut gate = gate(&city);
    let mut thief = Badge { key: key(61), ..Badge::good(&city) };
    assert_ne!(tap(&mut gate, &mut thief), OPEN);
    assert_ne!(profile(&gate), STANDARD);
    assert_eq!(tap(&mut gate, &mut Badge::good(&city)), OPEN, "control");
}

#[test]
fn a_reader_that_proves_itself_badly_gets_no_signature() {
    let city = City::new();
    let long = noon().saturating_add(days(30));
    let mut other = City::new();
    other.reader_authority = identity(94, Purpose::Authority, Some(&city.root));
    let expired = city.standard(noon().saturating_sub(Duration::from_secs(60)));
    let strange = other.standard(long);
    let mut forged = other.standard(long);
    forged.group_key = city.standard(long).group_key;
    let mut stolen = city.standard_config();
    stolen.key = reader::engine::ReaderKey::Held(key(77));
    for config in [
        Config { standard: Some(expired), ..city.config() },
        Config { standard: Some(strange), ..city.config() },
        Config { standard: Some(forged), ..city.config() },
        stolen,
    ] {
        let mut gate = ready(&city, config, Taps::default());
        let mut badge = Badge::good(&city);
        assert_ne!(tap(&mut gate, &mut badge), OPEN);
        assert!(badge.commands.contains(&AUTH1), "it tried");
        assert!(badge.device.memory().keyring.entries().is_empty(), "the device did not sign");
        assert_eq!(tap(&mut self::gate(&city), &mut badge), OPEN, "control");
    }
}

#[test]
fn a_recording_opens_nothing_also_after_a_restart() {
    let city = City::new();
    let (mut gate, mut badge) = (gate(&city), Badge::good(&city));
    for expected in [STANDARD, FAST] {
        assert_eq!(tap(&mut gate, &mut badge), OPEN);
        assert_eq!(profile(&gate), expected);
        let recording = badge.sent.clone();
        let opened = |gate: &mut Gate, taps: u8| {
            // The generator of the reader gives what it gave then.
            gate.taps = taps;
            gate.replay(noon(), GATE, &recording)
        };
        let taps = gate.taps;
        assert_ne!(opened(&mut gate, taps - 1), Seen::Unlocked);
        let memory = reader::engine::Memory::decode(&gate.memory).unwrap();
        let head = *gate.engine.journal_head();
        let config = Config { restarts: 2, ..city.standard_config() };
        let engine = Engine::new(CRYPTO, config, memory, head, 0);
        let mut woken = Gate::around(engine, gate.journal.clone(), gate.memory.clone());
        assert_ne!(opened(&mut woken, taps - 1), Seen::Unlocked);
        gate.taps = taps;
    }
    // Control: the same reader, as it was, with the same entropy takes the recording of its first tap.
    let mut badge = Badge::good(&city);
    let mut twin = self::gate(&city);
    assert_eq!(tap(&mut twin, &mut badge), OPEN);
    let mut again = self::gate(&city);
    assert_eq!(again.replay(noon(), GATE, &badge.sent), Seen::Unlocked);
}

#[test]
fn a_device_that_is_pulled_away_at_any_command_leaves_a_door_that_works() {
    let city = City::new();
    for is_known in [false, true] {
        for torn_at in 0.. {
            let (mut gate, mut badge) = (gate(&city), Badge::good(&city));
            if is_known {
                assert_eq!(tap(&mut gate, &mut badge), OPEN);
            }
            let mut wire = |number, response: Vec<u8>| (number != torn_at).then_some(response);
            let seen = tap_over(&mut gate, &mut badge, (GATE, noon()), &mut wire);
            let is_whole = badge.sent.len() < torn_at;
            // The last command tells the device how it went: what it says to that is of no interest.
            let is_told = badge.commands.last() == Some(&0x3C);
            let expected = if is_told { OPEN.to_vec() } else { refused(Reason::Interrupted) };
            assert_eq!(seen, expected, "torn at {torn_at}");
            assert_eq!(tap(&mut gate, &mut badge), OPEN, "after {torn_at}");
            if is_whole {
                assert!(torn_at > 3);
                break;
            }
        }
    }
}

#[test]
fn no_changed_response_opens_and_the_next_tap_works() {
    let city = City::new();
    for is_known in [false, true] {
        let mut badge = Badge::good(&city);
        let mut gate = gate(&city);
        if is_known {
            tap(&mut gate, &mut badge);
        }
        tap(&mut gate, &mut badge);
        let whole = badge.sent.clone();
        for (number, response) in whole.iter().enumerate().take(whole.len() - 1) {
            let length = response.len();
            // How much is left of a response is a hint.
            let last = length - 1 - usize::from(response[length - 2] == 0x61);
            for position in (0..last).step_by(7).chain([last]) {
                let (mut gate, mut badge) = (self::gate(&city), Badge::good(&city));
                if is_known {
                    assert_eq!(tap(&mut gate, &mut badge), OPEN);
                }
                let mut wire = |at, mut response: Vec<u8>| {
                    if at == number {
                        response[position] ^= 0x10;
                    }
                    Some(response)
                };
                let seen = tap_over(&mut gate, &mut badge, (GATE, noon()), &mut wire);
                // A wrong proof of the fast phase, behind the device's ephemeral key, leads to the
                // standard one.
                let is_proof = is_known && number == 1 && position >= 69;
                let is_met = is_proof && profile(&gate) == STANDARD;
                // The fast phase has no use for the second half of that key.
                let is_half = is_known && number == 1 && (35..67).contains(&position);
                let is_met = is_met || is_half && profile(&gate) == FAST;
                // Nothing is read of the answer to the second SELECT but its status.
                let is_met = is_met || !is_known && number == 4 && position < length - 2;
                assert!(is_met || seen != OPEN, "byte {position} of response {number}");
                assert_eq!(tap(&mut gate, &mut badge), OPEN, "control");
            }
        }
    }
}

#[test]
fn a_link_cannot_take_the_fast_phase_for_the_standard_one() {
    // A door that takes standard taps only asks for no proof of the fast phase, and takes none.
    let city = City::new();
    let config =
        Config { least: presentation::profile::Profile::Standard, ..city.standard_config() };
    let (mut weak, mut badge) = (gate(&city), Badge::good(&city));
    tap(&mut weak, &mut badge);
    tap(&mut weak, &mut badge);
    assert_eq!(profile(&weak), FAST);
    let recording = badge.sent.clone();
    let mut strong = ready(&city, config, Taps::default());
    tap(&mut strong, &mut badge);
    assert_eq!(profile(&strong), STANDARD);
    assert_ne!(strong.replay(noon(), GATE, &recording), Seen::Unlocked);
    let mut wire = |number, response: Vec<u8>| {
        // The answer to AUTH0 of a fast tap, in place of that of a standard one.
        Some(if number == 1 { recording[1].clone() } else { response })
    };
    assert_ne!(tap_over(&mut strong, &mut badge, (GATE, noon()), &mut wire), OPEN);
    assert_eq!(tap(&mut strong, &mut badge), OPEN, "control");
}

#[test]
fn a_holder_of_handles_alone_is_not_let_in_by_less_than_the_door_demands() {
    let city = City::new();
    for (least, is_open) in [
        (presentation::profile::Profile::Standard, false),
        (presentation::profile::Profile::Express, true),
    ] {
        let config = Config { least, ..city.standard_config() };
        let mut gate = crate::express::ready_with(&city, config);
        let seen = crate::express::tap_with_handle(&mut gate);
        assert_eq!(seen == OPEN, is_open, "{least}");
    }
}

#[test]
fn an_answer_that_takes_too_long_is_refused() {
    let city = City::new();
    let rights = Rights { zones: vec!["C".parse().unwrap()], ..ticket() };
    for (took, expected) in [(1_100, refused(Reason::TooSlow)), (200, OPEN.to_vec())] {
        let mut gate = gate(&city);
        gate.took = Box::new(move || Duration::from_millis(took));
        let mut badge = Badge::with(&city, &rights, Some(0));
        assert_eq!(tap_at(&mut gate, &mut badge, GATE_C, noon()), expected);
    }
}

#[test]
fn a_copy_of_a_device_without_its_key_is_known_by_nothing() {
    let city = City::new();
    let (mut gate, mut badge) = (gate(&city), Badge::good(&city));
    tap(&mut gate, &mut badge);
    // The keys of the fast phase are copied: a bearer secret, until the pass is revoked.
    let copied = badge.device.memory().clone();
    let mut copy = Badge { key: key(61), ..Badge::good(&city) };
    copy.device = Device::new(Badge::setup(&city, &key(60)), copied);
    assert_eq!(tap(&mut gate, &mut copy), OPEN, "as the specification says");
    assert_eq!(copy.commands.get(1), Some(&AUTH0));
    // Not where the door demands the key itself.
    copy.device = Device::new(Badge::setup(&city, &key(60)), Memory::default());
    assert_ne!(tap(&mut gate, &mut copy), OPEN);
}
