//! The one process in which a card key exists as plain bytes: it writes new keys into cards.
//!
//! A run makes a transport key that lives as long as itself, records the deed durably in its ledger,
//! has the vault wrap the card key for that transport key, turns it into the card's ChangeKey command
//! and erases it. What leaves is the command, encrypted under the session with the card.

use core::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use credential::delivery::recipient::VerifiedRecipient;
use credential::delivery::{Delivery, DeliveryError, Purpose};
use serde_json::{Value, json};
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use super::diversify::CardInput;
use super::error::{CardError, WrapError};
use super::ev2::{self, Changed, Session};
use super::messaging::Channel;
use super::transport::{OpenError, Transport};
use super::{SecretHandle, Vault};
use crate::file::FileError;

/// One run of personalisation.
pub struct Process {
    transport: Transport,
    ledger: File,
    path: PathBuf,
}

/// Which key of which card becomes which.
#[derive(Clone, Debug)]
pub struct Change<'c> {
    /// What tells this card key from all others, for the old key and the new one.
    pub card: &'c CardInput,
    /// The number of the key on the card.
    pub key_number: u8,
    /// The master of the key that the card has now, where that is another than the one with which the
    /// session was authenticated.
    pub old: Option<&'c SecretHandle>,
    /// The master of the new key.
    pub new: &'c SecretHandle,
    /// The version that the card is told.
    pub version: u8,
    /// Commands since the authentication.
    pub counter: u16,
    /// Now.
    pub at: Instant,
}

/// The keys of a card or of an application that are made now.
#[derive(Clone, Debug)]
pub struct NewKeys {
    /// What each is derived of, by its number.
    pub inputs: Vec<CardInput>,
    /// The master of all.
    pub master: SecretHandle,
    /// Its version, which the card is told.
    pub version: u8,
    /// Now.
    pub at: Instant,
}

/// The native command that makes an application, or gives a blank card its keys.
const CREATE: u8 = 0xCA;

impl Process {
    /// Begins a run, whose deeds are appended to the ledger at `path`, a line of JSON each.
    ///
    /// # Errors
    /// [`PersonaliseError`].
    pub fn begin(path: &Path) -> Result<Self, PersonaliseError> {
        let transport = Transport::draw().map_err(|_| PersonaliseError::Cryptography)?;
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let ledger = opened.map_err(|source| ledger_error(path, source))?;
        Ok(Self { transport, ledger, path: path.into() })
    }

    /// The transport key of the run, for the vault.
    #[must_use]
    pub const fn recipient(&self) -> &VerifiedRecipient {
        self.transport.recipient()
    }

    /// The data of the ChangeKey command for `change`, over the session with the card. The deed is in
    /// the ledger before any key is asked for.
    ///
    /// # Errors
    /// [`PersonaliseError`]; without the record no key comes out.
    pub async fn change_key(
        &mut self,
        vault: &dyn Vault,
        session: &Session,
        change: &Change<'_>,
    ) -> Result<Vec<u8>, PersonaliseError> {
        self.record(change)?;
        let new = self.fetch(vault, change.new, change.card).await?;
        let old = match change.old {
            Some(master) => Some(self.fetch(vault, master, change.card).await?),
            None => None,
        };
        let changed = old.as_deref().map_or(Changed::Own, |old| Changed::Other { old });
        let Change { counter, key_number, version, .. } = *change;
        let data = ev2::change_key(session, counter, key_number, changed, &new, version);
        data.map_err(PersonaliseError::Card)
    }

