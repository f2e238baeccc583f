//! Journals: hash chains over opaque payloads, kept by what is offline (a reader at a gate) and
//! checked when it is back; layout in `specs/journal.md`.
//!
//! A record holds its number, its time, the hash of the record before it and a payload. The
//! first record follows a hash of the journal's name, so a record cannot move to another journal.
//! Verification names a gap, a repetition and a fork. Nothing here judges a payload or a time,
//! and nothing here signs: the head is signed and its signature checked by the caller.

use alloc::vec::Vec;
use core::fmt;
use vocabulary::time::Instant;

use crate::hash::{self, HASH_BYTES, Hash};

/// Bytes in a payload, at most.
pub const PAYLOAD_BYTES_MAX: usize = 4096;
/// Bytes in a record besides its payload.
pub const RECORD_OVERHEAD_BYTES: usize = 1 + 8 + 8 + HASH_BYTES + 2;
/// Bytes in a signed head: version, journal, entries, time, hash, signature.
pub const SIGNED_HEAD_BYTES: usize = HEAD_BYTES + SIGNATURE_BYTES;
/// Bytes in the signature over a head (ECDSA P-256 as r || s, or Ed25519).
pub const SIGNATURE_BYTES: usize = 64;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 16 + 8 + 8 + HASH_BYTES;
const START_LABEL: &[u8] = b"limen/journal/1\0";
const RECORD_LABEL: &[u8] = b"limen/journal-record/1\0";
const HEAD_LABEL: &[u8] = b"limen/journal-head/1\0";

/// Where a journal ends: the number of its records and the hash of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    journal: [u8; 16],
    entries: u64,
    hash: Hash,
}

impl Head {
    /// The head of a journal without records. Its name is the sixteen bytes of its keeper's identifier.
    #[must_use]
    pub fn start(journal: [u8; 16]) -> Self {
        Self { journal, entries: 0, hash: hash::digest(START_LABEL, &[&journal]) }
    }

    /// A head that was stored earlier by someone who is trusted.
    #[must_use]
    pub const fn stored(journal: [u8; 16], entries: u64, hash: Hash) -> Self {
        Self { journal, entries, hash }
    }

    /// The name of the journal.
    #[must_use]
    pub const fn journal(&self) -> &[u8; 16] {
        &self.journal
    }

    /// The number of records, which is the number of the next one.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// The hash of the last record, or of the name if there is none.
    #[must_use]
    pub const fn hash(&self) -> &Hash {
        &self.hash
    }

    /// The record that follows this head, and the head after it. The caller makes the record
    /// durable first and only then goes on from the new head.
    ///
    /// # Errors
    /// [`JournalError::PayloadTooLong`] above [`PAYLOAD_BYTES_MAX`].
    pub fn append(&self, at: Instant, payload: &[u8]) -> Result<(Vec<u8>, Self), JournalError> {
        let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(JournalError::PayloadTooLong { bytes: payload.len() });
        }
        let mut record = Vec::with_capacity(RECORD_OVERHEAD_BYTES + payload.len());
        record.push(VERSION);
        record.extend_from_slice(&self.entries.to_be_bytes());
        record.extend_from_slice(&at.unix_micros().to_be_bytes());
        record.extend_from_slice(self.hash.as_bytes());
        record.extend_from_slice(&length.to_be_bytes());
        record.extend_from_slice(payload);
        let next = self.after(&record);
        Ok((record, next))
    }

    fn after(&self, record: &[u8]) -> Self {
        let hash = hash::digest(RECORD_LABEL, &[record]);
        Self { hash, entries: self.entries.saturating_add(1), ..*self }
    }
}

/// One record, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number, from 0.
    pub sequence: u64,
    /// When it was written, by the keeper's clock.
    pub at: Instant,
    /// The hash of the record before it.
    pub previous: Hash,
    /// What it says.
    pub payload: &'a [u8],
    /// The whole record as it was hashed.
    pub bytes: &'a [u8],
}

