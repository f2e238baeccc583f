//! From the product to the end of a pass, as it goes when everybody does everything right.

use std::collections::BTreeSet;
use std::time::Duration;

use credential::access_document;
use credential::jose::base64url;
use credential::rights::{DOC_TYPE, Rights, VCT};
use credential::rustcrypto::RustCrypto;
use credential::sd_jwt::{KeyBindingRule, Presence, Profile, Window};
use credential::status::Status;
use issuance::attestation::Attester;
use issuance::collect::CollectRequest;
use issuance::document::{Delivery, Document, Standing};
use issuance::issuer::Configuration;
use issuance::notification::note_delivery;
use issuance::offer::{link_by_reference, show_offer};
use issuance::pass::{Carried, PassState, resume_pass, revoke_pass, suspend_pass};
use issuance::product::{AttestationLevel, BATCH_MAX, Format, Terms};
use issuance::proof::Proofs;
use issuance::status_list::publish_status_list;
use issuance::wire;
use policy::action::Action;
use serde_json::{Value, json};

use crate::city::{City, DAY, NOW, at, badge, staff, wallet, worker};
use crate::wallet::{Key, attestation, proof};

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A request with one proof per key, all attested as software, read from its JSON.
fn request(city: &mut City, format: &str, keys: &[&Key], seconds: i64) -> CollectRequest {
    let nonce = city.nonce(seconds);
    let vouched =
        attestation(keys, "urn:limen:key-storage:software", &nonce, seconds).sign(keys[0]);
    let proofs: Vec<String> = keys
        .iter()
        .map(|key| {
            let draft = proof(key, city.issuer.identifier(), &nonce, seconds);
            draft.header("key_attestation", vouched.clone().into()).sign(key)
        })
        .collect();
    let body = json!({
        "credential_configuration_id": format!("day-ticket.{format}"),
        "proofs": {"jwt": proofs},
    });
    wire::credential::read(body.to_string().as_bytes()).unwrap()
}

/// Collects documents for `keys` and gives the texts that the wallet receives.
fn collect(city: &mut City, format: &str, keys: &[&Key], jti: &str) -> (Vec<String>, String) {
    let access = city.entered(keys[0], jti, NOW + 10);
    let request = request(city, format, keys, NOW + 10);
    let collected = city.collect(&access, &request, NOW + 10).unwrap();
    let notification = collected.notification.reveal().to_owned();
    city.rows.commit(collected.changes).unwrap();
    let documents = city.sign(collected.format, collected.documents);
    let answer = json_of(&wire::credential::write(&documents, &notification));
    assert_eq!(answer["notification_id"], json!(notification));
    let texts = answer["credentials"].as_array().unwrap();
    (texts.iter().map(|c| c["credential"].as_str().unwrap().to_owned()).collect(), notification)
}

fn document_of<'a>(city: &'a City, key: &Key, format: Format) -> &'a Document {
    let thumbprint = credential::jose::jwk::thumbprint(&RustCrypto, &key.public);
    let is_it = |d: &&Document| d.key_thumbprint == thumbprint && d.format == format;
    city.rows.documents.iter().find(is_it).unwrap()
}

