//! Custody of the city's private keys behind one interface.
//!
//! [`custody::Custody`] is what a server sees: it names a key by its handle, hands over a typed
//! object and waits for a signature. [`software::Keystore`] keeps the keys in one sealed file
//! (Argon2id, RFC 9106; AES-256-GCM, NIST SP 800-38D; layout in `specs/keystore.md`);
//! [`token::Token`] keeps them on a token behind PKCS#11 (`specs/token.md`). Signatures are
//! ES256 (FIPS 186-5, fixed-length `r || s`) and Ed25519 (RFC 8032).
//!
//! Three rules hold without exception: no call returns private bytes; one key signs one type of
//! object, and the bytes themselves are looked at before they are signed; the root key lies in a
//! file or on a token of its own that a running server refuses to open.
#![forbid(unsafe_code)]

pub mod ceremony;
pub mod config_file;
mod contents;
pub mod custody;
pub mod file;
pub mod hybrid;
pub mod object;
pub mod pair;
pub mod purpose;
pub mod remote;
pub mod rotation;
pub mod seal;
pub mod service;
pub mod software;
pub mod token;
pub mod unlock;
pub mod vault;
pub mod wire;
