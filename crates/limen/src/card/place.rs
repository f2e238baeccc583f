//! Applications of a card as the command line names them.

use core::str::FromStr;
use std::fmt;

use card::Kind;
use credential::aws_lc::AwsLc;
use credential::delivery::Scope;
use keys::vault::applications::{Place, ROOT};
use presentation::express::ScopeId;
use vocabulary::code::OperatorCode;

/// `operator` or `operator/zone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner(pub(super) Scope);

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (operator, zone) = match text.split_once('/') {
            Some((operator, zone)) => (operator, Some(zone)),
            None => (text, None),
        };
        let wrong = |_| String::from("expected OPERATOR or OPERATOR/ZONE");
        let operator = operator.parse().map_err(wrong)?;
        let zone = zone.map(str::parse).transpose().map_err(wrong)?;
        Ok(Self(Scope { operator, zone }))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.zone {
            Some(zone) => write!(f, "{}/{zone}", self.0.operator),
            None => write!(f, "{}", self.0.operator),
        }
    }
}

impl Owner {
    /// The application of this owner: its doors know it by the same name.
    pub(super) fn place(&self) -> Place {
        let Scope { operator, zone } = &self.0;
        Place { id: ScopeId::new(&AwsLc, operator, zone.as_ref()).0, scope: self.0.clone() }
    }
}

/// The card itself, whose keys are those of its issuer.
pub(super) fn root(issuer: &OperatorCode) -> Place {
    Place { id: ROOT, scope: Scope { operator: issuer.clone(), zone: None } }
}

/// `kind=operator` or `kind=operator/zone`.
#[derive(Clone, Debug)]
pub(super) struct Application {
    pub(super) kind: Kind,
    pub(super) owner: Owner,
}

impl FromStr for Application {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || String::from("expected ticket=, badge=, library= or purse= and its OWNER");
        let (kind, owner) = text.split_once('=').ok_or_else(wrong)?;
        let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind).ok_or_else(wrong)?;
        Ok(Self { kind, owner: owner.parse()? })
    }
}

/// `operator=number` or `operator/zone=number`.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) owner: Owner,
    pub(super) value: u32,
}

impl FromStr for Value {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || String::from("expected OWNER=NUMBER");
        let (owner, value) = text.split_once('=').ok_or_else(wrong)?;
        Ok(Self { owner: owner.parse()?, value: value.parse().map_err(|_| wrong())? })
    }
}
