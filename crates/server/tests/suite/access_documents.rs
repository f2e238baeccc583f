//! Access documents from the offer to a reader that knows, or does not know yet, who signed them.

use ::reader::bundle::VerifiedBundle;
use credential::access_document::{self, pass};
use credential::aws_lc::AwsLc;
use credential::crypto::PublicKey;
use credential::jose::base64url;
use credential::status::Status;
use credential::x509::TrustAnchors;
use keys::purpose::Suite;
use serde_json::json;
use server::city::rotation::{Haste, Level};
use server::suites::{Name, Suites};
use server::world::now;

use crate::phone::{Key, documents};
use crate::readers::Gate;
use crate::staff::ticket;
use crate::town::Town;
use crate::wallets::{anchors, offered, status};

const FORMAT: &str = "limen-access-document";

/// Where the status of a document stands, if whoever trusts `anchors` believes it.
fn verify(text: &str, key: &Key, anchors: &TrustAnchors) -> Result<(String, u64), &'static str> {
    let bytes = base64url::decode(text).unwrap();
    let issuers: Vec<PublicKey> = anchors.document_signer_keys(now()).cloned().collect();
    let expectation = access_document::Expectation {
        crypto: &AwsLc,
        issuers: &issuers,
        at: now(),
        device_key: Some(&key.public),
    };
    let document = access_document::verify_issuer_signed(&bytes, &expectation);
    let (rights, status) = pass::read(&document.map_err(|rejection| rejection.code)?).unwrap();
    assert_eq!(rights.operator.as_str(), "harbour");
    assert_eq!(rights.zones, ["A".parse().unwrap(), "B".parse().unwrap()]);
    let status = status.unwrap();
    Ok((status.uri.to_owned(), status.index))
}

/// A document for `key`, of a new pass.
fn collected(town: &Town, product: &str, key: &Key) -> (String, String) {
    let (phone, pass, _) = offered(town, &ticket(product));
    let token = phone.token(None, false);
    let texts = documents(&phone.collect(&token, FORMAT, &[key], false));
    (texts[0].clone(), pass)
}

#[test]
fn status_of_an_access_document_follows_its_pass() {
    let town = Town::new();
    let key = Key::new(31);
    let (text, pass) = collected(&town, "first-class", &key);
    let (uri, index) = verify(&text, &key, &anchors(&town, "harbour")).unwrap();
    let stolen = verify(&text, &Key::new(32), &anchors(&town, "harbour"));
    assert_eq!(stolen, Err("device-key-mismatch"));
    let path = format!("/v1/passes/{pass}");
    assert_eq!(status(&town, &uri, index), Status::Valid);
    for (deed, expected) in
        [("suspend", Status::Suspended), ("resume", Status::Valid), ("revoke", Status::Invalid)]
    {
        town.harbour().post(&format!("{path}/{deed}"), &json!({})).expect(200);
        assert_eq!(status(&town, &uri, index), expected, "{deed}");
    }
}

#[test]
fn readers_learn_the_next_document_signer_from_their_next_bundle() {
    let mut town = Town::new();
    let gate = Gate::new(&town);
    let keys = [Key::new(31), Key::new(32)];
    let (first, _) = collected(&town, "first-class", &keys[0]);
    let first = (first, &keys[0]);
    let taken = |bundle: &VerifiedBundle, (text, key): &(String, &Key)| {
        let of = |operator: &str| bundle.issuers_of(&operator.parse().unwrap()).cloned();
        assert!(of("hill").is_none(), "of operators that the door takes");
        verify(text, key, &of("harbour").unwrap()).map(drop)
    };
    let before = gate.bundle(&town);
    assert_eq!(taken(&before, &first), Ok(()));
    town.close();
    town.rotate(Level::DocumentSigner, Haste::Now);
    town.open();
    let (second, _) = collected(&town, "second-class", &keys[1]);
    let second = (second, &keys[1]);
    // The holder of the second shows the mdoc, which carries its signer, until the reader hears of it.
    assert_eq!(taken(&before, &second), Err("issuer-unknown"));
    assert_eq!(taken(&before, &first), Ok(()), "control");
    let after = gate.bundle(&town);
    assert_eq!([taken(&after, &first), taken(&after, &second)], [Ok(()), Ok(())]);
}

#[test]
fn signers_that_are_not_es256_give_no_access_documents() {
    let hybrid = Name(Suite::Es256MlDsa44);
    let experiment = Suites {
        document_signer_mdoc: hybrid,
        experimental_hybrid_mso: true,
        ..Suites::whole(hybrid.0)
    };
    for suites in [Suites::whole(Suite::Es384), experiment] {
        let mut town = Town::founded(|config| config.keys.suites = suites);
        town.open();
        let (phone, _, _) = offered(&town, &ticket("first-class"));
        let offered = json!(["first-class.mso_mdoc", "first-class.dc+sd-jwt"]);
        assert_eq!(phone.offer["credential_configuration_ids"], offered);
        let supported = &phone.issuer["credential_configurations_supported"];
        assert_eq!(supported.as_object().unwrap().len(), 2);
        let token = phone.token(None, false);
        let mut request = phone.request("mso_mdoc", &[&Key::new(31)], &phone.nonce(), false);
        request["credential_configuration_id"] = json!(format!("first-class.{FORMAT}"));
        let refused = phone.protected("credential_endpoint", &token, &request);
        assert_eq!(refused.expect(400)["error"], "unknown_credential_configuration");
    }
}
