//! The journal of a reader: its reserve, its end, and what the city has taken.

use std::fs;

use audit::journal::{Head, PAYLOAD_BYTES_MAX};
use edge::journal_file::JournalFile;
use edge::reader_host::{JOURNAL_BYTES, JOURNAL_RECORDS, PIECE_RECORDS_MAX, ReaderHost};
use edge::wallet_host::WalletHost;
use reader::decision::Reason;
use reader::journal::{Event, Outcome, RESERVE, Watermark};

use crate::city::{City, READER, door, noon};
use crate::place::{Place, deed, events, granted, grants, records, tap};

/// A reader whose journal already holds these payloads.
fn reader_with(place: &Place, payloads: impl Iterator<Item = Vec<u8>>) -> ReaderHost {
    let (records, head) = records(&Head::start(*READER.as_bytes()), payloads);
    let path = place.reader_folder().join("journal");
    let (mut journal, before) = JournalFile::open(&path, JOURNAL_BYTES).unwrap();
    assert!(before.is_empty());
    journal.rewrite(&records).unwrap();
    let reader = place.reader();
    assert_eq!(*reader.engine().journal_head(), head);
    reader
}

fn way_out() -> Vec<u8> {
    let watermark = Watermark::default();
    Event { door: door(), outcome: Outcome::Egress, pass: None, watermark, missed: 0, tap: None }
        .encode()
}

/// The city takes everything, piece by piece.
fn upload(reader: &mut ReaderHost) {
    while let Some(upload) = reader.pending_upload(noon()).unwrap() {
        assert!(upload.records.len() <= PIECE_RECORDS_MAX);
        let next = upload.next;
        reader.acknowledged(noon(), next).unwrap();
    }
    assert_eq!(reader.records_pending(), 0);
}

#[test]
fn grants_stop_at_the_reserve_and_ways_out_never() {
    let city = City::new();
    let place = Place::ready(&city);
    let mut wallet = place.wallet();
    let before = usize::try_from(JOURNAL_RECORDS - RESERVE - 1).unwrap();
    let mut reader = reader_with(&place, (0..before).map(|_| way_out()));
    granted(&mut reader, &mut wallet);
    let (report, _) = tap(&mut reader, &mut wallet);
    assert_eq!(deed(&report), Err(Reason::JournalFull), "one past it");
    for _ in 0..RESERVE {
        assert!(reader.egress(noon(), door()) > 0);
    }
    let full = usize::try_from(JOURNAL_RECORDS).unwrap();
    assert_eq!(reader.records_pending(), full);
    assert!(reader.egress(noon(), door()) > 0, "a way out without a record");
    assert_eq!(reader.records_pending(), full);
    drop(reader);
    let mut reader = place.reader();
    assert_eq!(reader.records_pending(), full);
    assert_eq!(deed(&tap(&mut reader, &mut wallet).0), Err(Reason::JournalFull));
    upload(&mut reader);
    granted(&mut reader, &mut wallet);
    assert_eq!((grants(&reader), reader.records_pending()), (1, 1));
}

/// A reader whose journal is full long before the number of its records is: they are long ones.
fn crowded_reader(place: &Place) -> ReaderHost {
    let count = usize::try_from(JOURNAL_BYTES).unwrap() / (PAYLOAD_BYTES_MAX + 51 + 8);
    reader_with(place, (0..count).map(|_| vec![7; PAYLOAD_BYTES_MAX]))
}

/// Taps until the first refusal, which must be for want of a record.
fn tap_until_full(reader: &mut ReaderHost, wallet: &mut WalletHost) {
    for _ in 0..64 {
        let before = reader.records_pending();
        if let Err(reason) = deed(&tap(reader, wallet).0) {
            assert_eq!(reason, Reason::JournalFull);
            assert_eq!(reader.records_pending(), before);
            return;
        }
        assert_eq!(reader.records_pending(), before + 1);
    }
    panic!("the journal is never full");
}

#[test]
fn what_has_no_record_is_not_done_and_it_goes_on_once_there_is_room() {
    let city = City::new();
    let place = Place::ready(&city);
    let mut wallet = place.wallet();
    let mut reader = crowded_reader(&place);
    tap_until_full(&mut reader, &mut wallet);
    assert!(reader.egress(noon(), door()) > 0);
    let kept = reader.records_pending();
    drop(reader);
    let mut reader = place.reader();
    assert_eq!(reader.records_pending(), kept, "no record of what was not done");
    upload(&mut reader);
    granted(&mut reader, &mut wallet);
    let events = events(&reader);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].missed, 0, "a restart forgets what was missed");
}

#[test]
fn room_that_could_not_be_freed_is_freed_when_a_record_needs_it() {
    let city = City::new();
    let place = Place::ready(&city);
    let mut wallet = place.wallet();
    let mut reader = crowded_reader(&place);
    let blocked = place.reader_folder().join(".journal.new");
    fs::create_dir(&blocked).unwrap();
    let everything = reader.engine().journal_head().entries();
    assert!(reader.acknowledged(noon(), everything).is_err());
    assert_eq!(reader.records_pending(), 0, "the city has everything all the same");
    tap_until_full(&mut reader, &mut wallet);
    fs::remove_dir(&blocked).unwrap();
    granted(&mut reader, &mut wallet);
    let head = *reader.engine().journal_head();
    drop(reader);
    assert_eq!(*place.reader().engine().journal_head(), head);
}

#[test]
fn crash_between_the_two_writes_of_an_acknowledgement_loses_nothing() {
    let city = City::new();
    for taken in 1..=3_u64 {
        let place = Place::ready(&city);
        let (mut reader, mut wallet) = (place.reader(), place.wallet());
        for _ in 0..3 {
            granted(&mut reader, &mut wallet);
        }
        let path = place.reader_folder().join("journal");
        let old = fs::read(&path).unwrap();
        reader.acknowledged(noon(), taken).unwrap();
        let head = *reader.engine().journal_head();
        drop(reader);
        // The base is new and the journal old, with half of a new one beside it.
        fs::write(&path, &old).unwrap();
        fs::write(place.reader_folder().join(".journal.new"), &old[..100]).unwrap();
        let mut reader = place.reader();
        assert_eq!(*reader.engine().journal_head(), head);
        assert_eq!(reader.records_pending() as u64, 3 - taken);
        assert!(!place.reader_folder().join(".journal.new").exists());
        let room = fs::read(&path).unwrap();
        assert_ne!(room, old, "the room of what was taken is free again");
        granted(&mut reader, &mut wallet);
        drop(reader);
        let reader = place.reader();
        assert_eq!(reader.records_pending() as u64, 4 - taken);
        assert_eq!(reader.engine().journal_head().entries(), 4);
    }
}

#[test]
fn acknowledgements_that_come_late_twice_or_too_far_are_harmless() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    for _ in 0..3 {
        granted(&mut reader, &mut wallet);
    }
    for (next, pending) in [(0, 3), (2, 1), (2, 1), (1, 1), (99, 0), (3, 0)] {
        reader.acknowledged(noon(), next).unwrap();
        assert_eq!(reader.records_pending(), pending, "acknowledged {next}");
    }
    granted(&mut reader, &mut wallet);
    drop(reader);
    let reader = place.reader();
    assert_eq!((reader.records_pending(), reader.engine().journal_head().entries()), (1, 4));
}
