//! Taps at an honest reader: what is asked, what the owner says, and what leaves.

use core::time::Duration;

use credential::mdoc::DeviceResponse;
use credential::rights::{CLAIMS, Rights};
use presentation::holder::{CONSENT_TIMEOUT, HolderError};
use reader::decision::Reason;
use wallet::secure_element::{Presence, PresenceRule, SecureElementError};
use wallet::software::SoftwareElement;
use wallet::state::State;
use wallet::tap::{Consent, TapError};

use crate::city::{CRYPTO, City, days, noon, ticket};
use crate::gate::Gate;
use crate::phone::{Phone, SHOW};
use crate::rogue::{Question, Rogue};

#[test]
fn gate_opens_for_a_ticket() {
    let city = City::new();
    let (mut phone, mut gate) = (Phone::with_ticket(&city), Gate::new(&city));
    let shown = phone.hold(&mut gate).unwrap();
    assert!(gate.opened());
    assert!(shown.elements.iter().all(|element| CLAIMS.contains(&element.as_str())));
    assert!(!shown.elements.contains(&"birth_date".to_owned()));
    let proposal = phone.asked.as_ref().unwrap();
    assert!(proposal.reader.contains("Test 5"));
    let retained = proposal.candidates[0].elements.iter().filter(|element| element.is_retained);
    let retained: Vec<&str> = retained.map(|element| element.name.as_str()).collect();
    assert_eq!(retained, ["operator", "product"]);
}

#[test]
fn owner_who_declines_shows_nothing() {
    let city = City::new();
    let (mut phone, mut gate) = (Phone::with_ticket(&city), Gate::new(&city));
    for consent in [
        Consent::Decline,
        Consent::Show { candidate: 1, presence: Presence::Confirmed },
        Consent::Show { candidate: usize::MAX, presence: Presence::Confirmed },
    ] {
        phone.consent = consent;
        assert_eq!(phone.hold(&mut gate).unwrap_err(), TapError::Declined);
        assert_eq!(gate.deed, Some(Err(Reason::Declined)));
        let entry = phone.last_entry();
        assert!(entry.disclosed.is_empty() && entry.pass.is_empty());
        assert!(entry.with.contains("Test 5"), "who asked is known");
        assert_eq!(entry.outcome, "the owner declined");
        assert_eq!(phone.state.passes[0].documents[0].shown, 0);
    }
    phone.consent = SHOW;
    assert!(phone.hold(&mut gate).is_ok() && gate.opened(), "control");
}

#[test]
fn pass_that_needs_its_owner_waits_for_a_finger() {
    let city = City::new();
    let (mut phone, mut gate) = (Phone::empty(&city), Gate::new(&city));
    phone.add(&city, "Badge", 1, PresenceRule::Needed);
    let refused = phone.hold(&mut gate).unwrap_err();
    assert_eq!(refused, TapError::Element(SecureElementError::PresenceNeeded));
    assert!(!gate.opened());
    assert!(phone.last_entry().disclosed.is_empty());
    assert_eq!(phone.state.passes[0].documents[0].shown, 0);
    phone.consent = Consent::Show { candidate: 0, presence: Presence::Confirmed };
    assert!(phone.hold(&mut gate).is_ok() && gate.opened(), "control");
}

#[test]
fn pass_for_its_holder_alone_waits_for_a_finger_whatever_its_key_demands() {
    let city = City::new();
    for holder_only in [true, false] {
        let (mut phone, mut gate) = (Phone::empty(&city), Gate::new(&city));
        let rights = Rights { holder_only, ..ticket() };
        phone.add_with(&city, "Ticket", (1, PresenceRule::NotNeeded), &rights);
        let shown = phone.hold(&mut gate);
        assert_eq!((shown.is_ok(), gate.opened()), (!holder_only, !holder_only));
        phone.consent = Consent::Show { candidate: 0, presence: Presence::Confirmed };
        assert!(phone.hold(&mut gate).is_ok() && gate.opened(), "control");
    }
}

#[test]
fn nothing_leaves_but_what_was_asked_for() {
    let city = City::new();
    for (asked, expected) in [
        (vec![("zones", false)], vec!["zones"]),
        (vec![("birth_date", true)], vec!["birth_date"]),
        (vec![("portrait", false), ("class", false)], vec!["class"]),
    ] {
        let mut phone = Phone::with_ticket(&city);
        let question = Question { elements: asked, ..Question::default() };
        let mut reader = Rogue::proving(90, &city.reader, question);
        let shown = phone.hold(&mut reader).unwrap();
        assert_eq!(reader.harvested(), expected);
        assert_eq!(shown.elements, expected);
        assert_eq!(phone.last_entry().disclosed, expected);
        let response = DeviceResponse::parse(&shown.device_response).unwrap();
        assert_eq!(response.documents.len(), 1);
    }
}

