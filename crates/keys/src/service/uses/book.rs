//! The files of the journal of uses.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use audit::journal::{Head, JournalError, split_record, verify_run};
use aws_lc_rs::rand;

use super::record::Use;
use crate::file;

/// Bytes of a file of the journal, after which another is begun.
pub const SEGMENT_BYTES_MAX: u64 = 4 << 20;

const NAME_FILE: &str = "name";
const SUFFIX: &str = ".uses";

/// The journal on disk: a folder of files.
#[derive(Debug)]
pub struct Book {
    folder: PathBuf,
    head: Head,
    file: File,
    /// Bytes of `file` that count.
    end: u64,
    /// Numbers of the first records of all files, in order; the last is that of `file`.
    segments: Vec<u64>,
    /// Bytes behind `end` may be those of an attempt that failed.
    is_torn: bool,
}

impl Book {
    /// Opens the journal in `folder`, or makes it, and checks the last file. The end of an append
    /// that was cut by a crash is removed: what it recorded never left.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let mut segments = segments(folder).map_err(OpenError::Io)?;
        let name = name(folder, segments.is_empty())?;
        let mut head = Head::start(name);
        let mut end = 0;
        // The last file may have been made and not yet written to.
        while let Some(first) = segments.last().copied() {
            let bytes = fs::read(segment(folder, first)).map_err(OpenError::Io)?;
            match whole(&name, first, &bytes)? {
                Some((found, length)) => {
                    (head, end) = (found, length);
                    break;
                }
                None if first == 0 => break,
                None => {
                    fs::remove_file(segment(folder, first)).map_err(OpenError::Io)?;
                    segments.pop();
                }
            }
        }
        if segments.is_empty() {
            segments.push(0);
        }
        let first = segments.last().copied().unwrap_or_default();
        let file = open(&segment(folder, first)).map_err(OpenError::Io)?;
        let mut book = Self { folder: folder.into(), head, file, end, segments, is_torn: true };
        book.mend().map_err(OpenError::Io)?;
        file::sync_folder(&segment(folder, first)).map_err(OpenError::Io)?;
        Ok(book)
    }

    /// How many records there are.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.head.entries()
    }

    /// Appends a record of each of `uses`, all or none, and flushes them.
    ///
    /// # Errors
    /// [`io::Error`]; nothing was recorded then.
    pub fn append<'u>(&mut self, uses: impl Iterator<Item = &'u Use>) -> io::Result<()> {
        self.mend()?;
        if self.end >= SEGMENT_BYTES_MAX {
            self.begin_another()?;
        }
        let (mut head, mut bytes) = (self.head, Vec::new());
        for used in uses {
            let payload = used.to_payload();
            let (record, next) = head.append(used.at, &payload).map_err(io::Error::other)?;
            bytes.extend_from_slice(&record);
            head = next;
        }
        self.is_torn = true;
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.is_torn = false;
        self.head = head;
        self.end += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// What reads of this journal need, as it is now.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader {
            folder: self.folder.clone(),
            name: *self.head.journal(),
            entries: self.head.entries(),
            segments: self.segments.clone(),
        }
    }

    /// Cuts off what an attempt that failed has left.
    fn mend(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.end)?;
            self.file.sync_all()?;
            self.is_torn = false;
        }
        Ok(())
    }

    fn begin_another(&mut self) -> io::Result<()> {
        let first = self.head.entries();
        let path = segment(&self.folder, first);
        self.file = open(&path)?;
        self.file.set_len(0)?;
        self.end = 0;
        if self.segments.last() != Some(&first) {
            self.segments.push(first);
        }
        file::sync_folder(&path)
    }
}

/// Reads records while others are appended.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    name: [u8; 16],
    entries: u64,
    segments: Vec<u64>,
}

