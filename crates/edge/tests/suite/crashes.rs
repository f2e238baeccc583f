//! A process killed at any moment loses no deed that it has done, and starts again.
//!
//! Half of the children are killed from outside at some moment, half end themselves the moment a
//! deed is reported, which is when a record that came too late would be missing.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::city::{City, noon};
use crate::place::{Place, chain, deed, save, tap};

const CHILD: &str = "LIMEN_EDGE_CRASH_CHILD";
const KILLS: u64 = 30;

/// Does nothing by itself: the child of the next test, which runs it with the number of reports
/// after which it ends itself, and a folder. It is a reader and a wallet that meet for ever; what is
/// told here has happened.
#[test]
fn child_taps_until_it_is_killed() {
    let Ok(orders) = std::env::var(CHILD) else { return };
    let (lives, path) = orders.split_once(':').unwrap();
    let mut lives: u64 = lives.parse().unwrap();
    let mut report = |what: &str, number: u64| {
        // One write, so that the line is whole in the pipe or not there.
        std::io::stderr().write_all(format!("told {what} {number}\n").as_bytes()).unwrap();
        lives -= 1;
        if lives == 0 {
            std::process::abort();
        }
    };
    let city = City::new();
    let place = Place::at(path.as_ref());
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    for round in 1_u64.. {
        let (done, _) = tap(&mut reader, &mut wallet);
        assert_eq!(deed(&done), Ok(()));
        let entries = reader.engine().journal_head().entries();
        report("granted", entries);
        save(&wallet);
        report("saved", wallet.state.log.len() as u64);
        if round % 3 == 0 {
            let epoch = reader.engine().watermark().bundle_epoch + 1;
            reader.install_bundle(noon(), &city.bundle(epoch)).unwrap();
            report("epoch", epoch);
        }
        if round % 2 == 0 {
            reader.acknowledged(noon(), entries - 1).unwrap();
            report("taken", entries - 1);
        }
    }
}

/// The greatest number that was told of each thing.
#[derive(Debug, Default)]
struct Told {
    granted: u64,
    saved: u64,
    epoch: u64,
    taken: u64,
}

impl Told {
    /// Whether the line is a report; the last one may be cut off where the kill hit.
    fn hear(&mut self, line: &str) -> bool {
        let report = line.strip_prefix("told ").and_then(|report| report.split_once(' '));
        let Some((what, number)) = report else { return false };
        let Ok(number) = number.parse::<u64>() else { return false };
        let slot = match what {
            "granted" => &mut self.granted,
            "saved" => &mut self.saved,
            "epoch" => &mut self.epoch,
            "taken" => &mut self.taken,
            _ => return false,
        };
        *slot = number.max(*slot);
        true
    }
}

#[test]
fn killed_reader_and_wallet_lose_nothing_that_they_told() {
    let city = City::new();
    let place = Place::ready(&city);
    let mut told = Told::default();
    for round in 0..KILLS {
        let before = told.granted;
        let lives = if round % 2 == 0 { u64::MAX } else { round % 11 + 1 };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crashes::child_taps_until_it_is_killed", "--nocapture"])
            .env(CHILD, format!("{lives}:{}", place.path.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let first = lines.by_ref().find(|line| told.hear(line));
        assert!(first.is_some(), "the child does a deed");
        if lives == u64::MAX {
            std::thread::sleep(Duration::from_micros(round * 2_311));
            child.kill().unwrap();
        }
        child.wait().unwrap();
        lines.for_each(|line| {
            told.hear(&line);
        });
        assert!(told.granted > before, "round {round}");
        check(&place, &told);
    }
    assert!(told.saved > 0 && told.epoch > 1 && told.taken > 0, "{told:?}");
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    crate::place::granted(&mut reader, &mut wallet);
}

/// Opening verifies that the journal chains from its base on.
fn check(place: &Place, told: &Told) {
    let reader = place.try_reader().unwrap_or_else(|error| panic!("{}", chain(&error)));
    let entries = reader.engine().journal_head().entries();
    assert!(entries >= told.granted, "{entries} records, {told:?}");
    // At most the one deed more that nobody was told of.
    assert!(entries <= told.granted + 1, "{entries} records, {told:?}");
    assert!(reader.records_pending() as u64 <= entries - told.taken, "{told:?}");
    assert!(reader.engine().watermark().bundle_epoch >= told.epoch, "{told:?}");
    assert!(reader.disbelieved().is_empty());
    let saved = place.wallet().state.log.len() as u64;
    assert!(saved >= told.saved, "{saved} entries, {told:?}");
}
