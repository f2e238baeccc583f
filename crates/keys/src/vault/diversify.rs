//! Card keys from a card master: NXP AN10922 for AES-128, for inputs of 16 to 31 bytes.
//!
//! AN10922 is AES-CMAC over `01 || M`, padded to 32 bytes whatever the length of M. For M of 16 to 31
//! bytes CMAC pads so by itself and the two are one; for a shorter M they differ, so that a shorter
//! one is refused. The same value comes from the counter KDF of NIST SP 800-108 with PRF AES-CMAC, an
//! 8-bit counter and M alone as its fixed input, which is the way that keeps the master derive-only.

use core::fmt;
use core::str::FromStr;

use zeroize::Zeroizing;

use super::cipher::{CardCipher, SoftwareKey};
use super::error::CipherFault;

/// Bytes of the shortest input.
pub const INPUT_BYTES_MIN: usize = 16;
/// Bytes of the longest input.
pub const INPUT_BYTES_MAX: usize = 31;

/// How card keys are derived: part of the policy of a card master, never another than it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kdf {
    /// NIST SP 800-108, counter mode, PRF AES-CMAC: `CKM_SP800_108_COUNTER_KDF`. The master can do
    /// nothing but derive.
    Sp800108Cmac,
    /// The same values by `CKM_AES_CBC_ENCRYPT_DATA` and one block encryption: for tokens that lack the
    /// former. The master must be able to encrypt, so whoever may use it could compute card keys.
    An10922CbcFallback,
}

impl Kdf {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Sp800108Cmac, Self::An10922CbcFallback];

    /// The name, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sp800108Cmac => "sp800-108-cmac",
            Self::An10922CbcFallback => "an10922-cbc-fallback",
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Sp800108Cmac => 1,
            Self::An10922CbcFallback => 2,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kdf| kdf.number() == number)
    }
}

impl fmt::Display for Kdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kdf {
    type Err = ParseKdfError;

    fn from_str(text: &str) -> Result<Self, ParseKdfError> {
        Self::ALL.into_iter().find(|kdf| kdf.as_str() == text).ok_or(ParseKdfError)
    }
}

/// A text that names no way to derive card keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseKdfError;

impl fmt::Display for ParseKdfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no key derivation: expected `sp800-108-cmac` or `an10922-cbc-fallback`")
    }
}

impl core::error::Error for ParseKdfError {}

/// What tells one card key from another: the input M of AN10922, 16 to 31 bytes. Usually the card's
/// identifier, the application's, the number of the key and the name of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardInput(Vec<u8>);

impl CardInput {
    /// An input of [`INPUT_BYTES_MIN`] to [`INPUT_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`InputLength`].
    pub fn new(input: &[u8]) -> Result<Self, InputLength> {
        if !(INPUT_BYTES_MIN..=INPUT_BYTES_MAX).contains(&input.len()) {
            return Err(InputLength { found: input.len() });
        }
        Ok(Self(input.to_vec()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The two halves of `01 || M || 80 00..`, as CMAC encrypts them, and whether the message was
    /// padded.
    pub(crate) fn blocks(&self) -> ([u8; 16], [u8; 16], bool) {
        let mut padded = [0; 32];
        let message = core::iter::once(&1).chain(&self.0).chain(core::iter::once(&0x80));
        padded.iter_mut().zip(message).for_each(|(to, from)| *to = *from);
        let (mut first, mut second) = ([0; 16], [0; 16]);
        first.iter_mut().zip(&padded).for_each(|(to, from)| *to = *from);
        second.iter_mut().zip(padded.iter().skip(16)).for_each(|(to, from)| *to = *from);
        (first, second, self.0.len() < INPUT_BYTES_MAX)
    }
}

/// An input that is too short or too long to derive a card key by AN10922 as CMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputLength {
    /// Its bytes.
    pub found: usize,
}

impl fmt::Display for InputLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "derive card key: the input has `{}` bytes instead of {INPUT_BYTES_MIN} to \
             {INPUT_BYTES_MAX}; add application, key number and system name",
            self.found
        )
    }
}

impl core::error::Error for InputLength {}

/// The key of `card` under `master`, in this process.
pub(crate) fn derive(
    master: &SoftwareKey,
    kdf: Kdf,
    card: &CardInput,
) -> Result<SoftwareKey, CipherFault> {
    match kdf {
        Kdf::Sp800108Cmac => {
            let message = [&[1], card.as_bytes()].concat();
            Ok(SoftwareKey::new(Zeroizing::new(master.mac(&message)?)))
        }
        Kdf::An10922CbcFallback => {
            let Parts { iv, data } = parts(card, |block| {
                let encrypted = master.encrypt(&[0; 16], block)?;
                encrypted.as_slice().try_into().map_err(|_| CipherFault)
            })?;
            let derived = master.encrypt(&iv, data.as_slice())?;
            let derived = derived.as_slice().try_into().map_err(|_| CipherFault)?;
            Ok(SoftwareKey::new(Zeroizing::new(derived)))
        }
    }
}

/// What goes into `CKM_AES_CBC_ENCRYPT_DATA` to get the key of a card: `E(M2 ^ subkey ^ E(M1))`.
pub(crate) struct Parts {
    pub(crate) iv: [u8; 16],
    pub(crate) data: Zeroizing<[u8; 16]>,
}

/// Takes CMAC apart (NIST SP 800-38B, 6.1 and 6.2), for a token that derives by CBC alone. `encrypt`
/// encrypts one block under the master.
pub(crate) fn parts(
    card: &CardInput,
    encrypt: impl Fn(&[u8; 16]) -> Result<[u8; 16], CipherFault>,
) -> Result<Parts, CipherFault> {
    let (first, second, is_padded) = card.blocks();
    let iv = encrypt(&first)?;
    let whole = doubled(&encrypt(&[0; 16])?);
    let subkey = Zeroizing::new(if is_padded { doubled(&whole) } else { whole });
    let mut data = Zeroizing::new(second);
    data.iter_mut().zip(subkey.iter()).for_each(|(byte, key)| *byte ^= key);
    Ok(Parts { iv, data })
}

/// Multiplication by x in the field of CMAC.
fn doubled(block: &[u8; 16]) -> [u8; 16] {
    let value = u128::from_be_bytes(*block);
    let carry = 0x87 * (value >> 127);
    ((value << 1) ^ carry).to_be_bytes()
}
