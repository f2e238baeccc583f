//! Cards with many applications (`specs/card.md`): what a desk does to one, over any link.
//!
//! A card gives its identifier to who has the operator's identifying key, which is one for all cards;
//! its other keys are derived of that identifier inside the vault. New keys are put into commands by the
//! one [`Process`] that may.

mod error;
pub mod plan;
mod session;

use credential::delivery::Scope;
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use super::cipher::SoftwareKey;
use super::diversify::CardInput;
use super::ev2::{self, Mode};
use super::exchange::{Link, masters};
use super::messaging::Channel;
use super::personalise::{Change, NewKeys, Process};
use super::rekey::{self, Next};
use super::{CardAnswer, SecretHandle, Vault};
pub use error::DeskError;
pub use session::{HELD_KEY, Session};

/// The number of a card, of which its keys are derived.
pub type Identifier = [u8; 7];
/// What a card calls an application.
pub type ApplicationId = [u8; 8];

/// The card itself, where an application is named.
pub const ROOT: ApplicationId = [0; 8];
const SYSTEM: &[u8] = b"limen";
const SELECT: [u8; 13] = [0, 0xA4, 4, 0, 7, 0xF0, 0x4C, 0x49, 0x4D, 0x45, 0x4E, 2, 0];
const MASTER_KEY: u8 = 0;
const IDENTIFY_KEY: u8 = 1;
const UPDATE_KEY: u8 = 2;
/// Keys of the card, and of each application.
pub const KEYS: u8 = 3;
const COUNTED_FILE: u8 = 1;
const STANDING_FILE: u8 = 3;

/// An application, or the card itself, and whose masters its keys are derived from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What the card calls it.
    pub id: ApplicationId,
    /// The scope of the masters.
    pub scope: Scope,
}

/// What an application holds, as its operator reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What it is for, as a number.
    pub kind: u8,
    /// Handles in a row that were shown for nothing.
    pub shown_for_nothing: u8,
    /// Sequence, value and mark, where uses are counted.
    pub counted: Option<(u32, u32, [u8; 4])>,
    /// Versions of its keys.
    pub versions: Vec<u8>,
    /// Its handles.
    pub batches: Vec<Batch>,
}

/// The handles of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The epoch.
    pub epoch: u32,
    /// Handles that were loaded.
    pub count: u16,
    /// Handles that were shown.
    pub shown: u16,
    /// Taps.
    pub taps: u32,
}

/// A card at a desk that has the vault at the other end.
pub struct Desk<'d> {
    /// The vault.
    pub vault: &'d dyn Vault,
    /// The card.
    pub link: &'d mut dyn Link,
}

