//! HTTP and background work of the city: parse, load, authorize, decide, commit, reply.
//!
//! Every handler does those six things in that order and nothing else; the rules stand in the
//! city crates, SQL in `store`, keys in `keys`. No handler writes anything without its audit entry,
//! and nothing here opens the root key of the city but a ceremony in [`city`].
//!
//! [`start::start`] opens a city and binds its port, [`start::Started::run`] serves it;
//! [`city::ceremony::create_city`] makes one.
#![forbid(unsafe_code)]

mod body;
pub mod caller;
pub mod city;
pub mod config;
pub mod listener;
mod lock;
pub mod metrics;
mod problem;
pub mod rate;
mod record;
pub mod routes;
pub mod server;
mod sign;
mod stall;
pub mod start;
pub mod suites;
mod work;
pub mod world;
