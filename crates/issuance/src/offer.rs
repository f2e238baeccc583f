//! Credential offers with a pre-authorized code (OpenID4VCI 1.0, 4.1).
//!
//! The code is a secret of 32 bytes, kept as its digest. An offer by reference carries the code in
//! its URI, as an offer by value carries it in its text: who has the link has the offer, and the
//! city need not keep the code to answer. A transaction code of six digits, told over another
//! channel, is kept as a digest that only the holder of the offer's code could try to guess, and
//! tries at the token endpoint are counted.

use vocabulary::code::{OperatorCode, ProductCode};
use vocabulary::id::{OfferId, PassId};
use vocabulary::time::Instant;

use crate::names::names;
use crate::product::Format;
use crate::secret::Digest;

/// An offer to collect a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its identifier.
    pub id: OfferId,
    /// The operator, which is the tenant.
    pub operator: OperatorCode,
    /// The pass on offer.
    pub pass: PassId,
    /// The product of the pass.
    pub product: ProductCode,
    /// The formats on offer.
    pub formats: Vec<Format>,
    /// Digest of the pre-authorized code; unique.
    pub code_digest: Digest,
    /// Digest of the transaction code, if one is asked for.
    pub transaction_code_digest: Option<Digest>,
    /// How many more wrong transaction codes it survives.
    pub tries_left: u8,
    /// What has become of it.
    pub state: OfferState,
    /// From when on it is refused.
    pub expires_at: Instant,
    /// 1 when made, one more with every change.
    pub version: u32,
}

/// What has become of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OfferState {
    /// It waits for its wallet.
    Open,
    /// A wallet has traded its code for an access token.
    Redeemed,
    /// Too many wrong transaction codes.
    Exhausted,
}

names!(OfferState { Open = "open", Redeemed = "redeemed", Exhausted = "exhausted" });
