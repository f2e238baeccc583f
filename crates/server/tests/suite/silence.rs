//! What the server logs: identifiers, never names, tokens, codes or bodies.

use std::io::Write;
use std::sync::{Mutex, Once};

use serde_json::json;

use crate::phone::{Key, Phone};
use crate::staff::{pass, ticket};
use crate::town::Town;

static HEARD: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Ear;

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        HEARD.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Listens to everything that all servers of these tests log.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        subscriber.with_ansi(false).with_writer(|| Ear).init();
    });
}

#[test]
fn log_lines_hold_no_name_no_token_and_no_code() {
    let town = Town::new();
    let owner = town.harbour();
    let (name, contact) = ("Quentin Unlogged", "quentin@unlogged.example");
    owner.post("/v1/people", &json!({"name": name, "contact": contact})).expect(201);
    owner.post("/v1/people", &json!({"name": name, "colour": contact})).problem(400);
    let pass = pass(&owner, &ticket("first-class"));
    let offer = owner.send("POST", &format!("/v1/passes/{pass}/offers"), &[], None);
    let phone = Phone::follow(&town.anyone(), &offer.text("uri"));
    let token = phone.token(None, false);
    phone.collect(&token, "mso_mdoc", &[&Key::new(31)], false).expect(200);
    let wrong = town.tokens[1].replace("limen_", "limen_0");
    town.anyone().as_bearer(&wrong).get("/v1/people").problem(401);

    let heard = String::from_utf8_lossy(&HEARD.lock().unwrap()).into_owned();
    assert!(heard.contains("/v1/people"), "the control: requests are heard");
    let secret = town.tokens[1].rsplit_once('_').unwrap().1;
    let access = token.text("access_token");
    for hidden in [name, contact, secret, phone.code(), &access] {
        assert!(!heard.contains(hidden), "{hidden}");
    }
}
