//! Limen against foreign peers, in both directions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod city;
mod express;
#[path = "../../../presentation/tests/suite/express_session.rs"]
mod express_session;
mod hybrid;
mod mdoc;
mod mdoc_session;
mod openid4vci;
mod peers;
mod sd_jwt;
mod status;
mod town;
