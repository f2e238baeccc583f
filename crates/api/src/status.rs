//! Where the status lists of the city are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The status lists that readers should hold (Token Status List, status list aggregation).
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct StatusLists {
    /// Their addresses, of all operators.
    pub status_lists: Vec<String>,
}
