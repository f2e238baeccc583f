//! What a reader did and the city has not got yet: the journal file, and where it begins.
//!
//! `journal.base` holds the head of the journal before its first record. When the city has taken
//! records, first the base moves, then the file is written anew without them; a crash in between
//! leaves records before the base, which are passed over. `journal.handles` keeps, of the records that
//! went, the newest of express taps: by them a gate knows copied handles after a restart.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use audit::journal::{Head, split_record, verify_run};
use credential::cbor::{CborError, Decoder, Encoder};
use reader::express::SEEN_MAX;
use reader::journal::handle_in;
use vocabulary::id::ReaderId;

use super::HostError;
use crate::file;
use crate::journal_file::JournalFile;

/// Bytes in the journal file.
pub const JOURNAL_BYTES: u64 = 4 * 1024 * 1024;
/// Records that the journal has room for, each in a frame of at most 512 bytes.
pub const JOURNAL_RECORDS: u64 = JOURNAL_BYTES / 512;
/// Records that go up to the city at a time.
pub const PIECE_RECORDS_MAX: usize = 500;
/// Bytes of records that go up at a time.
pub const PIECE_BYTES_MAX: usize = 512 * 1024;

const BASE_BYTES_MAX: u64 = 64;
/// Bytes in the file of handles.
const HANDLES_BYTES_MAX: u64 = JOURNAL_BYTES / JOURNAL_RECORDS * SEEN_MAX as u64;

/// The journal of a reader on disk.
pub(super) struct Ledger {
    base_path: PathBuf,
    file: JournalFile,
    base: Head,
    records: Vec<Vec<u8>>,
    /// Whether the file still holds records before the base.
    is_crowded: bool,
    handles_path: PathBuf,
    /// Records of express taps that the city has, oldest first.
    handles: VecDeque<Vec<u8>>,
}

impl Ledger {
    /// The ledger of a folder, and the head after its last record.
    pub(super) fn open(folder: &Path, reader: ReaderId) -> Result<(Self, Head), HostError> {
        let (base_path, path) = (folder.join("journal.base"), folder.join("journal"));
        let base = read_base(&base_path, reader)?;
        let (file, all) = JournalFile::open(&path, JOURNAL_BYTES)?;
        let count = all.len();
        let records = not_yet_taken(all, &base);
        let head = verify_run(&base, &records.concat(), |_| {})
            .map_err(|source| HostError::Journal { file: path, source })?;
        let is_crowded = records.len() < count;
        let handles_path = folder.join("journal.handles");
        let handles = read_handles(&handles_path)?;
        let mut ledger = Self { base_path, file, base, records, is_crowded, handles_path, handles };
        if is_crowded {
            // On a full disk this has to wait; nothing is lost by that but room.
            let _ = ledger.make_room();
        }
        Ok((ledger, head))
    }

    /// Records that the city has, counted from the first ever.
    pub(super) const fn taken(&self) -> u64 {
        self.base.entries()
    }

    /// The records that are here, oldest first: those that the city has not got yet, and before them the
    /// newest of express taps that it has.
    pub(super) fn known(&self) -> impl Iterator<Item = &[u8]> {
        self.handles.iter().chain(&self.records).map(Vec::as_slice)
    }

    /// How many records the city has not got yet.
    pub(super) const fn records_pending(&self) -> usize {
        self.records.len()
    }

    /// The next records for the city, and the head of the journal after them.
    pub(super) fn piece(&self) -> Result<(&[Vec<u8>], Head), HostError> {
        let mut bytes = 0;
        let fits = |record: &&Vec<u8>| {
            bytes += record.len();
            bytes <= PIECE_BYTES_MAX
        };
        let count = self.records.iter().take(PIECE_RECORDS_MAX).take_while(fits).count();
        let records = self.records.get(..count).unwrap_or_default();
        Ok((records, self.head_after(records)?))
    }

    /// Appends a record and returns once it is durable.
    pub(super) fn append(&mut self, record: Vec<u8>) -> io::Result<()> {
        let mut kept = self.file.append(&record);
        if kept.is_err() && self.is_crowded {
            kept = self.make_room().and_then(|()| self.file.append(&record));
        }
        kept?;
        self.records.push(record);
        Ok(())
    }

    /// The city has all records before the one numbered `next`.
    pub(super) fn release(&mut self, next: u64) -> Result<(), HostError> {
        let taken = usize::try_from(next.saturating_sub(self.taken())).unwrap_or(usize::MAX);
        let (gone, kept) = self.records.split_at_checked(taken).unwrap_or((&self.records, &[]));
        if !gone.is_empty() {
            let (base, kept) = (self.head_after(gone)?, kept.to_vec());
            let express = gone.iter().filter(|record| handle_in(record).is_some());
            let express: Vec<Vec<u8>> = express.cloned().collect();
            self.keep_handles(express)?;
            write_base(&self.base_path, &base)?;
            (self.base, self.records, self.is_crowded) = (base, kept, true);
        }
        if self.is_crowded {
            self.make_room()?;
        }
        Ok(())
    }

