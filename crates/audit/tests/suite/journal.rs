//! Journals: runs, gaps, forks, cuts, and the signed head.

use audit::hash::Hash;
use audit::journal::{
    Head, JournalError, PAYLOAD_BYTES_MAX, RECORD_OVERHEAD_BYTES, SIGNED_HEAD_BYTES, split_record,
    verify_run,
};
use ed25519_dalek::{Signature, Signer, SigningKey};
use proptest::prelude::*;
use vocabulary::time::Instant;

const JOURNAL: [u8; 16] = [5; 16];

fn at(sequence: u64) -> Instant {
    Instant::from_unix_seconds(1_795_356_000 + sequence as i64)
}

/// The records of a journal, one by one, and its head.
fn journal(name: [u8; 16], count: u64, payload: impl Fn(u64) -> Vec<u8>) -> (Vec<Vec<u8>>, Head) {
    let mut head = Head::start(name);
    let mut records = Vec::new();
    for sequence in 0..count {
        let (record, next) = head.append(at(sequence), &payload(sequence)).unwrap();
        records.push(record);
        head = next;
    }
    (records, head)
}

fn simple(count: u64) -> (Vec<Vec<u8>>, Head) {
    journal(JOURNAL, count, |sequence| format!("tap {sequence}").into_bytes())
}

fn verify(head: &Head, bytes: &[u8]) -> Result<Head, JournalError> {
    verify_run(head, bytes, |_| {})
}

#[test]
fn run_verifies_from_the_start_and_from_a_stored_head() {
    let (records, head) = simple(20);
    let mut heard = Vec::new();
    let start = Head::start(JOURNAL);
    let end = verify_run(&start, &records.concat(), |record| {
        heard.push((record.sequence, record.at, record.payload.to_vec()));
    });
    assert_eq!(end, Ok(head));
    assert_eq!(head.entries(), 20);
    assert_eq!(heard[7], (7, at(7), b"tap 7".to_vec()));
    let middle = verify(&start, &records[..8].concat()).unwrap();
    let stored = Head::stored(JOURNAL, middle.entries(), *middle.hash());
    assert_eq!(verify(&stored, &records[8..].concat()), Ok(head));
    assert_eq!(verify(&stored, &[]), Ok(stored));
}

#[test]
fn faults_are_named() {
    let (records, _) = simple(10);
    let (other, _) = journal(JOURNAL, 10, |sequence| vec![sequence as u8]);
    let (foreign, _) = journal([6; 16], 10, |sequence| format!("tap {sequence}").into_bytes());
    let start = Head::start(JOURNAL);
    let run = |parts: &[&[Vec<u8>]]| verify(&start, &parts.concat().concat());
    assert_eq!(
        run(&[&records[..4], &records[6..]]),
        Err(JournalError::Gap { expected: 4, found: 6 })
    );
    assert_eq!(
        run(&[&records[..4], &records[2..]]),
        Err(JournalError::Repetition { expected: 4, found: 2 })
    );
    assert_eq!(run(&[&records[..4], &other[4..]]), Err(JournalError::Fork { sequence: 4 }));
    assert_eq!(run(&[&foreign]), Err(JournalError::Fork { sequence: 0 }));
    let mut swapped = records.clone();
    swapped.swap(3, 4);
    assert_eq!(run(&[&swapped]), Err(JournalError::Gap { expected: 3, found: 4 }));
}

#[test]
fn every_flipped_byte_and_every_cut_is_found() {
    let (records, head) = simple(10);
    let start = Head::start(JOURNAL);
    let bytes = records.concat();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert_ne!(verify(&start, &changed), Ok(head), "byte {at}");
        // Cutting at a record's end leaves a valid shorter journal: the signed head finds that.
        assert_ne!(verify(&start, &bytes[..at]), Ok(head), "cut at {at}");
    }
    let record = RECORD_OVERHEAD_BYTES + b"tap 0".len();
    assert_eq!(verify(&start, &bytes[..record + 3]), Err(JournalError::Truncated { sequence: 1 }));
}

#[test]
fn signed_head_finds_a_cut_or_lengthened_journal() {
    let key = SigningKey::from_bytes(&[4; 32]);
    let accepts = |bytes: &[u8], signature: &[u8; 64]| {
        key.verifying_key().verify_strict(bytes, &Signature::from_bytes(signature)).is_ok()
    };
    let (records, head) = simple(10);
    let unsigned = head.unsigned(at(11));
    let signature = key.sign(unsigned.to_be_signed()).to_bytes();
    let signed = unsigned.complete(&signature);
    assert_eq!(signed.len(), SIGNED_HEAD_BYTES);
    let start = Head::start(JOURNAL);
    let check = |records: &[Vec<u8>], expected: Result<Instant, JournalError>| {
        let found = verify(&start, &records.concat()).unwrap();
        assert_eq!(found.verify_signed(&signed, accepts), expected);
    };
    check(&records, Ok(at(11)));
    check(&records[..9], Err(JournalError::HeadCount { signed: 10, found: 9 }));
    check(&simple(11).0, Err(JournalError::HeadCount { signed: 10, found: 11 }));
    let other = journal(JOURNAL, 10, |sequence| vec![sequence as u8]).0;
    check(&other, Err(JournalError::HeadHash));
    let foreign = Head::stored([6; 16], head.entries(), *head.hash());
    assert_eq!(foreign.verify_signed(&signed, accepts), Err(JournalError::HeadForm));
    for at in 0..signed.len() {
        let mut changed = signed.clone();
        changed[at] ^= 1;
        assert!(head.verify_signed(&changed, accepts).is_err(), "byte {at}");
        assert_eq!(head.verify_signed(&signed[..at], accepts), Err(JournalError::HeadForm));
    }
}

#[test]
fn payload_is_taken_at_the_limit_and_refused_past_it() {
    let head = Head::start(JOURNAL);
    let (record, next) = head.append(at(0), &vec![1; PAYLOAD_BYTES_MAX]).unwrap();
    assert_eq!(verify(&head, &record), Ok(next));
    let bytes = PAYLOAD_BYTES_MAX + 1;
    let refused = head.append(at(0), &vec![1; bytes]);
    assert_eq!(refused, Err(JournalError::PayloadTooLong { bytes }));
    let mut declared = record;
    let length = (bytes as u16).to_be_bytes();
    declared[RECORD_OVERHEAD_BYTES - 2..RECORD_OVERHEAD_BYTES].copy_from_slice(&length);
    declared.push(1);
    assert_eq!(verify(&head, &declared), Err(JournalError::Malformed { sequence: 0 }));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, hash: [u8; 32]) {
        let head = Head::stored(JOURNAL, 3, Hash::from_bytes(hash));
        let _ = verify(&head, &bytes);
        let _ = split_record(&bytes, 0);
        let _ = head.verify_signed(&bytes, |_, _| true);
    }
}
