//! Collections (OpenID4VCI 1.0) from an honest issuer, and from every other kind: nothing is kept
//! and no key is left behind.

use std::cell::Cell;

use credential::crypto::{P256Secret, PublicKey};
use credential::jose::base64url;
use credential::rights::DOC_TYPE;
use issuance::document::Delivery;
use serde_json::{Value, json};
use wallet::collect::{ANSWER_BYTES_MAX, Answer, CollectError, Collection, Hands, Step, Wish};
use wallet::secure_element::{DeviceKey, PresenceRule, SecureElement};

use crate::city::{CRYPTO, City, days, noon, public, ticket};
use crate::gate::Gate;
use crate::issuer::{Reply, Town};
use crate::phone::Phone;

const WISH: Wish = Wish { documents: 2, presence: PresenceRule::NotNeeded };

/// The keys in the element.
pub(crate) fn keys(phone: &Phone) -> Vec<PublicKey> {
    (0..64).filter_map(|number| phone.element.public_key(DeviceKey(number)).ok()).collect()
}

pub(crate) fn collect(phone: &mut Phone, town: &mut Town) -> Result<Vec<String>, CollectError> {
    let code = Some(town.transaction_code.clone());
    collect_wishing(phone, town, code, WISH)
}

/// A whole collection, as a host carries it out.
fn collect_wishing(
    phone: &mut Phone,
    town: &mut Town,
    code: Option<String>,
    wish: Wish,
) -> Result<Vec<String>, CollectError> {
    thread_local!(static COUNT: Cell<u8> = const { Cell::new(0) });
    let mut entropy = || {
        COUNT.set(COUNT.get() + 1);
        [COUNT.get(); 32]
    };
    let Phone { element, state, .. } = phone;
    let mut collection = Collection::new(town.offered(), code, wish);
    let mut hands = Hands { crypto: CRYPTO, element, entropy: &mut entropy, now: noon() };
    let kept = converse(&mut collection, &mut hands, town)
        .and_then(|()| collection.keep(&mut hands, state));
    if collection.is_collected() {
        converse(&mut collection, &mut hands, town).unwrap();
    }
    collection.end(element);
    kept
}

fn converse(
    collection: &mut Collection,
    hands: &mut Hands<'_>,
    town: &mut Town,
) -> Result<(), CollectError> {
    for _ in 0..32 {
        let Step::Send(request) = collection.poll(hands)? else { return Ok(()) };
        let Reply { status, dpop_nonce, body } = town.answer(&request);
        collection.receive(Answer { status, dpop_nonce: dpop_nonce.as_deref(), body: &body })?;
    }
    panic!("the conversation does not end");
}

/// An issuer whose answers are bent is refused with these words; the wallet is what it was, and has
/// no more keys than it had.
pub(crate) fn check(expected: &str, bend: impl FnMut(&str, &mut Reply) + 'static) -> CollectError {
    let city = City::new();
    let mut phone = Phone::with_ticket(&city);
    let before = (keys(&phone), phone.state.passes.clone());
    let mut town = Town::bent(&city, bend);
    let error = collect(&mut phone, &mut town).expect_err(expected);
    assert_eq!(error.to_string(), expected);
    assert_eq!((keys(&phone), phone.state.passes.clone()), before, "{expected}");
    assert!(phone.state.log.is_empty(), "{expected}");
    assert!(town.notified.iter().all(|event| event == "credential_failure"), "{expected}");
    // Control: the same wallet and the same issuer, not bent.
    town = Town::new(&city);
    assert_eq!(collect(&mut phone, &mut town).unwrap(), ["Ticket"], "control of {expected}");
    error
}

/// Changes the JSON of the answers of one endpoint.
pub(crate) fn at(endpoint: &'static str, change: fn(&mut Value)) -> impl FnMut(&str, &mut Reply) {
    move |name, reply| {
        if name == endpoint {
            reply.change(change);
        }
    }
}

/// Changes the texts of the documents of the configuration that comes first.
fn first_documents(
    mut change: impl FnMut(Vec<String>) -> Vec<String>,
) -> impl FnMut(&str, &mut Reply) {
    let mut is_first = true;
    move |name, reply| {
        if name == "credential" && core::mem::replace(&mut is_first, false) {
            reply.change(|body| set_documents(body, change(documents(body))));
        }
    }
}

