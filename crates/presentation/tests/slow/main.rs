//! What takes too long for every commit: a million recorded express taps, played again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

#[path = "../suite/express_replay.rs"]
mod express_replay;
#[path = "../suite/express_session.rs"]
mod express_session;

const RECORDINGS: usize = 1_000_000;

#[test]
fn none_of_a_million_recordings_is_accepted() {
    express_replay::check_recordings(RECORDINGS);
    println!("figure: recorded express taps played again, none accepted = {RECORDINGS}");
}
