//! A reader and a wallet on one machine, from outside: whole taps over the real link, phones that
//! misbehave, processes that are killed, disks that are full, files that are damaged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod city;
mod crashes;
mod damage;
mod disk;
mod element;
mod express;
mod journal;
mod locks;
mod phones;
mod place;
#[cfg(feature = "pcsc")]
mod readers;
mod taps;
