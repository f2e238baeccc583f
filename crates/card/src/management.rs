//! Management: what operators do to their applications, in sessions under keys of their own.
//!
//! Commands are native ones of EV2, wrapped in class `90`; scopes of eight bytes take the place of
//! application identifiers. Whatever goes wrong ends the session.

mod deeds;
mod files;
pub mod keys;

use alloc::vec::Vec;

use credential::crypto::{Crypto, P256Secret};
use presentation::apdu::{Command, StatusWord};
use presentation::express::reader::Counted;
use zeroize::Zeroizing;

use self::deeds::{change_key, create, delete};
use crate::ev2::{Challenge, Mode, Protection, Session, Transaction};
use crate::memory::Memory;
use crate::record::{Application, Batch, Key, Keys};
use crate::status::{Status, StatusError};
use crate::store::Store;
use crate::{ENTROPY_BYTES, FAILURES_MAX, Kind, ROOT, Scope};

/// The application identifier of management (category F, unregistered).
pub const APPLICATION: [u8; 7] = [0xF0, 0x4C, 0x49, 0x4D, 0x45, 0x4E, 0x02];
/// The answer to SELECT: the same for every card.
pub const TEMPLATE: [u8; 17] =
    [0x6F, 15, 0x84, 7, 0xF0, 0x4C, 0x49, 0x4D, 0x45, 0x4E, 0x02, 0xA5, 4, 0x5C, 2, 0x01, 0x00];
/// Class of native commands.
pub const CLASS: u8 = 0x90;
/// Number of the key that changes keys; that of the card also makes and deletes applications.
pub const MASTER_KEY: u8 = 0;
/// Number of the key that asks for the card's identifier, one for all cards of an operator.
pub const IDENTIFY_KEY: u8 = 1;
/// Number of the key that loads handles and reads and writes the counted state; that of the card lists
/// the applications.
pub const UPDATE_KEY: u8 = 2;
/// The file of the counted state.
pub const COUNTED_FILE: u8 = 1;
/// The file into which a sealed batch of handles is written.
pub const INBOX_FILE: u8 = 2;
/// The file that says how the application stands.
pub const STANDING_FILE: u8 = 3;
/// The file of the pass.
pub const PASS_FILE: u8 = 4;
/// The file into which a message is written that is to be signed.
pub const MESSAGE_FILE: u8 = 5;

const SELECT_APPLICATION: u8 = 0x5A;
const GET_KEY_VERSION: u8 = 0x64;
const AUTHENTICATE_FIRST: u8 = 0x71;
const AUTHENTICATE_NON_FIRST: u8 = 0x77;
const MORE: u8 = 0xAF;
const GET_IDENTIFIER: u8 = 0x51;
const GET_APPLICATIONS: u8 = 0x6A;
const CHANGE_KEY: u8 = 0xC4;
const COMMIT: u8 = 0xC7;
const CREATE_APPLICATION: u8 = 0xCA;
const DELETE_APPLICATION: u8 = 0xDA;
const WRITE_DATA: u8 = 0x8D;
const READ_DATA: u8 = 0xAD;
const DRAW_KEY: u8 = 0xD2;
const SIGN: u8 = 0xD3;

/// The version that a card tells of a key that it does not have.
const DECOY_VERSION: u8 = 1;

/// How an application stands, as its operator reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is for.
    pub kind: Kind,
    /// Handles in a row that were shown for nothing.
    pub for_nothing: u8,
    /// The counted state.
    pub counted: Counted,
    /// Versions of its keys.
    pub versions: Vec<u8>,
    /// Epoch, handles, handles shown, taps of each batch.
    pub batches: Vec<(u32, u16, u16, u32)>,
}

impl Standing {
    pub(crate) fn of(application: &Application) -> Self {
        let batches = application.batches.iter().flatten();
        let batches =
            batches.map(|&Batch { epoch, count, shown, taps, .. }| (epoch, count, shown, taps));
        Self {
            kind: application.kind,
            for_nothing: application.for_nothing,
            counted: application.counted,
            versions: application.keys.0.iter().map(|key| key.version).collect(),
            batches: batches.collect(),
        }
    }
}

