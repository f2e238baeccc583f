//! The public side of a key in CBOR: an array of ten, as `specs/key-service.md` lists them.

use core::str::FromStr;
use std::sync::Arc;

use credential::cbor::{CborError, Decoder, Encoder, Kind};
use credential::composite::CompositeKey;
use credential::crypto::PublicKey;
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use crate::custody::{CERTIFICATE_BYTES_MAX, Key, KeyHandle, State};
use crate::purpose::Suite;

pub(super) fn write(out: &mut Encoder, key: &Key) {
    out.array(10).bytes(key.handle.as_bytes()).text(key.purpose.as_str()).text(key.suite.as_str());
    write_operator(out, key.operator.as_ref());
    out.integer(key.created_at.unix_micros()).bytes(key.public_key.as_bytes());
    match &key.certificate {
        Some(certificate) => out.bytes(certificate),
        None => out.null(),
    };
    out.text(key.state.as_str()).integer(key.state_since.unix_micros()).text(&key.held_by);
}

pub(super) fn read(reader: &mut Decoder<'_>) -> Result<Key, CborError> {
    reader.array_of(10)?;
    let handle = handle(reader)?;
    let purpose = word(reader, "a purpose")?;
    let suite = word(reader, "a suite")?;
    let operator = operator(reader)?;
    let created_at = instant(reader)?;
    let bytes = reader.bytes()?;
    let public_key = public_key(suite, bytes).ok_or_else(|| reader.unexpected("a public key"))?;
    if KeyHandle::of(bytes) != handle {
        return Err(reader.unexpected("the handle of the public key"));
    }
    let certificate = match reader.kind() {
        Kind::Null => reader.null().map(|()| None)?,
        _ => Some(Arc::from(reader.bytes()?)),
    };
    if certificate.as_ref().is_some_and(|it: &Arc<[u8]>| it.len() > CERTIFICATE_BYTES_MAX) {
        return Err(reader.unexpected("a certificate within its limit"));
    }
    Ok(Key {
        handle,
        purpose,
        suite,
        operator,
        created_at,
        public_key,
        certificate,
        state: state(reader)?,
        state_since: instant(reader)?,
        held_by: Arc::from(reader.text()?),
    })
}

fn public_key(suite: Suite, bytes: &[u8]) -> Option<PublicKey> {
    match suite {
        Suite::Es256 => bytes.try_into().ok().map(PublicKey::P256),
        Suite::Es384 => bytes.try_into().ok().map(PublicKey::P384),
        Suite::Ed25519 => bytes.try_into().ok().map(PublicKey::Ed25519),
        Suite::Es256MlDsa44 => CompositeKey::from_bytes(bytes).map(PublicKey::from),
    }
}

pub(super) fn handle(reader: &mut Decoder<'_>) -> Result<KeyHandle, CborError> {
    reader.byte_array().map(KeyHandle::from_bytes)
}

pub(super) fn word<T: FromStr>(
    reader: &mut Decoder<'_>,
    expected: &'static str,
) -> Result<T, CborError> {
    let text = reader.text()?;
    text.parse().map_err(|_| reader.unexpected(expected))
}

pub(super) fn state(reader: &mut Decoder<'_>) -> Result<State, CborError> {
    let text = reader.text()?;
    let known = State::ALL.into_iter().find(|state| state.as_str() == text);
    known.ok_or_else(|| reader.unexpected("a state"))
}

pub(super) fn instant(reader: &mut Decoder<'_>) -> Result<Instant, CborError> {
    reader.integer().map(Instant::from_unix_micros)
}

pub(super) fn write_operator(out: &mut Encoder, operator: Option<&OperatorCode>) {
    match operator {
        Some(operator) => out.text(operator.as_str()),
        None => out.null(),
    };
}

pub(super) fn operator(reader: &mut Decoder<'_>) -> Result<Option<OperatorCode>, CborError> {
    match reader.kind() {
        Kind::Null => reader.null().map(|()| None),
        _ => word(reader, "an operator").map(Some),
    }
}
