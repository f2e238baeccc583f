//! The standard tap and the fast one: wallets at real gates, what their owners are asked, and readers that
//! are not what they say.

use core::time::Duration;

use credential::rights::Rights;
use presentation::profile::Profile;
use presentation::standard::{AUTH0, AUTH1, CONTROL_FLOW, device::DeviceError};
use reader::decision::Reason;
use reader::table::Closed;
use vocabulary::time::Instant;
use wallet::secure_element::{Presence, PresenceRule, SecureElementError};
use wallet::software::SoftwareElement;
use wallet::state::State;
use wallet::tap::{Consent, STANDARD_TAPS_MAX, TapError};

use crate::city::{CRYPTO, City, days, noon, ticket};
use crate::gate::{Gate, READER};
use crate::phone::{Phone, Reader};

const ANY: (u8, PresenceRule) = (1, PresenceRule::NotNeeded);

fn name() -> String {
    READER.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gate(city: &City) -> Gate {
    Gate::with(city, Some(city.standard(&name(), noon().saturating_add(days(30)))))
}

fn phone(city: &City) -> Phone {
    let mut phone = Phone::empty(city);
    phone.add_access(city, "Ticket", ANY, &ticket());
    phone
}

fn badge() -> Rights {
    Rights { product: "badge".parse().unwrap(), ..ticket() }
}

/// A reader whose commands are counted, and that goes away after so many.
struct Watched<'g> {
    gate: &'g mut Gate,
    commands: Vec<u8>,
    commands_max: usize,
}

impl<'g> Watched<'g> {
    fn new(gate: &'g mut Gate) -> Self {
        Self { gate, commands: Vec::new(), commands_max: usize::MAX }
    }
}

impl Reader for Watched<'_> {
    fn next(&mut self, now: Instant, response: Option<&[u8]>) -> Option<Vec<u8>> {
        if self.commands.len() == self.commands_max {
            return None;
        }
        let command = self.gate.next(now, response)?;
        self.commands.push(command[1]);
        Some(command)
    }
}

#[test]
fn a_ticket_opens_by_the_standard_tap_and_then_by_the_fast_one() {
    let city = City::new();
    let (mut phone, mut gate) = (phone(&city), gate(&city));
    let shown = phone.hold(&mut gate).unwrap();
    assert!(gate.opened());
    assert_eq!((gate.profile(), shown.profile), (Some(Profile::Standard), Profile::Standard));
    assert!(phone.asked.is_none(), "its express tap is on");
    assert_eq!((shown.reader, shown.pass.as_str()), (READER.to_string(), "Ticket"));
    assert!(!shown.device_response.is_empty() && shown.elements.contains(&"zones".into()));
    let entry = phone.last_entry();
    assert_eq!((entry.with.clone(), entry.outcome.as_str()), (READER.to_string(), "shown"));
    assert_eq!((entry.pass.as_str(), &entry.disclosed), ("Ticket", &shown.elements));
    assert_eq!(phone.state.passes[0].documents[0].shown, 1);

    let mut watched = Watched::new(&mut gate);
    let shown = phone.hold(&mut watched).unwrap();
    assert!(watched.commands.contains(&AUTH0) && watched.commands.contains(&CONTROL_FLOW));
    assert!(!watched.commands.contains(&AUTH1));
    assert!(gate.opened());
    assert_eq!((gate.profile(), shown.profile), (Some(Profile::Fast), Profile::Fast));
    let entry = phone.last_entry();
    assert_eq!((entry.pass.as_str(), entry.outcome.as_str()), ("Ticket", "fast tap"));
    assert!(entry.disclosed.is_empty() && entry.with == READER.to_string());
    assert_eq!(phone.state.passes[0].documents[0].shown, 1, "nothing was shown");
}

#[test]
fn the_key_of_the_fast_tap_is_kept_where_the_wallet_is() {
    let city = City::new();
    let (mut phone, mut gate) = (phone(&city), gate(&city));
    phone.hold(&mut gate).unwrap();
    let state = phone.state.seal(CRYPTO, &[42; 32], [1; 12]);
    let element = phone.element.seal(CRYPTO, &[42; 32], [2; 12]);
    phone.state = State::open(CRYPTO, &[42; 32], &state).unwrap();
    phone.element = SoftwareElement::open(CRYPTO, &[42; 32], &element).unwrap();
    phone.hold(&mut gate).unwrap();
    assert_eq!(gate.profile(), Some(Profile::Fast));
    // Control: a wallet that has forgotten it proves its key again.
    phone.state.keyring.retain(|_| false);
    phone.hold(&mut gate).unwrap();
    assert_eq!(gate.profile(), Some(Profile::Standard));
}

