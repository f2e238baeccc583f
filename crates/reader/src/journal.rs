//! What a reader writes into its journal: one event for each tap and each way out.
//!
//! The chain is that of `audit::journal`; this module defines the payload (`specs/journal.md`).
//! An event names the door, what was decided, and what the reader knew then. A person is never
//! named: the pass is a hash of its device key, 32 bytes that say nothing to whoever steals the
//! reader and that the issuer can recognize.

use alloc::vec::Vec;
use core::fmt;

use audit::journal::split_record;
use credential::cbor::{CborError, Decoder, Encoder, Fault, Kind};
use credential::crypto::{Crypto, PublicKey};
use presentation::express::Context;
use presentation::express::handle::Index;
use presentation::profile::Profile;
use vocabulary::code::{OperatorCode, PlaceCode, ProductCode};
use vocabulary::time::Instant;

use crate::decision::Reason;

/// Records of the journal's room that taps never use: they are for ways out, which are always free.
pub const RESERVE: u64 = 64;

const VERSION: u64 = 2;
const FIELDS: u64 = 10;
/// Journals from before the express tap are still read: their events have no field of the tap.
const VERSION_BEFORE: u64 = 1;
const FIELDS_BEFORE: u64 = 9;
const PASS_LABEL: &[u8] = b"limen/journal-pass/1\0";
const EXPRESS_LABEL: &[u8] = b"limen/journal-express/1\0";

/// What happened at a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The door.
    pub door: PlaceCode,
    /// What became of it.
    pub outcome: Outcome,
    /// The pass, once it was verified.
    pub pass: Option<PassTrace>,
    /// What the reader knew.
    pub watermark: Watermark,
    /// Events before this one, since the last record, for which there was no room.
    pub missed: u32,
    /// How the pass was shown; nothing for a way out, and where no pass was verified.
    pub tap: Option<Tapped>,
}

/// How a pass was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tapped {
    /// By a profile that proves the key of the device.
    Keyed(Profile),
    /// By the express tap, with this handle.
    Express(HandleTrace),
}

impl Tapped {
    /// The profile.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        match self {
            Self::Keyed(profile) => *profile,
            Self::Express(_) => Profile::Express,
        }
    }
}

/// What is kept of a handle: by it the city finds forged and copied ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandleTrace {
    /// The scope and epoch whose key it was sealed by.
    pub context: Context,
    /// Its status.
    pub status: Index,
    /// Its number among the handles of its index.
    pub number: u16,
    /// The taps with handles of its index, as the device counts them.
    pub taps: u32,
}

impl HandleTrace {
    /// Stands for the pass in journals, for one scope and epoch.
    #[must_use]
    pub fn pass_trace(&self, crypto: &dyn Crypto) -> [u8; 32] {
        let (context, Index { list, index }) = (self.context.to_bytes(), self.status);
        crypto.sha256(&[EXPRESS_LABEL, &context, &list, &index.to_be_bytes()].concat())
    }
}

/// What became of a tap or a way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The door opened by this rule of the bundle in the watermark.
    Granted {
        /// Its place among the rules of the door, from 0.
        rule: u16,
    },
    /// The door stayed closed.
    Refused(Reason),
    /// Somebody went out.
    Egress,
}

/// What is kept of a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassTrace {
    /// Who issued it.
    pub operator: OperatorCode,
    /// Of which product it is.
    pub product: ProductCode,
    /// See [`pass_trace`].
    pub device: [u8; 32],
}

/// What a reader knew at a moment: it shows the city whom its news has reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// The epoch of the trust bundle, 0 if there was none.
    pub bundle_epoch: u64,
    /// When the oldest of the status lists in use was signed, in whole seconds.
    pub status_issued_at: Option<Instant>,
}

/// Stands for a document in journals: SHA-256(`limen/journal-pass/1` || 0x00 || device key).
/// Whoever does not know the key cannot compute it, and every document has a key of its own.
#[must_use]
pub fn pass_trace(crypto: &dyn Crypto, device_key: &PublicKey) -> [u8; 32] {
    crypto.sha256(&[PASS_LABEL, device_key.as_bytes()].concat())
}

