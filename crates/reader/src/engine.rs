//! The engine: one reader with its doors, from a phone in the field to an open door.
//!
//! `handle(now, input)`, then drain `poll_output()` and look at `poll_timeout()`. The order of
//! outputs is the promise of the reader: a deed is recorded before it is done ([`Output::Record`],
//! and only after [`Input::Recorded`] comes [`Output::Unlock`]), and what a bundle says counts only
//! once it is stored. A way out is the exception: it opens at once, whatever else is wrong.
//!
//! The engine holds no list of people, asks no network, and never accepts a time below the
//! greatest that the city has signed to it.

mod judge;
mod knowledge;
mod memory;
mod pace;
mod record;
#[cfg(feature = "danger-sabotage")]
pub mod sabotage;
mod tap;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use audit::journal::{Head, SIGNED_HEAD_BYTES};
use credential::crypto::{BadKey, Crypto, P256Secret, Signature, Signer};
use credential::rejection::Rejection;
use credential::x509::{SignerCache, TrustAnchors};
use presentation::apdu::LinkLimits;
use vocabulary::code::PlaceCode;
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use self::judge::{Measure, Verdict};
pub use self::memory::{Memory, MemoryError};
use self::pace::Pace;
pub use self::pace::{TimeBound, TimeBounds};
use self::tap::Tap;
use crate::bundle::VerifiedBundle;
use crate::decision::Reason;
use crate::journal::{Event, PassTrace, Watermark};
use crate::snapshot::StatusSnapshot;

/// How far the reader's clock may lie behind the greatest time that was signed to it. Within this
/// span the signed time counts; beyond it no door opens.
pub const CLOCK_LAG_MAX: Duration = Duration::from_secs(60);
/// Events that wait for the record before them.
pub const WAITING_MAX: usize = 32;
/// How long a grant may wait for its record. A door that opens later opens to whoever stands there.
pub const RECORD_WAIT_MAX: Duration = Duration::from_secs(2);
/// For how long a door unlocks for a way out at least, whatever the bundle says, and without one.
pub const EGRESS_UNLOCK_MS: u32 = 5_000;

/// What a reader is, fixed when it is enrolled.
#[derive(Debug)]
pub struct Config {
    /// Its identifier, which names its journal.
    pub reader: ReaderId,
    /// The root of the city, pinned. Once it has learnt others, its memory says which count.
    pub root: TrustAnchors,
    /// Its own certificate and those above it that wallets need, DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// Its own key, on P-256, to which the certificate belongs.
    pub key: ReaderKey,
    /// Records that the journal has room for until the city has taken them in.
    pub journal_records_max: u64,
    /// What its contactless link carries.
    pub link: LinkLimits,
    /// How fast a phone or a card must answer.
    pub bounds: TimeBounds,
}

/// Where the reader's key is.
#[derive(Debug)]
pub enum ReaderKey {
    /// Here, in software.
    Held(P256Secret),
    /// In an element that signs by itself: see [`Output::Sign`].
    Elsewhere,
}

