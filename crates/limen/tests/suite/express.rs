//! The express tap by real processes: handles from the key service to a phone, shown to a gate whose
//! element got its key from the same service; where the keys are not; and what moves with a pass.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use credential::aws_lc::AwsLc;
use credential::delivery::epoch_at;
use credential::status::{Status, VerifiedStatusList};
use credential::x509::TrustAnchors;
use edge::element::SoftwareElement;
use edge::link::{Field, Link};
use edge::wallet_host::WalletHost;
use presentation::express::handle::{Content, HandleError, Index};
use presentation::express::reader::{
    HandleOpener, OpenError, Proven, ReaderEnd, ReaderError, Step, Terms,
};
use presentation::express::wire::Apdu;
use presentation::express::{Context, ScopeId, Transport, list_tag, product_tag};
use serde_json::{Value, json};
use vocabulary::id::ReaderId;

use crate::deliveries::{
    City, SEARCHED_BYTES_MIN, copy, forms, in_files, in_memory, key_in, now, public_marker,
};

/// A city with a gate, and a phone with a ticket for its zone.
pub(crate) struct Town {
    pub(crate) city: City,
    pub(crate) pass: String,
    handles: u64,
}

impl Town {
    pub(crate) fn new(city: City, product: &[&str]) -> Self {
        city.door("quay/gate-1", "B");
        city.reader("gate-1", "quay/gate-1", &[]);
        let pass = city.day_ticket(product);
        let url = city.url.clone();
        city.folder.limen(&["wallet", "init", "--folder", "phone", "--server", &url]).expect(0, "");
        let handles = accept(&city, &pass);
        Self { city, pass, handles }
    }

    fn refresh(&self) -> u64 {
        let refresh = ["wallet", "refresh", "--folder", "phone", "--json"];
        let told = self.city.folder.limen(&refresh).expect(0, "express_handles").json();
        told["express_handles"].as_u64().unwrap()
    }

    fn element(&self) -> SoftwareElement {
        SoftwareElement::open(&self.city.folder.path("gate-1")).unwrap().unwrap()
    }

    /// One tap: the phone as a process of its own, the gate with the element of the enrolled reader.
    pub(crate) fn tap(&self, number: u8) -> Result<Proven, ReaderError> {
        let field = Field::open(0).unwrap();
        let address = field.address().unwrap().to_string();
        let present = ["wallet", "present", "--folder", "phone", "--reader", &address, "--json"];
        let mut command = self.city.folder.command(&present);
        let phone = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut link = field.accept().unwrap();
        let tapped = gate(&self.element(), &mut link, number);
        drop(link);
        let phone = phone.wait_with_output().unwrap();
        let told: Value = serde_json::from_slice(&phone.stdout).unwrap();
        assert_eq!(told["outcome"] == "shown", tapped.is_ok(), "{told}");
        tapped
    }

    /// What the lists of the city say of the index of a handle.
    fn status(&self, index: Index) -> Status {
        let get = |url: &str| {
            let mut answer = ureq::get(url).call().unwrap();
            answer.body_mut().read_to_vec().unwrap()
        };
        let json = |path: &str| -> Value {
            serde_json::from_slice(&get(&format!("{}{path}", self.city.url))).unwrap()
        };
        let lists = json("/v1/status-lists");
        let lists = lists["status_lists"].as_array().unwrap();
        let mut uris = lists.iter().map(|uri| uri.as_str().unwrap());
        let uri = uris.find(|uri| list_tag(&AwsLc, uri) == index.list).unwrap();
        let trust = json("/v1/trust");
        let signer = trust["status_signers"][0].as_str().unwrap();
        let anchors = TrustAnchors::from_pem(signer).unwrap();
        let expectation =
            credential::status::Expectation { anchors: &anchors, at: now(), uri: Some(uri) };
        let list = VerifiedStatusList::verify_cwt(&AwsLc, &get(uri), &expectation).unwrap();
        list.list().status(index.index.into()).unwrap()
    }
}

