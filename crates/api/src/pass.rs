//! Passes: one right of one person, from issue to revocation.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A pass to be issued.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPass {
    /// Who will hold it.
    pub person: String,
    /// The product of which it is.
    pub product: String,
    /// From when it holds; from now where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// Until when it holds; as long as the product allows where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
}

/// A pass.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Pass {
    /// The identifier.
    pub id: String,
    /// Who holds it.
    pub person: String,
    /// The product of which it is.
    pub product: String,
    /// `issued`, `active`, `suspended`, `revoked` or `expired`.
    pub state: String,
    /// From when it holds.
    pub valid_from: String,
    /// Until when it holds.
    pub valid_until: String,
    /// Counts the changes, from 1.
    pub version: u32,
}

/// Why a pass is suspended or revoked. It stays with the operator.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PassDeed {
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An offer of a pass to a wallet (OpenID4VCI 1.0, section 4.1).
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct Offer {
    /// The identifier.
    pub id: String,
    /// The offer by reference: short enough for a QR picture.
    pub uri: String,
    /// The offer by value, for wallets that cannot fetch it.
    pub uri_by_value: String,
    /// The code to be told over another channel, where the product asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_code: Option<String>,
    /// From when on the offer is worth nothing.
    pub expires_at: String,
}
