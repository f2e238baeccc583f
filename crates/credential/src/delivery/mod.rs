//! Deliveries: a symmetric key of the city, wrapped for one recipient alone (layout:
//! `specs/key-delivery.md`).
//!
//! Two layers. The inner one is what a token can do: RFC 3394 under a key agreed by ECDH on P-256. The
//! outer one is AES-256-GCM under a key that HKDF-SHA-256 (RFC 5869) makes from a second agreement, on
//! P-256 or on P-256 and ML-KEM-768 (FIPS 203), with the head of the delivery as associated data. A
//! delivery has one form: bytes that another writer would have written otherwise are refused.

use alloc::vec::Vec;
use core::fmt;

use vocabulary::code::{OperatorCode, ZoneCode};
use vocabulary::time::Instant;

use crate::cbor::{CborError, Decoder, Encoder, Kind};

pub mod recipient;
pub mod schedule;

/// Bytes in one delivery.
pub const DELIVERY_BYTES_MAX: usize = 2048;
/// Bytes of the input by which a card key is derived (NXP AN10922), as a delivery names it.
pub const SUBJECT_BYTES_MAX: usize = 31;
/// Bytes of a key check value: the leftmost ones of AES-CMAC under the key over sixteen zero bytes.
pub const KCV_BYTES: usize = 5;
/// Bytes of an ML-KEM-768 encapsulation key (FIPS 203, table 3).
pub const ML_KEM_KEY_BYTES: usize = 1184;
/// Bytes of an ML-KEM-768 ciphertext (FIPS 203, table 3).
pub const ML_KEM_CIPHERTEXT_BYTES: usize = 1088;
/// Bytes of a point of P-256, uncompressed (SEC 1, 2.3.3).
pub const POINT_BYTES: usize = 65;

/// For how long an epoch key is good: one day. What a stolen reader knows is worth no more than the
/// epochs that it was given, the one at hand and the next.
pub const EPOCH_SECONDS: u32 = 86_400;

const VERSION: u64 = 1;
const HEAD_FIELDS: usize = 10;

/// The epoch at `at`: whole [`EPOCH_SECONDS`] since 1970 UTC; 0 before that.
#[must_use]
pub fn epoch_at(at: Instant) -> u64 {
    u64::try_from(at.unix_seconds()).unwrap_or(0) / u64::from(EPOCH_SECONDS)
}

/// How the key of the outer layer is agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// P-256 alone.
    P256,
    /// P-256 and ML-KEM-768: holds as long as one of the two does.
    P256MlKem768,
}

impl Suite {
    /// The name, as shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P256MlKem768 => "P-256+ML-KEM-768",
        }
    }

    /// The number, as written.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::P256 => 1,
            Self::P256MlKem768 => 2,
        }
    }

    /// The suite of a number.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::P256),
            2 => Some(Self::P256MlKem768),
            _ => None,
        }
    }
}

/// What the delivered key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// AES-256, for one scope and one epoch.
    Epoch,
    /// AES-256, for one scope until its version changes.
    Zone,
    /// AES-128, for one card: to the process that writes it into the card, and to nobody else.
    Card,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Epoch, Self::Zone, Self::Card];

    /// The name, as shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Zone => "zone",
            Self::Card => "card",
        }
    }

    /// The number, as written.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Epoch => 1,
            Self::Zone => 2,
            Self::Card => 3,
        }
    }

    /// The purpose of a number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| u64::from(purpose.number()) == number)
    }

    /// Bytes of a key of this purpose.
    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Epoch | Self::Zone => 32,
            Self::Card => 16,
        }
    }

    /// Bytes of such a key, wrapped by RFC 3394.
    #[must_use]
    pub const fn wrapped_bytes(self) -> usize {
        self.key_bytes() + 8
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a key is good: at the doors of an operator in one zone, or at those in no zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The operator.
    pub operator: OperatorCode,
    /// The zone; none for doors that lie in none.
    pub zone: Option<ZoneCode>,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.zone {
            Some(zone) => write!(f, "{}:{zone}", self.operator),
            None => self.operator.fmt(f),
        }
    }
}

