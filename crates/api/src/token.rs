//! Access tokens of staff and services.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token to be made.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    #[schema(example = "ticket shop")]
    pub label: String,
    /// What it may do.
    #[schema(example = json!(["issuer-clerk"]))]
    pub roles: Vec<String>,
    /// Until when it holds; 90 days where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// A token as it is listed: without its secret.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Token {
    /// The identifier.
    pub id: String,
    /// What it is for.
    pub label: String,
    /// What it may do.
    pub roles: Vec<String>,
    /// Until when it holds.
    pub expires_at: String,
    /// When it was revoked, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
}

/// A token that was just made; its secret is shown this once.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct CreatedToken {
    /// The token as it is listed.
    #[serde(flatten)]
    pub token: Token,
    /// What stands after `Authorization: Bearer`.
    pub secret: String,
}
