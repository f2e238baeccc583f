//! People who may hold passes, each known to one operator.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A person to be registered.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// Full name, as the person writes it.
    #[schema(example = "Mira Okafor")]
    pub name: String,
    /// Where an offer can be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The person's number in the operator's own books; unique within the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A registered person.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct Person {
    /// The identifier.
    #[schema(example = "person_01kapzzzzz0000000000000000")]
    pub id: String,
    /// Full name.
    pub name: String,
    /// Where an offer can be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The person's number in the operator's own books.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When the person was registered.
    pub registered_at: String,
}
