//! Operators, people and staff tokens: who there is, and how staff prove who they are.
//!
//! Decide functions only: a permit, what is stored now, the request, the time and entropy give a
//! [`change::Change`] or a [`refusal::Refusal`]. Personal data sits in `Personal` fields that stay
//! silent in debug output; a token's secret is kept as its SHA-256 hash alone.
//!
//! This crate must never read a clock or a generator, never store, never send, and never compare
//! a secret in a time that depends on it.
#![forbid(unsafe_code)]

pub mod change;
pub mod operator;
pub mod person;
pub mod refusal;
pub mod token;
