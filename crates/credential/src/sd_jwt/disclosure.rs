//! The parts of an SD-JWT as they came (RFC 9901, sections 4 and 4.2).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::{HASH_NAME, hash_name};
use crate::crypto::{Crypto, HashAlgorithm};
use crate::jose::json::{self, LENGTH_MAX};
use crate::jose::{Claims, Jws, base64url};
use crate::rejection::{Culprit, Rejection};

/// The most disclosures of one SD-JWT.
pub const DISCLOSURES_MAX: usize = 1024;

/// An SD-JWT that was read, not yet verified.
#[derive(Clone, Debug)]
pub struct SdJwt<'a> {
    /// The JWT of the issuer.
    pub jws: Jws<'a>,
    /// What is disclosed, in the order of the text.
    pub disclosures: Vec<Disclosure<'a>>,
    /// The holder's proof of possession, if there is one.
    pub key_binding: Option<Jws<'a>>,
    /// The JWT of the issuer as text.
    pub(super) jws_text: &'a str,
    /// All up to the last tilde: what `sd_hash` covers.
    pub(super) bound_text: &'a str,
}

/// One disclosed claim or array element.
#[derive(Clone, Debug, PartialEq)]
pub struct Disclosure<'a> {
    /// The base64url text, over which the digest is taken.
    pub text: &'a str,
    /// What makes the digest unguessable.
    pub salt: String,
    /// The name of the claim; nothing for an array element.
    pub name: Option<String>,
    /// The value, which may itself hold digests.
    pub value: Value,
}

impl<'a> SdJwt<'a> {
    /// Reads the compact form, white space around it not included.
    ///
    /// # Errors
    /// [`Rejection`] with culprit `wire` if the text is no SD-JWT, or of the signer of the part
    /// whose algorithm is not accepted.
    pub fn parse(text: &'a str) -> Result<Self, Rejection> {
        if text.len() > LENGTH_MAX {
            return Err(malformed(format!("SD-JWT is longer than {LENGTH_MAX} bytes")));
        }
        let (jws_text, _) = text.split_once('~').ok_or_else(|| malformed("SD-JWT has no tilde"))?;
        let (disclosed, proof) = text.rsplit_once('~').unwrap_or_default();
        let bound_text = text.get(..=disclosed.len()).unwrap_or_default();
        if disclosed.split('~').count() > DISCLOSURES_MAX + 1 {
            let message = format!("SD-JWT holds more than {DISCLOSURES_MAX} disclosures");
            return Err(malformed(message));
        }
        let jws = Jws::parse(jws_text, Culprit::Issuer)?;
        let disclosures =
            disclosed.split('~').skip(1).map(Disclosure::parse).collect::<Result<_, _>>()?;
        let key_binding = match proof {
            "" => None,
            _ => Some(Jws::parse(proof, Culprit::Holder)?),
        };
        Ok(Self { jws, disclosures, key_binding, jws_text, bound_text })
    }

    /// The hash function that the issuer named, SHA-256 if none (section 4.1.1).
    ///
    /// # Errors
    /// [`Rejection`] of the issuer if it is not on the list.
    pub(super) fn hash(claims: &Claims) -> Result<HashAlgorithm, Rejection> {
        let name = claims.text(HASH_NAME)?.unwrap_or("sha-256");
        [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512]
            .into_iter()
            .find(|&hash| hash_name(hash) == name)
            .ok_or_else(|| {
                let message = format!("hash function `{name}` is not accepted");
                Rejection::issuer("hash-algorithm", message)
            })
    }
}

impl<'a> Disclosure<'a> {
    /// Reads one disclosure: `[salt, name, value]` or `[salt, value]` in base64url.
    ///
    /// # Errors
    /// [`Rejection`] with culprit `wire`.
    pub fn parse(text: &'a str) -> Result<Self, Rejection> {
        let bytes = base64url::decode(text).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or_else(|| refuse("is not base64url"))?;
        let value = json::parse(&bytes).map_err(|error| refuse(&format!("is no JSON: {error}")))?;
        let Value::Array(items) = value else { return Err(refuse("is no JSON array")) };
        let (salt, name, value) = match <[Value; 3]>::try_from(items) {
            Ok([salt, Value::String(name), value]) => (salt, Some(name), value),
            Ok(_) => return Err(refuse("has a claim name that is not text")),
            Err(items) => match <[Value; 2]>::try_from(items) {
                Ok([salt, value]) => (salt, None, value),
                Err(_) => return Err(refuse("has neither two nor three elements")),
            },
        };
        let Value::String(salt) = salt else { return Err(refuse("has a salt that is not text")) };
        Ok(Self { text, salt, name, value })
    }

    /// The digest as it stands in the issuer's JWT (section 4.2.3).
    #[must_use]
    pub fn digest(&self, crypto: &dyn Crypto, hash: HashAlgorithm) -> String {
        digest(crypto, hash, self.text)
    }
}

/// The base64url of the digest of `text` as it stands.
pub(super) fn digest(crypto: &dyn Crypto, hash: HashAlgorithm, text: &str) -> String {
    base64url::encode(crypto.digest(hash, text.as_bytes()).as_bytes())
}

fn malformed(message: impl Into<String>) -> Rejection {
    Rejection::wire("sd-jwt", message)
}

fn refuse(what: &str) -> Rejection {
    Rejection::wire("disclosure", format!("disclosure {what}"))
}
