//! COSE (RFC 9052): Sign1, Mac0, keys and certificate chains (RFC 9360), as mdoc uses them.
//!
//! Messages are read borrowed and written from parts. The algorithm counts only from the
//! protected header and must be the key's; a `crit` header is refused, since no critical header is
//! understood here. Neither structure decides about trust: see `x509`.

use alloc::vec::Vec;

use crate::cbor::{CborError, Decoder, Encoder, Kind, Lengths};
use crate::composite::{self, CompositeKey};
use crate::crypto::{Algorithm, Crypto, PublicKey, constant_time_eq};
use crate::rejection::{Culprit, Rejection};
use crate::unsigned::Unsigned;

/// The tag of COSE_Sign1.
pub const TAG_SIGN1: u64 = 18;
/// The tag of COSE_Mac0.
pub const TAG_MAC0: u64 = 17;
/// Certificates in one `x5chain` header.
pub const CHAIN_LENGTH_MAX: usize = 4;
/// HMAC 256/256 in the COSE Algorithms registry.
pub const HMAC_256_256: i64 = 5;

/// Key type of an algorithm key pair (RFC 9964): one string of bytes for one algorithm.
const KTY_AKP: i64 = 7;
const HEADER_ALG: i64 = 1;
const HEADER_CRIT: i64 = 2;
const HEADER_CONTENT_TYPE: i64 = 3;
const HEADER_KID: i64 = 4;
const HEADER_TYP: i64 = 16;
const HEADER_X5CHAIN: i64 = 33;
const HEADER_X5T: i64 = 34;
/// SHA-256 as the algorithm of a hash (RFC 9054).
const HASH_SHA_256: i64 = -16;

/// The header parameters that Limen understands; others are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    /// The algorithm identifier.
    pub alg: Option<i64>,
    /// The type of the whole message (RFC 9596), if it is text.
    pub typ: Option<&'a str>,
    /// The content type, if it is text.
    pub content_type: Option<&'a str>,
    /// The key identifier.
    pub kid: Option<&'a [u8]>,
    /// The certificate chain, leaf first; see [`Chain`].
    pub x5chain: Chain<'a>,
    /// SHA-256 of the signer's certificate (`x5t`), if it is by that hash.
    pub x5t: Option<&'a [u8; 32]>,
}

/// The DER certificates of an `x5chain` header, leaf first, borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain<'a> {
    certificates: [&'a [u8]; CHAIN_LENGTH_MAX],
    length: usize,
}

impl<'a> Chain<'a> {
    /// One certificate alone.
    #[must_use]
    pub const fn of(certificate: &'a [u8]) -> Self {
        let mut certificates: [&[u8]; CHAIN_LENGTH_MAX] = [&[]; CHAIN_LENGTH_MAX];
        let [first, ..] = &mut certificates;
        *first = certificate;
        Self { certificates, length: 1 }
    }

    /// The certificates, leaf first; empty where the header is absent.
    #[must_use]
    pub fn certificates(&self) -> &[&'a [u8]] {
        self.certificates.get(..self.length).unwrap_or_default()
    }

    fn push(&mut self, certificate: &'a [u8]) -> Result<(), Rejection> {
        let slot = self.certificates.get_mut(self.length).ok_or_else(|| {
            Rejection::wire(
                "chain-length",
                alloc::format!("x5chain holds more than {CHAIN_LENGTH_MAX} certificates"),
            )
        })?;
        *slot = certificate;
        self.length += 1;
        Ok(())
    }
}

/// A COSE_Sign1 message, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Sign1<'a> {
    /// The protected header as it was signed.
    pub protected_raw: &'a [u8],
    /// The protected header, read.
    pub protected: Headers<'a>,
    /// The unprotected header, read.
    pub unprotected: Headers<'a>,
    /// The payload, absent where it is detached.
    pub payload: Option<&'a [u8]>,
    /// The signature in fixed form.
    pub signature: &'a [u8],
}

