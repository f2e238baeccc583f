//! The wrapping key: 32 bytes under which the root's private half lies in the backup.
//!
//! AES-256 key wrap with padding (RFC 5649), which tokens know as `CKM_AES_KEY_WRAP_PAD`; what is
//! wrapped is a PKCS#8 PrivateKeyInfo (RFC 5958), as PKCS#11 demands, so that a backup made in software
//! and one made by a token are of one form. The key lives in the ceremony's memory alone, is wiped
//! when dropped and is never shown: what is shown is its check value.

use core::fmt;

use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::key_wrap::{AES_256 as WRAP_256, AesKek, KeyWrapPadded};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

/// Bytes in a wrapping key.
pub const WRAPPING_KEY_BYTES: usize = 32;
/// Bytes of a private half that is wrapped: P-384 in PKCS#8 takes 185.
pub const PRIVATE_BYTES_MAX: usize = 512;
/// Bytes that wrapping adds at most (RFC 5649: eight, and padding to eight).
const WRAP_BYTES_MAX: usize = 16;

/// The wrapping key of one ceremony.
pub struct WrappingKey(Zeroizing<[u8; WRAPPING_KEY_BYTES]>);

/// What identifies a wrapping key without giving it away: the first three bytes of the encryption
/// of a block of zeros, which is `CKA_CHECK_VALUE` of PKCS#11 2.40.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckValue(pub [u8; 3]);

impl WrappingKey {
    /// A fresh key from the system's generator.
    ///
    /// # Errors
    /// [`WrapError::Cryptography`].
    pub fn generate() -> Result<Self, WrapError> {
        let mut key = Zeroizing::new([0; WRAPPING_KEY_BYTES]);
        rand::fill(key.as_mut()).map_err(|_| WrapError::Cryptography)?;
        Ok(Self(key))
    }

    /// The key that shares were put together to.
    pub(crate) const fn from_bytes(bytes: Zeroizing<[u8; WRAPPING_KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    /// The bytes, for splitting and for import into a token.
    pub(crate) fn danger_bytes(&self) -> &[u8; WRAPPING_KEY_BYTES] {
        &self.0
    }

    /// Its check value.
    ///
    /// # Errors
    /// [`WrapError::Cryptography`].
    pub fn check_value(&self) -> Result<CheckValue, WrapError> {
        let key = UnboundCipherKey::new(&AES_256, self.0.as_ref());
        let key = key.and_then(EncryptingKey::ecb).map_err(|_| WrapError::Cryptography)?;
        let mut block = [0; 16];
        key.encrypt(&mut block).map_err(|_| WrapError::Cryptography)?;
        let [first, second, third, ..] = block;
        Ok(CheckValue([first, second, third]))
    }

    /// Wraps `private`, a PKCS#8 PrivateKeyInfo of at most [`PRIVATE_BYTES_MAX`].
    ///
    /// # Errors
    /// [`WrapError`].
    pub(crate) fn wrap(&self, private: &[u8]) -> Result<Vec<u8>, WrapError> {
        if private.len() > PRIVATE_BYTES_MAX {
            return Err(WrapError::TooLarge);
        }
        let mut output = [0; PRIVATE_BYTES_MAX + WRAP_BYTES_MAX];
        let wrapped = self.kek()?.wrap_with_padding(private, &mut output);
        wrapped.map(|bytes| bytes.to_vec()).map_err(|_| WrapError::Cryptography)
    }

    /// Unwraps what [`WrappingKey::wrap`] or a token wrapped.
    ///
    /// # Errors
    /// [`WrapError::OtherKey`] when another key wrapped it, or it is damaged.
    pub(crate) fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, WrapError> {
        if wrapped.len() > PRIVATE_BYTES_MAX + WRAP_BYTES_MAX {
            return Err(WrapError::TooLarge);
        }
        let mut output = Zeroizing::new([0; PRIVATE_BYTES_MAX + WRAP_BYTES_MAX]);
        let private = self.kek()?.unwrap_with_padding(wrapped, output.as_mut());
        let private = private.map_err(|_| WrapError::OtherKey)?;
        let mut kept = Zeroizing::new(Vec::with_capacity(private.len()));
        kept.extend_from_slice(private);
        Ok(kept)
    }

    fn kek(&self) -> Result<AesKek, WrapError> {
        AesKek::new(&WRAP_256, self.0.as_ref()).map_err(|_| WrapError::Cryptography)
    }
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrappingKey(..)")
    }
}

impl fmt::Display for CheckValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// Why nothing was wrapped or unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrapError {
    /// More than [`PRIVATE_BYTES_MAX`].
    TooLarge,
    /// The bytes were wrapped by another key, or are damaged.
    OtherKey,
    /// The random generator or the cipher failed.
    Cryptography,
}

impl fmt::Display for WrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "wrap private key: it is larger than any private key of a root",
            Self::OtherKey => "unwrap private key: another key wrapped it, or it is damaged",
            Self::Cryptography => "wrap private key: the cryptographic module failed",
        })
    }
}

impl core::error::Error for WrapError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> WrappingKey {
        WrappingKey::from_bytes(Zeroizing::new([byte; WRAPPING_KEY_BYTES]))
    }

    #[test]
    fn check_value_is_that_of_an_aes_key_of_zeros() {
        // AES-256 of a zero block under a zero key: DC95C078A2408989AD48A21492842087 (NIST CAVP).
        assert_eq!(key(0).check_value().unwrap().to_string(), "DC95C0");
    }

    #[test]
    fn what_is_wrapped_returns_under_its_own_key_alone() {
        for length in [1, 8, 138, PRIVATE_BYTES_MAX] {
            let private = vec![7; length];
            let mut wrapped = key(1).wrap(&private).unwrap();
            assert_eq!(*key(1).unwrap(&wrapped).unwrap(), private);
            assert_eq!(key(2).unwrap(&wrapped).unwrap_err(), WrapError::OtherKey);
            wrapped[length / 2] ^= 1;
            assert_eq!(key(1).unwrap(&wrapped).unwrap_err(), WrapError::OtherKey);
        }
        let one_past = vec![7; PRIVATE_BYTES_MAX + 1];
        assert_eq!(key(1).wrap(&one_past).unwrap_err(), WrapError::TooLarge);
        assert_eq!(key(1).unwrap(&[0; 1024]).unwrap_err(), WrapError::TooLarge);
    }
}