#[test]
fn an_owner_who_switched_the_express_tap_off_is_asked_each_time() {
    let city = City::new();
    let (mut phone, mut gate) = (phone(&city), gate(&city));
    phone.hold(&mut gate).unwrap();
    phone.state.express.switch(Some(0), false);
    for _ in 0..2 {
        phone.hold(&mut gate).unwrap();
        assert!(gate.opened() && phone.asked.is_some());
        assert_eq!(gate.profile(), Some(Profile::Standard), "also where it is known");
        let proposal = phone.asked.as_ref().unwrap();
        assert_eq!(proposal.reader, READER.to_string());
        assert_eq!(proposal.candidates.len(), 1);
    }
    phone.consent = Consent::Decline;
    assert_eq!(phone.hold(&mut gate).unwrap_err(), TapError::Declined);
    assert!(!gate.opened() && phone.last_entry().disclosed.is_empty());
    phone.state.express.switch(Some(0), true);
    phone.hold(&mut gate).unwrap();
    assert!(gate.opened() && phone.asked.is_none(), "control");
}

#[test]
fn a_pass_for_its_holder_alone_is_never_shown_unasked() {
    let city = City::new();
    let alone = Rights { holder_only: true, ..ticket() };
    for (rights, rule) in [(alone, PresenceRule::NotNeeded), (ticket(), PresenceRule::Needed)] {
        let (mut phone, mut gate) = (Phone::empty(&city), gate(&city));
        phone.add_access(&city, "Badge", (1, rule), &rights);
        let refused = phone.hold(&mut gate).unwrap_err();
        assert_eq!(refused, TapError::Element(SecureElementError::PresenceNeeded));
        assert!(phone.asked.is_some() && !gate.opened());
        assert!(phone.last_entry().disclosed.is_empty());
        phone.consent = Consent::Show { candidate: 0, presence: Presence::Confirmed };
        for _ in 0..2 {
            phone.hold(&mut gate).unwrap();
            assert!(gate.opened() && phone.asked.is_some());
            assert_eq!(gate.profile(), Some(Profile::Standard));
        }
    }
}

#[test]
fn an_owner_of_two_passes_is_asked_until_it_is_clear_which_is_meant() {
    let city = City::new();
    let (mut phone, mut gate) = (phone(&city), gate(&city));
    phone.add_access(&city, "Badge", ANY, &badge());
    let choose = |candidate| Consent::Show { candidate, presence: Presence::Unknown };
    phone.consent = choose(1);
    assert!(phone.hold(&mut gate).is_ok());
    assert_eq!(gate.deed, Some(Err(Reason::Closed(Closed::Product))));
    let asked = phone.asked.clone().unwrap();
    let names: Vec<&str> = asked.candidates.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["Ticket", "Badge"]);
    phone.consent = choose(0);
    phone.hold(&mut gate).unwrap();
    assert!(gate.opened() && phone.asked.is_some(), "the wrong one is not remembered");
    // From now on the gate knows the ticket, and the owner is left alone.
    phone.hold(&mut gate).unwrap();
    assert!(gate.opened() && phone.asked.is_none());
    assert_eq!(gate.profile(), Some(Profile::Fast));
}

