//! The journal of a reader on disk: one preallocated file, so that a record never fails for lack of
//! space within it. A last record that was torn by a crash is dropped; a record that is damaged
//! before others is an error, and nothing behind it is touched.
//!
//! Layout: frames of a big-endian `u32` length, four bytes of check sum (the beginning of the
//! SHA-256 of the record), the record; a length of zero ends the file. Whether records chain is
//! for `audit::journal` to say.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::file::{self, named};

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
    /// [`io::Error`] that names the file; of kind `InvalidData` if it is damaged.
    pub fn open(path: &Path, capacity: u64) -> io::Result<(Self, Vec<Vec<u8>>)> {
        let failed = |error: io::Error| named(&error, "cannot open journal", path);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = file.open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let capacity = capacity.max(bytes.len() as u64);
        let (records, end) = whole_records(&bytes);
        let tail = bytes.get(as_index(end)..).unwrap_or_default();
        let torn = torn_bytes(tail).ok_or_else(|| failed(damage(records.len())))?;
        let journal = Self { file, path: path.into(), capacity, end };
        journal.preallocate(bytes.len() as u64).map_err(failed)?;
        journal.erase(torn).map_err(failed)?;
        file::sync_folder(path).map_err(failed)?;
        Ok((journal, records))
    }

    /// Appends a record and returns once it is durable.
    ///
    /// # Errors
    /// [`io::Error`] of kind `StorageFull` when the file has no room left, or of the system; the
    /// record is then not part of the journal.
    pub fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let failed = |error: io::Error, path: &Path| named(&error, "cannot write journal", path);
        let frame = frame(record).map_err(|error| failed(error, &self.path))?;
        if self.end + frame.len() as u64 > self.capacity {
            let error = io::Error::new(io::ErrorKind::StorageFull, "the journal is full");
            return Err(failed(error, &self.path));
        }
        let written = self.file.write_all_at(&frame, self.end).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What did not become a deed shall not stand there after a restart.
            let _ = self.erase(frame.len());
            return Err(failed(error, &self.path));
        }
        self.end += frame.len() as u64;
        Ok(())
    }

    /// Replaces the whole journal by one that holds `records`: after a crash it is the old or the
    /// new one.
    ///
    /// # Errors
    /// [`io::Error`] that names the file; whatever the error, this goes on with the file that is
    /// there.
    pub fn rewrite(&mut self, records: &[Vec<u8>]) -> io::Result<()> {
        let failed = |error: io::Error, path: &Path| named(&error, "cannot write journal", path);
        let beside = file::beside(&self.path);
        let fresh = Self::fresh(&beside, self.capacity, records);
        let moved = fresh.and_then(|fresh| fs::rename(&beside, &self.path).map(|()| fresh));
        match moved {
            Ok(fresh) => (self.file, self.end) = (fresh.file, fresh.end),
            Err(error) => {
                let _ = fs::remove_file(&beside);
                return Err(failed(error, &self.path));
            }
        }
        file::sync_folder(&self.path).map_err(|error| failed(error, &self.path))
    }

    fn fresh(path: &Path, capacity: u64, records: &[Vec<u8>]) -> io::Result<Self> {
        let frames: io::Result<Vec<Vec<u8>>> = records.iter().map(|r| frame(r)).collect();
        let frames = frames?.concat();
        let end = frames.len() as u64;
        let journal = Self { file: file::create(path)?, path: path.into(), capacity, end };
        journal.file.write_all_at(&frames, 0)?;
        journal.preallocate(end)?;
        Ok(journal)
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
    fn erase(&self, torn: usize) -> io::Result<()> {
        if torn == 0 {
            return Ok(());
        }
        self.file.write_all_at(&vec![0; torn], self.end)?;
        self.file.sync_all()
    }
}

fn as_index(end: u64) -> usize {
    usize::try_from(end).unwrap_or(usize::MAX)
}

fn damage(records: usize) -> io::Error {
    let message = format!("it is damaged behind its record {records}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn frame(record: &[u8]) -> io::Result<Vec<u8>> {
    let fits = (1..=RECORD_BYTES_MAX).contains(&record.len());
    let length = u32::try_from(record.len()).ok().filter(|_| fits).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "record is empty or too long")
    })?;
    Ok([&length.to_be_bytes()[..], &check_sum(record), record].concat())
}

/// Bytes of the torn record at the beginning of `tail`; nothing if the tail holds more than one
/// record can leave there: then it is damage, and no crash.
fn torn_bytes(tail: &[u8]) -> Option<usize> {
    let torn = tail.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let holds_record = |at| tail.get(at..).and_then(first_record).is_some();
    let is_torn = torn <= FRAME_OVERHEAD + RECORD_BYTES_MAX && !(0..torn).any(holds_record);
    is_torn.then_some(torn)
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
        let end = as_index(journal.end);
        journal.append(b"torn record").unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let full = as_index(journal.end);
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
    fn damage_before_other_records_is_an_error_and_touches_nothing() {
        let folder = Folder::new("damage");
        let path = folder.0.join("journal");
        let (mut journal, _) = open(&path);
        for record in [&b"one"[..], b"two", b"three"] {
            journal.append(record).unwrap();
        }
        let last = as_index(journal.end) - FRAME_OVERHEAD - b"three".len();
        let whole = std::fs::read(&path).unwrap();
        for position in 0..last {
            let mut bytes = whole.clone();
            bytes[position] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            let error = JournalFile::open(&path, CAPACITY).err().expect("damage is noticed");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {position}");
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "byte {position}");
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(open(&path).1.len(), 3, "control");
    }

    #[test]
    fn a_file_full_of_something_else_is_no_journal() {
        let folder = Folder::new("noise");
        let path = folder.0.join("journal");
        std::fs::write(&path, vec![0xA5; 2 * (FRAME_OVERHEAD + RECORD_BYTES_MAX)]).unwrap();
        let error = JournalFile::open(&path, CAPACITY).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_rewritten_journal_holds_what_it_was_given_and_goes_on() {
        let folder = Folder::new("rewrite");
        let path = folder.0.join("journal");
        let (mut journal, _) = open(&path);
        for record in [&b"one"[..], b"two", b"three"] {
            journal.append(record).unwrap();
        }
        journal.rewrite(&[b"three".to_vec()]).unwrap();
        journal.append(b"four").unwrap();
        assert_eq!(open(&path).1, [&b"three"[..], b"four"]);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), CAPACITY);
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
        // Where it cannot be written, everything is as it was, and goes on.
        std::fs::create_dir(folder.0.join(".journal.new")).unwrap();
        assert!(journal.rewrite(&[]).is_err());
        journal.append(b"five").unwrap();
        assert_eq!(open(&path).1, [&b"three"[..], b"four", b"five"]);
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
