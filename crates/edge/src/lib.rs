//! What stands beside a reader or a phone: the local link that carries APDUs, and files that
//! survive a crash.
//!
//! A real reader is reached through PC/SC ([`pcsc`], behind the feature of that name). The link stands for the radio where there is none: a phone that connects has come into the
//! field, the reader then sends command APDUs and the phone answers, as over NFC. It proves nothing
//! about radio. It listens on loopback only.
#![forbid(unsafe_code)]

pub mod card_file;
pub mod card_host;
pub mod element;
pub mod file;
pub mod journal_file;
pub mod link;
mod lock;
#[cfg(feature = "pcsc")]
pub mod pcsc;
pub mod reader_host;
pub mod transport;
pub mod vpcd;
pub mod wallet_card;
pub mod wallet_host;
