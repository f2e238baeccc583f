//! Readers that prove nothing, or the wrong thing: they learn nothing, and the owner hears of it.

use credential::mdoc::device_request;
use credential::x509::build::Purpose;
use presentation::apdu::LinkLimits;
use wallet::tap::TapError;

use crate::city::{City, Identity, days, key, noon};
use crate::phone::Phone;
use crate::rogue::{Question, Rogue};

/// Holds a phone to `rogue`: it is refused with `code`, gets nothing, and stands in the log. The
/// control: a wallet that trusts anyone gives it everything.
fn check(city: &City, rogue: &dyn Fn() -> Rogue, code: &str) {
    let mut phone = Phone::with_ticket(city);
    let mut reader = rogue();
    let Err(TapError::Reader(rejection)) = phone.hold(&mut reader) else { panic!("{code}") };
    assert_eq!(rejection.code, code);
    assert!(reader.harvest.is_none() && phone.asked.is_none(), "{code}");
    let sent = phone.sent.concat();
    for secret in ["transit", "ticket", "operator", "zones", "1990-01-31", "city.limen"] {
        assert!(!sent.windows(secret.len()).any(|window| window == secret.as_bytes()), "{code}");
    }
    let entry = phone.last_entry();
    assert_eq!((entry.with.as_str(), entry.outcome.as_str()), ("", "the reader is not trusted"));
    assert!(entry.disclosed.is_empty() && entry.pass.is_empty() && entry.at == noon());
    assert_eq!(phone.state.passes[0].documents[0].shown, 0, "{code}");

    let mut gullible = Phone { trusts_anyone: true, ..Phone::with_ticket(city) };
    let mut reader = rogue();
    assert!(gullible.hold(&mut reader).is_ok(), "control of {code}");
    assert_eq!(reader.harvested(), ["operator", "zones"], "control of {code}");
    assert!(gullible.sent.concat().len() > sent.len(), "control of {code}");
}

#[test]
fn reader_of_the_city_gets_what_it_asks_for() {
    let city = City::new();
    let (mut phone, mut reader) = (Phone::with_ticket(&city), Rogue::honest(&city));
    let shown = phone.hold(&mut reader).unwrap();
    assert_eq!(Some(shown.device_response), reader.harvest);
    assert_eq!(shown.session_transcript, reader.transcript);
    assert_eq!(shown.elements, ["operator", "zones"]);
    assert_eq!(reader.harvested(), shown.elements);
    let entry = phone.last_entry();
    assert_eq!((entry.pass.as_str(), entry.outcome.as_str()), ("Ticket", "shown"));
    assert!(entry.with.contains("Test 5"), "{}", entry.with);
    assert_eq!(entry.disclosed, shown.elements);
}

#[test]
fn reader_without_a_proof_gets_nothing() {
    let city = City::new();
    let ask = |_: &[u8]| device_request(&[Question::default().unsigned()]);
    check(&city, &|| Rogue::new(90, ask), "reader-auth-missing");
}

#[test]
fn reader_with_a_wrong_proof_gets_nothing() {
    let city = City::new();
    let stolen = Identity { key: key(80), der: city.reader.der.clone() };
    check(&city, &|| Rogue::proving(90, &stolen, Question::default()), "signature");
}

#[test]
fn reader_of_another_city_gets_nothing() {
    let (city, other) = (City::new(), City::numbered(30));
    check(&city, &|| Rogue::proving(90, &other.reader, Question::default()), "untrusted-signer");
}

#[test]
fn reader_whose_certificate_has_expired_gets_nothing() {
    let city = City::new();
    let by = Some(&city.reader_authority);
    let expired = noon().saturating_sub(days(1));
    let expired = Identity::until(60, Purpose::Reader, by, expired);
    check(&city, &|| Rogue::proving(90, &expired, Question::default()), "certificate-expired");
}

