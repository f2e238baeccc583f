//! The end of a phone or a card.
//!
//! A device lives from tap to tap and keeps its mailbox and its keys for the fast phase. Each tap
//! begins with fresh entropy ([`Input::Tap`]), which serves one transaction: whatever goes wrong is
//! answered with a status word and ends it, and nothing but another [`Input::Tap`] begins the next.
//!
//! The device proves itself only to a reader that has proved itself: by the key of its group or by a
//! certificate that the group's issuer signed and that is valid now. A certificate vouches for the
//! group and not for the sub-group that the reader names. A device without a clock has credentials with
//! [`ReaderKey::IssuerSince`] alone.

mod error;
mod session;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use credential::crypto::{Crypto, P256Secret, Signature};
use vocabulary::time::Instant;

pub use self::error::DeviceError;
use self::session::{Keyed, Open, Signing};
use super::keyring::Keyring;
use super::mailbox::Mailbox;
use super::message::{Offer, Signaling, Timestamps};
use super::{Dialect, ReaderIdentifier, Transport, Version};
use crate::apdu::chain::ResponseQueue;
use crate::apdu::chain::bare::CommandJoiner;
use crate::apdu::{Command, Response, StatusWord};

/// How long the device waits for the next command of a reader that has begun.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the caller may take to sign, or to answer a request of the step-up phase.
pub const CALLER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a tap may take.
pub const TAP_TIMEOUT: Duration = Duration::from_secs(120);
/// Commands of a tap before AUTH0.
pub const SELECTING_COMMANDS_MAX: u32 = 64;
/// Bytes of data in one chain of commands.
pub const CHAIN_BYTES_MAX: usize = 16 * 1024;
/// Credentials of one device.
pub const CREDENTIALS_MAX: usize = 32;

/// What a device is and has.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its credentials; of several for one group of readers the first is proposed to the caller, who may
    /// choose another. Those beyond [`CREDENTIALS_MAX`] are not used.
    pub credentials: Vec<Credential>,
    /// The versions that it speaks, the preferred first.
    pub versions: Vec<Version>,
    /// A vendor extension of its offer.
    pub vendor: Option<Vec<u8>>,
    /// What carries the commands.
    pub transport: Transport,
    /// Which source is followed where they differ.
    pub dialect: Dialect,
}

/// What a device has for the readers of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The reader group identifier.
    pub group: [u8; 16],
    /// By what readers of the group prove themselves.
    pub reader_key: ReaderKey,
    /// The device's public key, uncompressed. The private one stays with the caller.
    pub device_key: [u8; 65],
    /// The slot by which the reader's side knows that key.
    pub key_slot: [u8; 8],
    /// Which documents there are, and whether the step-up phase begins with another SELECT.
    pub documents: Signaling,
    /// When they were signed.
    pub timestamps: Timestamps,
}

/// By what the readers of a group prove themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderKey {
    /// They share the key of the group.
    Group([u8; 65]),
    /// Each has a certificate that this key signed.
    Issuer([u8; 65]),
    /// As that, for a device that has no clock and knows only what the time is not before: a certificate
    /// that ended then has ended, and one that begins later proves that it is later.
    IssuerSince([u8; 65], Instant),
}

impl ReaderKey {
    /// The key of the group or of its issuer.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 65] {
        match self {
            Self::Group(key) | Self::Issuer(key) | Self::IssuerSince(key, _) => key,
        }
    }
}

/// What a device keeps from tap to tap.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The keys of the fast phase.
    pub keyring: Keyring,
    /// The mailbox.
    pub mailbox: Mailbox,
}

/// Fresh entropy for one tap.
#[derive(Clone, Debug)]
pub struct Entropy {
    /// The ephemeral key.
    pub ephemeral: P256Secret,
    /// What stands for a proof of the fast phase where there is no key for one.
    pub filler: [u8; 64],
}

