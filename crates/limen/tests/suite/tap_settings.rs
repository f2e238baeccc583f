//! What a city says of taps, from the command to the door: by real processes, and with a relay between
//! phone and reader that holds every response back.

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

use edge::link::{Field, Link};
use serde_json::{Value, json};

use crate::deliveries::{City, Process};
use crate::run::Done;

/// How long the relay holds each response back.
const DELAY: Duration = Duration::from_millis(250);

/// A city with a gate of normal class, and a phone whose pass has the form for a standard tap alone.
fn city() -> City {
    let city = City::new();
    city.door("quay/gate-1", "B");
    city.reader("gate-1", "quay/gate-1", &[]);
    let terms = json!({
        "display": [{ "language": "en", "name": "Day" }], "stake": "low",
        "formats": ["limen-access-document"], "rights": { "zones": ["B"] },
        "pass_days_max": 1, "document_hours": 24, "handles_max": 0,
    });
    city.folder.file("day.json", json!({ "code": "day", "terms": terms }).to_string());
    city.ask(&["product", "add", "day.json"]);
    // The gate hears of the product, too.
    city.sync("gate-1");
    let person = city.ask(&["person", "register", "Ada"]);
    let person = person["id"].as_str().unwrap();
    let pass = city.ask(&["pass", "issue", "--person", person, "--product", "day"]);
    let offer = city.ask(&["pass", "offer", pass["id"].as_str().unwrap()]);
    let phone = ["--folder", "phone"];
    let init = ["wallet", "init", "--server", &city.url];
    city.folder.limen(&[&init[..], &phone].concat()).expect(0, "");
    let accept = ["wallet", "accept", offer["uri"].as_str().unwrap()];
    city.folder.limen(&[&accept[..], &phone].concat()).expect(0, "accepted");
    city
}

/// `limen tap settings set` with the token of whom it is.
fn set(city: &City, token: &str, what: &[&str]) -> Done {
    let call = ["--server", &city.url, "--token", token];
    city.folder.limen(&[&["tap", "settings", "set"][..], what, &call].concat())
}

/// The gate at work, as events.
struct Gate {
    _process: Process,
    events: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Gate {
    /// With the next bundle of the city.
    fn new(city: &City) -> Self {
        city.sync("gate-1");
        let run = ["reader", "run", "--folder", "gate-1", "--json"];
        let mut child = city.folder.command(&run).stdout(Stdio::piped()).spawn().unwrap();
        let mut events = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening: Value = events.next().unwrap().unwrap().parse().unwrap();
        let address = listening["reader"].as_str().unwrap().parse().unwrap();
        Self { _process: Process(child), events, address }
    }

    /// What it says of a tap of the phone, which finds the field at `address`.
    fn tapped(&mut self, city: &City, address: SocketAddr) -> Value {
        let address = address.to_string();
        city.folder.limen(&["wallet", "present", "--folder", "phone", "--reader", &address]);
        self.events.next().unwrap().unwrap().parse().unwrap()
    }

    fn tap(&mut self, city: &City) -> Value {
        self.tapped(city, self.address)
    }

    /// A tap through the relay.
    fn relayed(&mut self, city: &City) -> Value {
        let field = Field::open(0).unwrap();
        let (address, reader) = (field.address().unwrap(), self.address);
        let relay = std::thread::spawn(move || {
            let (mut phone, mut reader) = (field.accept().unwrap(), Link::connect(reader).unwrap());
            while let Ok(command) = reader.receive() {
                phone.send(&command).unwrap();
                let Ok(response) = phone.receive() else { break };
                std::thread::sleep(DELAY);
                if reader.send(&response).is_err() {
                    break;
                }
            }
        });
        let tapped = self.tapped(city, address);
        relay.join().unwrap();
        tapped
    }
}

fn code(event: &Value) -> &str {
    event["code"].as_str().unwrap()
}

#[test]
fn what_a_city_sets_of_taps_holds_at_the_door_from_the_next_bundle_on() {
    let city = city();
    let owner = city.city_token.clone();
    let mut gate = Gate::new(&city);
    let control = gate.tap(&city);
    assert_eq!((code(&control), &control["profile"]), ("granted", &json!("standard")), "{control}");
    assert_eq!(code(&gate.relayed(&city)), "granted", "control: the default waits for a relay");

    // One second for all the responses of a tap, though none by itself is late.
    let shorter = ["--class", "normal", "--total-ms", "1000"];
    set(&city, &owner, &shorter).expect(0, "normal  express   20 of 1000  1000 ms       1000 ms");
    drop(gate);
    let mut gate = Gate::new(&city);
    let late = gate.relayed(&city);
    assert_eq!(code(&late), "too-slow", "{late}");
    assert!(late["reason"].as_str().unwrap().contains("1000 ms are allowed here"), "{late}");
    assert_eq!(code(&gate.tap(&city)), "granted", "control: the phone itself is fast enough");

    set(&city, &owner, &["--class", "normal", "--apdu-ms", "200"]).expect(0, "limen reader sync");
    drop(gate);
    let mut gate = Gate::new(&city);
    let late = gate.relayed(&city);
    assert!(late["reason"].as_str().unwrap().contains("a response took"), "{late}");
    assert_eq!(code(&gate.tap(&city)), "granted", "control");

    set(&city, &owner, &["--class", "normal", "--least", "identity"]).expect(0, "identity");
    drop(gate);
    let mut gate = Gate::new(&city);
    let refused = gate.tap(&city);
    assert_eq!(refused["outcome"], "refused", "{refused}");

    set(&city, &owner, &["--class", "normal", "--least", "fast"]).expect(0, "fast");
    drop(gate);
    assert_eq!(code(&Gate::new(&city).tap(&city)), "granted", "control");
}

#[test]
fn the_city_is_told_what_it_may_not_set() {
    let city = City::new();
    let high = ["--class", "high", "--least", "express"];
    set(&city, &city.city_token, &high).expect(1, "`high.least` is `express`");
    let slow = ["--class", "low", "--apdu-ms", "60001"];
    set(&city, &city.city_token, &slow).expect(1, "`low.apdu_ms` is 60001, not within 50 to 60000");
    set(&city, &city.city_token, &["--class", "low"]).expect(2, "--least");
    set(&city, &city.city_token, &["--class", "low", "--least", "none"]).expect(2, "not a profile");
    // An operator sees what holds, and sets nothing.
    let shown = city.ask(&["tap", "settings", "show"]);
    assert_eq!(shown["high"]["least"], "standard");
    assert_eq!(
        shown["low"],
        json!({
            "least": "express", "stronger_per_mille": 20, "apdu_ms": 60_000, "total_ms": 120_000,
        })
    );
    let fast = ["--class", "low", "--least", "fast"];
    set(&city, &city.token, &fast).expect(1, "`taps.set` denied");
    let done = set(&city, &city.city_token, &fast).expect(0, "fast");
    assert!(done.out.contains("passes of limited uses open no low door"), "{}", done.out);
    let done = set(&city, &city.city_token, &["--class", "low", "--least", "express"]);
    assert!(!done.out.contains("limited uses"), "control: {}", done.out);
}
