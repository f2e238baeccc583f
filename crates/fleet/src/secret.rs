//! The secret by which an enrolled reader speaks to the server.
//!
//! The text is `limen_reader_`, 26 characters of the reader's identifier, `_`, 64 hexadecimal
//! digits. It lets a reader fetch its own bundle and hand in its own journal, nothing else; both
//! are signed besides. What is stored is a SHA-256 hash over identifier and secret (256 bits of
//! entropy), compared in constant time.

use std::fmt;

use policy::actor::Actor;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use vocabulary::id::ReaderId;
use zeroize::Zeroize;

use crate::reader::Reader;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// Bytes of the text of a secret.
pub const TEXT_BYTES: usize = TEXT_PREFIX.len() + 26 + 1 + 2 * SECRET_BYTES;

const TEXT_PREFIX: &str = "limen_reader_";
const HASH_DOMAIN: &[u8] = b"limen reader secret 1\0";

/// A secret as its reader holds it; wiped when this goes out of scope.
#[derive(Clone)]
pub struct ReaderSecret {
    reader: ReaderId,
    secret: [u8; SECRET_BYTES],
}

impl ReaderSecret {
    pub(crate) const fn new(reader: ReaderId, secret: [u8; SECRET_BYTES]) -> Self {
        Self { reader, secret }
    }

    /// Reads the text of a secret.
    ///
    /// # Errors
    /// [`UnknownReader`]; it never repeats the text.
    pub fn parse(text: &str) -> Result<Self, UnknownReader> {
        let rest = text.strip_prefix(TEXT_PREFIX).ok_or(UnknownReader)?;
        let (id, digits) = rest.split_once('_').ok_or(UnknownReader)?;
        let reader = format!("{}_{id}", ReaderId::PREFIX).parse().map_err(|_| UnknownReader)?;
        let (digits, []) = digits.as_bytes().as_chunks::<2>() else { return Err(UnknownReader) };
        if digits.len() != SECRET_BYTES {
            return Err(UnknownReader);
        }
        let mut parsed = Self { reader, secret: [0; SECRET_BYTES] };
        for (byte, [high, low]) in parsed.secret.iter_mut().zip(digits) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(parsed)
    }

    /// Whose secret it is.
    #[must_use]
    pub const fn reader(&self) -> ReaderId {
        self.reader
    }

    /// The text that the reader keeps. It is shown once, at enrolment.
    #[must_use]
    pub fn danger_text(&self) -> String {
        let id = self.reader.to_string();
        let id = id.split_once('_').map_or("", |(_, id)| id);
        let mut text = format!("{TEXT_PREFIX}{id}_");
        for byte in self.secret {
            let digits = [byte >> 4, byte & 15].into_iter();
            text.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
        }
        text
    }

    pub(crate) fn hash(&self) -> SecretHash {
        let mut hash = Sha256::new();
        hash.update(HASH_DOMAIN);
        hash.update(self.reader.as_bytes());
        hash.update(self.secret);
        SecretHash(hash.finalize().into())
    }
}

impl Drop for ReaderSecret {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for ReaderSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReaderSecret({})", self.reader)
    }
}

/// The stored form of a secret: 32 bytes, compared in constant time.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// From the bytes in the store.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes for the store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

/// A secret of no reader. Why is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReader;

impl fmt::Display for UnknownReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such reader")
    }
}

impl std::error::Error for UnknownReader {}

/// Which reader bears `presented`, by what is `stored` under its identifier. A retired reader is
/// known as well: its journal is still taken. An unknown identifier costs the same hash and
/// comparison as a known one.
///
/// # Errors
/// [`UnknownReader`].
pub fn authenticate(
    stored: Option<&Reader>,
    presented: &ReaderSecret,
) -> Result<Actor, UnknownReader> {
    let hash = presented.hash();
    let expected = stored.map_or(SecretHash([0; 32]), |reader| reader.secret);
    let is_equal = hash == expected;
    let reader = stored.filter(|reader| reader.id == presented.reader && is_equal);
    reader.map(|reader| Actor::reader(reader.operator.clone(), reader.id)).ok_or(UnknownReader)
}

const fn nibble(digit: u8) -> Result<u8, UnknownReader> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(UnknownReader),
    }
}
