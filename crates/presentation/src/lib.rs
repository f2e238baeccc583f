//! Showing a credential: both ends of the ISO/IEC 18013-5:2021 proximity session, both ends of the
//! standard and the fast tap of doors ([`standard`]) and of the express tap of gates ([`express`]), and their framings.
//!
//! The wallet's end of a session is [`holder::Holder`], the reader's end [`verifier::Verifier`]. Both are values
//! with three verbs: `handle(now, input)`, then drain `poll_output()` and look at `poll_timeout()`.
//! They carry DeviceRequest and DeviceResponse as opaque bytes next to the SessionTranscript; what
//! is inside is judged by `credential`.
//!
//! Nothing here reads a clock, a generator or a socket. A session is used once: whatever goes wrong
//! ends it in a named error, and the next tap begins with new values. The holder's end never sends
//! a document that its caller did not hand over for this very request.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod apdu;
pub mod engagement;
pub mod express;
pub mod gatt;
pub mod holder;
pub mod ndef;
pub mod profile;
pub mod session;
pub mod standard;
pub mod transcript;
pub mod verifier;
