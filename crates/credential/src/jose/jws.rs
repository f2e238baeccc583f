//! JWS in the compact serialization (RFC 7515, section 7.1).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64ct::{Base64, Encoding};
use serde_json::{Map, Value, json};

use super::json::{self, LENGTH_MAX};
use super::{Claims, base64url, jwk};
use crate::cose::CHAIN_LENGTH_MAX;
use crate::crypto::{Algorithm, Crypto, PublicKey};
use crate::rejection::{Culprit, Rejection};
use crate::unsigned::Unsigned;

/// A signed JWS as text: `header.payload.signature`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactJws(String);

impl CompactJws {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, taken out.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for CompactJws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A JWS that was read, not yet verified. The signed text is kept as it came.
#[derive(Clone, Debug)]
pub struct Jws<'a> {
    /// The protected header.
    pub header: Header,
    signing_input: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
    signer: Culprit,
}

/// The protected header of a JWS (RFC 7515, section 4.1), as far as Limen understands it.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// `alg`, from the list of those accepted.
    pub algorithm: Algorithm,
    /// `typ`: the media type, mostly without `application/`.
    pub typ: Option<String>,
    /// `kid`: a hint, no proof.
    pub kid: Option<String>,
    /// `x5c`: DER certificates, leaf first; empty if absent.
    pub x5c: Vec<Vec<u8>>,
    /// `jwk`: the signer's own word for its key.
    pub jwk: Option<PublicKey>,
    /// Every member as it was read.
    pub members: Map<String, Value>,
}

impl<'a> Jws<'a> {
    /// Reads a JWS. `signer` is blamed if what is signed does not hold.
    ///
    /// # Errors
    /// [`Rejection`]: with culprit `wire` if the text is no JWS, of the signer if its algorithm is
    /// not accepted.
    pub fn parse(text: &'a str, signer: Culprit) -> Result<Self, Rejection> {
        if text.len() > LENGTH_MAX {
            return Err(malformed(format!("JWS is longer than {LENGTH_MAX} bytes")));
        }
        let parts = text.rsplit_once('.').and_then(|(signing_input, signature)| {
            let (header, payload) = signing_input.split_once('.')?;
            Some((signing_input, header, payload, signature))
        });
        let Some((signing_input, header, payload, signature)) = parts else {
            return Err(malformed("JWS does not have three parts"));
        };
        let header = Header::parse(&part(header, "header")?, signer)?;
        let payload = part(payload, "payload")?;
        let signature = part(signature, "signature")?;
        Ok(Self { header, signing_input, payload, signature, signer })
    }

    /// Verifies the signature with `key`.
    ///
    /// # Errors
    /// [`Rejection`] of the signer if the algorithm is not the key's or the signature is wrong.
    pub fn verify(&self, crypto: &dyn Crypto, key: &PublicKey) -> Result<(), Rejection> {
        let (algorithm, of_key) = (self.header.algorithm, key.algorithm());
        if algorithm != of_key {
            return Err(Rejection::new(
                self.signer,
                "algorithm-mismatch",
                format!("signature by `{algorithm}`, but the key is for `{of_key}`"),
            ));
        }
        crypto
            .verify(key, self.signing_input.as_bytes(), &self.signature)
            .map_err(|_| Rejection::new(self.signer, "signature", "signature does not verify"))
    }

    /// Demands a `typ`, with or without `application/` before it, in any case of letters.
    ///
    /// # Errors
    /// [`Rejection`] of the signer if it is another or missing.
    pub fn require_typ(&self, expected: &str) -> Result<(), Rejection> {
        let typ = self.header.typ.as_deref().unwrap_or_default();
        let (prefix, bare) = typ.split_at_checked("application/".len()).unwrap_or_default();
        let bare = if prefix.eq_ignore_ascii_case("application/") { bare } else { typ };
        if bare.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        let message = format!("header `typ` is `{typ}` instead of `{expected}`");
        Err(Rejection::new(self.signer, "typ", message))
    }

    /// The payload as it was signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload as claims. They are worth what the signature is worth: verify it first.
    ///
    /// # Errors
    /// [`Rejection`] with culprit `wire` if the payload is not one strict JSON object.
    pub fn claims(&self) -> Result<Claims, Rejection> {
        let members = json::parse_object(&self.payload)
            .map_err(|error| malformed(format!("JWS payload: {error}")))?;
        Ok(Claims::new(members, self.signer))
    }
}

