//! OpenID4VCI 1.0 over real HTTP: npm `@openid4vc/openid4vci` obtains credentials from a running
//! server by pre-authorized code, with transaction code, DPoP, key attestation and a batch.

use conformance::peer::{Implementation, Peer, PeerError};
use credential::jose::base64url;
use credential::mdoc::{self, Expectation};
use credential::rustcrypto::RustCrypto;
use credential::sd_jwt::{self, KeyBindingRule, Presence, Profile};
use credential::x509::TrustAnchors;
use serde_json::{Value, json};

use crate::city::Key;
use crate::town::Town;

const BATCH: usize = 3;
const SOFTWARE: &str = "urn:limen:key-storage:software";

/// An offer of a fresh pass, with its transaction code.
fn offer(town: &Town) -> (String, String) {
    let person = town.post("/v1/people", &json!({ "name": "Mira Okafor" }));
    let pass = json!({ "person": person["id"], "product": "first-class" });
    let pass = town.post("/v1/passes", &pass);
    let path = format!("/v1/passes/{}/offers", pass["id"].as_str().unwrap());
    let offer = town.post(&path, &json!({}));
    let text = |name: &str| offer[name].as_str().unwrap().to_owned();
    (text("uri"), text("transaction_code"))
}

fn add_product(town: &Town) {
    town.post(
        "/v1/products",
        &json!({ "code": "first-class", "terms": {
            "display": [{ "language": "en", "name": "First class, a month" }],
            "stake": "low", "rights": { "class": "first", "zones": ["A", "B"] },
            "pass_days_max": 31, "document_hours": 48, "batch_max": BATCH, "transaction_code": true,
        }}),
    );
}

/// The wallet's word about where its keys are, signed by a key of its own.
fn attestation(key_storage: &str) -> Value {
    json!({ "issuer": Key::new(0x60).jwk(), "key_storage": [key_storage] })
}

fn obtain(offer: &str, code: &str, format: &str, key_storage: &str) -> Result<Value, PeerError> {
    let job = json!({
        "job": "obtain", "offer": offer, "tx_code": code, "format": format, "batch": BATCH,
        "notify": true, "attestation": attestation(key_storage),
    });
    Peer::start(Implementation::OpenId4Vci)?.ask(&job)
}

fn anchors(town: &Town) -> TrustAnchors {
    let trust = town.get("/v1/trust");
    let mut anchors = TrustAnchors::new();
    for authority in trust["issuing_authorities"].as_array().unwrap() {
        let pem = authority["certificate"].as_str().unwrap();
        for der in credential::x509::pem::decode(pem, credential::x509::pem::CERTIFICATE).unwrap() {
            anchors.add_certificate(&der).unwrap();
        }
    }
    anchors
}

fn device_key(jwk: &Value) -> credential::crypto::PublicKey {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().remove("d");
    credential::jose::jwk::parse(&jwk).unwrap()
}

#[test]
fn a_foreign_wallet_obtains_both_formats() {
    let town = Town::start();
    add_product(&town);
    let anchors = anchors(&town);

    let (uri, code) = offer(&town);
    let obtained = obtain(&uri, &code, "mso_mdoc", SOFTWARE).unwrap();
    check_answer(&obtained);
    for (credential, device) in pairs(&obtained) {
        let document = base64url::decode(credential).unwrap();
        let expectation = Expectation {
            crypto: &RustCrypto,
            anchors: &anchors,
            at: town.now(),
            doc_type: Some("city.limen.pass.1"),
            session: None,
        };
        let verified = mdoc::verify_issuer_signed(&document, &expectation, None).unwrap();
        assert_eq!(verified.device_key(), &device_key(device));
    }

    let (uri, code) = offer(&town);
    let obtained = obtain(&uri, &code, "dc+sd-jwt", SOFTWARE).unwrap();
    check_answer(&obtained);
    for (credential, device) in pairs(&obtained) {
        let expectation = sd_jwt::Expectation {
            anchors: &anchors,
            at: town.now(),
            profile: Profile::Credential { vct: Some("urn:limen:pass:1") },
            key_binding: KeyBindingRule {
                presence: Presence::Optional,
                audience: None,
                nonce: None,
                window: Default::default(),
            },
        };
        let verified = sd_jwt::verify(&RustCrypto, credential, &expectation).unwrap();
        assert_eq!(verified.holder_key(), Some(&device_key(device)));
    }
}

fn check_answer(obtained: &Value) {
    assert_eq!(obtained["token_type"], "DPoP", "{obtained}");
    assert_eq!(obtained["credentials"].as_array().unwrap().len(), BATCH, "{obtained}");
    assert!(obtained["notification"].is_string(), "{obtained}");
}

fn pairs(obtained: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let credentials = obtained["credentials"].as_array().unwrap().iter();
    credentials.map(|one| one.as_str().unwrap()).zip(obtained["devices"].as_array().unwrap())
}

#[test]
fn a_foreign_wallet_is_refused_without_what_the_offer_asks() {
    let town = Town::start();
    add_product(&town);
    let (uri, code) = offer(&town);
    let wrong =
        if code.starts_with('0') { code.replacen('0', "1", 1) } else { format!("0{}", &code[1..]) };
    check_refused(obtain(&uri, &wrong, "mso_mdoc", SOFTWARE), "invalid_grant");
    // A wallet that nobody knows may not vouch for more than software.
    check_refused(obtain(&uri, &code, "mso_mdoc", "iso_18045_high"), "invalid_proof");
    // The code was spent on the token before the proof was found wanting: the offer is gone.
    check_refused(obtain(&uri, &code, "mso_mdoc", SOFTWARE), "404");
}

fn check_refused(outcome: Result<Value, PeerError>, code: &str) {
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains(code), "{code} expected: {error}");
}
