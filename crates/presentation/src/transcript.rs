//! SessionTranscript (ISO/IEC 18013-5 clause 9.1.5.1): what both ends saw, which keys and
//! signatures are bound to.
//!
//! It is put together from raw bytes as they crossed the link; nothing inside is encoded again.

use alloc::vec::Vec;

use credential::cbor::Encoder;

/// How the engagement reached the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover<'a> {
    /// As a QR picture.
    Qr,
    /// Over NFC.
    Nfc {
        /// The Handover Select message as the reader read it.
        select: &'a [u8],
        /// The Handover Request message as the reader wrote it; none in static handover.
        request: Option<&'a [u8]>,
    },
}

/// The bytes of a SessionTranscript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTranscript(Vec<u8>);

impl SessionTranscript {
    /// The transcript of a session: the raw DeviceEngagement, EReaderKeyBytes with their tag 24
    /// as in SessionEstablishment, and the handover.
    #[must_use]
    pub fn new(engagement: &[u8], reader_key_bytes: &[u8], handover: Handover<'_>) -> Self {
        let mut encoder = Encoder::with_capacity(engagement.len() + reader_key_bytes.len() + 16);
        encoder.array(3).embedded(engagement).raw(reader_key_bytes);
        match handover {
            Handover::Qr => encoder.null(),
            Handover::Nfc { select, request } => {
                encoder.array(2).bytes(select);
                match request {
                    Some(request) => encoder.bytes(request),
                    None => encoder.null(),
                }
            }
        };
        Self(encoder.into_bytes())
    }

    /// The array itself, as it stands inside DeviceAuthentication and ReaderAuthentication.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The array, given away.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// SessionTranscriptBytes: the array inside tag 24, whose digest salts the session keys.
    #[must_use]
    pub fn tagged(&self) -> Vec<u8> {
        let mut encoder = Encoder::with_capacity(self.0.len() + 8);
        encoder.embedded(&self.0);
        encoder.into_bytes()
    }
}
