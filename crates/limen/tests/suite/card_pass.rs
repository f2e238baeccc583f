//! A card that gets its pass and its handles from the city, and opens gates with them, by real processes.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use presentation::express::ScopeId;
use presentation::express::wire::Apdu;
use serde_json::Value;

use crate::deliveries::{City, Process, SEARCHED_BYTES_MIN, forms, holds, in_files, in_memory};
use crate::run::{Done, Folder};

pub(crate) const DESK: [&str; 8] = [
    "--service",
    "city/run/keys.sock",
    "--pairing",
    "personaliser.pairing",
    "--folder",
    "desk",
    "--owner",
    "harbour/B",
];

/// A gate whose process runs, on loopback.
pub(crate) struct Gate {
    _process: Process,
    events: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Gate {
    pub(crate) fn open(folder: &Folder, more: &[&str]) -> Self {
        let run = ["reader", "run", "--folder", "gate-1", "--door", "quay/gate-1", "--json"];
        let mut gate = Self::start(folder, &[&run[..], more].concat());
        gate.address = gate.event("listening")["reader"].as_str().unwrap().to_owned();
        gate
    }

    pub(crate) fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let mut child = folder.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { _process: Process(child), events, address: String::new() }
    }

    /// The next event of this name.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        loop {
            let line = self.events.next().expect("it ended").unwrap();
            let event: Value = line.parse().unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }

    /// What the gate says of the card that is held to it.
    pub(crate) fn tap(&mut self, folder: &Folder) -> Value {
        let simulate = ["card", "simulate", "rider.card", "--reader", &self.address];
        folder.limen(&simulate).expect(0, "");
        self.event("tap")
    }
}

/// A city with a gate, a desk, and a personalised card.
pub(crate) struct Town {
    pub(crate) city: City,
    pass: String,
}

impl Town {
    pub(crate) fn new(product: &[&str]) -> Self {
        let city = City::new();
        personaliser(&city);
        city.draw_none();
        city.door("quay/gate-1", "B");
        city.reader("gate-1", "quay/gate-1", &[]);
        let pass = city.day_ticket(product);
        let url = city.url.clone();
        let folder = &city.folder;
        folder.limen(&["wallet", "init", "--folder", "desk", "--server", &url]).expect(0, "");
        folder.limen(&["card", "make", "rider.card"]).expect(0, "blank");
        let personalise =
            ["card", "personalise", "rider.card", "--ledger", "desk.jsonl", "--issuer", "harbour"];
        let more = ["--application", "ticket=harbour/B"];
        folder.limen(&[&personalise[..], &DESK[..4], &more].concat()).expect(0, "new");
        Self { city, pass }
    }

    pub(crate) fn accept(&self, more: &[&str]) -> Done {
        let offer = self.city.ask(&["pass", "offer", &self.pass]);
        let accept = ["card", "accept", offer["uri"].as_str().unwrap(), "--json"];
        let done = self.city.folder.limen(&[&accept[..], &DESK, more].concat());
        // The list in which the pass and its handles stand may be a new one.
        self.city.sync("gate-1");
        done
    }

    fn refresh(&self) -> u64 {
        let refresh = ["card", "refresh", "rider.card", "--json"];
        let done = self.city.folder.limen(&[&refresh[..], &DESK].concat()).expect(0, "handles");
        done.json()["handles"].as_u64().unwrap()
    }
}

/// Gives the key service a client that writes card keys, and makes the masters.
fn personaliser(city: &City) {
    let folder = &city.folder;
    let pair = ["key", "pair", "personaliser", "--config", "city/keys.toml", "--out"];
    folder.limen(&[&pair[..], &["personaliser.pairing"]].concat()).expect(0, "[[client]]");
    let path = folder.path("city/keys.toml");
    let text = "\n[[client]]\nname = \"personaliser\"\npairing = \"pairings/personaliser.pairing\"\n\
                vault = [\"cards\", \"personalise\"]\n";
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    let hang_up = Command::new("kill").args(["-HUP", &city.keys.0.id().to_string()]).status();
    assert!(hang_up.unwrap().success());
    let make = ["card", "make-master", "--kdf", "an10922-cbc-fallback", "--operator", "harbour"];
    let until = Instant::now() + Duration::from_secs(20);
    while folder.limen(&[&make[..], &DESK[..4]].concat()).code != 0 {
        assert!(Instant::now() < until, "the key service does not read its configuration");
        std::thread::sleep(Duration::from_millis(100));
    }
    folder.limen(&[&make[..], &["--zone", "B"], &DESK[..4]].concat()).expect(0, "version 1");
}

pub(crate) fn is(event: &Value, outcome: &str, profile: &str) -> bool {
    (&event["outcome"], &event["profile"]) == (&outcome.into(), &profile.into())
}

/// Shows handles to a rogue reader until the card has enough of it.
pub(crate) fn drain(folder: &Folder) {
    let scope = ScopeId::new(
        &credential::aws_lc::AwsLc,
        &"harbour".parse().unwrap(),
        Some(&"B".parse().unwrap()),
    );
    let epoch = wallet::express::epoch_at(crate::deliveries::now());
    let context = presentation::express::Context { scope, epoch };
    let hex = |bytes: &[u8]| bytes.iter().map(|it| format!("{it:02x}")).collect::<String>();
    let open = [&[0x80, 0x50, 0, 0, 30, 1, 0][..], &context.to_bytes(), &[7; 16], &[0]].concat();
    let mut lines = format!("{}\n", hex(Apdu::select().as_bytes()));
    for _ in 0..10 {
        lines.push_str(&format!("{}\n", hex(&open)));
    }
    folder.limen_with(&lines, &["card", "simulate", "rider.card"]).expect(0, "9000");
}

