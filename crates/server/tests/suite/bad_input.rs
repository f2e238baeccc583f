//! Every route against what should never come in: no token, a wrong one, another operator's ids,
//! unknown fields, bodies that are too large or of the wrong type.

use api::endpoint::{Access, ENDPOINTS, Endpoint, Method, Response};
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::staff::{pass, ticket};
use crate::town::Town;

/// A token of the right form that nobody has.
const NOBODY: &str = "limen_01kapzzzzz0000000000000000_\
    00000000000000000000000000000000000000000000000000000000000000ff";

fn path(endpoint: &Endpoint, id: &str) -> String {
    endpoint
        .path
        .replace("{id}", id)
        .replace("{code}", "nobody")
        .replace("{operator}", "nobody")
        .replace("{number}", "0")
        .replace("{path}", "0/000")
}

fn send(client: &Client, endpoint: &Endpoint, id: &str, kind: &str, body: &[u8]) -> Answer {
    let path = path(endpoint, id);
    match (endpoint.method, endpoint.request) {
        (Method::Get, _) => client.get(&path),
        (Method::Delete, _) => client.delete(&path),
        (Method::Post, None) => client.send("POST", &path, &[], None),
        (method, _) => {
            let method = method.as_str().to_uppercase();
            client.send(&method, &path, &[("content-type", kind)], Some(body))
        }
    }
}

#[test]
fn routes_are_those_of_the_table() {
    let name = |method: Method, path: &str| format!("{} {path}", method.as_str());
    let mut table: Vec<String> = ENDPOINTS.iter().map(|it| name(it.method, it.path)).collect();
    let mut served: Vec<String> =
        server::routes::served().into_iter().map(|(method, path)| name(method, path)).collect();
    table.sort();
    served.sort();
    assert_eq!(served, table);
}

#[test]
fn nobody_gets_in_without_a_token_that_is_in_force() {
    let town = Town::new();
    let id = "pass_01kapzzzzz0000000000000000";
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.access == Access::Token) {
        let without = send(&town.anyone(), endpoint, id, "application/json", b"{}");
        assert_eq!(without.problem(401), "unauthorized", "{endpoint:?}");
        assert_eq!(without.header("www-authenticate"), Some("Bearer"));
        for token in [NOBODY, "", "limen_", "limen_reader_01kapzzzzz0000000000000000_00"] {
            let wrong = town.anyone().as_bearer(token);
            let wrong = send(&wrong, endpoint, id, "application/json", b"{}");
            assert_eq!((wrong.status, &wrong.body), (401, &without.body), "{endpoint:?} {token}");
        }
        let right = send(&town.harbour(), endpoint, id, "application/json", b"{}");
        assert_ne!(right.status, 401, "{endpoint:?}");
    }
}

#[test]
fn bodies_of_wrong_type_form_or_size_are_refused() {
    let town = Town::with(|limits| limits.body_bytes_max = 4096);
    let (id, json_type) = ("pass_01kapzzzzz0000000000000000", "application/json");
    let large = json!({"name": "x".repeat(8192)}).to_string();
    let owner = town.registrar();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.request.is_some()) {
        let check = |kind: &str, body: &[u8], status: u16, code: &str| {
            let answer = send(&owner, endpoint, id, kind, body);
            assert_eq!(answer.problem(status), code, "{endpoint:?}");
        };
        check("text/plain", b"{}", 415, "content-type");
        check(json_type, large.as_bytes(), 413, "body-too-large");
        check(json_type, b"", 400, "body-form");
        check(json_type, b"{\"colour\": 1", 400, "body-form");
        check(json_type, b"[]", 400, "body-form");
        check(json_type, b"\xff\xfe", 400, "body-form");
        check(json_type, br#"{"colour":"blue"}"#, 400, "body-form");
    }
}

