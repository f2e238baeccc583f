//! Session encryption (ISO/IEC 18013-5 clause 9.1.1): P-256 key agreement, HKDF-SHA-256, and
//! AES-256-GCM with a key and a counter of its own per direction; and the two messages that carry it.
//!
//! A channel opens messages in the order they were sealed and in no other: what does not open,
//! repeats or comes out of order closes it for good. No nonce is ever used twice: the counter only
//! grows, and the channel ends before it could wrap.

pub mod message;

use alloc::vec::Vec;
use core::fmt;

use credential::crypto::{BadKey, Crypto, P256Secret, SharedSecret};
use zeroize::Zeroizing;

use crate::transcript::SessionTranscript;

/// Messages that one direction of a session may carry. The standard allows 2^32 - 1; no session
/// of ours needs that many.
pub const MESSAGES_MAX: u32 = 1_024;

/// An end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The wallet.
    Holder,
    /// The reader.
    Reader,
}

/// The two keys of a session.
pub struct SessionKeys {
    reader: Zeroizing<[u8; 32]>,
    device: Zeroizing<[u8; 32]>,
}

impl SessionKeys {
    /// The keys of the reader's and of the device's direction, derived elsewhere.
    #[must_use]
    pub fn from_bytes(reader: [u8; 32], device: [u8; 32]) -> Self {
        Self { reader: Zeroizing::new(reader), device: Zeroizing::new(device) }
    }

    /// The keys of the reader's and of the device's direction, for a channel that is run elsewhere.
    #[must_use]
    pub fn danger_bytes(&self) -> [&[u8; 32]; 2] {
        [&self.reader, &self.device]
    }

    /// Agrees on SKReader and SKDevice (clause 9.1.1.5) from one's own ephemeral secret and the
    /// other end's ephemeral key.
    ///
    /// # Errors
    /// [`BadKey`] when the key is not a point of the curve or the secret not a scalar.
    pub fn agree(
        crypto: &dyn Crypto,
        secret: &P256Secret,
        peer: &[u8; 65],
        transcript: &SessionTranscript,
    ) -> Result<Self, BadKey> {
        Ok(Self::derive(crypto, &crypto.p256_agree(secret, peer)?, transcript))
    }

    /// Derives SKReader and SKDevice (clause 9.1.1.5) from what both ends agreed on.
    #[must_use]
    pub fn derive(
        crypto: &dyn Crypto,
        shared: &SharedSecret,
        transcript: &SessionTranscript,
    ) -> Self {
        let salt = crypto.sha256(&transcript.tagged());
        let derive =
            |info: &[u8]| Zeroizing::new(crypto.hkdf_sha256(shared.danger_bytes(), &salt, info));
        Self { reader: derive(b"SKReader"), device: derive(b"SKDevice") }
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(..)")
    }
}

/// One end of an encrypted session.
#[derive(Debug)]
pub struct Channel {
    end: End,
    keys: SessionKeys,
    /// Messages sealed so far.
    sealed: u32,
    /// Messages opened so far; nothing once the channel has closed.
    opened: Option<u32>,
}

impl Channel {
    /// The channel of `end`, before its first message.
    #[must_use]
    pub const fn new(end: End, keys: SessionKeys) -> Self {
        Self { end, keys, sealed: 0, opened: Some(0) }
    }

    /// Seals the next message of this end.
    ///
    /// # Errors
    /// [`ChannelError`] when the channel has closed or carried [`MESSAGES_MAX`] messages.
    pub fn seal(&mut self, crypto: &dyn Crypto, message: &[u8]) -> Result<Vec<u8>, ChannelError> {
        if self.opened.is_none() {
            return Err(ChannelError::Closed);
        }
        if self.sealed == MESSAGES_MAX {
            return Err(ChannelError::Exhausted);
        }
        self.sealed += 1;
        let (key, nonce) = self.direction(self.end, self.sealed);
        let mut buffer = message.to_vec();
        crypto.seal_aes256_gcm(key, &nonce, &[], &mut buffer);
        Ok(buffer)
    }

    /// Opens the next message of the other end. Any failure closes the channel for good.
    ///
    /// # Errors
    /// [`ChannelError`] when it does not open, or the channel has closed or carried
    /// [`MESSAGES_MAX`] messages.
    pub fn open(&mut self, crypto: &dyn Crypto, sealed: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let count = self.opened.take().ok_or(ChannelError::Closed)?;
        if count == MESSAGES_MAX {
            return Err(ChannelError::Exhausted);
        }
        let peer = match self.end {
            End::Holder => End::Reader,
            End::Reader => End::Holder,
        };
        let (key, nonce) = self.direction(peer, count + 1);
        let mut buffer = sealed.to_vec();
        crypto
            .open_aes256_gcm(key, &nonce, &[], &mut buffer)
            .map_err(|_| ChannelError::Undecryptable)?;
        self.opened = Some(count + 1);
        Ok(buffer)
    }

    /// The key of what `sender` seals, and the initialisation vector of its message number `count`:
    /// an identifier of eight bytes and the counter, which begins at 1.
    fn direction(&self, sender: End, count: u32) -> (&[u8; 32], [u8; 12]) {
        let (key, identifier) = match sender {
            End::Reader => (&self.keys.reader, 0),
            End::Holder => (&self.keys.device, 1),
        };
        let [a, b, c, d] = count.to_be_bytes();
        (key, [0, 0, 0, 0, 0, 0, 0, identifier, a, b, c, d])
    }
}

/// Why a channel does not seal or open a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelError {
    /// The message was not sealed by the other end of this session, or is not the next one.
    Undecryptable,
    /// An earlier message did not open.
    Closed,
    /// [`MESSAGES_MAX`] messages have passed.
    Exhausted,
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undecryptable => "open session message: it does not open as the next message",
            Self::Closed => "use session channel: an earlier message did not open",
            Self::Exhausted => "use session channel: 1,024 messages have passed",
        })
    }
}

impl core::error::Error for ChannelError {}
