//! JWS signing inputs (RFC 7515 section 5.1), told apart by the `typ` of their header.
//!
//! Header and payload must both be base64url without padding and JSON objects; the algorithm must
//! be one that the city signs with, and nothing may be declared critical.

use base64ct::{Base64UrlUnpadded, Encoding};
use credential::crypto::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// `typ` of an SD-JWT VC.
pub const SD_JWT_TYP: &str = "dc+sd-jwt";
/// `typ` of a status list token in JWT form.
pub const STATUS_LIST_TYP: &str = "statuslist+jwt";

/// Whether `bytes` are the signing input of an SD-JWT VC: its `typ`, and a payload with `vct`.
#[must_use]
pub fn is_sd_jwt(bytes: &[u8]) -> bool {
    payload_behind(bytes, SD_JWT_TYP)
        .is_some_and(|payload| payload.vct.is_some() && payload.status_list.is_none())
}

/// Whether `bytes` are the signing input of a status list token.
#[must_use]
pub fn is_status_list(bytes: &[u8]) -> bool {
    payload_behind(bytes, STATUS_LIST_TYP)
        .is_some_and(|payload| payload.status_list.is_some() && payload.vct.is_none())
}

/// The algorithm that the header of a signing input names, if the city signs with it.
#[must_use]
pub fn algorithm(bytes: &[u8]) -> Option<Algorithm> {
    header(core::str::from_utf8(bytes).ok()?.split_once('.')?.0)?.algorithm()
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
    crit: Option<IgnoredAny>,
}

impl Header {
    fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::from_jose_name(&self.alg).filter(|algorithm| *algorithm != Algorithm::EdDsa)
    }
}

#[derive(Deserialize)]
struct Payload {
    vct: Option<String>,
    status_list: Option<IgnoredAny>,
}

fn payload_behind(bytes: &[u8], typ: &str) -> Option<Payload> {
    let text = core::str::from_utf8(bytes).ok()?;
    let (header, payload) = text.split_once('.')?;
    let header = self::header(header)?;
    if header.typ != typ || header.algorithm().is_none() || header.crit.is_some() {
        return None;
    }
    let payload = Base64UrlUnpadded::decode_vec(payload).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn header(text: &str) -> Option<Header> {
    let header = Base64UrlUnpadded::decode_vec(text).ok()?;
    serde_json::from_slice(&header).ok()
}