/// Where a card is in management.
#[derive(Default)]
pub(crate) struct Management {
    selected: Scope,
    stage: Stage,
    /// What was written in this session and not taken yet, and into which file.
    inbox: (u8, Zeroizing<Vec<u8>>),
    /// Keys that were drawn in this session.
    drawn: Vec<P256Secret>,
    agreement: Option<P256Secret>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    Challenged(Challenge, Whose),
    Open(Session, Whose),
}

/// Under which key.
#[derive(Clone, Copy)]
struct Whose {
    place: Place,
    number: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Application(usize),
    /// The application is not on this card, which nobody shall notice.
    Nowhere,
}

/// What a command works with.
struct Hands<'h, M> {
    store: &'h mut Store<M>,
    crypto: &'h dyn Crypto,
}

impl Management {
    /// Ends the session.
    pub(crate) fn forget(&mut self) {
        *self = Self { selected: self.selected, ..Self::default() };
    }

    pub(crate) fn handle<M: Memory>(
        &mut self,
        store: &mut Store<M>,
        crypto: &dyn Crypto,
        entropy: &[u8; ENTROPY_BYTES],
        command: &Command<'_>,
    ) -> Vec<u8> {
        let mut hands = Hands { store, crypto };
        let wrong = if command.class != CLASS {
            Some(StatusWord::WRONG_CLASS)
        } else if (command.p1, command.p2) != (0, 0) {
            Some(StatusWord::WRONG_PARAMETERS)
        } else {
            None
        };
        let done = match wrong {
            Some(word) => Err(word),
            None => self.native(&mut hands, entropy, command).map_err(|StatusError(it)| it.word()),
        };
        match done {
            Ok((data, status)) => [&data[..], &status.word().0.to_be_bytes()].concat(),
            Err(word) => {
                self.forget();
                word.0.to_be_bytes().to_vec()
            }
        }
    }

    fn native<M: Memory>(
        &mut self,
        hands: &mut Hands<'_, M>,
        entropy: &[u8; ENTROPY_BYTES],
        command: &Command<'_>,
    ) -> Result<(Vec<u8>, Status), StatusError> {
        let data = command.data;
        let stage = core::mem::take(&mut self.stage);
        match (command.instruction, stage) {
            (SELECT_APPLICATION, _) => {
                let selected = data.try_into().map_err(|_| Status::Length)?;
                self.forget();
                self.selected = selected;
                Ok((Vec::new(), Status::Done))
            }
            (GET_KEY_VERSION, Stage::Idle) => {
                let [number] = exactly(data)?;
                Ok((alloc::vec![self.version(hands, number)?], Status::Done))
            }
            (AUTHENTICATE_FIRST, _) => {
                self.forget();
                // Number of the key, length of the reader's capabilities, and these.
                let (&[number, length], capabilities) =
                    data.split_first_chunk::<2>().ok_or(Status::Length)?;
                if usize::from(length) != capabilities.len() || length > 6 {
                    return Err(Status::Length.into());
                }
                self.challenge(hands, entropy, number, None)
            }
            (AUTHENTICATE_NON_FIRST, Stage::Open(session, _)) => {
                let [number] = exactly(data)?;
                self.challenge(hands, entropy, number, Some(session.transaction))
            }
            (MORE, Stage::Challenged(challenge, whose)) => {
                self.answer(hands, &challenge, whose, data)
            }
            (MORE | AUTHENTICATE_NON_FIRST, _) => Err(Status::Authentication.into()),
            (_, Stage::Open(session, whose)) => {
                self.within(hands, entropy, (session, whose), command)
            }
            (
                GET_IDENTIFIER | GET_APPLICATIONS | CHANGE_KEY | COMMIT | CREATE_APPLICATION
                | DELETE_APPLICATION | WRITE_DATA | READ_DATA | DRAW_KEY | SIGN | GET_KEY_VERSION,
                _,
            ) => Err(Status::Authentication.into()),
            _ => Err(Status::Command.into()),
        }
    }

