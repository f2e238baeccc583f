//! Journal pieces: taken once, again without effect, and every break named.

use std::time::Duration;

use audit::journal::{Head, JournalError};
use credential::rustcrypto::RustCrypto;
use fleet::change::Change;
use fleet::journal::{Intake, Piece, RECORDS_MAX, StoredRecord, Upload, take_journal};
use fleet::reader::{Reader, Watermark};
use fleet::refusal::Refusal;
use policy::action::Action;
use proptest::prelude::*;
use reader::journal::{Event, Outcome};

use crate::city::{Key, NOW, enrolled, own_permit, permit};

fn grant(door: &str, bundle_epoch: u64) -> Event {
    Event {
        door: door.parse().unwrap(),
        outcome: Outcome::Granted { rule: 0 },
        pass: None,
        watermark: reader::journal::Watermark { bundle_epoch, status_issued_at: Some(NOW) },
        missed: 0,
        tap: None,
    }
}

/// A journal as a reader keeps it.
#[derive(Clone)]
struct Journal {
    key: Key,
    heads: Vec<Head>,
    records: Vec<Vec<u8>>,
}

impl Journal {
    fn new(key: &Key, reader: &Reader) -> Self {
        let heads = vec![Head::start(*reader.id.as_bytes())];
        Self { key: key.clone(), heads, records: Vec::new() }
    }

    /// Writes grants at `door`, of epochs that are the records' numbers.
    fn write(&mut self, count: usize, door: &str) {
        for _ in 0..count {
            let number = self.records.len();
            self.write_payload(&grant(door, number as u64).encode());
        }
    }

    fn write_payload(&mut self, payload: &[u8]) {
        let number = self.records.len();
        let at = NOW.saturating_add(Duration::from_secs(number as u64));
        let (record, head) = self.heads[number].append(at, payload).unwrap();
        self.records.push(record);
        self.heads.push(head);
    }

    fn signed_head(&self, entries: usize, key: &Key) -> Vec<u8> {
        let unsigned = self.heads[entries].unsigned(NOW);
        let signature = key.sign(unsigned.to_be_signed());
        unsigned.complete(signature.as_bytes().try_into().unwrap())
    }

    /// Hands in the records `from..to` to `reader`'s state.
    fn hand_in(
        &self,
        reader: &Reader,
        from: usize,
        to: usize,
        stored: &[StoredRecord],
    ) -> Result<Intake, Refusal> {
        let records: Vec<&[u8]> = self.records[from..to].iter().map(Vec::as_slice).collect();
        take(reader, &records, &self.signed_head(to, &self.key), stored)
    }
}

fn take(
    reader: &Reader,
    records: &[&[u8]],
    signed_head: &[u8],
    stored: &[StoredRecord],
) -> Result<Intake, Refusal> {
    let piece = Piece { records, signed_head };
    let permit = own_permit(Action::JournalUpload, reader);
    let last = piece.last_sequence().ok();
    let stored = stored.iter().find(|record| Some(record.sequence) == last);
    take_journal(&permit, reader, stored, &piece, &RustCrypto, NOW)
}

fn appended(intake: Result<Intake, Refusal>) -> (Reader, Upload) {
    match intake.unwrap() {
        Intake::New { change, .. } => match *change {
            Change::AppendJournal { reader, upload } => (reader, upload),
            other => panic!("{other:?}"),
        },
        Intake::Known => panic!("nothing was new"),
    }
}

fn start(count: usize) -> (Journal, Reader) {
    let (key, reader, _) = enrolled(1);
    let mut journal = Journal::new(&key, &reader);
    journal.write(count, "tap");
    (journal, Reader { bundle_epoch: 9, ..reader })
}

#[test]
fn a_reader_that_says_it_knows_a_bundle_which_nobody_gave_it_is_not_believed() {
    for (told, expected) in [(9, Some(9)), (10, Some(0)), (u64::MAX, Some(0))] {
        let (mut journal, reader) = start(1);
        journal.write_payload(&grant("tap", told).encode());
        let (reader, upload) = appended(journal.hand_in(&reader, 0, 2, &[]));
        assert_eq!(upload.records.len(), 2, "it is kept");
        assert_eq!(reader.watermark.map(|known| known.bundle_epoch), expected, "{told}");
    }
}

