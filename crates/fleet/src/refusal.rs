//! Why the domain said no.

use std::fmt;

use ::reader::taps::TapsError;
use audit::journal::JournalError;
use credential::rejection::Rejection;
use credential::x509::build::BuildError;
use credential::x509::compressed::CompressedError;
use policy::authorize::WrongPermit;
use policy::compile::CompileError;
use policy::place::PlaceError;

use vocabulary::code::PlaceCode;

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
    /// The statement of delivery keys is none, or not that of this reader.
    DeliveryKeys(Box<Rejection>),
    /// The operator has [`crate::enrolment::WAITING_MAX`] enrolments waiting.
    EnrolmentsTooMany,
    /// The place does not fit into the tree.
    Place(PlaceError),
    /// The operator has no such place.
    NoPlace(PlaceCode),
    /// The certificate cannot be made by this authority.
    Certificate(BuildError),
    /// The certificate for the standard tap cannot be made by this authority.
    StandardCertificate(CompressedError),
    /// The rules of the reader's doors do not compile.
    Table(CompileError),
    /// What taps must prove passes a limit.
    Taps(TapsError),
    /// The city passes a limit of trust bundles.
    Bundle,
    /// A piece of journal has 1 to [`crate::journal::RECORDS_MAX`] records.
    PieceSize,
    /// A piece of journal is broken in itself, or its head is not signed by its reader.
    Piece(JournalError),
    /// A signed piece of journal begins too late: records are missing.
    Gap {
        /// The number that should come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A signed piece of journal tells another history than the known one: two keepers hold the
    /// reader's key, or its memory was set back.
    Fork {
        /// The number of the record at which it shows.
        sequence: u64,
    },
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
            Self::DeliveryKeys(_) => "delivery-keys",
            Self::EnrolmentsTooMany => "enrolments-too-many",
            Self::Place(PlaceError::Taken(_)) => "place-exists",
            Self::Place(PlaceError::Foreign(_)) => "place-foreign",
            Self::Place(PlaceError::TooMany | PlaceError::TooManyOwn) => "places-too-many",
            Self::NoPlace(_) => "place-unknown",
            Self::Certificate(_) | Self::StandardCertificate(_) => "reader-certificate",
            Self::Table(_) => "bundle-table",
            Self::Taps(_) => "taps-limit",
            Self::Bundle => "bundle-limit",
            Self::PieceSize => "journal-size",
            Self::Piece(
                JournalError::HeadForm
                | JournalError::HeadSignature
                | JournalError::HeadCount { .. }
                | JournalError::HeadHash,
            ) => "journal-head",
            Self::Piece(_) => "journal-malformed",
            Self::Gap { .. } => "journal-gap",
            Self::Fork { .. } => "journal-fork",
        }
    }

    /// Whether somebody must look at it: records are missing, or a reader has told two histories.
    #[must_use]
    pub const fn is_alarm(&self) -> bool {
        matches!(self, Self::Gap { .. } | Self::Fork { .. })
    }
}

impl From<WrongPermit> for Refusal {
    fn from(wrong: WrongPermit) -> Self {
        Self::Permit(wrong)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Place(_) => "the place does not fit into the tree of places",
            Self::NoPlace(code) => return write!(f, "the operator has no place `{code}`"),
            Self::Table(error) => return write!(f, "{error}"),
            Self::Taps(error) => return write!(f, "{error}"),
            Self::Bundle => "the city passes a limit of trust bundles",
            Self::PieceSize => "a piece of journal has 1 to 1,000 records",
            Self::Piece(_) => "the piece is no run of records signed by its reader",
            Self::Gap { expected, found } => {
                return write!(f, "journal records `{expected}` to before `{found}` are missing");
            }
            Self::Fork { sequence } => {
                return write!(f, "journal record `{sequence}` tells another history");
            }
            Self::DeliveryKeys(rejection) => return write!(f, "{}", rejection.message),
            Self::Certificate(_) => "the reader authority cannot make this certificate",
            Self::StandardCertificate(_) => {
                "the reader authority cannot make a certificate for the standard tap"
            }
            Self::Permit(_) => "the permit does not cover this deed",
            Self::Doors => "a reader serves 1 to 8 different doors",
            Self::Retired => "the reader is out of service",
            Self::Code => "the one-time code does not open an enrolment",
            Self::Possession => "the reader did not prove that it holds the private key",
            Self::EnrolmentsTooMany => "the operator has too many enrolments waiting",
        };
        f.write_str(text)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Permit(wrong) => Some(wrong),
            Self::Place(error) => Some(error),
            Self::Certificate(error) => Some(error),
            Self::StandardCertificate(error) => Some(error),
            Self::Piece(error) => Some(error),
            Self::Table(error) => Some(error),
            Self::Taps(error) => Some(error),
            _ => None,
        }
    }
}