    /// The version of a key, told to everybody; of an application that is not here, [`DECOY_VERSION`].
    fn version<M: Memory>(&self, hands: &Hands<'_, M>, number: u8) -> Result<u8, StatusError> {
        let (_, keys) = self.keys(hands)?;
        let decoy = Keys([Key { bytes: [0; 16], version: DECOY_VERSION }; crate::KEYS]);
        let key = keys.as_ref().unwrap_or(&decoy).key(number).ok_or(Status::Key)?;
        Ok(key.version)
    }

    fn keys<M: Memory>(&self, hands: &Hands<'_, M>) -> Result<(Place, Option<Keys>), StatusError> {
        let root = hands.store.root(hands.crypto)?;
        if self.selected == ROOT {
            return Ok((Place::Root, Some(root.keys.clone())));
        }
        let Some(slot) = root.slot_of(&self.selected) else { return Ok((Place::Nowhere, None)) };
        let application = hands.store.application(hands.crypto, slot)?;
        Ok((Place::Application(slot), Some(application.keys.clone())))
    }

    /// First half: counts a failure, durably, before anything is known of the reader.
    fn challenge<M: Memory>(
        &mut self,
        hands: &mut Hands<'_, M>,
        entropy: &[u8; ENTROPY_BYTES],
        number: u8,
        transaction: Option<Transaction>,
    ) -> Result<(Vec<u8>, Status), StatusError> {
        let [rnd_b @ .., a, b, c, d] = *entropy.first_chunk::<20>().ok_or(Status::Aborted)?;
        let decoy = entropy.last_chunk::<16>().ok_or(Status::Aborted)?;
        let (place, keys) = self.keys(hands)?;
        let key = match &keys {
            Some(keys) => keys.key(number).ok_or(Status::Key)?.bytes,
            None if usize::from(number) < crate::KEYS => *decoy,
            None => return Err(Status::Key.into()),
        };
        hands.count(place, Count::Begun)?;
        let mode = transaction.map_or(Mode::First([a, b, c, d]), Mode::NonFirst);
        let (challenge, sent) = Challenge::new(key, rnd_b, mode);
        self.stage = Stage::Challenged(challenge, Whose { place, number });
        Ok((sent.to_vec(), Status::More))
    }

    fn answer<M: Memory>(
        &mut self,
        hands: &mut Hands<'_, M>,
        challenge: &Challenge,
        whose: Whose,
        data: &[u8],
    ) -> Result<(Vec<u8>, Status), StatusError> {
        let (session, sent) = challenge.finish(&exactly(data)?)?;
        if whose.place == Place::Nowhere {
            return Err(Status::Authentication.into());
        }
        let count = if whose.number == IDENTIFY_KEY { Count::Known } else { Count::Trusted };
        hands.count(whose.place, count)?;
        self.stage = Stage::Open(session, whose);
        Ok((sent, Status::Done))
    }

    fn within<M: Memory>(
        &mut self,
        hands: &mut Hands<'_, M>,
        entropy: &[u8; ENTROPY_BYTES],
        (mut session, whose): (Session, Whose),
        command: &Command<'_>,
    ) -> Result<(Vec<u8>, Status), StatusError> {
        let rule = rule(command.instruction).ok_or(Status::Command)?;
        let opened = session.open(command.instruction, command.data, rule.header, rule.command)?;
        let (header, body) = opened;
        if rule.key.is_some_and(|key| key != whose.number) {
            return Err(Status::Permission.into());
        }
        let answered = match (command.instruction, whose.place) {
            (GET_KEY_VERSION, _) => {
                let [number] = exactly(&header)?;
                alloc::vec![self.version(hands, number)?]
            }
            (GET_IDENTIFIER, _) => hands.store.root(hands.crypto)?.identifier.to_vec(),
            (CHANGE_KEY, _) => {
                let [number] = exactly(&header)?;
                change_key(hands, whose, number, &body)?;
                if number == whose.number {
                    return Ok(self.over());
                }
                Vec::new()
            }
            (CREATE_APPLICATION, Place::Root) => {
                if create(hands, &body)? {
                    return Ok(self.over());
                }
                Vec::new()
            }
            (DELETE_APPLICATION, Place::Root) => delete(hands, exactly(&header)?)?,
            (GET_APPLICATIONS, Place::Root) => {
                let root = hands.store.root(hands.crypto)?;
                root.directory.iter().flatten().flatten().copied().collect()
            }
            (READ_DATA | WRITE_DATA | COMMIT, Place::Application(slot)) => {
                self.file(hands, slot, command.instruction, &header, &body)?
            }
            (DRAW_KEY, Place::Application(_)) => {
                let [of] = exactly(&header)?;
                self.draw(hands, entropy, of)?
            }
            (SIGN, Place::Application(slot)) => {
                let [number] = exactly(&header)?;
                self.sign(hands, slot, number)?
            }
            _ => return Err(Status::Permission.into()),
        };
        let sent = session.seal(&answered, rule.answer)?;
        self.stage = Stage::Open(session, whose);
        Ok((sent, Status::Done))
    }
}

