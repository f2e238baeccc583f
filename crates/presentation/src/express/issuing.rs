//! How handles come from the key service to one device: request, answer and batch in CBOR
//! (`specs/express-tap.md`, "Issuing").
//!
//! The device signs a [`Statement`] for a point of its own; the key service seals the [`Batch`] for that
//! point. Who carries either learns neither a handle nor a tap key.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use credential::cbor::{CborError, Decoder, Encoder, Kind};
use credential::crypto::{
    Algorithm, BadKey, Crypto, P256Secret, PublicKey, SharedSecret, Signature,
};
use credential::delivery::Scope;
use zeroize::Zeroizing;

use super::handle::{HANDLE_BYTES, HANDLES_MAX, Handle, TapKey};

/// Bytes of a request.
pub const REQUEST_BYTES_MAX: usize = 32 * 1024;
/// Bytes of an answer.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024;
/// How far the clock of a device may be off, in seconds.
pub const STATEMENT_SECONDS_MAX: u64 = 300;
/// Bytes of a point of P-256.
pub const POINT_BYTES: usize = 65;

const VERSION: u64 = 1;
const LIST_BYTES_MAX: usize = 512;
const STATEMENT_LABEL: &[u8] = b"limen express keys 1\0";
const BATCH_LABEL: &[u8] = b"limen express batch 1";
/// A key seals one batch.
const NONCE: [u8; 12] = [0; 12];

/// What the key service is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// IssuerSigned of the pass, with all its items.
    pub issuer_signed: Vec<u8>,
    /// The device's word for its point.
    pub statement: Statement,
    /// Where the handles shall be good.
    pub scope: Scope,
    /// When: whole days since 1970 UTC.
    pub epoch: u64,
    /// The number of the first handle among those of its index.
    pub first: u16,
    /// How many.
    pub count: u16,
    /// The address of the status list.
    pub list: String,
    /// The index in it, drawn for this pass, scope and epoch alone.
    pub index: u32,
}

impl Request {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(self.issuer_signed.len() + 512);
        out.array(9).unsigned(VERSION).bytes(&self.issuer_signed);
        self.statement.write(&mut out);
        write_scope(out.array(2), &self.scope);
        out.unsigned(self.epoch).unsigned(self.first.into()).unsigned(self.count.into());
        out.text(&self.list).unsigned(self.index.into());
        out.into_bytes()
    }

    /// Reads a request; nothing of it is believed yet.
    ///
    /// # Errors
    /// [`BadForm`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadForm> {
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(BadForm);
        }
        let mut decoder = Decoder::new(bytes)?;
        decoder.array_of(9)?;
        let version = decoder.unsigned()?;
        let issuer_signed = decoder.bytes()?.to_vec();
        let statement = Statement::read(&mut decoder)?;
        decoder.array_of(2)?;
        let scope = read_scope(&mut decoder)?;
        let epoch = decoder.unsigned()?;
        let (first, count) = (short(decoder.unsigned()?)?, short(decoder.unsigned()?)?);
        let list = decoder.text()?;
        let index = u32::try_from(decoder.unsigned()?).map_err(|_| BadForm)?;
        decoder.finish()?;
        if version != VERSION || list.len() > LIST_BYTES_MAX {
            return Err(BadForm);
        }
        let list = list.into();
        let request = Self { issuer_signed, statement, scope, epoch, first, count, list, index };
        // One form only.
        if request.encode() == bytes { Ok(request) } else { Err(BadForm) }
    }
}

/// For which pass a device wants handles, and where they shall be good.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The IssuerSigned of the pass.
    pub issuer_signed: &'a [u8],
    /// Where.
    pub scope: &'a Scope,
    /// When: whole days since 1970 UTC.
    pub epoch: u64,
}

/// The device's word that it wants handles, and that a point is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The point, of a key for agreement alone, drawn for this request.
    pub point: [u8; POINT_BYTES],
    /// When, Unix seconds.
    pub at: u64,
    /// How many handles at most.
    pub count: u16,
    /// ES256 over [`Statement::message`] by the device key of the pass.
    pub by_device: Signature,
}