/// What may happen to a reader.
#[derive(Debug)]
pub enum Input<'a> {
    /// A phone came into the field at a door. A tap that is under way there or elsewhere ends.
    Tap {
        /// The door.
        door: PlaceCode,
        /// 32 bytes of fresh entropy: the ephemeral key of the session, never used twice.
        secret: P256Secret,
    },
    /// A response APDU arrived.
    Response {
        /// The response.
        bytes: &'a [u8],
        /// How long it took at the link, by a clock that nobody sets: from the last byte of the command
        /// to the last byte of the response.
        took: Duration,
    },
    /// The signature that [`Output::Sign`] asked for, 64 bytes.
    Signature(&'a [u8]),
    /// The instant of `poll_timeout` has come.
    Timeout,
    /// The phone has gone.
    LinkLost,
    /// Somebody wants to go out.
    Egress {
        /// The door.
        door: PlaceCode,
    },
    /// The record of the last [`Output::Record`] is durable. The time that comes with it is read
    /// after it became so: a grant that waited for longer than [`RECORD_WAIT_MAX`] opens nothing.
    Recorded,
    /// It is not, and no part of it is in the journal.
    RecordFailed,
    /// A trust bundle came from the city, by whatever way.
    Bundle(&'a [u8]),
    /// A status list came (CWT), by whatever way.
    StatusList(&'a [u8]),
    /// The memory of the last [`Output::Persist`] is durable.
    Persisted,
    /// It is not; the one before it still is.
    PersistFailed,
    /// The city has taken in the first so many records of the journal.
    Acknowledged {
        /// How many, counted from the first ever.
        records: u64,
    },
}

/// What a reader wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this command APDU to the phone.
    Command(Vec<u8>),
    /// Sign these bytes with the reader's key (ES256), hand in [`Input::Signature`].
    Sign(Vec<u8>),
    /// Append this record to the journal, durably, then hand in [`Input::Recorded`] or
    /// [`Input::RecordFailed`]. One record is under way at a time.
    Record(Vec<u8>),
    /// Unlock the door.
    Unlock {
        /// The door.
        door: PlaceCode,
        /// For how long, in milliseconds.
        duration_ms: u32,
    },
    /// Tell the holder that the door stays closed.
    Refused {
        /// The door.
        door: PlaceCode,
        /// Why.
        reason: Reason,
        /// What exactly was wrong with the credential or the session, if that was it.
        rejection: Option<Rejection>,
    },
    /// Store this memory in place of the one before it, all of it or nothing, then hand in
    /// [`Input::Persisted`] or [`Input::PersistFailed`].
    Persist(Vec<u8>),
    /// What the reader knows has changed.
    Installed(Watermark),
    /// A bundle or a status list is refused; what was there before still counts.
    Rejected(Rejection),
}

/// A reader.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    /// The reader's own key, ready for use; nothing if it is elsewhere or no scalar.
    signer: Option<Box<dyn Signer>>,
    /// The greatest time that the city has signed to this reader.
    floor: Instant,
    /// The greatest epoch of a bundle that is stored.
    epoch: u64,
    /// The roots that it believes, oldest first.
    roots: TrustAnchors,
    bundle: Option<VerifiedBundle>,
    /// Verified, but not yet stored.
    staged: Option<VerifiedBundle>,
    /// Memories that are given out and of which the host has not said what became of them.
    persisting: u32,
    status: StatusSnapshot,
    cache: SignerCache,
    head: Head,
    acknowledged: u64,
    missed: u32,
    tap: Option<Tap>,
    /// The record under way: the head after it, and what to do then.
    recording: Option<(Head, After)>,
    waiting: VecDeque<(Instant, Event, After)>,
    outputs: VecDeque<Output>,
    #[cfg(feature = "danger-sabotage")]
    sabotage: sabotage::DangerSabotage,
    #[cfg(feature = "danger-sabotage")]
    reused: Option<P256Secret>,
}

/// What follows a record.
#[derive(Debug)]
enum After {
    Unlock(Grant),
    Refuse { door: PlaceCode, reason: Reason, rejection: Option<Rejection> },
    Nothing,
}

/// A door that shall open.
#[derive(Debug)]
struct Grant {
    door: PlaceCode,
    duration_ms: u32,
    granted_at: Instant,
    pass: Option<PassTrace>,
}

impl Config {
    /// The root that was given to the reader at enrolment, DER.
    fn pinned(&self) -> &[u8] {
        self.root.certificates().next().unwrap_or_default()
    }
}

impl Engine {
    /// A reader that wakes up with what it had stored: its memory, the head of its journal as it
    /// was verified there, and how many records the city has taken in. What does not hold any more
    /// is told by [`Output::Rejected`] and not used.
    #[must_use]
    pub fn new(
        crypto: &dyn Crypto,
        config: Config,
        memory: Memory,
        head: Head,
        acknowledged: u64,
    ) -> Self {
        let Memory { floor, epoch, pinned, roots, bundle, status, is_beyond } = memory;
        // A memory was read with readable roots only.
        let roots = TrustAnchors::from_ders(roots.iter().map(Vec::as_slice));
        let roots = roots.ok().filter(|roots| !roots.is_empty() && pinned == config.pinned());
        let signer = match &config.key {
            ReaderKey::Held(key) => crypto.p256_signer(key).ok(),
            ReaderKey::Elsewhere => None,
        };
        let mut engine = Self {
            signer,
            floor,
            epoch,
            roots: roots.unwrap_or_else(|| config.root.clone()),
            config,
            bundle: None,
            staged: None,
            persisting: 0,
            status: StatusSnapshot::new(),
            cache: SignerCache::new(),
            head,
            acknowledged,
            missed: 0,
            tap: None,
            recording: None,
            waiting: VecDeque::new(),
            outputs: VecDeque::new(),
            #[cfg(feature = "danger-sabotage")]
            sabotage: sabotage::DangerSabotage::default(),
            #[cfg(feature = "danger-sabotage")]
            reused: None,
        };
        if let Some(bytes) = bundle {
            // Judged as of when it was made; whether it has expired is asked at every tap.
            match engine.verify_bundle(crypto, &bytes, Instant::UNIX_EPOCH) {
                Ok(bundle) => engine.bundle = Some(bundle),
                Err(rejection) => engine.outputs.push_back(Output::Rejected(rejection)),
            }
        }
        engine.restore_status(crypto, status, is_beyond);
        engine
    }

