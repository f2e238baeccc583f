//! Other people's implementations as processes that tests can talk to.
//!
//! What is here is linked by nothing; the tests beside it hold Limen against foreign peers in
//! both directions. A peer's word is evidence, never an oracle: where a peer is wrong, the test
//! says so by name. Peers are installed by `cargo xtask setup`; a test never installs anything.
#![forbid(unsafe_code)]

pub mod peer;
