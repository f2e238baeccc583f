//! The key service: the one process that opens the keystore, and signs for others over a socket.
//!
//! It *is* the trust boundary. Who asks names a key and sends bytes; the service finds out what the
//! bytes are ([`decide`]), counts against the client's rate ([`rate`]), signs, and lets the signature
//! leave only after the use stands durably in its journal ([`uses`]). Its configuration lists who may
//! ask for what ([`config`]). Layout of the line: `specs/key-service.md`.

pub mod config;
pub mod decide;
mod desk;
mod keepers;
mod lock;
pub mod rate;
pub mod serve;
mod session;
mod status;
pub mod uses;