/// Why a journal is not accepted, or a payload not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// The payload exceeds [`PAYLOAD_BYTES_MAX`].
    PayloadTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The bytes end within a record.
    Truncated {
        /// The number that the broken record should have.
        sequence: u64,
    },
    /// A record is of an unknown version or declares too long a payload.
    Malformed {
        /// The number that the broken record should have.
        sequence: u64,
    },
    /// Records are missing.
    Gap {
        /// The number that should come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A record came again.
    Repetition {
        /// The number that should come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The record does not follow the one before it: this is another history.
    Fork {
        /// Its number.
        sequence: u64,
    },
    /// The signed head is of another journal, or not [`SIGNED_HEAD_BYTES`] of a known version.
    HeadForm,
    /// The signature over the head is wrong.
    HeadSignature,
    /// The signed head counts more or fewer records than there are: the end was cut or added to.
    HeadCount {
        /// Records that the head counts.
        signed: u64,
        /// Records that there are.
        found: u64,
    },
    /// The signed head ends in another record.
    HeadHash,
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PayloadTooLong { bytes } => {
                write!(f, "appending to a journal: payload of `{bytes}` bytes")
            }
            Self::Truncated { sequence } => {
                write!(f, "reading journal record `{sequence}`: the bytes end within it")
            }
            Self::Malformed { sequence } => {
                write!(f, "reading journal record `{sequence}`: not a record")
            }
            Self::Gap { expected, found } => {
                write!(f, "reading a journal: records `{expected}` to `{found}` are missing")
            }
            Self::Repetition { expected, found } => {
                write!(f, "reading a journal: record `{found}` comes again before `{expected}`")
            }
            Self::Fork { sequence } => {
                write!(f, "reading a journal: record `{sequence}` follows another history")
            }
            Self::HeadForm => f.write_str("reading a journal's head: not the head of this journal"),
            Self::HeadSignature => f.write_str("reading a journal's head: its signature is wrong"),
            Self::HeadCount { signed, found } => {
                write!(f, "reading a journal: `{signed}` records are signed, `{found}` are there")
            }
            Self::HeadHash => f.write_str("reading a journal: another last record is signed"),
        }
    }
}

impl core::error::Error for JournalError {}