#[test]
fn reader_learns_not_what_kind_of_pass_is_missing() {
    let city = City::new();
    let other_type = Question { doc_type: "org.iso.18013.5.1.mDL", ..Question::default() };
    let other_element = Question { elements: vec![("portrait", false)], ..Question::default() };
    let mut answers = Vec::new();
    for (question, doc_type) in
        [(other_type, "org.iso.18013.5.1.mDL"), (other_element, "city.limen.pass.1")]
    {
        let mut phone = Phone::with_ticket(&city);
        let mut reader = Rogue::proving(90, &city.reader, question.clone());
        let refused = phone.hold(&mut reader).unwrap_err();
        assert_eq!(refused, TapError::NoPass { doc_type: doc_type.into() });
        assert!(phone.asked.is_none() && reader.harvest.is_none());
        assert!(phone.last_entry().with.contains("Test 5"));
        answers.push(phone.sent.last().unwrap().clone());
    }
    let mut phone = Phone { consent: Consent::Decline, ..Phone::with_ticket(&city) };
    phone.hold(&mut Rogue::honest(&city)).unwrap_err();
    answers.push(phone.sent.last().unwrap().clone());
    answers.dedup();
    assert_eq!(answers.len(), 1, "no pass and no consent look alike");
}

#[test]
fn freshest_document_is_shown_each_time() {
    let city = City::new();
    let (mut phone, mut gate) = (Phone::empty(&city), Gate::new(&city));
    phone.add(&city, "Ticket", 3, PresenceRule::NotNeeded);
    let shown = |phone: &Phone| -> Vec<u32> {
        phone.state.passes[0].documents.iter().map(|document| document.shown).collect()
    };
    for expected in [[1, 0, 0], [1, 1, 0], [1, 1, 1], [2, 1, 1]] {
        phone.hold(&mut gate).unwrap();
        assert!(gate.opened());
        assert_eq!(shown(&phone), expected);
    }
    phone.state.passes[0].documents[1].valid_until = noon().saturating_sub(days(1));
    phone.state.passes[0].documents[2].valid_from = noon().saturating_add(days(1));
    phone.hold(&mut gate).unwrap();
    assert_eq!(shown(&phone), [3, 1, 1], "a document out of its dates waits");
    phone.state.passes[0].documents[0].valid_until = noon().saturating_sub(days(1));
    phone.hold(&mut gate).unwrap();
    assert_eq!(shown(&phone), [3, 2, 1], "where none is in its dates, the reader says no");
}

#[test]
fn owner_chooses_between_two_passes_that_fit() {
    let city = City::new();
    let (mut phone, mut gate) = (Phone::with_ticket(&city), Gate::new(&city));
    phone.add(&city, "Spare ticket", 1, PresenceRule::NotNeeded);
    phone.consent = Consent::Show { candidate: 1, presence: Presence::Unknown };
    assert_eq!(phone.hold(&mut gate).unwrap().pass, "Spare ticket");
    assert!(gate.opened());
    let proposal = phone.asked.as_ref().unwrap();
    let names: Vec<&str> = proposal.candidates.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["Ticket", "Spare ticket"]);
    let shown: Vec<u32> = phone.state.passes.iter().map(|pass| pass.documents[0].shown).collect();
    assert_eq!(shown, [0, 1]);
}

#[test]
fn wallet_goes_on_where_it_was_sealed() {
    let city = City::new();
    let (mut phone, mut gate) = (Phone::empty(&city), Gate::new(&city));
    phone.add(&city, "Ticket", 2, PresenceRule::NotNeeded);
    phone.hold(&mut gate).unwrap();
    let host_key = [42; 32];
    let state = phone.state.seal(CRYPTO, &host_key, [1; 12]);
    let element = phone.element.seal(CRYPTO, &host_key, [2; 12]);
    phone.state = State::open(CRYPTO, &host_key, &state).unwrap();
    phone.element = SoftwareElement::open(CRYPTO, &host_key, &element).unwrap();
    phone.hold(&mut gate).unwrap();
    assert!(gate.opened());
    let shown: Vec<u32> = phone.state.passes[0].documents.iter().map(|d| d.shown).collect();
    assert_eq!(shown, [1, 1], "what was shown before the seal still counts");
    assert_eq!(phone.state.log.len(), 2);
    let stranger = SoftwareElement::open(CRYPTO, &[43; 32], &element);
    assert!(stranger.is_err() && State::open(CRYPTO, &[43; 32], &state).is_err(), "control");
}

#[test]
fn lost_device_key_shows_nothing() {
    let city = City::new();
    let (mut phone, mut gate) = (Phone::with_ticket(&city), Gate::new(&city));
    phone.element = SoftwareElement::new();
    let refused = phone.hold(&mut gate).unwrap_err();
    assert_eq!(refused, TapError::Element(SecureElementError::UnknownKey));
    assert!(!gate.opened() && phone.last_entry().disclosed.is_empty());
}

#[test]
fn owner_who_takes_too_long_shows_nothing() {
    let city = City::new();
    let (mut phone, mut gate) = (Phone::with_ticket(&city), Gate::new(&city));
    phone.hesitation = CONSENT_TIMEOUT;
    let late = phone.hold(&mut gate).unwrap_err();
    assert_eq!(late, TapError::Session(HolderError::ConsentTimedOut));
    assert!(!gate.opened() && phone.last_entry().disclosed.is_empty());
    phone.hesitation = CONSENT_TIMEOUT.saturating_sub(Duration::from_secs(1));
    assert!(phone.hold(&mut gate).is_ok() && gate.opened(), "control");
}