    fn head_after(&self, records: &[Vec<u8>]) -> Result<Head, HostError> {
        let verified = verify_run(&self.base, &records.concat(), |_| {});
        let file = || self.base_path.with_file_name("journal");
        verified.map_err(|source| HostError::Journal { file: file(), source })
    }

    /// Written before the base moves: what a crash leaves twice counts once.
    fn keep_handles(&mut self, more: Vec<Vec<u8>>) -> io::Result<()> {
        if more.is_empty() {
            return Ok(());
        }
        self.handles.extend(more);
        let length = |handles: &VecDeque<Vec<u8>>| handles.iter().map(Vec::len).sum::<usize>();
        while self.handles.len() > SEEN_MAX || length(&self.handles) as u64 > HANDLES_BYTES_MAX {
            self.handles.pop_front();
        }
        let bytes: Vec<u8> = self.handles.iter().flatten().copied().collect();
        file::replace_checked(&self.handles_path, &bytes)
    }

    fn make_room(&mut self) -> io::Result<()> {
        self.file.rewrite(&self.records)?;
        self.is_crowded = false;
        Ok(())
    }
}

/// After a crash between the two writes of `release`, the file still holds what is taken.
fn not_yet_taken(records: Vec<Vec<u8>>, base: &Head) -> Vec<Vec<u8>> {
    let is_new = |record: &Vec<u8>| {
        split_record(record, 0).is_ok_and(|(record, _)| record.sequence >= base.entries())
    };
    records.into_iter().skip_while(|record| !is_new(record)).collect()
}

fn read_handles(path: &Path) -> Result<VecDeque<Vec<u8>>, HostError> {
    let bytes = file::read_checked(path, HANDLES_BYTES_MAX)?.unwrap_or_default();
    let (mut handles, mut rest) = (VecDeque::new(), &bytes[..]);
    while !rest.is_empty() {
        let (record, after) =
            split_record(rest, 0).map_err(|_| HostError::Damaged { file: path.to_path_buf() })?;
        handles.push_back(record.bytes.to_vec());
        rest = after;
    }
    Ok(handles)
}

fn read_base(path: &Path, reader: ReaderId) -> Result<Head, HostError> {
    let name = *reader.as_bytes();
    let Some(bytes) = file::read_checked(path, BASE_BYTES_MAX)? else {
        return Ok(Head::start(name));
    };
    let read = |bytes: &[u8]| {
        let mut decoder = Decoder::new(bytes)?;
        decoder.array_of(2)?;
        let base = (decoder.unsigned()?, decoder.byte_array()?);
        decoder.finish()?;
        Ok::<_, CborError>(base)
    };
    let (entries, hash) =
        read(&bytes).map_err(|_| HostError::Damaged { file: path.to_path_buf() })?;
    Ok(Head::stored(name, entries, audit::hash::Hash::from_bytes(hash)))
}

fn write_base(path: &Path, base: &Head) -> io::Result<()> {
    let mut encoder = Encoder::new();
    encoder.array(2).unsigned(base.entries()).bytes(base.hash().as_bytes());
    file::replace_checked(path, encoder.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::tests::Folder;
    use presentation::express::Context;
    use presentation::express::handle::Index;
    use reader::journal::{Event, HandleTrace, Outcome, Tapped, Watermark};
    use vocabulary::time::Instant;

    fn event(number: Option<u16>) -> Vec<u8> {
        let tap = number.map(|number| {
            let (context, status) =
                (Context::from_bytes([1; 12]), Index { list: [2; 4], index: 7 });
            Tapped::Express(HandleTrace { context, status, number, taps: 1 })
        });
        let (door, outcome) = ("harbour/hall/door".parse().unwrap(), Outcome::Egress);
        let watermark = Watermark::default();
        Event { door, outcome, pass: None, watermark, missed: 0, tap }.encode()
    }

    fn numbers(ledger: &Ledger) -> Vec<u16> {
        ledger.known().filter_map(handle_in).map(|handle| handle.number).collect()
    }

    #[test]
    fn handles_are_known_after_the_city_took_their_records_and_the_reader_woke_up() {
        let folder = Folder::new("handles");
        let reader = ReaderId::from_bytes([7; 16]);
        let (mut ledger, mut head) = Ledger::open(&folder.0, reader).unwrap();
        let all = 0..u16::try_from(SEEN_MAX + 10).unwrap();
        for number in all.clone() {
            for payload in [event(None), event(Some(number))] {
                let (record, next) = head.append(Instant::UNIX_EPOCH, &payload).unwrap();
                ledger.append(record).unwrap();
                head = next;
            }
            if number == 100 || number == 1_000 {
                ledger.release(head.entries() - 2).unwrap();
            }
        }
        assert_eq!(numbers(&ledger), all.clone().collect::<Vec<_>>());
        ledger.release(head.entries()).unwrap();
        drop(ledger);
        let (ledger, _) = Ledger::open(&folder.0, reader).unwrap();
        assert_eq!(ledger.records_pending(), 0);
        assert_eq!(numbers(&ledger), (10..all.end).collect::<Vec<_>>(), "the newest");
        std::fs::write(folder.0.join("journal.handles"), b"damaged").unwrap();
        assert!(Ledger::open(&folder.0, reader).is_err());
    }
}
