//! A reader on a machine: the engine with its files; taps come over whatever carries APDUs.
//!
//! The folder of a reader: `reader.cbor` (what it is), `reader.key` (32 bytes, its owner only),
//! `restarts` (how often it woke up), `memory` (what the city told it), `element` (its symmetric keys, where no chip has them), `journal` and `journal.base` (what it did, and how much of that
//! the city has). Everything is durable before it counts. `reader.cbor`, `memory` and `journal.base`
//! begin with a check sum. One process at a time works in a folder.

mod error;
mod identity;
mod ledger;

use std::path::{Path, PathBuf};

use credential::crypto::{Crypto, P256Secret};
use credential::delivery::Suite;
use credential::delivery::recipient::Statement;
use credential::rejection::Rejection;
use credential::x509::TrustAnchors;
use presentation::apdu::LinkLimits;
use presentation::express::reader::{HandleOpener, OpenError};
use presentation::profile::Profile;
use reader::decision::Reason;
use reader::delivery::{SecureElement, Taken, take};
use reader::engine::{Config, Engine, Input, Memory, Output, ReaderKey, StandardIdentity};
use reader::journal::Watermark;
use reader::taps::TimeBounds;
use vocabulary::code::PlaceCode;
use vocabulary::time::Instant;

pub use self::error::HostError;
pub use self::identity::{Identity, StandardCertificate};
use self::ledger::Ledger;
pub use self::ledger::{JOURNAL_BYTES, JOURNAL_RECORDS, PIECE_BYTES_MAX, PIECE_RECORDS_MAX};
use crate::element::SoftwareElement;
use crate::file;
use crate::link::WAIT;
use crate::lock::Lock;
use crate::transport::Transport;

const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A reader that is awake.
pub struct ReaderHost {
    folder: PathBuf,
    _lock: Lock,
    crypto: Box<dyn Crypto + Send>,
    engine: Engine,
    ledger: Ledger,
    element: Option<SoftwareElement>,
    disbelieved: Vec<Rejection>,
}

/// What a reader's machine says of its link.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What the link carries.
    pub link: LinkLimits,
    /// How fast a phone or a card must answer, where the bundle allows more.
    pub bounds: TimeBounds,
    /// The least profile of a tap, where the bundle asks for less.
    pub least: Profile,
}

impl Default for Settings {
    /// Everything that extended length allows, and what the bundle says of taps.
    fn default() -> Self {
        let (link, bounds) = (LinkLimits::EXTENDED, TimeBounds::default());
        Self { link, bounds, least: Profile::Express }
    }
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
    /// By which profile the pass was shown; nothing where none was verified.
    pub profile: Option<Profile>,
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

impl ReaderHost {
    /// Wakes the reader of `folder` up.
    ///
    /// # Errors
    /// [`HostError`] naming what is wrong with the folder; [`HostError::Locked`] while another
    /// process works there.
    pub fn open(folder: &Path, crypto: Box<dyn Crypto + Send>) -> Result<Self, HostError> {
        Self::open_with(folder, crypto, Settings::default())
    }

    /// As [`ReaderHost::open`], with settings of its own.
    ///
    /// # Errors
    /// As [`ReaderHost::open`].
    pub fn open_with(
        folder: &Path,
        crypto: Box<dyn Crypto + Send>,
        settings: Settings,
    ) -> Result<Self, HostError> {
        let identity = Identity::load(folder)?;
        let lock = lock(folder)?;
        let key = identity.key(folder, &*crypto)?;
        let memory = read_memory(folder)?;
        let root = TrustAnchors::from_ders([identity.root.as_slice()])
            .map_err(|source| HostError::Root { file: folder.join("reader.cbor"), source })?;
        let (ledger, head) = Ledger::open(folder, identity.reader)?;
        let element = SoftwareElement::open(folder)?;
        let config = Config {
            reader: identity.reader,
            root,
            chain: vec![identity.certificate],
            key: ReaderKey::Held(key),
            journal_records_max: JOURNAL_RECORDS,
            link: settings.link,
            bounds: settings.bounds,
            restarts: count_restart(folder)?,
            standard: identity.standard.map(standard_identity),
            least: settings.least,
        };
        let mut engine = Engine::new(&*crypto, config, memory, head, ledger.taken());
        engine.recall(ledger.known());
        let mut disbelieved = Vec::new();
        while let Some(output) = engine.poll_output() {
            if let Output::Rejected(rejection) = output {
                disbelieved.push(rejection);
            }
        }
        let folder = folder.into();
        let mut host = Self { folder, _lock: lock, crypto, engine, ledger, element, disbelieved };
        // What a loss of power left undone between bundle and element is done now.
        let taken = host.take_keys()?;
        host.disbelieved.extend(taken.refused);
        Ok(host)
    }

