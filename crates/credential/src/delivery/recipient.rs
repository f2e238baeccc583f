//! The public keys of a recipient, and the proof that they are a reader's own.
//!
//! A reader signs its delivery keys with the key of its certificate, and with the delivery key of
//! P-256 itself, once, to prove that it holds it (NIST SP 800-57 part 1, 5.2 allows this one
//! signature). That it holds the one of ML-KEM-768 shows when it opens a delivery. Whoever wraps a key
//! looks at certificate and signatures himself: rows of a database are not enough to get a key.

use alloc::vec::Vec;

use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use super::{ML_KEM_KEY_BYTES, POINT_BYTES, Suite};
use crate::cbor::{Decoder, Encoder, Kind};
use crate::crypto::{Algorithm, Crypto, PublicKey, Signature};
use crate::rejection::{Culprit, Rejection};
use crate::x509::{Judgement, Profile, TrustAnchors};

/// Bytes in a statement.
pub const STATEMENT_BYTES_MAX: usize = 2048;

const DOMAIN: &[u8] = b"limen delivery keys 1\0";

/// Public keys to which a key can be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    p256: [u8; POINT_BYTES],
    ml_kem: Option<Vec<u8>>,
}

impl Recipient {
    /// A point of P-256 and, where post-quantum agreement is switched on, an ML-KEM-768 encapsulation
    /// key of [`ML_KEM_KEY_BYTES`]. Whether the point is on its curve is found out when it is used.
    #[must_use]
    pub fn new(p256: [u8; POINT_BYTES], ml_kem: Option<Vec<u8>>) -> Option<Self> {
        let is_right = ml_kem.as_ref().is_none_or(|key| key.len() == ML_KEM_KEY_BYTES);
        is_right.then_some(Self { p256, ml_kem })
    }

    /// The point of P-256.
    #[must_use]
    pub const fn p256(&self) -> &[u8; POINT_BYTES] {
        &self.p256
    }

    /// The encapsulation key of ML-KEM-768, if there is one.
    #[must_use]
    pub fn ml_kem(&self) -> Option<&[u8]> {
        self.ml_kem.as_deref()
    }

    /// The suite of these keys.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        match self.ml_kem {
            None => Suite::P256,
            Some(_) => Suite::P256MlKem768,
        }
    }

    /// The message that a reader signs, with both of its keys, to have these for its own.
    #[must_use]
    pub fn challenge(&self, reader: ReaderId) -> Vec<u8> {
        let mut message = [DOMAIN, reader.as_bytes().as_slice(), &self.p256].concat();
        message.extend_from_slice(self.ml_kem().unwrap_or_default());
        message
    }
}

/// What a reader says of its delivery keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The reader.
    pub reader: ReaderId,
    /// Its delivery keys.
    pub recipient: Recipient,
    /// ES256 over [`Recipient::challenge`] by the key of the reader's certificate.
    pub by_reader: Signature,
    /// The same by the delivery key of P-256.
    pub by_delivery_key: Signature,
}

