//! The gate's end of one tap.
//!
//! `ReaderEnd::new`, send [`Apdu::select`], then hand in each answer and do what the [`Step`] says.
//! It is used once; whatever is unexpected ends it. It allocates nothing.

use alloc::vec::Vec;
use core::fmt;

use credential::crypto::{BadCiphertext, Crypto};
use vocabulary::id::ReaderId;

use super::handle::{Content, HANDLE_BYTES, Handle, HandleError, PreparedKeys, TapKey};
use super::schedule::{Channel, End, ScopeKeys, Transcript, join};
use super::wire::{
    self, Apdu, COMMIT_BYTES, COMMITTED_BYTES, OPENED_BYTES, PROVE_BYTES, PROVEN_BYTES, Proprietary,
};
use super::{Context, FRESH_BYTES, Transport, VERSION};
use crate::apdu::{Response, StatusWord};

/// What a gate brings to one tap.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What carries the tap.
    pub transport: Transport,
    /// The scope of the door, and the epoch at hand.
    pub context: Context,
    /// Its fresh value: unpredictable, and never the same twice.
    pub fresh: [u8; FRESH_BYTES],
    /// Itself, for the holder's log. It is not proved: every gate of the scope could say so.
    pub reader: ReaderId,
    /// Now, Unix seconds.
    pub at: u32,
}

/// Opens handles: the secure element of the gate, which keeps the key.
pub trait HandleOpener {
    /// What `handle` says under the key of `context`, and the key of this one tap.
    ///
    /// # Errors
    /// [`OpenError`].
    fn open(&self, context: Context, handle: &Handle) -> Result<(Content, TapKey), OpenError>;
}

/// Why a handle was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The gate has no key of that scope and epoch.
    NoKey,
    /// The handle is no good.
    Handle(HandleError),
}

/// Keys of scopes and epochs in memory, for tests, on any provider of cryptography; a
/// gate holds [`PreparedKeys`].
pub struct KeysInMemory<'k> {
    /// Provider of cryptography.
    pub crypto: &'k dyn Crypto,
    /// The keys.
    pub keys: &'k [ScopeKeys],
}

impl HandleOpener for KeysInMemory<'_> {
    fn open(&self, context: Context, handle: &Handle) -> Result<(Content, TapKey), OpenError> {
        let keys = self.keys.iter().find(|keys| keys.context() == context);
        let keys = keys.ok_or(OpenError::NoKey)?;
        keys.open(self.crypto, handle).map_err(OpenError::Handle)
    }
}

/// Keys of scopes and epochs in memory, ready for many taps.
impl HandleOpener for Vec<PreparedKeys> {
    fn open(&self, context: Context, handle: &Handle) -> Result<(Content, TapKey), OpenError> {
        let keys = self.iter().find(|keys| keys.context() == context);
        keys.ok_or(OpenError::NoKey)?.open(handle).map_err(OpenError::Handle)
    }
}

/// What a gate does next.
#[derive(Debug)]
pub enum Step {
    /// Send this command.
    Command(Apdu),
    /// The handle is open: see whether it was seen before, then [`ReaderEnd::prove`].
    Opened(Content),
    /// The holder has proved itself: judge. The tap is over, unless a counted use is to be written
    /// by [`ReaderEnd::commit`].
    Proven(Proven),
    /// The holder has written the new state. The tap is over.
    Committed,
}

/// What a holder said that proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// What its handle says.
    pub content: Content,
    /// Counts its taps with handles of this index, from 1.
    pub taps: u32,
    /// How its owner was present.
    pub presence: Presence,
    /// Whether it has something for the city.
    pub has_mail: bool,
    /// Its counted state.
    pub counted: Counted,
}

/// How an owner was present to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// Nobody knows.
    None,
    /// The device was unlocked.
    Unlocked,
    /// The owner confirmed this tap.
    Confirmed,
}

impl Presence {
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Unlocked => 1,
            Self::Confirmed => 2,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::None),
            1 => Some(Self::Unlocked),
            2 => Some(Self::Confirmed),
            _ => None,
        }
    }
}

/// The counted state of a pass on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Grows by one with every change.
    pub sequence: u32,
    /// What is left.
    pub value: u32,
    /// The mark of the gate that made this state.
    pub mark: [u8; 4],
}

