//! The key identifier of RFC 5280, 4.2.1.2, method (1), which ISO/IEC 18013-5, Annex B, demands.
//!
//! It is SHA-1 of the key, as a name and nothing else: no decision of trust rests on it, so that
//! the broken collision resistance of SHA-1 does not matter. Nothing else may use this function.

/// Bytes of a key identifier.
pub(super) const KEY_ID_BYTES: usize = 20;

/// SHA-1 (FIPS 180-4, 6.1) of the bytes of a public key.
pub(super) fn key_id(key: &[u8]) -> [u8; KEY_ID_BYTES] {
    let mut state = [0x6745_2301_u32, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    let bits = (key.len() as u64).wrapping_mul(8).to_be_bytes();
    // The message, a one bit, zeros up to eight bytes before the end of a block, the length.
    let zeros = (119 - key.len() % 64) % 64;
    let padding = core::iter::once(0x80).chain(core::iter::repeat_n(0, zeros));
    let mut block = [0_u8; 64];
    let mut filled = 0;
    for byte in key.iter().copied().chain(padding).chain(bits) {
        if let Some(slot) = block.get_mut(filled) {
            *slot = byte;
        }
        filled += 1;
        if filled == block.len() {
            compress(&mut state, &block);
            filled = 0;
        }
    }
    let mut id = [0; KEY_ID_BYTES];
    for (bytes, word) in id.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    id
}

fn compress(state: &mut [u32; 5], block: &[u8; 64]) {
    // A ring of the last sixteen words of the schedule, the oldest first.
    let mut words = [0_u32; 16];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte));
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for round in 0..80 {
        let (mix, constant) = match round {
            0..20 => (d ^ (b & (c ^ d)), 0x5A82_7999_u32),
            20..40 => (b ^ c ^ d, 0x6ED9_EBA1),
            40..60 => ((b & c) | (d & (b | c)), 0x8F1B_BCDC),
            _ => (b ^ c ^ d, 0xCA62_C1D6),
        };
        let [word, _, w2, _, _, _, _, _, w8, _, _, _, _, w13, ..] = words;
        let sum = a.rotate_left(5).wrapping_add(mix).wrapping_add(e);
        let next = sum.wrapping_add(constant).wrapping_add(word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        words.rotate_left(1);
        if let Some(last) = words.last_mut() {
            *last = (word ^ w2 ^ w8 ^ w13).rotate_left(1);
        }
    }
    for (sum, value) in state.iter_mut().zip([a, b, c, d, e]) {
        *sum = sum.wrapping_add(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn check(message: &[u8], expected: &str) {
        let found: String =
            key_id(message).iter().map(|byte| alloc::format!("{byte:02x}")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn examples_of_fips_180_hold() {
        check(b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
        check(b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        check(
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
        );
        check(&[b'a'; 64], "0098ba824b5c16427bd7a1122a5a442a25ec644d");
        check(&[b'a'; 55], "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    }
}