#[test]
fn the_document_that_was_shown_least_is_used_and_the_newest_of_one_name() {
    let city = City::new();
    let (mut phone, mut gate) = (Phone::empty(&city), gate(&city));
    phone.add_access(&city, "Ticket", (2, PresenceRule::NotNeeded), &badge());
    phone.add_access(&city, "Ticket", (3, PresenceRule::NotNeeded), &ticket());
    for expected in [[1, 0, 0], [1, 1, 0], [1, 1, 1]] {
        phone.hold(&mut gate).unwrap();
        assert_eq!((gate.deed, phone.asked.is_some()), (Some(Ok(())), false));
        let shown: Vec<u32> = phone.state.passes[1].documents.iter().map(|it| it.shown).collect();
        assert_eq!(shown, expected);
        // Another gate, as it were.
        phone.state.keyring.retain(|_| false);
    }
    // What is out of its dates is neither shown nor known.
    phone.hold(&mut gate).unwrap();
    for document in &mut phone.state.passes[1].documents {
        document.valid_until = noon().saturating_sub(days(1));
    }
    phone.hold(&mut gate).unwrap();
    assert_eq!(gate.deed, Some(Err(Reason::Closed(Closed::Product))), "the older pass");
}

#[test]
fn a_wallet_without_an_access_document_answers_by_the_identity_tap() {
    let city = City::new();
    let (mut phone, mut gate) = (Phone::with_ticket(&city), gate(&city));
    let shown = phone.hold(&mut gate).unwrap();
    assert!(gate.opened());
    assert_eq!((gate.profile(), shown.profile), (Some(Profile::Identity), Profile::Identity));
    // With one, it has the choice, and so has a gate without a certificate.
    phone.add_access(&city, "Ticket", ANY, &ticket());
    phone.hold(&mut gate).unwrap();
    assert_eq!(gate.profile(), Some(Profile::Standard));
    let mut plain = Gate::new(&city);
    phone.hold(&mut plain).unwrap();
    assert_eq!(plain.profile(), Some(Profile::Identity));
}

/// Holds a phone to a gate that proves itself wrongly: it signs nothing, and answers by the identity tap,
/// at which the gate proves itself otherwise.
fn check_stranger(city: &City, standard: reader::engine::StandardIdentity) {
    let mut phone = phone(city);
    phone.add(city, "Ticket", 1, PresenceRule::NotNeeded);
    let mut gate = Gate::with(city, Some(standard));
    let mut watched = Watched::new(&mut gate);
    phone.hold(&mut watched).unwrap();
    assert!(watched.commands.contains(&AUTH1), "it tried");
    assert_eq!(gate.profile(), Some(Profile::Identity));
    assert_eq!(phone.state.passes[0].documents[0].shown, 0);
    assert!(phone.state.keyring.entries().is_empty());
    phone.hold(&mut self::gate(city)).unwrap();
    assert_eq!(phone.state.passes[0].documents[0].shown, 1, "control");
}

#[test]
fn a_reader_without_a_good_certificate_gets_no_signature() {
    let city = City::new();
    let long = noon().saturating_add(days(30));
    check_stranger(&city, city.standard(&name(), noon().saturating_sub(days(1))));
    let other = City::numbered(40);
    check_stranger(&city, other.standard(&name(), long));
    let mut forged = other.standard(&name(), long);
    forged.group_key = city.standard(&name(), long).group_key;
    check_stranger(&city, forged);
}

#[test]
fn a_reader_that_names_another_than_its_certificate_gets_no_signature() {
    let city = City::new();
    let long = noon().saturating_add(days(30));
    let mut phone = phone(&city);
    let mut gate = Gate::with(&city, Some(city.standard("0123456789abcdef0123456789abcdef", long)));
    let Err(TapError::Reader(rejection)) = phone.hold(&mut gate) else { panic!("it was believed") };
    assert_eq!(rejection.code, "reader-certificate-name");
    assert!(!gate.opened() && phone.asked.is_none());
    assert_eq!(phone.state.passes[0].documents[0].shown, 0);
    let entry = phone.last_entry();
    assert_eq!((entry.with.as_str(), entry.outcome.as_str()), ("", "the reader is not trusted"));
    phone.hold(&mut self::gate(&city)).unwrap();
    assert_eq!(phone.state.passes[0].documents[0].shown, 1, "control");
}