/// What may happen to a device.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The device came into the field of a reader, or is to begin anew.
    Tap(Entropy),
    /// A command APDU arrived.
    Command(&'a [u8]),
    /// Ahead of the signature: it is made with this key instead, of another credential for the group.
    Choose(&'a [u8; 65]),
    /// The signature that [`Output::Sign`] asks for.
    Signature(&'a Signature),
    /// The answer that [`Output::StepUp`] asks for: the bytes of a DeviceResponse.
    Respond(&'a [u8]),
    /// The caller will not sign, or not answer.
    Decline,
    /// The instant of `poll_timeout` has come.
    Timeout,
    /// The reader has gone.
    LinkLost,
}

/// What a device wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this response APDU to the reader.
    Response(Vec<u8>),
    /// A reader proved itself: sign this by ES256 with the key, or decline.
    Sign {
        /// The device's public key.
        device_key: [u8; 65],
        /// What to sign; not a digest.
        message: Vec<u8>,
        /// The reader. A group's key or a certificate vouches for the group alone.
        reader: ReaderIdentifier,
        /// The common name in its certificate, if it has one.
        name: Option<String>,
        /// When its certificate began, if it has one: a device without a clock keeps the latest.
        since: Option<Instant>,
        /// Tag 42 of AUTH0, which may ask for the owner's consent.
        policy: u8,
    },
    /// The response that follows holds a proof of the fast phase. The reader that it is for has proved
    /// nothing.
    FastProof {
        /// The reader.
        reader: ReaderIdentifier,
        /// The device's public key with which the kept key was made.
        device_key: [u8; 65],
    },
    /// Answer this DeviceRequest of the step-up phase, or decline.
    StepUp {
        /// Its bytes.
        device_request: Vec<u8>,
        /// The device's public key, for which the documents were issued.
        device_key: [u8; 65],
    },
    /// The memory has changed: keep [`Device::memory`] before the response that follows is sent.
    Save,
    /// The reader tells how it stands.
    ReaderStatus(u16),
    /// The transaction is over; said once a tap. After a fast phase without an EXCHANGE the reader has
    /// not proved itself, whatever it says.
    Ended(Result<(), DeviceError>),
}

/// A phone or a card.
#[derive(Debug)]
pub struct Device {
    setup: Setup,
    offer: Offer,
    memory: Memory,
    stage: Stage,
    joiner: CommandJoiner,
    queue: Option<ResponseQueue>,
    outputs: VecDeque<Output>,
    latest: Instant,
    deadline: Option<Instant>,
    tap_end: Instant,
    commands_left: u32,
}

#[derive(Debug)]
enum Stage {
    /// No tap, or its transaction is over.
    Idle,
    /// A reader may look around and select.
    Selecting { entropy: Entropy, is_selected: bool },
    /// AUTH0 is answered.
    Keyed(Box<Keyed>),
    /// The reader proved itself; the caller signs.
    Signing(Box<Signing>),
    /// Both proved themselves; the channel is open.
    Open(Box<Open>),
    /// The application of the step-up phase is selected.
    StepUp(Box<Open>),
    /// The caller answers a request of the step-up phase.
    Deciding(Box<Open>),
}

impl Device {
    /// A device with what it has kept.
    #[must_use]
    pub fn new(mut setup: Setup, memory: Memory) -> Self {
        setup.credentials.truncate(CREDENTIALS_MAX);
        Self {
            offer: Offer::new(&setup.versions, setup.vendor.as_deref()),
            setup,
            memory,
            stage: Stage::Idle,
            joiner: CommandJoiner::new(CHAIN_BYTES_MAX),
            queue: None,
            outputs: VecDeque::new(),
            latest: Instant::from_unix_seconds(0),
            deadline: None,
            tap_end: Instant::from_unix_seconds(0),
            commands_left: 0,
        }
    }

    /// What it keeps from tap to tap.
    #[must_use]
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Takes one input. Drain [`Device::poll_output`] and look at [`Device::poll_timeout`] after every
    /// call. Without a tap a command is answered with 6985 and nothing else happens.
    pub fn handle(&mut self, crypto: &dyn Crypto, now: Instant, input: Input<'_>) {
        // A clock that was put right between two taps is believed.
        let is_tap = matches!(input, Input::Tap(_));
        self.latest = if is_tap { now } else { self.latest.max(now) };
        let is_late = self.deadline.is_some_and(|deadline| self.latest >= deadline);
        let outcome = match input {
            Input::Tap(entropy) => return self.tap(entropy),
            Input::Command(_) if matches!(self.stage, Stage::Idle) => {
                return self.answer(StatusWord::CONDITIONS);
            }
            _ if matches!(self.stage, Stage::Idle) => return,
            Input::LinkLost => return self.end(Err(DeviceError::LinkLost)),
            Input::Timeout if !is_late => return,
            // No command waits for an answer.
            Input::Timeout if !self.is_deciding() => return self.end(Err(DeviceError::TimedOut)),
            Input::Choose(_) | Input::Signature(_) | Input::Respond(_) | Input::Decline
                if !self.is_deciding() =>
            {
                return self.end(Err(DeviceError::Unexpected));
            }
            Input::Timeout => Err(DeviceError::TimedOut),
            _ if is_late => Err(DeviceError::TimedOut),
            Input::Command(bytes) => self.command(crypto, bytes),
            Input::Choose(device_key) => self.choose(device_key),
            Input::Signature(signature) => self.sign(crypto, signature),
            Input::Respond(response) => self.respond(crypto, response),
            Input::Decline => Err(DeviceError::Declined),
        };
        if let Err(error) = outcome {
            self.answer(error.status());
            self.end(Err(error));
        }
    }

    /// The next thing to do; call again until it gives nothing, after every [`Device::handle`].
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in [`Input::Timeout`]; ask again after every [`Device::handle`].
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether a command waits for the caller.
    const fn is_deciding(&self) -> bool {
        matches!(self.stage, Stage::Signing(_) | Stage::Deciding(_))
    }

    fn tap(&mut self, entropy: Entropy) {
        if !matches!(self.stage, Stage::Idle) {
            self.end(Err(DeviceError::Unexpected));
        }
        self.stage = Stage::Selecting { entropy, is_selected: false };
        self.commands_left = SELECTING_COMMANDS_MAX;
        self.tap_end = self.latest.saturating_add(TAP_TIMEOUT);
        self.wait(COMMAND_TIMEOUT);
    }

    fn command(&mut self, crypto: &dyn Crypto, bytes: &[u8]) -> Result<(), DeviceError> {
        if self.is_deciding() {
            return Err(DeviceError::Unexpected);
        }
        self.wait(COMMAND_TIMEOUT);
        let Stage::Selecting { .. } = self.stage else {
            return self.dispatch(crypto, bytes);
        };
        self.commands_left =
            self.commands_left.checked_sub(1).ok_or(DeviceError::TooManyCommands)?;
        match self.dispatch(crypto, bytes) {
            // Before AUTH0 was taken nothing is lost: a reader may look for what it knows.
            Err(error) if matches!(self.stage, Stage::Selecting { .. }) => {
                self.answer(error.status());
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Hands out data of `expected_bytes` at a time; a command without Le takes what a short one may.
    fn answer_data(&mut self, data: Vec<u8>, expected_bytes: u32) -> Result<(), DeviceError> {
        let mut queue = ResponseQueue::bare(data).map_err(|_| DeviceError::AnswerTooLong)?;
        let expected_bytes = if expected_bytes == 0 { 256 } else { expected_bytes };
        self.outputs.push_back(Output::Response(queue.take(expected_bytes)));
        self.queue = (!queue.is_empty()).then_some(queue);
        Ok(())
    }

    fn answer(&mut self, status: StatusWord) {
        self.outputs.push_back(Output::Response(Response { data: &[], status }.encode()));
    }

    fn end(&mut self, outcome: Result<(), DeviceError>) {
        self.stage = Stage::Idle;
        self.deadline = None;
        self.queue = None;
        self.joiner = CommandJoiner::new(CHAIN_BYTES_MAX);
        self.memory.mailbox.abandon();
        self.outputs.push_back(Output::Ended(outcome));
    }

    /// Arms the timer: `span` from now, but not past the end of the tap.
    fn wait(&mut self, span: Duration) {
        self.deadline = Some(self.latest.saturating_add(span).min(self.tap_end));
    }

    /// A whole command, once its chain has ended.
    fn joined(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<crate::apdu::chain::bare::Joined>, DeviceError> {
        let command = Command::parse(bytes).map_err(DeviceError::Command)?;
        let joined = self.joiner.push(&command).map_err(DeviceError::Chain)?;
        if joined.is_none() {
            self.answer(StatusWord::OK);
        }
        Ok(joined)
    }
}
