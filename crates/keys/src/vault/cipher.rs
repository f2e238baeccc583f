//! AES in the forms that cards and wrapping need: CMAC (NIST SP 800-38B), CBC with a zero IV, key wrap
//! (RFC 3394).
//!
//! [`CardCipher`] is one key of a card, wherever it is: bytes in this process, or an object of a token.

use aws_lc_rs::cipher::{
    AES_128, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::cmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{AES_256 as KEK_256, AesKek, KeyWrap};
use credential::delivery::Kcv;
use zeroize::Zeroizing;

use super::Bytes;
use super::error::CipherFault;

/// One AES-128 key of a card.
pub(crate) trait CardCipher {
    /// AES-CMAC over `message`.
    fn mac(&self, message: &[u8]) -> Result<[u8; 16], CipherFault>;

    /// CBC with `iv`, no padding: `data` is whole blocks.
    fn encrypt(&self, iv: &[u8; 16], data: &[u8]) -> Result<Bytes, CipherFault>;

    /// The reverse of [`CardCipher::encrypt`].
    fn decrypt(&self, iv: &[u8; 16], data: &[u8]) -> Result<Bytes, CipherFault>;
}

/// An AES-128 key in this process, erased when dropped.
pub(crate) struct SoftwareKey(Zeroizing<[u8; 16]>);

impl SoftwareKey {
    pub(crate) const fn new(key: Zeroizing<[u8; 16]>) -> Self {
        Self(key)
    }

    pub(crate) fn danger_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl CardCipher for SoftwareKey {
    fn mac(&self, message: &[u8]) -> Result<[u8; 16], CipherFault> {
        mac(self.0.as_slice(), message)
    }

    fn encrypt(&self, iv: &[u8; 16], data: &[u8]) -> Result<Bytes, CipherFault> {
        let mut bytes = Zeroizing::new(data.to_vec());
        let key = UnboundCipherKey::new(&AES_128, self.0.as_slice())?;
        let context = EncryptionContext::Iv128(FixedLength::from(*iv));
        EncryptingKey::cbc(key)?.less_safe_encrypt(&mut bytes, context)?;
        Ok(bytes)
    }

    fn decrypt(&self, iv: &[u8; 16], data: &[u8]) -> Result<Bytes, CipherFault> {
        let mut bytes = Zeroizing::new(data.to_vec());
        let key = UnboundCipherKey::new(&AES_128, self.0.as_slice())?;
        let context = DecryptionContext::Iv128(FixedLength::from(*iv));
        DecryptingKey::cbc(key)?.decrypt(&mut bytes, context)?;
        Ok(bytes)
    }
}

/// AES-CMAC under a key of 16 or 32 bytes.
pub(crate) fn mac(key: &[u8], message: &[u8]) -> Result<[u8; 16], CipherFault> {
    let algorithm = if key.len() == 16 { cmac::AES_128 } else { cmac::AES_256 };
    let tag = cmac::sign(&cmac::Key::new(algorithm, key)?, message)?;
    tag.as_ref().try_into().map_err(|_| CipherFault)
}

/// The check value of a key.
pub(crate) fn kcv(key: &[u8]) -> Result<Kcv, CipherFault> {
    Ok(Kcv::of_mac(&mac(key, &[0; 16])?))
}

/// Wraps `key` (16 or 32 bytes) under `kek` by RFC 3394.
pub(crate) fn wrap(kek: &[u8; 32], key: &[u8]) -> Result<Vec<u8>, CipherFault> {
    let mut wrapped = vec![0; key.len().saturating_add(8)];
    AesKek::new(&KEK_256, kek)?.wrap(key, &mut wrapped)?;
    Ok(wrapped)
}

/// Unwraps what [`wrap`] wrapped.
pub(crate) fn unwrap(kek: &[u8; 32], wrapped: &[u8]) -> Result<Bytes, CipherFault> {
    // Some eight bytes more than the key: the library asks for room for its check value.
    let mut key = Zeroizing::new(vec![0; wrapped.len()]);
    let length = AesKek::new(&KEK_256, kek)?.unwrap(wrapped, &mut key)?.len();
    key.truncate(length);
    Ok(key)
}