impl Statement {
    /// What the device key signs.
    #[must_use]
    pub fn message(
        crypto: &dyn Crypto,
        point: &[u8; POINT_BYTES],
        at: u64,
        count: u16,
        wish: &Wish<'_>,
    ) -> Vec<u8> {
        let Scope { operator, zone } = wish.scope;
        let zone = zone.as_ref().map_or("", |zone| zone.as_str());
        let scope = crypto.sha256(&[operator.as_str().as_bytes(), &[0], zone.as_bytes()].concat());
        let (at, count, epoch) = (at.to_be_bytes(), count.to_be_bytes(), wish.epoch.to_be_bytes());
        let pass = crypto.sha256(wish.issuer_signed);
        [STATEMENT_LABEL, point, &at, &count, &epoch, &scope, &pass].concat()
    }

    /// Whether `device` signed this for `wish`, not longer than [`STATEMENT_SECONDS_MAX`] before `now` or
    /// after it. Who takes a statement must take it once.
    #[must_use]
    pub fn holds(
        &self,
        crypto: &dyn Crypto,
        device: &PublicKey,
        wish: &Wish<'_>,
        now: i64,
    ) -> bool {
        let is_fresh =
            u64::try_from(now).is_ok_and(|now| now.abs_diff(self.at) <= STATEMENT_SECONDS_MAX);
        let message = Self::message(crypto, &self.point, self.at, self.count, wish);
        is_fresh && crypto.verify(device, &message, self.by_device.as_bytes()).is_ok()
    }

    /// The bytes, by themselves.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(160);
        self.write(&mut out);
        out.into_bytes()
    }

    /// Reads what [`Statement::encode`] wrote.
    ///
    /// # Errors
    /// [`BadForm`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadForm> {
        let mut decoder = Decoder::new(bytes)?;
        let statement = Self::read(&mut decoder)?;
        decoder.finish()?;
        Ok(statement)
    }

    fn write(&self, out: &mut Encoder) {
        out.array(4).bytes(&self.point).unsigned(self.at).unsigned(self.count.into());
        out.bytes(self.by_device.as_bytes());
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, BadForm> {
        decoder.array_of(4)?;
        let (point, at) = (decoder.byte_array()?, decoder.unsigned()?);
        let count = short(decoder.unsigned()?)?;
        let by_device = Signature::new(Algorithm::Es256, decoder.bytes()?).map_err(|_| BadForm)?;
        Ok(Self { point, at, count, by_device })
    }
}

/// A batch, sealed for one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The key service's ephemeral point.
    pub ephemeral: [u8; POINT_BYTES],
    /// The batch, and the tag.
    pub sealed: Vec<u8>,
}

impl Answer {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(self.sealed.len() + 80);
        out.array(2).bytes(&self.ephemeral).bytes(&self.sealed);
        out.into_bytes()
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`BadForm`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadForm> {
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(BadForm);
        }
        let mut decoder = Decoder::new(bytes)?;
        decoder.array_of(2)?;
        let answer = Self { ephemeral: decoder.byte_array()?, sealed: decoder.bytes()?.to_vec() };
        decoder.finish()?;
        Ok(answer)
    }

    /// Opens it with what the keys of `point` and [`Answer::ephemeral`] agreed.
    ///
    /// # Errors
    /// [`BadForm`]: it was sealed for another point, changed on its way, or holds no batch.
    pub fn open(
        self,
        crypto: &dyn Crypto,
        agreed: &SharedSecret,
        point: &[u8; POINT_BYTES],
    ) -> Result<Batch, BadForm> {
        let key = batch_key(crypto, agreed, &self.ephemeral, point);
        let mut batch = Zeroizing::new(self.sealed);
        crypto.open_aes256_gcm(&key, &NONCE, &[], &mut batch).map_err(|_| BadForm)?;
        Batch::parse(&batch)
    }
}

/// Handles with their keys, for one device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where they are good.
    pub scope: Scope,
    /// When: whole days since 1970 UTC.
    pub epoch: u64,
    /// The handles; at most [`HANDLES_MAX`].
    pub handles: Vec<(Handle, TapKey)>,
}

