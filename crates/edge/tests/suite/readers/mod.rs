//! Real readers: a `pcscd` of the test's own with virtual readers, our reader on the one side, our phone
//! or a foreign card on the other.

mod card;
mod faults;
mod foreign;
mod relay;
mod service;
mod stage;
mod taps;
