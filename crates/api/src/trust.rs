//! The public certificates and keys of the city: what wallets, readers and foreign verifiers pin.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whom to trust in this city. Compare the root by its fingerprint before you pin it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Trust {
    /// The root of the city, PEM.
    pub city_root: String,
    /// The authority that signs reader certificates, PEM.
    pub reader_authority: String,
    /// The authority of each operator that signs document signers, in order of codes.
    pub issuing_authorities: Vec<IssuingAuthority>,
    /// The verifier key of the audit log (C2SP signed-note).
    pub log_key: String,
}

/// The authority of one operator.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct IssuingAuthority {
    /// The operator.
    pub operator: String,
    /// Its certificate, PEM.
    pub certificate: String,
}
