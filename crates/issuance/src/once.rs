//! What may be used once: nonces, DPoP proofs, requests for handles.
//!
//! The first use inserts the digest; a second use finds it and fails. After `expires_at` the thing
//! is refused by its own date, so the row may be deleted, and must not be deleted before.

use vocabulary::time::Instant;

use crate::names::names;
use crate::secret::Digest;

/// A mark that something was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// What kind of thing it is.
    pub scope: OnceScope,
    /// The digest of the thing.
    pub digest: Digest,
    /// From when on the thing is refused by its own date and this mark may go.
    pub expires_at: Instant,
}

/// The kinds of things that may be used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OnceScope {
    /// A `c_nonce` (OpenID4VCI 1.0, 7).
    Nonce,
    /// The `jti` of a DPoP proof (RFC 9449, 11.1).
    DpopProof,
    /// The point of a statement by which a device asks for handles (`specs/express-tap.md`).
    HandlesPoint,
}

names!(OnceScope {
    Nonce = "nonce",
    DpopProof = "dpop-proof",
    HandlesPoint = "handles-point",
});
