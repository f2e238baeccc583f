//! A fleet of readers on virtual time: the real code of bundles and rotation, thousands of readers,
//! outages by a stated law, and one seed from which all of it follows.
//!
//! What is real: `keys::rotation` decides every step, `fleet::bundle` makes every bundle,
//! `reader::bundle` verifies it with the roots and the epoch of its reader, `credential` verifies
//! documents, status lists and readers' certificates, `audit` verifies checkpoints. What is not: radio,
//! the tap's conversation, and the custodian, whose keys come from the seed so that two runs are equal
//! to the byte. The signatures on the bundles of most readers are marks; [`crypto`] says how.
#![forbid(unsafe_code)]

mod city;
pub mod crypto;
mod doors;
mod field;
mod memory;
mod outage;
mod papers;
mod random;
mod record;
pub mod report;
pub mod run;
pub mod scenario;
