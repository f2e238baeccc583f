//! A reader on a machine: the engine with its files and the local link.
//!
//! The folder of a reader: `reader.cbor` (what it is), `reader.key` (32 bytes, its owner only),
//! `memory` (what the city told it), `journal` and `journal.base` (what it did, and how much of that
//! the city has). Everything is durable before it counts.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use audit::journal::{Head, JournalError, verify_run};
use credential::cbor::{CborError, Decoder, Encoder};
use credential::crypto::{BadKey, Crypto, P256Secret};
use credential::rejection::Rejection;
use credential::x509::{AnchorError, TrustAnchors};
use presentation::apdu::LinkLimits;
use reader::decision::Reason;
use reader::engine::{Config, Engine, Input, Memory, MemoryError, Output, ReaderKey};
use reader::journal::Watermark;
use vocabulary::code::PlaceCode;
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use crate::file;
use crate::journal_file::JournalFile;
use crate::link::{Link, LinkError};

/// Bytes in the journal file.
pub const JOURNAL_BYTES: u64 = 4 * 1024 * 1024;
/// Records that the journal has room for, each in a frame of at most 512 bytes.
pub const JOURNAL_RECORDS: u64 = JOURNAL_BYTES / 512;
/// Records that go up to the city at a time.
pub const PIECE_RECORDS_MAX: usize = 500;
/// Bytes of records that go up at a time.
pub const PIECE_BYTES_MAX: usize = 512 * 1024;
const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024;

/// What a reader is, as it is stored when it is enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its identifier.
    pub reader: ReaderId,
    /// The root of the city, DER.
    pub root: Vec<u8>,
    /// Its own certificate, DER.
    pub certificate: Vec<u8>,
}

/// A reader that is awake.
pub struct ReaderHost {
    folder: PathBuf,
    crypto: Box<dyn Crypto>,
    engine: Engine,
    journal: JournalFile,
    base: Head,
    records: Vec<Vec<u8>>,
}

/// A piece of journal for the city.
#[derive(Debug)]
pub struct Upload<'h> {
    /// The records, in order.
    pub records: &'h [Vec<u8>],
    /// The head of the journal after them, signed by the reader.
    pub signed_head: Vec<u8>,
    /// The number of the record after them: no more than this can be acknowledged.
    pub next: u64,
}

/// What came of one tap.
#[derive(Debug)]
pub struct TapReport {
    /// The door.
    pub door: PlaceCode,
    /// What the reader did.
    pub deed: Deed,
    /// How long it took, from the first command to the deed, in microseconds.
    pub duration_us: u64,
    /// The command and response APDUs in order, as they went over the link.
    pub apdus: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a reader does at the end of a tap.
#[derive(Debug)]
pub enum Deed {
    /// It unlocks the door, for so many milliseconds.
    Unlock {
        /// For how long.
        duration_ms: u32,
    },
    /// It leaves the door closed.
    Refuse {
        /// Why.
        reason: Reason,
        /// What exactly was wrong with the credential or the session.
        rejection: Option<Rejection>,
    },
}

/// Why a reader cannot work.
#[derive(Debug)]
pub enum HostError {
    /// A file cannot be read or written.
    File(io::Error),
    /// The folder holds no reader.
    NotEnrolled {
        /// Which folder.
        folder: PathBuf,
    },
    /// A file of the folder is damaged.
    Damaged {
        /// Which.
        file: &'static str,
    },
    /// The stored journal does not chain.
    Journal(JournalError),
    /// The stored memory is not one.
    Memory(MemoryError),
    /// The stored root is no certificate.
    Root(AnchorError),
    /// The stored key is no key.
    Key(BadKey),
    /// The link broke.
    Link(LinkError),
    /// What the city sent is refused; what was there before still counts.
    Rejected(Rejection),
    /// The tap ended without a deed.
    NoDeed,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(_) => f.write_str("cannot use the reader's files"),
            Self::NotEnrolled { folder } => {
                write!(f, "no reader is enrolled in `{}`", folder.display())
            }
            Self::Damaged { file } => write!(f, "the reader's file `{file}` is damaged"),
            Self::Journal(_) => f.write_str("the stored journal does not hold"),
            Self::Memory(_) => f.write_str("the stored memory does not hold"),
            Self::Root(_) => f.write_str("the stored root of the city cannot be used"),
            Self::Key(_) => f.write_str("the stored key cannot be used"),
            Self::Link(_) => f.write_str("the tap broke off"),
            Self::Rejected(rejection) => write!(f, "the reader refuses it: {rejection}"),
            Self::NoDeed => f.write_str("the tap ended without a deed"),
        }
    }
}

