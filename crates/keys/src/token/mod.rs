//! Keys on a token behind PKCS#11 (OASIS PKCS #11 2.40 and later).
//!
//! A module of the vendor is loaded at run time; the token is found by its label, never by the number
//! of its slot, which some modules change. [`pool::Pool`] keeps the sessions and finds the way back
//! after the token or its module went away. The PIN comes by reference only ([`pin::PinSource`]).

use std::path::PathBuf;

mod error;
mod module;
pub mod pin;
pub mod pool;

/// Which token, through which module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The vendor's PKCS#11 module: the path of a shared library.
    pub module: PathBuf,
    /// The label of the token, without the blanks that pad it.
    pub label: String,
}
