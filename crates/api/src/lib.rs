//! The HTTP API of Limen under `/v1`: wire types, endpoint signatures and the OpenAPI document.
//!
//! No logic lives here. Bodies are JSON; unknown fields are refused; instants are RFC 3339;
//! errors are problem details (RFC 9457). Identifiers and codes are text and are parsed into their
//! types at the boundary, by `server`. The endpoints of OpenID4VCI 1.0 are described by the
//! metadata of each issuer and stand in `issuance`.
#![forbid(unsafe_code)]

pub mod endpoint;
pub mod event;
pub mod express;
pub mod openapi;
pub mod operator;
pub mod page;
pub mod pass;
pub mod person;
pub mod place;
pub mod problem;
pub mod product;
pub mod reader;
pub mod status;
pub mod taps;
pub mod token;
pub mod trust;
