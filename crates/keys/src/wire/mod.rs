//! The line between the key service and its clients; layout in `specs/key-service.md`.
//!
//! Frames go over a Unix socket of this machine. Both ends first prove that they hold the same
//! pairing secret, in three passes after ISO/IEC 9798-4; from then on every frame carries a check
//! value over its place in the order of frames. Nothing here encrypts: the socket belongs to the
//! machine, and no message holds a private key.

pub mod frame;
pub mod handshake;
mod key;
pub mod message;
pub mod pairing;
pub mod refusal;
pub mod socket;