/// A key check value: the leftmost [`KCV_BYTES`] bytes of AES-CMAC (NIST SP 800-38B) over one block
/// of zeros. It tells keys apart and tells nothing useful about one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kcv(pub [u8; KCV_BYTES]);

impl Kcv {
    /// The check value that a MAC over sixteen zero bytes begins with.
    #[must_use]
    pub const fn of_mac(mac: &[u8; 16]) -> Self {
        let [a, b, c, d, e, ..] = *mac;
        Self([a, b, c, d, e])
    }
}

impl fmt::Display for Kcv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Kcv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which key it is and for whom: the associated data of the outer layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The reader's identifier, or that of one run of personalisation.
    pub recipient: [u8; 16],
    /// What the key is for.
    pub purpose: Purpose,
    /// Where it is good.
    pub scope: Scope,
    /// The epoch of an epoch key; 0 for every other.
    pub epoch: u64,
    /// Counts the keys of one purpose, scope and epoch, from 1.
    pub version: u32,
    /// For a card key the input of its derivation; empty for every other.
    pub subject: Vec<u8>,
    /// The check value of the key.
    pub kcv: Kcv,
}

/// One delivery, read and not yet opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How the outer key is agreed.
    pub suite: Suite,
    /// Which key it is and for whom.
    pub context: Context,
    /// The sender's ephemeral point of the outer agreement.
    pub ephemeral: [u8; POINT_BYTES],
    /// The ML-KEM-768 ciphertext: [`ML_KEM_CIPHERTEXT_BYTES`] where the suite has one.
    pub encapsulated: Option<Vec<u8>>,
    /// The inner layer, sealed.
    pub sealed: Vec<u8>,
}

impl Delivery {
    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::with_capacity(512);
        encoder.array(4).bytes(&head(self.suite, &self.context)).bytes(&self.ephemeral);
        match &self.encapsulated {
            Some(ciphertext) => encoder.bytes(ciphertext),
            None => encoder.null(),
        };
        encoder.bytes(&self.sealed);
        encoder.into_bytes()
    }

    /// Reads a delivery.
    ///
    /// # Errors
    /// [`DeliveryError`] naming the field.
    pub fn parse(bytes: &[u8]) -> Result<Self, DeliveryError> {
        if bytes.len() > DELIVERY_BYTES_MAX {
            return Err(DeliveryError::TooLong);
        }
        let mut decoder = Decoder::new(bytes)?;
        decoder.array_of(4)?;
        let (suite, context) = read_head(decoder.bytes()?)?;
        let ephemeral = decoder.byte_array()?;
        let encapsulated = match decoder.kind() {
            Kind::Null => decoder.null().map(|()| None)?,
            _ => Some(decoder.bytes()?.to_vec()),
        };
        let sealed = decoder.bytes()?.to_vec();
        decoder.finish()?;
        let delivery = Self { suite, context, ephemeral, encapsulated, sealed };
        delivery.check()?;
        if delivery.encode() != bytes {
            return Err(DeliveryError::Field("form"));
        }
        Ok(delivery)
    }

    fn check(&self) -> Result<(), DeliveryError> {
        let Context { purpose, epoch, version, subject, .. } = &self.context;
        let encapsulated = self.encapsulated.as_ref().map(Vec::len);
        let expected = match self.suite {
            Suite::P256 => None,
            Suite::P256MlKem768 => Some(ML_KEM_CIPHERTEXT_BYTES),
        };
        let is_subject_right = match purpose {
            Purpose::Card => (1..=SUBJECT_BYTES_MAX).contains(&subject.len()),
            Purpose::Epoch | Purpose::Zone => subject.is_empty(),
        };
        let sealed = POINT_BYTES + purpose.wrapped_bytes() + crate::crypto::GCM_TAG_BYTES;
        let wrong = [
            (encapsulated != expected, "encapsulated"),
            (!is_subject_right, "subject"),
            ((*purpose == Purpose::Epoch) != (*epoch > 0), "epoch"),
            (*version == 0, "version"),
            (self.sealed.len() != sealed, "sealed"),
        ];
        match wrong.into_iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, field)) => Err(DeliveryError::Field(field)),
            None => Ok(()),
        }
    }
}