    /// What this reader remembered when it woke up and does not believe any more, such as a bundle
    /// whose signer has expired. It works without that until the city tells it anew.
    #[must_use]
    pub fn disbelieved(&self) -> &[Rejection] {
        &self.disbelieved
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

    /// Takes another certificate for the same key, which wallets see from the next tap on.
    ///
    /// # Errors
    /// [`HostError::Rejected`] for one of another key; [`HostError::File`].
    pub fn renew_certificate(
        &mut self,
        certificate: Vec<u8>,
        standard: Option<StandardCertificate>,
    ) -> Result<(), HostError> {
        let before = Identity::load(&self.folder)?;
        let identity = Identity { certificate, standard, ..before.clone() };
        if !identity.follows(&before) {
            let message = String::from("the certificate is not for the key of this reader");
            return Err(HostError::Rejected(Rejection::wire("certificate-key", message)));
        }
        identity.write(&self.folder)?;
        let standard = identity.standard.map(standard_identity);
        self.engine.renew_chain(vec![identity.certificate], standard);
        Ok(())
    }

    /// Has the secure element take the keys that the bundle in force delivers; to be called after
    /// [`ReaderHost::install_bundle`]. Nothing happens without an element. Doors do not wait for this.
    ///
    /// # Errors
    /// [`HostError::Element`] when nothing could be stored; the keys before are then in use still.
    pub fn take_keys(&mut self) -> Result<Taken, HostError> {
        let (Some(element), Some(bundle)) = (&mut self.element, self.engine.bundle()) else {
            return Ok(Taken::default());
        };
        let bundle = bundle.bundle();
        let taken = take(element, bundle.reader, &bundle.deliveries).map_err(HostError::Element);
        let contexts = element.contexts();
        self.engine.hold_epoch_keys(contexts);
        taken
    }

    /// The secure element, if this reader has one.
    #[must_use]
    pub const fn element(&self) -> Option<&SoftwareElement> {
        self.element.as_ref()
    }

    /// Gives this reader a secure element in software, where it has none.
    ///
    /// # Errors
    /// [`HostError::File`], also where there is one.
    pub fn make_element(&mut self, suite: Suite) -> Result<(), HostError> {
        self.element = Some(SoftwareElement::create(&self.folder, suite)?);
        Ok(())
    }

    /// The statement by which the city learns the delivery keys of the element by it and by
    /// the reader's own key. Nothing without an element.
    ///
    /// # Errors
    /// [`HostError::Element`], [`HostError::Key`].
    pub fn delivery_keys(&self) -> Result<Option<Statement>, HostError> {
        let Some(element) = &self.element else { return Ok(None) };
        let identity = Identity::load(&self.folder)?;
        let recipient = element.recipient().clone();
        let challenge = recipient.challenge(identity.reader);
        let key = identity.key(&self.folder, &*self.crypto)?;
        let by_reader = self.crypto.p256_sign(&key, &challenge).map_err(HostError::Key)?;
        let by_delivery_key = element.prove(&challenge).map_err(HostError::Element)?;
        Ok(Some(Statement { reader: identity.reader, recipient, by_reader, by_delivery_key }))
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
                output => drop(self.carry_out(&|| now, output)),
            }
        }
        unlocked
    }

