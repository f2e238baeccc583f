//! Why a token did not serve.

use core::fmt;
use std::io;
use std::path::PathBuf;

use cryptoki::error::{Error, RvError};

/// Why the pool lent no session, or what the token answered.
#[derive(Debug)]
pub enum PoolError {
    /// The module's file cannot be found.
    ModuleFile {
        /// As named in the settings.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The module does not load or does not start.
    Module {
        /// Its resolved path.
        path: PathBuf,
        /// What it said.
        source: Error,
    },
    /// No token with this label is present.
    NoToken {
        /// The label asked for.
        label: String,
        /// The labels of the tokens that are present.
        present: Vec<String>,
    },
    /// Two tokens have this label.
    SameLabel {
        /// The label.
        label: String,
    },
    /// A token with the label is there, but its serial number is not that of the token opened first.
    OtherToken {
        /// The label.
        label: String,
    },
    /// The token refused the PIN, or would be locked by one more that is wrong. The pool is closed.
    Pin {
        /// The label of the token.
        label: String,
        /// Why.
        refusal: PinRefusal,
    },
    /// The PIN was refused earlier; nobody has opened the pool since.
    Closed {
        /// The label of the token.
        label: String,
    },
    /// This process has the token open with another PIN.
    OtherPin {
        /// The label of the token.
        label: String,
    },
    /// The token cannot be reached now; it is looked for again after a pause.
    Away {
        /// The label of the token.
        label: String,
    },
    /// All sessions were in use for longer than a caller waits.
    Busy {
        /// The label of the token.
        label: String,
    },
    /// The token answered with an error.
    Token {
        /// Its answer.
        source: Error,
    },
}

impl PoolError {
    pub(crate) const fn of(source: Error) -> Self {
        Self::Token { source }
    }

    /// Whether the token or its module went away, so that a new connection may help.
    pub(crate) const fn is_loss(&self) -> bool {
        match self {
            Self::Token { source: Error::Pkcs11(answer, _) } => Self::is_loss_answer(answer),
            _ => false,
        }
    }

    /// Whether starting the module anew may help, and no PIN that was refused is shown for it. A module
    /// may remember a flag that a person has cleared meanwhile.
    pub(crate) const fn may_pass_after_a_restart(&self) -> bool {
        matches!(self, Self::Pin { refusal: PinRefusal::FinalTry, .. })
            || !matches!(self, Self::Pin { .. })
    }

    /// As [`PoolError::is_loss`], of what the token answered.
    pub(crate) const fn is_loss_answer(answer: &RvError) -> bool {
        matches!(
            answer,
            RvError::CryptokiNotInitialized
                | RvError::DeviceError
                | RvError::DeviceRemoved
                | RvError::FunctionFailed
                | RvError::GeneralError
                | RvError::SessionClosed
                | RvError::SessionHandleInvalid
                | RvError::SlotIdInvalid
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::UserNotLoggedIn
        )
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ModuleFile { path, .. } => {
                write!(f, "load PKCS#11 module `{}`: no such file", path.display())
            }
            Self::Module { path, .. } => write!(f, "load PKCS#11 module `{}`", path.display()),
            Self::NoToken { label, present } if present.is_empty() => {
                write!(f, "find token `{label}`: the module has no token")
            }
            Self::NoToken { label, present } => {
                write!(f, "find token `{label}`: the module has ")?;
                for (position, present) in present.iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    write!(f, "{comma}`{present}`")?;
                }
                Ok(())
            }
            Self::SameLabel { label } => {
                write!(f, "find token `{label}`: two tokens have this label; give one another")
            }
            Self::OtherToken { label } => write!(
                f,
                "find token `{label}`: its serial number is not that of the token opened before; \
                 put that one back or start anew"
            ),
            Self::Pin { label, refusal } => write!(f, "log in to token `{label}`: {refusal}"),
            Self::Closed { label } => write!(
                f,
                "use token `{label}`: it refused the PIN, which is not tried again by itself; \
                 start anew with the right one"
            ),
            Self::OtherPin { label } => {
                write!(f, "log in to token `{label}`: it is open here with another PIN")
            }
            Self::Away { label } => {
                write!(f, "use token `{label}`: it cannot be reached; it is being looked for")
            }
            Self::Busy { label } => write!(f, "use token `{label}`: all sessions are in use"),
            Self::Token { .. } => f.write_str("use token: it answered with an error"),
        }
    }
}

impl core::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::ModuleFile { source, .. } => Some(source),
            Self::Module { source, .. } | Self::Token { source } => Some(source),
            _ => None,
        }
    }
}

/// Why a token does not take the PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinRefusal {
    /// It is another one.
    Incorrect,
    /// Too many wrong ones: the token is locked.
    Locked,
    /// It has expired.
    Expired,
    /// Its length or its characters are not the token's.
    Form,
    /// The token has no PIN yet.
    NotSet,
    /// One more wrong PIN locks the token; a program does not take that risk.
    FinalTry,
}

impl PinRefusal {
    pub(crate) const fn of(error: &Error) -> Option<Self> {
        let Error::Pkcs11(answer, _) = error else { return None };
        match answer {
            RvError::PinIncorrect => Some(Self::Incorrect),
            RvError::PinLocked => Some(Self::Locked),
            RvError::PinExpired => Some(Self::Expired),
            RvError::PinInvalid | RvError::PinLenRange => Some(Self::Form),
            RvError::UserPinNotInitialized => Some(Self::NotSet),
            _ => None,
        }
    }
}

impl fmt::Display for PinRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incorrect => "the PIN is wrong; it is not tried again by itself",
            Self::Locked => "the PIN is locked; the security officer must set a new one",
            Self::Expired => "the PIN has expired; set a new one with the vendor's tool",
            Self::Form => "the PIN is longer or shorter than the token allows",
            Self::NotSet => "the token has no user PIN yet; set one with the vendor's tool",
            Self::FinalTry => {
                "one more wrong PIN would lock it; log in once with the vendor's tool to clear this"
            }
        })
    }
}
