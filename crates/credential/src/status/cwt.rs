//! The Status List Token as CWT (section 5.2): claims in CBOR (RFC 8392) under COSE_Sign1.

use alloc::vec::Vec;

use vocabulary::time::Instant;

use super::CWT_TYP;
use super::token::{Expectation, Read, StatusListClaims, VerifiedStatusList, refuse};
use crate::cbor::{CborError, Decoder, Encoder, Kind};
use crate::cose::{Sign1, Sign1Parts, sign1};
use crate::crypto::{Algorithm, Crypto};
use crate::jose::{Strength, trusted_key};
use crate::rejection::{Culprit, Rejection};
use crate::unsigned::Unsigned;
use crate::x509::{Judgement, Profile};

const CLAIM_SUBJECT: i64 = 2;
const CLAIM_EXPIRATION: i64 = 4;
const CLAIM_NOT_BEFORE: i64 = 5;
const CLAIM_ISSUED_AT: i64 = 6;
const CLAIM_STATUS_LIST: i64 = 65_533;
const CLAIM_TTL: i64 = 65_534;

/// Who signs a token as CWT.
#[derive(Clone, Copy, Debug)]
pub struct CwtHeader<'a> {
    /// The algorithm of the key.
    pub algorithm: Algorithm,
    /// The key identifier.
    pub kid: Option<&'a [u8]>,
    /// DER certificates, leaf first.
    pub x5chain: &'a [&'a [u8]],
}

impl StatusListClaims {
    /// The token as CWT with tag 18, waiting for its signature.
    #[must_use]
    pub fn cwt(&self, header: CwtHeader<'_>) -> Unsigned<Vec<u8>> {
        let lst = self.list.deflate();
        let mut claims = Encoder::with_capacity(lst.len() + self.uri.len() + 64);
        let optional = usize::from(self.expires_at.is_some()) + usize::from(self.ttl.is_some());
        claims.map(3 + optional).integer(CLAIM_SUBJECT).text(&self.uri);
        if let Some(end) = self.expires_at {
            claims.integer(CLAIM_EXPIRATION).integer(end.unix_seconds());
        }
        claims.integer(CLAIM_ISSUED_AT).integer(self.issued_at.unix_seconds());
        claims.integer(CLAIM_STATUS_LIST).map(2);
        claims.text("bits").unsigned(self.list.bits().count().into()).text("lst").bytes(&lst);
        if let Some(ttl) = self.ttl {
            claims.integer(CLAIM_TTL).unsigned(ttl.as_secs());
        }
        let parts = Sign1Parts {
            payload: claims.as_bytes(),
            x5chain: header.x5chain,
            typ: Some(CWT_TYP),
            kid: header.kid,
            tagged: true,
            ..Sign1Parts::default()
        };
        sign1(header.algorithm, &parts)
    }
}

impl VerifiedStatusList {
    /// Verifies a token as CWT: signature and trust, `typ`, name, dates, and the list itself.
    ///
    /// # Errors
    /// [`Rejection`] for the first rule that does not hold.
    pub fn verify_cwt(
        crypto: &dyn Crypto,
        bytes: &[u8],
        expectation: &Expectation<'_>,
    ) -> Result<Self, Rejection> {
        let token = Sign1::parse(bytes)?;
        let Expectation { anchors, at, .. } = *expectation;
        let judgement = Judgement { crypto, anchors, at, profile: Profile::Leaf };
        let chain = match token.unprotected.x5chain.certificates() {
            [] => token.protected.x5chain,
            _ => token.unprotected.x5chain,
        };
        trusted_key(&judgement, chain.certificates(), Strength::OfAnchor, &|key| {
            token.verify(crypto, key, None, &[], Culprit::Issuer)
        })?;
        if token.protected.typ != Some(CWT_TYP) {
            let typ = token.protected.typ.unwrap_or_default();
            let message = alloc::format!("header `typ` is `{typ}` instead of `{CWT_TYP}`");
            return Err(Rejection::issuer("typ", message));
        }
        read(token.payload.unwrap_or_default())?.judge(expectation)
    }
}

fn read(payload: &[u8]) -> Result<Read<'_>, Rejection> {
    let mut read = Read::default();
    let mut decoder = Decoder::new(payload)?;
    let mut entries = decoder.map()?;
    while decoder.more(&mut entries)? {
        match key(&mut decoder)? {
            Some(CLAIM_SUBJECT) => read.uri = Some(decoder.text()?),
            Some(CLAIM_ISSUED_AT) => read.issued_at = Some(numeric_date(&mut decoder)?),
            Some(CLAIM_NOT_BEFORE) => read.not_before = Some(numeric_date(&mut decoder)?),
            Some(CLAIM_EXPIRATION) => read.expires_at = Some(numeric_date(&mut decoder)?),
            Some(CLAIM_TTL) => read.ttl = Some(decoder.unsigned()?),
            Some(CLAIM_STATUS_LIST) => read_list(&mut decoder, &mut read)?,
            _ => decoder.skip()?,
        }
    }
    Ok(read)
}

fn read_list(decoder: &mut Decoder<'_>, read: &mut Read<'_>) -> Result<(), Rejection> {
    let mut entries = decoder.map()?;
    while decoder.more(&mut entries)? {
        if decoder.kind() != Kind::Text {
            return Err(refuse("has a member whose name is not text"));
        }
        match decoder.text()? {
            "bits" => read.bits = Some(decoder.unsigned()?),
            "lst" => read.compressed = Some(decoder.bytes()?.to_vec()),
            _ => decoder.skip()?,
        }
    }
    Ok(())
}

/// An integer key; a text key is passed and yields nothing.
fn key(decoder: &mut Decoder<'_>) -> Result<Option<i64>, CborError> {
    if decoder.kind() == Kind::Text {
        return decoder.text().map(|_| None);
    }
    decoder.integer().map(Some)
}

/// Whole seconds since 1970, without a tag (RFC 8392, section 2).
fn numeric_date(decoder: &mut Decoder<'_>) -> Result<Instant, CborError> {
    decoder.integer().map(Instant::from_unix_seconds)
}
