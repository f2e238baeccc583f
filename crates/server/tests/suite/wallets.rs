//! OpenID4VCI 1.0 from the offer to documents that verify, and everything that can go wrong.

use credential::aws_lc::AwsLc;
use credential::jose::base64url;
use credential::rights::{DOC_TYPE, Rights, VCT};
use credential::sd_jwt::{KeyBindingRule, Presence, Profile, Window};
use credential::status::{Status, VerifiedStatusList};
use credential::x509::{TrustAnchors, pem};
use serde_json::{Value, json};
use server::world::now;

use crate::client::{Answer, Client};
use crate::phone::{Key, Phone, documents};
use crate::staff::{pass, ticket};
use crate::town::Town;

/// A badge: bound tokens, a transaction code, keys attested at least as software.
fn badge() -> Value {
    let mut product = ticket("badge");
    product["terms"]["stake"] = json!("high");
    product["terms"]["transaction_code"] = json!(true);
    product["terms"]["attestation_min"] = json!("urn:limen:key-storage:software");
    product
}

/// The offer of a new pass, and the wallet that follows it.
pub fn offered(town: &Town, product: &Value) -> (Phone, String, Answer) {
    let owner = town.harbour();
    let pass = pass(&owner, product);
    let offer = owner.send("POST", &format!("/v1/passes/{pass}/offers"), &[], None);
    offer.expect(201);
    (Phone::follow(&town.anyone(), &offer.text("uri")), pass, offer)
}

pub fn anchors(town: &Town, operator: &str) -> TrustAnchors {
    let trust = town.anyone().get("/v1/trust").expect(200);
    let authorities = trust["issuing_authorities"].as_array().unwrap();
    let own = authorities.iter().find(|it| it["operator"] == operator).unwrap();
    let mut anchors = TrustAnchors::from_pem(own["certificate"].as_str().unwrap()).unwrap();
    for signer in trust["document_signers"].as_array().into_iter().flatten() {
        let der = pem::decode(signer["certificate"].as_str().unwrap(), pem::CERTIFICATE).unwrap();
        der.iter().for_each(|der| anchors.add_certificate(der).unwrap());
    }
    anchors
}

pub fn status(town: &Town, uri: &str, index: u64) -> Status {
    let trust = town.anyone().get("/v1/trust").expect(200);
    let signers = TrustAnchors::from_pem(trust["status_signers"][0].as_str().unwrap()).unwrap();
    let expectation =
        credential::status::Expectation { anchors: &signers, at: now(), uri: Some(uri) };
    let cwt = town.anyone().get(uri);
    assert_eq!(cwt.header("content-type"), Some("application/statuslist+cwt"));
    let cwt = VerifiedStatusList::verify_cwt(&AwsLc, &cwt.body, &expectation).unwrap();
    let accept = [("accept", "application/statuslist+jwt")];
    let jwt = town.anyone().send("GET", uri, &accept, None);
    assert_eq!(jwt.header("content-type"), Some("application/statuslist+jwt"));
    let jwt = String::from_utf8(jwt.body).unwrap();
    let jwt = VerifiedStatusList::verify_jwt(&AwsLc, &jwt, &expectation).unwrap();
    let status = cwt.list().status(index).unwrap();
    assert_eq!(jwt.list().status(index).unwrap(), status);
    status
}

/// Verifies an mdoc and gives its status reference.
fn check_mdoc(town: &Town, text: &str, key: &Key) -> (String, u64) {
    let anchors = anchors(town, "harbour");
    let expectation = credential::mdoc::Expectation {
        crypto: &AwsLc,
        anchors: &anchors,
        at: now(),
        doc_type: Some(DOC_TYPE),
        session: None,
    };
    let bytes = base64url::decode(text).unwrap();
    let verified = credential::mdoc::verify_issuer_signed(&bytes, &expectation, None).unwrap();
    let mso = verified.mobile_security_object();
    assert_eq!(mso.device_key, key.public);
    let rights = Rights::from_document(&verified).unwrap();
    assert_eq!(rights.operator.as_str(), "harbour");
    assert_eq!(rights.zones, ["A".parse().unwrap(), "B".parse().unwrap()]);
    let status = mso.status.as_ref().unwrap();
    (status.uri.to_string(), status.index)
}

