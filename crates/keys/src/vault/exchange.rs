//! The exchange by which a card in a pocket gets its next key: commands out, answers in, over any reader
//! or printer that carries them (`specs/card-keys.md`).
//!
//! The card tells the version of its key, is authenticated with that key inside the vault, takes the new
//! one, and is authenticated with the new one: only then is it said to have it. Commands are native ones
//! wrapped in ISO/IEC 7816-4 (class `90`), as AN12196 shows them; the application is selected before.

use core::fmt;

use credential::delivery::Scope;
use vocabulary::time::Instant;

use super::diversify::CardInput;
use super::error::CardError;
use super::ev2::{Mode, Session};
use super::personalise::{Change, PersonaliseError, Process};
use super::rekey::{self, Next, Version};
use super::{CardAnswer, Secret, SecretHandle, SecretKind, Vault};

const GET_KEY_VERSION: u8 = 0x64;
const AUTHENTICATE_FIRST: u8 = 0x71;
const CHANGE_KEY: u8 = 0xc4;
const MORE: u8 = 0xaf;
const DONE: [u8; 2] = [0x91, 0x00];
const AND_MORE: [u8; 2] = [0x91, 0xaf];
/// Keys of one application have the numbers 0 to 13.
const KEY_NUMBER_MAX: u8 = 13;

/// A card at a reader.
pub trait Link {
    /// Sends a command to the card and returns its answer with the status word; nothing where the card
    /// is gone.
    fn exchange(&mut self, command: &[u8]) -> Option<Vec<u8>>;
}

/// Which key of which card.
#[derive(Clone, Debug)]
pub struct CardKey {
    /// What tells this card key from all others.
    pub input: CardInput,
    /// The number of the key on the card, with which it is authenticated and which is changed.
    pub number: u8,
    /// Where the card is good: its masters have this scope.
    pub scope: Scope,
}

/// What became of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its key is the newest in use, and it proved that it has it.
    Kept {
        /// Its version.
        version: u8,
    },
    /// It has a new key, and proved it.
    Changed {
        /// The version that it had.
        from: u8,
        /// The version that it has.
        to: u8,
    },
}

/// Where an exchange stood when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The card was asked for the version of its key.
    Version,
    /// It was authenticated with the key that it has.
    Authenticate,
    /// It was told its new key.
    Change,
    /// It was authenticated with its new key.
    Verify,
}

impl Step {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Authenticate => "authentication",
            Self::Change => "change",
            Self::Verify => "proof of the new key",
        }
    }

    /// What is known of the key of a card whose exchange ended here.
    #[must_use]
    pub const fn card(self) -> &'static str {
        match self {
            Self::Version | Self::Authenticate => "its key is the one that it had",
            Self::Change | Self::Verify => {
                "it has the old key or the new one: it tells which, when it is held here again"
            }
        }
    }
}

/// Changes the key of the card at `link` where the policy says so ([`rekey::next`]), and proves which key
/// it has then.
///
/// # Errors
/// [`ExchangeError`]; [`Step::card`] says what is known of the card.
pub async fn change_key(
    vault: &dyn Vault,
    process: &mut Process,
    card: &CardKey,
    link: &mut dyn Link,
    at: Instant,
) -> Result<Outcome, ExchangeError> {
    if card.number > KEY_NUMBER_MAX {
        return Err(ExchangeError::KeyNumber { found: card.number });
    }
    let asked = wrap(GET_KEY_VERSION, &[card.number]);
    let told = send(link, Step::Version, &asked, DONE)?;
    let [from] = *told.as_slice() else {
        return Err(ExchangeError::Answer { step: Step::Version });
    };
    let masters = masters(vault, &card.scope);
    let held: Vec<Version> = masters.iter().map(|(version, _)| *version).collect();
    let named = |number: u8| {
        let found = masters.iter().find(|(version, _)| version.number == number);
        found.map(|(_, handle)| *handle).ok_or(ExchangeError::Replace { version: number })
    };
    let to = match rekey::next(from, &held) {
        Next::Replace => return Err(ExchangeError::Replace { version: from }),
        Next::Keep => None,
        Next::Change { to } => Some(to),
    };
    let session = authenticate(vault, card, named(from)?, link, Step::Authenticate).await?;
    let Some(to) = to else { return Ok(Outcome::Kept { version: from }) };
    let new = named(to)?;
    let change = Change {
        card: &card.input,
        key_number: card.number,
        old: None,
        new: &new,
        version: to,
        counter: 0,
        at,
    };
    let data = process.change_key(vault, &session, &change).await;
    let data = data.map_err(ExchangeError::Process)?;
    // The session ends with its key: the card says done, and nothing that could be checked.
    send(link, Step::Change, &wrap(CHANGE_KEY, &data), DONE)?;
    authenticate(vault, card, new, link, Step::Verify).await?;
    Ok(Outcome::Changed { from, to })
}

