//! A city: what is known of it, and the ceremonies that create it and certify its operators.
//!
//! Ceremonies use the root key and are run by a person at the machine, while no
//! server runs on the same folder. Nothing in [`crate::server`] or [`crate::routes`] calls one.

pub mod ceremony;
pub(crate) mod certificate;
pub mod clock;
pub mod facts;
pub mod files;
pub mod rotation;
pub mod uses;
