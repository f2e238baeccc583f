//! The reader's end.
//!
//! A reader serves one tap: SELECT, AUTH0 and, where no key of the fast phase fits, AUTH1. Then it
//! gives its caller the device's key ([`Output::Authenticated`]), of which the caller decides; the
//! caller may go on with EXCHANGE and the step-up phase, and concludes. Who may pass is not its
//! business: a device that is authenticated is nothing more than known.
//!
//! A proof that no kept key opens is no error, since a device without a key sends random bytes: the
//! transaction goes on with AUTH1.

mod error;
mod link;
mod session;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use credential::crypto::{Agreement, BadKey, Crypto, P256Secret, Signature};
use vocabulary::time::Instant;

pub use self::error::ReaderError;
use self::link::{Link, Received};
use self::session::{Keyed, Open};
use super::exchange::{Exchange, ExchangeAnswer};
use super::keyring::StoredKeys;
use super::message::{ControlFlow, Naming, Offer, Signaling, Timestamps};
use super::schedule::PersistentKey;
use super::{
    CLASS, CONTROL_FLOW, Dialect, EXPEDITED_APPLICATION, ExpectedLength, ReaderIdentifier,
    Transport, Version,
};
use crate::apdu::{CLASS_LAST, Command, LinkLimits, SELECT};

/// How long a device may take to answer one command.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a device may take to answer AUTH1 or a request of the step-up phase, for which its owner
/// may have to decide.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the caller may take to sign or to say how to go on.
pub const CALLER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a tap may take.
pub const TAP_TIMEOUT: Duration = Duration::from_secs(120);

/// What a reader is and wants.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Who it is.
    pub reader: ReaderIdentifier,
    /// The key of its group or, with a certificate, of the issuer; uncompressed.
    pub group_key: [u8; 65],
    /// Its certificate.
    pub certificate: Option<Certificate>,
    /// The versions that it speaks. It takes the first of the device's offer that it knows.
    pub versions: Vec<Version>,
    /// What carries the commands.
    pub transport: Transport,
    /// Which source is followed where they differ.
    pub dialect: Dialect,
    /// Tag 42 of AUTH0.
    pub policy: u8,
    /// By what the device shall name its credential.
    pub naming: Naming,
    /// A vendor extension of AUTH0.
    pub vendor: Option<Vec<u8>>,
    /// The keys of the fast phase; it is not asked for without.
    pub stored: Option<Arc<StoredKeys>>,
}

/// A reader's certificate in its compressed form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The bytes.
    pub compressed: Vec<u8>,
    /// How they are sent.
    pub carrier: Carrier,
}

/// How a certificate is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// By LOAD CERT, while the caller signs.
    LoadCert,
    /// Inside AUTH1.
    Auth1,
}

/// Fresh entropy for one tap.
#[derive(Clone, Debug)]
pub struct Entropy {
    /// The ephemeral key.
    pub ephemeral: P256Secret,
    /// The transaction identifier.
    pub transaction: [u8; 16],
}