/// Why a tap ended at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderError {
    /// The answer is no answer.
    Malformed,
    /// The device answered with this status word.
    Status(StatusWord),
    /// The device does not offer this version.
    Version,
    /// The handle was not opened.
    Open(OpenError),
    /// The device does not know the tap key, or something was changed on its way.
    Proof,
    /// Not the time for this.
    Unexpected,
}

impl fmt::Display for ReaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("express tap: answer has another length or form"),
            Self::Status(status) => write!(f, "express tap: device answered {status}"),
            Self::Version => {
                f.write_str("express tap: device offers no version that is spoken here")
            }
            Self::Open(OpenError::NoKey) => {
                f.write_str("express tap: gate has no key of this scope and epoch")
            }
            Self::Open(OpenError::Handle(error)) => write!(f, "express tap: {error}"),
            Self::Proof => {
                f.write_str("express tap: device does not prove that it holds the handle")
            }
            Self::Unexpected => f.write_str("express tap: out of turn"),
        }
    }
}

impl core::error::Error for ReaderError {}

/// The gate's end of one tap.
#[derive(Debug)]
pub struct ReaderEnd {
    terms: Terms,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Selecting,
    Opening(Proprietary),
    Opened { channel: Channel, content: Content },
    Proving { channel: Channel, content: Content },
    Proven(Channel),
    Committing { channel: Channel, sequence: u32 },
    Over,
}

impl ReaderEnd {
    /// A gate that has sent, or sends now, [`Apdu::select`].
    #[must_use]
    pub const fn new(terms: Terms) -> Self {
        Self { terms, stage: Stage::Selecting }
    }

    /// The handle that `response` shows, if that is what it does: for a caller whose secure element opens
    /// it meanwhile. Nothing has happened yet; hand the response in afterwards.
    #[must_use]
    pub fn shown(&self, response: &[u8]) -> Option<(Context, Handle)> {
        let response = Response::parse(response).ok()?;
        let is_shown = matches!(self.stage, Stage::Opening(_)) && response.status == StatusWord::OK;
        let data = exactly::<OPENED_BYTES>(response.data).ok().filter(|_| is_shown)?;
        data.first_chunk().map(|handle| (self.terms.context, Handle(*handle)))
    }

    /// Takes the answer to the last command.
    ///
    /// # Errors
    /// [`ReaderError`]; the tap is then over.
    pub fn handle(
        &mut self,
        crypto: &dyn Crypto,
        opener: &dyn HandleOpener,
        response: &[u8],
    ) -> Result<Step, ReaderError> {
        let response = Response::parse(response).map_err(|_| ReaderError::Malformed)?;
        let stage = core::mem::replace(&mut self.stage, Stage::Over);
        if response.status != StatusWord::OK {
            return Err(ReaderError::Status(response.status));
        }
        match stage {
            Stage::Selecting => self.selected(response.data),
            Stage::Opening(proprietary) => self.opened(crypto, opener, &proprietary, response.data),
            Stage::Proving { channel, content } => {
                self.proven(crypto, channel, content, response.data)
            }
            Stage::Committing { mut channel, sequence } => {
                let mut sealed = exactly::<COMMITTED_BYTES>(response.data)?;
                let text = channel.open(crypto, &mut sealed).map_err(bad_proof)?;
                let is_written = text == sequence.to_be_bytes();
                is_written.then_some(Step::Committed).ok_or(ReaderError::Malformed)
            }
            Stage::Opened { .. } | Stage::Proven(_) | Stage::Over => Err(ReaderError::Unexpected),
        }
    }