/// Why a payload is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventError {
    /// The bytes have another form.
    Cbor(CborError),
    /// The payload is of another version.
    Version,
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cbor(error) => write!(f, "reading a journal event: {error}"),
            Self::Version => f.write_str("reading a journal event: unknown version"),
        }
    }
}

impl core::error::Error for EventError {}

impl From<CborError> for EventError {
    fn from(error: CborError) -> Self {
        Self::Cbor(error)
    }
}

impl Event {
    /// The payload: an array of ten, as `specs/journal.md` lists them. Far below the limit of a
    /// record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::with_capacity(192);
        encoder.array(10).unsigned(VERSION).text(self.door.as_str());
        match self.outcome {
            Outcome::Granted { rule } => encoder.unsigned(rule.into()),
            Outcome::Refused(reason) => encoder.text(reason.as_str()),
            Outcome::Egress => encoder.null(),
        };
        match &self.pass {
            Some(pass) => {
                encoder.text(pass.operator.as_str()).text(pass.product.as_str()).bytes(&pass.device)
            }
            None => encoder.null().null().null(),
        };
        encoder.unsigned(self.watermark.bundle_epoch);
        match self.watermark.status_issued_at {
            Some(at) => encoder.integer(at.unix_seconds()),
            None => encoder.null(),
        };
        encoder.unsigned(self.missed.into());
        match self.tap {
            None => encoder.null(),
            Some(Tapped::Keyed(profile)) => encoder.unsigned(profile.number()),
            Some(Tapped::Express(HandleTrace { context, status, number, taps })) => encoder
                .array(5)
                .bytes(&context.to_bytes())
                .bytes(&status.list)
                .unsigned(status.index.into())
                .unsigned(number.into())
                .unsigned(taps.into()),
        };
        encoder.into_bytes()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`EventError`] when it is not exactly one event.
    pub fn decode(payload: &[u8]) -> Result<Self, EventError> {
        let mut decoder = Decoder::new(payload)?;
        let mut ahead = decoder.clone();
        let mut entries = ahead.array()?;
        let version = if ahead.more(&mut entries)? { ahead.unsigned()? } else { 0 };
        decoder.array_of(match version {
            VERSION => FIELDS,
            VERSION_BEFORE => FIELDS_BEFORE,
            _ => return Err(EventError::Version),
        })?;
        decoder.unsigned()?;
        let door = parse(&mut decoder)?;
        let outcome = read_outcome(&mut decoder)?;
        let pass = read_pass(&mut decoder)?;
        let bundle_epoch = decoder.unsigned()?;
        let status_issued_at = match decoder.kind() {
            Kind::Null => decoder.null().map(|()| None)?,
            _ => Some(Instant::from_unix_seconds(decoder.integer()?)),
        };
        let missed = number(&mut decoder)?;
        let tap = if version == VERSION { read_tap(&mut decoder)? } else { None };
        decoder.finish()?;
        let watermark = Watermark { bundle_epoch, status_issued_at };
        Ok(Self { door, outcome, pass, watermark, missed, tap })
    }
}

/// The handle that was used, as a record of a journal tells it; nothing where it tells of none.
#[must_use]
pub fn handle_in(record: &[u8]) -> Option<HandleTrace> {
    let (record, _) = split_record(record, 0).ok()?;
    match Event::decode(record.payload).ok()?.tap {
        Some(Tapped::Express(handle)) => Some(handle),
        _ => None,
    }
}

fn read_outcome(decoder: &mut Decoder<'_>) -> Result<Outcome, CborError> {
    match decoder.kind() {
        Kind::Null => decoder.null().map(|()| Outcome::Egress),
        Kind::Text => {
            let range = out_of_range(decoder);
            Reason::from_code(decoder.text()?).map(Outcome::Refused).ok_or(range)
        }
        _ => Ok(Outcome::Granted { rule: number(decoder)? }),
    }
}

fn read_pass(decoder: &mut Decoder<'_>) -> Result<Option<PassTrace>, CborError> {
    if decoder.kind() == Kind::Null {
        (0..3).try_for_each(|_| decoder.null())?;
        return Ok(None);
    }
    let (operator, product) = (parse(decoder)?, parse(decoder)?);
    Ok(Some(PassTrace { operator, product, device: decoder.byte_array()? }))
}

