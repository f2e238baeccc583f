//! What taps must prove: set by the city, told to readers, recorded.

use ::reader::taps::{Taps, TimeBound};
use policy::role::Role;
use presentation::profile::Profile;
use serde_json::{Value, json};

use crate::readers::Gate;
use crate::town::Town;

#[test]
fn what_the_city_sets_is_in_the_next_bundle_and_in_the_log() {
    let town = Town::new();
    let gate = Gate::new(&town);
    let told = || gate.bundle(&town).bundle().taps;
    assert_eq!(told(), Taps::default(), "control");
    let change = json!({
        "normal": { "least": "identity", "stronger_per_mille": 5 },
        "high": { "apdu_ms": 300, "total_ms": 900 },
    });
    let after = town.registrar().patch("/v1/taps", &change).expect(200);
    assert_eq!(after["normal"]["least"], "identity");
    let mut expected = Taps::default();
    expected.normal.least = Profile::Identity;
    expected.normal.stronger_per_mille = 5;
    expected.high.bound = TimeBound::of_ms(300, 900);
    assert_eq!(told(), expected);
    // What is not named stays as it was set.
    let total = json!({ "high": { "total_ms": 800 } });
    town.registrar().patch("/v1/taps", &total).expect(200);
    expected.high.bound = TimeBound::of_ms(300, 800);
    assert_eq!(told(), expected);
    assert_eq!(town.harbour().get("/v1/taps").expect(200)["high"]["total_ms"], 800);

    let events = town.registrar().get("/v1/events?limit=200").expect(200);
    let set = events["items"].as_array().unwrap().iter().filter(|it| it["kind"] == "taps-set");
    let set: Vec<&Value> = set.map(|event| &event["object"]).collect();
    assert_eq!(set, ["taps", "taps"]);
}

#[test]
fn a_value_past_its_limit_is_named_and_nothing_is_set() {
    let town = Town::new();
    for (change, code, culprit) in [
        (json!({ "high": { "least": "express" } }), "taps-limit", "`high.least` is `express`"),
        (json!({ "high": { "least": "fast" } }), "taps-limit", "must be `standard`"),
        (json!({ "low": { "stronger_per_mille": 1001 } }), "taps-limit", "more than 1000"),
        (json!({ "low": { "apdu_ms": 49 } }), "taps-limit", "`low.apdu_ms` is 49, not within 50"),
        (json!({ "normal": { "total_ms": 120_001 } }), "taps-limit", "100 to 120000"),
        (
            json!({ "normal": { "total_ms": 999 } }),
            "taps-limit",
            "less than `normal.apdu_ms`, 1000",
        ),
    ] {
        let refused = town.registrar().patch("/v1/taps", &change);
        assert_eq!(refused.problem(422), code, "{change}");
        assert!(refused.text("detail").contains(culprit), "{}", refused.text("detail"));
    }
    let unknown = town.registrar().patch("/v1/taps", &json!({ "low": { "least": "none" } }));
    assert_eq!(unknown.status, 400);
    assert!(unknown.text("detail").contains("low.least"), "{}", unknown.text("detail"));
    let misspelt = json!({ "low": { "leest": "express" } });
    assert_eq!(town.registrar().patch("/v1/taps", &misspelt).problem(400), "body-form");
    assert_eq!(Gate::new(&town).bundle(&town).bundle().taps, Taps::default());
}

#[test]
fn an_owner_of_the_city_alone_sets_what_taps_must_prove() {
    let town = Town::new();
    let change = json!({ "low": { "least": "standard" } });
    let as_role = |code, role| town.anyone().as_bearer(&town.make_token(code, role).unwrap());
    for caller in [
        town.harbour(),
        as_role("harbour", Role::FleetManager),
        as_role("city", Role::FleetManager),
        as_role("city", Role::Auditor),
    ] {
        assert_eq!(caller.patch("/v1/taps", &change).problem(403), "denied");
    }
    assert_eq!(as_role("harbour", Role::HelpDesk).get("/v1/taps").problem(403), "denied");
    let reader = town.anyone().as_bearer(Gate::new(&town).secret());
    assert_eq!(reader.patch("/v1/taps", &change).problem(404), "not-found");
    assert_eq!(town.anyone().patch("/v1/taps", &change).problem(401), "unauthorized");
    let shown = as_role("harbour", Role::FleetManager).get("/v1/taps").expect(200);
    assert_eq!(shown["low"]["least"], "express");
    let set: Value = as_role("city", Role::Owner).patch("/v1/taps", &change).expect(200);
    assert_eq!(set["low"]["least"], "standard", "control");
}
