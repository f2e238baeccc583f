//! Events: the deeds of an operator as its auditors read them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A deed that was done.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Event {
    /// The identifier.
    pub id: String,
    /// The place of its leaf in the audit log, from 0.
    pub sequence: u64,
    /// What happened.
    #[schema(example = "pass-issue")]
    pub kind: String,
    /// When.
    pub at: String,
    /// Who did it, by identifier; absent once the details are forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// To what, by identifier; absent once the details are forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
}
