//! The command line from outside: the built program, its exit codes and what it prints.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod card;
mod card_pass;
mod cards;
mod ceremony;
mod city;
mod clock;
mod config;
mod credential;
mod deliveries;
mod demo;
mod express;
mod help;
mod hybrid;
mod key;
mod log;
mod login;
mod migrate;
mod migrate_token;
mod on_token;
mod readers;
mod reconciliation;
mod run;
mod serve;
mod status;
mod tap;
mod tap_settings;
mod trust;
mod up;