#[test]
fn ids_of_other_operators_are_unknown_ids() {
    let town = Town::new();
    let harbour = town.harbour();
    let pass = pass(&harbour, &ticket("first-class"));
    let person = harbour.get(&format!("/v1/passes/{pass}")).text("person");
    let token = harbour.get("/v1/tokens").json()["items"][0]["id"].as_str().unwrap().to_owned();
    let known = |endpoint: &Endpoint| match endpoint.tag {
        "people" => Some(person.clone()),
        "passes" => Some(pass.clone()),
        "tokens" => Some(token.clone()),
        _ => None,
    };
    let mut compared = 0;
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.path.contains("{id}")) {
        let Some(id) = known(endpoint) else { continue };
        let unknown = format!("{}_01kapzzzzz0000000000000000", id.split_once('_').unwrap().0);
        let [other, unknown] =
            [&id, &unknown].map(|id| send(&town.hill(), endpoint, id, "application/json", b"{}"));
        assert_eq!(other.problem(404), "not-found", "{endpoint:?}");
        assert_eq!(other.body, unknown.body);
        compared += 1;
    }
    assert!(compared >= 6, "{compared}");
    // The control: its own operator reaches it.
    harbour.get(&format!("/v1/passes/{pass}")).expect(200);
    harbour.get(&format!("/v1/people/{person}")).expect(200);
    let product = town.hill().get("/v1/products/first-class");
    assert_eq!(product.body, town.hill().get("/v1/products/nobody").body);
}

#[test]
fn fields_are_held_to_their_form_and_named() {
    let town = Town::new();
    let owner = town.harbour();
    let check = |path: &str, body: Value, named: &str| {
        let answer = owner.post(path, &body);
        assert_eq!(answer.problem(400), "invalid-field");
        assert!(answer.text("detail").contains(&format!("`{named}`")), "{answer:?}");
    };
    check("/v1/people", json!({"name": ""}), "name");
    check("/v1/people", json!({"name": "a\u{202e}b"}), "name");
    check("/v1/people", json!({"name": "x".repeat(201)}), "name");
    check("/v1/places", json!({"code": "Pier!", "name": "Pier"}), "code");
    check("/v1/tokens", json!({"label": "x", "roles": ["king"]}), "roles");
    let roles = json!(["auditor"]);
    check("/v1/tokens", json!({"label": "x", "roles": roles, "expires_at": "soon"}), "expires_at");
    check("/v1/passes", json!({"person": "pass_1", "product": "a"}), "person");
    let beyond = json!({"label": "x", "roles": roles, "expires_at": "2199-01-01T00:00:00Z"});
    assert_eq!(owner.post("/v1/tokens", &beyond).problem(422), "token-life");
}

#[test]
fn pages_hold_to_their_limits() {
    let town = Town::new();
    for endpoint in ENDPOINTS.iter().filter(|it| matches!(it.response, Response::Page(_))) {
        let client = if endpoint.tag == "operators" { town.registrar() } else { town.harbour() };
        for (query, status) in [
            ("limit=0", 400),
            ("limit=1", 200),
            ("limit=200", 200),
            ("limit=201", 400),
            ("limit=-1", 400),
            ("after=zz", 400),
            ("colour=blue", 400),
        ] {
            let answer = client.get(&format!("{}?{query}", endpoint.path));
            assert_eq!(answer.status, status, "{} {query}", endpoint.path);
        }
    }
}

#[test]
fn paths_and_methods_that_nobody_serves_are_problems_too() {
    let town = Town::new();
    assert_eq!(town.harbour().get("/v1/secrets").problem(404), "not-found");
    assert_eq!(town.harbour().get("/v1/people/%ff").problem(404), "not-found");
    assert_eq!(town.harbour().delete("/v1/people").problem(405), "method");
    assert_eq!(town.anyone().get("/v1/log/tile/../../limen.db").problem(404), "not-found");
    assert_eq!(town.anyone().get("/v1/log/tile/%2e%2e%2flimen.db").problem(404), "not-found");
    assert_eq!(town.anyone().get("/v1/status-lists/harbour/7").problem(404), "not-found");
}

#[test]
fn two_tokens_in_one_request_are_none() {
    let town = Town::new();
    let hill = format!("Bearer {}", town.tokens[2]);
    let both = town.harbour().send("GET", "/v1/people", &[("authorization", &hill)], None);
    assert_eq!(both.problem(401), "unauthorized");
    let twice = format!("Bearer {}", town.tokens[1]);
    let same = town.harbour().send("GET", "/v1/people", &[("authorization", &twice)], None);
    assert_eq!(same.problem(401), "unauthorized");
    town.harbour().get("/v1/people").expect(200);
}
