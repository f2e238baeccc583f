//! The holder's end: one application of a card or a phone, tap after tap.
//!
//! [`HolderEnd::handle`] takes a command and gives the answer. What must be durable before the answer
//! leaves is done by the [`Pocket`], which the caller brings: the store of a phone or the memory of a
//! card. A pocket that fails is answered with a status word, and nothing has happened.

use credential::crypto::{BadCiphertext, Crypto};
use vocabulary::id::ReaderId;

use super::handle::{HANDLE_BYTES, Handle, TapKey};
use super::reader::{Counted, Presence};
use super::schedule::{Channel, End, Transcript, join};
use super::wire::{
    self, Apdu, COMMIT_BYTES, COMMITTED_BYTES, OPEN_BYTES, PROVE_BYTES, PROVEN_BYTES, Proprietary,
};
use super::{APPLICATION, Context, FRESH_BYTES, Transport, VERSION};
use crate::apdu::{self, Command, StatusWord};

/// What a device keeps, and changes durably, all of a change or nothing of it.
pub trait Pocket {
    /// Takes a fresh handle of `context` and marks it as shown for ever, unless the ones before it were
    /// shown for nothing [`super::SHOWN_FOR_NOTHING_MAX`] times in a row; counts it as shown for nothing.
    ///
    /// # Errors
    /// [`PocketError`] when that could not be stored: then nothing was taken.
    fn show(&mut self, context: Context) -> Result<Option<Shown>, PocketError>;

    /// The gate has proved itself: the handle is used, its index has one tap more, and nothing is
    /// counted as shown for nothing any more.
    ///
    /// # Errors
    /// [`PocketError`] when that could not be stored.
    fn used(&mut self, shown: &Shown, gate: Gate) -> Result<Standing, PocketError>;

    /// Puts `next` in place of the counted state of the pass of `shown`.
    ///
    /// # Errors
    /// [`PocketError`] when the pass has no such state, its sequence is not one less, or it could not
    /// be stored: then nothing was written.
    fn write(&mut self, shown: &Shown, next: Counted) -> Result<(), PocketError>;
}

/// A handle that was shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The handle.
    pub handle: Handle,
    /// Its key.
    pub tap_key: TapKey,
    /// Which of the pocket's passes it belongs to.
    pub pass: u32,
}

/// The gate, as it calls itself. Every gate of the scope could say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The scope and the epoch whose key it has.
    pub context: Context,
    /// Its identifier.
    pub reader: ReaderId,
    /// Its clock, Unix seconds.
    pub at: u32,
}

/// How a pass stands on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Counts the taps with handles of this index, from 1.
    pub taps: u32,
    /// How the owner is present.
    pub presence: Presence,
    /// Whether there is something for the city.
    pub has_mail: bool,
    /// The counted state, zero where uses are not counted.
    pub counted: Counted,
}

/// Why a pocket did not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PocketError {
    /// It could not store.
    Storage,
    /// The new state does not follow the one that is there.
    Sequence,
    /// The uses of this pass are not counted here.
    Uncounted,
}

/// What one tap of a holder works with, drawn afresh for every command.
pub struct Hands<'h> {
    /// Provider of cryptography.
    pub crypto: &'h dyn Crypto,
    /// What the device keeps.
    pub pocket: &'h mut dyn Pocket,
    /// Fresh entropy, of which OPEN uses all: the fresh value, and noise where there is no handle.
    pub entropy: [u8; HANDLE_BYTES + FRESH_BYTES],
}

/// The holder's end of the express application.
#[derive(Debug)]
pub struct HolderEnd {
    transport: Transport,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Another application is selected, or none.
    Away,
    Selected,
    /// Something was shown; without a channel it was noise.
    Shown(Option<(Channel, Shown, Context)>),
    Proven(Channel, Shown),
}

impl HolderEnd {
    /// A device that has just come into a field.
    #[must_use]
    pub const fn new(transport: Transport) -> Self {
        Self { transport, stage: Stage::Away }
    }

    /// Whether SELECT names this application.
    #[must_use]
    pub fn is_selected_by(command: &Command<'_>) -> bool {
        command.class == apdu::CLASS_LAST
            && command.instruction == apdu::SELECT
            && (command.p1, command.p2) == (0x04, 0x00)
            && command.data == APPLICATION
    }

    /// Forgets the tap: the field is gone, or another application was selected.
    pub fn reset(&mut self) {
        self.stage = Stage::Away;
    }

    /// Takes one command and gives the answer. Whatever goes wrong, the next SELECT or OPEN works.
    pub fn handle(&mut self, hands: &mut Hands<'_>, command: &[u8]) -> Apdu {
        let stage = core::mem::replace(&mut self.stage, Stage::Selected);
        let was_away = matches!(stage, Stage::Away);
        let answer = match Command::parse(command) {
            Ok(command) if Self::is_selected_by(&command) => Ok(select()),
            Ok(_) if was_away => Err(StatusWord::CONDITIONS),
            Ok(command) => self.command(hands, stage, &command),
            Err(_) => Err(StatusWord::WRONG_LENGTH),
        };
        answer.unwrap_or_else(|status| {
            self.stage = if was_away { Stage::Away } else { Stage::Selected };
            Apdu::of(&[&status.0.to_be_bytes()])
        })
    }

