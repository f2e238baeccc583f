//! Tests of the policy crate: the authorization matrix and the rules around it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod authorization;
mod compilation;
mod places;