/// Authenticates the card with its key under `master`, inside the vault.
async fn authenticate(
    vault: &dyn Vault,
    card: &CardKey,
    master: SecretHandle,
    link: &mut dyn Link,
    step: Step,
) -> Result<Session, ExchangeError> {
    let begin = wrap(AUTHENTICATE_FIRST, &[card.number, 0]);
    let challenge = send(link, step, &begin, AND_MORE)?;
    let challenge = challenge.as_slice().try_into().map_err(|_| ExchangeError::Answer { step })?;
    let answered = vault.answer_card(&master, &card.input, Mode::First, challenge).await;
    let fail = |source| ExchangeError::Card { step, source };
    let CardAnswer { run, answer } = answered.map_err(fail)?;
    let response = send(link, step, &wrap(MORE, &answer), DONE)?;
    vault.finish_card(&run, &response).await.map_err(fail)
}

/// The masters of `scope` whose version a card can store, with their handles.
pub(super) fn masters(vault: &dyn Vault, scope: &Scope) -> Vec<(Version, SecretHandle)> {
    let version = |secret: &Secret| {
        let number = u8::try_from(secret.version).ok()?;
        Some((Version { number, state: secret.state }, secret.handle))
    };
    let secrets = vault.secrets();
    let own = secrets.iter().filter(|secret| {
        secret.kind == SecretKind::CardMaster && secret.scope.as_ref() == Some(scope)
    });
    own.filter_map(version).collect()
}

/// A native command in a command APDU.
fn wrap(command: u8, data: &[u8]) -> Vec<u8> {
    // INVARIANT: no command here has more than 41 bytes of data.
    let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
    [&[0x90, command, 0, 0, length], data, &[0]].concat()
}

/// The data of the card's answer, whose status must be `status`.
fn send(
    link: &mut dyn Link,
    step: Step,
    command: &[u8],
    status: [u8; 2],
) -> Result<Vec<u8>, ExchangeError> {
    let mut answer = link.exchange(command).ok_or(ExchangeError::Gone { step })?;
    let (_, found) = answer.split_last_chunk::<2>().ok_or(ExchangeError::Answer { step })?;
    if *found != status {
        return Err(ExchangeError::Status { step, status: *found });
    }
    answer.truncate(answer.len() - 2);
    Ok(answer)
}

/// Why a card did not get its key, or did not prove it.
#[derive(Debug)]
pub enum ExchangeError {
    /// The number is none of a key.
    KeyNumber {
        /// The number.
        found: u8,
    },
    /// The card is gone.
    Gone {
        /// In the middle of what.
        step: Step,
    },
    /// The card's answer has not the form of one.
    Answer {
        /// To what.
        step: Step,
    },
    /// The card said no.
    Status {
        /// To what.
        step: Step,
        /// Its status word.
        status: [u8; 2],
    },
    /// The card does not prove the key.
    Card {
        /// To what.
        step: Step,
        /// Why.
        source: CardError,
    },
    /// The city uses the key of the card no more, or never held it.
    Replace {
        /// The version that the card tells.
        version: u8,
    },
    /// No new key came out.
    Process(PersonaliseError),
}

impl ExchangeError {
    /// Where the exchange stood, if it had begun to talk to the card.
    #[must_use]
    pub const fn step(&self) -> Option<Step> {
        match self {
            Self::KeyNumber { .. } => None,
            Self::Gone { step }
            | Self::Answer { step }
            | Self::Status { step, .. }
            | Self::Card { step, .. } => Some(*step),
            Self::Replace { .. } => Some(Step::Version),
            Self::Process(_) => Some(Step::Authenticate),
        }
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("change key of card: ")?;
        match self {
            Self::KeyNumber { found } => write!(f, "`{found}` is no number of a key: 0 to 13"),
            Self::Gone { step } => write!(f, "the card is gone before the {} ended", step.as_str()),
            Self::Answer { step } => {
                write!(f, "the card's answer to the {} has not its form", step.as_str())
            }
            Self::Status { step, status: [high, low] } => {
                write!(f, "the card says `{high:02x}{low:02x}` to the {}", step.as_str())
            }
            Self::Card { step, .. } => write!(f, "the {} failed", step.as_str()),
            Self::Replace { version } => write!(
                f,
                "its key has version {version}, which the city does not use: replace the card"
            ),
            Self::Process(_) => f.write_str("no new key came out"),
        }
    }
}

impl core::error::Error for ExchangeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Card { source, .. } => Some(source),
            Self::Process(source) => Some(source),
            _ => None,
        }
    }
}
