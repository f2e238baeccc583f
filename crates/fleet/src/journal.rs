//! What a reader hands in: pieces of its hash-chained, signed journal.
//!
//! A piece is a run of records and a head that the reader signed over the last of them (`audit`
//! crate, module `journal`). It may begin with records that are known already: uploading again
//! changes nothing. What does not continue the known history is refused by name: a gap, or a fork,
//! which only the holder of the reader's key can have made. Records are stored as they were
//! written, also those whose payload this version cannot read.

use std::fmt;

use ::reader::journal::Event;
use audit::journal::{Head, JournalError, split_record, verify_run};
use credential::crypto::{Crypto, PublicKey};
use policy::action::Action;
use policy::authorize::Permit;
use vocabulary::code::OperatorCode;
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use crate::change::Change;
use crate::reader::{JournalHead, Reader, Watermark};
use crate::refusal::Refusal;

/// Records in one piece.
pub const RECORDS_MAX: usize = 1_000;

/// A piece of journal as it comes in.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// 1 to [`RECORDS_MAX`] whole records, in order.
    pub records: &'a [&'a [u8]],
    /// The head after the last of them, signed by the reader.
    pub signed_head: &'a [u8],
}

/// A piece of journal that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Whose journal.
    pub reader: ReaderId,
    /// The operator of the reader.
    pub operator: OperatorCode,
    /// The new records, in order, without those that were known; not empty.
    pub records: Vec<StoredRecord>,
    /// What the reader knew at the newest of them that tells it, and can be.
    pub watermark: Option<Watermark>,
    /// When they came in.
    pub received_at: Instant,
}

/// One journal record as it is stored: its bytes as they were signed, never encoded again.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its number in the journal, from 0.
    pub sequence: u64,
    /// When it was written, by the reader's clock.
    pub at: Instant,
    /// Its hash, which the next record repeats.
    pub hash: [u8; 32],
    /// The record as the reader wrote it.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredRecord({}, {} bytes)", self.sequence, self.bytes.len())
    }
}

impl Piece<'_> {
    /// The number of the last record: the caller loads the stored record of that number, if any,
    /// and hands it to [`take_journal`].
    ///
    /// # Errors
    /// [`Refusal::PieceSize`], or [`Refusal::Piece`] when it is no record.
    pub fn last_sequence(&self) -> Result<u64, Refusal> {
        let last = self.records.last().ok_or(Refusal::PieceSize)?;
        let (record, _) = split_record(last, 0).map_err(Refusal::Piece)?;
        Ok(record.sequence)
    }
}

/// What comes of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intake {
    /// It holds new records.
    New {
        /// To be committed, in one transaction with an audit entry for each of the events.
        change: Box<Change>,
        /// What the new records tell, in order: one for each.
        events: Vec<Told>,
    },
    /// All of it was known.
    Known,
}

/// What one record tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The number of the record.
    pub sequence: u64,
    /// When it was written, by the reader's clock.
    pub at: Instant,
    /// What happened; nothing if the payload is of a form that this version does not know. The
    /// record is evidence all the same, and is kept.
    pub event: Option<Event>,
}

/// Takes in a piece of the journal of `reader`. `stored` is the stored record of the number that
/// [`Piece::last_sequence`] gives, if there is one.
///
/// # Errors
/// [`Refusal::PieceSize`], [`Refusal::Permit`]; [`Refusal::Piece`] when the records do not follow one
/// another or their head is not signed by this reader; then [`Refusal::Gap`] and [`Refusal::Fork`].
pub fn take_journal(
    permit: &Permit,
    reader: &Reader,
    stored: Option<&StoredRecord>,
    piece: &Piece<'_>,
    crypto: &dyn Crypto,
    now: Instant,
) -> Result<Intake, Refusal> {
    permit.covers(Action::JournalUpload, &reader.operator)?;
    reader.is_object_of(permit)?;
    let run = read_run(reader, piece)?;
    // The signature first: what is not signed by the reader accuses nobody.
    let key = PublicKey::P256(reader.key);
    run.end
        .verify_signed(piece.signed_head, |message, signature| {
            crypto.verify(&key, message, signature).is_ok()
        })
        .map_err(Refusal::Piece)?;
    run.continues(&reader.journal, stored)?;
    let next = reader.journal.next;
    let records = run.records.into_iter();
    let records: Vec<_> = records.filter(|record| record.sequence >= next).collect();
    if records.is_empty() {
        return Ok(Intake::Known);
    }
    let watermark = run.events.iter().rev().find_map(|told| told.watermark(reader));
    let upload = Upload {
        reader: reader.id,
        operator: reader.operator.clone(),
        records,
        watermark,
        received_at: now,
    };
    let reader = Reader {
        journal: JournalHead::of(&run.end),
        watermark: watermark.or(reader.watermark),
        ..reader.next()
    };
    let change = Box::new(Change::AppendJournal { reader, upload });
    Ok(Intake::New { change, events: run.events })
}

