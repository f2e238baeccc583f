//! Enrolment: one code, one reader, a key that is proven, a certificate that fits.

use std::time::Duration;

use credential::crypto::PublicKey;
use credential::rustcrypto::RustCrypto;
use credential::x509::{Certificate, compressed, oid};
use fleet::certificate::{
    Authority, LIFE_DEFAULT, LIFE_MAX, Renewal, renew_reader, renewal_challenge,
    standard_certificate,
};
use fleet::change::Change;
use fleet::enrolment::{
    EnrolRequest, Enrolment, EnrolmentCode, EnrolmentEntropy, Invitation, Presented, TRIES_MAX,
    WAITING_MAX, invite_reader, present_code,
};
use fleet::reader::{DOORS_MAX, JournalHead, Reader, retire_reader};
use fleet::refusal::Refusal;
use fleet::secret::{ReaderSecret, TEXT_BYTES, authenticate};
use policy::action::Action;
use policy::actor::Subject;
use policy::place::PlaceTree;
use proptest::prelude::*;
use vocabulary::time::Instant;

use crate::city::{
    Key, NOW, candidate_permit, enrol, enrolled, invitation, invite, own_permit, permit, place,
    tree, with_authority,
};

#[test]
fn right_code_and_proven_key_make_a_reader() {
    let (enrolment, code) = invite(1);
    let key = Key::new(1);
    let typed = EnrolmentCode::parse(&code.danger_text()).unwrap();
    assert_eq!(typed, code);
    let request = EnrolRequest { key: key.prove(&typed.challenge(&key.public())), code: typed };
    let permit = candidate_permit(&enrolment, &code);
    let (used, reader, secret) = enrol(&enrolment, &request, &permit, NOW).unwrap();
    assert_eq!((used.used_by, used.version), (Some(reader.id), 2));
    assert_eq!((&reader.operator, &reader.doors), (&enrolment.operator, &enrolment.doors));
    assert_eq!(reader.place().unwrap().as_str(), "hall/door");
    assert_eq!(reader.journal, JournalHead::start(reader.id));
    let actor = authenticate(Some(&reader), &secret).unwrap();
    assert_eq!(actor.subject(), Subject::Reader(reader.id));
    // The code is used up.
    assert_eq!(present_code(Some(&used), &code, NOW), Presented::Dead);
    let again = enrol(&used, &request, &permit, NOW);
    assert_eq!(again.unwrap_err(), Refusal::Code);
}

#[test]
fn certificate_is_a_reader_certificate_for_the_proven_key() {
    let (key, reader, _) = enrolled(1);
    let certificate = Certificate::parse(&reader.certificate.der).unwrap();
    assert_eq!(certificate.public_key, PublicKey::P256(key.public()));
    assert!(certificate.extended_key_usage.unwrap().contains(oid::MDOC_READER));
    assert!(!certificate.is_authority());
    assert_eq!(certificate.subject.common_name(), Some("Staff door"));
    assert_eq!(certificate.subject.organization(), Some("harbour"));
    assert_eq!(certificate.not_before, reader.certificate.not_before);
    assert_eq!(certificate.not_after, NOW.saturating_add(LIFE_DEFAULT));
    assert_eq!(certificate.not_after, reader.certificate.not_after);
}

#[test]
fn certificate_for_the_standard_tap_names_the_reader_and_ends_with_the_other() {
    let (key, reader, _) = enrolled(1);
    with_authority(|authority, city| {
        let issuer = &authority.certificate.public_key;
        for serial in [[0; 16], [0xFF; 16]] {
            let unsigned = standard_certificate(&reader, authority, serial).unwrap().unwrap();
            let subject = compressed::subject_of_tbs(unsigned.to_be_signed()).unwrap();
            let id = u128::from_str_radix(subject, 16).unwrap().to_be_bytes();
            assert_eq!((&id, subject.len()), (reader.id.as_bytes(), 32));
            let bytes = city.complete(unsigned);
            let verify = |at| compressed::verify(&RustCrypto, &bytes, issuer, at);
            assert_eq!(verify(NOW).map(|reader| reader.key), Ok(PublicKey::P256(key.public())));
            assert!(verify(reader.certificate.not_after).is_ok());
            let second = Duration::from_secs(1);
            assert!(verify(reader.certificate.not_after.saturating_add(second)).is_err());
            assert!(verify(reader.certificate.not_before.saturating_sub(second)).is_err());
            assert!(bytes.len() < 240, "{} bytes on air", bytes.len());
        }
    });
}