/// A COSE_Mac0 message, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Mac0<'a> {
    /// The protected header as it was authenticated.
    pub protected_raw: &'a [u8],
    /// The protected header, read.
    pub protected: Headers<'a>,
    /// The unprotected header, read.
    pub unprotected: Headers<'a>,
    /// The payload, absent where it is detached.
    pub payload: Option<&'a [u8]>,
    /// The authentication tag.
    pub tag: &'a [u8],
}

impl<'a> Sign1<'a> {
    /// Reads a message, with tag 18 or without.
    ///
    /// # Errors
    /// [`Rejection`] with culprit `wire`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Rejection> {
        let (protected_raw, protected, unprotected, payload, signature) =
            parse_message(bytes, TAG_SIGN1)?;
        Ok(Self { protected_raw, protected, unprotected, payload, signature })
    }

    /// Verifies the signature with `key` over the payload, or over `detached` where the message
    /// carries none.
    ///
    /// # Errors
    /// [`Rejection`] with `culprit` if the algorithm is missing, not the key's, or the signature
    /// is wrong; with culprit `wire` if the payload is missing or given twice.
    pub fn verify(
        &self,
        crypto: &dyn Crypto,
        key: &PublicKey,
        detached: Option<&[u8]>,
        external_aad: &[u8],
        culprit: Culprit,
    ) -> Result<(), Rejection> {
        let algorithm = self.algorithm(culprit)?;
        if algorithm != key.algorithm() {
            return Err(Rejection::new(
                culprit,
                "algorithm-mismatch",
                alloc::format!(
                    "signature by `{algorithm}`, but the key is for `{}`",
                    key.algorithm()
                ),
            ));
        }
        let payload = only_payload(self.payload, detached)?;
        let message = structure("Signature1", self.protected_raw, external_aad, payload);
        crypto
            .verify(key, &message, self.signature)
            .map_err(|_| Rejection::new(culprit, "signature", "signature does not verify"))
    }

    /// The algorithm of the protected header, from the list of those accepted.
    ///
    /// # Errors
    /// [`Rejection`] with `culprit` if there is none, or it is not on the list.
    pub fn algorithm(&self, culprit: Culprit) -> Result<Algorithm, Rejection> {
        let id = self.protected.alg.ok_or_else(|| {
            Rejection::new(culprit, "algorithm-missing", "no algorithm in the protected header")
        })?;
        Algorithm::from_cose_id(id).ok_or_else(|| {
            Rejection::new(culprit, "algorithm", alloc::format!("algorithm `{id}` is not accepted"))
        })
    }
}

impl<'a> Mac0<'a> {
    /// Reads a message, with tag 17 or without.
    ///
    /// # Errors
    /// [`Rejection`] with culprit `wire`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Rejection> {
        let (protected_raw, protected, unprotected, payload, tag) = parse_message(bytes, TAG_MAC0)?;
        Ok(Self { protected_raw, protected, unprotected, payload, tag })
    }

    /// Verifies HMAC 256/256 with `key`, over the payload or over `detached` where the message
    /// carries none.
    ///
    /// # Errors
    /// [`Rejection`] with culprit `holder` if the algorithm is another or the tag is wrong.
    pub fn verify(
        &self,
        crypto: &dyn Crypto,
        key: &[u8; 32],
        detached: Option<&[u8]>,
    ) -> Result<(), Rejection> {
        if self.protected.alg != Some(HMAC_256_256) {
            return Err(Rejection::holder("algorithm", "device MAC is not HMAC 256/256"));
        }
        let payload = only_payload(self.payload, detached)?;
        let expected =
            crypto.hmac_sha256(key, &structure("MAC0", self.protected_raw, &[], payload));
        if constant_time_eq(&expected, self.tag) {
            return Ok(());
        }
        Err(Rejection::holder("device-mac", "device MAC does not verify"))
    }
}

