//! The engine: one reader with its doors, from a phone in the field to an open door.
//!
//! `handle(now, input)`, then drain `poll_output()` and look at `poll_timeout()`. The order of
//! outputs is the promise of the reader: a deed is recorded before it is done ([`Output::Record`],
//! and only after [`Input::Recorded`] comes [`Output::Unlock`]), and what a bundle says counts only
//! once it is stored. A way out is the exception: it opens at once, whatever else is wrong.
//!
//! The engine holds no list of people, asks no network, and never accepts a time below the
//! greatest that the city has signed to it.

mod express;
mod field;
mod judge;
mod knowledge;
mod known;
mod memory;
mod pace;
mod record;
#[cfg(feature = "danger-sabotage")]
pub mod sabotage;
mod standard;
mod tap;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use audit::journal::{Head, SIGNED_HEAD_BYTES};
use credential::crypto::{BadKey, Crypto, P256Secret, Signer};
use credential::rejection::Rejection;
use credential::x509::{SignerCache, TrustAnchors};
use presentation::apdu::LinkLimits;
use presentation::express::Context;
use presentation::express::handle::{Content, Handle, TapKey};
use presentation::express::reader::OpenError;
use presentation::profile::Profile;
use vocabulary::code::PlaceCode;
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use self::judge::{Measure, Trace};
use self::known::Known;
pub use self::memory::{Memory, MemoryError};
use self::tap::Tap;
use crate::bundle::VerifiedBundle;
use crate::decision::Reason;
use crate::express::{Seen, Unratified};
use crate::journal::{Event, Watermark};
use crate::snapshot::StatusSnapshot;
use crate::taps::TimeBounds;

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
    /// How fast a phone or a card must answer, where a bundle allows more.
    pub bounds: TimeBounds,
    /// How often this reader woke up, this time counted: the host keeps the count durably. It keeps two
    /// taps apart for which a generator gives the same values.
    pub restarts: u64,
    /// By what it proves itself in a standard tap; without it there is none.
    pub standard: Option<StandardIdentity>,
    /// The least profile that it takes, where a bundle asks for less.
    pub least: Profile,
}

/// By what a reader proves itself in a standard tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandardIdentity {
    /// The key of the authority of its group, uncompressed.
    pub group_key: [u8; 65],
    /// Its certificate by that authority, compressed ([`credential::x509::compressed`]).
    pub certificate: Vec<u8>,
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
    /// What the secure element made of the handle of [`Output::OpenHandle`].
    HandleOpened(Result<(Content, TapKey), OpenError>),
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
    /// Have the secure element open this handle, hand in [`Input::HandleOpened`].
    OpenHandle {
        /// The scope and the epoch whose key opens it.
        context: Context,
        /// The handle.
        handle: Handle,
    },
    /// Append this record to the journal, durably, then hand in [`Input::Recorded`] or
    /// [`Input::RecordFailed`]. One record is under way at a time.
    Record(Vec<u8>),
    /// Unlock the door.
    Unlock {
        /// The door.
        door: PlaceCode,
        /// For how long, in milliseconds.
        duration_ms: u32,
        /// By which profile the pass was shown; nothing for a way out.
        profile: Option<Profile>,
    },
    /// Tell the holder that the door stays closed.
    Refused {
        /// The door.
        door: PlaceCode,
        /// Why.
        reason: Reason,
        /// What exactly was wrong with the credential or the session, if that was it.
        rejection: Option<Rejection>,
        /// By which profile the pass was shown; nothing where none was verified.
        profile: Option<Profile>,
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
    /// Taps since it woke up.
    taps: u64,
    epoch_keys: Vec<Context>,
    seen: Seen,
    /// Devices for the fast tap.
    known: Known,
    unratified: Unratified,
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
    Refuse(Refusal),
    Nothing,
}

/// A door that stays closed.
#[derive(Debug)]
struct Refusal {
    door: PlaceCode,
    reason: Reason,
    rejection: Option<Rejection>,
    profile: Option<Profile>,
}

/// A door that shall open.
#[derive(Debug)]
struct Grant {
    door: PlaceCode,
    duration_ms: u32,
    granted_at: Instant,
    trace: Trace,
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
            taps: 0,
            epoch_keys: Vec::new(),
            seen: Seen::default(),
            known: Known::default(),
            unratified: Unratified::default(),
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
            Input::Response { bytes, took } => {
                self.talk(crypto, now, |tap| tap.response(crypto, now, bytes, took));
            }
            Input::Signature(bytes) => self.signed(crypto, now, bytes),
            Input::HandleOpened(opened) => {
                self.talk(crypto, now, |tap| tap.opened(crypto, now, opened));
            }
            Input::Timeout => self.talk(crypto, now, |tap| tap.timeout(crypto, now)),
            Input::LinkLost => self.talk(crypto, now, |tap| tap.lost(crypto, now)),
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

    /// The scopes and epochs of which the secure element holds keys: to be told after each change. Without
    /// any no tap is express.
    pub fn hold_epoch_keys(&mut self, contexts: Vec<Context>) {
        self.epoch_keys = contexts;
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
