//! Handles of the express tap, for a wallet that holds the device key of a pass.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A wallet's request for handles. Its own signature is all that it shows.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandlesRequest {
    /// The operator of the pass and of the gates.
    #[schema(example = "harbour")]
    pub operator: String,
    /// The zone in which the handles shall be good.
    #[schema(example = "B")]
    pub zone: String,
    /// The epoch: whole days since 1970 UTC; today or tomorrow.
    pub epoch: u32,
    /// IssuerSigned of the pass with all its items, in base64url.
    pub pass: String,
    /// The statement of the device, which says how many (`specs/express-tap.md`), in base64url. It counts
    /// once.
    pub statement: String,
}

/// Handles, sealed for the device.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Handles {
    /// How many.
    pub count: u16,
    /// The answer of the key service (`specs/express-tap.md`), in base64url.
    pub answer: String,
}