#[test]
fn holder_of_another_certificate_of_the_city_is_no_reader() {
    let city = City::new();
    let by = Some(&city.reader_authority);
    let signer = Identity::until(61, Purpose::DocumentSigner, by, noon().saturating_add(days(100)));
    check(&city, &|| Rogue::proving(90, &signer, Question::default()), "certificate-profile");
}

#[test]
fn proof_from_another_session_is_worth_nothing() {
    let city = City::new();
    let mut phone = Phone::with_ticket(&city);
    let mut earlier = Rogue::honest(&city);
    phone.hold(&mut earlier).unwrap();
    let reader = city.reader.clone();
    let recorded = Question::default().signed(&reader.key, &reader.der, &earlier.transcript);
    let recorded = device_request(&[recorded]);
    let replay = || {
        let recorded = recorded.clone();
        Rogue::new(91, move |_| recorded.clone())
    };
    check(&city, &replay, "signature");
}

#[test]
fn every_request_of_a_reader_needs_its_proof() {
    let city = City::new();
    let reader = city.reader.clone();
    let half = || {
        let reader = reader.clone();
        Rogue::new(90, move |transcript| {
            let question = Question::default();
            let signed = question.signed(&reader.key, &reader.der, transcript);
            device_request(&[signed, question.unsigned()])
        })
    };
    check(&city, &half, "reader-auth-missing");
}

#[test]
fn log_names_the_reader_that_asked_first() {
    let city = City::new();
    let second = Identity::until(
        62,
        Purpose::Reader,
        Some(&city.reader_authority),
        noon().saturating_add(days(100)),
    );
    let first = city.reader.clone();
    let mut pair = Rogue::new(90, move |transcript| {
        let signed =
            |reader: &Identity| Question::default().signed(&reader.key, &reader.der, transcript);
        device_request(&[signed(&first), signed(&second)])
    });
    let mut phone = Phone::with_ticket(&city);
    assert!(phone.hold(&mut pair).unwrap().reader.contains("Test 5"));
}

#[test]
fn reader_that_goes_away_at_any_command_leaves_a_true_log() {
    let city = City::new();
    let mut ends = Vec::new();
    for commands in 0.. {
        // Short APDUs, so that the answer takes several.
        let mut phone = Phone { link: LinkLimits::SHORT, ..Phone::with_ticket(&city) };
        let mut reader = Rogue { commands_max: commands, ..Rogue::honest(&city) };
        let result = phone.hold(&mut reader);
        let entry = phone.last_entry();
        // From the moment of consent on, the reader may have something.
        assert_eq!(entry.disclosed.is_empty(), phone.asked.is_none(), "after {commands}");
        assert_eq!(entry.with.is_empty(), phone.asked.is_none(), "after {commands}");
        assert_eq!(entry.outcome == "shown", result.is_ok(), "after {commands}");
        assert_eq!(phone.state.log.len(), 1);
        if reader.harvest.is_some() {
            assert!(result.is_ok(), "it has everything");
        }
        ends.push((result.is_ok(), phone.asked.is_some()));
        if phone.sent.len() < commands {
            break;
        }
    }
    for end in [(false, false), (false, true), (true, true)] {
        assert!(ends.contains(&end), "{end:?}: {ends:?}");
    }
}

#[test]
fn reader_that_denies_its_harvest_stands_in_the_log_with_it() {
    let city = City::new();
    // READ BINARY, where a good-bye belongs; and bytes that are no command.
    for words in [&[0, 0xB0, 0, 0, 0][..], &[1]] {
        let mut phone = Phone::with_ticket(&city);
        let mut liar = Rogue { last_words: Some(words.to_vec()), ..Rogue::honest(&city) };
        assert!(matches!(phone.hold(&mut liar), Err(TapError::Session(_))));
        assert_eq!(liar.harvested(), ["operator", "zones"]);
        let entry = phone.last_entry();
        assert_eq!(entry.disclosed, ["operator", "zones"]);
        assert_eq!((entry.pass.as_str(), entry.outcome.as_str()), ("Ticket", "the session broke"));
        assert!(entry.with.contains("Test 5"));
    }
}