#[test]
fn a_reader_that_goes_away_at_any_command_leaves_a_true_log() {
    let city = City::new();
    for is_known in [false, true] {
        for commands_max in 0.. {
            let (mut phone, mut gate) = (phone(&city), gate(&city));
            if is_known {
                phone.hold(&mut gate).unwrap();
            }
            let before = phone.state.passes[0].documents[0].shown;
            let mut reader = Watched { commands_max, ..Watched::new(&mut gate) };
            let result = phone.hold(&mut reader);
            let commands = reader.commands.clone();
            let entry = phone.last_entry();
            let was_signed = phone.state.passes[0].documents[0].shown > before;
            assert_eq!(was_signed, commands.contains(&AUTH1));
            assert_eq!(entry.disclosed.is_empty(), !was_signed, "{commands:x?}");
            let was_proved = is_known && commands.contains(&AUTH0);
            assert_eq!(entry.pass == "Ticket", was_signed || was_proved, "{commands:x?}");
            let is_good = matches!(entry.outcome.as_str(), "shown" | "fast tap");
            assert_eq!(is_good, result.is_ok());
            if commands.len() < commands_max {
                assert!(result.is_ok());
                break;
            }
            // The next tap works.
            phone.hold(&mut gate).unwrap();
            assert!(gate.opened(), "after {commands_max}");
        }
    }
}

#[test]
fn an_owner_who_takes_too_long_signs_nothing() {
    let city = City::new();
    let (mut phone, mut gate) = (phone(&city), gate(&city));
    phone.state.express.switch(None, false);
    phone.hesitation = presentation::standard::device::CALLER_TIMEOUT;
    let late = phone.hold(&mut gate).unwrap_err();
    assert_eq!(late, TapError::Standard(DeviceError::TimedOut));
    assert!(!gate.opened() && phone.last_entry().disclosed.is_empty());
    phone.hesitation = phone.hesitation.saturating_sub(Duration::from_secs(1));
    phone.hold(&mut gate).unwrap();
    assert!(gate.opened(), "control");
}

/// A reader that selects and asks for ephemeral keys, again and again.
struct Prober {
    auth0: Vec<u8>,
    rounds: usize,
    answered: Vec<Vec<u8>>,
}

impl Reader for Prober {
    fn next(&mut self, _: Instant, response: Option<&[u8]>) -> Option<Vec<u8>> {
        self.answered.extend(response.map(<[u8]>::to_vec));
        let select =
            [&[0, 0xA4, 4, 0, 9][..], &presentation::standard::EXPEDITED_APPLICATION, &[0]]
                .concat();
        match self.answered.len() {
            count if count >= self.rounds * 3 => None,
            count => Some(match count % 3 {
                0 => select,
                1 => self.auth0.clone(),
                // No certificate, no signature: the device ends.
                _ => vec![0x80, AUTH1, 0, 0, 0],
            }),
        }
    }
}

#[test]
fn a_prober_learns_nothing_and_is_left_after_so_many_tries() {
    let city = City::new();
    let mut watched = phone(&city);
    let mut gate = gate(&city);
    // The AUTH0 of a genuine gate, read along.
    let mut along = Watched::new(&mut gate);
    let mut auth0 = Vec::new();
    let mut tap = |watched: &mut Phone| {
        struct Along<'w, 'g>(&'w mut Watched<'g>, &'w mut Vec<u8>);
        impl Reader for Along<'_, '_> {
            fn next(&mut self, now: Instant, response: Option<&[u8]>) -> Option<Vec<u8>> {
                let command = self.0.next(now, response)?;
                if command[1] == AUTH0 {
                    *self.1 = command.clone();
                }
                Some(command)
            }
        }
        watched.hold(&mut Along(&mut along, &mut auth0)).unwrap();
    };
    tap(&mut watched);
    let rounds = usize::from(STANDARD_TAPS_MAX) + 2;
    let shapes = |phone: &mut Phone| {
        let mut prober = Prober { auth0: auth0.clone(), rounds, answered: Vec::new() };
        phone.hold(&mut prober).unwrap_err();
        let status = |it: &Vec<u8>| it.split_last_chunk::<2>().map(|(_, status)| *status);
        prober.answered.iter().map(|it| (it.len(), status(it))).collect::<Vec<_>>()
    };
    let with = shapes(&mut watched);
    let without = shapes(&mut Phone::empty(&city));
    assert_eq!(with.len(), rounds * 3);
    assert_eq!(with, without, "no matter whether there is a pass");
    let last = with.last().unwrap().1;
    assert_eq!(last, Some([0x69, 0x85]), "left after {STANDARD_TAPS_MAX} tries");
    assert_eq!(watched.state.passes[0].documents[0].shown, 1);
}
