//! Entries: what stands in a leaf of the log. A typed record of who did what to which thing,
//! under pseudonyms and a keyed commitment; layout in `specs/audit-log.md`.
//!
//! Never personal data, not even as a plain hash: whoever guesses the data could confirm the
//! guess. Commitments and pseudonyms are HMAC-SHA-256 (RFC 2104) under keys that can be
//! destroyed; without its key an entry says nothing about a person and the log stays valid.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use vocabulary::code::OperatorCode;
use vocabulary::id::EventId;
use vocabulary::time::Instant;
use zeroize::Zeroize;

/// Bytes in the name of a kind of event, at most.
pub const KIND_BYTES_MAX: usize = 48;
/// Bytes in an encoded entry, at most.
pub const ENTRY_BYTES_MAX: usize = FIXED_BYTES + 2 + KIND_BYTES_MAX + 32;

const VERSION: u8 = 1;
const FIXED_BYTES: usize = 1 + 8 + 16 + 3 * 32;
const PSEUDONYM_LABEL: &[u8] = b"limen/pseudonym/1\0";
const COMMITMENT_LABEL: &[u8] = b"limen/commitment/1\0";

/// What happened: `pass-issued`. One to 48 of `a-z 0-9 -`, a letter first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(String);

impl Kind {
    /// The kind as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Kind {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, EntryError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let starts = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if starts && text.len() <= KIND_BYTES_MAX && text.bytes().all(plain) {
            Ok(Self(String::from(text)))
        } else {
            Err(EntryError::Kind)
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret of 32 bytes under which pseudonyms or commitments are made; wiped when dropped.
/// One per operator for pseudonyms, one per person or thing for commitments.
pub struct CommitmentKey([u8; 32]);

impl CommitmentKey {
    /// From 32 bytes of full entropy.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn mac(&self, label: &[u8], bytes: &[u8]) -> [u8; 32] {
        // INVARIANT: HMAC takes keys of any length, so the array of zeroes is never returned.
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        mac.chain_update(label).chain_update(bytes).finalize().into_bytes().into()
    }
}

impl Drop for CommitmentKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for CommitmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommitmentKey(..)")
    }
}

/// Stands for an actor or a thing: the same for the same identifier under the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pseudonym([u8; 32]);

impl Pseudonym {
    /// For who or what is not named, such as the machine itself: all zeroes.
    pub const NONE: Self = Self([0; 32]);

    /// The pseudonym of an identifier.
    #[must_use]
    pub fn of(key: &CommitmentKey, identifier: &[u8]) -> Self {
        Self(key.mac(PSEUDONYM_LABEL, identifier))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Binds an entry to a payload that is kept elsewhere, and says nothing about it without the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// The commitment to a payload.
    #[must_use]
    pub fn over(key: &CommitmentKey, payload: &[u8]) -> Self {
        Self(key.mac(COMMITMENT_LABEL, payload))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was committed.
    pub at: Instant,
    /// Its identifier.
    pub event: EventId,
    /// What happened.
    pub kind: Kind,
    /// In whose realm.
    pub operator: OperatorCode,
    /// Who did it.
    pub actor: Pseudonym,
    /// To what.
    pub object: Pseudonym,
    /// The details.
    pub commitment: Commitment,
}

/// Why bytes or a text are not an entry or a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// The layout is of another version.
    Version,
    /// Too short, or bytes follow the end.
    Length,
    /// The kind is not of its form.
    Kind,
    /// The operator is not of its form.
    Operator,
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "reading a log entry: unknown version",
            Self::Length => "reading a log entry: too short or too long",
            Self::Kind => "reading a log entry: the kind is not lower-case words",
            Self::Operator => "reading a log entry: the operator is not a code",
        })
    }
}

impl core::error::Error for EntryError {}

