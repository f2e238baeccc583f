//! Readers from the one-time code to the journal.

use ::reader::bundle::{Pin, VerifiedBundle};
use ::reader::journal::{Event, Outcome, Watermark};
use audit::journal::Head;
use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, PublicKey};
use credential::jose::base64url;
use credential::x509::{Certificate, TrustAnchors, compressed};
use keys::purpose::Purpose;
use serde_json::{Value, json};
use server::city::rotation::Level;
use server::world::now;

use crate::client::Answer;
use crate::phone::Key;
use crate::staff::ticket;
use crate::town::Town;

/// A reader with its key and what it was given.
pub struct Gate {
    pub key: Key,
    pub id: vocabulary::id::ReaderId,
    pub enrolled: Value,
}

pub fn enrolment(town: &Town) -> String {
    let owner = town.harbour();
    let place = json!({"code": "pier/gate-1", "name": "Gate 1", "zone": "B"});
    owner.post("/v1/places", &place);
    let request = json!({"label": "Gate 1", "doors": ["pier/gate-1"]});
    let answer = owner.post("/v1/readers/enrolments", &request);
    answer.expect(201);
    answer.text("code")
}

pub fn enrolment_request(code: &str, key: &Key) -> Value {
    signed_request(code, key, key)
}

fn enrol(town: &Town, code: &str, key: &Key, signer: &Key) -> Answer {
    town.anyone().post("/v1/readers/enrol", &signed_request(code, key, signer))
}

fn signed_request(code: &str, key: &Key, signer: &Key) -> Value {
    let PublicKey::P256(public) = key.public else { panic!() };
    let challenge = fleet::enrolment::EnrolmentCode::parse(code).unwrap().challenge(&public);
    json!({
        "code": code,
        "public_key": base64url::encode(&public),
        "proof": base64url::encode(signer.sign(&challenge).as_bytes()),
    })
}

impl Gate {
    pub fn new(town: &Town) -> Self {
        let key = Key::new(51);
        let enrolled = enrol(town, &enrolment(town), &key, &key).expect(201);
        let id = enrolled["reader"].as_str().unwrap().parse().unwrap();
        Self { key, id, enrolled }
    }

    /// What the city tells it, as it believes it.
    pub fn bundle(&self, town: &Town) -> VerifiedBundle {
        let root = TrustAnchors::from_pem(self.enrolled["city_root"].as_str().unwrap()).unwrap();
        let path = format!("/v1/readers/{}/bundle", self.id);
        let answer = town.anyone().as_bearer(self.secret()).get(&path);
        let pin = Pin { root: &root, reader: self.id, epoch: 0, at: now() };
        VerifiedBundle::verify(&AwsLc, &answer.body, &pin).unwrap()
    }

    pub fn secret(&self) -> &str {
        self.enrolled["secret"].as_str().unwrap()
    }

    pub fn upload(&self, town: &Town, records: &[Vec<u8>], head: &Head, signer: &Key) -> Answer {
        let unsigned = head.unsigned(now());
        let signature = signer.sign(unsigned.to_be_signed());
        let signed = unsigned.complete(signature.as_bytes().try_into().unwrap());
        let records: Vec<String> = records.iter().map(|record| base64url::encode(record)).collect();
        let body = json!({"records": records, "signed_head": base64url::encode(&signed)});
        let path = format!("/v1/readers/{}/journal", self.id);
        town.anyone().as_bearer(self.secret()).post(&path, &body)
    }
}

fn event(outcome: Outcome) -> Vec<u8> {
    event_at("pier/gate-1", outcome)
}

fn event_at(door: &str, outcome: Outcome) -> Vec<u8> {
    let door = door.parse().unwrap();
    Event { door, outcome, pass: None, watermark: Watermark::default(), missed: 0, tap: None }
        .encode()
}