impl Desk<'_> {
    /// Selects what every card has.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn select(&mut self) -> Result<(), DeskError> {
        self.send("select", &SELECT, [0x90, 0x00]).map(|_| ())
    }

    /// The version of the key `number` of `place`, as the card tells everybody; of an application that it
    /// does not have, it tells 1.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn version(&mut self, place: &Place, number: u8) -> Result<u8, DeskError> {
        self.choose(place)?;
        let told = self.native("version", 0x64, &[number], [0x91, 0x00])?;
        let [version] = exactly("version", &told)?;
        Ok(version)
    }

    /// The identifier of the card, by the identifying key of `place`; from a blank card by its maker's
    /// key, which everybody knows.
    ///
    /// # Errors
    /// [`DeskError`].
    pub async fn identifier(&mut self, place: &Place) -> Result<Identifier, DeskError> {
        let mut channel = match self.version(place, IDENTIFY_KEY)? {
            0 => self.maker(place)?,
            _ => self.open(place, &Identifier::default(), IDENTIFY_KEY).await?,
        };
        let told = self.ask(&mut channel, "identifier", 0x51, &[])?;
        exactly("identifier", &told)
    }

    /// Gives a blank card its keys.
    ///
    /// # Errors
    /// [`DeskError`].
    pub async fn give_keys(
        &mut self,
        process: &mut Process,
        place: &Place,
        identifier: &Identifier,
        at: Instant,
    ) -> Result<(), DeskError> {
        let channel = self.maker(place)?;
        let keys = self.new_keys(place, identifier, at)?;
        let sent = process.create(self.vault, &channel, &place.id, 0, &keys).await;
        let sent = sent.map_err(DeskError::Process)?;
        // The session ends with its key.
        self.native("keys of the card", 0xCA, &sent, [0x91, 0x00]).map(|_| ())
    }

    /// The identifiers of the applications that the card has; `root` is the card.
    ///
    /// # Errors
    /// [`DeskError`].
    pub async fn applications(
        &mut self,
        root: &Place,
        identifier: &Identifier,
    ) -> Result<Vec<ApplicationId>, DeskError> {
        let mut channel = self.open(root, identifier, UPDATE_KEY).await?;
        let told = self.ask(&mut channel, "applications", 0x6A, &[])?;
        Ok(told.as_chunks().0.to_vec())
    }

    /// Makes the application `place` of `kind`.
    ///
    /// # Errors
    /// [`DeskError`].
    pub async fn create(
        &mut self,
        process: &mut Process,
        root: &Place,
        (place, kind): (&Place, u8),
        identifier: &Identifier,
        at: Instant,
    ) -> Result<(), DeskError> {
        let mut channel = self.open(root, identifier, MASTER_KEY).await?;
        let keys = self.new_keys(place, identifier, at)?;
        let sent = process.create(self.vault, &channel, &place.id, kind, &keys).await;
        let sent = sent.map_err(DeskError::Process)?;
        self.tell(&mut channel, "application", 0xCA, &sent)
    }

    /// Moves every key of `place` on to the newest version in use; gives how many moved.
    ///
    /// # Errors
    /// [`DeskError`].
    pub async fn rekey(
        &mut self,
        process: &mut Process,
        place: &Place,
        identifier: &Identifier,
        at: Instant,
    ) -> Result<u8, DeskError> {
        let mut moved = 0;
        // The master's own comes last: it is what the others are changed with.
        for number in [IDENTIFY_KEY, UPDATE_KEY, MASTER_KEY] {
            let has = self.version(place, number)?;
            let held = masters(self.vault, &place.scope);
            let versions: Vec<_> = held.iter().map(|(version, _)| *version).collect();
            let version = match rekey::next(has, &versions) {
                Next::Keep => continue,
                Next::Replace => return Err(DeskError::Replace { version: has }),
                Next::Change { to } => to,
            };
            let (old, new) = (self.master(place, has)?, self.master(place, version)?);
            let mut channel = self.open(place, identifier, MASTER_KEY).await?;
            let change = Change {
                card: &input(place, identifier, number)?,
                key_number: number,
                old: (number != MASTER_KEY).then_some(&old),
                new: &new,
                version,
                counter: channel.counter(),
                at,
            };
            let sent = process.change_key(self.vault, channel.session(), &change).await;
            let sent = sent.map_err(DeskError::Process)?;
            if number == MASTER_KEY {
                self.native("change of key", 0xC4, &sent, [0x91, 0x00])?;
            } else {
                self.tell(&mut channel, "change of key", 0xC4, &sent)?;
            }
            // Only what proves its new key has it.
            self.open(place, identifier, number).await?;
            moved += 1;
        }
        Ok(moved)
    }

    /// Puts `value` into the counted state, as its next.
    ///
    /// # Errors
    /// [`DeskError`].
    pub async fn set_value(
        &mut self,
        place: &Place,
        identifier: &Identifier,
        value: u32,
    ) -> Result<(), DeskError> {
        let mut channel = self.open(place, identifier, UPDATE_KEY).await?;
        let (sequence, ..) = self.counted(&mut channel)?;
        let next = sequence.checked_add(1).ok_or(DeskError::Answer { step: "value" })?;
        let state = [&next.to_be_bytes()[..], &value.to_be_bytes(), &[0; 4]].concat();
        self.write(&mut channel, COUNTED_FILE, 0, &state)
    }

    /// What the application holds.
    ///
    /// # Errors
    /// [`DeskError`].
    pub async fn held(
        &mut self,
        place: &Place,
        identifier: &Identifier,
    ) -> Result<Held, DeskError> {
        let step = "standing";
        let mut channel = self.open(place, identifier, UPDATE_KEY).await?;
        let standing = self.read(&mut channel, STANDING_FILE)?;
        let ([kind, shown_for_nothing], batches) = standing
            .split_first_chunk::<2>()
            .map(|(first, rest)| (*first, rest.as_chunks::<12>().0))
            .ok_or(DeskError::Answer { step })?;
        let mut versions = Vec::new();
        for number in 0..KEYS {
            let sent = channel.authenticated(0x64, &[number]).map_err(card(step))?;
            let answer = self.native(step, 0x64, &sent, [0x91, 0x00])?;
            let told = channel.take(&answer).map_err(card(step))?;
            versions.extend_from_slice(told);
        }
        // Ticket and purse alone have a counted state.
        let counted = match kind {
            1 | 4 => Some(self.counted(&mut channel)?),
            _ => None,
        };
        let batches = batches.iter().map(|&[a, b, c, d, e, f, g, h, taps @ ..]| Batch {
            epoch: u32::from_be_bytes([a, b, c, d]),
            count: u16::from_be_bytes([e, f]),
            shown: u16::from_be_bytes([g, h]),
            taps: u32::from_be_bytes(taps),
        });
        let batches = batches.collect();
        Ok(Held { kind, shown_for_nothing, counted, versions, batches })
    }

    fn counted(&mut self, channel: &mut Channel) -> Result<(u32, u32, [u8; 4]), DeskError> {
        let state = self.read(channel, COUNTED_FILE)?;
        let [a, b, c, d, e, f, g, h, mark @ ..] = exactly::<12>("value", &state)?;
        Ok((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]), mark))
    }

    fn read(&mut self, channel: &mut Channel, file: u8) -> Result<Zeroizing<Vec<u8>>, DeskError> {
        self.ask(channel, "reading", 0xAD, &[file, 0, 0, 0, 0, 0, 0])
    }

    fn write(
        &mut self,
        channel: &mut Channel,
        file: u8,
        offset: u32,
        data: &[u8],
    ) -> Result<(), DeskError> {
        let [a, b, c, _] = offset.to_le_bytes();
        // INVARIANT: data is at most a piece.
        let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
        let header = [file, a, b, c, length, 0, 0];
        let sent = channel.encrypted(0x8D, &header, data).map_err(card("writing"))?;
        self.tell(channel, "writing", 0x8D, &sent)
    }

    /// Authenticates the card with its key `number` of `place`, inside the vault.
    async fn open(
        &mut self,
        place: &Place,
        identifier: &Identifier,
        number: u8,
    ) -> Result<Channel, DeskError> {
        let step = "authentication";
        let version = self.version(place, number)?;
        let master = self.master(place, version)?;
        let card_input = input(place, identifier, number)?;
        let challenge = self.native(step, 0x71, &[number, 0], [0x91, 0xAF])?;
        let challenge = exactly(step, &challenge)?;
        let answered = self.vault.answer_card(&master, &card_input, Mode::First, &challenge).await;
        let CardAnswer { run, answer } = answered.map_err(card(step))?;
        let response = self.native(step, 0xAF, &answer, [0x91, 0x00])?;
        let session = self.vault.finish_card(&run, &response).await.map_err(card(step))?;
        Ok(Channel::new(session))
    }

    /// Authenticates a blank card.
    fn maker(&mut self, place: &Place) -> Result<Channel, DeskError> {
        let step = "authentication";
        self.choose(place)?;
        let key = SoftwareKey::new(Zeroizing::new([0; 16]));
        let mut rnd_a = [0; 16];
        aws_lc_rs::rand::fill(&mut rnd_a).map_err(|_| card(step)(super::CardError::Unavailable))?;
        let challenge = self.native(step, 0x71, &[MASTER_KEY, 0], [0x91, 0xAF])?;
        let answered = ev2::answer(&key, Mode::First, &exactly(step, &challenge)?, rnd_a);
        let (challenged, answer) = answered.map_err(|fault| card(step)(fault.into()))?;
        let response = self.native(step, 0xAF, &answer, [0x91, 0x00])?;
        ev2::finish(&key, &challenged, &response).map(Channel::new).map_err(card(step))
    }

    fn new_keys(
        &self,
        place: &Place,
        identifier: &Identifier,
        at: Instant,
    ) -> Result<NewKeys, DeskError> {
        let held = masters(self.vault, &place.scope);
        let active = held.iter().filter(|(it, _)| it.state == crate::custody::State::Active);
        let newest = active.max_by_key(|(version, _)| version.number);
        let (version, master) = newest.ok_or_else(|| no_master(place, None))?;
        let inputs = (0..KEYS).map(|number| input(place, identifier, number));
        let inputs = inputs.collect::<Result<_, _>>()?;
        Ok(NewKeys { inputs, master: *master, version: version.number, at })
    }

    fn master(&self, place: &Place, version: u8) -> Result<SecretHandle, DeskError> {
        let held = masters(self.vault, &place.scope);
        let found = held.iter().find(|(held, _)| held.number == version);
        found.map(|(_, handle)| *handle).ok_or_else(|| no_master(place, Some(version)))
    }

    fn choose(&mut self, place: &Place) -> Result<(), DeskError> {
        self.native("selection", 0x5A, &place.id, [0x91, 0x00]).map(|_| ())
    }

    /// A command in clear, whose answer is encrypted.
    fn ask(
        &mut self,
        channel: &mut Channel,
        step: &'static str,
        command: u8,
        header: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DeskError> {
        let sent = channel.authenticated(command, header).map_err(card(step))?;
        let answer = self.native(step, command, &sent, [0x91, 0x00])?;
        channel.take_encrypted(&answer).map_err(card(step))
    }

    /// A command whose answer is nothing but a MAC.
    fn tell(
        &mut self,
        channel: &mut Channel,
        step: &'static str,
        command: u8,
        sent: &[u8],
    ) -> Result<(), DeskError> {
        let answer = self.native(step, command, sent, [0x91, 0x00])?;
        match channel.take(&answer).map_err(card(step))? {
            [] => Ok(()),
            _ => Err(DeskError::Answer { step }),
        }
    }

    fn native(
        &mut self,
        step: &'static str,
        command: u8,
        data: &[u8],
        status: [u8; 2],
    ) -> Result<Vec<u8>, DeskError> {
        // INVARIANT: a piece, its header, padding and MAC are less than 255 bytes.
        let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
        let apdu = [&[0x90, command, 0, 0, length], data, &[0]].concat();
        self.send(step, &apdu, status)
    }

    fn send(
        &mut self,
        step: &'static str,
        apdu: &[u8],
        status: [u8; 2],
    ) -> Result<Vec<u8>, DeskError> {
        let mut answer = self.link.exchange(apdu).ok_or(DeskError::Gone { step })?;
        let (_, found) = answer.split_last_chunk::<2>().ok_or(DeskError::Answer { step })?;
        if *found != status {
            return Err(DeskError::Status { step, status: *found });
        }
        answer.truncate(answer.len() - 2);
        Ok(answer)
    }
}

/// What a card key is derived of: identifier, application, number, system. The identifying key is one
/// for all cards, so it has no identifier.
fn input(place: &Place, identifier: &Identifier, number: u8) -> Result<CardInput, DeskError> {
    let nobody = Identifier::default();
    let identifier = if number == IDENTIFY_KEY { &nobody } else { identifier };
    let bytes = [&identifier[..], &place.id, &[number], SYSTEM].concat();
    CardInput::new(&bytes).map_err(|_| DeskError::Answer { step: "derivation" })
}

fn exactly<const N: usize>(step: &'static str, data: &[u8]) -> Result<[u8; N], DeskError> {
    data.try_into().map_err(|_| DeskError::Answer { step })
}

fn card(step: &'static str) -> impl FnOnce(super::CardError) -> DeskError {
    move |source| DeskError::Card { step, source }
}

fn no_master(place: &Place, version: Option<u8>) -> DeskError {
    DeskError::NoMaster { scope: place.scope.clone(), version }
}
