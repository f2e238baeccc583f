//! SHA-256 as the log uses it: leaf and node hashes of RFC 6962, section 2.1, and plain digests
//! with a domain label for journals.
//!
//! Leaf and node hashes are padded by hand and handed to the compression function block by
//! block, because they are all that an append costs. Never use a leaf hash where a node hash is
//! meant: the first byte keeps the two apart.

use alloc::string::String;
use base64ct::{Base64, Encoding};
use core::fmt;
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// Bytes in a hash.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 value: of a leaf, of a node, of a tree, of a journal record.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; HASH_BYTES]);

impl Hash {
    /// From its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// From standard Base64 with padding, as notes and proofs write it; nothing if the text is
    /// not the canonical form of 32 bytes.
    #[must_use]
    pub fn parse_base64(text: &str) -> Option<Self> {
        let mut bytes = [0; HASH_BYTES];
        (Base64::decode(text, &mut bytes).ok()?.len() == HASH_BYTES).then_some(Self(bytes))
    }

    /// Standard Base64 with padding, 44 characters.
    #[must_use]
    pub fn to_base64(&self) -> String {
        Base64::encode_string(&self.0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const BLOCK_BYTES: usize = 64;
const LENGTH_BYTES: usize = 8;
const LEAF_PREFIX: u8 = 0;
const NODE_PREFIX: u8 = 1;

/// FIPS 180-4, section 5.3.3.
const INITIAL_STATE: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The hash of an entry: SHA-256(0x00 || entry) (RFC 6962, 2.1).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut state = INITIAL_STATE;
    let mut first = [0; BLOCK_BYTES];
    let [prefix, start @ ..] = &mut first;
    *prefix = LEAF_PREFIX;
    let Some((head, rest)) = entry.split_at_checked(start.len()) else {
        for (to, from) in start.iter_mut().zip(entry) {
            *to = *from;
        }
        let filled = first.split_at_checked(entry.len() + 1).map_or(&[][..], |(filled, _)| filled);
        return finish(state, filled, entry.len() + 1);
    };
    start.copy_from_slice(head);
    compress256(&mut state, &[first]);
    let (blocks, tail) = rest.as_chunks::<BLOCK_BYTES>();
    compress256(&mut state, blocks);
    finish(state, tail, entry.len() + 1)
}

/// The hash of a node: SHA-256(0x01 || left || right) (RFC 6962, 2.1).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let [before_last @ .., last] = &right.0;
    let mut blocks = [[0; BLOCK_BYTES]; 2];
    let [first, second] = &mut blocks;
    let [prefix, children @ ..] = first;
    *prefix = NODE_PREFIX;
    let (to_left, to_right) = children.split_at_mut(HASH_BYTES);
    to_left.copy_from_slice(&left.0);
    to_right.copy_from_slice(before_last);
    second[0] = *last;
    second[1] = 0x80;
    // 65 bytes are 520 bits, 0x0208.
    second[62] = 0x02;
    second[63] = 0x08;
    let mut state = INITIAL_STATE;
    compress256(&mut state, &blocks);
    to_hash(state)
}

/// The root of the tree without leaves: SHA-256 of nothing (RFC 6962, 2.1).
#[must_use]
pub fn empty_root() -> Hash {
    finish(INITIAL_STATE, &[], 0)
}

/// SHA-256 over a domain label and parts; the caller makes the parts unambiguous.
pub(crate) fn digest(label: &[u8], parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(label);
    for part in parts {
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// Pads and compresses the last bytes, fewer than a block, of a message of `length` bytes
/// (FIPS 180-4, 5.1.1).
fn finish(mut state: [u32; 8], tail: &[u8], length: usize) -> Hash {
    let mut blocks = [[0; BLOCK_BYTES]; 2];
    let needed = if tail.len() + 1 + LENGTH_BYTES <= BLOCK_BYTES { 1 } else { 2 };
    let flat = blocks.as_flattened_mut();
    let padded = tail.iter().chain(core::iter::once(&0x80));
    for (to, from) in flat.iter_mut().zip(padded) {
        *to = *from;
    }
    let bits = (length as u64).wrapping_mul(8).to_be_bytes();
    for (to, from) in flat.iter_mut().skip(needed * BLOCK_BYTES - LENGTH_BYTES).zip(bits) {
        *to = from;
    }
    let (used, _) = blocks.split_at(needed);
    compress256(&mut state, used);
    to_hash(state)
}

fn to_hash(state: [u32; 8]) -> Hash {
    let mut bytes = [0; HASH_BYTES];
    for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    Hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn hand_padded_hashes_equal_the_library_at_every_length() {
        let bytes: Vec<u8> = (0..=1000_u32).map(|i| i.to_le_bytes()[0]).collect();
        for length in 0..bytes.len() {
            let entry = &bytes[..length];
            assert_eq!(leaf_hash(entry), digest(&[LEAF_PREFIX], &[entry]), "{length}");
        }
        let (left, right) = (leaf_hash(b"left"), leaf_hash(b"right"));
        assert_eq!(node_hash(&left, &right), digest(&[NODE_PREFIX], &[&left.0, &right.0]));
        assert_eq!(empty_root(), digest(b"", &[]));
    }

    #[test]
    fn base64_form_returns_and_other_forms_are_refused() {
        let hash = leaf_hash(b"entry");
        assert_eq!(Hash::parse_base64(&hash.to_base64()), Some(hash));
        for text in ["", "AAAA", "A", &"A".repeat(43), &"A".repeat(48)] {
            assert_eq!(Hash::parse_base64(text), None, "{text}");
        }
    }
}
