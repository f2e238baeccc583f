//! Those who come at the same time: one is right, the others hear why they are not.

use serde_json::json;

use crate::client::{Answer, Client};
use crate::town::Town;

/// Sends all at once and gives the answers in the same order.
fn at_once(requests: Vec<(Client, &str, serde_json::Value)>) -> Vec<Answer> {
    let threads: Vec<_> = requests
        .into_iter()
        .map(|(client, path, body)| {
            let path = path.to_owned();
            std::thread::spawn(move || client.post(&path, &body))
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn place_and_one_inside_it_by_another_operator_are_never_both_added() {
    let town = Town::new();
    for round in 0..12 {
        let place = |code: String| json!({"code": code, "name": "Place"});
        let answers = at_once(vec![
            (town.harbour(), "/v1/places", place(format!("r{round}"))),
            (town.hill(), "/v1/places", place(format!("r{round}/door"))),
        ]);
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 422], "round {round}");
        let refused = answers.iter().find(|answer| answer.status == 422).unwrap();
        assert_eq!(refused.problem(422), "place-foreign");
    }
}