/// What a new COSE_Sign1 carries beside its signature.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sign1Parts<'a> {
    /// The payload that is signed.
    pub payload: &'a [u8],
    /// Whether the payload is left out of the message.
    pub detached: bool,
    /// The certificate chain for the unprotected header, leaf first.
    pub x5chain: &'a [&'a [u8]],
    /// SHA-256 of the signer's certificate, for the protected header (`x5t`, RFC 9360).
    pub x5t: Option<&'a [u8; 32]>,
    /// The message type for the protected header (RFC 9596).
    pub typ: Option<&'a str>,
    /// The key identifier for the protected header.
    pub kid: Option<&'a [u8]>,
    /// The key identifier for the unprotected header.
    pub unprotected_kid: Option<&'a [u8]>,
    /// Whether the message is written with tag 18.
    pub tagged: bool,
}

/// A COSE_Sign1 message that waits for its signature.
#[must_use]
pub fn sign1(algorithm: Algorithm, parts: &Sign1Parts<'_>) -> Unsigned<Vec<u8>> {
    let mut protected = Encoder::new();
    let others = [parts.typ.is_some(), parts.kid.is_some(), parts.x5t.is_some()];
    protected.map(1 + others.into_iter().filter(|is_there| *is_there).count());
    protected.integer(HEADER_ALG).integer(algorithm.cose_id());
    if let Some(kid) = parts.kid {
        protected.integer(HEADER_KID).bytes(kid);
    }
    if let Some(typ) = parts.typ {
        protected.integer(HEADER_TYP).text(typ);
    }
    if let Some(x5t) = parts.x5t {
        protected.integer(HEADER_X5T).array(2).integer(HASH_SHA_256).bytes(x5t);
    }
    let to_be_signed = structure("Signature1", protected.as_bytes(), &[], parts.payload);
    let mut message = Encoder::with_capacity(parts.payload.len() + 1024);
    if parts.tagged {
        message.tag(TAG_SIGN1);
    }
    message.array(4).bytes(protected.as_bytes());
    write_unprotected(&mut message, parts);
    if parts.detached {
        message.null();
    } else {
        message.bytes(parts.payload);
    }
    Unsigned::new(algorithm, to_be_signed, move |signature| {
        message.bytes(signature.as_bytes());
        message.into_bytes()
    })
}

/// A COSE_Mac0 message by HMAC 256/256 over a detached payload.
#[must_use]
pub fn mac0_detached(crypto: &dyn Crypto, key: &[u8; 32], payload: &[u8]) -> Vec<u8> {
    let mut protected = Encoder::new();
    protected.map(1).integer(HEADER_ALG).integer(HMAC_256_256);
    let tag = crypto.hmac_sha256(key, &structure("MAC0", protected.as_bytes(), &[], payload));
    let mut message = Encoder::new();
    message.array(4).bytes(protected.as_bytes()).map(0).null().bytes(&tag);
    message.into_bytes()
}

/// `Sig_structure` or `MAC_structure` (RFC 9052, sections 4.4 and 6.3).
#[must_use]
pub fn structure(context: &str, protected: &[u8], external_aad: &[u8], payload: &[u8]) -> Vec<u8> {
    // An empty protected header is a string of no bytes, even if it came as an empty map.
    let protected = if protected == [0xa0] { &[] } else { protected };
    let room = protected.len() + external_aad.len() + payload.len() + 40;
    let mut encoder = Encoder::with_capacity(room);
    encoder.array(4).text(context).bytes(protected).bytes(external_aad).bytes(payload);
    encoder.into_bytes()
}