#[test]
fn link_leads_to_the_offer_and_the_offer_to_documents_that_verify() {
    let mut city = City::with(badge());
    let link = link_by_reference(&city.issuer, &city.code);
    let url = link.strip_prefix("openid-credential-offer://?credential_offer_uri=").unwrap();
    let url = wire::percent::decode_form(url).unwrap();
    assert_eq!(url, format!("https://city.example/issuers/harbour/offers/{}", city.code));

    let code = url.rsplit_once('/').unwrap().1.to_owned();
    let digest = city.rows.offers[0].code_digest;
    let shown = show_offer(&city.issuer, city.rows.offer(digest), &code, at(NOW)).unwrap();
    assert_eq!(
        json_of(&shown)["credential_configuration_ids"],
        json!(["day-ticket.mso_mdoc", "day-ticket.dc+sd-jwt", "day-ticket.limen-access-document"])
    );

    let keys = [Key::new(31), Key::new(32)];
    let (mdocs, _) = collect(&mut city, "mso_mdoc", &[&keys[0], &keys[1]], "one");
    assert_eq!(city.rows.passes[0].state, PassState::Active);
    for (text, key) in mdocs.iter().zip(&keys) {
        check_mdoc(&city, text, key);
    }
    let (sd_jwts, _) = collect(&mut city, "dc+sd-jwt", &[&keys[0]], "two");
    check_sd_jwt(&city, &sd_jwts[0], &keys[0]);
    let (access, _) = collect(&mut city, "limen-access-document", &[&keys[0], &keys[1]], "three");
    for (text, key) in access.iter().zip(&keys) {
        check_access_document(&city, text, key);
    }
    let indexes: Vec<u32> = city.rows.documents.iter().map(|d| d.status_index).collect();
    let different: BTreeSet<u32> = indexes.iter().copied().collect();
    assert_eq!((indexes.len(), different.len()), (5, 5), "every document has an index of its own");
}

fn check_rights(rights: &Rights) {
    assert_eq!(rights.operator.as_str(), "harbour");
    assert_eq!(rights.class, Some("first".parse().unwrap()));
    assert_eq!(rights.zones, ["A".parse().unwrap(), "B".parse().unwrap()]);
    assert!(!rights.hold_at(at(NOW - 1)) && rights.hold_at(at(NOW)));
    assert!(rights.hold_at(at(NOW + 30 * DAY - 1)) && !rights.hold_at(at(NOW + 30 * DAY)));
}

fn check_mdoc(city: &City, text: &str, key: &Key) {
    let bytes = base64url::decode(text).unwrap();
    let expectation = credential::mdoc::Expectation {
        crypto: &RustCrypto,
        anchors: &city.anchors,
        at: at(NOW + 10),
        doc_type: Some(DOC_TYPE),
        session: None,
    };
    let verified = credential::mdoc::verify_issuer_signed(&bytes, &expectation, None).unwrap();
    let row = document_of(city, key, Format::Mdoc);
    let mso = verified.mobile_security_object();
    assert_eq!(mso.device_key, key.public);
    let status = mso.status.as_ref().unwrap();
    assert_eq!(status.uri, "https://city.example/issuers/harbour/status/0");
    assert_eq!(status.index, u64::from(row.status_index));
    assert_eq!(mso.valid_until, row.valid_until.saturating_sub(Duration::from_secs(1)));
    check_rights(&Rights::from_document(&verified).unwrap());
}

fn check_access_document(city: &City, text: &str, key: &Key) {
    let bytes = base64url::decode(text).unwrap();
    let issuers = [city.signer().clone()];
    let expectation = access_document::Expectation {
        crypto: &RustCrypto,
        issuers: &issuers,
        at: at(NOW + 10),
        device_key: Some(&key.public),
    };
    let verified = access_document::verify_issuer_signed(&bytes, &expectation).unwrap();
    assert!(verified.needs_clock());
    let row = document_of(city, key, Format::AccessDocument);
    let last_second = row.valid_until.saturating_sub(Duration::from_secs(1));
    assert_eq!(verified.validity().valid_until, last_second);
    let (rights, status) = access_document::pass::read(&verified).unwrap();
    let status = status.unwrap();
    assert_eq!(status.uri, "https://city.example/issuers/harbour/status/0");
    assert_eq!(status.index, u64::from(row.status_index));
    check_rights(&rights);
    // The control: it is worth nothing with the key of another device.
    let other = Key::new(99);
    let stolen = access_document::Expectation { device_key: Some(&other.public), ..expectation };
    let refused = access_document::verify_issuer_signed(&bytes, &stolen).unwrap_err();
    assert_eq!(refused.code, "device-key-mismatch");
}

