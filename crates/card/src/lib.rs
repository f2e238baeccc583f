//! The card: many applications of many operators on one card (`specs/card.md`).
//!
//! [`Card`] takes command APDUs (ISO/IEC 7816-4) and gives answers. Three things can be selected, and all
//! are on every card: the express tap (`specs/express-tap.md`), the standard tap
//! (`specs/standard-tap.md`), and management, by which operators personalise under keys of their own.
//! Which operators have an application here shows to nobody without a key: the scope in the first command
//! chooses, or the group of a reader that proves itself, and a card without it answers alike.
//!
//! It does no input or output: memory is a [`memory::Memory`], entropy an argument. It says nothing of
//! its maker's number, and has no other.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod cipher;
mod ev2;
pub mod management;
pub mod memory;
mod pass;
mod pocket;
mod record;
mod standard;
mod status;
mod store;

use alloc::vec::Vec;
use core::fmt;

use credential::crypto::Crypto;
use presentation::apdu::{self, Command, StatusWord};
use presentation::express::handle::HANDLE_BYTES;
use presentation::express::holder::{Hands, HolderEnd};
use presentation::express::{FRESH_BYTES, Transport};
use presentation::standard::{EXPEDITED_APPLICATION, STEP_UP_APPLICATION};

use crate::management::Management;
use crate::memory::{Memory, MemoryFault};
use crate::pocket::CardPocket;
use crate::record::{Keys, Root};
use crate::standard::Standard;
use crate::store::Store;

/// Historical bytes of the ATR of every card.
pub const HISTORICAL: &[u8] = b"Limen";
/// Pages that a card needs of its memory.
pub const PAGES: usize = store::PAGES;
/// Applications on one card.
pub const APPLICATIONS_MAX: usize = 8;
/// Epochs for which one application has handles: the one at hand and the next.
pub const BATCHES_MAX: usize = BATCH_SLOTS - 1;
/// Keys of the card, and of each application.
pub const KEYS: usize = 3;
/// Authentications in a row that may fail; after that the application, or for those that are not here
/// the card, takes no more.
pub const FAILURES_MAX: u16 = 1_000;
/// Bytes of entropy that one command uses at the most.
pub const ENTROPY_BYTES: usize = 96;
/// Bytes of a pass, with the keys of the reader authorities to which it is shown.
pub const PASS_BYTES_MAX: usize = 6 * 1024;
/// Reader authorities to which a pass is shown.
pub const AUTHORITIES_MAX: usize = 4;

/// A batch is written beside those that count.
const BATCH_SLOTS: usize = 3;

/// The number of a card, of which its keys are derived. It never leaves in clear.
pub type Identifier = [u8; 7];
/// The scope of an application (`presentation::express::ScopeId`), or [`ROOT`].
pub type Scope = [u8; 8];

/// The card itself, where an application is named.
pub const ROOT: Scope = [0; 8];

/// What an application is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rides, counted.
    Ticket,
    /// Doors.
    Badge,
    /// Loans and entry, not counted.
    Library,
    /// Money, counted.
    Purse,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Ticket, Self::Badge, Self::Library, Self::Purse];

    /// The name, as told and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Badge => "badge",
            Self::Library => "library",
            Self::Purse => "purse",
        }
    }

    /// The number, as stored and sent.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ticket => 1,
            Self::Badge => 2,
            Self::Library => 3,
            Self::Purse => 4,
        }
    }

    /// The kind of a number.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.byte() == byte)
    }

    /// Whether there is a counted state.
    #[must_use]
    pub const fn is_counted(self) -> bool {
        matches!(self, Self::Ticket | Self::Purse)
    }
}

/// A card in the field of a reader, or out of it.
pub struct Card<M> {
    store: Store<M>,
    selected: Selected,
    express: HolderEnd,
    standard: Standard,
    management: Management,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Selected {
    Nothing,
    Express,
    Standard,
    Management,
}

impl<M: Memory> Card<M> {
    /// Makes a blank card in `memory`, whatever it held: `identifier` is drawn for it, and its keys are
    /// the maker's, which everybody knows.
    ///
    /// # Errors
    /// [`MemoryFault`].
    pub fn make(
        memory: M,
        crypto: &dyn Crypto,
        identifier: Identifier,
    ) -> Result<Self, MemoryFault> {
        let directory = [None; APPLICATIONS_MAX];
        let keys = Keys::default();
        let root = Root { identifier, keys, failures: 0, strangers: 0, directory };
        let mut store = Store(memory);
        (0..APPLICATIONS_MAX).try_for_each(|slot| store.erase(slot))?;
        store.save_root(crypto, &root)?;
        Ok(Self::with(store))
    }