fn check_sd_jwt(town: &Town, text: &str, key: &Key) {
    let expectation = credential::sd_jwt::Expectation {
        anchors: &anchors(town, "harbour"),
        at: now(),
        profile: Profile::Credential { vct: Some(VCT) },
        key_binding: KeyBindingRule {
            presence: Presence::Optional,
            audience: None,
            nonce: None,
            window: Window::default(),
        },
    };
    let verified = credential::sd_jwt::verify(&AwsLc, text, &expectation).unwrap();
    assert_eq!(verified.holder_key(), Some(&key.public));
}

#[test]
fn ticket_reaches_the_wallet_in_both_formats_and_its_status_follows() {
    let town = Town::new();
    let (phone, pass, _) = offered(&town, &ticket("first-class"));
    let token = phone.token(None, false);
    assert_eq!(token.text("token_type"), "Bearer");
    assert_eq!(token.header("cache-control"), Some("no-store"));
    let keys = [Key::new(31), Key::new(32), Key::new(33)];
    let mdocs = phone.collect(&token, "mso_mdoc", &[&keys[0], &keys[1]], false);
    let notification = mdocs.text("notification_id");
    let mdocs = documents(&mdocs);
    let (uri, index) = check_mdoc(&town, &mdocs[0], &keys[0]);
    let (_, other) = check_mdoc(&town, &mdocs[1], &keys[1]);
    assert_ne!(index, other);
    let sd_jwts = documents(&phone.collect(&token, "dc+sd-jwt", &[&keys[2]], false));
    check_sd_jwt(&town, &sd_jwts[0], &keys[2]);

    let path = format!("/v1/passes/{pass}");
    assert_eq!(town.harbour().get(&path).text("state"), "active");
    assert_eq!(status(&town, &uri, index), Status::Valid);
    let listed = town.anyone().get("/v1/status-lists").expect(200);
    assert_eq!(listed["status_lists"], json!([uri]));
    town.harbour().post(&format!("{path}/suspend"), &json!({})).expect(200);
    assert_eq!(status(&town, &uri, index), Status::Suspended);
    town.harbour().post(&format!("{path}/resume"), &json!({})).expect(200);
    assert_eq!(status(&town, &uri, index), Status::Valid);

    let deleted = json!({"notification_id": notification, "event": "credential_accepted"});
    phone.protected("notification_endpoint", &token, &deleted).expect(204);
    town.harbour().post(&format!("{path}/revoke"), &json!({})).expect(200);
    assert_eq!(status(&town, &uri, index), Status::Invalid);
    assert_eq!(status(&town, &uri, other), Status::Invalid);
    let again = phone.collect(&token, "mso_mdoc", &[&keys[0]], false);
    assert_eq!(again.expect(400)["error"], "credential_request_denied");
}

#[test]
fn badge_needs_its_transaction_code_a_bound_token_and_attested_keys() {
    let town = Town::new();
    let (phone, _, offer) = offered(&town, &badge());
    let digits = offer.text("transaction_code");
    assert_eq!(phone.token(Some(&digits), false).expect(400)["error"], "invalid_dpop_proof");
    assert_eq!(phone.token(None, true).expect(400)["error"], "invalid_request");
    let token = phone.token(Some(&digits), true);
    assert_eq!(token.expect(200)["token_type"], "DPoP");
    assert_eq!(phone.token(Some(&digits), true).expect(400)["error"], "invalid_grant");
    let key = Key::new(31);
    let bare = phone.collect(&token, "mso_mdoc", &[&key], false);
    assert_eq!(bare.expect(400)["error"], "invalid_proof");
    check_mdoc(&town, &documents(&phone.collect(&token, "mso_mdoc", &[&key], true))[0], &key);

    let mut other = phone.follow_again();
    other.bound = Key::new(8);
    let stolen = other.collect(&token, "mso_mdoc", &[&key], true);
    assert_eq!(stolen.expect(401)["error"], "invalid_dpop_proof");
    assert!(stolen.header("www-authenticate").unwrap().starts_with("DPoP"));
}

