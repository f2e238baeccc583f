//! What a decide function of this crate wants written, as whole entities.

use crate::operator::Operator;
use crate::person::Person;
use crate::token::StaffToken;

/// Rows to write, in the transaction that also writes the audit entry.
///
/// Every entity carries a `version`. `Insert` needs that nothing of that key exists; `Update`
/// needs that the stored version is one less than the entity's. Otherwise somebody else was
/// faster, nothing is written, and the caller decides anew on what is stored then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new operator; key: its code.
    InsertOperator(Operator),
    /// A new person; key: its id. Its reference, if any, is unique within the operator.
    InsertPerson(Person),
    /// A new token; key: its id.
    InsertToken(StaffToken),
    /// A token that changed (it was revoked).
    UpdateToken(StaffToken),
}
