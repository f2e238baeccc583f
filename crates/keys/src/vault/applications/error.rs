//! Why a desk did not do its work.

use core::fmt;

use credential::delivery::Scope;

use crate::vault::error::CardError;
use crate::vault::personalise::PersonaliseError;

/// Why a desk did not do its work. What the card has then is the old state or the new one; it tells
/// which when it is held there again.
#[derive(Debug)]
pub enum DeskError {
    /// The card is gone.
    Gone {
        /// In the middle of what.
        step: &'static str,
    },
    /// The card's answer has not the form of one.
    Answer {
        /// To what.
        step: &'static str,
    },
    /// The card said no.
    Status {
        /// To what.
        step: &'static str,
        /// Its status word.
        status: [u8; 2],
    },
    /// The card does not prove its key, or the vault did not serve.
    Card {
        /// In what.
        step: &'static str,
        /// Why.
        source: CardError,
    },
    /// The vault holds no such master.
    NoMaster {
        /// Whose.
        scope: Scope,
        /// Which version; none, if there is no active one at all.
        version: Option<u8>,
    },
    /// The city uses the key of the card no more.
    Replace {
        /// Its version.
        version: u8,
    },
    /// No new key came out.
    Process(PersonaliseError),
}

impl fmt::Display for DeskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { step } => write!(f, "card: it is gone before the {step} ended"),
            Self::Answer { step } => write!(f, "card: its answer to the {step} has not its form"),
            Self::Status { step, status: [0x91, 0xae] } => {
                write!(f, "card: the {step} failed: it has no such application, or another key")
            }
            Self::Status { step, status: [0x91, 0xad] } => {
                write!(f, "card: the {step} is refused: too many failed before; replace the card")
            }
            Self::Status { step, status: [high, low] } => {
                write!(f, "card: it says `{high:02x}{low:02x}` to the {step}")
            }
            Self::Card { step, .. } => write!(f, "card: the {step} failed"),
            Self::NoMaster { scope, version: Some(version) } => {
                write!(
                    f,
                    "card: the key service shows no card master of {} with version {version}: \
                     it is another owner's, or another city's card",
                    name(scope)
                )
            }
            Self::NoMaster { scope, version: None } => write!(
                f,
                "card: the key service shows no active card master of {}: `limen card make-master`",
                name(scope)
            ),
            Self::Replace { version } => write!(
                f,
                "card: its key has version {version}, which the city does not use: replace the card"
            ),
            Self::Process(_) => f.write_str("card: no new key came out"),
        }
    }
}

impl core::error::Error for DeskError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Card { source, .. } => Some(source),
            Self::Process(source) => Some(source),
            _ => None,
        }
    }
}

fn name(scope: &Scope) -> String {
    match &scope.zone {
        Some(zone) => format!("`{}/{}`", scope.operator, zone),
        None => format!("`{}`", scope.operator),
    }
}
