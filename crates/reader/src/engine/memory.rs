//! What a reader keeps through a loss of power, as one value that is stored whole.

use alloc::vec::Vec;
use core::fmt;

use credential::cbor::{CborError, Decoder, Encoder, Kind};
use vocabulary::time::Instant;

use crate::snapshot::LISTS_MAX;

const VERSION: u64 = 1;

/// What a reader remembers. The host stores it crash-safe: two slots, the newer whole one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The greatest time that the city has signed to this reader.
    pub(super) floor: Instant,
    /// The greatest epoch of a bundle.
    pub(super) epoch: u64,
    /// The signed bundle; it is verified again when the reader wakes up.
    pub(super) bundle: Option<Vec<u8>>,
    /// The status list tokens and when each was verified; they are verified again as of then, so
    /// that a revocation is not forgotten when its list grows old.
    pub(super) status: Vec<(Instant, Vec<u8>)>,
}

impl Default for Memory {
    /// The memory of a reader that was never told anything.
    fn default() -> Self {
        Self { floor: Instant::UNIX_EPOCH, epoch: 0, bundle: None, status: Vec::new() }
    }
}

/// Why bytes are not the memory of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// The bytes have another form.
    Cbor(CborError),
    /// They are of another version.
    Version,
    /// They hold more than [`LISTS_MAX`] status lists.
    Lists,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cbor(error) => write!(f, "reading a reader's memory: {error}"),
            Self::Version => f.write_str("reading a reader's memory: unknown version"),
            Self::Lists => write!(f, "reading a reader's memory: more than {LISTS_MAX} lists"),
        }
    }
}

impl core::error::Error for MemoryError {}

impl From<CborError> for MemoryError {
    fn from(error: CborError) -> Self {
        Self::Cbor(error)
    }
}

impl Memory {
    /// The bytes to store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.array(5).unsigned(VERSION).integer(self.floor.unix_micros()).unsigned(self.epoch);
        match &self.bundle {
            Some(bundle) => encoder.bytes(bundle),
            None => encoder.null(),
        };
        encoder.array(self.status.len());
        for (at, token) in &self.status {
            encoder.array(2).integer(at.unix_micros()).bytes(token);
        }
        encoder.into_bytes()
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// [`MemoryError`] when the bytes are not exactly one memory.
    pub fn decode(bytes: &[u8]) -> Result<Self, MemoryError> {
        let mut decoder = Decoder::new(bytes)?;
        decoder.array_of(5)?;
        if decoder.unsigned()? != VERSION {
            return Err(MemoryError::Version);
        }
        let floor = Instant::from_unix_micros(decoder.integer()?);
        let epoch = decoder.unsigned()?;
        let bundle = match decoder.kind() {
            Kind::Null => decoder.null().map(|()| None)?,
            _ => Some(decoder.bytes()?.to_vec()),
        };
        let mut status = Vec::new();
        let mut entries = decoder.array()?;
        while decoder.more(&mut entries)? {
            if status.len() == LISTS_MAX {
                return Err(MemoryError::Lists);
            }
            decoder.array_of(2)?;
            let at = Instant::from_unix_micros(decoder.integer()?);
            status.push((at, decoder.bytes()?.to_vec()));
        }
        decoder.finish()?;
        Ok(Self { floor, epoch, bundle, status })
    }
}
