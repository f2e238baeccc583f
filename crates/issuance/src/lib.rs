//! W: products, and a pass from offer to revocation.
//!
//! Standards: OpenID for Verifiable Credential Issuance 1.0 (final), OAuth 2.0 (RFC 6749), DPoP
//! (RFC 9449), authorization server metadata (RFC 8414), IETF Token Status List.
//!
//! Every deed is a free function: a permit or a proof, the loaded state, the request, the instant
//! and entropy in; a list of [`change::Change`] or a refusal out. What is signed leaves as
//! `Unsigned` and is completed by whoever holds the key.
//!
//! This crate must never read a clock or a generator, never open a file or a socket, never hold a
//! private key, and never keep a code, a nonce or a token as anything but its digest.
#![forbid(unsafe_code)]

pub mod access;
pub mod attestation;
pub mod change;
pub mod collect;
pub mod document;
pub mod dpop;
mod entropy;
pub mod handles;
pub mod issuer;
mod names;
pub mod nonce;
pub mod notification;
pub mod offer;
pub mod once;
pub mod paper;
pub mod pass;
pub mod product;
pub mod proof;
pub mod reconciliation;
pub mod secret;
pub mod status_list;
pub mod token;
pub mod wire;
