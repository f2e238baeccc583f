//! Evidence: an append-only Merkle log with signed checkpoints and offline receipts, and the
//! hash-chained journals that offline readers keep.
//!
//! Standards: RFC 6962 and RFC 9162 (Merkle tree, SHA-256), C2SP tlog-tiles, tlog-checkpoint,
//! tlog-proof and signed-note v1.0 (Ed25519). Limen's own layouts are in `specs/audit-log.md`
//! and `specs/journal.md`.
//!
//! Never here: a clock, randomness, input or output, private keys, or personal data in a leaf.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod checkpoint;
pub mod entry;
pub mod folder;
pub mod hash;
pub mod journal;
pub mod merkle;
pub mod note;
pub mod proof;
pub mod tiles;
