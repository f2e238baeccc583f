//! Black-box tests: a city of its own per test, a server on a real loopback port, HTTP from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic"
)]

mod access_documents;
mod bad_input;
mod ceremonies;
mod client;
mod custodian;
mod disk;
mod handles;
mod limits;
mod log;
mod phone;
mod races;
mod readers;
mod reconciliation;
mod signers;
mod silence;
mod staff;
mod stopping;
mod suites;
mod taps;
mod town;
mod wallets;
