//! The holder's judgement: what a phone does with its passes.
//!
//! It accepts offers (OpenID4VCI 1.0, client side), keeps passes and refers to device keys that stay
//! in a secure element, chooses a pass for a reader, discloses only what was asked for and consented
//! to, answers taps (ISO/IEC 18013-5) and keeps a log for its owner.
//!
//! A reader that does not prove who it is gets nothing. Nothing here reads a clock, a generator, a
//! file or a socket: time, entropy and bytes are arguments, and what must be sent or kept is returned.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod choose;
pub mod collect;
pub mod express;
pub mod log;
pub mod offer;
pub mod pass;
pub mod secure_element;
pub mod software;
mod standard;
pub mod state;
pub mod tap;
pub mod trust;