    /// One tap at `door`, with the phone or card at the other end of `link`. `clock` tells the time;
    /// `secret` must be fresh.
    ///
    /// # Errors
    /// [`HostError`] if there was no deed.
    pub fn tap(
        &mut self,
        link: &mut dyn Transport,
        door: PlaceCode,
        secret: P256Secret,
        clock: &dyn Fn() -> Instant,
    ) -> Result<TapReport, HostError> {
        let started = clock();
        let mut apdus = Vec::new();
        let mut deed = None;
        let mut failure = HostError::NoDeed;
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
                Output::Unlock { duration_ms, profile, .. } => {
                    (Deed::Unlock { duration_ms }, profile)
                }
                Output::Refused { reason, rejection, profile, .. } => {
                    (Deed::Refuse { reason, rejection }, profile)
                }
                output => {
                    // Whatever fails here, the engine is heard to its end.
                    self.carry_out(clock, output).unwrap_or_else(|error| failure = error);
                    continue;
                }
            };
            let micros = clock().duration_since(started).as_micros();
            duration_us = u64::try_from(micros).unwrap_or(u64::MAX);
            deed = Some(done);
        }
        let (deed, profile) = deed.ok_or(failure)?;
        Ok(TapReport { door, deed, profile, duration_us, apdus })
    }

    /// How many records the city has not got yet.
    #[must_use]
    pub const fn records_pending(&self) -> usize {
        self.ledger.records_pending()
    }

    /// The next piece of what the city has not got yet: at most [`PIECE_RECORDS_MAX`] records and
    /// [`PIECE_BYTES_MAX`] bytes, and the head of the journal after them, signed. Nothing where
    /// there are no records.
    ///
    /// # Errors
    /// [`HostError::Key`], [`HostError::Journal`].
    pub fn pending_upload(&self, now: Instant) -> Result<Option<Upload<'_>>, HostError> {
        let (records, head) = self.ledger.piece()?;
        let signed = self.engine.signed_head(&head, now).map_err(HostError::Key)?;
        let signed = signed.filter(|_| !records.is_empty());
        Ok(signed.map(|signed_head| Upload { records, signed_head, next: head.entries() }))
    }

    /// The city has all records before the one numbered `next`; their room is free again.
    ///
    /// # Errors
    /// [`HostError`] if that cannot be stored; the records are then sent again, or their room is
    /// not free yet.
    pub fn acknowledged(&mut self, now: Instant, next: u64) -> Result<(), HostError> {
        let released = self.ledger.release(next);
        let records = self.ledger.taken();
        self.engine.handle(&*self.crypto, now, Input::Acknowledged { records });
        released
    }

    fn exchange(
        &mut self,
        link: &mut dyn Transport,
        clock: &dyn Fn() -> Instant,
        command: Vec<u8>,
        apdus: &mut Vec<(Vec<u8>, Vec<u8>)>,
    ) {
        let until = self.engine.poll_timeout();
        let wait = until.map_or(WAIT, |until| until.duration_since(clock()));
        let answered = link.exchange(&command, wait);
        let now = clock();
        let input = match &answered {
            Ok(answer) => Input::Response { bytes: &answer.response, took: answer.took },
            Err(_) if until.is_some_and(|until| until <= now) => Input::Timeout,
            Err(_) => Input::LinkLost,
        };
        self.engine.handle(&*self.crypto, now, input);
        let response = answered.map(|answer| answer.response);
        apdus.push((command, response.unwrap_or_default()));
    }

    /// Carries out everything that waits and says what the reader knows then, or what failed first.
    fn settle(&mut self, now: Instant) -> Result<Watermark, HostError> {
        let mut settled = Ok(());
        while let Some(output) = self.engine.poll_output() {
            settled = settled.and(self.carry_out(&|| now, output));
        }
        settled.map(|()| self.engine.watermark())
    }

    fn carry_out(&mut self, clock: &dyn Fn() -> Instant, output: Output) -> Result<(), HostError> {
        match output {
            Output::Record(record) => {
                let kept = self.ledger.append(record);
                let input = if kept.is_ok() { Input::Recorded } else { Input::RecordFailed };
                // Read after the write: a disk that took too long must show.
                self.engine.handle(&*self.crypto, clock(), input);
                Ok(())
            }
            Output::Persist(memory) => {
                let kept = file::replace_checked(&self.folder.join("memory"), &memory);
                let input = if kept.is_ok() { Input::Persisted } else { Input::PersistFailed };
                self.engine.handle(&*self.crypto, clock(), input);
                kept.map_err(HostError::File)
            }
            Output::OpenHandle { context, handle } => {
                let opened = self.element.as_ref().ok_or(OpenError::NoKey);
                let opened = opened.and_then(|element| element.open(context, &handle));
                self.engine.handle(&*self.crypto, clock(), Input::HandleOpened(opened));
                Ok(())
            }
            Output::Rejected(rejection) => Err(HostError::Rejected(rejection)),
            _ => Ok(()),
        }
    }
}

fn standard_identity(standard: StandardCertificate) -> StandardIdentity {
    let StandardCertificate { group_key, certificate } = standard;
    StandardIdentity { group_key, certificate }
}

fn lock(folder: &Path) -> Result<Lock, HostError> {
    Lock::take(folder)?.ok_or_else(|| HostError::Locked { folder: folder.into() })
}

/// Counts this start, durably: a count that went back could let a recording in. Where nothing can be
/// stored, as on a full disk, a number drawn at random stands for the count, above all that are counted.
fn count_restart(folder: &Path) -> Result<u64, HostError> {
    let file = folder.join("restarts");
    let before = file::read_checked(&file, 8)?.unwrap_or_else(|| vec![0; 8]);
    let before = before.try_into().map_err(|_| HostError::Damaged { file: file.clone() })?;
    let restarts = u64::from_be_bytes(before).saturating_add(1);
    let Err(error) = file::replace_checked(&file, &restarts.to_be_bytes()) else {
        return Ok(restarts);
    };
    let mut drawn = [0; 8];
    aws_lc_rs::rand::fill(&mut drawn).map_err(|_| HostError::File(error))?;
    Ok(u64::from_be_bytes(drawn) | 1 << 63)
}

fn read_memory(folder: &Path) -> Result<Memory, HostError> {
    let file = folder.join("memory");
    match file::read_checked(&file, MEMORY_BYTES_MAX)? {
        Some(bytes) => Memory::decode(&bytes).map_err(|source| HostError::Memory { file, source }),
        None => Ok(Memory::default()),
    }
}