impl Reader {
    /// Name of the journal, number of all records, and those from number `from` on, as many as
    /// `bytes_max` and one file hold.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn read(&self, from: u64, bytes_max: usize) -> io::Result<([u8; 16], u64, Vec<u8>)> {
        let nothing = (self.name, self.entries, Vec::new());
        let first = self.segments.iter().rev().find(|first| **first <= from);
        let Some(first) = first.filter(|_| from < self.entries) else { return Ok(nothing) };
        let bytes = fs::read(segment(&self.folder, *first))?;
        let (mut rest, mut found) = (bytes.as_slice(), Vec::new());
        let mut number = *first;
        while number < self.entries {
            let Ok((record, after)) = split_record(rest, number) else { break };
            if number >= from {
                if found.len() + record.bytes.len() > bytes_max {
                    break;
                }
                found.extend_from_slice(record.bytes);
            }
            (rest, number) = (after, number + 1);
        }
        Ok((self.name, self.entries, found))
    }
}

/// The head after the whole records of a file, and how many bytes they have; none where there is
/// not one.
fn whole(name: &[u8; 16], first: u64, bytes: &[u8]) -> Result<Option<(Head, u64)>, OpenError> {
    let record = match split_record(bytes, first) {
        Ok((record, _)) => record,
        // The first write was cut; anything else was a record once.
        Err(JournalError::Truncated { .. }) => return Ok(None),
        Err(error) => return Err(OpenError::Damaged(error)),
    };
    let start = match first {
        0 => Head::start(*name),
        _ => Head::stored(*name, first, record.previous),
    };
    let (mut rest, mut length) = (bytes, 0);
    while !rest.is_empty() {
        match split_record(rest, first) {
            Ok((record, after)) => (rest, length) = (after, length + record.bytes.len()),
            // A write that was cut is the last, and ends in the middle of a record.
            Err(JournalError::Truncated { .. }) => break,
            Err(error) => return Err(OpenError::Damaged(error)),
        }
    }
    let head = verify_run(&start, bytes.get(..length).unwrap_or_default(), |_| {});
    let head = head.map_err(OpenError::Damaged)?;
    Ok(Some((head, u64::try_from(length).unwrap_or(u64::MAX))))
}

/// The name of the journal; made for one that is new.
fn name(folder: &Path, is_new: bool) -> Result<[u8; 16], OpenError> {
    let path = folder.join(NAME_FILE);
    if is_new && !path.exists() {
        let mut name = [0; 16];
        rand::fill(&mut name).map_err(|_| OpenError::Random)?;
        file::create_secret(&path, &name).map_err(OpenError::File)?;
    }
    let bytes = file::read_secret(&path).map_err(OpenError::File)?;
    bytes.as_slice().try_into().map_err(|_| OpenError::Name)
}

fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        found.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

fn segment(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}{SUFFIX}"))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).read(true).mode(0o600).open(path)
}

/// Why a journal is not gone on with.
#[derive(Debug)]
pub enum OpenError {
    /// Its files cannot be read or written.
    Io(io::Error),
    /// Its thread cannot be started.
    Thread(io::Error),
    /// The file of its name is not usable.
    File(crate::file::FileError),
    /// The file of its name does not hold 16 bytes.
    Name,
    /// The random generator failed.
    Random,
    /// Records do not follow one another: somebody has changed the journal.
    Damaged(JournalError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io(_) => "open journal of uses: a file cannot be read or written",
            Self::Thread(_) => "open journal of uses: its thread cannot be started",
            Self::File(_) => "open journal of uses: the file of its name is not usable",
            Self::Name => "open journal of uses: the file of its name does not hold `16` bytes",
            Self::Random => "open journal of uses: the random generator failed",
            Self::Damaged(_) => "open journal of uses: its records do not follow one another",
        })
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(source) | Self::Thread(source) => Some(source),
            Self::File(source) => Some(source),
            Self::Damaged(source) => Some(source),
            Self::Name | Self::Random => None,
        }
    }
}
