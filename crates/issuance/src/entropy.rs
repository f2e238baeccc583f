//! One seed of entropy, spread over everything random in a deed.
//!
//! The n-th block is SHA-256 of the seed, a label and n. Who does not know the seed cannot tell
//! the blocks from random ones, and one block says nothing about another. The seed is used for one
//! deed and never again.

use sha2::{Digest as _, Sha256};

/// A stream of random bytes made of one seed.
pub(crate) struct Entropy {
    seed: [u8; 32],
    blocks: u64,
}

impl Entropy {
    /// The stream of `seed`, from its beginning.
    pub(crate) const fn new(seed: [u8; 32]) -> Self {
        Self { seed, blocks: 0 }
    }

    /// The next 32 bytes.
    pub(crate) fn block(&mut self) -> [u8; 32] {
        let number = self.blocks.to_be_bytes();
        self.blocks = self.blocks.wrapping_add(1);
        let hash = Sha256::new().chain_update(b"limen issuance entropy\0");
        hash.chain_update(self.seed).chain_update(number).finalize().into()
    }

    /// The next `N` bytes, at most 32; what is left of the block is dropped.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= 32) }
        let mut bytes = [0; N];
        bytes.iter_mut().zip(self.block()).for_each(|(to, from)| *to = from);
        bytes
    }

    /// The next `length` bytes.
    pub(crate) fn vec(&mut self, length: usize) -> Vec<u8> {
        let blocks = core::iter::repeat_with(|| self.block());
        blocks.take(length.div_ceil(32)).flatten().take(length).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream_without_repetition() {
        let mut one = Entropy::new([1; 32]);
        let mut same = Entropy::new([1; 32]);
        let mut other = Entropy::new([2; 32]);
        let first = one.block();
        assert_eq!(first, same.block());
        assert_ne!(first, other.block());
        assert_ne!(first, one.block());
        assert_eq!(one.vec(70).len(), 70);
        assert_eq!(one.bytes::<10>().len(), 10);
    }
}