impl Entry {
    /// The bytes of the leaf. Total: every entry has exactly one form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ENTRY_BYTES_MAX);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.at.unix_micros().to_be_bytes());
        bytes.extend_from_slice(self.event.as_bytes());
        for field in [&self.actor.0, &self.object.0, &self.commitment.0] {
            bytes.extend_from_slice(field);
        }
        for text in [self.kind.as_str(), self.operator.as_str()] {
            // INVARIANT: kinds have at most 48 bytes, operators at most 32.
            bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    /// Reads the bytes of a leaf.
    ///
    /// # Errors
    /// [`EntryError`] when they are not exactly one entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let (version, rest) = take::<1>(bytes)?;
        if *version != [VERSION] {
            return Err(EntryError::Version);
        }
        let (at, rest) = take::<8>(rest)?;
        let (event, rest) = take::<16>(rest)?;
        let (actor, rest) = take::<32>(rest)?;
        let (object, rest) = take::<32>(rest)?;
        let (commitment, rest) = take::<32>(rest)?;
        let (kind, rest) = take_text(rest)?;
        let (operator, rest) = take_text(rest)?;
        if !rest.is_empty() {
            return Err(EntryError::Length);
        }
        Ok(Self {
            at: Instant::from_unix_micros(i64::from_be_bytes(*at)),
            event: EventId::from_bytes(*event),
            kind: kind.ok_or(EntryError::Kind)?.parse()?,
            operator: operator.and_then(|text| text.parse().ok()).ok_or(EntryError::Operator)?,
            actor: Pseudonym(*actor),
            object: Pseudonym(*object),
            commitment: Commitment(*commitment),
        })
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), EntryError> {
    bytes.split_first_chunk().ok_or(EntryError::Length)
}

/// A text behind its length; nothing if it is not UTF-8.
fn take_text(bytes: &[u8]) -> Result<(Option<&str>, &[u8]), EntryError> {
    let (length, rest) = bytes.split_first().ok_or(EntryError::Length)?;
    let (text, rest) = rest.split_at_checked(usize::from(*length)).ok_or(EntryError::Length)?;
    Ok((str::from_utf8(text).ok(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(kind: &str) -> Entry {
        let key = CommitmentKey::from_bytes([7; 32]);
        Entry {
            at: Instant::from_unix_seconds(1_795_356_000),
            event: EventId::from_bytes([3; 16]),
            kind: kind.parse().unwrap(),
            operator: "harbour-transit".parse().unwrap(),
            actor: Pseudonym::of(&key, b"staff"),
            object: Pseudonym::NONE,
            commitment: Commitment::over(&key, b"payload"),
        }
    }

    #[test]
    fn decode_after_encode_is_identity_and_every_cut_is_refused() {
        let entry = entry(&"k".repeat(KIND_BYTES_MAX));
        let bytes = entry.encode();
        assert!(bytes.len() <= ENTRY_BYTES_MAX);
        assert_eq!(Entry::decode(&bytes), Ok(entry));
        for length in 0..bytes.len() {
            assert!(Entry::decode(&bytes[..length]).is_err(), "{length}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(Entry::decode(&longer), Err(EntryError::Length));
    }

    #[test]
    fn kinds_hold_to_their_form_and_limit() {
        for (text, valid) in [
            ("pass-issued", true),
            ("", false),
            ("-pass", false),
            ("Pass", false),
            (&*"k".repeat(KIND_BYTES_MAX), true),
            (&*"k".repeat(KIND_BYTES_MAX + 1), false),
        ] {
            assert_eq!(text.parse::<Kind>().is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn commitment_binds_key_payload_and_use() {
        let (key, other) = (CommitmentKey::from_bytes([1; 32]), CommitmentKey::from_bytes([2; 32]));
        let commitment = Commitment::over(&key, b"a");
        assert_eq!(commitment, Commitment::over(&key, b"a"));
        assert_ne!(commitment, Commitment::over(&other, b"a"));
        assert_ne!(commitment, Commitment::over(&key, b"b"));
        assert_ne!(commitment.as_bytes(), Pseudonym::of(&key, b"a").as_bytes());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_have_one_form(bytes: Vec<u8>) {
            if let Ok(entry) = Entry::decode(&bytes) {
                prop_assert_eq!(entry.encode(), bytes);
            }
        }
    }
}