impl Batch {
    /// Seals the batch for `point` under an `ephemeral` key, drawn afresh.
    ///
    /// # Errors
    /// [`BadKey`]: the point is none of the curve, or the key is no scalar.
    pub fn seal(
        &self,
        crypto: &dyn Crypto,
        ephemeral: &P256Secret,
        point: &[u8; POINT_BYTES],
    ) -> Result<Answer, BadKey> {
        let public = crypto.p256_public(ephemeral)?;
        let agreed = crypto.p256_agree(ephemeral, point)?;
        let key = batch_key(crypto, &agreed, &public, point);
        let mut sealed = self.encode();
        crypto.seal_aes256_gcm(&key, &NONCE, &[], &mut sealed);
        Ok(Answer { ephemeral: public, sealed })
    }

    /// In a buffer that does not grow, so that no copy of a key stays behind.
    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(ANSWER_BYTES_MAX);
        out.array(5).unsigned(VERSION);
        write_scope(&mut out, &self.scope);
        out.unsigned(self.epoch).array(self.handles.len());
        for (handle, key) in &self.handles {
            out.array(2).bytes(&handle.0).bytes(key.danger_bytes());
        }
        out.into_bytes()
    }

    fn parse(bytes: &[u8]) -> Result<Self, BadForm> {
        let mut decoder = Decoder::new(bytes)?;
        decoder.array_of(5)?;
        let version = decoder.unsigned()?;
        let scope = read_scope(&mut decoder)?;
        let epoch = decoder.unsigned()?;
        let (mut handles, mut entries) = (Vec::new(), decoder.array()?);
        while decoder.more(&mut entries)? {
            decoder.array_of(2)?;
            let handle = Handle(decoder.byte_array::<HANDLE_BYTES>()?);
            handles.push((handle, TapKey::from_bytes(decoder.byte_array()?)));
        }
        decoder.finish()?;
        let is_right = version == VERSION && handles.len() <= HANDLES_MAX.into();
        if is_right { Ok(Self { scope, epoch, handles }) } else { Err(BadForm) }
    }
}

/// What was read has not the form of this version, or does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadForm;

impl fmt::Display for BadForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("express handles: the bytes have not the form of this version, or do not open")
    }
}

impl core::error::Error for BadForm {}

impl From<CborError> for BadForm {
    fn from(_: CborError) -> Self {
        Self
    }
}

fn batch_key(
    crypto: &dyn Crypto,
    agreed: &SharedSecret,
    ephemeral: &[u8; POINT_BYTES],
    point: &[u8; POINT_BYTES],
) -> Zeroizing<[u8; 32]> {
    let info = [BATCH_LABEL, ephemeral, point].concat();
    Zeroizing::new(crypto.hkdf_sha256(agreed.danger_bytes(), &[], &info))
}

fn short(number: u64) -> Result<u16, BadForm> {
    number.try_into().map_err(|_| BadForm)
}

fn write_scope(out: &mut Encoder, scope: &Scope) {
    out.text(scope.operator.as_str());
    match &scope.zone {
        Some(zone) => out.text(zone.as_str()),
        None => out.null(),
    };
}