#[test]
fn wrong_transaction_codes_end_the_offer() {
    let town = Town::new();
    let (phone, _, offer) = offered(&town, &badge());
    let digits = offer.text("transaction_code");
    let wrong = if digits == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        assert_eq!(phone.token(Some(wrong), true).expect(400)["error"], "invalid_grant");
    }
    assert_eq!(phone.token(Some(&digits), true).expect(400)["error"], "invalid_grant");
    // The control: one try fewer leaves the offer open.
    let mut product = badge();
    product["code"] = json!("badge-two");
    let (phone, _, offer) = offered(&town, &product);
    let digits = offer.text("transaction_code");
    for _ in 0..4 {
        phone.token(Some(wrong), true).expect(400);
    }
    phone.token(Some(&digits), true).expect(200);
}

#[test]
fn nonces_proofs_and_codes_are_good_once() {
    let town = Town::new();
    let (phone, _, _) = offered(&town, &ticket("first-class"));
    let token = phone.token(None, true);
    token.expect(200);
    let (one, two) = (Key::new(31), Key::new(32));
    let nonce = phone.nonce();
    let request = phone.request("mso_mdoc", &[&one], &nonce, false);
    phone.protected("credential_endpoint", &token, &request).expect(200);
    let request = phone.request("mso_mdoc", &[&two], &nonce, false);
    let replayed = phone.protected("credential_endpoint", &token, &request);
    assert_eq!(replayed.expect(400)["error"], "invalid_nonce");
    let request = phone.request("mso_mdoc", &[&two], "bm9uY2U", false);
    let foreign = phone.protected("credential_endpoint", &token, &request);
    assert_eq!(foreign.expect(400)["error"], "invalid_nonce");

    let (text, url) = (token.text("access_token"), format!("{}/credential", issuer(&phone)));
    let proof = phone.dpop(&url, Some(&text));
    let send = |key: &Key| {
        let request = phone.request("mso_mdoc", &[key], &phone.nonce(), false).to_string();
        let authorization = format!("DPoP {text}");
        let headers = [
            ("content-type", "application/json"),
            ("authorization", authorization.as_str()),
            ("dpop", proof.as_str()),
        ];
        town.anyone().send("POST", &url, &headers, Some(request.as_bytes()))
    };
    send(&two).expect(200);
    assert_eq!(send(&Key::new(33)).expect(401)["error"], "invalid_dpop_proof");
    let link = format!("{}/offers/{}", issuer(&phone), phone.code());
    assert_eq!(town.anyone().get(&link).problem(404), "not-found");
}

fn issuer(phone: &Phone) -> String {
    phone.offer["credential_issuer"].as_str().unwrap().to_owned()
}

#[test]
fn issuer_of_one_operator_takes_nothing_of_another() {
    let town = Town::new();
    let (phone, _, _) = offered(&town, &ticket("first-class"));
    let moved = |url: String| url.replace("/issuers/harbour", "/issuers/hill");
    let link = moved(format!("{}/offers/{}", issuer(&phone), phone.code()));
    assert_eq!(town.anyone().get(&link).problem(404), "not-found");
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:pre-authorized_code&pre-authorized_code={}",
        phone.code()
    );
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let url = moved(format!("{}/token", issuer(&phone)));
    let answer = town.anyone().send("POST", &url, &kind, Some(form.as_bytes()));
    assert_eq!(answer.expect(400)["error"], "invalid_grant");
    let nobody = |path: &str| town.anyone().get(&path.replace("harbour", "nobody")).status;
    assert_eq!(nobody("/.well-known/openid-credential-issuer/issuers/harbour"), 404);
}

