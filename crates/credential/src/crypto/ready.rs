//! Symmetric keys that a provider has read, for those who use one again and again.

use core::fmt;

use super::BadCiphertext;

/// A key of AES-256-GCM that is ready to open messages. It never shows itself.
pub trait Opener: fmt::Debug + Send + Sync {
    /// As [`super::Crypto::open_aes256_gcm_in_place`].
    ///
    /// # Errors
    /// [`BadCiphertext`]; the buffer is then erased.
    fn open_in_place<'b>(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<&'b mut [u8], BadCiphertext>;
}

/// A key of HMAC-SHA-256 that is ready for messages. It never shows itself.
pub trait Mac: fmt::Debug + Send + Sync {
    /// The code of `message`.
    fn code(&self, message: &[u8]) -> [u8; 32];
}
