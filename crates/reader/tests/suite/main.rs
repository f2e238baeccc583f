//! A reader from outside: whole taps with a phone, every refusal with its control, the journal,
//! crashes at every point, and each measure broken on purpose.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod badge;
mod bundles;
mod city;
mod crashes;
mod deliveries;
mod express;
mod gate;
mod journal;
mod lists;
mod pace;
mod roots;
mod sabotage;
mod standard;
mod standard_attacks;
mod suites;
mod taps;
