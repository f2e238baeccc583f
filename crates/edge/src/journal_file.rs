//! The journal of a reader on disk: one preallocated file, so that a record never fails for lack of
//! space within it, and a torn last record is found and dropped.
//!
//! Layout: frames of a big-endian `u32` length, four bytes of check sum (the beginning of the
//! SHA-256 of the record), the record; a length of zero ends the file. Whether records chain is
//! for `audit::journal` to say.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::file::named;

/// Bytes in one record.
pub const RECORD_BYTES_MAX: usize = 8 * 1024;
const FRAME_OVERHEAD: usize = 8;

/// An open journal file.
pub struct JournalFile {
    file: File,
    path: PathBuf,
    capacity: u64,
    end: u64,
}

impl JournalFile {
    /// Opens the journal at `path`, making it of `capacity` bytes where there is none, and returns
    /// it with the records that are whole, in order.
    ///
    /// # Errors
    /// [`io::Error`] that names the file.
    pub fn open(path: &Path, capacity: u64) -> io::Result<(Self, Vec<Vec<u8>>)> {
        let failed = |error: io::Error| named(&error, "cannot open journal", path);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = file.open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let capacity = capacity.max(bytes.len() as u64);
        let (records, end) = whole_records(&bytes);
        let journal = Self { file, path: path.into(), capacity, end };
        journal.preallocate(bytes.len() as u64).map_err(failed)?;
        journal
            .clear_torn_tail(bytes.get(records_end(end)..).unwrap_or_default())
            .map_err(failed)?;
        Ok((journal, records))
    }

    /// Appends a record and returns once it is durable.
    ///
    /// # Errors
    /// [`io::Error`] of kind `StorageFull` when the file has no room left, or of the system; the
    /// record is then not part of the journal.
    pub fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let frame = frame(record).ok_or_else(|| {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "record is empty or too long");
            named(&error, "cannot write journal", &self.path)
        })?;
        if self.end + frame.len() as u64 > self.capacity {
            let error = io::Error::new(io::ErrorKind::StorageFull, "the journal is full");
            return Err(named(&error, "cannot write journal", &self.path));
        }
        let written = self.file.write_all_at(&frame, self.end).and_then(|()| self.file.sync_data());
        written.map_err(|error| named(&error, "cannot write journal", &self.path))?;
        self.end += frame.len() as u64;
        Ok(())
    }

    /// Bytes that records can still take, their frames counted.
    #[must_use]
    pub const fn free_bytes(&self) -> u64 {
        self.capacity - self.end
    }

    /// Zeros are written, not left as a hole: only then is the space really taken.
    fn preallocate(&self, length: u64) -> io::Result<()> {
        let zeros = vec![0; 64 * 1024];
        let mut at = length;
        while at < self.capacity {
            let step = usize::try_from(self.capacity - at).unwrap_or(usize::MAX).min(zeros.len());
            self.file.write_all_at(zeros.get(..step).unwrap_or_default(), at)?;
            at += step as u64;
        }
        self.file.sync_all()
    }

    /// A torn record is overwritten with zeros, so that it cannot reappear behind a shorter one.
    fn clear_torn_tail(&self, tail: &[u8]) -> io::Result<()> {
        let torn = tail.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        if torn == 0 {
            return Ok(());
        }
        self.file.write_all_at(&vec![0; torn], self.end)?;
        self.file.sync_all()
    }
}

fn records_end(end: u64) -> usize {
    usize::try_from(end).unwrap_or(usize::MAX)
}

fn frame(record: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(record.len()).ok().filter(|_| record.len() <= RECORD_BYTES_MAX)?;
    let frame = [&length.to_be_bytes()[..], &check_sum(record), record].concat();
    (length > 0).then_some(frame)
}

fn check_sum(record: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(record));
    [a, b, c, d]
}

/// The whole records at the beginning of `bytes`, and where they end.
fn whole_records(bytes: &[u8]) -> (Vec<Vec<u8>>, u64) {
    let mut records = Vec::new();
    let mut rest = bytes;
    while let Some((record, after)) = first_record(rest) {
        records.push(record.to_vec());
        rest = after;
    }
    (records, (bytes.len() - rest.len()) as u64)
}

fn first_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(FRAME_OVERHEAD)?;
    let (length, sum) = head.split_at_checked(4)?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
    if length == 0 || length > RECORD_BYTES_MAX {
        return None;
    }
    let (record, after) = rest.split_at_checked(length)?;
    (check_sum(record) == sum).then_some((record, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::tests::Folder;

    const CAPACITY: u64 = 4096;

    fn open(path: &Path) -> (JournalFile, Vec<Vec<u8>>) {
        JournalFile::open(path, CAPACITY).unwrap()
    }

    #[test]
    fn records_are_there_after_opening_again() {
        let folder = Folder::new("journal");
        let path = folder.0.join("journal");
        let (mut journal, records) = open(&path);
        assert!(records.is_empty());
        for record in [&b"one"[..], b"two"] {
            journal.append(record).unwrap();
        }
        drop(journal);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), CAPACITY);
        let (mut journal, records) = open(&path);
        assert_eq!(records, [b"one", b"two"]);
        journal.append(b"three").unwrap();
        assert_eq!(open(&path).1.len(), 3);
    }

    #[test]
    fn a_torn_record_is_dropped_wherever_it_was_cut() {
        let folder = Folder::new("torn");
        let path = folder.0.join("journal");
        let (mut journal, _) = open(&path);
        journal.append(b"whole").unwrap();
        let end = records_end(journal.end);
        journal.append(b"torn record").unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let full = records_end(journal.end);
        for cut in end..full {
            let mut torn = bytes.clone();
            torn[cut..full].fill(0);
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(open(&path).1, [b"whole"], "cut at {cut}");
            let (mut journal, _) = open(&path);
            journal.append(b"next").unwrap();
            assert_eq!(open(&path).1, [&b"whole"[..], b"next"], "cut at {cut}");
        }
    }

    #[test]
    fn a_full_journal_says_so_and_keeps_what_it_has() {
        let folder = Folder::new("full");
        let path = folder.0.join("journal");
        let (mut journal, _) = open(&path);
        let record = [7; 100];
        let fitting = CAPACITY / (100 + FRAME_OVERHEAD as u64);
        for _ in 0..fitting {
            journal.append(&record).unwrap();
        }
        assert_eq!(journal.append(&record).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(open(&path).1.len() as u64, fitting);
    }

    #[test]
    fn empty_and_oversized_records_are_refused() {
        let folder = Folder::new("sizes");
        let (mut journal, _) = JournalFile::open(&folder.0.join("journal"), 64 * 1024).unwrap();
        assert!(journal.append(&[]).is_err());
        assert!(journal.append(&[0; RECORD_BYTES_MAX + 1]).is_err());
        assert!(journal.append(&[0; RECORD_BYTES_MAX]).is_ok());
    }
}
