//! Reconciliation by real processes: gates open offline, their journals come in later, and the city finds
//! what was copied and what was forged.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use credential::aws_lc::AwsLc;
use edge::link::Link;
use presentation::express::handle::{Content, HANDLE_BYTES, Handle, Index, TapKey};
use presentation::express::holder::{Gate, Hands, HolderEnd, Pocket, PocketError, Shown, Standing};
use presentation::express::reader::{Counted, Presence};
use presentation::express::schedule::ScopeKeys;
use presentation::express::{Context, FRESH_BYTES, ScopeId, Transport, product_tag};
use reader::decision::Reason;
use serde_json::Value;

use crate::deliveries::{City, Process, copy, key_in};
use crate::express::{Town, today};

/// A gate that waits for one tap, and what it said of it.
fn at_gate(city: &City, name: &str, holder: impl FnOnce(&str)) -> Value {
    let run = ["reader", "run", "--folder", name, "--taps", "1", "--json"];
    let mut child = city.folder.command(&run).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let _gate = Process(child);
    let mut next = || -> Value { lines.next().unwrap().unwrap().parse().unwrap() };
    holder(next()["reader"].as_str().unwrap());
    next()
}

/// Holds the wallet in `folder` to the gate; it has handles.
fn express(city: &City, gate: &str, folder: &str) -> Value {
    let tap = at_gate(city, gate, |address| {
        let present = ["wallet", "present", "--folder", folder, "--reader", address, "--confirm"];
        city.folder.limen(&present);
    });
    assert_eq!(tap["profile"], "express", "{tap}");
    tap
}

fn findings(city: &City) -> Vec<Value> {
    city.ask(&["pass", "findings"])["items"].as_array().unwrap().clone()
}

fn reader_id(city: &City, name: &str) -> String {
    let readers = city.ask(&["reader", "list"]);
    let readers = readers["items"].as_array().unwrap();
    let found = readers.iter().find(|reader| reader["label"] == name).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_copied_wallet_opens_two_gates_and_the_city_names_both_taps() {
    let town = Town::new(City::new(), &[]);
    let city = &town.city;
    city.door("quay/gate-2", "B");
    city.reader("gate-2", "quay/gate-2", &[]);
    city.draw_none();
    city.sync("gate-2");
    city.sync("gate-1");
    // An honest day: two gates, whose journals come in the wrong order.
    express(city, "gate-1", "phone");
    express(city, "gate-2", "phone");
    city.sync("gate-2");
    city.sync("gate-1");
    assert_eq!(findings(city), [Value::Null; 0], "control");
    copy(&city.folder.path("phone"), &city.folder.path("copy"));
    std::fs::copy(city.folder.path("phone.key"), city.folder.path("copy.key")).unwrap();
    let own = express(city, "gate-1", "phone");
    let copied = express(city, "gate-2", "copy");
    // No gate can know of the other.
    assert_eq!([&own["outcome"], &copied["outcome"]], ["granted", "granted"]);
    city.sync("gate-2");
    assert_eq!(findings(city), [Value::Null; 0], "half of it says nothing");
    city.sync("gate-1");
    let found = findings(city);
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        (&finding["kind"], &finding["found"]["evidence"]),
        (&"copied".into(), &"same-number".into())
    );
    let gates = ["tap", "other"].map(|tap| finding["found"][tap]["reader"].as_str().unwrap());
    assert_eq!(gates, ["gate-1", "gate-2"].map(|name| reader_id(city, name)), "both are named");
    assert_eq!(finding["found"]["pass"], town.pass.as_str());
    assert_eq!(city.ask(&["pass", "show", &town.pass])["findings"], 1);
    // Taken in once, it is found once.
    city.sync("gate-1");
    assert_eq!(findings(city).len(), 1);
    let call = ["pass", "findings", "--server", &city.url, "--token", &city.token];
    city.folder.limen(&call).expect(0, "OTHER GATE").expect(0, gates[1]);
}