impl Management {
    /// The session ends with its key.
    fn over(&mut self) -> (Vec<u8>, Status) {
        self.forget();
        (Vec::new(), Status::Done)
    }
}

/// Which key a command in a session asks for, if one alone may, and how it travels.
struct Rule {
    key: Option<u8>,
    /// Bytes in clear before the body.
    header: usize,
    command: Protection,
    answer: Protection,
}

fn rule(instruction: u8) -> Option<Rule> {
    use Protection::{Full, Mac};
    let rule = |key, header, command, answer| Some(Rule { key, header, command, answer });
    match instruction {
        GET_KEY_VERSION => rule(None, 1, Mac, Mac),
        GET_IDENTIFIER => rule(None, 0, Mac, Full),
        GET_APPLICATIONS => rule(Some(UPDATE_KEY), 0, Mac, Full),
        // Its body is encrypted, and unpadded where its lengths are known.
        CHANGE_KEY => rule(Some(MASTER_KEY), 1, Full, Mac),
        CREATE_APPLICATION => rule(Some(MASTER_KEY), 0, Full, Mac),
        DELETE_APPLICATION => rule(Some(MASTER_KEY), 8, Mac, Mac),
        READ_DATA => rule(Some(UPDATE_KEY), 7, Mac, Full),
        WRITE_DATA => rule(Some(UPDATE_KEY), 7, Full, Mac),
        COMMIT => rule(Some(UPDATE_KEY), 0, Mac, Mac),
        DRAW_KEY | SIGN => rule(Some(UPDATE_KEY), 1, Mac, Mac),
        _ => None,
    }
}

/// What an authentication does to the count of failures.
enum Count {
    /// One more, unless there are too many.
    Begun,
    /// This one did not fail. The key is one for many cards: who took it from another card shall not
    /// clear the count of those who try keys here.
    Known,
    /// None any more, nor of handles that were shown for nothing: who has this key is the operator.
    Trusted,
}

impl<M: Memory> Hands<'_, M> {
    fn count(&mut self, place: Place, count: Count) -> Result<(), StatusError> {
        let next = |failures: u16| match count {
            Count::Begun if failures >= FAILURES_MAX => Err(Status::Delay),
            Count::Begun => Ok(failures + 1),
            Count::Known => Ok(failures.saturating_sub(1)),
            Count::Trusted => Ok(0),
        };
        if let Place::Application(slot) = place {
            let mut application = self.store.application(self.crypto, slot)?;
            application.failures = next(application.failures)?;
            if matches!(count, Count::Trusted) {
                application.for_nothing = 0;
            }
            return Ok(self.store.save_application(self.crypto, slot, &application)?);
        }
        let mut root = self.store.root(self.crypto)?;
        let failures = if place == Place::Root { &mut root.failures } else { &mut root.strangers };
        *failures = next(*failures)?;
        Ok(self.store.save_root(self.crypto, &root)?)
    }
}

fn exactly<const N: usize>(data: &[u8]) -> Result<[u8; N], StatusError> {
    data.try_into().map_err(|_| Status::Length.into())
}
