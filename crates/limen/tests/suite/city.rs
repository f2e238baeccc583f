//! What the nouns of the city send to a server, and how its answers are shown.

use serde_json::{Value, json};

use crate::run::{Folder, Listening, listen};

const PASS: &str = "pass_01kapzzzzz0000000000000000";
const PERSON: &str = "person_01kapzzzzz0000000000000000";

fn pass(state: &str) -> Value {
    json!({
        "id": PASS, "person": PERSON, "product": "staff-badge", "state": state, "version": 2,
        "valid_from": "2027-03-01T00:00:00Z", "valid_until": "2027-04-01T00:00:00Z",
    })
}

/// Echoes what is made, as the server would answer it.
fn server() -> Listening {
    listen(Box::new(|first, _, body| {
        let made = |value: Value| (201, "application/json", value.to_string().into_bytes());
        let with = |mut value: Value, more: Value| {
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            value
        };
        let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        let path = first.split(' ').nth(1).unwrap();
        match path.trim_start_matches("/v1/").split(['/', '?']).collect::<Vec<_>>()[..] {
            ["operators"] => made(with(body, json!({ "registered_at": "2027" }))),
            ["people"] => made(with(body, json!({ "id": PERSON, "registered_at": "2027" }))),
            ["places"] => made(body),
            ["products"] => made(with(body, json!({ "version": 1, "changed_at": "2027" }))),
            ["passes"] => made(pass("issued")),
            ["passes", PASS, "offers"] => made(json!({
                "id": "offer_1", "uri": "openid-credential-offer://?credential_offer_uri=x",
                "uri_by_value": "openid-credential-offer://?credential_offer=y",
                "transaction_code": "493536", "expires_at": "2027",
            })),
            ["passes", PASS] => made(pass("active")),
            ["passes", PASS, deed] => made(pass(deed)),
            ["passes", "limit=2"] => made(json!({ "items": [pass("issued")], "next": "a b" })),
            ["passes", "limit=200"] => made(json!({ "items": [pass("issued")], "next": "a b" })),
            ["passes", _] => made(json!({ "items": [pass("\u{1b}[31mred")] })),
            ["tokens", _] => (204, "text/plain", Vec::new()),
            ["tokens"] => made(json!({
                "id": "token_1", "label": body["label"], "roles": body["roles"],
                "expires_at": "2027", "secret": "limen_secret",
            })),
            ["readers", "enrolments"] => {
                made(json!({ "id": "enrolment_1", "code": "once", "expires_at": "2027" }))
            }
            _ => (500, "text/plain", path.into()),
        }
    }))
}

/// Runs a command; checks what it shows and what the server was asked last.
fn check(arguments: &[&str], shown: &str, asked: (&str, Value)) {
    let (folder, server) = (Folder::new(), server());
    folder.file(
        "product.json",
        json!({ "code": "day", "terms": {
            "display": [{ "language": "en", "name": "Day" }], "stake": "low", "rights": {},
            "pass_days_max": 1, "document_hours": 24,
        }})
        .to_string(),
    );
    let call = ["--server", &server.url, "--token", "secret"];
    folder.limen(&[arguments, &call].concat()).expect(0, shown);
    let last = server.asked.lock().unwrap().last().unwrap().clone();
    let body = last.strip_prefix(asked.0).unwrap_or_else(|| panic!("{last}")).trim();
    let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    assert_eq!(body, asked.1, "{arguments:?}");
}