impl Told {
    /// Whether it tells of a door that is none of the reader's: its chain must go on, so it is
    /// kept, but somebody must look at it.
    #[must_use]
    pub fn is_foreign(&self, reader: &Reader) -> bool {
        self.event.as_ref().is_some_and(|event| !reader.doors.contains(&event.door))
    }

    /// Nothing where it tells of a bundle that nobody gave the reader.
    fn watermark(&self, reader: &Reader) -> Option<Watermark> {
        let known = self.event.as_ref()?.watermark;
        if known.bundle_epoch > reader.bundle_epoch {
            return None;
        }
        let (bundle_epoch, status_issued_at) = (known.bundle_epoch, known.status_issued_at);
        Some(Watermark { bundle_epoch, status_issued_at, at: self.at })
    }
}

/// Records that follow one another, wherever they begin.
struct Run {
    start: Head,
    records: Vec<StoredRecord>,
    end: Head,
    /// What the new records tell.
    events: Vec<Told>,
}

fn read_run(reader: &Reader, piece: &Piece<'_>) -> Result<Run, Refusal> {
    let first = piece.records.first().ok_or(Refusal::PieceSize)?;
    if piece.records.len() > RECORDS_MAX {
        return Err(Refusal::PieceSize);
    }
    let (first, _) = split_record(first, reader.journal.next).map_err(Refusal::Piece)?;
    let start = Head::stored(*reader.id.as_bytes(), first.sequence, first.previous);
    let records = Vec::with_capacity(piece.records.len());
    let mut run = Run { start, records, end: start, events: Vec::new() };
    for bytes in piece.records {
        let sequence = run.end.entries();
        let (record, rest) = split_record(bytes, sequence).map_err(Refusal::Piece)?;
        if !rest.is_empty() {
            return Err(Refusal::Piece(JournalError::Malformed { sequence }));
        }
        run.end = verify_run(&run.end, bytes, |_| ()).map_err(Refusal::Piece)?;
        if sequence >= reader.journal.next {
            let event = Event::decode(record.payload).ok();
            run.events.push(Told { sequence, at: record.at, event });
        }
        run.records.push(StoredRecord {
            sequence,
            at: record.at,
            hash: *run.end.hash().as_bytes(),
            bytes: bytes.to_vec(),
        });
    }
    Ok(run)
}

impl Run {
    /// Whether this is the same history as the one that is known.
    ///
    /// Each record repeats the hash of the one before, so one record that is the same in both
    /// proves that all before it are: the last known one, or the last of the run.
    fn continues(&self, known: &JournalHead, stored: Option<&StoredRecord>) -> Result<(), Refusal> {
        let (expected, found) = (known.next, self.start.entries());
        if found > expected {
            return Err(Refusal::Gap { expected, found });
        }
        if found == expected {
            let is_same = *self.start.hash().as_bytes() == known.hash;
            return if is_same { Ok(()) } else { Err(Refusal::Fork { sequence: found }) };
        }
        let is_same = |record: &StoredRecord| {
            if record.sequence.checked_add(1) == Some(known.next) {
                record.hash == known.hash
            } else {
                stored.is_some_and(|stored| {
                    (stored.sequence, stored.hash) == (record.sequence, record.hash)
                })
            }
        };
        // INVARIANT: a run is not empty, and begins with a known number here.
        let newest_known = self.records.iter().rfind(|record| record.sequence < known.next);
        match newest_known {
            Some(record) if !is_same(record) => Err(Refusal::Fork { sequence: record.sequence }),
            _ => Ok(()),
        }
    }
}
