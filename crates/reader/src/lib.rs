//! The gate's judgement, made without any network: trust bundle, access table, status snapshot,
//! decision, journal, and the engine that takes a phone or a card through one tap.
//!
//! This crate must never read a clock or a generator, never do input or output, never await, and
//! never keep a person inside.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bundle;
pub mod decision;
pub mod delivery;
pub mod engine;
pub mod express;
pub mod journal;
pub mod roots;
pub mod snapshot;
pub mod table;
pub mod taps;