impl Statement {
    /// The bytes that travel and are stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::with_capacity(512);
        encoder.array(5).bytes(self.reader.as_bytes()).bytes(&self.recipient.p256);
        match self.recipient.ml_kem() {
            Some(key) => encoder.bytes(key),
            None => encoder.null(),
        };
        encoder.bytes(self.by_reader.as_bytes()).bytes(self.by_delivery_key.as_bytes());
        encoder.into_bytes()
    }

    /// Reads a statement; nothing of it is believed yet.
    ///
    /// # Errors
    /// [`Rejection`] that blames the reader.
    pub fn parse(bytes: &[u8]) -> Result<Self, Rejection> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(form());
        }
        let mut decoder = Decoder::new(bytes)?;
        decoder.array_of(5)?;
        let reader = ReaderId::from_bytes(decoder.byte_array()?);
        let p256 = decoder.byte_array()?;
        let ml_kem = match decoder.kind() {
            Kind::Null => decoder.null().map(|()| None)?,
            _ => Some(decoder.bytes()?.to_vec()),
        };
        let recipient = Recipient::new(p256, ml_kem).ok_or_else(form)?;
        let by_reader = signature(decoder.bytes()?)?;
        let by_delivery_key = signature(decoder.bytes()?)?;
        decoder.finish()?;
        Ok(Self { reader, recipient, by_reader, by_delivery_key })
    }

    /// Checks that the holder of `certificate` (DER), a reader by the word of `authorities` at `at`,
    /// has these delivery keys.
    ///
    /// # Errors
    /// [`Rejection`] for the first rule that does not hold.
    pub fn verify(
        &self,
        crypto: &dyn Crypto,
        certificate: &[u8],
        authorities: &TrustAnchors,
        at: Instant,
    ) -> Result<VerifiedRecipient, Rejection> {
        let judgement = Judgement { crypto, anchors: authorities, at, profile: Profile::Reader };
        let signer = judgement.signer(&[certificate], None)?;
        let verified = self.verify_by(crypto, signer.key())?;
        Ok(VerifiedRecipient { evidence: Some((self.encode(), certificate.to_vec())), ..verified })
    }

    /// Checks that the holder of `reader_key` has these delivery keys.
    ///
    /// # Errors
    /// [`Rejection`] for the first signature that does not hold.
    pub fn verify_by(
        &self,
        crypto: &dyn Crypto,
        reader_key: &PublicKey,
    ) -> Result<VerifiedRecipient, Rejection> {
        let challenge = self.recipient.challenge(self.reader);
        let own = PublicKey::P256(self.recipient.p256);
        for (key, signature, which) in [
            (reader_key, &self.by_reader, "the key of the reader"),
            (&own, &self.by_delivery_key, "the delivery key itself"),
        ] {
            crypto.verify(key, &challenge, signature.as_bytes()).map_err(|_| {
                let message = alloc::format!("delivery keys are not signed by {which}");
                Rejection::new(Culprit::Reader, "delivery-keys-proof", message)
            })?;
        }
        let Self { reader, recipient, .. } = self;
        let (identity, recipient) = (*reader.as_bytes(), recipient.clone());
        Ok(VerifiedRecipient { identity, recipient, evidence: None })
    }
}

/// A recipient whose keys are its own. Made by [`Statement::verify`] only, or by
/// [`VerifiedRecipient::danger_process`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRecipient {
    identity: [u8; 16],
    recipient: Recipient,
    /// Statement and certificate, for who must see them himself.
    evidence: Option<(Vec<u8>, Vec<u8>)>,
}

impl VerifiedRecipient {
    /// A run of personalisation with its transport key, for which whoever calls this answers: no
    /// certificate stands behind it.
    #[must_use]
    pub const fn danger_process(run: [u8; 16], recipient: Recipient) -> Self {
        Self { identity: run, recipient, evidence: None }
    }

    /// The reader's identifier, or that of the run.
    #[must_use]
    pub const fn identity(&self) -> &[u8; 16] {
        &self.identity
    }

    /// Statement and certificate by which this was verified, to be shown to whoever wraps elsewhere;
    /// none without a certificate.
    #[must_use]
    pub fn evidence(&self) -> Option<(&[u8], &[u8])> {
        let evidence = self.evidence.as_ref();
        evidence.map(|(statement, certificate)| (statement.as_slice(), certificate.as_slice()))
    }

    /// The keys.
    #[must_use]
    pub const fn keys(&self) -> &Recipient {
        &self.recipient
    }
}

fn signature(bytes: &[u8]) -> Result<Signature, Rejection> {
    Signature::new(Algorithm::Es256, bytes).map_err(|_| form())
}

fn form() -> Rejection {
    Rejection::reader("delivery-keys-form", "statement of delivery keys is not one")
}
