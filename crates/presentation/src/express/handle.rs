//! Handles: what an issuer seals for the gates of one scope and epoch, and shows to nobody else.

use alloc::boxed::Box;
use core::fmt;

use credential::crypto::ready::{Mac, Opener};
use credential::crypto::{BadCiphertext, Crypto};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Context;
use super::schedule::{ScopeKeys, join};

/// Bytes of a handle: nonce, sealed content, tag.
pub const HANDLE_BYTES: usize = NONCE_BYTES + CONTENT_BYTES + 16;
/// Bytes of its content.
pub const CONTENT_BYTES: usize = 32;
/// Bytes of its nonce.
pub const NONCE_BYTES: usize = 12;
/// Handles of one pass, scope and epoch: what can be lost with a copied wallet.
pub const HANDLES_MAX: u16 = 64;

const FORMAT: u8 = 1;
const PRESENCE: u8 = 1;
const COUNTED: u8 = 2;

/// A handle, sealed. It tells an outsider nothing and is shown once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Handle(pub [u8; HANDLE_BYTES]);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(..)")
    }
}

/// The key that belongs to a handle: known to its holder and to the gates of its scope and epoch.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TapKey([u8; 32]);

impl TapKey {
    /// From where it is stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key, for storing it and for deriving from it.
    #[must_use]
    pub const fn danger_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TapKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TapKey(..)")
    }
}

/// What a handle says to a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Whether the holder must have been present to the device.
    pub needs_presence: bool,
    /// Whether the use is counted.
    pub is_counted: bool,
    /// The tag of the product ([`super::product_tag`]).
    pub product: [u8; 8],
    /// The tag of the class ([`super::class_tag`]), if the pass has one.
    pub class: Option<[u8; 4]>,
    /// Its status.
    pub status: Index,
    /// First instant, Unix seconds.
    pub not_before: u32,
    /// Last instant, Unix seconds.
    pub not_after: u32,
    /// Its number among the handles of its index, from 0.
    pub number: u16,
}

/// Where the status of a handle stands: drawn for one pass, scope and epoch alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index {
    /// The tag of the address of the status list ([`super::list_tag`]).
    pub list: [u8; 4],
    /// The index in it.
    pub index: u32,
}

impl Content {
    fn to_bytes(self) -> [u8; CONTENT_BYTES] {
        let conditions = if self.needs_presence { PRESENCE } else { 0 }
            | if self.is_counted { COUNTED } else { 0 };
        join(&[
            &[FORMAT, conditions],
            &self.product,
            &self.class.unwrap_or_default(),
            &self.status.list,
            &self.status.index.to_be_bytes(),
            &self.not_before.to_be_bytes(),
            &self.not_after.to_be_bytes(),
            &self.number.to_be_bytes(),
        ])
    }

    fn from_bytes(bytes: &[u8; CONTENT_BYTES]) -> Option<Self> {
        let (&[format, conditions], rest) = bytes.split_first_chunk::<2>()?;
        let (product, rest) = rest.split_first_chunk::<8>()?;
        let (class, rest) = rest.split_first_chunk::<4>()?;
        let (list, rest) = rest.split_first_chunk::<4>()?;
        let (index, rest) = rest.split_first_chunk::<4>()?;
        let (not_before, rest) = rest.split_first_chunk::<4>()?;
        let (not_after, number) = rest.split_first_chunk::<4>()?;
        if format != FORMAT || conditions & !(PRESENCE | COUNTED) != 0 {
            return None;
        }
        Some(Self {
            needs_presence: conditions & PRESENCE != 0,
            is_counted: conditions & COUNTED != 0,
            product: *product,
            class: (*class != [0; 4]).then_some(*class),
            status: Index { list: *list, index: u32::from_be_bytes(*index) },
            not_before: u32::from_be_bytes(*not_before),
            not_after: u32::from_be_bytes(*not_after),
            number: u16::from_be_bytes(number.try_into().ok()?),
        })
    }

    /// Whether the handle holds at `at`, Unix seconds, both ends included.
    #[must_use]
    pub const fn holds_at(&self, at: i64) -> bool {
        self.not_before as i64 <= at && at <= self.not_after as i64
    }
}

