//! Why a ceremony was not held to its end, and what it left behind.

use core::fmt;
use std::path::PathBuf;

use super::certificate::CertifyError;
use super::room::Left;
use super::seat::SeatError;
use super::shares::ShareError;
use super::staff::StaffError;
use super::transcript::error::TranscriptError;
use super::wrapping::WrapError;
use crate::custody::{KeepError, KeyHandle, SignError};
use crate::file::FileError;
use crate::object::WrongTypeError;

/// Why a ceremony was not held to its end.
#[derive(Debug)]
pub struct LeadError {
    /// The step at which it ended, from 1; 0 before the first.
    pub step: u32,
    /// Why.
    pub cause: Cause,
    /// What could not be taken back, with what to do about it.
    pub left: Vec<String>,
}

impl LeadError {
    pub(super) const fn at(step: u32, cause: Cause) -> Self {
        Self { step, cause, left: Vec::new() }
    }
}

/// What stopped a ceremony.
#[derive(Debug)]
pub enum Cause {
    /// Somebody stopped it.
    Stopped(Left),
    /// An earlier one for this plan was interrupted.
    Unfinished {
        /// Its record.
        path: PathBuf,
    },
    /// A file stands where one would be written.
    InTheWay {
        /// Which.
        path: PathBuf,
    },
    /// There is a root already where the new one would be made.
    RootThere {
        /// Its handle.
        handle: KeyHandle,
        /// Where.
        held_by: String,
    },
    /// There is no old root with a certificate.
    NoOldRoot,
    /// The random generator failed.
    Random,
    /// A staff key cannot be used.
    Staff(StaffError),
    /// The wrapping key failed.
    Wrap(WrapError),
    /// The key could not be split.
    Share(ShareError),
    /// The custodian of the root did not make or keep a key.
    Keep(KeepError),
    /// The custodian of the root did not wrap it.
    Seat(SeatError),
    /// No certificate came about.
    Certify(CertifyError),
    /// A file could not be written.
    File(FileError),
    /// A staff key did not sign.
    Sign(SignError),
    /// The transcript is not one that can be signed.
    Type(WrongTypeError),
    /// The transcript does not hold by our own judgement.
    Transcript(TranscriptError),
}

macro_rules! causes {
    ($($source:ty => $variant:ident,)*) => {$(
        impl From<$source> for Cause {
            fn from(source: $source) -> Self {
                Self::$variant(source)
            }
        }
    )*};
}

causes! {
    Left => Stopped,
    StaffError => Staff,
    WrapError => Wrap,
    ShareError => Share,
    KeepError => Keep,
    SeatError => Seat,
    CertifyError => Certify,
    FileError => File,
    SignError => Sign,
    WrongTypeError => Type,
    TranscriptError => Transcript,
}

impl fmt::Display for LeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.step == 0 {
            return write!(f, "begin ceremony: {}", self.cause);
        }
        write!(f, "hold ceremony, step `{}`: {}; ", self.step, self.cause)?;
        if self.left.is_empty() {
            return f.write_str(
                "what it made is taken back and nothing is left but the custodians' signing keys: \
                 begin again when you are ready",
            );
        }
        write!(f, "left behind: {}", self.left.join("; "))
    }
}

impl core::error::Error for LeadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.cause {
            Cause::Keep(source) => source.source(),
            Cause::Seat(source) => source.source(),
            Cause::File(source) => source.source(),
            Cause::Staff(source) => source.source(),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(error) => write!(f, "{error}"),
            Self::Unfinished { path } => write!(
                f,
                "an earlier ceremony of this plan was interrupted (`{}`): run it with `--discard`, \
                 which takes back what it made",
                path.display()
            ),
            Self::InTheWay { path } => {
                write!(f, "`{}` is there already: move it away, or change the plan", path.display())
            }
            Self::RootThere { handle, held_by } => write!(
                f,
                "there is a root already in {held_by} (`{handle}`): a new one needs a place of its own"
            ),
            Self::NoOldRoot => {
                f.write_str("the plan's `old_root` holds no root with a certificate")
            }
            Self::Random => f.write_str("the system gives no random bytes"),
            Self::Staff(error) => write!(f, "{error}"),
            Self::Wrap(error) => write!(f, "{error}"),
            Self::Share(error) => write!(f, "{error}"),
            Self::Keep(error) => write!(f, "{error}"),
            Self::Seat(error) => write!(f, "{error}"),
            Self::Certify(error) => write!(f, "{error}"),
            Self::File(error) => write!(f, "{error}"),
            Self::Sign(error) => write!(f, "{error}"),
            Self::Type(error) => write!(f, "{error}"),
            Self::Transcript(error) => write!(f, "{error}"),
        }
    }
}