/// Offers a pass and has the phone accept it; gives how many handles came with it.
fn accept(city: &City, pass: &str) -> u64 {
    let offer = city.ask(&["pass", "offer", pass]);
    let uri = offer["uri"].as_str().unwrap();
    let accept = ["wallet", "accept", "--folder", "phone", uri, "--json"];
    let told = city.folder.limen(&accept).expect(0, "accepted").json();
    assert_eq!(told["accepted"], json!(["Day ticket"]), "once, though it came in three formats");
    told["express_handles"].as_u64().unwrap()
}

pub(crate) fn today() -> u32 {
    epoch_at(now()).try_into().unwrap()
}

/// A gate of zone B. Midnight may lie between the delivery of its keys and the tap: it has both.
fn gate(element: &SoftwareElement, link: &mut Link, number: u8) -> Result<Proven, ReaderError> {
    let zone = "B".parse().unwrap();
    let scope = ScopeId::new(&AwsLc, &"harbour".parse().unwrap(), Some(&zone));
    let terms = Terms {
        transport: Transport::Nfc,
        context: Context { scope, epoch: today() },
        fresh: [number; 16],
        reader: ReaderId::from_bytes([5; 16]),
        at: now().unix_seconds().try_into().unwrap(),
    };
    let mut end = ReaderEnd::new(terms);
    let mut command = Apdu::select();
    loop {
        link.send(command.as_bytes()).unwrap();
        let answer = link.receive().unwrap();
        command = match end.handle(&AwsLc, element, &answer)? {
            Step::Command(command) => command,
            Step::Opened(_) => end.prove(&AwsLc)?,
            Step::Proven(proven) => return Ok(proven),
            Step::Committed => panic!("nothing was written"),
        };
    }
}

fn check_taps(town: &Town) -> Content {
    let mut numbers = BTreeSet::new();
    let mut content = None;
    for tap in 1..=3 {
        let proven = town.tap(tap).unwrap();
        assert_eq!(proven.taps, u32::from(tap));
        assert!(numbers.insert(proven.content.number));
        assert_eq!(proven.content.product, product_tag(&AwsLc, "day"));
        assert!(proven.content.holds_at(now().unix_seconds()));
        content = Some(proven.content);
    }
    let log = town.city.folder.limen(&["wallet", "log", "--folder", "phone"]);
    assert_eq!(log.out.matches("express tap").count(), 3, "{}", log.out);
    assert!(log.out.contains("harbour, zone B") && log.out.contains("reader_"), "{}", log.out);
    let collected = log.out.lines().find(|line| line.contains("collected")).unwrap();
    assert_eq!(collected.matches("Day ticket").count(), 1, "{collected}");
    content.unwrap()
}

#[test]
fn a_phone_fetches_handles_and_a_gate_takes_them_and_they_move_with_the_pass() {
    let town = Town::new(City::new(), &["--handles", "20"]);
    assert_eq!(town.handles, 32, "sixteen for today and for tomorrow");
    assert_eq!(town.refresh(), 0, "nothing is missing");
    let content = check_taps(&town);
    assert_eq!(town.status(content.status), Status::Valid);
    for (deed, expected) in
        [("suspend", Status::Suspended), ("resume", Status::Valid), ("revoke", Status::Invalid)]
    {
        town.city.ask(&["pass", deed, &town.pass]);
        assert_eq!(town.status(content.status), expected, "{deed}");
    }
    // A pass that is not in force gets no more, though its document holds.
    for tap in 4..=9 {
        town.tap(tap).unwrap();
    }
    assert_eq!(town.refresh(), 0);
}

