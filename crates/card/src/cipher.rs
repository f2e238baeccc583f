//! AES-128 as cards use it: CBC without padding, CMAC (NIST SP 800-38A and B).

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use cmac::{Cmac, Mac};

pub(crate) const BLOCK: usize = 16;

/// Encrypts whole blocks in place; what is left behind them stays as it is.
pub(crate) fn encrypt(key: &[u8; BLOCK], iv: [u8; BLOCK], data: &mut [u8]) {
    let cipher = Aes128::new(&Array(*key));
    let mut before = iv;
    for block in data.as_chunks_mut::<BLOCK>().0 {
        block.iter_mut().zip(before).for_each(|(byte, before)| *byte ^= before);
        let mut sealed = Array(*block);
        cipher.encrypt_block(&mut sealed);
        *block = sealed.0;
        before = *block;
    }
}

/// The reverse of [`encrypt`].
pub(crate) fn decrypt(key: &[u8; BLOCK], iv: [u8; BLOCK], data: &mut [u8]) {
    let cipher = Aes128::new(&Array(*key));
    let mut before = iv;
    for block in data.as_chunks_mut::<BLOCK>().0 {
        let sealed = *block;
        let mut open = Array(sealed);
        cipher.decrypt_block(&mut open);
        *block = open.0;
        block.iter_mut().zip(before).for_each(|(byte, before)| *byte ^= before);
        before = sealed;
    }
}

/// AES-CMAC over the parts, one after another.
pub(crate) fn mac(key: &[u8; BLOCK], parts: &[&[u8]]) -> [u8; BLOCK] {
    let mut mac = Cmac::<Aes128>::new(&Array(*key));
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().0
}

/// The CRC-32 of ISO 3309 without its last inversion, as EV2 has it.
pub(crate) fn crc32(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    })
}