pub(crate) fn documents(body: &Value) -> Vec<String> {
    let list = body["credentials"].as_array().unwrap();
    list.iter().map(|item| item["credential"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn set_documents(body: &mut Value, texts: Vec<String>) {
    let items = texts.into_iter().map(|text| json!({ "credential": text }));
    body["credentials"] = items.collect::<Vec<_>>().into();
}

#[test]
fn each_configuration_of_an_offer_becomes_a_pass() {
    let city = City::new();
    let (mut phone, mut town) = (Phone::empty(&city), Town::new(&city));
    assert_eq!(collect(&mut phone, &mut town).unwrap(), ["Ticket"]);
    let configurations: Vec<&str> =
        phone.state.passes.iter().map(|pass| pass.configuration.as_str()).collect();
    let expected = ["ticket.mso_mdoc", "ticket.dc+sd-jwt", "ticket.limen-access-document"];
    assert_eq!(configurations, expected);
    assert_eq!(town.token_requests, 1, "one token for all");
    assert_eq!(town.notified, ["credential_accepted"; 3]);
    assert!(town.documents.iter().all(|document| document.delivery == Delivery::Accepted));
    // A key for each document, and none beside them: the key of the conversation is gone.
    let keys = keys(&phone);
    assert_eq!(keys.len(), 6);
    assert!(keys.iter().all(|key| town.knows(key)));
    let mut bound: Vec<DeviceKey> =
        phone.state.passes.iter().flat_map(|pass| &pass.documents).map(|d| d.key).collect();
    bound.sort_unstable();
    bound.dedup();
    assert_eq!(bound.len(), 6);
    let entry = phone.last_entry();
    assert_eq!(
        (entry.with.as_str(), entry.outcome.as_str()),
        (town.offered().issuer.as_str(), "collected")
    );
    assert_eq!(entry.pass, "Ticket", "once, though it is kept in three formats");
}

#[test]
fn collected_ticket_opens_a_gate() {
    let city = City::new();
    let (mut phone, mut town) = (Phone::empty(&city), Town::new(&city));
    collect(&mut phone, &mut town).unwrap();
    let mut gate = Gate::new(&city);
    assert_eq!(phone.hold(&mut gate).unwrap().pass, "Ticket");
    assert!(gate.opened());
    assert_eq!(phone.asked.unwrap().candidates.len(), 1, "a gate asks for the mdoc");
}

#[test]
fn presence_rule_of_the_wish_binds_the_keys() {
    let city = City::new();
    let (mut phone, mut town) = (Phone::empty(&city), Town::new(&city));
    let wish = Wish { presence: PresenceRule::Needed, ..WISH };
    let code = Some(town.transaction_code.clone());
    collect_wishing(&mut phone, &mut town, code, wish).unwrap();
    assert!(phone.hold(&mut Gate::new(&city)).is_err());
    assert!(phone.last_entry().outcome.contains("secure element"));
}

#[test]
fn wrong_metadata_is_named() {
    let answer = |to: &str, member: &str| {
        format!("the issuer's answer to the {to} request lacks a good `{member}`")
    };
    check(
        &answer("metadata", "credential_issuer"),
        at("issuer", |body| {
            body["credential_issuer"] = "https://city.example/issuers/landlord".into();
        }),
    );
    check(
        &answer("metadata", "nonce_endpoint"),
        at("issuer", |body| {
            body.as_object_mut().unwrap().remove("nonce_endpoint");
        }),
    );
    check(
        &answer("metadata", "credential_endpoint"),
        at("issuer", |body| {
            body["credential_endpoint"] = "http://city.example/credential".into();
        }),
    );
    check(
        &answer("server metadata", "issuer"),
        at("server", |body| {
            body["issuer"] = "https://city.example".into();
        }),
    );
    check(
        &answer("server metadata", "token_endpoint"),
        at("server", |body| {
            body["token_endpoint"] = "file:///etc/passwd".into();
        }),
    );
    check(
        &answer("token", "access_token"),
        at("token", |body| {
            body.as_object_mut().unwrap().remove("access_token");
        }),
    );
    check(&answer("nonce", "c_nonce"), at("nonce", |body| body["c_nonce"] = 7.into()));
    check(&answer("metadata", "JSON"), |name, reply| {
        if name == "issuer" {
            reply.body = b"<html>".to_vec();
        }
    });
}

#[test]
fn refusals_of_the_issuer_are_told_with_their_code() {
    for (endpoint, to) in [("token", "token"), ("nonce", "nonce"), ("credential", "credential")] {
        let expected = format!("the issuer refused the {to} request: `go_away` (403)");
        check(&expected, move |name, reply| {
            if name == endpoint {
                *reply = Reply {
                    status: 403,
                    dpop_nonce: None,
                    body: br#"{"error":"go_away"}"#.to_vec(),
                };
            }
        });
    }
    let city = City::new();
    let (mut phone, mut town) = (Phone::empty(&city), Town::new(&city));
    let error = collect_wishing(&mut phone, &mut town, Some("000000".into()), WISH).unwrap_err();
    assert_eq!(error.to_string(), "the issuer refused the token request: `invalid_grant` (400)");
    assert!(keys(&phone).is_empty());
}

/// Nobody signs for the city just now: the owner is told so, and that it passes.
#[test]
fn city_that_cannot_sign_at_present_is_told_apart_from_a_refusal() {
    let expected = "the city cannot sign at present, so the credential request was not done (503)";
    let away = |body: &'static [u8]| {
        move |name: &str, reply: &mut Reply| {
            if name == "credential" {
                *reply = Reply { status: 503, dpop_nonce: None, body: body.to_vec() };
            }
        }
    };
    check(expected, away(br#"{"status":503,"code":"keys-unavailable"}"#));
    let other = "the issuer refused the credential request: `no error code` (503)";
    check(other, away(br#"{"status":503,"code":"too-busy"}"#));
}

/// What a city answers whose keys are away.
fn keys_unavailable() -> Reply {
    let body = br#"{"status":503,"code":"keys-unavailable"}"#.to_vec();
    Reply { status: 503, dpop_nonce: None, body }
}

#[test]
fn collection_goes_on_with_its_token_once_the_city_signs_again() {
    for endpoint in ["token", "credential"] {
        let city = City::new();
        let (mut phone, mut town) = (Phone::empty(&city), Town::new(&city));
        let mut collection =
            Collection::new(town.offered(), Some(town.transaction_code.clone()), WISH);
        let Phone { element, state, .. } = &mut phone;
        let mut counter = 0;
        let mut entropy = || {
            counter += 1;
            [counter; 32]
        };
        let mut hands = Hands { crypto: CRYPTO, element, entropy: &mut entropy, now: noon() };
        let mut away = 2;
        let kept = loop {
            let Step::Send(request) = collection.poll(&mut hands).unwrap() else {
                break collection.keep(&mut hands, state).unwrap();
            };
            let is_away = request.url.ends_with(endpoint) && away > 0;
            away -= usize::from(is_away);
            let reply = if is_away { keys_unavailable() } else { town.answer(&request) };
            let answer = Answer { status: reply.status, dpop_nonce: None, body: &reply.body };
            match collection.receive(answer) {
                Err(CollectError::Away { to, .. }) => assert_eq!(to, endpoint),
                other => other.unwrap(),
            }
            assert_eq!(collection.has_token(), town.token_requests > 0);
        };
        assert_eq!(
            (kept, away, town.token_requests),
            (vec![String::from("Ticket")], 0, 1),
            "{endpoint}"
        );
        collection.end(&mut phone.element);
        assert_eq!(keys(&phone).len(), 6, "no key of a try is left over");
    }
}

#[test]
fn fault_in_the_second_configuration_takes_the_first_with_it() {
    for endpoint in ["nonce", "credential"] {
        let mut count = 0;
        let expected = format!("the issuer refused the {endpoint} request: `no error code` (500)");
        check(&expected, move |name, reply| {
            count += usize::from(name == endpoint);
            if name == endpoint && count == 2 {
                *reply = Reply { status: 500, dpop_nonce: None, body: Vec::new() };
            }
        });
    }
}

#[test]
fn fewer_documents_than_keys_leave_no_idle_key() {
    let city = City::new();
    let mut phone = Phone::empty(&city);
    let mut town = Town::bent(
        &city,
        first_documents(|mut texts| {
            texts.truncate(1);
            texts
        }),
    );
    collect(&mut phone, &mut town).unwrap();
    let counts: Vec<usize> = phone.state.passes.iter().map(|pass| pass.documents.len()).collect();
    assert_eq!(counts, [1, 2, 2]);
    assert_eq!(keys(&phone).len(), 5);
    assert!(phone.hold(&mut Gate::new(&city)).is_ok());
}

#[test]
fn more_or_no_documents_are_refused() {
    let expected = "the issuer's answer to the credential request lacks a good `credentials`";
    check(expected, first_documents(|_| Vec::new()));
    check(expected, first_documents(|texts| [texts.clone(), texts].concat()));
    check(expected, at("credential", |body| body["credentials"] = json!([{ "other": 1 }])));
}

/// The code of the rejection of the document that comes first.
pub(crate) fn check_document(code: &str, bend: impl FnMut(&str, &mut Reply) + 'static) {
    match check("the issuer's document does not hold", bend) {
        CollectError::Document(rejection) => assert_eq!(rejection.code, code),
        other => panic!("{other:?}"),
    }
}

/// A ticket of `city` for this device, as an issuer sends it.
fn foreign(city: &City, device: &P256Secret) -> String {
    base64url::encode(&city.pass(DOC_TYPE, &ticket(), &public(device)))
}

#[test]
fn document_for_a_foreign_key_is_refused() {
    let city = City::new();
    let text = foreign(&city, &crate::city::key(99));
    check_document("holder-key", first_documents(move |_| vec![text.clone()]));
    // Twice the same: two documents of one key could be linked.
    check_document("holder-key", first_documents(|texts| vec![texts[0].clone(); 2]));
}

#[test]
fn document_of_an_issuer_that_is_not_trusted_is_refused() {
    let text = foreign(&City::numbered(30), &crate::city::key(99));
    check_document("untrusted-signer", first_documents(move |_| vec![text.clone()]));
}

#[test]
fn altered_document_is_refused() {
    check_document(
        "signature",
        first_documents(|mut texts| {
            let mut bytes = base64url::decode(&texts[0]).unwrap();
            // The last bytes of an IssuerSigned are those of its signature, or of an item.
            let at = bytes.len() - 1;
            bytes[at] ^= 1;
            texts[0] = base64url::encode(&bytes);
            texts
        }),
    );
}

#[test]
fn documents_of_the_second_configuration_must_hold_too() {
    let mut count = 0;
    check_document("signature", move |name, reply| {
        count += usize::from(name == "credential");
        if name == "credential" && count == 2 {
            reply.change(|body| {
                let mut texts = documents(body);
                // The signature of the SD-JWT ends before the first tilde.
                let end = texts[0].find('~').unwrap();
                let other = if &texts[0][end - 3..end - 2] == "A" { "B" } else { "A" };
                texts[0].replace_range(end - 3..end - 2, other);
                set_documents(body, texts);
            });
        }
    });
}

#[test]
fn expired_document_is_refused() {
    let city = City::new();
    let (mut phone, mut town) = (Phone::empty(&city), Town::new(&city));
    let mut entropy = {
        let mut count = 0;
        move || {
            count += 1;
            [count; 32]
        }
    };
    let code = Some(town.transaction_code.clone());
    let mut collection = Collection::new(town.offered(), code, WISH);
    let Phone { element, state, .. } = &mut phone;
    let mut hands = Hands { crypto: CRYPTO, element, entropy: &mut entropy, now: noon() };
    converse(&mut collection, &mut hands, &mut town).unwrap();
    hands.now = noon().saturating_add(days(11));
    let CollectError::Document(rejection) = collection.keep(&mut hands, state).unwrap_err() else {
        panic!("an expired document is kept");
    };
    assert_eq!(rejection.code, "document-expired");
    hands.now = noon();
    converse(&mut collection, &mut hands, &mut town).unwrap();
    collection.end(element);
    assert_eq!(town.notified, ["credential_failure"; 3]);
    assert!(town.documents.iter().all(|document| document.delivery == Delivery::Failed));
    assert!(keys(&phone).is_empty() && phone.state.passes.is_empty());
}

#[test]
fn oversize_answer_is_refused_at_every_step_and_status() {
    for status in [200, 400] {
        for (endpoint, to) in [
            ("issuer", "metadata"),
            ("server", "server metadata"),
            ("token", "token"),
            ("nonce", "nonce"),
            ("credential", "credential"),
        ] {
            let expected = format!("the issuer's answer to the {to} request lacks a good `length`");
            check(&expected, move |name, reply| {
                if name == endpoint {
                    reply.status = status;
                    reply.body.resize(ANSWER_BYTES_MAX + 1, b' ');
                }
            });
        }
    }
    let city = City::new();
    let mut town = Town::bent(&city, |name, reply| {
        if name == "issuer" {
            reply.body.resize(ANSWER_BYTES_MAX, b' ');
        }
    });
    assert!(collect(&mut Phone::empty(&city), &mut town).is_ok(), "control: at the limit");
}

#[test]
fn server_may_ask_for_its_nonce_once_and_gets_it_from_then_on() {
    let city = City::new();
    let (mut phone, mut town) = (Phone::empty(&city), Town::new(&city));
    town.dpop_nonce = Some("n-1");
    assert_eq!(collect(&mut phone, &mut town).unwrap(), ["Ticket"]);
    assert_eq!(town.token_requests, 1, "the first request did not count");
    assert_eq!(town.notified, ["credential_accepted"; 3]);
    let expected = "the issuer refused the token request: `use_dpop_nonce` (400)";
    for dpop_nonce in [Some("n-2"), None] {
        check(expected, move |name, reply| {
            if name == "token" {
                reply.status = 400;
                reply.dpop_nonce = dpop_nonce.map(String::from);
                reply.body = br#"{"error":"use_dpop_nonce"}"#.to_vec();
            }
        });
    }
}