#[test]
fn each_deed_is_asked_for_in_the_words_of_the_api() {
    check(
        &["operator", "register", "tram", "Tram O'Hara"],
        "Tram O'Hara",
        ("POST /v1/operators", json!({ "code": "tram", "name": "Tram O'Hara" })),
    );
    check(
        &["person", "register", "Mira", "--reference", "E-1"],
        PERSON,
        ("POST /v1/people", json!({ "name": "Mira", "reference": "E-1" })),
    );
    check(
        &["place", "add", "a/gate-1", "Gate 1", "--zone", "B", "--class", "high"],
        "gate-1",
        (
            "POST /v1/places",
            json!({ "code": "a/gate-1", "name": "Gate 1", "zone": "B", "zone_class": "high" }),
        ),
    );
    check(
        &[
            "admin",
            "token",
            "create",
            "shop",
            "--role",
            "issuer-clerk",
            "--until",
            "2028-01-01T00:00:00Z",
        ],
        "limen_secret",
        (
            "POST /v1/tokens",
            json!({ "label": "shop", "roles": ["issuer-clerk"], "expires_at": "2028-01-01T00:00:00Z" }),
        ),
    );
    check(
        &["admin", "token", "revoke", "token_01kapzzzzz0000000000000000"],
        "is revoked",
        ("DELETE /v1/tokens/token_01kapzzzzz0000000000000000", Value::Null),
    );
    check(
        &["reader", "invite", "Gate 1", "--door", "a/gate-1"],
        "once",
        ("POST /v1/readers/enrolments", json!({ "label": "Gate 1", "doors": ["a/gate-1"] })),
    );
}

#[test]
fn a_product_comes_from_a_file_or_from_options() {
    let display = json!([{ "language": "en", "name": "Day", "description": "" }]);
    let rights = json!({ "zones": [], "places": [], "holder_only": false });
    let terms = json!({
        "display": display, "stake": "low", "formats": ["mso_mdoc", "dc+sd-jwt", "limen-access-document"],
        "rights": rights, "pass_days_max": 1, "document_hours": 24, "batch_max": 1, "handles_max": 32,
        "attestation_min": "urn:limen:key-storage:software", "transaction_code": false,
    });
    let asked = || ("POST /v1/products", json!({ "code": "day", "terms": terms }));
    check(&["product", "add", "product.json"], "rights", asked());
    let flags = ["product", "add", "--code", "day", "--name", "Day", "--days", "1"];
    check(&flags, "pass at most", asked());
}

#[test]
fn a_pass_goes_from_issue_to_revocation() {
    let new = json!({ "person": PERSON, "product": "day", "valid_from": "2027-03-01T00:00:00Z" });
    let issue = [
        "pass",
        "issue",
        "--person",
        PERSON,
        "--product",
        "day",
        "--from",
        "2027-03-01T01:00:00+01:00",
    ];
    check(&issue, "limen pass offer pass_", ("POST /v1/passes", new));
    let offer = format!("POST /v1/passes/{PASS}/offers");
    check(&[&issue[..], &["--offer"]].concat(), "493536", (&offer, Value::Null));
    check(&["pass", "offer", PASS], "█", (&offer, Value::Null));
    check(&["pass", "offer", PASS, "--json"], "uri_by_value", (&offer, Value::Null));
    for verb in ["suspend", "resume", "revoke"] {
        let path = format!("POST /v1/passes/{PASS}/{verb}");
        check(
            &["pass", verb, PASS, "--reason", "lost"],
            verb,
            (&path, json!({ "reason": "lost" })),
        );
    }
    check(&["pass", "show", PASS], "version", (&format!("GET /v1/passes/{PASS}"), Value::Null));
}

#[test]
fn pages_are_followed_by_their_cursors() {
    let next = "There is more: add --after 'a b'";
    check(&["pass", "list", "--limit", "2"], next, ("GET /v1/passes?limit=2", Value::Null));
    let second = "GET /v1/passes?limit=2&after=a%20b";
    let after = ["pass", "list", "--limit", "2", "--after", "a b"];
    // The state of that row would turn the terminal red.
    check(&after, "\\u{1b}[31mred", (second, Value::Null));
    let last = "GET /v1/passes?limit=200&after=a%20b";
    check(&["pass", "list", "--all"], "\\u{1b}[31mred", (last, Value::Null));
}