#[test]
fn key_without_its_private_half_is_refused() {
    let (enrolment, code) = invite(1);
    let permit = candidate_permit(&enrolment, &code);
    let (own, other) = (Key::new(1), Key::new(2));
    let check = |proven, expected: Result<(), Refusal>| {
        let request = EnrolRequest { code: code.clone(), key: proven };
        assert_eq!(enrol(&enrolment, &request, &permit, NOW).map(|_| ()), expected);
    };
    let challenge = code.challenge(&own.public());
    let mut stolen = other.prove(&challenge);
    stolen.key = own.public();
    check(stolen, Err(Refusal::Possession));
    // A proof for another code, or for another key, proves nothing here.
    let (_, other_code) = invite(2);
    check(own.prove(&other_code.challenge(&own.public())), Err(Refusal::Possession));
    check(own.prove(&code.challenge(&other.public())), Err(Refusal::Possession));
    // The control: the right proof is taken.
    check(own.prove(&challenge), Ok(()));
}

#[test]
fn code_dies_after_its_tries() {
    let (mut enrolment, code) = invite(1);
    let text = code.danger_text();
    let wrong = if text.ends_with('0') { '1' } else { '0' };
    let guess = EnrolmentCode::parse(&format!("{}{wrong}", &text[..text.len() - 1])).unwrap();
    for left in (0..TRIES_MAX).rev() {
        // The control: as long as tries are left, the right code opens.
        assert!(matches!(present_code(Some(&enrolment), &code, NOW), Presented::Right(_)));
        let Presented::Wrong(change) = present_code(Some(&enrolment), &guess, NOW) else {
            panic!()
        };
        let Change::UpdateEnrolment(next) = *change else { panic!() };
        assert_eq!((next.tries_left, next.version), (left, enrolment.version + 1));
        enrolment = next;
    }
    assert_eq!(present_code(Some(&enrolment), &code, NOW), Presented::Dead);
    assert_eq!(present_code(Some(&enrolment), &guess, NOW), Presented::Dead);
    assert_eq!(present_code(None, &code, NOW), Presented::Dead);
}

#[test]
fn code_dies_at_its_end() {
    let (enrolment, code) = invite(1);
    let last = Instant::from_unix_micros(enrolment.expires_at.unix_micros() - 1);
    assert!(matches!(present_code(Some(&enrolment), &code, last), Presented::Right(_)));
    assert_eq!(present_code(Some(&enrolment), &code, enrolment.expires_at), Presented::Dead);
}

#[test]
fn permit_for_another_enrolment_enrols_nothing() {
    let (first, first_code) = invite(1);
    let (second, second_code) = invite(2);
    let key = Key::new(1);
    let request =
        EnrolRequest { key: key.prove(&second_code.challenge(&key.public())), code: second_code };
    let foreign = candidate_permit(&first, &first_code);
    assert_eq!(enrol(&second, &request, &foreign, NOW).unwrap_err(), Refusal::Code);
}

#[test]
fn invitations_hold_to_their_limits() {
    let permit = permit(Action::ReaderInvite, "harbour");
    let places = (0..=DOORS_MAX).map(|n| place(&format!("hall/{n}"), "harbour"));
    let tree = PlaceTree::new(places.chain([place("yard", "airport")])).unwrap();
    let check = |doors: &[&str], waiting, expected: Result<(), &str>| {
        let doors = doors.iter().map(|door| door.parse().unwrap()).collect();
        let request = Invitation { doors, ..invitation() };
        let entropy = EnrolmentEntropy { id: [1; 10], secret: [2; 10] };
        let invited = invite_reader(&permit, &tree, waiting, request, NOW, &entropy);
        assert_eq!(invited.map(|_| ()).map_err(|refusal| refusal.code()), expected);
    };
    let doors: Vec<String> = (0..=DOORS_MAX).map(|n| format!("hall/{n}")).collect();
    let doors: Vec<&str> = doors.iter().map(String::as_str).collect();
    check(&doors[..DOORS_MAX], 0, Ok(()));
    check(&doors, 0, Err("reader-doors"));
    check(&[], 0, Err("reader-doors"));
    check(&["hall/1", "hall/1"], 0, Err("reader-doors"));
    check(&["hall/1"], WAITING_MAX - 1, Ok(()));
    check(&["hall/1"], WAITING_MAX, Err("enrolments-too-many"));
    // A reader at another operator's door would be told who may open it.
    check(&["yard"], 0, Err("place-unknown"));
    check(&["nowhere"], 0, Err("place-unknown"));
}

fn renew(
    reader: &Reader,
    key: &Key,
    previous: Option<&Key>,
    challenge: &[u8],
) -> Result<Reader, Refusal> {
    with_authority(|authority, city| {
        let permit = own_permit(Action::ReaderRenew, reader);
        let previous_proof = previous.map(|key| key.sign(challenge));
        let renewal = Renewal { next: key.prove(challenge), previous_proof };
        let later = NOW.saturating_add(Duration::from_secs(86_400));
        let unsigned =
            renew_reader(&permit, reader, &renewal, authority, &RustCrypto, later, [6; 16])?;
        match city.complete(unsigned) {
            Change::UpdateReader(reader) => Ok(reader),
            other => panic!("{other:?}"),
        }
    })
}