fn check_sd_jwt(city: &City, text: &str, key: &Key) {
    let expectation = credential::sd_jwt::Expectation {
        anchors: &city.anchors,
        at: at(NOW + 10),
        profile: Profile::Credential { vct: Some(VCT) },
        key_binding: KeyBindingRule {
            presence: Presence::Optional,
            audience: None,
            nonce: None,
            window: Window::default(),
        },
    };
    let verified = credential::sd_jwt::verify(&RustCrypto, text, &expectation).unwrap();
    let row = document_of(city, key, Format::SdJwt);
    assert_eq!(verified.holder_key(), Some(&key.public));
    assert_eq!(verified.status().unwrap().index, u64::from(row.status_index));
    check_rights(&Rights::from_claims(verified.claims()).unwrap());
    assert_eq!(verified.claims()["iss"], json!("https://city.example/issuers/harbour"));
}

/// What a city offered while an ES256 signer was there is not given once another took over: the wallet
/// is told what it can make sense of, and the other formats are as before.
#[test]
fn access_documents_end_with_the_signer_that_can_sign_them() {
    let mut city = City::with(badge());
    let key = Key::new(31);
    let access = city.entered(&key, "one", NOW + 10);
    let wanted = request(&mut city, "limen-access-document", &[&key], NOW + 10);
    let mdoc = request(&mut city, "mso_mdoc", &[&key], NOW + 10);
    assert!(city.collect(&access, &wanted, NOW + 10).is_ok(), "control");
    city.hand_over_to_es384();
    let refusal = city.collect(&access, &wanted, NOW + 10).err().unwrap();
    assert_eq!(refusal.oauth_error(), "unknown_credential_configuration");
    assert!(city.collect(&access, &mdoc, NOW + 10).is_ok());
}

#[test]
fn more_keys_than_the_offer_has_documents_get_as_many_as_there_are() {
    let mut city = City::with(badge());
    let keys: Vec<Key> = (41..46).map(Key::new).collect();
    let keys: Vec<&Key> = keys.iter().collect();
    let (documents, _) = collect(&mut city, "mso_mdoc", &keys, "one");
    assert_eq!(documents.len(), 4, "the batch of the product");
    let access = city.entered(keys[0], "two", NOW + 10);
    let again = request(&mut city, "mso_mdoc", &keys, NOW + 10);
    let refusal = city.collect(&access, &again, NOW + 10).err().unwrap();
    assert_eq!(
        (refusal.code(), refusal.oauth_error()),
        ("offer-collected", "credential_request_denied")
    );
    let other = request(&mut city, "dc+sd-jwt", &keys, NOW + 10);
    assert!(city.collect(&access, &other, NOW + 10).is_ok(), "the other format has its own");
}

#[test]
fn largest_batch_with_an_attestation_in_every_proof_fits_into_a_request() {
    let mut city = City::with(Terms { batch_max: BATCH_MAX, ..badge() });
    let keys: Vec<Key> = (1..=BATCH_MAX).map(|n| Key::new(u8::try_from(n).unwrap())).collect();
    let keys: Vec<&Key> = keys.iter().collect();
    let (documents, _) = collect(&mut city, "mso_mdoc", &keys, "one");
    assert_eq!(documents.len(), usize::from(BATCH_MAX));
}

#[test]
fn word_of_a_listed_attester_alone_proves_all_its_keys() {
    let mut city = City::with(badge());
    let maker = Key::new(51);
    let level_max = AttestationLevel::Software;
    city.attesters.push(Attester { kid: "maker".into(), key: maker.public.clone(), level_max });
    let keys = [Key::new(31), Key::new(32), Key::new(33)];
    let access = city.entered(&keys[0], "one", NOW + 10);
    let nonce = city.nonce(NOW + 10);
    let keys: Vec<&Key> = keys.iter().collect();
    let level = "urn:limen:key-storage:software";
    let vouched = attestation(&keys, level, &nonce, NOW).header("jwk", maker.jwk());
    let proofs = Proofs::Attestation(vouched.sign(&maker));
    let configuration = Configuration::parse("day-ticket.mso_mdoc").unwrap();
    let request = CollectRequest { configuration, proofs };
    assert_eq!(city.collect(&access, &request, NOW + 10).unwrap().documents.len(), 3);
}

