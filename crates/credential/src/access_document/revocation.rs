//! Revocation data: which keys and documents count no more.

use alloc::vec::Vec;

use vocabulary::time::Instant;

use crate::cbor::Decoder;
use crate::rejection::Rejection;

use super::data::{id, list, unreadable};
use super::extension::{self, Extension, KnownExtension};

/// Entries of one list of revocation data.
pub const REVOCATION_ENTRIES_MAX: usize = 1_024;

/// Bytes of the hash of a public key: public sources do not say which hash.
const KEY_HASH_BYTES_MAX: usize = 64;
/// The tag of seconds since 1970 (RFC 8949, section 3.4.2).
const TAG_EPOCH: u64 = 1;

/// What an element of a revocation document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationData<'a> {
    /// Version of the structure.
    pub version: u64,
    /// What becomes of the list before.
    pub change: ChangeMode,
    /// What is revoked.
    pub entries: Vec<RevocationEntry<'a>>,
    /// What is no longer revoked.
    pub removed: Vec<RevocationEntry<'a>>,
    /// Extensions.
    pub extensions: Vec<Extension<'a>>,
}

/// What becomes of the list before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeMode {
    /// This one takes its place.
    Overwrite,
    /// This one adds to it.
    Append,
}

/// One key or document: it has a hash, an identifier or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevocationEntry<'a> {
    /// Hash of the public key.
    pub key_hash: Option<&'a [u8]>,
    /// Identifier of the access data.
    pub id: Option<&'a [u8]>,
    /// When the entry may be forgotten.
    pub expires: Option<Instant>,
}

impl<'a> RevocationData<'a> {
    /// Reads the value of an element.
    ///
    /// # Errors
    /// [`Rejection`] when a part is malformed, past its limit or of no known label, or a critical
    /// extension is not `known`.
    pub fn parse(value: &'a [u8], known: &[KnownExtension]) -> Result<Self, Rejection> {
        let mut decoder = Decoder::new(value)?;
        let (mut version, mut change) = (None, None);
        let (mut entries, mut removed, mut extensions) = (Vec::new(), Vec::new(), Vec::new());
        let mut fields = decoder.map()?;
        while decoder.more(&mut fields)? {
            match decoder.unsigned()? {
                0 => version = Some(decoder.unsigned()?),
                1 => {
                    change = Some(match decoder.unsigned()? {
                        0 => ChangeMode::Overwrite,
                        1 => ChangeMode::Append,
                        _ => return Err(unreadable("an unknown change of revocations")),
                    });
                }
                2 => entries = read_entries(&mut decoder)?,
                3 => removed = read_entries(&mut decoder)?,
                4 => extensions = extension::read(&mut decoder, known)?,
                _ => return Err(unreadable("revocations with a field of no known label")),
            }
        }
        decoder.finish()?;
        let version = version.ok_or_else(|| unreadable("revocations without a version"))?;
        let change = change.ok_or_else(|| unreadable("revocations without a change mode"))?;
        Ok(Self { version, change, entries, removed, extensions })
    }
}

fn read_entries<'a>(decoder: &mut Decoder<'a>) -> Result<Vec<RevocationEntry<'a>>, Rejection> {
    list(decoder, REVOCATION_ENTRIES_MAX, RevocationEntry::read)
}

impl<'a> RevocationEntry<'a> {
    fn read(decoder: &mut Decoder<'a>) -> Result<Self, Rejection> {
        let mut entry = Self { key_hash: None, id: None, expires: None };
        let mut fields = decoder.map()?;
        while decoder.more(&mut fields)? {
            match decoder.unsigned()? {
                0 => {
                    let hash = decoder.bytes()?;
                    if hash.is_empty() || hash.len() > KEY_HASH_BYTES_MAX {
                        return Err(unreadable("a hash of a key that is empty or too long"));
                    }
                    entry.key_hash = Some(hash);
                }
                1 => entry.id = Some(id(decoder)?),
                2 => {
                    decoder.expect_tag(TAG_EPOCH, "seconds since 1970 (tag 1)")?;
                    let seconds = u32::try_from(decoder.unsigned()?)
                        .map_err(|_| unreadable("an expiry of more than 32 bits"))?;
                    entry.expires = Some(Instant::from_unix_seconds(i64::from(seconds)));
                }
                _ => return Err(unreadable("a revocation with a field of no known label")),
            }
        }
        if entry.key_hash.is_none() && entry.id.is_none() {
            return Err(unreadable("a revocation of nothing"));
        }
        Ok(entry)
    }
}
