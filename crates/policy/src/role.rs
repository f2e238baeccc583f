//! Roles of staff and of machines, and sets of them.
//!
//! A role belongs to one operator and says nothing about another. Machine roles are given by the
//! constructors of [`crate::actor::Actor`] alone: no token can carry one.

use std::fmt;
use std::str::FromStr;

/// What an actor is to its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Runs an operator: every deed upon its own that is not a machine's.
    Owner,
    /// Registers people and issues passes.
    IssuerClerk,
    /// Helps people: looks up, suspends and resumes; never issues a pass nor offers one again.
    HelpDesk,
    /// Runs readers, places and what they know.
    FleetManager,
    /// Reads everything, changes nothing.
    Auditor,
    /// Registers operators; has force in the city's own operator only.
    Registrar,
    /// Machine: an enrolled reader, acting for itself.
    Reader,
    /// Machine: something in a wall that holds a one-time code and wants to become a reader.
    Candidate,
    /// Machine: a wallet that redeems the one offer it was given.
    Wallet,
    /// Machine: a wallet with the device key of a pass, acting for that pass.
    Holder,
    /// Machine: the server's own background jobs.
    Worker,
    /// Who sits at the machine that holds the data: founds the city and makes first tokens.
    Host,
}

impl Role {
    /// Every role, staff first.
    pub const ALL: [Self; 12] = [
        Self::Owner,
        Self::IssuerClerk,
        Self::HelpDesk,
        Self::FleetManager,
        Self::Auditor,
        Self::Registrar,
        Self::Reader,
        Self::Candidate,
        Self::Wallet,
        Self::Holder,
        Self::Worker,
        Self::Host,
    ];

    /// The stable name: `issuer-clerk`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::IssuerClerk => "issuer-clerk",
            Self::HelpDesk => "help-desk",
            Self::FleetManager => "fleet-manager",
            Self::Auditor => "auditor",
            Self::Registrar => "registrar",
            Self::Reader => "reader",
            Self::Candidate => "candidate",
            Self::Wallet => "wallet",
            Self::Holder => "holder",
            Self::Worker => "worker",
            Self::Host => "host",
        }
    }

    /// Whether a person of the staff may carry this role on a token.
    #[must_use]
    pub const fn is_staff(self) -> bool {
        match self {
            Self::Owner
            | Self::IssuerClerk
            | Self::HelpDesk
            | Self::FleetManager
            | Self::Auditor
            | Self::Registrar => true,
            Self::Reader
            | Self::Candidate
            | Self::Wallet
            | Self::Holder
            | Self::Worker
            | Self::Host => false,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no role of the staff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseRoleError {
    text: String,
}

impl fmt::Display for ParseRoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no role of the staff: expected one of", self.text)?;
        let staff = Role::ALL.into_iter().filter(|role| role.is_staff());
        staff.enumerate().try_for_each(|(position, role)| {
            write!(f, "{}{role}", if position == 0 { " " } else { ", " })
        })
    }
}

impl std::error::Error for ParseRoleError {}

impl FromStr for Role {
    type Err = ParseRoleError;

    /// Reads a role of the staff; machine roles have no text that is read.
    fn from_str(text: &str) -> Result<Self, ParseRoleError> {
        let named = Self::ALL.into_iter().find(|role| role.as_str() == text && role.is_staff());
        named.ok_or_else(|| ParseRoleError { text: text.chars().take(NAME_SHOWN_MAX).collect() })
    }
}

/// Characters of a wrong role name that an error message repeats.
pub const NAME_SHOWN_MAX: usize = 32;

/// A set of roles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Roles(u16);

impl Roles {
    /// No role at all.
    pub const NONE: Self = Self(0);

    /// The set with just `role`.
    #[must_use]
    pub const fn only(role: Role) -> Self {
        Self(role.bit())
    }

    /// This set and `role`.
    #[must_use]
    pub const fn with(self, role: Role) -> Self {
        Self(self.0 | role.bit())
    }

    /// Whether `role` is in this set.
    #[must_use]
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether there is no role in this set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles of this set in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_in_its_own_set_and_no_other() {
        for role in Role::ALL {
            let members: Vec<Role> = Roles::only(role).iter().collect();
            assert_eq!(members, [role]);
        }
        assert_eq!(Role::ALL.into_iter().collect::<Roles>().iter().count(), Role::ALL.len());
    }

    #[test]
    fn machine_roles_have_no_text_that_is_read() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().is_ok(), role.is_staff(), "{role}");
        }
    }
}
