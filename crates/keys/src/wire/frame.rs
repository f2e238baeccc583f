//! Frames: a length of four bytes, big-endian, and as many bytes as it says.
//!
//! After the handshake the last [`TAG_BYTES`] of a frame are HMAC-SHA-256 over the number of the
//! frame, from 0 in each direction, and the bytes before. A frame that was left out, repeated, moved
//! or put in from elsewhere has a wrong check value, and ends the connection.

use core::fmt;
use std::io;
use std::time::Duration;

use aws_lc_rs::hmac;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::object::OBJECT_BYTES_MAX;

/// Bytes of a frame after the handshake, check value included.
pub const FRAME_BYTES_MAX: usize = OBJECT_BYTES_MAX + 4096;
/// Bytes of a frame of the handshake.
pub const HELLO_BYTES_MAX: usize = 512;
/// Bytes of a check value.
pub const TAG_BYTES: usize = 32;
/// How long a frame may take from its first byte to its last.
pub const FRAME_PATIENCE: Duration = Duration::from_secs(10);

const LENGTH_BYTES: usize = 4;

/// Reads the next frame of at most `bytes_max`; none where the peer has ended the connection. It waits
/// for the first byte as long as it takes, for the last no more than [`FRAME_PATIENCE`].
///
/// # Errors
/// [`FrameError`]; the connection is of no use then.
pub async fn read<R: AsyncRead + Unpin>(
    from: &mut R,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, FrameError> {
    let mut first = [0; 1];
    if from.read(&mut first).await.map_err(FrameError::Io)? == 0 {
        return Ok(None);
    }
    let rest = async {
        let mut others = [0; LENGTH_BYTES - 1];
        from.read_exact(&mut others).await.map_err(FrameError::Io)?;
        let ([first], [second, third, fourth]) = (first, others);
        let length = u32::from_be_bytes([first, second, third, fourth]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > bytes_max {
            return Err(FrameError::TooLong { bytes: length });
        }
        // It grows with what comes, not with what was announced.
        let mut frame = Vec::with_capacity(length.min(4096));
        let limit = u64::try_from(length).unwrap_or(u64::MAX);
        from.take(limit).read_to_end(&mut frame).await.map_err(FrameError::Io)?;
        if frame.len() < length {
            return Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Some(frame))
    };
    timeout(FRAME_PATIENCE, rest).await.map_err(|_| FrameError::Slow)?
}

/// `body` behind its length.
#[must_use]
pub fn plain(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(LENGTH_BYTES + body.len());
    frame.extend_from_slice(&prefix(body.len()));
    frame.extend_from_slice(body);
    frame
}

// A length past four bytes exceeds every limit and is refused by whoever reads it.
fn prefix(length: usize) -> [u8; LENGTH_BYTES] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// One direction of an authenticated connection.
pub struct Channel {
    key: hmac::Key,
    frames: u64,
}

impl Channel {
    /// The direction whose check values are made with `key`.
    #[must_use]
    pub fn new(key: &[u8; TAG_BYTES]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), frames: 0 }
    }

    /// The next frame, with its length and its check value.
    pub fn seal(&mut self, body: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(LENGTH_BYTES + body.len() + TAG_BYTES);
        frame.extend_from_slice(&prefix(body.len() + TAG_BYTES));
        frame.extend_from_slice(body);
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&self.frames.to_be_bytes());
        context.update(body);
        frame.extend_from_slice(context.sign().as_ref());
        self.frames += 1;
        frame
    }

    /// What the next frame holds, without its check value.
    ///
    /// # Errors
    /// [`FrameError::Forged`].
    pub fn open(&mut self, mut frame: Vec<u8>) -> Result<Vec<u8>, FrameError> {
        let length = frame.len().checked_sub(TAG_BYTES).ok_or(FrameError::Forged)?;
        let tag = frame.split_off(length);
        let mut message = Vec::with_capacity(8 + frame.len());
        message.extend_from_slice(&self.frames.to_be_bytes());
        message.extend_from_slice(&frame);
        hmac::verify(&self.key, &message, &tag).map_err(|_| FrameError::Forged)?;
        self.frames += 1;
        Ok(frame)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("frames", &self.frames).finish_non_exhaustive()
    }
}

/// Why a connection is given up.
#[derive(Debug)]
pub enum FrameError {
    /// The system failed, or the peer ended the connection within a frame.
    Io(io::Error),
    /// A frame is announced as longer than it may be.
    TooLong {
        /// The length announced.
        bytes: usize,
    },
    /// A frame began and did not end within [`FRAME_PATIENCE`].
    Slow,
    /// A frame does not belong where it stands.
    Forged,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("read frame: the connection failed"),
            Self::TooLong { bytes } => write!(f, "read frame: `{bytes}` bytes are too many"),
            Self::Slow => f.write_str("read frame: its end did not come in time"),
            Self::Forged => f.write_str("read frame: it does not belong to this connection"),
        }
    }
}

impl core::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            _ => None,
        }
    }
}
