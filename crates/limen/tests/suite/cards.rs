//! A software card from its making to its taps, by real processes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::Arc;

use credential::aws_lc::AwsLc;
use credential::crypto::P256Secret;
use credential::delivery::Scope;
use edge::card_host::SoftwareCard;
use edge::vpcd::CardApplication;
use keys::remote::{Remote, Settings};
use keys::vault::applications::{Desk, Place};
use keys::vault::exchange::Link;
use keys::vault::remote::RemoteVault;
use keys::wire::pairing::Pairing;
use presentation::express::handle::{Content, Index};
use presentation::express::issuing::Batch;
use presentation::express::reader::{Counted, KeysInMemory, Proven, ReaderEnd, Step, Terms};
use presentation::express::schedule::ScopeKeys;
use presentation::express::wire::Apdu;
use presentation::express::{Context, ScopeId, Transport, list_tag, product_tag};
use serde_json::{Value, json};
use vocabulary::id::ReaderId;

use crate::card::Works;
use crate::run::Done;

const EPOCH: u32 = 20_787;

fn context() -> Context {
    let (operator, zone) = ("harbour".parse().unwrap(), "pier".parse().unwrap());
    Context { scope: ScopeId::new(&AwsLc, &operator, Some(&zone)), epoch: EPOCH }
}

fn keys() -> ScopeKeys {
    ScopeKeys::derive(&AwsLc, &[7; 32], context())
}

/// A desk of the test's own loads a batch, as the key service seals one.
fn load(works: &Works, count: u16) {
    struct Held(SoftwareCard);
    impl Link for Held {
        fn exchange(&mut self, command: &[u8]) -> Option<Vec<u8>> {
            Some(self.0.command(command))
        }
    }
    let handles = (0..count).map(|number| {
        let content = Content {
            needs_presence: false,
            is_counted: true,
            product: product_tag(&AwsLc, "ten-rides"),
            class: None,
            status: Index { list: list_tag(&AwsLc, "https://city.example/status/1"), index: 11 },
            not_before: EPOCH * 86_400,
            not_after: EPOCH * 86_400 + 86_399,
            number,
        };
        keys().seal(&AwsLc, &content, [u8::try_from(number).unwrap(); 12])
    });
    let scope = Scope { operator: "harbour".parse().unwrap(), zone: Some("pier".parse().unwrap()) };
    let batch = Batch { scope: scope.clone(), epoch: EPOCH.into(), handles: handles.collect() };
    let place = Place { id: context().scope.0, scope };
    let pairing = Pairing::open("personaliser", &works.folder.path("personaliser.pairing"));
    let socket = works.folder.path("city/run/keys.sock");
    let settings = Settings { socket, uid: None, pairing: pairing.unwrap() };
    let mut held = Held(SoftwareCard::open(&works.folder.path("rider.card")).unwrap());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let remote = Arc::new(Remote::connect(settings).await.unwrap());
        let vault = RemoteVault::over(remote).await.unwrap();
        let mut desk = Desk { vault: &vault, link: &mut held };
        desk.select().unwrap();
        let identifier = desk.identifier(&place).await.unwrap();
        let mut session = desk.session(&place, &identifier).await.unwrap();
        let point = session.draw_agreement().unwrap();
        let sealed = batch.seal(&AwsLc, &P256Secret::from_bytes([9; 32]), &point).unwrap();
        session.load(&sealed.encode()).unwrap();
    });
}

/// A card whose process runs.
struct Field(Child, BufReader<std::process::ChildStdout>);