impl std::error::Error for HostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(source) => Some(source),
            Self::Journal(source) => Some(source),
            Self::Memory(source) => Some(source),
            Self::Root(source) => Some(source),
            Self::Key(source) => Some(source),
            Self::Link(source) => Some(source),
            _ => None,
        }
    }
}

impl From<io::Error> for HostError {
    fn from(source: io::Error) -> Self {
        Self::File(source)
    }
}

impl From<LinkError> for HostError {
    fn from(source: LinkError) -> Self {
        Self::Link(source)
    }
}

impl Identity {
    /// Stores a reader in its folder: its key first, so that an identity never lacks one.
    ///
    /// # Errors
    /// [`io::Error`] that names the file.
    pub fn store(&self, folder: &Path, key: &P256Secret) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        file::replace(&folder.join("reader.key"), key.danger_bytes())?;
        let mut encoder = Encoder::new();
        encoder.array(3).bytes(self.reader.as_bytes()).bytes(&self.root).bytes(&self.certificate);
        file::replace(&folder.join("reader.cbor"), encoder.as_bytes())
    }

    /// The reader of a folder.
    ///
    /// # Errors
    /// [`HostError::NotEnrolled`], [`HostError::Damaged`].
    pub fn load(folder: &Path) -> Result<Self, HostError> {
        let bytes = file::read(&folder.join("reader.cbor"), SMALL_FILE_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| HostError::NotEnrolled { folder: folder.into() })?;
        Self::decode(&bytes).map_err(|_| HostError::Damaged { file: "reader.cbor" })
    }

    fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut decoder = Decoder::new(bytes)?;
        decoder.array_of(3)?;
        let reader = ReaderId::from_bytes(decoder.byte_array()?);
        let (root, certificate) = (decoder.bytes()?.to_vec(), decoder.bytes()?.to_vec());
        decoder.finish()?;
        Ok(Self { reader, root, certificate })
    }
}

impl ReaderHost {
    /// Wakes the reader of `folder` up.
    ///
    /// # Errors
    /// [`HostError`] naming what is wrong with the folder.
    pub fn open(folder: &Path, crypto: Box<dyn Crypto>) -> Result<Self, HostError> {
        let identity = Identity::load(folder)?;
        let key = file::read(&folder.join("reader.key"), 32)?;
        let key = key.and_then(|key| <[u8; 32]>::try_from(key).ok());
        let key = key.ok_or(HostError::Damaged { file: "reader.key" })?;
        let memory = match file::read(&folder.join("memory"), MEMORY_BYTES_MAX)? {
            Some(bytes) => Memory::decode(&bytes).map_err(HostError::Memory)?,
            None => Memory::default(),
        };
        let base = read_base(folder, identity.reader)?;
        let (journal, records) = JournalFile::open(&folder.join("journal"), JOURNAL_BYTES)?;
        let records = not_yet_taken(records, &base);
        let head = verify_run(&base, &records.concat(), |_| {}).map_err(HostError::Journal)?;
        let config = Config {
            reader: identity.reader,
            root: TrustAnchors::from_ders([identity.root.as_slice()]).map_err(HostError::Root)?,
            chain: vec![identity.certificate],
            key: ReaderKey::Held(P256Secret::from_bytes(key)),
            journal_records_max: JOURNAL_RECORDS,
            link: LinkLimits::EXTENDED,
        };
        let engine = Engine::new(&*crypto, config, memory, head, base.entries());
        Ok(Self { folder: folder.into(), crypto, engine, journal, base, records })
    }