    /// The card that `memory` holds.
    ///
    /// # Errors
    /// [`MemoryFault`], also if it holds none or something that counts is damaged.
    pub fn open(memory: M, crypto: &dyn Crypto) -> Result<Self, MemoryFault> {
        let store = Store(memory);
        let root = store.root(crypto)?;
        for (slot, scope) in root.directory.iter().enumerate() {
            if scope.is_some_and(|scope| {
                store.application(crypto, slot).map(|it| it.scope) != Ok(scope)
            }) {
                return Err(MemoryFault);
            }
        }
        Ok(Self::with(store))
    }

    fn with(store: Store<M>) -> Self {
        let (express, management) = (HolderEnd::new(Transport::Nfc), Management::default());
        let standard = Standard::default();
        Self { store, selected: Selected::Nothing, express, standard, management }
    }

    /// The memory of a card that is taken away.
    #[must_use]
    pub fn into_memory(self) -> M {
        self.store.0
    }

    /// The field is gone: what was begun is over.
    pub fn reset(&mut self) {
        self.selected = Selected::Nothing;
        self.express.reset();
        self.standard = Standard::default();
        self.management = Management::default();
    }

    /// Answers one command, whatever its bytes are. `entropy` is drawn afresh for it.
    pub fn command(
        &mut self,
        crypto: &dyn Crypto,
        entropy: &[u8; ENTROPY_BYTES],
        apdu: &[u8],
    ) -> Vec<u8> {
        let command = Command::parse(apdu);
        if let Ok(command) = &command
            && (command.class, command.instruction) == (apdu::CLASS_LAST, apdu::SELECT)
        {
            return self.select(crypto, entropy, apdu, command);
        }
        match (self.selected, command) {
            (Selected::Express, _) => self.express(crypto, entropy, apdu),
            (Selected::Standard, _) => self.standard.handle(&mut self.store, crypto, apdu),
            (Selected::Management, Ok(command)) => {
                self.management.handle(&mut self.store, crypto, entropy, &command)
            }
            (Selected::Management, Err(_)) => {
                self.management.forget();
                word(StatusWord::WRONG_LENGTH)
            }
            (Selected::Nothing, Ok(_)) => word(StatusWord::CONDITIONS),
            (Selected::Nothing, Err(_)) => word(StatusWord::WRONG_LENGTH),
        }
    }

    fn select(
        &mut self,
        crypto: &dyn Crypto,
        entropy: &[u8; ENTROPY_BYTES],
        apdu: &[u8],
        command: &Command<'_>,
    ) -> Vec<u8> {
        self.management.forget();
        if HolderEnd::is_selected_by(command) {
            self.selected = Selected::Express;
            self.standard = Standard::default();
            return self.express(crypto, entropy, apdu);
        }
        let is_by_name = (command.p1, command.p2) == (0x04, 0x00);
        if is_by_name && command.data == EXPEDITED_APPLICATION {
            self.express.reset();
            self.selected = Selected::Standard;
            self.standard = Standard::begin(&self.store, crypto, entropy);
            return self.standard.handle(&mut self.store, crypto, apdu);
        }
        let is_step_up = is_by_name && command.data == STEP_UP_APPLICATION;
        if is_step_up && self.selected == Selected::Standard {
            return self.standard.handle(&mut self.store, crypto, apdu);
        }
        self.standard = Standard::default();
        if is_by_name && command.data == management::APPLICATION {
            self.express.reset();
            self.selected = Selected::Management;
            return [&management::TEMPLATE[..], &StatusWord::OK.0.to_be_bytes()].concat();
        }
        if self.selected == Selected::Express {
            // No command: the tap is over, and the next OPEN works.
            self.express(crypto, entropy, &[]);
        }
        word(if is_by_name { StatusWord::NOT_FOUND } else { StatusWord::WRONG_PARAMETERS })
    }

    fn express(
        &mut self,
        crypto: &dyn Crypto,
        entropy: &[u8; ENTROPY_BYTES],
        apdu: &[u8],
    ) -> Vec<u8> {
        let mut pocket = CardPocket { store: &mut self.store, crypto };
        // INVARIANT: a tap takes less entropy than a command has.
        let entropy = entropy.first_chunk().copied().unwrap_or([0; HANDLE_BYTES + FRESH_BYTES]);
        let mut hands = Hands { crypto, pocket: &mut pocket, entropy };
        self.express.handle(&mut hands, apdu).as_bytes().to_vec()
    }

    /// What the card holds of the application of `scope`, told to nobody
    /// who has no key: for tests and for who has the memory itself.
    ///
    /// # Errors
    /// [`MemoryFault`].
    pub fn danger_standing(
        &self,
        crypto: &dyn Crypto,
        scope: &Scope,
    ) -> Result<Option<management::Standing>, MemoryFault> {
        let root = self.store.root(crypto)?;
        let slot = root.slot_of(scope);
        let application = slot.map(|slot| self.store.application(crypto, slot)).transpose()?;
        Ok(application.as_ref().map(management::Standing::of))
    }
}

impl<M> fmt::Debug for Card<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card(..)")
    }
}

fn word(status: StatusWord) -> Vec<u8> {
    status.0.to_be_bytes().to_vec()
}
