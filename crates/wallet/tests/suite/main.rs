//! A wallet from outside: taps at readers of every kind, collections from issuers of every kind,
//! each refusal with its control, and what stands in the owner's log afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod city;
mod collections;
mod express;
mod formats;
mod gate;
mod issuer;
mod limits;
mod phone;
mod readers;
mod rogue;
mod standard;
mod taps;
mod trust;