impl Field {
    fn enter(works: &Works) -> Self {
        let mut command = works.folder.command(&["card", "simulate", "rider.card"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut field = Self(child, out);
        // It has the card once it has answered.
        field.exchange(Apdu::select().as_bytes());
        field
    }

    fn exchange(&mut self, command: &[u8]) -> Vec<u8> {
        let line: String = command.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(self.0.stdin.as_ref().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.1.read_line(&mut answer).unwrap();
        let digits = answer.trim_end().as_bytes().chunks(2);
        digits
            .map(|it| u8::from_str_radix(core::str::from_utf8(it).unwrap(), 16).unwrap())
            .collect()
    }

    /// One counted ride at a gate.
    fn ride(&mut self) -> Proven {
        let terms = Terms {
            transport: Transport::Nfc,
            context: context(),
            fresh: [0x5F; 16],
            reader: ReaderId::from_bytes([9; 16]),
            at: EPOCH * 86_400 + 43_200,
        };
        let keys = [keys()];
        let opener = KeysInMemory { crypto: &AwsLc, keys: &keys };
        let mut gate = ReaderEnd::new(terms);
        let mut answer = self.exchange(Apdu::select().as_bytes());
        let mut found = None;
        loop {
            let command = match gate.handle(&AwsLc, &opener, &answer).unwrap() {
                Step::Command(command) => command,
                Step::Opened(_) => gate.prove(&AwsLc).unwrap(),
                Step::Proven(proven) => {
                    found = Some(proven);
                    let Counted { sequence, value, .. } = proven.counted;
                    let next =
                        Counted { sequence: sequence + 1, value: value - 1, mark: [0xAB; 4] };
                    gate.commit(&AwsLc, next).unwrap()
                }
                Step::Committed => return found.unwrap(),
            };
            answer = self.exchange(command.as_bytes());
        }
    }

    fn leave(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

const WHERE: [&str; 4] = ["--service", "city/run/keys.sock", "--pairing", "personaliser.pairing"];

fn personalise(works: &Works, more: &[&str]) -> Done {
    let base =
        ["card", "personalise", "rider.card", "--ledger", "desk.jsonl", "--issuer", "harbour"];
    let applications = ["--application", "ticket=harbour/pier", "--application", "library=museum"];
    works.folder.limen(&[&base[..], &WHERE, &applications, more].concat())
}

fn inspect(works: &Works, more: &[&str]) -> Value {
    let base = ["card", "inspect", "rider.card", "--json"];
    works.folder.limen(&[&base[..], more].concat()).expect(0, "is_software").json()
}

/// What people are shown is no JSON.
fn check_text(works: &Works, more: &[&str]) {
    let text = works.folder.limen(&[&["card", "inspect", "rider.card"], more].concat());
    let text = text.expect(0, "in software: its keys are not protected");
    let text = text.expect(0, "application harbour/pier").expect(0, "2 of 5 left, 3 taps");
    assert!(!text.out.contains('{'), "{}", text.out);
}

fn make_master(works: &Works, operator: &str, zone: Option<&str>) {
    let kdf = ["--kdf", "an10922-cbc-fallback", "--operator", operator];
    let zone = zone.map_or(vec![], |zone| vec!["--zone", zone]);
    works
        .folder
        .limen(&[&["card", "make-master"], &WHERE[..], &kdf, &zone].concat())
        .expect(0, "version");
}

#[test]
fn a_card_is_made_personalised_inspected_and_rides() {
    let works = Works::new();
    works.folder.limen(&["card", "make", "rider.card"]).expect(0, "a blank card, in software");
    works.folder.limen(&["card", "make", "rider.card"]).expect(1, "cannot make card");
    let blank = inspect(&works, &[]);
    assert_eq!(blank["public"]["historical_bytes"], "4c696d656e");
    personalise(&works, &[]).expect(1, "`limen card make-master`");
    let masters = [("harbour", None), ("harbour", Some("pier")), ("museum", None)];
    masters.into_iter().for_each(|(operator, zone)| make_master(&works, operator, zone));

    let value = ["--value", "harbour/pier=20", "--json"];
    let done = personalise(&works, &value).expect(0, "is_new").json();
    assert_eq!(done["is_new"], true);
    let first = json!({
        "application": "harbour/pier", "kind": "ticket", "is_new": true, "keys_moved": 0,
    });
    assert_eq!(done["applications"][0], first);
    let again = personalise(&works, &value).expect(0, "is_new").json();
    assert_eq!((&again["is_new"], &again["card"]), (&false.into(), &done["card"]));
    load(&works, 5);

    let mut field = Field::enter(&works);
    works.folder.limen(&["card", "inspect", "rider.card"]).expect(1, "another process has it");
    assert_eq!((0..3).map(|_| field.ride().taps).collect::<Vec<_>>(), [1, 2, 3]);
    field.leave();

    // In public it is the card that it was; with keys it tells.
    assert_eq!(inspect(&works, &[]), blank);
    let asked =
        [&WHERE[..], &["--issuer", "harbour", "--owner", "harbour/pier", "--owner", "museum"]];
    let told = inspect(&works, &asked.concat());
    assert_eq!(told["card"], done["card"]);
    assert_eq!(told["scopes"].as_array().unwrap().len(), 2);
    let ticket = &told["applications"][0];
    assert_eq!(ticket["counted"], json!({ "sequence": 4, "value": 17, "mark": "abababab" }));
    assert_eq!(ticket["batches"], json!([{ "epoch": EPOCH, "handles": 5, "shown": 3, "taps": 3 }]));
    assert_eq!(told["applications"][1]["kind"], "library");
    assert_eq!(told["applications"][1]["counted"], Value::Null);
    check_text(&works, &asked.concat());

    // The masters of one operator move on, and its keys on the card with them.
    make_master(&works, "harbour", Some("pier"));
    let moved = personalise(&works, &["--json"]).expect(0, "is_new").json();
    assert_eq!(moved["applications"][0]["keys_moved"], 3);
    assert_eq!(
        (&moved["keys_moved"], &moved["applications"][1]["keys_moved"]),
        (&0.into(), &0.into())
    );
    let mut field = Field::enter(&works);
    assert_eq!(field.ride().counted.value, 17);
    field.leave();

    // Who has no right to card keys gets none, and no card is read without keys.
    works.folder.limen(&["card", "make", "other.card"]).expect(0, "blank");
    let clerk =
        ["--service", "city/run/keys.sock", "--pairing", "clerk.pairing", "--client", "clerk"];
    let base =
        ["card", "personalise", "other.card", "--ledger", "desk.jsonl", "--issuer", "harbour"];
    works.folder.limen(&[&base[..], &clerk].concat()).expect(1, "no new key came out");
    let usage = [&base[..], &WHERE, &["--value", "museum=3"]].concat();
    works.folder.limen(&usage).expect(2, "no application of `museum` is named");
    let counts = [&usage[..], &["--application", "library=museum"]].concat();
    works.folder.limen(&counts).expect(2, "counts nothing");
    let ledger = std::fs::read_to_string(works.folder.path("desk.jsonl")).unwrap();
    assert_eq!(ledger.matches("card.create-application").count(), 4);
    assert_eq!(ledger.matches("card.change-key").count(), 3);
}

/// A process that is killed is a card that is pulled away.
#[test]
fn a_card_whose_process_is_killed_shows_no_handle_twice_and_pays_no_ride_twice() {
    let works = Works::new();
    works.folder.limen(&["card", "make", "rider.card"]).expect(0, "blank");
    let masters = [("harbour", None), ("harbour", Some("pier")), ("museum", None)];
    masters.into_iter().for_each(|(operator, zone)| make_master(&works, operator, zone));
    personalise(&works, &["--value", "harbour/pier=100"]).expect(0, "new");
    load(&works, 60);
    let (mut numbers, mut sequences, mut taps) = (Vec::new(), Vec::new(), 0);
    for round in 0..8 {
        let mut field = Field::enter(&works);
        let proven = field.ride();
        numbers.push(proven.content.number);
        sequences.push(proven.counted.sequence);
        assert!(proven.taps > taps);
        taps = proven.taps;
        // It dies somewhere in the middle of a tap whose answers nobody hears.
        let scope = context().to_bytes();
        let data = [&[1, 0][..], &scope, &[round; 16]].concat();
        let open = [&[0x80, 0x50, 0, 0, 30][..], &data, &[0]].concat();
        let line: String = open.iter().map(|byte| format!("{byte:02x}")).collect();
        for _ in 0..3 {
            writeln!(field.0.stdin.as_ref().unwrap(), "{line}").unwrap();
        }
        field.0.kill().unwrap();
        field.0.wait().unwrap();
    }
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    assert_eq!(sequences, [1, 2, 3, 4, 5, 6, 7, 8]);
    let told = inspect(&works, &[&WHERE[..], &["--owner", "harbour/pier"]].concat());
    assert_eq!(told["applications"][0]["counted"]["value"], 92);
}

/// `limen card change-key` and `limen card simulate`, line for line.
#[test]
fn the_two_ends_of_the_lines_change_a_key() {
    let works = Works::new();
    works.folder.limen(&["card", "make", "rider.card"]).expect(0, "blank");
    let masters = [("harbour", None), ("harbour", Some("pier")), ("museum", None)];
    masters.into_iter().for_each(|(operator, zone)| make_master(&works, operator, zone));
    let done = personalise(&works, &["--json"]).expect(0, "is_new").json();
    make_master(&works, "harbour", Some("pier"));
    let mut field = Field::enter(&works);
    assert!(
        field.exchange(&[0, 0xA4, 4, 0, 7, 0xF0, 0x4C, 0x49, 0x4D, 0x45, 0x4E, 2, 0]).len() > 2
    );
    let scope = context().scope.0;
    let select = [&[0x90, 0x5A, 0, 0, 8][..], &scope, &[0]].concat();
    assert_eq!(field.exchange(&select), [0x91, 0]);
    let aid: String = scope.iter().map(|byte| format!("{byte:02x}")).collect();
    let change =
        ["card", "change-key", "--ledger", "desk.jsonl", "--operator", "harbour", "--zone", "pier"];
    let uid = done["card"].as_str().unwrap();
    let which = ["--uid", uid, "--aid", &aid, "--system", "limen", "--key-number", "0"];
    let mut command = works.folder.command(&[&change[..], &WHERE, &which].concat());
    let mut desk = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    for line in BufReader::new(desk.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with('{') {
            told = line;
            continue;
        }
        writeln!(field.0.stdin.as_ref().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        field.1.read_line(&mut answer).unwrap();
        desk.stdin.as_ref().unwrap().write_all(answer.as_bytes()).unwrap();
    }
    assert!(desk.wait().unwrap().success());
    assert_eq!(told, r#"{"from":1,"outcome":"changed","to":2}"#);
    field.leave();
    let wrong = works.folder.limen_with("xyz\n", &["card", "simulate", "rider.card"]);
    wrong.expect(2, "no command APDU");
}