/// Each tap is at a gate that has just woken up.
#[test]
fn a_gate_knows_a_copied_handle_though_it_woke_up_and_the_city_took_its_journal() {
    let town = Town::new(City::new(), &[]);
    let city = &town.city;
    city.sync("gate-1");
    for name in ["copy", "control"] {
        copy(&city.folder.path("phone"), &city.folder.path(name));
        std::fs::copy(city.folder.path("phone.key"), city.folder.path(name).with_extension("key"))
            .unwrap();
    }
    assert_eq!(express(city, "gate-1", "phone")["outcome"], "granted");
    city.sync("gate-1");
    let copied = express(city, "gate-1", "copy");
    let reason = Reason::HandleCopied.to_string();
    assert_eq!((&copied["outcome"], &copied["reason"]), (&"refused".into(), &reason.into()));
    city.sync("gate-1");
    // The control: without its memory the gate takes it.
    std::fs::remove_file(city.folder.path("gate-1/journal.handles")).unwrap();
    assert_eq!(express(city, "gate-1", "control")["outcome"], "granted");
}

/// One handle that was made with the key of a gate, in other hands.
struct Forged(Handle, TapKey);

impl Pocket for Forged {
    fn show(&mut self, _: Context) -> Result<Option<Shown>, PocketError> {
        Ok(Some(Shown { handle: self.0, tap_key: self.1.clone(), pass: 0 }))
    }

    fn used(&mut self, _: &Shown, _: Gate) -> Result<Standing, PocketError> {
        let counted = Counted::default();
        Ok(Standing { taps: 1, presence: Presence::None, has_mail: false, counted })
    }

    fn write(&mut self, _: &Shown, _: Counted) -> Result<(), PocketError> {
        Ok(())
    }
}

/// The key of the scope and day, out of the element of a stolen gate.
fn stolen(city: &City) -> ScopeKeys {
    let element = std::fs::read(city.folder.path("gate-1/element")).unwrap();
    let zone = "B".parse().unwrap();
    let scope = ScopeId::new(&AwsLc, &"harbour".parse().unwrap(), Some(&zone));
    let context = Context { scope, epoch: today() };
    let listed = city.keys_of("gate-1");
    let is_today = |key: &&Value| key["purpose"] == "epoch" && key["epoch"] == context.epoch;
    let check = listed.iter().find(is_today).unwrap()["check_value"].as_str().unwrap();
    let key = key_in(&element, check).unwrap();
    ScopeKeys::derive(&AwsLc, &key.try_into().unwrap(), context)
}

#[test]
fn a_handle_that_was_made_with_the_key_of_a_gate_is_found() {
    let town = Town::new(City::new(), &[]);
    let city = &town.city;
    city.draw_none();
    city.sync("gate-1");
    let keys = stolen(city);
    // What the forger saw of an honest handle, which he can open.
    let honest = town.tap(1).unwrap().content;
    let content = Content {
        product: product_tag(&AwsLc, "day"),
        status: Index { index: honest.status.index ^ 1, ..honest.status },
        ..honest
    };
    let (handle, tap_key) = keys.seal(&AwsLc, &content, [9; 12]);
    let forger = |address: &str| {
        let mut link = Link::connect(address.parse().unwrap()).unwrap();
        let mut end = HolderEnd::new(Transport::Nfc);
        while let Ok(command) = link.receive() {
            let mut pocket = Forged(handle, tap_key.clone());
            let entropy = [6; HANDLE_BYTES + FRESH_BYTES];
            let mut hands = Hands { crypto: &AwsLc, pocket: &mut pocket, entropy };
            let answer = end.handle(&mut hands, &command);
            if link.send(answer.as_bytes()).is_err() {
                break;
            }
        }
    };
    let tap = at_gate(city, "gate-1", forger);
    assert_eq!(tap["profile"], "express", "{tap}");
    assert_eq!(tap["outcome"], "granted", "who has the key of a gate forges for a day: {tap}");
    city.sync("gate-1");
    let found = findings(city);
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!(finding["kind"], "forged");
    assert_eq!(finding["found"]["evidence"], "never-drawn");
    assert_eq!(finding["found"]["tap"]["reader"], reader_id(city, "gate-1"));
    assert_eq!(finding["found"]["pass"], Value::Null);
    assert_eq!(city.ask(&["pass", "show", &town.pass]).get("findings"), Some(&0.into()));
}
