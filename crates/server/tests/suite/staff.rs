//! What staff does: operators, tokens, people, products, places, passes.

use serde_json::{Value, json};

use crate::client::Client;
use crate::town::Town;

/// A ticket for zones A and B: bearer tokens, no transaction code, nothing attested.
pub fn ticket(code: &str) -> Value {
    json!({
        "code": code,
        "terms": {
            "display": [{"language": "en", "name": "First class"}],
            "stake": "low",
            "rights": {"class": "first", "zones": ["A", "B"]},
            "pass_days_max": 31,
            "document_hours": 24,
            "batch_max": 4,
            "attestation_min": "none",
        },
    })
}

/// A pass of a new person, of a new product.
pub fn pass(owner: &Client, product: &Value) -> String {
    owner.post("/v1/products", product).expect(201);
    let person = owner.post("/v1/people", &json!({"name": "Mira Okafor"})).expect(201);
    let request = json!({"person": person["id"], "product": product["code"]});
    owner.post("/v1/passes", &request).expect(201)["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_registered_is_shown_and_listed_in_pages() {
    let town = Town::new();
    let owner = town.harbour();
    let names = ["Mira Okafor", "Jón Þór", "Ana Böhm"];
    for (number, name) in names.iter().enumerate() {
        let request = json!({"name": name, "reference": format!("no-{number}")});
        let person = owner.post("/v1/people", &request).expect(201);
        let path = format!("/v1/people/{}", person["id"].as_str().unwrap());
        assert_eq!(owner.get(&path).expect(200), person);
    }
    let first = owner.get("/v1/people?limit=2").expect(200);
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let next = format!("/v1/people?limit=2&after={}", first["next"].as_str().unwrap());
    let second = owner.get(&next).expect(200);
    assert_eq!(second["items"][0]["name"], names[2]);
    assert_eq!(second["next"], Value::Null);
    let same = json!({"name": "Somebody else", "reference": "no-1"});
    assert_eq!(owner.post("/v1/people", &same).problem(409), "reference-exists");
    town.hill().post("/v1/people", &same).expect(201);
}

#[test]
fn token_made_over_the_network_has_its_roles_until_it_is_revoked() {
    let town = Town::new();
    let owner = town.harbour();
    let request = json!({"label": "help desk", "roles": ["help-desk"]});
    let made = owner.post("/v1/tokens", &request).expect(201);
    let help = owner.as_bearer(made["secret"].as_str().unwrap());
    help.get("/v1/people").expect(200);
    assert_eq!(help.post("/v1/people", &json!({"name": "N. N."})).problem(403), "denied");
    assert_eq!(help.post("/v1/tokens", &request).problem(403), "denied");
    assert_eq!(owner.post("/v1/tokens", &json!({"label": "two", "roles": ["owner"]})).status, 403);
    let listed = owner.get("/v1/tokens").expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains("secret"));
    let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
    owner.delete(&path).expect(204);
    assert_eq!(help.get("/v1/people").problem(401), "unauthorized");
    assert_eq!(owner.delete(&path).problem(409), "token-revoked");
}

#[test]
fn registrar_of_the_city_alone_registers_operators() {
    let town = Town::new();
    let request = json!({"code": "valley", "name": "Valley"});
    assert_eq!(town.harbour().post("/v1/operators", &request).problem(403), "denied");
    town.registrar().post("/v1/operators", &request).expect(201);
    assert_eq!(town.registrar().post("/v1/operators", &request).problem(409), "operator-exists");
    let listed = town.registrar().get("/v1/operators").expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 4);
    town.registrar().get("/v1/operators/valley").expect(200);
    town.harbour().get("/v1/operators/harbour").expect(200);
    let (other, unknown) =
        (town.harbour().get("/v1/operators/hill"), town.harbour().get("/v1/operators/nobody"));
    assert_eq!((other.status, &other.body), (404, &unknown.body));
}

#[test]
fn products_and_places_come_back_as_they_were_sent() {
    let town = Town::new();
    let owner = town.harbour();
    let sent = ticket("first-class");
    let added = owner.post("/v1/products", &sent).expect(201);
    assert_eq!(added["terms"]["rights"]["zones"], sent["terms"]["rights"]["zones"]);
    let formats = json!(["mso_mdoc", "dc+sd-jwt", "limen-access-document"]);
    assert_eq!(added["terms"]["formats"], formats);
    assert_eq!(owner.get("/v1/products/first-class").expect(200), added);
    assert_eq!(owner.post("/v1/products", &sent).problem(409), "product-exists");
    let mut wrong = ticket("other");
    wrong["terms"]["batch_max"] = json!(0);
    assert_eq!(owner.post("/v1/products", &wrong).problem(422), "product-terms");
    let mut attested = ticket("attested");
    attested["terms"]["attestation_min"] = json!("iso_18045_basic");
    assert_eq!(owner.post("/v1/products", &attested).problem(422), "attester-missing");

    let place = json!({"code": "pier", "name": "Pier", "zone": "B", "zone_class": "low"});
    assert_eq!(owner.post("/v1/places", &place).expect(201), place);
    assert_eq!(owner.post("/v1/places", &place).problem(409), "place-exists");
    let inside = json!({"code": "pier/gate-1", "name": "Gate 1"});
    assert_eq!(town.hill().post("/v1/places", &inside).problem(422), "place-foreign");
    assert_eq!(owner.post("/v1/places", &inside).expect(201), inside);
    assert_eq!(owner.get("/v1/places").expect(200)["items"], json!([place, inside]));
}

#[test]
fn pass_goes_through_its_states_and_never_back_from_revoked() {
    let town = Town::new();
    let owner = town.harbour();
    let path = format!("/v1/passes/{}", pass(&owner, &ticket("first-class")));
    let deed = |verb: &str| owner.post(&format!("{path}/{verb}"), &json!({"reason": "lost"}));
    assert_eq!(owner.get(&path).text("state"), "issued");
    assert_eq!(deed("suspend").expect(200)["state"], "suspended");
    assert_eq!(deed("suspend").problem(409), "pass-state");
    assert_eq!(deed("resume").expect(200)["state"], "issued");
    assert_eq!(deed("revoke").expect(200)["state"], "revoked");
    assert_eq!(deed("resume").problem(409), "pass-state");
    let offers = format!("{path}/offers");
    assert_eq!(owner.send("POST", &offers, &[], None).problem(409), "pass-state");
    let unknown = json!({"person": "person_01kapzzzzz0000000000000000", "product": "first-class"});
    assert_eq!(owner.post("/v1/passes", &unknown).problem(422), "reference-unknown");
}

#[test]
fn probes_answer_without_a_token_and_tell_nothing_about_people() {
    let town = Town::new();
    let owner = town.harbour();
    let person = owner.post("/v1/people", &json!({"name": "Mira Okafor"})).text("id");
    owner.get(&format!("/v1/people/{person}")).expect(200);
    assert_eq!(town.anyone().get("/healthz").status, 200);
    assert_eq!(town.anyone().get("/readyz").status, 200);
    let metrics = String::from_utf8(town.anyone().get("/metrics").body).unwrap();
    assert!(metrics.contains(r#"route="/v1/people/{id}""#), "{metrics}");
    for secret in [person.as_str(), "Mira", &town.tokens[1]] {
        assert!(!metrics.contains(secret));
    }
}
