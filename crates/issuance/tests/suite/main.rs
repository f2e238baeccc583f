//! Conversations of a wallet with the issuer, in one process with software keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic"
)]

mod access;
mod arbitrary;
mod city;
mod conversation;
mod handles;
mod lifecycle;
mod metadata;
mod offers;
mod proofs;
mod reconciliation;
mod rows;
mod wallet;
