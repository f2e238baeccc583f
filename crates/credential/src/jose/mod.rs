//! JOSE: compact JWS (RFC 7515), JWK (RFC 7517) and JWT claims (RFC 7519), as RFC 8725 advises.
//!
//! The algorithm counts only from the protected header, must be on the list of
//! [`crate::crypto::Algorithm`] and must be the key's; `none`, `crit`, members that stand twice
//! and padded or loose base64url are refused. Keys are never fetched: `jku` and `x5u` are passed
//! over, and a key inside a header (`jwk`, `x5c`) is trusted only where a caller says so.

pub mod base64url;
mod claims;
pub mod json;
pub mod jwk;
mod jws;
mod signers;

pub use claims::{CLOCK_SKEW_MAX, Claims, Validity};
pub use jws::{CompactJws, Header, HeaderParts, Jws, sign};
pub(crate) use signers::{Strength, borrow_chain, trusted_key};
