//! Showing a credential: both ends of the ISO/IEC 18013-5:2021 proximity session, and its framings.
//!
//! The wallet's end is [`holder::Holder`], the reader's end [`verifier::Verifier`]. Both are values
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
pub mod transcript;
pub mod verifier;
