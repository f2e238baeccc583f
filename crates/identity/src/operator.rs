//! Operators: transit companies, landlords, offices; each is a tenant, and the city is one of them.

use policy::action::Action;
use policy::actor::CITY;
use policy::authorize::{Permit, WrongPermit};
use vocabulary::code::OperatorCode;
use vocabulary::text::Line;
use vocabulary::time::Instant;

use crate::change::Change;
use crate::refusal::Refusal;

/// Bytes in the name of an operator.
pub const NAME_BYTES_MAX: usize = 120;

/// An operator, which is also a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Its key in the whole city; never changes.
    pub code: OperatorCode,
    /// What people call it.
    pub name: Line<NAME_BYTES_MAX>,
    /// When it was registered.
    pub registered_at: Instant,
    /// Counts the writes, from 1.
    pub version: u32,
}

/// What is asked when an operator is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOperator {
    /// Its key.
    pub code: OperatorCode,
    /// Its name.
    pub name: Line<NAME_BYTES_MAX>,
}

/// Registers an operator in the register of the city. `existing` is what is stored under its code.
///
/// # Errors
/// [`Refusal::OperatorExists`] when the code is taken, [`Refusal::Permit`] for a wrong permit.
pub fn register_operator(
    permit: &Permit,
    existing: Option<&Operator>,
    request: NewOperator,
    now: Instant,
) -> Result<Change, Refusal> {
    // The register belongs to the city, whatever operator is entered into it.
    if permit.operator().as_str() != CITY || permit.action() != Action::OperatorRegister {
        let wrong = WrongPermit { given: permit.action(), needed: Action::OperatorRegister };
        return Err(Refusal::Permit(wrong));
    }
    if existing.is_some() {
        return Err(Refusal::OperatorExists);
    }
    let NewOperator { code, name } = request;
    Ok(Change::InsertOperator(Operator { code, name, registered_at: now, version: 1 }))
}
