//! Operators, which are also the tenants.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An operator to be registered.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOperator {
    /// 1 to 32 of `a-z 0-9 -`; never changes.
    #[schema(example = "harbour-transit")]
    pub code: String,
    /// What people call it.
    #[schema(example = "Harbour Transit")]
    pub name: String,
}

/// A registered operator.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Operator {
    /// Its code.
    pub code: String,
    /// What people call it.
    pub name: String,
    /// When it was registered.
    pub registered_at: String,
}
