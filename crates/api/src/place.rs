//! The tree of places: sites, floors, doors, gates.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A place of the operator.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its path in the tree, 1 to 8 segments joined by `/`.
    #[schema(example = "harbour/town-hall/door-1")]
    pub code: String,
    /// What the sign says.
    #[schema(example = "Town Hall, staff entrance")]
    pub name: String,
    /// The fare or access zone in which it lies; that of the place around it where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "B")]
    pub zone: Option<String>,
    /// How much is at stake behind it; as at the place around it where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_class: Option<ZoneClass>,
}

/// How much is at stake behind a door: decides what a reader does when it cannot prove freshness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ZoneClass {
    /// Opens by what is known, however old.
    Low,
    /// Opens by what is known for a while.
    Normal,
    /// Refuses without proof of freshness.
    High,
}