#[test]
fn one_time_code_makes_one_reader_with_a_certificate_below_the_root() {
    let town = Town::new();
    let code = enrolment(&town);
    let key = Key::new(51);
    let stranger = Key::new(52);
    assert_eq!(enrol(&town, &code, &key, &stranger).problem(422), "key-possession");
    let enrolled = enrol(&town, &code, &key, &key).expect(201);
    assert_eq!(enrol(&town, &code, &key, &key).problem(403), "enrolment-code");
    let der =
        credential::x509::pem::decode(enrolled["certificate"].as_str().unwrap(), "CERTIFICATE");
    let der = der.unwrap().remove(0);
    assert_eq!(Certificate::parse(&der).unwrap().public_key, key.public);
    let listed = town.harbour().get("/v1/readers").expect(200);
    assert_eq!(listed["items"][0]["id"], enrolled["reader"]);
    assert_eq!(town.hill().get("/v1/readers").expect(200)["items"], json!([]));
    let path = format!("/v1/readers/{}", enrolled["reader"].as_str().unwrap());
    assert_eq!(town.harbour().get(&path).text("state"), "enrolled");
    let unknown = town.hill().get("/v1/readers/reader_01kapzzzzz0000000000000000");
    assert_eq!(town.hill().get(&path).body, unknown.body);
}

#[test]
fn wrong_codes_are_counted_and_end_an_enrolment() {
    let town = Town::new();
    let code = enrolment(&town);
    let key = Key::new(51);
    let flipped = if code.ends_with('0') { '1' } else { '0' };
    let wrong = format!("{}{flipped}", &code[..code.len() - 1]);
    for _ in 0..fleet::enrolment::TRIES_MAX {
        assert_eq!(enrol(&town, &wrong, &key, &key).problem(403), "enrolment-code");
    }
    assert_eq!(enrol(&town, &code, &key, &key).problem(403), "enrolment-code");
}

#[test]
fn bundle_is_signed_below_the_root_for_this_reader_and_numbered() {
    let town = Town::new();
    town.harbour().post("/v1/products", &ticket("first-class")).expect(201);
    let gate = Gate::new(&town);
    let fetch = |id: &str| {
        let path = format!("/v1/readers/{id}/bundle");
        town.anyone().as_bearer(gate.secret()).get(&path)
    };
    let root = TrustAnchors::from_pem(gate.enrolled["city_root"].as_str().unwrap()).unwrap();
    for epoch in 1..=2 {
        let answer = fetch(&gate.id.to_string());
        assert_eq!(answer.header("content-type"), Some("application/cbor"));
        let pin = Pin { root: &root, reader: gate.id, epoch: epoch - 1, at: now() };
        let bundle = VerifiedBundle::verify(&AwsLc, &answer.body, &pin).unwrap();
        assert_eq!(bundle.bundle().epoch, epoch);
        let doors = bundle.bundle().table.doors();
        assert_eq!(doors[0].place().as_str(), "pier/gate-1");
        assert!(doors[0].rules().iter().any(|rule| rule.product.as_str() == "first-class"));
        assert!(bundle.issuers_of(&"harbour".parse().unwrap()).is_some());
        assert!(bundle.issuers_of(&"hill".parse().unwrap()).is_none());
    }
    let other = fetch("reader_01kapzzzzz0000000000000000");
    assert_eq!(other.problem(404), "not-found");
    assert_eq!(town.anyone().as_bearer(gate.secret()).get("/v1/people").problem(404), "not-found");
}

#[test]
fn new_root_reaches_readers_and_wallets_without_a_restart() {
    let town = Town::new();
    let gate = Gate::new(&town);
    let root = TrustAnchors::from_pem(gate.enrolled["city_root"].as_str().unwrap()).unwrap();
    let roots = || {
        let path = format!("/v1/readers/{}/bundle", gate.id);
        let answer = town.anyone().as_bearer(gate.secret()).get(&path);
        let pin = Pin { root: &root, reader: gate.id, epoch: 0, at: now() };
        let believed = VerifiedBundle::verify(&AwsLc, &answer.body, &pin).unwrap().roots().len();
        let trust = town.anyone().get("/v1/trust").expect(200);
        (believed, trust["city_roots"].as_array().unwrap().len())
    };
    assert_eq!(roots(), (1, 1), "control");
    assert_eq!(town.rotate_root(), ["made"]);
    assert_eq!(roots(), (2, 2));
}

