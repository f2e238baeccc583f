//! The audit log from outside: its tiles verify, its leaves tell nothing about people.

use std::time::{Duration, Instant};

use audit::entry::Entry;
use audit::note::VerifierKey;
use serde_json::json;

use crate::town::Town;

#[test]
fn published_log_verifies_covers_every_event_and_names_nobody() {
    let town = Town::new();
    let owner = town.harbour();
    for number in 0..5 {
        let name = format!("Mira Okafor {number}");
        owner.post("/v1/people", &json!({"name": name})).expect(201);
    }
    let events = owner.get("/v1/events?limit=200").expect(200);
    let events = events["items"].as_array().unwrap().clone();
    let last = events.last().unwrap()["sequence"].as_u64().unwrap();
    let trust = town.anyone().get("/v1/trust").expect(200);
    let key: VerifierKey = trust["log_key"].as_str().unwrap().parse().unwrap();
    // The checkpoint follows within a fraction of a second.
    let begin = Instant::now();
    let mut leaves = Vec::new();
    while u64::try_from(leaves.len()).unwrap() <= last {
        assert!(begin.elapsed() < Duration::from_secs(20), "the log is not published");
        leaves.clear();
        let lookup = |path: &str| {
            let answer = town.anyone().get(&format!("/v1/log/{path}"));
            (answer.status == 200).then_some(answer.body)
        };
        let keys = [key.clone()];
        let log = audit::folder::Log { lookup, origin: key.name(), keys: &keys, older: None };
        // A checkpoint may be replaced while it is read.
        let _ = audit::folder::verify(log, |_, leaf| leaves.push(leaf.to_vec()));
    }
    for event in events {
        let sequence = usize::try_from(event["sequence"].as_u64().unwrap()).unwrap();
        let entry = Entry::decode(&leaves[sequence]).unwrap();
        assert_eq!(entry.event.to_string(), event["id"].as_str().unwrap());
        assert_eq!(entry.kind.as_str(), event["kind"].as_str().unwrap());
    }
    let person = owner.get("/v1/people").json()["items"][0]["id"].as_str().unwrap().to_owned();
    let id: vocabulary::id::PersonId = person.parse().unwrap();
    for leaf in &leaves {
        for secret in [b"Mira".as_slice(), person.as_bytes(), id.as_bytes()] {
            assert!(!leaf.windows(secret.len()).any(|window| window == secret));
        }
    }
}