/// Checks a run of records, one behind the other, that follows `head`, and tells `each` of every
/// record in order. Gives the head after the run. Records before a fault have been told.
///
/// # Errors
/// [`JournalError`] naming the first fault.
pub fn verify_run(
    head: &Head,
    mut bytes: &[u8],
    mut each: impl FnMut(&Record<'_>),
) -> Result<Head, JournalError> {
    let mut head = *head;
    while !bytes.is_empty() {
        let (record, rest) = split_record(bytes, head.entries)?;
        let (expected, found) = (head.entries, record.sequence);
        if found > expected {
            return Err(JournalError::Gap { expected, found });
        }
        if found < expected {
            return Err(JournalError::Repetition { expected, found });
        }
        if record.previous != head.hash {
            return Err(JournalError::Fork { sequence: found });
        }
        head = head.after(record.bytes);
        each(&record);
        bytes = rest;
    }
    Ok(head)
}

/// Takes one record off the front of `bytes` without checking its place in a chain; `sequence`
/// only names it in an error.
///
/// # Errors
/// [`JournalError::Truncated`] or [`JournalError::Malformed`].
pub fn split_record(bytes: &[u8], sequence: u64) -> Result<(Record<'_>, &[u8]), JournalError> {
    let truncated = JournalError::Truncated { sequence };
    let (version, rest) = bytes.split_first_chunk::<1>().ok_or(truncated)?;
    if *version != [VERSION] {
        return Err(JournalError::Malformed { sequence });
    }
    let (number, rest) = rest.split_first_chunk::<8>().ok_or(truncated)?;
    let (at, rest) = rest.split_first_chunk::<8>().ok_or(truncated)?;
    let (previous, rest) = rest.split_first_chunk::<HASH_BYTES>().ok_or(truncated)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(truncated)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length > PAYLOAD_BYTES_MAX {
        return Err(JournalError::Malformed { sequence });
    }
    let (payload, rest) = rest.split_at_checked(length).ok_or(truncated)?;
    let record = Record {
        sequence: u64::from_be_bytes(*number),
        at: Instant::from_unix_micros(i64::from_be_bytes(*at)),
        previous: Hash::from_bytes(*previous),
        payload,
        bytes: bytes.get(..RECORD_OVERHEAD_BYTES + length).unwrap_or_default(),
    };
    Ok((record, rest))
}

/// A head that waits for its keeper's signature.
#[derive(Clone, Debug)]
#[must_use = "a head is no evidence before it is signed"]
pub struct UnsignedHead {
    to_be_signed: Vec<u8>,
}

impl Head {
    /// This head as it is signed at `at`, before an upload.
    pub fn unsigned(&self, at: Instant) -> UnsignedHead {
        let mut to_be_signed = Vec::with_capacity(HEAD_LABEL.len() + HEAD_BYTES);
        to_be_signed.extend_from_slice(HEAD_LABEL);
        to_be_signed.push(VERSION);
        to_be_signed.extend_from_slice(&self.journal);
        to_be_signed.extend_from_slice(&self.entries.to_be_bytes());
        to_be_signed.extend_from_slice(&at.unix_micros().to_be_bytes());
        to_be_signed.extend_from_slice(self.hash.as_bytes());
        UnsignedHead { to_be_signed }
    }

    /// Checks that `signed` is a head of this journal, that it says the same as this head, which
    /// came out of [`verify_run`], and that `verify` accepts the signature over the given bytes.
    /// Returns when it was signed, by the keeper's clock.
    ///
    /// # Errors
    /// The variants of [`JournalError`] that begin with `Head`.
    pub fn verify_signed(
        &self,
        signed: &[u8],
        verify: impl FnOnce(&[u8], &[u8; SIGNATURE_BYTES]) -> bool,
    ) -> Result<Instant, JournalError> {
        let (body, signature) =
            signed.split_last_chunk::<SIGNATURE_BYTES>().ok_or(JournalError::HeadForm)?;
        let body: &[u8; HEAD_BYTES] = body.try_into().map_err(|_| JournalError::HeadForm)?;
        let (version, rest) = body.split_first_chunk::<1>().ok_or(JournalError::HeadForm)?;
        let (journal, rest) = rest.split_first_chunk::<16>().ok_or(JournalError::HeadForm)?;
        let (entries, rest) = rest.split_first_chunk::<8>().ok_or(JournalError::HeadForm)?;
        let (at, hash) = rest.split_first_chunk::<8>().ok_or(JournalError::HeadForm)?;
        if *version != [VERSION] || *journal != self.journal {
            return Err(JournalError::HeadForm);
        }
        let to_be_signed = [HEAD_LABEL, body].concat();
        if !verify(&to_be_signed, signature) {
            return Err(JournalError::HeadSignature);
        }
        let signed = u64::from_be_bytes(*entries);
        if signed != self.entries {
            return Err(JournalError::HeadCount { signed, found: self.entries });
        }
        if hash != self.hash.as_bytes() {
            return Err(JournalError::HeadHash);
        }
        Ok(Instant::from_unix_micros(i64::from_be_bytes(*at)))
    }
}

impl UnsignedHead {
    /// The bytes to sign: a label and the head.
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        &self.to_be_signed
    }

    /// The signed head, [`SIGNED_HEAD_BYTES`] long.
    #[must_use]
    pub fn complete(self, signature: &[u8; SIGNATURE_BYTES]) -> Vec<u8> {
        let mut bytes = self.to_be_signed;
        bytes.drain(..HEAD_LABEL.len());
        bytes.extend_from_slice(signature);
        bytes
    }
}