#[test]
fn piece_is_taken_in_order() {
    let (journal, reader) = start(6);
    let (reader, upload) = appended(journal.hand_in(&reader, 0, 4, &[]));
    assert_eq!((reader.journal.next, reader.version, upload.records.len()), (4, 2, 4));
    assert_eq!(upload.records[3].hash, reader.journal.hash);
    assert_eq!(upload.records[3].bytes, journal.records[3]);
    assert_eq!(reader.watermark.unwrap().bundle_epoch, 3);
    let (reader, upload) = appended(journal.hand_in(&reader, 4, 6, &[]));
    assert_eq!((reader.journal.next, upload.records[0].sequence), (6, 4));
    assert_eq!(upload.watermark.unwrap().bundle_epoch, 5);
}

#[test]
fn events_and_watermark_are_what_the_reader_wrote() {
    let (mut journal, reader) = start(2);
    journal.write_payload(b"of a later version");
    let Ok(Intake::New { change, events }) = journal.hand_in(&reader, 0, 3, &[]) else { panic!() };
    let told: Vec<_> = events.into_iter().map(|told| (told.sequence, told.event)).collect();
    assert_eq!(told, [(0, Some(grant("tap", 0))), (1, Some(grant("tap", 1))), (2, None)]);
    let Change::AppendJournal { reader, upload } = *change else { panic!() };
    let at = NOW.saturating_add(Duration::from_secs(1));
    let expected = Watermark { bundle_epoch: 1, status_issued_at: Some(NOW), at };
    assert_eq!((reader.watermark, upload.watermark), (Some(expected), Some(expected)));
    // What cannot be read is evidence all the same.
    assert_eq!(upload.records[2].bytes, journal.records[2]);
}