/// What may happen to a reader.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A response APDU arrived.
    Response(&'a [u8]),
    /// The signature that [`Output::Sign`] asks for.
    Signature(&'a Signature),
    /// The key that [`Output::NeedDeviceKey`] asks for, uncompressed; nothing if it is unknown.
    DeviceKey(Option<&'a [u8; 65]>),
    /// Use the device's mailbox, or tell it how the reader stands.
    Exchange(&'a Exchange),
    /// Ask for documents: the bytes of a DeviceRequest.
    StepUp(&'a [u8]),
    /// End the transaction and tell the device how it went.
    Conclude(ControlFlow),
    /// The instant of `poll_timeout` has come.
    Timeout,
    /// The device has gone.
    LinkLost,
}

/// What a reader wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this command APDU to the device.
    Command(Vec<u8>),
    /// Sign this by ES256 with the key of the group or of the certificate; not a digest.
    Sign {
        /// What to sign.
        message: Vec<u8>,
    },
    /// Say which key lies in this slot.
    NeedDeviceKey {
        /// The slot.
        key_slot: [u8; 8],
    },
    /// The device proved itself. Decide, then hand in [`Input::Exchange`], [`Input::StepUp`] or
    /// [`Input::Conclude`].
    Authenticated(Box<Authenticated>),
    /// What the device says to an EXCHANGE.
    Exchanged(ExchangeAnswer),
    /// What the device says to a request of the step-up phase: the bytes of a DeviceResponse. The
    /// documents inside are not verified, and must be for the key of [`Authenticated`].
    StepUp {
        /// Its bytes.
        device_response: Vec<u8>,
    },
    /// The tap is over; said once. A new tap needs a new reader.
    Closed(Result<(), ReaderError>),
}

/// By which proof a device is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// By its signature.
    Standard,
    /// By the key that an earlier tap left.
    Fast,
}

/// A device that proved itself.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// How.
    pub phase: Phase,
    /// The version of the protocol.
    pub version: Version,
    /// Its static key, uncompressed.
    pub device_key: [u8; 65],
    /// What it says of its documents and its mailbox.
    pub signaling: Signaling,
    /// When its documents were signed, if it says so.
    pub timestamps: Option<Timestamps>,
    /// Mailbox data that it gave without being asked.
    pub mailbox: Option<Vec<u8>>,
    /// The key for the next fast phase, after a standard one: keep it, or not.
    pub persistent_key: Option<PersistentKey>,
}

/// The reader's end of one tap.
#[derive(Debug)]
pub struct Reader {
    setup: Arc<Setup>,
    transaction: [u8; 16],
    agreement: Box<dyn Agreement>,
    link: Link,
    stage: Stage,
    outputs: VecDeque<Output>,
    latest: Instant,
    deadline: Option<Instant>,
    tap_end: Instant,
}

#[derive(Debug)]
enum Stage {
    /// The expedited application is being selected.
    Selecting,
    /// AUTH0 is out.
    Asking(Offer, Version),
    /// The caller signs, while the certificate may be on its way.
    Preparing { keyed: Box<Keyed>, signature: Option<[u8; 64]> },
    /// AUTH1 is out.
    Proving(Box<Keyed>),
    /// The caller looks a key slot up.
    Naming(Box<session::Named>),
    /// The device proved itself; the caller says how to go on.
    Open(Box<Open>),
    /// EXCHANGE is out; so many bytes are to be read.
    Exchanging(Box<Open>, Vec<u16>),
    /// The application of the step-up phase is being selected, for this request.
    SelectingStepUp(Box<Open>, Vec<u8>),
    /// A request of the step-up phase is out.
    Enveloping(Box<Open>),
    /// CONTROL FLOW is out, after which the tap ends so.
    Concluding,
    /// Over.
    Closed,
}

impl Reader {
    /// A reader for the device that has just come into the field. Its first command waits in
    /// [`Reader::poll_output`]. The entropy must be fresh for every tap.
    ///
    /// # Errors
    /// [`BadKey`] when the ephemeral secret is not a scalar; draw another.
    pub fn new(
        crypto: &dyn Crypto,
        now: Instant,
        setup: Arc<Setup>,
        entropy: &Entropy,
        limits: LinkLimits,
    ) -> Result<Self, BadKey> {
        let mut reader = Self {
            setup,
            transaction: entropy.transaction,
            agreement: crypto.p256_agreement(&entropy.ephemeral)?,
            link: Link::new(limits),
            stage: Stage::Selecting,
            outputs: VecDeque::new(),
            latest: now,
            deadline: None,
            tap_end: now.saturating_add(TAP_TIMEOUT),
        };
        let selected = reader.select(&EXPEDITED_APPLICATION);
        // INVARIANT: a selection fits any link.
        debug_assert!(selected.is_ok());
        Ok(reader)
    }

    /// Takes one input. Drain [`Reader::poll_output`] and look at [`Reader::poll_timeout`] after every
    /// call. After [`Output::Closed`] nothing happens any more.
    pub fn handle(&mut self, crypto: &dyn Crypto, now: Instant, input: Input<'_>) {
        self.latest = self.latest.max(now);
        let is_late = self.deadline.is_some_and(|deadline| self.latest >= deadline);
        let outcome = match (input, &self.stage) {
            (_, Stage::Closed) => return,
            // How it ended was said already; what the device says to that does not matter.
            (Input::Timeout, Stage::Concluding) if !is_late => return,
            (_, Stage::Concluding) => return self.close(Ok(())),
            (Input::LinkLost, _) => Err(ReaderError::LinkLost),
            (Input::Timeout, _) if !is_late => return,
            _ if is_late => Err(ReaderError::TimedOut),
            (Input::Timeout, _) => return,
            (Input::Response(bytes), _) => self.response(crypto, bytes),
            (Input::Signature(signature), _) => self.signature(signature),
            (Input::DeviceKey(key), _) => self.device_key(crypto, key),
            (Input::Exchange(exchange), _) => self.exchange(crypto, exchange),
            (Input::StepUp(request), _) => self.step_up(crypto, request),
            (Input::Conclude(flow), _) => self.conclude(flow),
        };
        if let Err(error) = outcome {
            self.report(error);
            self.close(Err(error));
        }
    }

    /// The next thing to do; call again until it gives nothing, after [`Reader::new`] and every
    /// [`Reader::handle`].
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in [`Input::Timeout`]; ask again after every [`Reader::handle`].
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn response(&mut self, crypto: &dyn Crypto, bytes: &[u8]) -> Result<(), ReaderError> {
        match self.link.receive(bytes)? {
            Received::Send(command) => {
                self.outputs.push_back(Output::Command(command));
                self.wait(RESPONSE_TIMEOUT);
                Ok(())
            }
            Received::Whole(data) => self.received(crypto, &data),
        }
    }

    /// Tells the device that it failed; nobody waits for what it says to that.
    fn report(&mut self, error: ReaderError) {
        let flow = match error {
            ReaderError::LinkLost | ReaderError::TimedOut | ReaderError::Response(_) => return,
            ReaderError::NoVersion => ControlFlow::NO_VERSION,
            _ => ControlFlow::FAILURE,
        };
        if !matches!(self.stage, Stage::Selecting) {
            let data = flow.encode();
            let command = Command {
                class: CLASS,
                instruction: CONTROL_FLOW,
                p1: 0,
                p2: 0,
                data: &data,
                expected_bytes: 0,
            };
            self.outputs.extend(command.encode().ok().map(Output::Command));
        }
    }

    fn conclude(&mut self, flow: ControlFlow) -> Result<(), ReaderError> {
        if self.link.is_busy() || !matches!(self.stage, Stage::Open(_)) {
            return Err(ReaderError::Unexpected);
        }
        self.send(CLASS, CONTROL_FLOW, &flow.encode(), 0, RESPONSE_TIMEOUT)?;
        self.stage = Stage::Concluding;
        Ok(())
    }

    fn select(&mut self, application: &[u8]) -> Result<(), ReaderError> {
        let command = Command {
            class: CLASS_LAST,
            instruction: SELECT,
            p1: 4,
            p2: 0,
            data: application,
            expected_bytes: 256,
        };
        let first = self.link.begin(&command)?;
        self.outputs.push_back(Output::Command(first));
        self.wait(RESPONSE_TIMEOUT);
        Ok(())
    }

    /// Sends a command with P1-P2 zero, in a chain if it must be.
    fn send(
        &mut self,
        class: u8,
        instruction: u8,
        data: &[u8],
        expected_bytes: u32,
        patience: Duration,
    ) -> Result<(), ReaderError> {
        let command = Command { class, instruction, p1: 0, p2: 0, data, expected_bytes };
        let first = self.link.begin(&command)?;
        self.outputs.push_back(Output::Command(first));
        self.wait(patience);
        Ok(())
    }

    /// Ne of AUTH0, LOAD CERT and AUTH1.
    fn expected_bytes(&self) -> u32 {
        match self.setup.dialect.expected_length {
            ExpectedLength::Present => 256,
            ExpectedLength::Absent => 0,
        }
    }

    fn close(&mut self, outcome: Result<(), ReaderError>) {
        self.stage = Stage::Closed;
        self.deadline = None;
        self.outputs.push_back(Output::Closed(outcome));
    }

    /// Arms the timer: `span` from now, but not past the end of the tap.
    fn wait(&mut self, span: Duration) {
        self.deadline = Some(self.latest.saturating_add(span).min(self.tap_end));
    }
}
