//! Value types that every floor of Limen shares: identifiers, codes, instants.
//!
//! What is here parses, formats and compares, and does nothing else: no clock, no entropy,
//! no input or output, no serialization framework. A value that exists is valid.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod code;
pub mod id;
pub mod text;
pub mod time;
