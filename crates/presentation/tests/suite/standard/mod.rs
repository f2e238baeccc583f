//! The standard and the fast tap: published vectors, both ends against each other on virtual time,
//! and every way in which a link or an attacker may disturb them.

mod attacks;
mod commands;
mod documents;
mod faults;
mod pair;
mod phases;
mod vectors;
