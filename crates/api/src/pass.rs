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
    /// Taps with it that should not have been (`/v1/findings`); only where one pass is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<u64>,
}

/// A tap that should not have been: what reconciliation of journals found (`specs/express-tap.md`).
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Finding {
    /// The event of the audit log.
    pub event: String,
    /// The place of its leaf in the audit log, from 0.
    pub sequence: u64,
    /// When it was found.
    pub found_at: String,
    /// `forged`, `copied` or `cloned`.
    pub kind: String,
    /// What was found; absent once the details are forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
}

/// What was found.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Found {
    /// How it is known.
    #[schema(example = "same-number")]
    pub evidence: String,
    /// The pass, if the handle is of one.
    pub pass: Option<String>,
    /// The zone, if the handle is of a pass.
    pub zone: Option<String>,
    /// The epoch: whole days since 1970 UTC.
    pub epoch: u32,
    /// The tap.
    pub tap: FoundTap,
    /// The tap with which it cannot stand together.
    pub other: Option<FoundTap>,
}

/// A tap, as a gate wrote it down.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct FoundTap {
    /// The gate.
    pub reader: String,
    /// The record of its journal.
    pub record: u64,
    /// When, by the gate's clock.
    pub at: String,
    /// The number of the handle among those of its pass, zone and epoch.
    pub number: u16,
    /// The taps with such handles, as the device counts them.
    pub count: u32,
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
