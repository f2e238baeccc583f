//! Ceremonies: m-of-n custodians create, renew or restore the root of a city, and can prove it.
//!
//! The private half of the root leaves its custodian only under a wrapping key (RFC 5649). That key
//! exists while the ceremony lasts; then it is split into shares (Shamir), one for each custodian, and
//! wiped. All that happens is a step in a transcript, chained by digests and signed by the custodians
//! (`specs/ceremony-transcript.md`).

pub mod approval;
pub mod backup;
mod base32;
pub mod certificate;
pub mod files;
pub mod lead;
pub mod lead_error;
pub mod plan;
pub mod restore;
pub mod room;
pub mod seat;
pub mod shares;
pub mod staff;
mod steps;
pub mod transcript;
pub mod wrapping;
