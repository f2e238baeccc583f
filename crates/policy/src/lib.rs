//! Who may do what, when and where: the one place that says yes to a deed.
//!
//! [`authorize::authorize`] gives a [`authorize::Permit`], without which no decide function of the
//! city runs; [`compile::compile`] turns places and products into the table that a reader obeys
//! while it is offline. Rules are plain Rust now; an engine for authored policies (Cedar) comes
//! behind the same calls.
//!
//! This crate must never read a clock or a store, never keep state between calls, and never know
//! an action that keeps a person inside: leaving is always free and has no word here.
#![forbid(unsafe_code)]

pub mod action;
pub mod actor;
pub mod authorize;
pub mod compile;
mod deeds;
pub mod place;
pub mod role;