#[test]
fn reader_renews_for_its_next_key_once() {
    let (key, reader, _) = enrolled(1);
    let next = Key::new(2);
    let challenge = renewal_challenge(reader.id, &reader.certificate.der, &next.public());
    // The next key must be let in by the one before.
    for previous in [None, Some(&next)] {
        assert_eq!(renew(&reader, &next, previous, &challenge), Err(Refusal::Possession));
    }
    let renewed = renew(&reader, &next, Some(&key), &challenge).unwrap();
    assert_eq!((renewed.key, renewed.version), (next.public(), 2));
    assert!(renewed.certificate.not_after > reader.certificate.not_after);
    // The same proof is worth nothing for the certificate that came of it.
    assert_eq!(renew(&renewed, &next, None, &challenge), Err(Refusal::Possession));
}

#[test]
fn retired_reader_is_not_certified_again() {
    let (key, reader, secret) = enrolled(1);
    let retire = permit(Action::ReaderRetire, "harbour");
    let Change::UpdateReader(retired) = retire_reader(&retire, &reader, NOW).unwrap() else {
        panic!()
    };
    assert_eq!(retire_reader(&retire, &retired, NOW), Err(Refusal::Retired));
    let challenge = renewal_challenge(retired.id, &retired.certificate.der, &key.public());
    assert_eq!(renew(&retired, &key, None, &challenge), Err(Refusal::Retired));
    // It is still known, so that its journal can come in.
    assert!(authenticate(Some(&retired), &secret).is_ok());
    // The control: in service it is certified.
    assert!(renew(&reader, &key, None, &challenge).is_ok());
}

#[test]
fn life_of_a_certificate_is_cut_at_its_limit() {
    let (key, reader, _) = enrolled(1);
    let next = key.prove(&renewal_challenge(reader.id, &reader.certificate.der, &key.public()));
    let renewal = Renewal { next, previous_proof: None };
    let permit = own_permit(Action::ReaderRenew, &reader);
    for (life, expected) in [(LIFE_MAX, LIFE_MAX), (LIFE_MAX + Duration::from_secs(1), LIFE_MAX)] {
        with_authority(|authority, city| {
            let authority = Authority { life, ..*authority };
            let unsigned =
                renew_reader(&permit, &reader, &renewal, &authority, &RustCrypto, NOW, [6; 16]);
            let Change::UpdateReader(renewed) = city.complete(unsigned.unwrap()) else { panic!() };
            assert_eq!(renewed.certificate.not_after, NOW.saturating_add(expected));
        });
    }
}

#[test]
fn wrong_secret_is_no_reader() {
    let (_, reader, secret) = enrolled(1);
    let text = secret.danger_text();
    assert_eq!(text.len(), TEXT_BYTES);
    let wrong = if text.ends_with('0') { '1' } else { '0' };
    let guess = ReaderSecret::parse(&format!("{}{wrong}", &text[..text.len() - 1])).unwrap();
    assert!(authenticate(Some(&reader), &guess).is_err());
    assert!(authenticate(None, &secret).is_err());
    // The control: the right one is known.
    assert!(authenticate(Some(&reader), &ReaderSecret::parse(&text).unwrap()).is_ok());
}

#[test]
fn codes_and_secrets_never_show_in_debug_output() {
    let (enrolment, code) = invite(1);
    let (_, reader, secret) = enrolled(1);
    let code_text = code.danger_text();
    let secret_text = secret.danger_text();
    let hidden = [code_text.split_once('.').unwrap().1, secret_text.rsplit_once('_').unwrap().1];
    for shown in [
        format!("{enrolment:?}"),
        format!("{code:?}"),
        format!("{reader:?}"),
        format!("{secret:?}"),
    ] {
        assert!(hidden.iter().all(|secret| !shown.contains(secret)), "{shown}");
    }
    assert!(format!("{enrolment:?}").contains("Staff door"));
}

proptest! {
    #[test]
    fn code_text_returns_to_the_same_code(id: [u8; 10], secret: [u8; 10]) {
        let permit = permit(Action::ReaderInvite, "harbour");
        let entropy = EnrolmentEntropy { id, secret };
        let invited = invite_reader(&permit, &tree(), 0, invitation(), NOW, &entropy).unwrap();
        prop_assert_eq!(EnrolmentCode::parse(&invited.1.danger_text()), Ok(invited.1.clone()));
        let Change::InsertEnrolment(enrolment) = invited.0 else { panic!() };
        let enrolment: &Enrolment = &enrolment;
        let is_right = matches!(present_code(Some(enrolment), &invited.1, NOW), Presented::Right(_));
        prop_assert!(is_right);
    }

    #[test]
    fn arbitrary_text_never_panics(text: String) {
        let _ = EnrolmentCode::parse(&text);
        let _ = ReaderSecret::parse(&text);
    }

    #[test]
    fn text_near_a_secret_is_a_secret_or_refused(tail in "[0-9a-f_]{91}") {
        let text = format!("limen_reader_{tail}");
        if let Ok(secret) = ReaderSecret::parse(&text) {
            prop_assert_eq!(secret.danger_text(), text);
        }
    }
}