#[test]
fn journal_is_taken_once_in_order_and_becomes_leaves() {
    let town = Town::new();
    let gate = Gate::new(&town);
    let start = Head::start(*gate.id.as_bytes());
    let granted = event(Outcome::Granted { rule: 0 });
    let (first, after_first) = start.append(now(), &granted).unwrap();
    let (second, after_second) = after_first.append(now(), &event(Outcome::Egress)).unwrap();
    let both = [first.clone(), second.clone()];

    assert_eq!(
        gate.upload(&town, &both, &after_second, &Key::new(52)).problem(422),
        "journal-head"
    );
    assert_eq!(
        gate.upload(&town, std::slice::from_ref(&second), &after_second, &gate.key).problem(409),
        "journal-gap"
    );
    let receipt = gate.upload(&town, &both[..1], &after_first, &gate.key).expect(200);
    assert_eq!(receipt, json!({"next": 1, "accepted": 1}));
    let receipt = gate.upload(&town, &both, &after_second, &gate.key).expect(200);
    assert_eq!(receipt, json!({"next": 2, "accepted": 1}));
    let receipt = gate.upload(&town, &both, &after_second, &gate.key).expect(200);
    assert_eq!(receipt, json!({"next": 2, "accepted": 0}));
    let (other, after_other) = start.append(now(), &event(Outcome::Egress)).unwrap();
    assert_eq!(gate.upload(&town, &[other], &after_other, &gate.key).problem(409), "journal-fork");

    let events = town.harbour().get("/v1/events?limit=200").expect(200);
    let kinds: Vec<&str> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .filter(|kind| kind.starts_with("door") || kind.starts_with("journal"))
        .collect();
    assert_eq!(kinds, ["door-granted", "journal-upload", "door-egress", "journal-upload"]);
}

#[test]
fn record_of_a_door_that_is_not_the_readers_is_kept_and_raises_an_alarm() {
    let town = Town::new();
    let gate = Gate::new(&town);
    let alarms = || {
        let events = town.harbour().get("/v1/events?limit=200").expect(200);
        let items = events["items"].as_array().unwrap();
        items.iter().filter(|event| event["kind"] == "journal-foreign-door").count()
    };
    let start = Head::start(*gate.id.as_bytes());
    let (own, head) = start.append(now(), &event(Outcome::Egress)).unwrap();
    gate.upload(&town, &[own], &head, &gate.key).expect(200);
    assert_eq!(alarms(), 0);
    let (first, head) = head.append(now(), &event_at("hill/gate", Outcome::Egress)).unwrap();
    let (second, head) = head.append(now(), &event_at("hill/door", Outcome::Egress)).unwrap();
    let receipt = gate.upload(&town, &[first, second], &head, &gate.key).expect(200);
    assert_eq!(receipt, json!({"next": 3, "accepted": 2}));
    assert_eq!(alarms(), 1);
}

fn der(text: &Value) -> Vec<u8> {
    let ders = credential::x509::pem::decode(text.as_str().unwrap(), "CERTIFICATE");
    ders.unwrap().remove(0)
}

/// The key of the authority of which `given`, an enrolment or a renewal, tells, after its certificate for
/// the standard tap was verified with that.
fn standard_authority(town: &Town, given: &Value, key: &Key) -> PublicKey {
    let trust = town.anyone().get("/v1/trust").expect(200);
    let told = trust["reader_authorities"].as_array().unwrap();
    assert!(told.contains(&given["reader_authority"]), "a wallet knows the authority");
    let authority = Certificate::parse(&der(&given["reader_authority"])).unwrap().public_key;
    let standard = base64url::decode(given["standard_certificate"].as_str().unwrap()).unwrap();
    assert_eq!(compressed::verify(&AwsLc, &standard, &authority, now()).unwrap().key, key.public);
    authority
}

