//! The sealed keystore on a real file system, and the typed objects that it signs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod bounds;
mod ceremony;
mod crash;
mod crowd;
mod decisions;
mod folder;
mod halves;
mod hierarchy;
mod journal;
mod keystore;
mod line;
mod objects;
mod pair;
mod post;
mod rotation;
mod samples;
mod service;
mod softhsm;
mod suites;
mod token;
mod token_class;
mod token_doctor;
mod token_move;
mod token_pool;
mod token_usage;
mod token_wycheproof;
mod vault;
mod vault_cards;
mod vault_deliveries;
mod vault_desk;
mod vault_express;
mod vault_service;