    /// The data of the command by which a card gets the application `id` of `kind`, or its own keys,
    /// over the channel to it. The deed is in the ledger before any key is asked for.
    ///
    /// # Errors
    /// [`PersonaliseError`]; without the record no key comes out.
    pub async fn create(
        &mut self,
        vault: &dyn Vault,
        channel: &Channel,
        id: &[u8; 8],
        kind: u8,
        keys: &NewKeys,
    ) -> Result<Vec<u8>, PersonaliseError> {
        let cards: Vec<String> = keys.inputs.iter().map(digest).collect();
        self.append(json!({
            "deed": "card.create-application",
            "at": keys.at.to_string(),
            "application": hex(id),
            "kind": kind,
            "cards_sha256": cards,
            "version": keys.version,
            "master": keys.master.to_string(),
        }))?;
        // No reallocation may leave a key behind.
        let mut body = Zeroizing::new(Vec::with_capacity(id.len() + 1 + 17 * keys.inputs.len()));
        body.extend_from_slice(id);
        body.push(kind);
        for input in &keys.inputs {
            body.extend_from_slice(self.fetch(vault, &keys.master, input).await?.as_slice());
            body.push(keys.version);
        }
        channel.encrypted(CREATE, &[], &body).map_err(PersonaliseError::Card)
    }

    async fn fetch(
        &self,
        vault: &dyn Vault,
        master: &SecretHandle,
        card: &CardInput,
    ) -> Result<Zeroizing<[u8; 16]>, PersonaliseError> {
        let delivery = vault.wrap_card_key(master, card, self.recipient()).await;
        self.unwrap(&delivery.map_err(PersonaliseError::Wrap)?, card)
    }

    fn unwrap(
        &self,
        delivery: &Delivery,
        card: &CardInput,
    ) -> Result<Zeroizing<[u8; 16]>, PersonaliseError> {
        let context = &delivery.context;
        let is_ours = context.purpose == Purpose::Card && context.subject == card.as_bytes();
        if !is_ours {
            return Err(PersonaliseError::Other);
        }
        let key = self.transport.open(delivery).map_err(|error| match error {
            OpenError::Delivery(error) => PersonaliseError::Delivery(error),
            OpenError::Other => PersonaliseError::Other,
            OpenError::Cryptography => PersonaliseError::Cryptography,
        })?;
        key.as_slice().try_into().map(Zeroizing::new).map_err(|_| PersonaliseError::Other)
    }

    fn record(&mut self, change: &Change<'_>) -> Result<(), PersonaliseError> {
        self.append(json!({
            "deed": "card.change-key",
            "at": change.at.to_string(),
            "card_sha256": digest(change.card),
            "key_number": change.key_number,
            "version": change.version,
            "master": change.new.to_string(),
            "old_master": change.old.map(ToString::to_string),
        }))
    }

    fn append(&mut self, mut deed: Value) -> Result<(), PersonaliseError> {
        if let Value::Object(deed) = &mut deed {
            deed.insert("run".into(), hex(self.recipient().identity()).into());
        }
        let written = self.ledger.write_all(format!("{deed}\n").as_bytes());
        written
            .and_then(|()| self.ledger.sync_all())
            .map_err(|source| ledger_error(&self.path, source))
    }
}

/// Names a card key without saying of which card it is.
fn digest(card: &CardInput) -> String {
    hex(crate::custody::KeyHandle::of(card.as_bytes()).as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("ledger", &self.path).finish_non_exhaustive()
    }
}

fn ledger_error(path: &Path, source: std::io::Error) -> PersonaliseError {
    PersonaliseError::Ledger(FileError::Io { deed: "write", path: path.into(), source })
}

/// Why no key was written.
#[derive(Debug)]
pub enum PersonaliseError {
    /// The deed could not be recorded, so that it was not done.
    Ledger(FileError),
    /// The vault did not wrap the key.
    Wrap(WrapError),
    /// What came is no delivery for this run.
    Delivery(DeliveryError),
    /// What came is for another run, another card or of another key.
    Other,
    /// The command could not be made.
    Card(CardError),
    /// The random generator or the cipher failed.
    Cryptography,
}

impl fmt::Display for PersonaliseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ledger(error) => write!(f, "personalise card: record the deed first: {error}"),
            Self::Wrap(error) => write!(f, "personalise card: {error}"),
            Self::Delivery(error) => write!(f, "personalise card: {error}"),
            Self::Other => f.write_str("personalise card: the key is for another run or card"),
            Self::Card(error) => write!(f, "personalise card: {error}"),
            Self::Cryptography => f.write_str("personalise card: the cryptographic module failed"),
        }
    }
}

impl core::error::Error for PersonaliseError {}
