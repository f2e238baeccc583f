//! A wallet that was made before the city changed its reader authority, by real processes.

use std::io::{BufRead, BufReader, Lines};
use std::process::{ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::Value;

use crate::deliveries::Process;
use crate::run::listen;
use crate::up::{PATIENCE, Up};

const DOOR: &str = "town-hall/staff-door";

/// A reader at the staff door that waits for phones.
struct Reader {
    _process: Process,
    events: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Reader {
    fn enrolled(city: &Up, name: &str) -> Self {
        // A server hears within seconds that somebody else moved its keys on.
        let began = Instant::now();
        loop {
            let invited = city.ask(&["reader", "invite", name, "--door", DOOR]);
            let code = invited["code"].as_str().unwrap();
            let enrol = ["reader", "enrol", "--folder", name, "--server", &city.url];
            let done = city.folder.limen(&[&enrol[..], &["--code", code]].concat());
            if done.code == 0 {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{}", done.err);
            done.expect(1, "keys-unavailable, HTTP 503");
        }
        city.folder.limen(&["reader", "sync", "--folder", name]).expect(0, "bundle epoch");
        let run = ["reader", "run", "--folder", name, "--door", DOOR, "--json"];
        let mut child = city.folder.command(&run).stdout(Stdio::piped()).spawn().unwrap();
        let mut events = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Value = events.next().unwrap().unwrap().parse().unwrap();
        let address = first["reader"].as_str().unwrap().to_owned();
        Self { _process: Process(child), events, address }
    }

    /// What the reader decides, and what the phone tells its owner.
    fn tap(&mut self, city: &Up) -> (String, Value) {
        let present = ["wallet", "present", "--reader", &self.address, "--confirm", "--json"];
        let shown = city.folder.limen(&present).json();
        let event: Value = self.events.next().unwrap().unwrap().parse().unwrap();
        (event["outcome"].as_str().unwrap().to_owned(), shown)
    }
}

#[test]
fn wallet_hears_of_a_new_reader_authority_and_is_not_stranded() {
    let city = Up::new();
    city.issue();
    let mut before = Reader::enrolled(&city, "before");
    assert_eq!(before.tap(&city).0, "granted", "control");
    let rotate = ["key", "rotate", "reader-authority", "--folder", "data.city", "--compromised"];
    city.folder.limen(&rotate).expect(0, "");
    let mut after = Reader::enrolled(&city, "after");
    let (outcome, shown) = after.tap(&city);
    assert_ne!(outcome, "granted", "control: the wallet has not heard of the authority");
    assert_eq!(shown["outcome"], "nothing-shown", "{shown}");
    assert_eq!(
        before.tap(&city).0,
        "granted",
        "control: nor that the one before is in other hands"
    );
    let heard = city.folder.limen(&["wallet", "refresh", "--json"]).expect(0, "changed").json();
    assert_eq!(heard["changed"], true, "{heard}");
    assert_eq!(after.tap(&city).0, "granted");
    let (outcome, shown) = before.tap(&city);
    assert_ne!(outcome, "granted", "the city tells no more of the authority in other hands");
    assert_eq!(shown["outcome"], "nothing-shown", "{shown}");
    city.folder.limen(&["wallet", "refresh"]).expect(0, "nothing is new");
}

/// A city that takes the address of another is not believed, and changes nothing.
#[test]
fn wallet_does_not_follow_another_city_at_the_same_address() {
    let (own, foreign) = (Up::new(), Up::new());
    let trust = |city: &Up| {
        let answer = ureq::get(format!("{}/v1/trust", city.url)).call().unwrap();
        answer.into_body().read_to_string().unwrap().into_bytes()
    };
    let told = [trust(&own), trust(&foreign)];
    assert_ne!(told[0], told[1]);
    let switch = Arc::new(AtomicUsize::new(0));
    let which = Arc::clone(&switch);
    let address = listen(Box::new(move |_, _, _| {
        (200, "application/json", told[which.load(Ordering::Relaxed)].clone())
    }));
    let init = ["wallet", "init", "--folder", "w", "--server", &address.url];
    own.folder.limen(&init).expect(0, "wallet made");
    let refresh = ["wallet", "refresh", "--folder", "w"];
    own.folder.limen(&refresh).expect(0, "nothing is new");
    switch.store(1, Ordering::Relaxed);
    own.folder.limen(&refresh).expect(1, "leaves out the newest root");
    switch.store(0, Ordering::Relaxed);
    own.folder.limen(&refresh).expect(0, "nothing is new");
}