#[test]
fn no_more_handles_than_the_product_allows_and_none_when_its_owner_wants_none() {
    let town = Town::new(City::new(), &["--handles", "20"]);
    for tap in 1..=10 {
        town.tap(tap).unwrap();
    }
    // Ten would fill the pocket; four are left of twenty. Then there are none for today.
    let got = town.refresh();
    assert!(got == 4 || got == 16, "{got}: midnight lies between, or does not");
    if got == 4 {
        assert_eq!(town.tap(11).unwrap().taps, 11, "the index is the same");
        assert_eq!(town.tap(12).unwrap().taps, 12);
        assert_eq!(town.refresh(), 0);
    }
    let express = |more: &[&str]| {
        let call = [&["wallet", "express"][..], more, &["--folder", "phone"]].concat();
        town.city.folder.limen(&call)
    };
    let told = express(&[]).expect(0, "express on").expect(0, "handles left");
    assert_eq!(told.out.matches("Day ticket").count(), 1, "{}", told.out);
    let told = express(&["--json"]).expect(0, "Day ticket").json();
    assert_eq!(told["passes"].as_array().unwrap().len(), 1, "{told}");
    express(&["off", "--pass", "Nobody's"]).expect(2, "no pass is named");
    express(&["off", "--pass", "Day ticket"]).expect(0, "express off");
    assert_eq!(
        town.tap(13).unwrap_err(),
        ReaderError::Open(OpenError::Handle(HandleError::Sealed)),
        "a device without handles answers like any other, and nothing opens"
    );
    assert_eq!(town.refresh(), 0);
    express(&["on"]).expect(0, "express on");
}

#[test]
fn a_product_for_its_holder_alone_or_without_handles_has_no_express_tap() {
    for terms in [&["--holder-only"][..], &["--handles", "0"]] {
        let town = Town::new(City::new(), terms);
        assert_eq!(town.handles, 0, "{terms:?}");
    }
}

/// The tap keys of the phone, as they are in its memory when it is open.
fn tap_keys(town: &Town) -> Vec<Vec<u8>> {
    let key = fs::read(town.city.folder.path("phone.key")).unwrap();
    let folder = town.city.folder.path("phone");
    let host = WalletHost::open(&folder, &AwsLc, key.try_into().unwrap()).unwrap();
    host.state.express.danger_tap_keys().map(|key| key.danger_bytes().to_vec()).collect()
}

/// Looks for `secret` everywhere but where it belongs.
fn check_absent(town: &Town, secret: &[u8], what: &str) {
    let City { folder, server, .. } = &town.city;
    let forms = forms(secret);
    let (found, looked) = in_memory(server, &forms);
    assert!(!found && looked > SEARCHED_BYTES_MIN, "the server has a {what}: {looked} bytes");
    for place in ["city", "backup"] {
        let (found, looked) = in_files(&folder.path(place), &forms);
        assert!(found.is_empty() && looked > 3, "{what}: {found:?}");
    }
    for log in ["server.log", "keys.log"] {
        let log = fs::read(folder.path(log)).unwrap();
        assert!(!log.is_empty() && !crate::deliveries::holds(&log, &forms), "{what}");
    }
}

pub(crate) fn check_secrecy(city: City) {
    let town = Town::new(city, &[]);
    assert_eq!(town.handles, 32);
    check_taps(&town);
    let folder = &town.city.folder;
    copy(&folder.path("city/data"), &folder.path("backup"));
    let (found, _) = in_memory(&town.city.server, &forms(&public_marker(&town.city)));
    assert!(found, "control: the memory of the server holds the key of the root");
    let keys = tap_keys(&town);
    assert_eq!(keys.len(), 29, "three of thirty-two were shown");
    for key in keys.iter().take(3).chain(keys.last()) {
        check_absent(&town, key, "tap key");
        let (found, _) = in_files(&folder.path("phone"), &forms(key));
        assert!(found.is_empty(), "the wallet is sealed: {found:?}");
    }
    let element = fs::read(folder.path("gate-1/element")).unwrap();
    let listed = town.city.keys_of("gate-1");
    for listed in listed.iter().filter(|listed| listed["purpose"] == "epoch") {
        let key = key_in(&element, listed["check_value"].as_str().unwrap());
        check_absent(&town, &key.expect("control: the element holds the key"), "epoch key");
    }
    // The gate opens handles by a key that is nowhere on the way from there to the phone.
    let unknown = Context { scope: ScopeId([0; 8]), epoch: today() };
    let handle = presentation::express::handle::Handle([0; 60]);
    assert_eq!(town.element().open(unknown, &handle).err(), Some(OpenError::NoKey));
}

#[test]
fn handles_and_their_keys_are_in_the_phone_and_nowhere_between() {
    check_secrecy(City::new());
}