    fn command(
        &mut self,
        hands: &mut Hands<'_>,
        stage: Stage,
        command: &Command<'_>,
    ) -> Result<Apdu, StatusWord> {
        if command.class != wire::CLASS {
            return Err(StatusWord::WRONG_CLASS);
        }
        if !matches!(command.instruction, wire::OPEN | wire::PROVE | wire::COMMIT) {
            return Err(StatusWord::WRONG_INSTRUCTION);
        }
        if (command.p1, command.p2) != (0, 0) {
            return Err(StatusWord::WRONG_PARAMETERS);
        }
        match (command.instruction, stage) {
            (wire::OPEN, _) => self.open(hands, exactly(command.data)?),
            (wire::PROVE, Stage::Shown(shown)) => self.prove(hands, shown, exactly(command.data)?),
            (wire::COMMIT, Stage::Proven(channel, shown)) => {
                self.commit(hands, channel, &shown, exactly(command.data)?)
            }
            _ => Err(StatusWord::CONDITIONS),
        }
    }

    fn open(&mut self, hands: &mut Hands<'_>, data: &[u8; OPEN_BYTES]) -> Result<Apdu, StatusWord> {
        let (version, context) = wire::read_open(data);
        if version != VERSION {
            return Err(NOT_HERE);
        }
        let (noise, fresh) = hands.entropy.split_first_chunk().ok_or(StatusWord::FAILURE)?;
        let fresh: &[u8; FRESH_BYTES] = fresh.first_chunk().ok_or(StatusWord::FAILURE)?;
        let shown = hands.pocket.show(context).map_err(|_| StatusWord::FAILURE)?;
        let handle = shown.as_ref().map_or(Handle(*noise), |shown| shown.handle);
        let channel = shown.map(|shown| {
            let transcript = Transcript {
                transport: self.transport,
                proprietary: &Proprietary::own(),
                open: data,
                handle: &handle,
                fresh,
            };
            let channel = Channel::new(hands.crypto, End::Holder, &shown.tap_key, &transcript);
            (channel, shown, context)
        });
        self.stage = Stage::Shown(channel);
        Ok(Apdu::answer(&join::<{ HANDLE_BYTES + FRESH_BYTES }>(&[&handle.0, fresh])))
    }

    fn prove(
        &mut self,
        hands: &mut Hands<'_>,
        shown: Option<(Channel, Shown, Context)>,
        data: &[u8; PROVE_BYTES],
    ) -> Result<Apdu, StatusWord> {
        let (mut channel, shown, context) = shown.ok_or(BAD_PROOF)?;
        let mut sealed = *data;
        let text = channel.open(hands.crypto, &mut sealed).map_err(|BadCiphertext| BAD_PROOF)?;
        let (reader, at) = text.split_first_chunk::<16>().ok_or(BAD_PROOF)?;
        let at = at.try_into().map_err(|_| BAD_PROOF)?;
        let gate =
            Gate { context, reader: ReaderId::from_bytes(*reader), at: u32::from_be_bytes(at) };
        let standing = hands.pocket.used(&shown, gate).map_err(|_| StatusWord::FAILURE)?;
        let Standing { taps, presence, has_mail, counted } = standing;
        let text: [u8; 18] = join(&[
            &taps.to_be_bytes(),
            &[presence.byte(), u8::from(has_mail)],
            &counted.sequence.to_be_bytes(),
            &counted.value.to_be_bytes(),
            &counted.mark,
        ]);
        let sealed: [u8; PROVEN_BYTES] = channel.seal(hands.crypto, &text);
        self.stage = Stage::Proven(channel, shown);
        Ok(Apdu::answer(&sealed))
    }

    fn commit(
        &mut self,
        hands: &mut Hands<'_>,
        mut channel: Channel,
        shown: &Shown,
        data: &[u8; COMMIT_BYTES],
    ) -> Result<Apdu, StatusWord> {
        let mut sealed = *data;
        let text = channel.open(hands.crypto, &mut sealed).map_err(|BadCiphertext| BAD_PROOF)?;
        let next = read_counted(text).ok_or(BAD_PROOF)?;
        hands.pocket.write(shown, next).map_err(|error| match error {
            PocketError::Sequence => StatusWord::CONDITIONS,
            PocketError::Uncounted => NOT_HERE,
            PocketError::Storage => StatusWord::FAILURE,
        })?;
        let sealed: [u8; COMMITTED_BYTES] =
            channel.seal(hands.crypto, &next.sequence.to_be_bytes());
        Ok(Apdu::answer(&sealed))
    }
}

/// The proof is wrong: security status not satisfied.
pub const BAD_PROOF: StatusWord = StatusWord(0x6982);
/// The version is not spoken here, or the device has no such memory.
pub const NOT_HERE: StatusWord = StatusWord(0x6984);

fn select() -> Apdu {
    let template = wire::template(&Proprietary::own());
    Apdu::answer(template.as_bytes())
}

fn exactly<const N: usize>(data: &[u8]) -> Result<&[u8; N], StatusWord> {
    data.try_into().map_err(|_| StatusWord::WRONG_LENGTH)
}

fn read_counted(text: &[u8]) -> Option<Counted> {
    let (sequence, rest) = text.split_first_chunk::<4>()?;
    let (value, mark) = rest.split_first_chunk::<4>()?;
    Some(Counted {
        sequence: u32::from_be_bytes(*sequence),
        value: u32::from_be_bytes(*value),
        mark: mark.try_into().ok()?,
    })
}
