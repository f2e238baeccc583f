//! Changing the suite of a running city: new keys, new objects, and nobody left behind.

use ::reader::bundle::{Pin, VerifiedBundle};
use credential::aws_lc::AwsLc;
use credential::cose::Sign1;
use credential::crypto::Algorithm;
use credential::jose::{Jws, base64url};
use credential::mdoc;
use credential::rejection::Culprit;
use credential::rights::DOC_TYPE;
use credential::status::{Expectation, VerifiedStatusList};
use credential::x509::{Certificate, TrustAnchors};
use keys::purpose::{Purpose, Suite};
use server::city::rotation::Level;
use server::suites::{Name, Suites};
use server::world::now;

use crate::phone::{Key, documents};
use crate::readers::Gate;
use crate::staff::ticket;
use crate::town::Town;
use crate::wallets::{anchors, offered};

/// What a reader and a wallet got at one time, and by which suite it is signed.
struct Collected {
    bundle: Vec<u8>,
    list: Vec<u8>,
    list_jwt: String,
    uri: String,
    mdoc: Vec<u8>,
}

fn collect(town: &Town, gate: &Gate, product: &str, key: u8) -> Collected {
    let (phone, _, _) = offered(town, &ticket(product));
    let token = phone.token(None, false);
    let mdoc = documents(&phone.collect(&token, "mso_mdoc", &[&Key::new(key)], false)).remove(0);
    let mdoc = base64url::decode(&mdoc).unwrap();
    let uri = verify_mdoc(town, &mdoc).unwrap();
    let path = format!("/v1/readers/{}/bundle", gate.id);
    let bundle = town.anyone().as_bearer(gate.secret()).get(&path).body;
    let list = town.anyone().get(&uri).body;
    let accept = [("accept", "application/statuslist+jwt")];
    let list_jwt = String::from_utf8(town.anyone().send("GET", &uri, &accept, None).body).unwrap();
    Collected { bundle, list, list_jwt, uri, mdoc }
}

/// The URI of the status list of a document that verifies.
fn verify_mdoc(town: &Town, bytes: &[u8]) -> Result<String, &'static str> {
    let anchors = anchors(town, "harbour");
    let expectation = mdoc::Expectation {
        crypto: &AwsLc,
        anchors: &anchors,
        at: now(),
        doc_type: Some(DOC_TYPE),
        session: None,
    };
    let verified = mdoc::verify_issuer_signed(bytes, &expectation, None).map_err(|r| r.code)?;
    Ok(verified.mobile_security_object().status.as_ref().unwrap().uri.to_string())
}

fn root(gate: &Gate) -> TrustAnchors {
    TrustAnchors::from_pem(gate.enrolled["city_root"].as_str().unwrap()).unwrap()
}

fn verify_bundle(gate: &Gate, bytes: &[u8]) -> VerifiedBundle {
    let pin = Pin { root: &root(gate), reader: gate.id, epoch: 1, at: now() };
    VerifiedBundle::verify(&AwsLc, bytes, &pin).unwrap()
}

/// Everything verifies for the reader, which trusts what its newest bundle says.
fn check(town: &Town, gate: &Gate, newest: &VerifiedBundle, collected: &Collected) {
    verify_bundle(gate, &collected.bundle);
    let anchors = newest.status_signers();
    let expectation = Expectation { anchors, at: now(), uri: Some(&collected.uri) };
    VerifiedStatusList::verify_cwt(&AwsLc, &collected.list, &expectation).unwrap();
    VerifiedStatusList::verify_jwt(&AwsLc, &collected.list_jwt, &expectation).unwrap();
    verify_mdoc(town, &collected.mdoc).unwrap();
}

fn suites_of(collected: &Collected) -> [Option<Algorithm>; 3] {
    let cose = |bytes: &[u8]| Sign1::parse(bytes).unwrap().algorithm(Culprit::Issuer).ok();
    let jwt = Jws::parse(&collected.list_jwt, Culprit::Issuer).unwrap().header.algorithm;
    [cose(&collected.bundle), cose(&collected.list), Some(jwt)]
}

