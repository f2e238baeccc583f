//! The card as readers meet it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at what it did not expect"
)]

mod bench;
mod clones;
mod cuts;
mod desk;
mod door;
mod foreign;
mod input;
mod privacy;
mod standard;
mod taps;
