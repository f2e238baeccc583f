//! SessionEstablishment and SessionData (ISO/IEC 18013-5 clauses 9.1.1.3 and 9.1.1.4).
//!
//! The parser keeps EReaderKeyBytes as they came, since the transcript holds those bytes.

use alloc::vec::Vec;
use core::fmt;

use credential::cbor::{CborError, Decoder, Encoder, Lengths};

use crate::engagement;

/// The first message of a session, from the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEstablishment<'a> {
    /// EReaderKeyBytes as they came, tag 24 included.
    pub reader_key_bytes: &'a [u8],
    /// The reader's ephemeral key, uncompressed.
    pub reader_key: [u8; 65],
    /// The sealed DeviceRequest.
    pub data: &'a [u8],
}

/// Every later message, in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionData<'a> {
    /// A sealed message.
    pub data: Option<&'a [u8]>,
    /// Why the session ends with this message.
    pub status: Option<SessionStatus>,
}

/// The status in SessionData (clause 9.1.1.4, table 20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// 10: a message did not open.
    EncryptionError,
    /// 11: a message was not the CBOR that was expected.
    DecodingError,
    /// 20: this end is done.
    Termination,
    /// A status that the standard does not define; it ends the session too.
    Other(u64),
}

impl SessionStatus {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::EncryptionError => 10,
            Self::DecodingError => 11,
            Self::Termination => 20,
            Self::Other(code) => code,
        }
    }

    /// The status of a number.
    #[must_use]
    pub const fn from_code(code: u64) -> Self {
        match code {
            10 => Self::EncryptionError,
            11 => Self::DecodingError,
            20 => Self::Termination,
            code => Self::Other(code),
        }
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EncryptionError => f.write_str("10 (session encryption error)"),
            Self::DecodingError => f.write_str("11 (CBOR decoding error)"),
            Self::Termination => f.write_str("20 (session termination)"),
            Self::Other(code) => write!(f, "{code}"),
        }
    }
}

impl<'a> SessionEstablishment<'a> {
    /// Parses a SessionEstablishment; entries of unknown name are passed over.
    ///
    /// # Errors
    /// [`ParseSessionError`] when an entry is missing, malformed, or the key is not on P-256.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseSessionError> {
        let mut decoder = Decoder::with_lengths(bytes, Lengths::OpenContainers)?;
        let (mut key, mut data) = (None, None);
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match decoder.text()? {
                "eReaderKey" => key = Some(decoder.embedded()?),
                "data" => data = Some(decoder.bytes()?),
                _ => decoder.skip()?,
            }
        }
        decoder.finish()?;
        let key = key.ok_or(ParseSessionError::Missing)?;
        Ok(Self {
            reader_key_bytes: key.raw,
            reader_key: engagement::parse_key(key.inner).ok_or(ParseSessionError::Key)?,
            data: data.ok_or(ParseSessionError::Missing)?,
        })
    }
}

/// The bytes of a SessionEstablishment.
#[must_use]
pub fn establishment(reader_key_bytes: &[u8], data: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::with_capacity(reader_key_bytes.len() + data.len() + 24);
    encoder.map(2).text("eReaderKey").raw(reader_key_bytes).text("data").bytes(data);
    encoder.into_bytes()
}

impl<'a> SessionData<'a> {
    /// Parses a SessionData; entries of unknown name are passed over.
    ///
    /// # Errors
    /// [`ParseSessionError`] when it is malformed, or holds neither data nor a status.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseSessionError> {
        let mut decoder = Decoder::with_lengths(bytes, Lengths::OpenContainers)?;
        let (mut data, mut status) = (None, None);
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match decoder.text()? {
                "data" => data = Some(decoder.bytes()?),
                "status" => status = Some(SessionStatus::from_code(decoder.unsigned()?)),
                _ => decoder.skip()?,
            }
        }
        decoder.finish()?;
        if data.is_none() && status.is_none() {
            return Err(ParseSessionError::Missing);
        }
        Ok(Self { data, status })
    }

    /// The bytes of this message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let count = usize::from(self.data.is_some()) + usize::from(self.status.is_some());
        let mut encoder = Encoder::with_capacity(self.data.map_or(0, <[u8]>::len) + 24);
        encoder.map(count);
        if let Some(data) = self.data {
            encoder.text("data").bytes(data);
        }
        if let Some(status) = self.status {
            encoder.text("status").unsigned(status.code());
        }
        encoder.into_bytes()
    }
}

/// Why bytes are not a message of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseSessionError {
    /// Not the CBOR that the standard demands.
    Cbor(CborError),
    /// An entry is missing.
    Missing,
    /// The ephemeral key is no P-256 key in full.
    Key,
}

impl fmt::Display for ParseSessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parse session message: ")?;
        match self {
            Self::Cbor(error) => write!(f, "{error}"),
            Self::Missing => f.write_str("key, data or status is missing"),
            Self::Key => f.write_str("ephemeral key is not a P-256 key"),
        }
    }
}

impl core::error::Error for ParseSessionError {}

impl From<CborError> for ParseSessionError {
    fn from(error: CborError) -> Self {
        Self::Cbor(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_return_from_their_bytes() {
        for (data, status) in [
            (Some(&[1, 2][..]), None),
            (Some(&[][..]), Some(SessionStatus::Termination)),
            (None, Some(SessionStatus::EncryptionError)),
            (None, Some(SessionStatus::Other(7))),
        ] {
            let message = SessionData { data, status };
            assert_eq!(SessionData::parse(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn messages_with_nothing_in_them_are_refused() {
        assert_eq!(SessionData::parse(&[0xA0]), Err(ParseSessionError::Missing));
        assert_eq!(SessionEstablishment::parse(&[0xA0]), Err(ParseSessionError::Missing));
        let no_key = SessionData { data: Some(&[1]), status: None }.encode();
        assert_eq!(SessionEstablishment::parse(&no_key), Err(ParseSessionError::Missing));
        let mut wrong_key = Encoder::default();
        wrong_key.embedded(&[0xA0]);
        let bytes = establishment(wrong_key.as_bytes(), &[]);
        assert_eq!(SessionEstablishment::parse(&bytes), Err(ParseSessionError::Key));
    }

    #[test]
    fn doubled_and_truncated_messages_are_refused() {
        let message =
            SessionData { data: Some(&[1, 2, 3]), status: Some(SessionStatus::Termination) };
        let bytes = message.encode();
        for length in 0..bytes.len() {
            assert!(SessionData::parse(&bytes[..length]).is_err(), "{length}");
        }
        assert!(SessionData::parse(&[&bytes[..], &bytes[..]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = SessionData::parse(&bytes);
            let _ = SessionEstablishment::parse(&bytes);
        }
    }
}
