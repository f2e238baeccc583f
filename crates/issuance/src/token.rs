//! The token endpoint: a pre-authorized code becomes an access token (OpenID4VCI 1.0, 6).
//!
//! The access token is a random secret, kept as its digest, short-lived, and bound to the DPoP key
//! that asked for it (RFC 9449) whenever there was one.

use vocabulary::code::OperatorCode;
use vocabulary::id::{OfferId, PassId};
use vocabulary::time::Instant;

use crate::product::Format;
use crate::secret::Digest;

/// What an access token allows: to collect documents of one pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Digest of the access token.
    pub token_digest: Digest,
    /// The operator, which is the tenant.
    pub operator: OperatorCode,
    /// The offer that was redeemed.
    pub offer: OfferId,
    /// The pass whose documents may be collected.
    pub pass: PassId,
    /// How many documents of each format may still be collected.
    pub remaining: Vec<Remaining>,
    /// RFC 7638 thumbprint of the DPoP key; a bearer token when absent.
    pub key_thumbprint: Option<Digest>,
    /// From when on the token is refused.
    pub expires_at: Instant,
    /// 1 when granted, one more with every change.
    pub version: u32,
}

/// How many documents of a format may still be collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// The format.
    pub format: Format,
    /// The number.
    pub documents: u16,
}