    /// The engine, to look at.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine, to break a measure on purpose.
    #[cfg(feature = "danger-sabotage")]
    pub const fn danger_engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Takes a trust bundle from the city, by whatever way it came.
    ///
    /// # Errors
    /// [`HostError::Rejected`]; [`HostError::File`] if it cannot be stored, and then does not count.
    pub fn install_bundle(&mut self, now: Instant, bytes: &[u8]) -> Result<Watermark, HostError> {
        self.engine.handle(&*self.crypto, now, Input::Bundle(bytes));
        self.settle(now)
    }

    /// Takes a status list (CWT), by whatever way it came.
    ///
    /// # Errors
    /// [`HostError::Rejected`]; [`HostError::File`] if it cannot be stored.
    pub fn install_status(&mut self, now: Instant, token: &[u8]) -> Result<Watermark, HostError> {
        self.engine.handle(&*self.crypto, now, Input::StatusList(token));
        self.settle(now)
    }

    /// Lets somebody out. This never fails for want of a record.
    pub fn egress(&mut self, now: Instant, door: PlaceCode) -> u32 {
        self.engine.handle(&*self.crypto, now, Input::Egress { door });
        let mut unlocked = reader::engine::EGRESS_UNLOCK_MS;
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Unlock { duration_ms, .. } => unlocked = duration_ms,
                output => drop(self.carry_out(now, output)),
            }
        }
        unlocked
    }

    /// One tap at `door`, with the phone at the other end of `link`. `clock` tells the time;
    /// `secret` must be fresh.
    ///
    /// # Errors
    /// [`HostError`] if there was no deed.
    pub fn tap(
        &mut self,
        link: &mut Link,
        door: PlaceCode,
        secret: P256Secret,
        clock: &dyn Fn() -> Instant,
    ) -> Result<TapReport, HostError> {
        let started = clock();
        let mut apdus = Vec::new();
        let mut deed = None;
        let tap = Input::Tap { door: door.clone(), secret };
        self.engine.handle(&*self.crypto, started, tap);
        let mut duration_us = 0;
        // The engine bounds the commands of a session, so that this ends.
        while let Some(output) = self.engine.poll_output() {
            let done = match output {
                Output::Command(command) => {
                    self.exchange(link, clock, command, &mut apdus);
                    continue;
                }
                Output::Unlock { duration_ms, .. } => Deed::Unlock { duration_ms },
                Output::Refused { reason, rejection, .. } => Deed::Refuse { reason, rejection },
                output => {
                    self.carry_out(clock(), output)?;
                    continue;
                }
            };
            let micros = clock().duration_since(started).as_micros();
            duration_us = u64::try_from(micros).unwrap_or(u64::MAX);
            deed = Some(done);
        }
        let deed = deed.ok_or(HostError::NoDeed)?;
        Ok(TapReport { door, deed, duration_us, apdus })
    }

    /// How many records the city has not got yet.
    #[must_use]
    pub const fn records_pending(&self) -> usize {
        self.records.len()
    }

    /// The next piece of what the city has not got yet: at most [`PIECE_RECORDS_MAX`] records and
    /// [`PIECE_BYTES_MAX`] bytes, and the head of the journal after them, signed. Nothing where
    /// there are no records.
    ///
    /// # Errors
    /// [`HostError::Key`], [`HostError::Journal`].
    pub fn pending_upload(&self, now: Instant) -> Result<Option<Upload<'_>>, HostError> {
        let records = piece(&self.records);
        let head = verify_run(&self.base, &records.concat(), |_| {}).map_err(HostError::Journal)?;
        let signed = self.engine.signed_head(&head, now).map_err(HostError::Key)?;
        let signed = signed.filter(|_| !records.is_empty());
        Ok(signed.map(|signed_head| Upload { records, signed_head, next: head.entries() }))
    }

    /// The city has all records before the one numbered `next`; their room is free again.
    ///
    /// # Errors
    /// [`HostError`] if that cannot be stored; the records are then sent again.
    pub fn acknowledged(&mut self, now: Instant, next: u64) -> Result<(), HostError> {
        let taken = usize::try_from(next.saturating_sub(self.base.entries())).unwrap_or(usize::MAX);
        let (gone, kept) = self.records.split_at_checked(taken).unwrap_or((&self.records, &[]));
        let base = verify_run(&self.base, &gone.concat(), |_| {}).map_err(HostError::Journal)?;
        let kept = kept.to_vec();
        write_base(&self.folder, &base)?;
        let path = self.folder.join("journal");
        let fresh = self.folder.join(".journal.new");
        let _ = std::fs::remove_file(&fresh);
        let (mut journal, _) = JournalFile::open(&fresh, JOURNAL_BYTES)?;
        kept.iter().try_for_each(|record| journal.append(record))?;
        std::fs::rename(&fresh, &path)?;
        (self.journal, self.base, self.records) = (journal, base, kept);
        let records = base.entries();
        self.engine.handle(&*self.crypto, now, Input::Acknowledged { records });
        Ok(())
    }

    fn exchange(
        &mut self,
        link: &mut Link,
        clock: &dyn Fn() -> Instant,
        command: Vec<u8>,
        apdus: &mut Vec<(Vec<u8>, Vec<u8>)>,
    ) {
        let answered = link.send(&command).and_then(|()| link.receive());
        match answered {
            Ok(response) => {
                self.engine.handle(&*self.crypto, clock(), Input::Response(&response));
                apdus.push((command, response));
            }
            Err(_) => {
                self.engine.handle(&*self.crypto, clock(), Input::LinkLost);
                apdus.push((command, Vec::new()));
            }
        }
    }

    /// Carries out everything that waits and says what the reader knows then.
    fn settle(&mut self, now: Instant) -> Result<Watermark, HostError> {
        while let Some(output) = self.engine.poll_output() {
            self.carry_out(now, output)?;
        }
        Ok(self.engine.watermark())
    }

    fn carry_out(&mut self, now: Instant, output: Output) -> Result<(), HostError> {
        match output {
            Output::Record(record) => {
                let kept = self.journal.append(&record);
                let input = if kept.is_ok() { Input::Recorded } else { Input::RecordFailed };
                if kept.is_ok() {
                    self.records.push(record);
                }
                self.engine.handle(&*self.crypto, now, input);
                Ok(())
            }
            Output::Persist(memory) => {
                let kept = file::replace(&self.folder.join("memory"), &memory);
                let input = if kept.is_ok() { Input::Persisted } else { Input::PersistFailed };
                self.engine.handle(&*self.crypto, now, input);
                kept.map_err(HostError::File)
            }
            Output::Rejected(rejection) => Err(HostError::Rejected(rejection)),
            _ => Ok(()),
        }
    }
}