impl Header {
    fn parse(bytes: &[u8], signer: Culprit) -> Result<Self, Rejection> {
        let members =
            json::parse_object(bytes).map_err(|error| malformed(format!("JWS header: {error}")))?;
        if members.contains_key("crit") {
            let message = "JWS header `crit` names what is not understood";
            return Err(Rejection::wire("crit", message));
        }
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(malformed(format!("JWS header `{name}` is not text"))),
        };
        let name = text("alg")?.ok_or_else(|| malformed("JWS header names no algorithm"))?;
        let algorithm = Algorithm::from_jose_name(&name).ok_or_else(|| {
            Rejection::new(signer, "algorithm", format!("algorithm `{name}` is not accepted"))
        })?;
        let (typ, kid) = (text("typ")?, text("kid")?);
        let x5c = members.get("x5c").map(parse_x5c).transpose()?.unwrap_or_default();
        let jwk = members.get("jwk").map(jwk::parse).transpose()?;
        Ok(Self { algorithm, typ, kid, x5c, jwk, members })
    }
}

/// What the protected header of a new JWS holds.
#[derive(Clone, Copy, Debug)]
pub struct HeaderParts<'a> {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `typ`.
    pub typ: &'a str,
    /// `kid`.
    pub kid: Option<&'a str>,
    /// `x5c`: DER certificates, leaf first.
    pub x5c: &'a [&'a [u8]],
    /// `jwk`: the key by which the signature is to be verified.
    pub jwk: Option<&'a PublicKey>,
    /// `key_attestation`: what is vouched for about the signer's key (OpenID4VCI 1.0, F.1).
    pub key_attestation: Option<&'a str>,
}

impl<'a> HeaderParts<'a> {
    /// A header with `alg` and `typ` only.
    #[must_use]
    pub const fn new(algorithm: Algorithm, typ: &'a str) -> Self {
        Self { algorithm, typ, kid: None, x5c: &[], jwk: None, key_attestation: None }
    }

    fn to_json(self) -> Value {
        let mut header = json!({"alg": self.algorithm.jose_name(), "typ": self.typ});
        let mut put = |name: &str, value: Value| {
            if let Some(members) = header.as_object_mut() {
                members.insert(name.into(), value);
            }
        };
        if let Some(kid) = self.kid {
            put("kid", kid.into());
        }
        if !self.x5c.is_empty() {
            put("x5c", self.x5c.iter().map(|der| Base64::encode_string(der)).collect());
        }
        if let Some(key) = self.jwk {
            put("jwk", jwk::write(key));
        }
        if let Some(attestation) = self.key_attestation {
            put("key_attestation", attestation.into());
        }
        header
    }
}

/// A JWS over `claims` that waits for its signature.
#[must_use]
pub fn sign(header: HeaderParts<'_>, claims: &Map<String, Value>) -> Unsigned<CompactJws> {
    let payload = Value::Object(claims.clone());
    let [header_text, payload_text] =
        [header.to_json(), payload].map(|value| base64url::encode(format!("{value}").as_bytes()));
    let signing_input = format!("{header_text}.{payload_text}");
    Unsigned::new(header.algorithm, signing_input.clone().into_bytes(), move |signature| {
        CompactJws(format!("{signing_input}.{}", base64url::encode(signature.as_bytes())))
    })
}

fn malformed(message: impl Into<String>) -> Rejection {
    Rejection::wire("jws", message)
}

fn part(text: &str, name: &str) -> Result<Vec<u8>, Rejection> {
    base64url::decode(text).ok_or_else(|| malformed(format!("JWS {name} is not base64url")))
}

/// `x5c` is an array of base64 (not base64url) DER certificates (RFC 7515, section 4.1.6).
fn parse_x5c(value: &Value) -> Result<Vec<Vec<u8>>, Rejection> {
    let certificates =
        value.as_array().filter(|array| !array.is_empty() && array.len() <= CHAIN_LENGTH_MAX);
    let certificates = certificates.ok_or_else(|| {
        malformed(format!("JWS header `x5c` does not hold 1 to {CHAIN_LENGTH_MAX} certificates"))
    })?;
    let decode = |value: &Value| value.as_str().and_then(|text| Base64::decode_vec(text).ok());
    certificates
        .iter()
        .map(decode)
        .collect::<Option<_>>()
        .ok_or_else(|| malformed("JWS header `x5c` holds what is not base64"))
}