/// Reads a COSE_Key that is a public key of an accepted kind (RFC 9052, section 7).
///
/// # Errors
/// [`Rejection`] with culprit `wire`.
pub fn parse_key(decoder: &mut Decoder<'_>) -> Result<PublicKey, Rejection> {
    let (mut kty, mut curve, mut x, mut y) = (None, None, None, None);
    let (mut algorithm, mut whole) = (None, None);
    let mut entries = decoder.map()?;
    while decoder.more(&mut entries)? {
        match key_label(decoder)? {
            Some(1) => kty = Some(decoder.integer()?),
            Some(3) if decoder.kind() != Kind::Text => algorithm = Some(decoder.integer()?),
            Some(-1) if decoder.kind() == Kind::Bytes => whole = Some(decoder.bytes()?),
            Some(-1) => curve = Some(decoder.integer()?),
            Some(-2) => x = Some(decoder.bytes()?),
            Some(-3) if decoder.kind() == Kind::Bytes => y = Some(decoder.bytes()?),
            _ => decoder.skip()?,
        }
    }
    let key = match (kty, curve, x, y) {
        (Some(2), Some(1), Some(x), Some(y)) => uncompressed(x, y).map(PublicKey::P256),
        (Some(2), Some(2), Some(x), Some(y)) => uncompressed(x, y).map(PublicKey::P384),
        (Some(1), Some(6), Some(x), None) => x.try_into().ok().map(PublicKey::Ed25519),
        (Some(KTY_AKP), None, None, None) if algorithm == Some(composite::COSE_ALGORITHM) => {
            whole.and_then(CompositeKey::from_bytes).map(PublicKey::from)
        }
        _ => None,
    };
    key.ok_or_else(|| {
        Rejection::wire(
            "cose-key",
            "not a COSE_Key on P-256, P-384 or Ed25519 with x and y in full, nor a composite",
        )
    })
}

/// Writes a public key as COSE_Key.
pub fn write_key(encoder: &mut Encoder, key: &PublicKey) {
    let (curve, point) = match key {
        PublicKey::P256(point) => (1, &point[..]),
        PublicKey::P384(point) => (2, &point[..]),
        PublicKey::Ed25519(x) => {
            encoder.map(3).integer(1).integer(1).integer(-1).integer(6).integer(-2).bytes(x);
            return;
        }
        PublicKey::Composite(key) => {
            encoder.map(3).integer(1).integer(KTY_AKP).integer(3);
            encoder.integer(composite::COSE_ALGORITHM).integer(-1).bytes(key.as_bytes());
            return;
        }
    };
    let coordinates = point.get(1..).unwrap_or_default();
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    encoder.map(4).integer(1).integer(2).integer(-1).integer(curve);
    encoder.integer(-2).bytes(x).integer(-3).bytes(y);
}

type Message<'a> = (&'a [u8], Headers<'a>, Headers<'a>, Option<&'a [u8]>, &'a [u8]);

fn parse_message(bytes: &[u8], tag: u64) -> Result<Message<'_>, Rejection> {
    let mut decoder = Decoder::with_lengths(bytes, Lengths::OpenContainers)?;
    if decoder.kind() == Kind::Tag {
        decoder.expect_tag(tag, "the tag of this COSE message")?;
    }
    decoder.array_of(4)?;
    let protected_raw = decoder.bytes()?;
    let protected = match protected_raw {
        [] => Headers::default(),
        _ => parse_headers(&mut Decoder::new(protected_raw)?)?,
    };
    let unprotected = parse_headers(&mut decoder)?;
    let payload = match decoder.kind() {
        Kind::Null => decoder.null().map(|()| None)?,
        _ => Some(decoder.bytes()?),
    };
    let authenticator = decoder.bytes()?;
    decoder.finish()?;
    Ok((protected_raw, protected, unprotected, payload, authenticator))
}

