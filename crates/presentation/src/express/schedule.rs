//! Keys of the express tap: HKDF-Expand (RFC 5869, 2.3) with SHA-256, to one block.

use core::fmt;

use credential::crypto::{BadCiphertext, Crypto};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::handle::{Handle, TapKey};
use super::wire::{OPEN_BYTES, Proprietary};
use super::{Context, FRESH_BYTES, Transport};

/// What an issuer and the gates derive from the epoch key of a scope, once; erased when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ScopeKeys {
    #[zeroize(skip)]
    pub(super) context: Context,
    pub(super) seal: [u8; 32],
    pub(super) hold: [u8; 32],
}

impl ScopeKeys {
    /// From the epoch key of `context`.
    #[must_use]
    pub fn derive(crypto: &dyn Crypto, epoch_key: &[u8; 32], context: Context) -> Self {
        let derive = |what: &[u8]| expand(crypto, epoch_key, &[what, &context.to_bytes()]);
        let (seal, hold) = (derive(b"limen express 1 seal"), derive(b"limen express 1 hold"));
        Self { context, seal, hold }
    }

    /// Where and when they are good.
    #[must_use]
    pub const fn context(&self) -> Context {
        self.context
    }
}

impl fmt::Debug for ScopeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeKeys").field("context", &self.context).finish_non_exhaustive()
    }
}

/// What both ends saw until the handle was shown.
#[derive(Clone, Copy, Debug)]
pub struct Transcript<'a> {
    /// What carries the tap.
    pub transport: Transport,
    /// What the holder said of itself.
    pub proprietary: &'a Proprietary,
    /// The data of OPEN.
    pub open: &'a [u8; OPEN_BYTES],
    /// The handle.
    pub handle: &'a Handle,
    /// The holder's fresh value.
    pub fresh: &'a [u8; FRESH_BYTES],
}

impl Transcript<'_> {
    fn digest(&self, crypto: &dyn Crypto) -> [u8; 32] {
        let proprietary = self.proprietary.as_bytes();
        // INVARIANT: it is at most 32 bytes long.
        let length = u8::try_from(proprietary.len()).unwrap_or(u8::MAX);
        let joined = Joined::new(&[
            b"limen express 1",
            &[self.transport.byte(), length],
            proprietary,
            self.open,
            &self.handle.0,
            self.fresh,
        ]);
        crypto.sha256(joined.as_bytes())
    }
}

/// Which end seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The gate.
    Reader,
    /// The card or phone.
    Holder,
}

/// The two directions of one tap, each under a key of its own; erased when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Channel {
    #[zeroize(skip)]
    own: End,
    transcript: [u8; 32],
    reader: [u8; 32],
    holder: [u8; 32],
    sealed: u32,
    opened: u32,
}

impl Channel {
    /// The channel of one end.
    #[must_use]
    pub fn new(
        crypto: &dyn Crypto,
        own: End,
        tap_key: &TapKey,
        transcript: &Transcript<'_>,
    ) -> Self {
        let transcript = transcript.digest(crypto);
        let key = tap_key.danger_bytes();
        let info = |what: &[u8]| Joined::new(&[what, &transcript, &[1]]);
        let (reader, holder) = (info(b"limen express 1 reader"), info(b"limen express 1 holder"));
        let [reader, holder] = crypto.hmac_sha256_two(key, [reader.as_bytes(), holder.as_bytes()]);
        Self { own, transcript, reader, holder, sealed: 0, opened: 0 }
    }

    /// Seals `text`, which has 16 bytes less than `N`.
    #[must_use]
    pub fn seal<const N: usize>(&mut self, crypto: &dyn Crypto, text: &[u8]) -> [u8; N] {
        debug_assert_eq!(text.len() + 16, N);
        self.sealed = self.sealed.saturating_add(1);
        let mut sealed = join(&[text]);
        let key = self.key(self.own);
        crypto.seal_aes256_gcm_in_place(key, &nonce(self.sealed), &self.transcript, &mut sealed);
        sealed
    }

    /// Opens what the other end sealed, in place.
    ///
    /// # Errors
    /// [`BadCiphertext`]: the other end does not know the tap key, or something was changed on its way,
    /// sent again or left out.
    pub fn open<'b>(
        &mut self,
        crypto: &dyn Crypto,
        sealed: &'b mut [u8],
    ) -> Result<&'b [u8], BadCiphertext> {
        self.opened = self.opened.saturating_add(1);
        let other = if self.own == End::Reader { End::Holder } else { End::Reader };
        let key = self.key(other);
        let nonce = nonce(self.opened);
        let text = crypto.open_aes256_gcm_in_place(key, &nonce, &self.transcript, sealed)?;
        Ok(text)
    }

    const fn key(&self, end: End) -> &[u8; 32] {
        match end {
            End::Reader => &self.reader,
            End::Holder => &self.holder,
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("own", &self.own).finish_non_exhaustive()
    }
}

fn nonce(counter: u32) -> [u8; 12] {
    join(&[&[0; 8], &counter.to_be_bytes()])
}

/// HKDF-Expand with the parts as info, to 32 bytes: one block of HMAC.
pub(super) fn expand(crypto: &dyn Crypto, key: &[u8; 32], info: &[&[u8]]) -> [u8; 32] {
    let mut message = Joined::new(info);
    message.push(&[1]);
    crypto.hmac_sha256(key, message.as_bytes())
}

/// The parts one after another, as far as they fit; the rest is zero.
pub(super) fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    let all = parts.iter().flat_map(|part| part.iter());
    bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
    bytes
}

/// Parts one after another, without memory of its own. They are labels and what goes over the air: nothing
/// that would have to be erased.
struct Joined {
    bytes: [u8; JOINED_BYTES_MAX],
    length: usize,
}

/// The longest is a transcript: 17 bytes, 32 of the proprietary template, OPEN, handle, fresh value.
const JOINED_BYTES_MAX: usize = 192;

impl Joined {
    fn new(parts: &[&[u8]]) -> Self {
        let mut joined = Self { bytes: [0; JOINED_BYTES_MAX], length: 0 };
        parts.iter().for_each(|part| joined.push(part));
        joined
    }

    fn push(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        debug_assert!(end <= JOINED_BYTES_MAX);
        if let Some(to) = self.bytes.get_mut(self.length..end) {
            to.copy_from_slice(part);
            self.length = end;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