/// The head of a delivery as it is written, which is the associated data of its outer layer.
pub(crate) fn head(suite: Suite, context: &Context) -> Vec<u8> {
    let mut encoder = Encoder::with_capacity(128);
    encoder.array(HEAD_FIELDS).unsigned(VERSION).unsigned(suite.number().into());
    encoder.bytes(&context.recipient).unsigned(context.purpose.number().into());
    encoder.text(context.scope.operator.as_str());
    match &context.scope.zone {
        Some(zone) => encoder.text(zone.as_str()),
        None => encoder.null(),
    };
    encoder.unsigned(context.epoch).unsigned(context.version.into());
    encoder.bytes(&context.subject).bytes(&context.kcv.0);
    encoder.into_bytes()
}

fn read_head(bytes: &[u8]) -> Result<(Suite, Context), DeliveryError> {
    let mut decoder = Decoder::new(bytes)?;
    decoder.array_of(HEAD_FIELDS as u64)?;
    if decoder.unsigned()? != VERSION {
        return Err(DeliveryError::Field("version of the format"));
    }
    let suite = Suite::from_number(decoder.unsigned()?).ok_or(DeliveryError::Field("suite"))?;
    let recipient = decoder.byte_array()?;
    let purpose = Purpose::from_number(decoder.unsigned()?);
    let purpose = purpose.ok_or(DeliveryError::Field("purpose"))?;
    let operator = decoder.text()?.parse().map_err(|_| DeliveryError::Field("operator"))?;
    let zone = match decoder.kind() {
        Kind::Null => decoder.null().map(|()| None)?,
        _ => Some(decoder.text()?.parse().map_err(|_| DeliveryError::Field("zone"))?),
    };
    let epoch = decoder.unsigned()?;
    let version = u32::try_from(decoder.unsigned()?);
    let version = version.map_err(|_| DeliveryError::Field("version"))?;
    let subject = decoder.bytes()?.to_vec();
    let kcv = Kcv(decoder.byte_array()?);
    decoder.finish()?;
    let scope = Scope { operator, zone };
    Ok((suite, Context { recipient, purpose, scope, epoch, version, subject, kcv }))
}

/// Why a delivery is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryError {
    /// It is longer than [`DELIVERY_BYTES_MAX`].
    TooLong,
    /// It has another form.
    Cbor(CborError),
    /// A field is out of its range, or written in another form than the one.
    Field(&'static str),
    /// A point is none of the curve, or a key of the recipient is none.
    Key(&'static str),
    /// The delivery and the recipient's keys are not of one suite.
    Suite,
    /// Both layers name one ephemeral point.
    OnePoint,
    /// The outer layer does not open: it is for another recipient, or somebody changed it.
    Sealed,
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "read key delivery: exceeds {DELIVERY_BYTES_MAX} bytes"),
            Self::Cbor(error) => write!(f, "read key delivery: {error}"),
            Self::Field(field) => write!(f, "read key delivery: its `{field}` is out of range"),
            Self::Key(which) => write!(f, "open key delivery: `{which}` is no key of its kind"),
            Self::Suite => f.write_str(
                "open key delivery: its suite is not that of the recipient's keys; register them anew",
            ),
            Self::OnePoint => f.write_str("open key delivery: both layers name one point"),
            Self::Sealed => {
                f.write_str("open key delivery: it is for another recipient or has been altered")
            }
        }
    }
}

impl core::error::Error for DeliveryError {}

impl From<CborError> for DeliveryError {
    fn from(error: CborError) -> Self {
        Self::Cbor(error)
    }
}
