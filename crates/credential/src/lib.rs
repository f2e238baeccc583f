//! Credential formats and their verification.
//!
//! CBOR (RFC 8949), COSE (RFC 9052), X.509 (RFC 5280 in the profile of ISO/IEC 18013-5 Annex B),
//! mdoc (ISO/IEC 18013-5, any document type as in ISO/IEC TS 23220-4), access documents of doors,
//! SD-JWT (RFC 9901) and SD-JWT VC, Token Status List, and the rights inside a city pass.
//!
//! Nothing here reads a clock, a generator or a socket: time, entropy and bytes are arguments,
//! cryptography is supplied by the caller through [`crypto::Crypto`]. Bytes that were signed or
//! hashed are never encoded again. A value of type `Verified` exists only because every check held.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod access_document;
#[cfg(feature = "aws-lc")]
pub mod aws_lc;
pub mod cbor;
pub mod composite;
pub mod cose;
pub mod crypto;
pub mod delivery;
pub mod jose;
pub mod mdoc;
pub mod rejection;
pub mod rights;
#[cfg(feature = "rustcrypto")]
pub mod rustcrypto;
pub mod sd_jwt;
pub mod status;
pub mod unsigned;
pub mod x509;