fn carried(documents: &[Document]) -> Carried<'_> {
    Carried { documents, handles: &[] }
}

#[test]
fn status_follows_the_pass_and_a_revoked_pass_never_resumes() {
    for format in Format::ALL {
        check_status(*format);
    }
}

fn check_status(format: Format) {
    let mut city = City::with(badge());
    let key = Key::new(31);
    collect(&mut city, format.as_str(), &[&key], "one");
    let status = |city: &City| {
        let index = document_of(city, &key, format).status_index;
        let permit = worker(Action::StatusPublish);
        let (list, documents) = (&city.rows.status_lists[0], &city.rows.documents);
        let claims = publish_status_list(&permit, &city.issuer, list, documents, at(NOW)).unwrap();
        assert_eq!(claims.uri, "https://city.example/issuers/harbour/status/0");
        claims.list.status(index.into()).unwrap()
    };
    let permit = staff;
    assert_eq!(status(&city), Status::Valid);

    let (pass, documents) = (city.rows.passes[0].clone(), city.rows.documents.clone());
    let suspend = permit(Action::PassSuspend);
    let changes = suspend_pass(&suspend, &pass, carried(&documents), at(NOW + 20)).unwrap();
    city.rows.commit(changes).unwrap();
    assert_eq!(status(&city), Status::Suspended);

    let (pass, documents) = (city.rows.passes[0].clone(), city.rows.documents.clone());
    let resume = permit(Action::PassResume);
    city.rows
        .commit(resume_pass(&resume, &pass, carried(&documents), at(NOW + 30)).unwrap())
        .unwrap();
    assert_eq!(status(&city), Status::Valid);
    assert_eq!(city.rows.passes[0].state, PassState::Active);

    let (pass, documents) = (city.rows.passes[0].clone(), city.rows.documents.clone());
    let revoke = permit(Action::PassRevoke);
    city.rows
        .commit(revoke_pass(&revoke, &pass, carried(&documents), at(NOW + 40)).unwrap())
        .unwrap();
    assert_eq!(status(&city), Status::Invalid);

    let (pass, documents) = (city.rows.passes[0].clone(), city.rows.documents.clone());
    let refusal = resume_pass(&resume, &pass, carried(&documents), at(NOW + 50)).unwrap_err();
    assert_eq!(refusal.code(), "pass-state");
    assert_eq!(documents[0].with_standing(Standing::Valid), None);
}

#[test]
fn report_of_the_wallet_is_noted_once_and_lost_documents_leave_force() {
    let mut city = City::with(badge());
    let key = Key::new(31);
    let (_, notification) = collect(&mut city, "mso_mdoc", &[&key], "one");
    let report = |city: &mut City, id: &str, event: &str, jti: &str| {
        let access = city.entered(&key, jti, NOW + 20);
        let permit = wallet(Action::CredentialNotify, access.grant().offer);
        let body = json!({"notification_id": id, "event": event}).to_string();
        let request = wire::notification::read(body.as_bytes()).unwrap();
        let digest = request.notification_digest();
        let mut found = city.rows.documents.clone();
        found.retain(|document| document.notification_digest == digest);
        note_delivery(&permit, &access, &request, &found).map(|changes| {
            let count = changes.len();
            city.rows.commit(changes).unwrap();
            count - 1 // the mark of the DPoP proof
        })
    };
    let refusal = report(&mut city, "unknown", "credential_accepted", "two").unwrap_err();
    assert_eq!(refusal.oauth_error(), "invalid_notification_id");
    assert_eq!(report(&mut city, &notification, "credential_accepted", "three"), Ok(1));
    assert_eq!(city.rows.documents[0].delivery, Delivery::Accepted);
    assert_eq!(report(&mut city, &notification, "credential_accepted", "four"), Ok(0));
    assert_eq!(report(&mut city, &notification, "credential_deleted", "five"), Ok(1));
    assert_eq!(city.rows.documents[0].standing, Standing::Invalid);
}