fn parse_headers<'a>(decoder: &mut Decoder<'a>) -> Result<Headers<'a>, Rejection> {
    let mut headers = Headers::default();
    let mut entries = decoder.map()?;
    while decoder.more(&mut entries)? {
        match key_label(decoder)? {
            Some(HEADER_ALG) if decoder.kind() != Kind::Text => {
                headers.alg = Some(decoder.integer()?)
            }
            Some(HEADER_CRIT) => {
                return Err(Rejection::wire(
                    "crit",
                    "COSE header `crit` names what is not understood",
                ));
            }
            Some(HEADER_CONTENT_TYPE) if decoder.kind() == Kind::Text => {
                headers.content_type = Some(decoder.text()?);
            }
            Some(HEADER_TYP) if decoder.kind() == Kind::Text => headers.typ = Some(decoder.text()?),
            Some(HEADER_KID) => headers.kid = Some(decoder.bytes()?),
            Some(HEADER_X5CHAIN) => headers.x5chain = parse_chain(decoder)?,
            Some(HEADER_X5T) if decoder.kind() == Kind::Array => headers.x5t = parse_hash(decoder)?,
            _ => decoder.skip()?,
        }
    }
    Ok(headers)
}

fn parse_chain<'a>(decoder: &mut Decoder<'a>) -> Result<Chain<'a>, Rejection> {
    let mut chain = Chain::default();
    if decoder.kind() == Kind::Bytes {
        chain.push(decoder.bytes()?)?;
        return Ok(chain);
    }
    let mut entries = decoder.array()?;
    while decoder.more(&mut entries)? {
        chain.push(decoder.bytes()?)?;
    }
    Ok(chain)
}

/// COSE_CertHash (RFC 9360); one by another hash yields nothing.
fn parse_hash<'a>(decoder: &mut Decoder<'a>) -> Result<Option<&'a [u8; 32]>, Rejection> {
    decoder.array_of(2)?;
    let algorithm = key_label(decoder)?;
    let value = decoder.bytes()?;
    Ok(value.try_into().ok().filter(|_| algorithm == Some(HASH_SHA_256)))
}

fn write_unprotected(encoder: &mut Encoder, parts: &Sign1Parts<'_>) {
    let chain = parts.x5chain;
    encoder.map(usize::from(parts.unprotected_kid.is_some()) + usize::from(!chain.is_empty()));
    if let Some(kid) = parts.unprotected_kid {
        encoder.integer(HEADER_KID).bytes(kid);
    }
    match chain {
        [] => {}
        [leaf] => {
            encoder.integer(HEADER_X5CHAIN).bytes(leaf);
        }
        _ => {
            encoder.integer(HEADER_X5CHAIN).array(chain.len());
            chain.iter().for_each(|certificate| {
                encoder.bytes(certificate);
            });
        }
    }
}

/// An integer label; a text label is passed and yields nothing.
fn key_label(decoder: &mut Decoder<'_>) -> Result<Option<i64>, CborError> {
    if decoder.kind() == Kind::Text {
        return decoder.text().map(|_| None);
    }
    decoder.integer().map(Some)
}

fn only_payload<'p>(
    carried: Option<&'p [u8]>,
    detached: Option<&'p [u8]>,
) -> Result<&'p [u8], Rejection> {
    match (carried, detached) {
        (Some(payload), None) | (None, Some(payload)) => Ok(payload),
        (None, None) => Err(Rejection::wire("payload-missing", "COSE message carries no payload")),
        (Some(_), Some(_)) => Err(Rejection::wire(
            "payload-present",
            "COSE message carries a payload where none may stand",
        )),
    }
}

/// 0x04, x, y, if both coordinates have the length of the curve.
fn uncompressed<const N: usize>(x: &[u8], y: &[u8]) -> Option<[u8; N]> {
    let mut point = [4; N];
    let (_, coordinates) = point.split_first_mut()?;
    let half = coordinates.len() / 2;
    let (to_x, to_y) = coordinates.split_at_mut(half);
    if x.len() != half || y.len() != half {
        return None;
    }
    to_x.copy_from_slice(x);
    to_y.copy_from_slice(y);
    Some(point)
}