#[test]
fn city_changes_its_suites_while_readers_and_wallets_go_on() {
    let mut town = Town::new();
    let gate = Gate::new(&town);
    let before = collect(&town, &gate, "first-class", 31);
    assert_eq!(suites_of(&before), [Some(Algorithm::Es256); 3]);
    let mut all = vec![before];
    for (round, suite) in [(1, Suite::Es384), (2, Suite::Es256MlDsa44)] {
        town.close();
        town.config.keys.suites.status_list = Name(suite);
        town.config.keys.suites.bundle = Name(suite);
        for (level, purpose) in
            [(Level::StatusList, Purpose::StatusList), (Level::Bundle, Purpose::Bundle)]
        {
            assert_eq!(town.renew_signer(level, purpose).suite, suite);
        }
        town.open();
        // The list of the passes from before is signed anew, with nothing in it changed.
        let uri = all[0].uri.clone();
        let anew = town.anyone().get(&uri).body;
        let named = Sign1::parse(&anew).unwrap().algorithm(Culprit::Issuer).ok();
        assert_eq!(named, Some(suite.algorithm()));
        let after = collect(&town, &gate, &format!("class-{round}"), 31 + round);
        assert_eq!(suites_of(&after), [Some(suite.algorithm()); 3]);
        let newest = verify_bundle(&gate, &after.bundle);
        all.push(after);
        all.iter().for_each(|collected| check(&town, &gate, &newest, collected));
    }
}

#[test]
fn city_is_of_one_suite_from_its_root() {
    for suite in [Suite::Es384, Suite::Es256MlDsa44] {
        let mut town = Town::founded(|config| config.keys.suites = Suites::whole(suite));
        town.open();
        let gate = Gate::new(&town);
        let pem = gate.enrolled["city_root"].as_str().unwrap();
        let root = credential::x509::pem::decode(pem, "CERTIFICATE").unwrap().remove(0);
        let root = Certificate::parse(&root).unwrap();
        assert_eq!(Suite::of(root.public_key.algorithm()), suite);
        let collected = collect(&town, &gate, "first-class", 31);
        assert_eq!(suites_of(&collected), [Some(suite.algorithm()); 3]);
        let newest = verify_bundle(&gate, &collected.bundle);
        check(&town, &gate, &newest, &collected);
    }
}

/// Documents of the hybrid suite verify with us; the flag alone makes them possible.
#[test]
fn documents_are_hybrid_behind_a_flag() {
    let hybrid = Name(Suite::Es256MlDsa44);
    let mut suites = Suites { document_signer_mdoc: hybrid, ..Suites::whole(hybrid.0) };
    assert!(suites.check().is_err());
    suites.experimental_hybrid_mso = true;
    let mut town = Town::founded(|config| config.keys.suites = suites);
    town.open();
    let gate = Gate::new(&town);
    let collected = collect(&town, &gate, "first-class", 31);
    let document = mdoc::IssuerSigned::parse(&collected.mdoc).unwrap();
    let message = Sign1::parse(document.issuer_auth).unwrap();
    let named = message.algorithm(Culprit::Issuer).ok();
    assert_eq!(named, Some(Algorithm::MlDsa44Es256));
    assert!(message.unprotected.x5chain.certificates().is_empty());
    verify_mdoc(&town, &collected.mdoc).unwrap();
    // A reader has the signer from its bundle, for its operator alone; one without refuses.
    let bundle = verify_bundle(&gate, &collected.bundle);
    let own = bundle.issuers_of(&"harbour".parse().unwrap()).unwrap();
    let trust = town.anyone().get("/v1/trust").expect(200);
    let authority = trust["issuing_authorities"][0]["certificate"].as_str().unwrap();
    let authority = TrustAnchors::from_pem(authority).unwrap();
    for (anchors, expected) in [(own, Ok(())), (&authority, Err("signer-unknown"))] {
        let doc_type = Some(DOC_TYPE);
        let expectation =
            mdoc::Expectation { crypto: &AwsLc, anchors, at: now(), doc_type, session: None };
        let verified = mdoc::verify_issuer_signed(&collected.mdoc, &expectation, None);
        assert_eq!(verified.map(|_| ()).map_err(|rejection| rejection.code), expected);
    }
}
