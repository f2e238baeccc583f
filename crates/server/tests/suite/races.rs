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

#[test]
fn simultaneous_wrong_codes_are_all_counted_and_hear_the_same() {
    let town = Town::new();
    let code = crate::readers::enrolment(&town);
    let flipped = if code.ends_with('0') { '1' } else { '0' };
    let wrong = format!("{}{flipped}", &code[..code.len() - 1]);
    let key = crate::phone::Key::new(51);
    let guess = || crate::readers::enrolment_request(&wrong, &key);
    let guesses = (0..fleet::enrolment::TRIES_MAX).map(|_| guess());
    let requests =
        guesses.map(|guess| (town.anyone(), "/v1/readers/enrol", guess)).collect::<Vec<_>>();
    for answer in at_once(requests) {
        assert_eq!(answer.problem(403), "enrolment-code");
    }
    let right = crate::readers::enrolment_request(&code, &key);
    let answer = town.anyone().post("/v1/readers/enrol", &right);
    assert_eq!(answer.problem(403), "enrolment-code", "every guess was counted");
}
