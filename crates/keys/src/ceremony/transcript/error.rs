//! Why a transcript is not believed: each refusal names the place and what is wrong there.

use core::fmt;

use super::TRANSCRIPT_BYTES_MAX;
use crate::ceremony::approval::{ApprovalError, PersonName};
use crate::custody::KeyHandle;

/// Why a transcript is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TranscriptError {
    /// Too many bytes or steps.
    Size,
    /// It is no JSON of a transcript.
    Json {
        /// The line where reading ended.
        line: usize,
    },
    /// Another format, or another version of it.
    Format {
        /// What it says of itself.
        found: String,
    },
    /// It says the same as a transcript would, but is not written as one: a byte was changed.
    Form {
        /// The line of the first difference.
        line: usize,
    },
    /// There is no step in it.
    Empty,
    /// The identifier of the ceremony is none.
    Ceremony,
    /// A step does not hold.
    Step {
        /// Its place, from 1.
        number: u32,
        /// What is wrong.
        what: What,
    },
    /// The end is missing.
    Missing {
        /// The step that should follow.
        expected: &'static str,
    },
    /// A custodian has not signed.
    Unsigned {
        /// Who.
        name: PersonName,
    },
    /// More signatures than custodians.
    TooManyApprovals,
    /// A signature does not hold.
    Approval(ApprovalError),
    /// A key that was to have signed has not.
    NotSignedBy {
        /// Which.
        key: KeyHandle,
    },
}

/// What is wrong with a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It bears another number than its place: a step is missing, or was moved.
    Number {
        /// The number.
        found: u32,
    },
    /// It does not follow on the step before.
    Previous,
    /// Its content was changed.
    Digest,
    /// Another step should stand here.
    Order {
        /// Which should.
        expected: &'static str,
        /// Which does.
        found: &'static str,
    },
    /// It is earlier than the step before.
    Time,
    /// Somebody has not confirmed it.
    NotConfirmed {
        /// Who.
        name: PersonName,
    },
    /// One of its facts cannot be true.
    Fact(&'static str),
}

impl fmt::Display for TranscriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("verify transcript: ")?;
        match self {
            Self::Size => write!(f, "it is larger than any, `{TRANSCRIPT_BYTES_MAX}` bytes"),
            Self::Json { line } => write!(f, "line `{line}` is not what a transcript has there"),
            Self::Format { found } => write!(f, "its format `{}` is unknown", found.escape_debug()),
            Self::Form { line } => write!(f, "line `{line}` was changed since it was written"),
            Self::Empty => f.write_str("it has no steps"),
            Self::Ceremony => f.write_str("it names no ceremony"),
            Self::Step { number, what } => write!(f, "step `{number}` {what}"),
            Self::Missing { expected } => write!(f, "it breaks off before `{expected}`"),
            Self::Unsigned { name } => write!(f, "the signature of `{name}` is missing"),
            Self::TooManyApprovals => f.write_str("it has more signatures than custodians"),
            Self::Approval(error) => write!(f, "{error}"),
            Self::NotSignedBy { key } => write!(f, "the key `{key}` has not signed it"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { found } => {
                write!(f, "bears the number `{found}`: a step is missing or was moved")
            }
            Self::Previous => f.write_str("does not follow on the step before it"),
            Self::Digest => f.write_str("was changed since it was recorded"),
            Self::Order { expected, found } => {
                write!(f, "is `{found}` where `{expected}` should be")
            }
            Self::Time => f.write_str("is earlier than the step before it"),
            Self::NotConfirmed { name } => write!(f, "was not confirmed by `{name}`"),
            Self::Fact(name) => write!(f, "says something that cannot be true in `{name}`"),
        }
    }
}

impl core::error::Error for TranscriptError {}
