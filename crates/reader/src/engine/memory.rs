//! What a reader keeps through a loss of power, as one value that is stored whole.

use alloc::vec::Vec;
use core::fmt;

use credential::cbor::{CborError, Decoder, Encoder, Kind};
use credential::x509::Certificate;
use vocabulary::time::Instant;

use crate::roots::ROOTS_MAX;
use crate::snapshot::{Kept, LISTS_MAX, LOST_MAX};

const VERSION: u64 = 3;

/// What a reader remembers. The host stores it crash-safe: two slots, the newer whole one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The greatest time that the city has signed to this reader.
    pub(super) floor: Instant,
    /// The greatest epoch of a bundle.
    pub(super) epoch: u64,
    /// The root that was pinned when the others were learnt, DER; empty where there is none. A reader
    /// that is given another one since begins with that.
    pub(super) pinned: Vec<u8>,
    /// The roots that it believes, DER, oldest first; none where it still has only the pinned one.
    pub(super) roots: Vec<Vec<u8>>,
    /// The signed bundle; it is verified again when the reader wakes up.
    pub(super) bundle: Option<Vec<u8>>,
    /// The status lists at hand, and the names of those that were lost.
    pub(super) status: Vec<Kept>,
    /// Whether more lists were lost than names are kept.
    pub(super) is_beyond: bool,
}

impl Default for Memory {
    /// The memory of a reader that was never told anything.
    fn default() -> Self {
        let (bundle, status) = (None, Vec::new());
        Self {
            floor: Instant::UNIX_EPOCH,
            epoch: 0,
            pinned: Vec::new(),
            roots: Vec::new(),
            bundle,
            status,
            is_beyond: false,
        }
    }
}

/// Why bytes are not the memory of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// The bytes have another form.
    Cbor(CborError),
    /// They are of another version.
    Version,
    /// They hold more than [`LISTS_MAX`] status lists, or name more than [`LOST_MAX`] lost ones.
    Lists,
    /// They hold more than [`ROOTS_MAX`] roots, or one that is no certificate.
    Roots,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cbor(error) => write!(f, "reading a reader's memory: {error}"),
            Self::Version => f.write_str("reading a reader's memory: unknown version"),
            Self::Lists => f.write_str("reading a reader's memory: too many status lists"),
            Self::Roots => f.write_str("reading a reader's memory: unusable roots"),
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
        encoder.array(8).unsigned(VERSION).integer(self.floor.unix_micros()).unsigned(self.epoch);
        encoder.bytes(&self.pinned).array(self.roots.len());
        for root in &self.roots {
            encoder.bytes(root);
        }
        match &self.bundle {
            Some(bundle) => encoder.bytes(bundle),
            None => encoder.null(),
        };
        encoder.array(self.status.len());
        for Kept { uri, issued_at, token } in &self.status {
            encoder.array(4).text(uri).integer(issued_at.unix_micros());
            match token {
                Some((at, token)) => encoder.integer(at.unix_micros()).bytes(token),
                None => encoder.null().null(),
            };
        }
        encoder.bool(self.is_beyond);
        encoder.into_bytes()
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// [`MemoryError`] when the bytes are not exactly one memory.
    pub fn decode(bytes: &[u8]) -> Result<Self, MemoryError> {
        let mut decoder = Decoder::new(bytes)?;
        decoder.array_of(8)?;
        if decoder.unsigned()? != VERSION {
            return Err(MemoryError::Version);
        }
        let floor = Instant::from_unix_micros(decoder.integer()?);
        let epoch = decoder.unsigned()?;
        let pinned = decoder.bytes()?.to_vec();
        let roots = read_roots(&mut decoder)?;
        let bundle = match decoder.kind() {
            Kind::Null => decoder.null().map(|()| None)?,
            _ => Some(decoder.bytes()?.to_vec()),
        };
        let status = read_lists(&mut decoder)?;
        let is_beyond = decoder.bool()?;
        decoder.finish()?;
        Ok(Self { floor, epoch, pinned, roots, bundle, status, is_beyond })
    }
}

fn read_roots(decoder: &mut Decoder<'_>) -> Result<Vec<Vec<u8>>, MemoryError> {
    let mut roots = Vec::new();
    let mut entries = decoder.array()?;
    while decoder.more(&mut entries)? {
        let root = decoder.bytes()?;
        if roots.len() == ROOTS_MAX || Certificate::parse(root).is_err() {
            return Err(MemoryError::Roots);
        }
        roots.push(root.to_vec());
    }
    Ok(roots)
}

fn read_lists(decoder: &mut Decoder<'_>) -> Result<Vec<Kept>, MemoryError> {
    let mut lists: Vec<Kept> = Vec::new();
    let mut entries = decoder.array()?;
    while decoder.more(&mut entries)? {
        decoder.array_of(4)?;
        let uri = decoder.text()?.into();
        let issued_at = Instant::from_unix_micros(decoder.integer()?);
        let token = if decoder.kind() == Kind::Null {
            decoder.null()?;
            decoder.null()?;
            None
        } else {
            let at = Instant::from_unix_micros(decoder.integer()?);
            Some((at, decoder.bytes()?.to_vec()))
        };
        lists.push(Kept { uri, issued_at, token });
        let held = lists.iter().filter(|kept| kept.token.is_some()).count();
        if held > LISTS_MAX || lists.len() - held > LOST_MAX {
            return Err(MemoryError::Lists);
        }
    }
    Ok(lists)
}