    /// Takes one input. Drain [`Engine::poll_output`] and look at [`Engine::poll_timeout`] after
    /// every call.
    pub fn handle(&mut self, crypto: &dyn Crypto, now: Instant, input: Input<'_>) {
        match input {
            Input::Tap { door, secret } => self.begin(crypto, now, door, secret),
            Input::Response { bytes, took } => self.response(crypto, now, bytes, took),
            Input::Signature(bytes) => self.signed(crypto, now, bytes),
            Input::Timeout => self.talk(crypto, now, presentation::verifier::Input::Timeout),
            Input::LinkLost => self.talk(crypto, now, presentation::verifier::Input::LinkLost),
            Input::Egress { door } => self.egress(now, door),
            Input::Recorded => self.recorded(now),
            Input::RecordFailed => self.record_failed(),
            Input::Bundle(bytes) => self.receive_bundle(crypto, now, bytes),
            Input::StatusList(token) => self.receive_status(crypto, now, token),
            Input::Persisted => self.persisted(crypto),
            Input::PersistFailed => self.persist_failed(),
            Input::Acknowledged { records } => {
                self.acknowledged = self.acknowledged.max(records.min(self.head.entries()));
            }
        }
    }

    /// The next thing to do; call again until it gives nothing, after [`Engine::new`] and every
    /// [`Engine::handle`].
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in [`Input::Timeout`]; ask again after every [`Engine::handle`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.tap.as_ref().and_then(Tap::poll_timeout)
    }

    /// What the reader knows.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        Watermark {
            bundle_epoch: self.bundle.as_ref().map_or(0, |bundle| bundle.bundle().epoch),
            status_issued_at: self.status.oldest(),
        }
    }

    /// The bundle in force.
    #[must_use]
    pub const fn bundle(&self) -> Option<&VerifiedBundle> {
        self.bundle.as_ref()
    }

    /// The head of the journal: all records that are known to be durable.
    #[must_use]
    pub const fn journal_head(&self) -> &Head {
        &self.head
    }

    /// A head of this journal, signed at `now` for an upload: [`Engine::journal_head`], or an
    /// earlier one where a long journal goes up in pieces. Nothing if it is of another journal or
    /// lies ahead, or if the key is elsewhere: then have `head.unsigned(now)` signed there.
    ///
    /// # Errors
    /// [`BadKey`] when the reader's key is no scalar.
    pub fn signed_head(&self, head: &Head, now: Instant) -> Result<Option<Vec<u8>>, BadKey> {
        let is_ours =
            head.journal() == self.head.journal() && head.entries() <= self.head.entries();
        let (ReaderKey::Held(_), true) = (&self.config.key, is_ours) else { return Ok(None) };
        let unsigned = head.unsigned(now);
        let signer = self.signer.as_ref().ok_or(BadKey)?;
        let signature = signer.sign(unsigned.to_be_signed())?;
        let signature = signature.as_bytes().try_into().map_err(|_| BadKey)?;
        let signed = unsigned.complete(signature);
        debug_assert_eq!(signed.len(), SIGNED_HEAD_BYTES);
        Ok(Some(signed))
    }

    /// The time that counts: never below what the city has signed.
    fn time(&self, now: Instant) -> Result<Instant, Reason> {
        if now.saturating_add(CLOCK_LAG_MAX) < self.floor {
            return Err(Reason::ClockBehind);
        }
        Ok(now.max(self.floor))
    }
}