fn read_scope(decoder: &mut Decoder<'_>) -> Result<Scope, BadForm> {
    let operator = decoder.text()?.parse().map_err(|_| BadForm)?;
    let zone = match decoder.kind() {
        Kind::Null => decoder.null().map(|()| None)?,
        _ => Some(decoder.text()?.parse().map_err(|_| BadForm)?),
    };
    Ok(Scope { operator, zone })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use credential::rustcrypto::RustCrypto;

    fn request() -> Request {
        let device = P256Secret::from_bytes([7; 32]);
        let scope = Scope { operator: "harbour".parse().unwrap(), zone: "B".parse().ok() };
        let wish = Wish { issuer_signed: b"pass", scope: &scope, epoch: 20_000 };
        let message = Statement::message(&RustCrypto, &[4; 65], 1_000, 8, &wish);
        let by_device = RustCrypto.p256_sign(&device, &message).unwrap();
        Request {
            issuer_signed: b"pass".to_vec(),
            statement: Statement { point: [4; 65], at: 1_000, count: 8, by_device },
            scope,
            epoch: 20_000,
            first: 16,
            count: 8,
            list: "https://city.example/issuers/harbour/status/3".into(),
            index: 77,
        }
    }

    #[test]
    fn request_comes_back_and_has_one_form() {
        let request = request();
        let bytes = request.encode();
        assert_eq!(Request::parse(&bytes), Ok(request.clone()));
        for end in 0..bytes.len() {
            assert_eq!(Request::parse(&bytes[..end]), Err(BadForm), "{end}");
        }
        let longer = Request { issuer_signed: vec![0; REQUEST_BYTES_MAX], ..request.clone() };
        assert_eq!(Request::parse(&longer.encode()), Err(BadForm));
        let list = "x".repeat(LIST_BYTES_MAX + 1);
        assert_eq!(Request::parse(&Request { list, ..request }.encode()), Err(BadForm));
    }

    #[test]
    fn statement_holds_for_what_it_asks_its_device_and_its_time() {
        let Request { statement, scope, .. } = request();
        let key = |byte| {
            let secret = P256Secret::from_bytes([byte; 32]);
            PublicKey::P256(RustCrypto.p256_public(&secret).unwrap())
        };
        let holds = |statement: &Statement, key: &PublicKey, pass: &[u8], now| {
            let wish = Wish { issuer_signed: pass, scope: &scope, epoch: 20_000 };
            statement.holds(&RustCrypto, key, &wish, now)
        };
        for now in [700, 1_000, 1_300] {
            assert!(holds(&statement, &key(7), b"pass", now), "{now}");
        }
        for now in [699, 1_301, -1_000, i64::MAX] {
            assert!(!holds(&statement, &key(7), b"pass", now), "{now}");
        }
        assert!(!holds(&statement, &key(8), b"pass", 1_000));
        assert!(!holds(&statement, &key(7), b"path", 1_000));
        let moved = Statement { at: 1_001, ..statement.clone() };
        assert!(!holds(&moved, &key(7), b"pass", 1_000));
        let pointed = Statement { point: [5; 65], ..statement.clone() };
        assert!(!holds(&pointed, &key(7), b"pass", 1_000));
        let more = Statement { count: 9, ..statement.clone() };
        assert!(!holds(&more, &key(7), b"pass", 1_000));
        let elsewhere = Scope { zone: "C".parse().ok(), ..scope.clone() };
        let nowhere = Scope { zone: None, ..scope.clone() };
        for (scope, epoch) in [(&elsewhere, 20_000), (&nowhere, 20_000), (&scope, 20_001)] {
            let wish = Wish { issuer_signed: b"pass", scope, epoch };
            assert!(!statement.holds(&RustCrypto, &key(7), &wish, 1_000), "{scope:?} {epoch}");
        }
        assert_eq!(Statement::parse(&statement.encode()), Ok(statement));
    }

    #[test]
    fn batch_opens_for_its_point_alone() {
        let device = P256Secret::from_bytes([9; 32]);
        let other = P256Secret::from_bytes([10; 32]);
        let point = RustCrypto.p256_public(&device).unwrap();
        let handles = (0..64).map(|n| (Handle([n; 60]), TapKey::from_bytes([n + 1; 32]))).collect();
        let Request { scope, epoch, .. } = request();
        let batch = Batch { scope: scope.clone(), epoch, handles };
        let ephemeral = P256Secret::from_bytes([11; 32]);
        let answer = batch.seal(&RustCrypto, &ephemeral, &point).unwrap();
        assert!(answer.encode().len() <= ANSWER_BYTES_MAX);
        let read = Answer::parse(&answer.encode()).unwrap();
        assert_eq!(read, answer);
        let agreed = RustCrypto.p256_agree(&device, &answer.ephemeral).unwrap();
        let opened = read.open(&RustCrypto, &agreed, &point).unwrap();
        assert_eq!((&opened.scope, opened.epoch), (&scope, epoch));
        assert_eq!(opened.handles.len(), 64);
        assert_eq!(opened.handles[63].1.danger_bytes(), &[64; 32]);
        let wrong = RustCrypto.p256_agree(&other, &answer.ephemeral).unwrap();
        assert!(answer.clone().open(&RustCrypto, &wrong, &point).is_err());
        let mut changed = answer.clone();
        changed.sealed[3] ^= 1;
        assert!(changed.open(&RustCrypto, &agreed, &point).is_err());
        assert!(batch.seal(&RustCrypto, &ephemeral, &[4; 65]).is_err(), "no point of the curve");
    }
}
