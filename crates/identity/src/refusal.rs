//! Why the domain said no.

use std::fmt;

use policy::authorize::WrongPermit;

/// A deed upon operators, people or tokens that the domain refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The permit is for another deed or another operator: a mistake of the caller.
    Permit(WrongPermit),
    /// An operator of that code exists.
    OperatorExists,
    /// A person of that reference exists with the operator.
    ReferenceExists,
    /// A token must end within [`crate::token::LIFE_MAX`] and not before it begins.
    TokenLife,
    /// The operator has [`crate::token::TOKENS_MAX`] tokens in force.
    TokensTooMany,
    /// The token is revoked already.
    TokenRevoked,
}

impl Refusal {
    /// The stable code that a client sees.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Permit(_) => "wrong-permit",
            Self::OperatorExists => "operator-exists",
            Self::ReferenceExists => "reference-exists",
            Self::TokenLife => "token-life",
            Self::TokensTooMany => "tokens-too-many",
            Self::TokenRevoked => "token-revoked",
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
        match self {
            Self::Permit(_) => f.write_str("the permit does not cover this deed"),
            Self::OperatorExists => f.write_str("an operator of that code exists"),
            Self::ReferenceExists => f.write_str("a person of that reference exists"),
            Self::TokenLife => f.write_str("a token must end in the future and within 400 days"),
            Self::TokensTooMany => f.write_str("the operator has too many tokens in force"),
            Self::TokenRevoked => f.write_str("the token is revoked already"),
        }
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