#[test]
fn same_records_again_change_nothing() {
    let (journal, reader) = start(6);
    let (reader, upload) = appended(journal.hand_in(&reader, 0, 4, &[]));
    assert_eq!(journal.hand_in(&reader, 0, 4, &upload.records), Ok(Intake::Known));
    assert_eq!(journal.hand_in(&reader, 2, 4, &upload.records), Ok(Intake::Known));
    assert_eq!(journal.hand_in(&reader, 0, 2, &upload.records), Ok(Intake::Known));
    // An overlap brings its new part only.
    let (_, second) = appended(journal.hand_in(&reader, 1, 6, &upload.records));
    assert_eq!(second.records.iter().map(|r| r.sequence).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn gap_is_named_and_nothing_taken() {
    let (journal, reader) = start(6);
    let (reader, _) = appended(journal.hand_in(&reader, 0, 2, &[]));
    let refused = journal.hand_in(&reader, 4, 6, &[]).unwrap_err();
    assert_eq!(refused, Refusal::Gap { expected: 2, found: 4 });
    assert!(refused.is_alarm());
}

#[test]
fn second_history_of_a_key_is_named() {
    let (journal, reader) = start(3);
    let (reader, upload) = appended(journal.hand_in(&reader, 0, 3, &[]));
    // A copy of the reader that was made after two records goes its own way.
    let mut copy = journal.clone();
    copy.records.truncate(2);
    copy.heads.truncate(3);
    copy.write(4, "clone");
    for (from, to, shows_at) in [(3, 6, 3), (0, 6, 2), (2, 3, 2), (2, 6, 2)] {
        let refused = copy.hand_in(&reader, from, to, &upload.records).unwrap_err();
        assert_eq!(refused, Refusal::Fork { sequence: shows_at }, "{from} {to}");
        assert!(refused.is_alarm());
    }
    // What both have in common is known, and the true reader goes on.
    assert_eq!(copy.hand_in(&reader, 0, 2, &upload.records), Ok(Intake::Known));
    let mut journal = journal;
    journal.write(1, "tap");
    assert!(journal.hand_in(&reader, 3, 4, &upload.records).is_ok());
}

#[test]
fn old_records_of_another_history_are_named() {
    let (journal, reader) = start(4);
    let (reader, upload) = appended(journal.hand_in(&reader, 0, 4, &[]));
    let mut other = Journal::new(&journal.key, &reader);
    other.write(2, "another");
    let refused = other.hand_in(&reader, 0, 2, &upload.records);
    assert_eq!(refused, Err(Refusal::Fork { sequence: 1 }));
}

#[test]
fn what_the_reader_did_not_sign_accuses_nobody() {
    let (journal, reader) = start(3);
    let thief = Key::new(9);
    let records: Vec<&[u8]> = journal.records.iter().map(Vec::as_slice).collect();
    let forged = take(&reader, &records, &journal.signed_head(3, &thief), &[]).unwrap_err();
    assert_eq!(forged, Refusal::Piece(JournalError::HeadSignature));
    // Not even when it would show a gap.
    let forged = take(&reader, &records[1..], &journal.signed_head(3, &thief), &[]).unwrap_err();
    assert!(!forged.is_alarm());
    // The control: with the reader's own signature it is an alarm.
    let gap = take(&reader, &records[1..], &journal.signed_head(3, &journal.key), &[]);
    assert!(gap.unwrap_err().is_alarm());
}

#[test]
fn cut_swapped_or_altered_piece_is_refused() {
    let (journal, reader) = start(4);
    let all: Vec<&[u8]> = journal.records.iter().map(Vec::as_slice).collect();
    let head = journal.signed_head(4, &journal.key);
    let check = |records: &[&[u8]], head: &[u8]| {
        let refused = take(&reader, records, head, &[]).unwrap_err();
        assert!(matches!(refused, Refusal::Piece(_)), "{refused:?}");
    };
    check(&all[..3], &head);
    check(&[all[0], all[2], all[1], all[3]], &head);
    check(&[all[0], all[0], all[1], all[2], all[3]], &head);
    check(&[all[0], all[1], all[3]], &head);
    check(&[all[0], &[all[1], all[2]].concat(), all[3]], &head);
    for at in 0..all[2].len() {
        let mut altered = all[2].to_vec();
        altered[at] ^= 1;
        check(&[all[0], all[1], &altered, all[3]], &head);
    }
    for at in 0..head.len() {
        let mut altered = head.clone();
        altered[at] ^= 1;
        let refused = take(&reader, &all, &altered, &[]);
        // The time in the head is signed, too: nothing of it can change.
        assert!(matches!(refused, Err(Refusal::Piece(_))), "{at}");
    }
    // The control: whole and in order it is taken.
    assert!(take(&reader, &all, &head, &[]).is_ok());
}

#[test]
fn journal_of_another_reader_is_refused() {
    let (journal, _) = start(2);
    let (_, other, _) = enrolled(2);
    assert!(journal.hand_in(&other, 0, 2, &[]).is_err());
    // Even from a reader of the same key, a journal stays under its own name.
    let (_, mut namesake, _) = enrolled(1);
    namesake.id = vocabulary::id::ReaderId::from_bytes([1; 16]);
    assert!(journal.hand_in(&namesake, 0, 2, &[]).is_err());
}

#[test]
fn piece_holds_to_its_limit() {
    let (journal, reader) = start(RECORDS_MAX + 1);
    assert!(journal.hand_in(&reader, 0, RECORDS_MAX, &[]).is_ok());
    assert_eq!(journal.hand_in(&reader, 0, RECORDS_MAX + 1, &[]), Err(Refusal::PieceSize));
    assert_eq!(journal.hand_in(&reader, 0, 0, &[]), Err(Refusal::PieceSize));
}

#[test]
fn staff_may_carry_a_journal_of_its_own_operator() {
    let (journal, reader) = start(1);
    let records: Vec<&[u8]> = journal.records.iter().map(Vec::as_slice).collect();
    let signed_head = journal.signed_head(1, &journal.key);
    let piece = Piece { records: &records, signed_head: &signed_head };
    let carry = |of| {
        let permit = permit(Action::JournalUpload, of);
        take_journal(&permit, &reader, None, &piece, &RustCrypto, NOW)
    };
    assert!(carry("harbour").is_ok());
    assert_eq!(carry("airport").unwrap_err().code(), "wrong-permit");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_pieces_that_touch_give_the_whole_journal(
        cuts in prop::collection::vec((0_usize..20, 1_usize..20), 0..12),
    ) {
        let (journal, mut reader) = start(20);
        let mut stored: Vec<StoredRecord> = Vec::new();
        for (from, length) in cuts.into_iter().chain([(0, 20)]) {
            let to = (from + length).min(20);
            match journal.hand_in(&reader, from, to, &stored) {
                Ok(Intake::New { change, .. }) => {
                    let Change::AppendJournal { reader: next, upload } = *change else { panic!() };
                    reader = next;
                    stored.extend(upload.records);
                }
                Ok(Intake::Known) => prop_assert!(to <= stored.len()),
                Err(refusal) => {
                    let gap = Refusal::Gap { expected: stored.len() as u64, found: from as u64 };
                    prop_assert_eq!(refusal, gap);
                }
            }
        }
        let bytes: Vec<_> = stored.into_iter().map(|record| record.bytes).collect();
        prop_assert_eq!(bytes, journal.records);
    }
}
