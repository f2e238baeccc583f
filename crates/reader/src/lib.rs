//! The gate's judgement, made without any network.
//!
//! This crate must never read a clock or a generator, never do input or output, never await, and
//! never keep a person inside.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod table;