#[test]
fn requests_of_wallets_are_held_to_their_form() {
    let town = Town::new();
    let (phone, _, _) = offered(&town, &ticket("first-class"));
    let url = format!("{}/token", issuer(&phone));
    let post = |client: &Client, url: &str, kind: &str, body: &[u8]| {
        client.send("POST", url, &[("content-type", kind)], Some(body))
    };
    let anyone = town.anyone();
    assert_eq!(post(&anyone, &url, "application/json", b"{}").problem(415), "content-type");
    let form = "application/x-www-form-urlencoded";
    assert_eq!(
        post(&anyone, &url, form, b"grant_type=password").expect(400)["error"],
        "unsupported_grant_type"
    );
    assert_eq!(post(&anyone, &url, form, b"\xff").expect(400)["error"], "invalid_request");
    let url = format!("{}/credential", issuer(&phone));
    let refused = post(&anyone, &url, "application/json", b"{}");
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").is_some());
    let token = phone.token(None, false);
    for body in [json!({}), json!({"colour": 1}), json!({"credential_configuration_id": "x"})] {
        let answer = phone.protected("credential_endpoint", &token, &body);
        assert_eq!(answer.status, 400, "{body}");
    }
}

#[test]
fn revoking_wins_over_a_wallet_that_collects_at_the_same_time() {
    let town = Town::new();
    let product = ticket("race");
    let (owner, mut collected) = (town.harbour(), 0);
    owner.post("/v1/products", &product).expect(201);
    for round in 0..12 {
        let person = owner.post("/v1/people", &json!({"name": "Mira Okafor"})).text("id");
        let pass = json!({"person": person, "product": "race"});
        let path = format!("/v1/passes/{}", owner.post("/v1/passes", &pass).text("id"));
        let offer = owner.send("POST", &format!("{path}/offers"), &[], None);
        let phone = Phone::follow(&town.anyone(), &offer.text("uri"));
        let token = phone.token(None, false);
        let answer = std::thread::scope(|scope| {
            let wallet =
                scope.spawn(|| phone.collect(&token, "mso_mdoc", &[&Key::new(100 + round)], false));
            let revoked = owner.post(&format!("{path}/revoke"), &json!({})).expect(200);
            assert_eq!(revoked["state"], "revoked");
            wallet.join().unwrap()
        });
        if answer.status == 200 {
            collected += 1;
            let text = &documents(&answer)[0];
            let (uri, index) = check_mdoc(&town, text, &Key::new(100 + round));
            assert_eq!(status(&town, &uri, index), Status::Invalid);
        }
    }
    // How often the wallet was in time is chance; both orders are right.
    assert!(collected <= 12);
}

#[test]
fn no_two_editions_of_a_status_list_are_signed_with_the_same_second() {
    let town = Town::new();
    let owner = town.harbour();
    let (phone, pass, _) = offered(&town, &ticket("first-class"));
    let token = phone.token(None, false);
    let key = Key::new(41);
    let mdoc = documents(&phone.collect(&token, "mso_mdoc", &[&key], false)).remove(0);
    let (uri, _) = check_mdoc(&town, &mdoc, &key);
    let issued_at = || {
        let jwt =
            town.anyone().send("GET", &uri, &[("accept", "application/statuslist+jwt")], None);
        let jwt = String::from_utf8(jwt.body).unwrap();
        let claims = base64url::decode(jwt.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()["iat"].as_i64().unwrap()
    };
    let mut before = issued_at();
    for verb in ["suspend", "resume", "suspend", "revoke"] {
        owner.post(&format!("/v1/passes/{pass}/{verb}"), &json!({"reason": "lost"})).expect(200);
        let after = issued_at();
        assert!(after > before, "{verb}: {after} after {before}");
        before = after;
    }
}

#[test]
fn notification_without_news_leaves_no_leaf() {
    let town = Town::new();
    let (phone, _, _) = offered(&town, &ticket("first-class"));
    let token = phone.token(None, false);
    let notification =
        phone.collect(&token, "mso_mdoc", &[&Key::new(41)], false).text("notification_id");
    let notify = |event: &str| {
        let body = json!({"notification_id": notification, "event": event});
        phone.protected("notification_endpoint", &token, &body).expect(204);
        let events = town.harbour().get("/v1/events?limit=200").expect(200);
        let items = events["items"].as_array().unwrap();
        items.iter().filter(|event| event["kind"] == "credential-notify").count()
    };
    assert_eq!(notify("credential_accepted"), 1);
    assert_eq!(notify("credential_accepted"), 1);
    assert_eq!(notify("credential_deleted"), 2);
}