/// Taps.
impl Engine {
    fn begin(&mut self, crypto: &dyn Crypto, now: Instant, door: PlaceCode, secret: P256Secret) {
        self.tap = None;
        let ready = match &self.bundle {
            None => Err(Reason::NoBundle),
            Some(_) => self.time(now),
        };
        if let Err(reason) = ready {
            return self.conclude(now, door, Verdict::refused(reason));
        }
        let secret = self.session_secret(secret);
        let pace = Pace::new(self.config.bounds.of(self.class(&door)));
        match Tap::new(crypto, now, (door.clone(), pace), secret, self.config.link) {
            Ok(tap) => {
                self.tap = Some(tap);
                self.drain(crypto, now);
            }
            Err(BadKey) => self.conclude(now, door, Verdict::refused(Reason::ReaderFault)),
        }
    }

    fn talk(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        input: presentation::verifier::Input<'_>,
    ) {
        if let Some(tap) = &mut self.tap {
            tap.handle(crypto, now, input);
            self.drain(crypto, now);
        }
    }

    fn signed(&mut self, crypto: &dyn Crypto, now: Instant, bytes: &[u8]) {
        let algorithm = credential::crypto::Algorithm::Es256;
        let Some(tap) = &mut self.tap else { return };
        if let Ok(signature) = Signature::new(algorithm, bytes) {
            tap.signed(crypto, now, &signature);
        } else {
            tap.fail(Reason::ReaderFault, None);
        }
        self.drain(crypto, now);
    }

    /// Carries out what the session of the tap asks for.
    fn drain(&mut self, crypto: &dyn Crypto, now: Instant) {
        while let Some(mut tap) = self.tap.take() {
            let Some(step) = tap.step(crypto, now, &self.config, self.signer.as_deref()) else {
                self.tap = Some(tap);
                return;
            };
            match step {
                tap::Step::Command(command) => self.outputs.push_back(Output::Command(command)),
                tap::Step::Sign(bytes) => self.outputs.push_back(Output::Sign(bytes)),
                tap::Step::Answer(presented) => {
                    let verdict = self.judge(crypto, now, tap.door(), &presented);
                    self.conclude(now, tap.door().clone(), verdict);
                }
                tap::Step::Ended(reason, rejection) => {
                    let verdict = Verdict { rejection, ..Verdict::refused(reason) };
                    self.conclude(now, tap.door().clone(), verdict);
                    continue;
                }
                tap::Step::Over => continue,
            }
            self.tap = Some(tap);
        }
    }

    fn judge(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        door: &PlaceCode,
        presented: &judge::Presented,
    ) -> Verdict {
        let at = match self.time(now) {
            Ok(at) => at,
            Err(reason) => return Verdict::refused(reason),
        };
        let Some(bundle) = &self.bundle else { return Verdict::refused(Reason::NoBundle) };
        let bench = judge::Bench {
            crypto,
            bundle,
            status: &self.status,
            door,
            at,
            #[cfg(feature = "danger-sabotage")]
            sabotage: self.sabotage,
        };
        bench.judge(presented, &mut self.cache)
    }

    #[cfg(not(feature = "danger-sabotage"))]
    #[allow(clippy::unused_self, reason = "the other form of this function uses it")]
    fn session_secret(&self, secret: P256Secret) -> P256Secret {
        secret
    }

    #[cfg(feature = "danger-sabotage")]
    fn session_secret(&mut self, secret: P256Secret) -> P256Secret {
        if self.sabotage.breaks(Measure::Nonce) {
            return self.reused.get_or_insert(secret).clone();
        }
        secret
    }
}

impl Engine {
    /// Whether a measure is broken on purpose: never, in a build without the feature for it.
    #[cfg(not(feature = "danger-sabotage"))]
    #[allow(clippy::unused_self, reason = "the other form of this function uses it")]
    const fn breaks(&self, _: Measure) -> bool {
        false
    }

    /// Whether a measure is broken on purpose.
    #[cfg(feature = "danger-sabotage")]
    const fn breaks(&self, measure: Measure) -> bool {
        self.sabotage.breaks(measure)
    }

    /// Breaks measures on purpose, to show that they carry weight.
    #[cfg(feature = "danger-sabotage")]
    pub const fn danger_sabotage(&mut self, sabotage: sabotage::DangerSabotage) {
        self.sabotage = sabotage;
    }
}