/// As many records from the front as go up at a time; a single one always fits.
fn piece(records: &[Vec<u8>]) -> &[Vec<u8>] {
    let mut bytes = 0;
    let fits = |record: &&Vec<u8>| {
        bytes += record.len();
        bytes <= PIECE_BYTES_MAX
    };
    let count = records.iter().take(PIECE_RECORDS_MAX).take_while(fits).count();
    records.get(..count).unwrap_or_default()
}

/// After a crash between the two writes of `acknowledged`, the file still holds what is taken.
fn not_yet_taken(records: Vec<Vec<u8>>, base: &Head) -> Vec<Vec<u8>> {
    let is_new = |record: &Vec<u8>| {
        audit::journal::split_record(record, 0).is_ok_and(|(r, _)| r.sequence >= base.entries())
    };
    records.into_iter().skip_while(|record| !is_new(record)).collect()
}

fn read_base(folder: &Path, reader: ReaderId) -> Result<Head, HostError> {
    let damaged = HostError::Damaged { file: "journal.base" };
    let name = *reader.as_bytes();
    let Some(bytes) = file::read(&folder.join("journal.base"), 64)? else {
        return Ok(Head::start(name));
    };
    let read = |bytes: &[u8]| {
        let mut decoder = Decoder::new(bytes)?;
        decoder.array_of(2)?;
        Ok::<_, CborError>((decoder.unsigned()?, decoder.byte_array()?))
    };
    let (entries, hash) = read(&bytes).map_err(|_| damaged)?;
    Ok(Head::stored(name, entries, audit::hash::Hash::from_bytes(hash)))
}

fn write_base(folder: &Path, base: &Head) -> io::Result<()> {
    let mut encoder = Encoder::new();
    encoder.array(2).unsigned(base.entries()).bytes(base.hash().as_bytes());
    file::replace(&folder.join("journal.base"), encoder.as_bytes())
}
