//! Taps over the real link, and what is there after a restart.

use std::os::unix::fs::PermissionsExt;

use edge::reader_host::HostError;
use reader::decision::Reason;
use reader::journal::Outcome;

use crate::city::{City, days, noon};
use crate::place::{Place, deed, events, granted, grants, save, tap};

#[test]
fn ticket_opens_the_gate_and_both_sides_know_it() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    let (report, shown) = tap(&mut reader, &mut wallet);
    assert_eq!(deed(&report), Ok(()));
    assert_eq!(report.door, crate::city::door());
    assert!(
        report.apdus.iter().all(|(command, response)| !command.is_empty() && !response.is_empty())
    );
    assert!(shown.unwrap().reader.contains("Test 5"));
    assert_eq!(wallet.state.log.len(), 1);
    let events = events(&reader);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].outcome, Outcome::Granted { rule: 0 });
    assert_eq!(events[0].watermark.bundle_epoch, 1);
}

#[test]
fn reader_goes_on_after_a_restart_where_it_was() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    reader.install_bundle(noon(), &city.bundle(5)).unwrap();
    granted(&mut reader, &mut wallet);
    let (head, watermark) = (*reader.engine().journal_head(), reader.engine().watermark());
    drop(reader);
    let mut reader = place.reader();
    assert_eq!(*reader.engine().journal_head(), head);
    assert_eq!(reader.engine().watermark(), watermark);
    assert!(reader.disbelieved().is_empty());
    // The epoch holds: an older bundle is refused, a newer one taken.
    let HostError::Rejected(rejection) =
        reader.install_bundle(noon(), &city.bundle(4)).unwrap_err()
    else {
        panic!("an older bundle is taken");
    };
    assert_eq!(rejection.code, "bundle-epoch");
    assert_eq!(reader.install_bundle(noon(), &city.bundle(6)).unwrap().bundle_epoch, 6);
    granted(&mut reader, &mut wallet);
    assert_eq!(grants(&reader), 2);
    // So does the floor: no clock that lies before what the city has signed opens a door.
    drop(reader);
    let mut reader = place.reader();
    let long_ago = || noon().saturating_sub(days(2));
    let report = crate::place::tap_by(&mut reader, |_| {}, drop).0;
    assert_eq!(deed(&report), Err(Reason::Interrupted), "control: the clock is right");
    let field = edge::link::Field::open(0).unwrap();
    let phone = edge::link::Link::connect(field.address().unwrap()).unwrap();
    let secret = credential::crypto::P256Secret::from_bytes(crate::place::fresh());
    let mut link = field.accept().unwrap();
    let report = reader.tap(&mut link, crate::city::door(), secret, &long_ago).unwrap();
    assert_eq!(deed(&report), Err(Reason::ClockBehind));
    drop(phone);
}

#[test]
fn wallet_goes_on_after_a_restart_where_it_was() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    granted(&mut reader, &mut wallet);
    save(&wallet);
    drop(wallet);
    let mut wallet = place.wallet();
    granted(&mut reader, &mut wallet);
    assert_eq!(wallet.state.log.len(), 2);
    assert_eq!(wallet.state.passes[0].documents[0].shown, 2);
}

#[test]
fn reader_that_no_longer_believes_its_memory_says_so_and_can_be_told_anew() {
    let city = City::new();
    let place = Place::ready(&city);
    place.reader().install_bundle(noon(), &city.bundle(3)).unwrap();
    // Another root, as after a ceremony that this reader missed: what was signed holds no more.
    let (mut identity, key) = city.identity();
    identity.root = identity.certificate.clone();
    std::fs::remove_file(place.reader_folder().join("reader.cbor")).unwrap();
    identity.store(&place.reader_folder(), &key).unwrap();
    let mut reader = place.reader();
    assert_eq!(reader.disbelieved().len(), 1);
    let mut wallet = place.wallet();
    for _ in 0..2 {
        let report = crate::place::tap_by(&mut reader, |_| {}, drop).0;
        assert_eq!(deed(&report), Err(Reason::NoBundle), "every tap has its deed");
    }
    assert!(reader.egress(noon(), crate::city::door()) > 0);
    drop(reader);
    std::fs::remove_file(place.reader_folder().join("reader.cbor")).unwrap();
    place.enrol(&city);
    let mut reader = place.reader();
    assert!(reader.disbelieved().is_empty(), "control");
    granted(&mut reader, &mut wallet);
}

#[test]
fn files_are_their_owners_alone() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    granted(&mut reader, &mut wallet);
    save(&wallet);
    reader.acknowledged(noon(), 1).unwrap();
    let mut names = Vec::new();
    for folder in [place.reader_folder(), place.wallet_folder()] {
        let mode =
            |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    names.sort();
    let expected = [
        "journal",
        "journal.base",
        "lock",
        "lock",
        "memory",
        "reader.cbor",
        "reader.key",
        "restarts",
        "wallet.sealed",
    ];
    assert_eq!(names, expected, "and nothing is left lying about");
}
