//! JWS signing inputs (RFC 7515 section 5.1), told apart by the `typ` of their header.
//!
//! Header and payload must both be base64url without padding and JSON objects; the algorithm must
//! be ES256 and nothing may be declared critical.

use base64ct::{Base64UrlUnpadded, Encoding};
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

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Payload {
    vct: Option<String>,
    status_list: Option<IgnoredAny>,
}

fn payload_behind(bytes: &[u8], typ: &str) -> Option<Payload> {
    let text = core::str::from_utf8(bytes).ok()?;
    let (header, payload) = text.split_once('.')?;
    let header = Base64UrlUnpadded::decode_vec(header).ok()?;
    let header: Header = serde_json::from_slice(&header).ok()?;
    if header.typ != typ || header.alg != "ES256" || header.crit.is_some() {
        return None;
    }
    let payload = Base64UrlUnpadded::decode_vec(payload).ok()?;
    serde_json::from_slice(&payload).ok()
}