#[test]
fn certificate_for_the_standard_tap_follows_the_reader_authority() {
    let mut town = Town::new();
    let gate = Gate::new(&town);
    let first = standard_authority(&town, &gate.enrolled, &gate.key);
    town.close();
    town.renew_signer(Level::ReaderAuthority, Purpose::ReaderAuthority);
    town.open();
    let PublicKey::P256(public) = gate.key.public else { panic!() };
    let certificate = der(&gate.enrolled["certificate"]);
    let challenge = fleet::certificate::renewal_challenge(gate.id, &certificate, &public);
    let proof = base64url::encode(gate.key.sign(&challenge).as_bytes());
    let request = json!({"public_key": base64url::encode(&public), "proof": proof});
    let path = format!("/v1/readers/{}/certificate", gate.id);
    let renewed = town.anyone().as_bearer(gate.secret()).post(&path, &request).expect(200);
    let second = standard_authority(&town, &renewed, &gate.key);
    assert_ne!(first, second);
    // The first was in other hands: wallets hear of it no more.
    let trust = town.anyone().get("/v1/trust").expect(200);
    let told = trust["reader_authorities"].as_array().unwrap();
    assert!(!told.contains(&gate.enrolled["reader_authority"]));
}

#[test]
fn authority_that_is_not_on_p256_gives_no_certificate_for_the_standard_tap() {
    let mut town = Town::founded(|config| {
        config.keys.suites.reader_authority = server::suites::Name(keys::purpose::Suite::Es384);
    });
    town.open();
    let gate = Gate::new(&town);
    assert_eq!(gate.enrolled["standard_certificate"], Value::Null);
    assert!(gate.enrolled["certificate"].is_string(), "control");
}

#[test]
fn certificate_is_renewed_for_whoever_holds_the_key_and_once_per_challenge() {
    let town = Town::new();
    let gate = Gate::new(&town);
    let pem = |text: &str| {
        credential::x509::pem::decode(text, "CERTIFICATE").unwrap().into_iter().next().unwrap()
    };
    let next = Key::new(53);
    let PublicKey::P256(public) = next.public else { panic!() };
    // `fleet::certificate::renewal_challenge`, as a reader computes it.
    let challenge = |der: &[u8]| {
        let about = [gate.id.as_bytes().as_slice(), &AwsLc.sha256(der), &public].concat();
        [b"limen reader renewal 1\0".as_slice(), &AwsLc.sha256(&about)].concat()
    };
    let renew = |der: &[u8], signer: &Key, previous: Option<&Key>| {
        let proof = |key: &Key| base64url::encode(key.sign(&challenge(der)).as_bytes());
        let mut request = json!({"public_key": base64url::encode(&public), "proof": proof(signer)});
        if let Some(previous) = previous {
            request["previous_proof"] = proof(previous).into();
        }
        let path = format!("/v1/readers/{}/certificate", gate.id);
        town.anyone().as_bearer(gate.secret()).post(&path, &request)
    };
    let first = pem(gate.enrolled["certificate"].as_str().unwrap());
    let old = Some(&gate.key);
    assert_eq!(renew(&first, &gate.key, old).problem(422), "key-possession");
    // Whoever has the secret of the reader alone cannot put a key of its own in its place.
    assert_eq!(renew(&first, &next, None).problem(422), "key-possession");
    assert_eq!(renew(&first, &next, Some(&next)).problem(422), "key-possession");
    let second = pem(&renew(&first, &next, old).text("certificate"));
    assert_eq!(Certificate::parse(&second).unwrap().public_key, next.public);
    assert_eq!(renew(&first, &next, old).problem(422), "key-possession");
    renew(&second, &next, None).expect(200);
}
