//! HTTP and background work of the city: parse, load, authorize, decide, commit, reply.
//!
//! Every handler does those six things in that order and nothing else; the rules stand in the
//! city crates, SQL in `store`, keys in `keys`. No handler writes anything without its audit entry.
#![forbid(unsafe_code)]

pub mod config;
pub mod listener;
pub mod metrics;
pub mod rate;
pub mod world;
