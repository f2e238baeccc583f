//! Credential formats against published vectors, forgeries and arbitrary bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod cose_vectors;
mod vectors;
mod wycheproof_vectors;
