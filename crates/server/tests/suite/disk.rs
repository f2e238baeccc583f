//! A full disk: the write fails and says so, reads go on, and space heals.

use serde_json::json;
use store::sqlite::{Options, Sqlite};
use store::store::Store;

use crate::town::Town;

fn store(town: &Town, pages_max: Option<u32>) -> Store {
    let options = Options { folder: town.config.store.data.clone(), pages_max };
    Store::new(Sqlite::open(&options).unwrap())
}

#[test]
fn write_to_a_full_disk_fails_by_name_and_what_was_said_stays() {
    let mut town = Town::closed(|_| {});
    let small = store(&town, Some(120));
    town.open_on(small);
    let mut written = 0;
    let refused = loop {
        let answer = town.harbour().post("/v1/people", &json!({"name": "x".repeat(200)}));
        if answer.status != 201 {
            break answer;
        }
        written += 1;
        assert!(written < 5_000, "the disk never fills");
    };
    assert_eq!(refused.problem(507), "disk-full");
    assert_eq!(town.harbour().get("/v1/people?limit=1").status, 200);
    town.close();

    let large = store(&town, None);
    town.open_on(large);
    town.harbour().post("/v1/people", &json!({"name": "There is space"})).expect(201);
    let mut found = 0;
    let mut path = "/v1/people?limit=200".to_owned();
    loop {
        let page = town.harbour().get(&path).expect(200);
        found += page["items"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/people?limit=200&after={next}"),
            None => break,
        }
    }
    assert_eq!(found, written + 1, "no acknowledged write is lost");
}
