//! Token Status List (draft-ietf-oauth-status-list, as of 2026-04-20): is a pass still good?
//!
//! A list packs one status for each pass; a token, as JWT or CWT, signs it. Readers verify the
//! token once and then look up without a network. The version of the draft is named here alone.
//! An index outside the list is an error, never "valid"; a bomb never inflates past a limit.

mod cwt;
mod jwt;
mod list;
mod reference;
mod token;

pub use cwt::CwtHeader;
pub use list::{BYTES_MAX, Bits, COMPRESSED_MAX, Status, StatusList, StatusListError};
pub use reference::StatusReference;
pub use token::{Expectation, StatusListClaims, VerifiedStatusList};

/// The `typ` of a token as JWT.
pub const JWT_TYP: &str = "statuslist+jwt";
/// The `typ` of a token as CWT.
pub const CWT_TYP: &str = "application/statuslist+cwt";