#[test]
fn a_card_gets_its_pass_and_its_handles_and_opens_a_gate_by_either_tap() {
    let town = Town::new(&[]);
    let folder = &town.city.folder;
    let refused = folder.limen(&[&["card", "refresh", "rider.card"], &DESK[..]].concat());
    refused.expect(1, "limen card accept");
    let told = town.accept(&["--card", "rider.card"]).expect(0, "accepted").json();
    assert_eq!(told["handles"], 32, "sixteen for today and for tomorrow");
    assert_eq!(told["accepted"], serde_json::json!(["Day ticket"]));
    assert_eq!(town.refresh(), 32, "nothing is missing");

    let mut gate = Gate::open(folder, &[]);
    for _ in 0..2 {
        let event = gate.tap(folder);
        assert!(is(&event, "granted", "express"), "{event}");
    }
    drain(folder);
    let event = gate.tap(folder);
    assert!(is(&event, "granted", "standard"), "{event}");
    // The gate proved itself: handles are shown again.
    let event = gate.tap(folder);
    assert!(is(&event, "granted", "express"), "{event}");
    drop(gate);
    let mut strict = Gate::open(folder, &["--profile", "standard"]);
    let event = strict.tap(folder);
    assert!(is(&event, "granted", "standard"), "{event}");
    drop(strict);
    assert!(town.refresh() >= 31, "few were left, and there are more");

    let inspect = ["card", "inspect", "rider.card", "--json", "--owner", "harbour/B"];
    let told = folder.limen(&[&inspect[..], &DESK[..4]].concat()).expect(0, "has_pass").json();
    assert_eq!(told["applications"][0]["has_pass"], true);

    // A new pass comes with handles of its own, and those of the old one are gone.
    let told = town.accept(&["--card", "rider.card"]).expect(0, "accepted").json();
    assert_eq!(told["handles"], 32);

    town.city.ask(&["pass", "revoke", &town.pass]);
    town.city.sync("gate-1");
    for profile in ["express", "standard"] {
        let mut gate = Gate::open(folder, &["--profile", profile]);
        let event = gate.tap(folder);
        assert_eq!((&event["outcome"], &event["code"]), (&"refused".into(), &"revoked".into()));
        assert_eq!(event["profile"], profile, "{event}");
    }
}

#[test]
fn a_gate_of_another_city_gets_nothing_and_a_pass_for_its_holder_alone_needs_a_phone() {
    let town = Town::new(&[]);
    town.accept(&["--card", "rider.card"]).expect(0, "accepted");
    let other = City::new();
    other.door("quay/gate-1", "B");
    other.reader("gate-1", "quay/gate-1", &[]);
    fs::copy(town.city.folder.path("rider.card"), other.folder.path("rider.card")).unwrap();
    let event = Gate::open(&other.folder, &[]).tap(&other.folder);
    assert_ne!(event["outcome"], "granted", "{event}");
    // The control: its own city lets it in.
    let event = Gate::open(&town.city.folder, &[]).tap(&town.city.folder);
    assert!(is(&event, "granted", "express"), "{event}");

    let town = Town::new(&["--holder-only"]);
    town.accept(&["--card", "rider.card"]).expect(1, "for its holder alone");
}

#[test]
fn a_pass_of_two_uses_opens_twice() {
    let town = Town::new(&["--uses-max", "2"]);
    town.accept(&["--card", "rider.card"]).expect(0, "accepted");
    let folder = &town.city.folder;
    let mut gate = Gate::open(folder, &[]);
    for _ in 0..2 {
        let event = gate.tap(folder);
        assert!(is(&event, "granted", "express"), "{event}");
    }
    let event = gate.tap(folder);
    assert_eq!(event["outcome"], "refused", "{event}");
    drop(gate);
    // The pass once more does not fill it up.
    town.accept(&["--card", "rider.card"]).expect(0, "accepted");
    assert_eq!(Gate::open(folder, &[]).tap(folder)["outcome"], "refused");
}

/// The tap keys of a card file: a handle and its key lie in three pages each, behind the records.
fn tap_keys(folder: &Folder) -> Vec<Vec<u8>> {
    let card = fs::read(folder.path("rider.card")).unwrap();
    let entries = card[96 + 93 * 32..].chunks(96).take(64);
    let keys = entries.map(|entry| entry[60..92].to_vec());
    keys.filter(|key| key.iter().any(|byte| *byte != 0)).collect()
}

#[test]
fn the_tap_keys_of_a_card_are_in_the_card_and_nowhere_between() {
    let town = Town::new(&[]);
    town.accept(&["--card", "rider.card"]).expect(0, "accepted");
    let City { folder, server, .. } = &town.city;
    let keys = tap_keys(folder);
    assert_eq!(keys.len(), 16, "control: they are found in the card");
    for key in [&keys[0], &keys[15]] {
        let forms = forms(key);
        let (found, looked) = in_memory(server, &forms);
        assert!(!found && looked > SEARCHED_BYTES_MIN, "the server has a tap key");
        for place in ["city", "desk", "gate-1"] {
            assert!(in_files(&folder.path(place), &forms).0.is_empty(), "{place}");
        }
        for file in ["server.log", "keys.log", "desk.jsonl"] {
            assert!(!holds(&fs::read(folder.path(file)).unwrap(), &forms), "{file}");
        }
        assert!(holds(&fs::read(folder.path("rider.card")).unwrap(), &forms));
    }
}
