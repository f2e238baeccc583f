//! Stopping in order, and what is there after the next start.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use server::city::ceremony::CeremonyError;
use server::start::StartError;

use crate::town::Town;

/// Reads until `end` has come.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&text).ends_with(end) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn request_at_hand_is_finished_and_nothing_new_is_taken() {
    let mut town = Town::new();
    let mut stream = TcpStream::connect(town.config.http.listen).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let body = json!({"name": "Late Arrival", "reference": "late"}).to_string();
    let head = format!(
        "POST /v1/people HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        town.tokens[1],
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The handler waits for the body now.
    assert!(read_until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 100"));
    town.order_stop();
    stream.write_all(body.as_bytes()).unwrap();
    assert!(read_until(&mut stream, "\r\n").starts_with("HTTP/1.1 201"));
    town.close();
    assert!(TcpStream::connect(town.config.http.listen).is_err());

    town.open();
    let people = town.harbour().get("/v1/people").expect(200);
    assert_eq!(people["items"][0]["reference"], "late");
}

#[test]
fn log_covers_every_deed_once_the_server_has_stopped() {
    let mut town = Town::new();
    town.harbour().post("/v1/people", &json!({"name": "Mira Okafor"})).expect(201);
    let events = town.harbour().get("/v1/events?limit=200").expect(200);
    let last = events["items"].as_array().unwrap().last().unwrap()["sequence"].as_u64().unwrap();
    town.close();
    let note = std::fs::read_to_string(town.config.store.data.join("log/checkpoint")).unwrap();
    let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
    assert!(size > last, "{size} {last}");
}

#[test]
fn second_start_makes_no_second_signers() {
    let mut town = Town::new();
    let events = |town: &Town| {
        let events = town.harbour().get("/v1/events?limit=200").expect(200);
        let renewed = |event: &&serde_json::Value| event["kind"] == "key-make";
        events["items"].as_array().unwrap().iter().filter(renewed).count()
    };
    assert_eq!(events(&town), 2);
    town.close();
    town.open();
    assert_eq!(events(&town), 2);
}

#[test]
fn one_data_folder_has_one_server_and_no_ceremony_beside_it() {
    let mut town = Town::new();
    assert!(matches!(town.start_beside(), Err(StartError::Busy)));
    let added = town.try_add_operator("valley", "Valley");
    assert!(matches!(added, Err(CeremonyError::Start(StartError::Busy))), "{added:?}");
    town.harbour().get("/v1/people").expect(200);
    town.close();
    town.try_add_operator("valley", "Valley").unwrap();
    town.open();
}
