//! The published example of ISO/IEC 18013-5 Annex D, and both ends of a session against each
//! other on virtual time: whole, and with every message lost, doubled, cut, changed or replayed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod annex_d;
mod channel;
mod edges;
mod express;
mod express_model;
mod express_replay;
mod express_session;
mod express_vectors;
mod faults;
mod linking;
mod pair;
mod replay;
mod standard;
mod tap;