/// Why a handle does not speak to a gate. A gate cannot tell a forged handle from one of another
/// scope or epoch, or from the noise that stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleError {
    /// It does not open.
    Sealed,
    /// It opens, and says what this version does not understand.
    Content,
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sealed => "open handle: it is of no holder of this scope and epoch",
            Self::Content => "open handle: its content is of an unknown format",
        })
    }
}

impl core::error::Error for HandleError {}

impl ScopeKeys {
    /// Seals a handle, with a nonce that is drawn afresh, and gives the tap key that belongs to it.
    #[must_use]
    pub fn seal(
        &self,
        crypto: &dyn Crypto,
        content: &Content,
        nonce: [u8; NONCE_BYTES],
    ) -> (Handle, TapKey) {
        let mut bytes: [u8; HANDLE_BYTES] = join(&[&nonce, &content.to_bytes()]);
        let sealed = bytes.get_mut(NONCE_BYTES..).unwrap_or_default();
        crypto.seal_aes256_gcm_in_place(&self.seal, &nonce, &associated(self.context), sealed);
        let handle = Handle(bytes);
        (handle, self.tap_key(crypto, &handle))
    }

    /// Opens a handle. A gate with many taps takes [`PreparedKeys`].
    ///
    /// # Errors
    /// [`HandleError`].
    pub fn open(
        &self,
        crypto: &dyn Crypto,
        handle: &Handle,
    ) -> Result<(Content, TapKey), HandleError> {
        let content = content_of(handle, self.context, |nonce, aad, sealed| {
            crypto.open_aes256_gcm_in_place(&self.seal, nonce, aad, sealed).map(|text| &*text)
        })?;
        Ok((content, self.tap_key(crypto, handle)))
    }

    /// The same, ready for any number of handles: the keys are read once.
    #[must_use]
    pub fn prepare(&self, crypto: &dyn Crypto) -> PreparedKeys {
        PreparedKeys {
            context: self.context,
            seal: crypto.aes256_gcm_opener(&self.seal),
            hold: crypto.hmac_sha256_key(&self.hold),
        }
    }

    fn tap_key(&self, crypto: &dyn Crypto, handle: &Handle) -> TapKey {
        TapKey(crypto.hmac_sha256(&self.hold, &tap_info(handle)))
    }
}

/// What a gate opens handles with, of one scope and epoch.
#[derive(Debug)]
pub struct PreparedKeys {
    context: Context,
    seal: Box<dyn Opener>,
    hold: Box<dyn Mac>,
}

impl PreparedKeys {
    /// Where and when they are good.
    #[must_use]
    pub const fn context(&self) -> Context {
        self.context
    }

    /// Opens a handle.
    ///
    /// # Errors
    /// [`HandleError`].
    pub fn open(&self, handle: &Handle) -> Result<(Content, TapKey), HandleError> {
        let content = content_of(handle, self.context, |nonce, aad, sealed| {
            self.seal.open_in_place(nonce, aad, sealed).map(|text| &*text)
        })?;
        Ok((content, TapKey(self.hold.code(&tap_info(handle)))))
    }
}

fn content_of(
    handle: &Handle,
    context: Context,
    open: impl for<'b> FnOnce(
        &[u8; NONCE_BYTES],
        &[u8],
        &'b mut [u8],
    ) -> Result<&'b [u8], BadCiphertext>,
) -> Result<Content, HandleError> {
    let mut bytes = handle.0;
    let (nonce, sealed) =
        bytes.split_first_chunk_mut::<NONCE_BYTES>().ok_or(HandleError::Sealed)?;
    let text =
        open(nonce, &associated(context), sealed).map_err(|BadCiphertext| HandleError::Sealed)?;
    let text = text.first_chunk().ok_or(HandleError::Sealed)?;
    Content::from_bytes(text).ok_or(HandleError::Content)
}

/// The info of the tap key, with the number of the block (RFC 5869, 2.3).
fn tap_info(handle: &Handle) -> [u8; 80] {
    join(&[b"limen express 1 tap", &handle.0, &[1]])
}

fn associated(context: Context) -> [u8; 34] {
    join(&[b"limen express 1 handle", &context.to_bytes()])
}
