//! Tests of the log and of journals from outside: published roots, naive models, a second
//! implementation in both directions, and tampering with every byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests may panic"
)]

mod foreign;
mod journal;
mod log;
mod merkle;
mod tampering;
