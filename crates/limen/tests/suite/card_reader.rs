//! A card in a real reader: collected, inspected and tapped through the PC/SC service.

use std::process::Stdio;

use super::service::{Service, alone, names, port_of, until_card};
use crate::card_pass::{DESK, Gate, Town, drain, is};
use crate::deliveries::Process;
use crate::run::Folder;

const READER: &str = "City Reader 0 00 00";

/// A card that lies in the first reader until this is dropped.
fn lay(folder: &Folder) -> Process {
    let vpcd = port_of(0).to_string();
    let simulate = ["card", "simulate", "rider.card", "--vpcd", &vpcd];
    let mut command = folder.command(&simulate);
    let process = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until_card(&names()[0]);
    process
}

/// The service looks for cards every 400 ms, and misses one that follows another faster.
fn take_away(card: Process) {
    drop(card);
    std::thread::sleep(std::time::Duration::from_secs(1));
}

#[test]
fn a_card_in_a_real_reader_collects_its_pass_and_taps_by_the_standard_tap_once_it_is_drained() {
    let name = "cards::\
                a_card_in_a_real_reader_collects_its_pass_and_taps_by_the_standard_tap_once_it_is_drained";
    alone(name, || {
        let town = Town::new(&[]);
        let folder = &town.city.folder;
        let inspect = ["card", "inspect", "--json", "--pcsc"];
        folder.limen(&inspect).expect(1, "limen reader doctor");
        let _service = Service::start(&folder.path("pcsc"), 2);
        folder.limen(&inspect).expect(1, "no reader has a card");
        let card = lay(folder);
        let told = folder.limen(&inspect).expect(0, "express").json();
        assert_eq!(told["is_software"], false, "nobody says so of a card in a reader");
        folder.limen(&[&inspect[..], &["Nowhere"]].concat()).expect(2, READER);
        let personalise = ["card", "personalise", "--pcsc", READER, "--ledger", "desk.jsonl"];
        let more = ["--issuer", "harbour", "--application", "ticket=harbour/B"];
        folder.limen(&[&personalise[..], &more, &DESK[..4]].concat()).expect(0, "kept");
        let told = town.accept(&["--pcsc"]).expect(0, "accepted").json();
        assert_eq!(told["handles"], 32);
        take_away(card);

        let slot = format!("[[slot]]\nreader = \"{READER}\"\ndoor = \"quay/gate-1\"\n");
        folder.file("reader.toml", format!("folder = \"gate-1\"\n{slot}"));
        let run = ["reader", "run", "--config", "reader.toml", "--json"];
        let mut gate = Gate::start(folder, &run);
        gate.event("ready");
        let card = lay(folder);
        let tap = gate.event("tap");
        assert!(is(&tap, "granted", "express"), "{tap}");
        take_away(card);
        drain(folder);
        let _card = lay(folder);
        let tap = gate.event("tap");
        assert!(is(&tap, "granted", "standard"), "{tap}");
    });
}