fn read_tap(decoder: &mut Decoder<'_>) -> Result<Option<Tapped>, CborError> {
    let range = out_of_range(decoder);
    match decoder.kind() {
        Kind::Null => decoder.null().map(|()| None),
        Kind::Unsigned => {
            let profile = Profile::from_number(decoder.unsigned()?).ok_or(range)?;
            let is_keyed = profile != Profile::Express;
            is_keyed.then_some(Some(Tapped::Keyed(profile))).ok_or(range)
        }
        _ => {
            decoder.array_of(5)?;
            let context = Context::from_bytes(decoder.byte_array()?);
            let status = Index { list: decoder.byte_array()?, index: number(decoder)? };
            let (number, taps) = (number(decoder)?, number(decoder)?);
            Ok(Some(Tapped::Express(HandleTrace { context, status, number, taps })))
        }
    }
}

fn parse<T: core::str::FromStr>(decoder: &mut Decoder<'_>) -> Result<T, CborError> {
    let range = out_of_range(decoder);
    decoder.text()?.parse().map_err(|_| range)
}

fn number<T: TryFrom<u64>>(decoder: &mut Decoder<'_>) -> Result<T, CborError> {
    let range = out_of_range(decoder);
    T::try_from(decoder.unsigned()?).map_err(|_| range)
}

fn out_of_range(decoder: &Decoder<'_>) -> CborError {
    CborError { fault: Fault::Range, offset: decoder.position() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use audit::journal::PAYLOAD_BYTES_MAX;
    use proptest::prelude::*;

    fn any_event() -> impl Strategy<Value = Event> {
        let outcome = prop_oneof![
            any::<u16>().prop_map(|rule| Outcome::Granted { rule }),
            proptest::sample::select(&Reason::ALL[..]).prop_map(Outcome::Refused),
            Just(Outcome::Egress),
        ];
        let pass = proptest::option::of(any::<[u8; 32]>().prop_map(|device| PassTrace {
            operator: "harbour".parse().unwrap(),
            product: "ticket".parse().unwrap(),
            device,
        }));
        let at = proptest::option::of(any::<u32>());
        let tap = prop_oneof![
            Just(None),
            Just(Some(Tapped::Keyed(Profile::Identity))),
            any::<([u8; 12], [u8; 4], u32, u16, u32)>().prop_map(
                |(context, list, index, number, taps)| {
                    let context = Context::from_bytes(context);
                    let status = Index { list, index };
                    Some(Tapped::Express(HandleTrace { context, status, number, taps }))
                }
            ),
        ];
        (outcome, pass, any::<u64>(), at, any::<u32>(), tap).prop_map(
            |(outcome, pass, bundle_epoch, at, missed, tap)| Event {
                door: "harbour/hall/door".parse().unwrap(),
                outcome,
                pass,
                watermark: Watermark {
                    bundle_epoch,
                    status_issued_at: at.map(|at| Instant::from_unix_seconds(at.into())),
                },
                missed,
                tap,
            },
        )
    }

    #[test]
    fn events_from_before_the_express_tap_are_read() {
        let door: PlaceCode = "harbour/hall/door".parse().unwrap();
        let mut before = Encoder::new();
        before.array(9).unsigned(1).text(door.as_str()).null();
        before.null().null().null().unsigned(7).null().unsigned(2);
        let event = Event::decode(before.as_bytes()).unwrap();
        assert_eq!((event.door, event.outcome, event.tap), (door, Outcome::Egress, None));
        assert_eq!((event.watermark.bundle_epoch, event.missed), (7, 2));
    }

    proptest! {
        #[test]
        fn written_event_reads_as_itself(event in any_event()) {
            let payload = event.encode();
            prop_assert!(payload.len() <= PAYLOAD_BYTES_MAX);
            prop_assert_eq!(Event::decode(&payload), Ok(event));
        }

        #[test]
        fn arbitrary_and_altered_bytes_never_panic(
            event in any_event(), at: prop::sample::Index, value: u8, bytes: Vec<u8>,
        ) {
            let mut payload = event.encode();
            let at = at.index(payload.len());
            payload[at] = value;
            let _ = Event::decode(&payload);
            let _ = Event::decode(&bytes);
        }
    }
}
