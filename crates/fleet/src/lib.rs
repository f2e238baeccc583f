//! Readers: how one is enrolled, what it is told (trust bundles), what it hands in (journals).
//!
//! Decide functions only: a permit, what is stored now, the request, the time and entropy give a
//! [`change::Change`], sometimes one that waits for a signature, or a [`refusal::Refusal`]. The
//! private key of a reader is made in the reader and never seen here.
//!
//! This crate must never read a clock or a generator, never store, never send; and a journal that
//! does not continue what is known is never taken in quietly.
#![forbid(unsafe_code)]

pub mod bundle;
pub mod certificate;
pub mod change;
pub mod delivery;
pub mod enrolment;
pub mod journal;
pub mod place;
pub mod reader;
pub mod refusal;
pub mod secret;
pub mod taps;
