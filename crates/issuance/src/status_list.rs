//! The status lists of an operator: which there are, and which index a new document gets.
//!
//! IETF Token Status List with two bits per index: valid, invalid, suspended. Indexes are drawn at
//! random among those that are free, so that neither order nor neighbourhood says anything.

use vocabulary::code::OperatorCode;

/// One status list of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusList {
    /// The operator, which is the tenant.
    pub operator: OperatorCode,
    /// Its number within the operator, from 0; part of its URI.
    pub number: u32,
    /// How many indexes it has.
    pub capacity: u32,
    /// 1 when opened, one more with every change.
    pub version: u32,
}
