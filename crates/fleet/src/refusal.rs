//! Why the domain said no.

use std::fmt;

use policy::authorize::WrongPermit;

/// A deed upon readers that the domain refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The permit is for another deed or another operator: a mistake of the caller.
    Permit(WrongPermit),
    /// A reader serves 1 to [`crate::reader::DOORS_MAX`] different doors.
    Doors,
    /// The reader is out of service.
    Retired,
    /// The one-time code is unknown, wrong, used, expired or out of tries; it never says which.
    Code,
    /// The reader did not prove that it holds the private key.
    Possession,
    /// The operator has [`crate::enrolment::WAITING_MAX`] enrolments waiting.
    EnrolmentsTooMany,
}

impl Refusal {
    /// The stable code that a client sees.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Permit(_) => "wrong-permit",
            Self::Doors => "reader-doors",
            Self::Retired => "reader-retired",
            Self::Code => "enrolment-code",
            Self::Possession => "key-possession",
            Self::EnrolmentsTooMany => "enrolments-too-many",
        }
    }
}

impl From<WrongPermit> for Refusal {
    fn from(wrong: WrongPermit) -> Self {
        Self::Permit(wrong)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit(_) => "the permit does not cover this deed",
            Self::Doors => "a reader serves 1 to 8 different doors",
            Self::Retired => "the reader is out of service",
            Self::Code => "the one-time code does not open an enrolment",
            Self::Possession => "the reader did not prove that it holds the private key",
            Self::EnrolmentsTooMany => "the operator has too many enrolments waiting",
        })
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Permit(wrong) => Some(wrong),
            _ => None,
        }
    }
}