    /// Goes on after [`Step::Opened`]: proves that this gate is of the scope.
    ///
    /// # Errors
    /// [`ReaderError::Unexpected`] at any other time.
    pub fn prove(&mut self, crypto: &dyn Crypto) -> Result<Apdu, ReaderError> {
        match core::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Opened { mut channel, content } => {
                let (reader, at) = (self.terms.reader, self.terms.at.to_be_bytes());
                let text: [u8; 20] = join(&[reader.as_bytes(), &at]);
                let sealed: [u8; PROVE_BYTES] = channel.seal(crypto, &text);
                self.stage = Stage::Proving { channel, content };
                Ok(Apdu::command(wire::PROVE, &sealed))
            }
            _ => Err(ReaderError::Unexpected),
        }
    }

    /// Goes on after [`Step::Proven`]: has `next` written in place of the state that was read, whose
    /// sequence is one less.
    ///
    /// # Errors
    /// [`ReaderError::Unexpected`] at any other time.
    pub fn commit(&mut self, crypto: &dyn Crypto, next: Counted) -> Result<Apdu, ReaderError> {
        match core::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Proven(mut channel) => {
                let text: [u8; 12] =
                    join(&[&next.sequence.to_be_bytes(), &next.value.to_be_bytes(), &next.mark]);
                let sealed: [u8; COMMIT_BYTES] = channel.seal(crypto, &text);
                self.stage = Stage::Committing { channel, sequence: next.sequence };
                Ok(Apdu::command(wire::COMMIT, &sealed))
            }
            _ => Err(ReaderError::Unexpected),
        }
    }

    fn selected(&mut self, data: &[u8]) -> Result<Step, ReaderError> {
        let proprietary = wire::read_template(data).ok_or(ReaderError::Malformed)?;
        if !proprietary.offers(VERSION) {
            return Err(ReaderError::Version);
        }
        self.stage = Stage::Opening(proprietary);
        Ok(Step::Command(Apdu::command(wire::OPEN, &self.open_data())))
    }

    fn open_data(&self) -> [u8; wire::OPEN_BYTES] {
        wire::open_data(self.terms.context, &self.terms.fresh)
    }

    fn opened(
        &mut self,
        crypto: &dyn Crypto,
        opener: &dyn HandleOpener,
        proprietary: &Proprietary,
        data: &[u8],
    ) -> Result<Step, ReaderError> {
        let data = exactly::<OPENED_BYTES>(data)?;
        let (handle, fresh) =
            data.split_first_chunk::<HANDLE_BYTES>().ok_or(ReaderError::Malformed)?;
        let handle = Handle(*handle);
        let fresh = fresh.first_chunk().ok_or(ReaderError::Malformed)?;
        let (content, tap_key) =
            opener.open(self.terms.context, &handle).map_err(ReaderError::Open)?;
        let transcript = Transcript {
            transport: self.terms.transport,
            proprietary,
            open: &self.open_data(),
            handle: &handle,
            fresh,
        };
        let channel = Channel::new(crypto, End::Reader, &tap_key, &transcript);
        self.stage = Stage::Opened { channel, content };
        Ok(Step::Opened(content))
    }

    fn proven(
        &mut self,
        crypto: &dyn Crypto,
        mut channel: Channel,
        content: Content,
        data: &[u8],
    ) -> Result<Step, ReaderError> {
        let mut sealed = exactly::<PROVEN_BYTES>(data)?;
        let text = channel.open(crypto, &mut sealed).map_err(bad_proof)?;
        let proven = read_proven(text, content).ok_or(ReaderError::Malformed)?;
        self.stage = Stage::Proven(channel);
        Ok(Step::Proven(proven))
    }
}

const fn bad_proof(_: BadCiphertext) -> ReaderError {
    ReaderError::Proof
}

fn exactly<const N: usize>(data: &[u8]) -> Result<[u8; N], ReaderError> {
    data.try_into().map_err(|_| ReaderError::Malformed)
}

fn read_proven(text: &[u8], content: Content) -> Option<Proven> {
    let (taps, rest) = text.split_first_chunk::<4>()?;
    let (&[presence, mail], rest) = rest.split_first_chunk::<2>()?;
    let (sequence, rest) = rest.split_first_chunk::<4>()?;
    let (value, mark) = rest.split_first_chunk::<4>()?;
    Some(Proven {
        content,
        taps: u32::from_be_bytes(*taps),
        presence: Presence::from_byte(presence)?,
        // Bits that a later version may give a meaning change nothing here.
        has_mail: mail & 1 != 0,
        counted: Counted {
            sequence: u32::from_be_bytes(*sequence),
            value: u32::from_be_bytes(*value),
            mark: mark.try_into().ok()?,
        },
    })
}
