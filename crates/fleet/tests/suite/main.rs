//! Tests of the fleet crate: places, enrolment, certificates, journals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod bundle;
mod city;
mod delivery;
mod enrolment;
mod journal;
mod place;
