//! Public keys as JWK (RFC 7517, RFC 7518 section 6.2, RFC 8037, RFC 9964) and their thumbprint (RFC 7638).
//!
//! Never reads a private key: a JWK with a `d` or `priv` member is refused, so that a secret that ended up
//! in the wrong place is noticed.

use alloc::format;
use alloc::string::String;

use serde_json::{Map, Value, json};

use super::base64url;
use crate::composite::CompositeKey;
use crate::crypto::{Algorithm, Crypto, PublicKey};
use crate::rejection::Rejection;

/// `alg` of an algorithm key pair that is a composite.
const COMPOSITE: &str = Algorithm::MlDsa44Es256.jose_name();

/// The public key in a JWK: EC on P-256 or P-384, OKP with Ed25519, or AKP of the composite.
///
/// # Errors
/// [`Rejection`] with culprit `wire`: another kind of key, coordinates that are not in full, a
/// private key, or a `use` or `alg` that forbids signatures of this kind.
pub fn parse(jwk: &Value) -> Result<PublicKey, Rejection> {
    let members = jwk.as_object().ok_or_else(|| refuse("JWK is not a JSON object"))?;
    if members.contains_key("d") || members.contains_key("priv") {
        return Err(Rejection::wire("jwk-private", "JWK holds a private key"));
    }
    let text = |name| members.get(name).and_then(Value::as_str);
    let key = match (text("kty"), text("crv")) {
        (Some("EC"), Some("P-256")) => point(members).map(PublicKey::P256),
        (Some("EC"), Some("P-384")) => point(members).map(PublicKey::P384),
        (Some("OKP"), Some("Ed25519")) => coordinate(members, "x").map(PublicKey::Ed25519),
        (Some("AKP"), None) if text("alg") == Some(COMPOSITE) => whole(members),
        (kty, curve) => {
            let kind = [kty.unwrap_or("none"), curve.unwrap_or("none")];
            return Err(refuse(format!("JWK of kty `{}` and crv `{}`", kind[0], kind[1])));
        }
    };
    let key = key.ok_or_else(|| refuse("JWK coordinates do not have the length of the curve"))?;
    if members.contains_key("alg") && text("alg") != Some(key.algorithm().jose_name()) {
        return Err(refuse(format!("JWK is for another algorithm than `{}`", key.algorithm())));
    }
    if members.contains_key("use") && text("use") != Some("sig") {
        return Err(refuse("JWK is not for signatures"));
    }
    Ok(key)
}

/// The JWK of a public key, with the required members only.
#[must_use]
pub fn write(key: &PublicKey) -> Value {
    let coordinates = |curve: &str, point: &[u8]| {
        let (x, y) = halves(point);
        json!({"kty": "EC", "crv": curve, "x": base64url::encode(x), "y": base64url::encode(y)})
    };
    match key {
        PublicKey::P256(point) => coordinates("P-256", point),
        PublicKey::P384(point) => coordinates("P-384", point),
        PublicKey::Ed25519(x) => {
            json!({"kty": "OKP", "crv": "Ed25519", "x": base64url::encode(x)})
        }
        PublicKey::Composite(key) => {
            json!({"kty": "AKP", "alg": COMPOSITE, "pub": base64url::encode(key.as_bytes())})
        }
    }
}

/// The SHA-256 thumbprint of a key (RFC 7638, section 3), 32 bytes; JOSE writes it in base64url.
#[must_use]
pub fn thumbprint(crypto: &dyn Crypto, key: &PublicKey) -> [u8; 32] {
    // The required members in lexical order without white space; base64url needs no escaping.
    let elliptic = |curve: &str, point: &[u8]| {
        let (x, y) = halves(point);
        let (x, y) = (base64url::encode(x), base64url::encode(y));
        format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
    };
    let canonical = match key {
        PublicKey::P256(point) => elliptic("P-256", point),
        PublicKey::P384(point) => elliptic("P-384", point),
        PublicKey::Ed25519(x) => {
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url::encode(x))
        }
        PublicKey::Composite(key) => {
            let key = base64url::encode(key.as_bytes());
            format!(r#"{{"alg":"{COMPOSITE}","kty":"AKP","pub":"{key}"}}"#)
        }
    };
    crypto.sha256(canonical.as_bytes())
}

fn refuse(message: impl Into<String>) -> Rejection {
    Rejection::wire("jwk", message)
}

/// The two coordinates of an uncompressed point.
fn halves(point: &[u8]) -> (&[u8], &[u8]) {
    let coordinates = point.get(1..).unwrap_or_default();
    coordinates.split_at(coordinates.len() / 2)
}

fn coordinate<const N: usize>(members: &Map<String, Value>, name: &str) -> Option<[u8; N]> {
    base64url::decode(members.get(name)?.as_str()?)?.try_into().ok()
}

/// The one string of bytes of an algorithm key pair.
fn whole(members: &Map<String, Value>) -> Option<PublicKey> {
    let bytes = base64url::decode(members.get("pub")?.as_str()?)?;
    CompositeKey::from_bytes(&bytes).map(PublicKey::from)
}

/// 0x04, x, y, if both coordinates have the length of the curve (RFC 7518, section 6.2.1.2).
fn point<const N: usize>(members: &Map<String, Value>) -> Option<[u8; N]> {
    let mut point = [4; N];
    let (_, coordinates) = point.split_first_mut()?;
    let (to_x, to_y) = coordinates.split_at_mut(coordinates.len() / 2);
    for (to, name) in [(to_x, "x"), (to_y, "y")] {
        let value = base64url::decode(members.get(name)?.as_str()?)?;
        if value.len() != to.len() {
            return None;
        }
        to.copy_from_slice(&value);
    }
    Some(point)
}
