//! The holder's side: which disclosures go along, and the proof of possession (RFC 9901,
//! sections 7.2 and 4.3).

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde_json::{Map, Value};

use super::binding::{Challenge, KEY_BINDING_TYP};
use super::disclosure::{SdJwt, digest};
use super::issue::CompactSdJwt;
use crate::crypto::{Algorithm, Crypto, HashAlgorithm};
use crate::jose::{HeaderParts, sign};
use crate::rejection::Rejection;
use crate::unsigned::Unsigned;

/// An SD-JWT with the chosen disclosures and no key binding yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presentation {
    text: String,
    hash: HashAlgorithm,
}

/// Why a choice cannot be disclosed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscloseError {
    /// The SD-JWT that the holder has is bad.
    Rejected(Rejection),
    /// The credential has nothing at this pointer.
    Pointer(String),
}

impl fmt::Display for DiscloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(_) => f.write_str("cannot disclose from a bad SD-JWT"),
            Self::Pointer(pointer) => write!(f, "cannot disclose `{pointer}`: nothing is there"),
        }
    }
}

impl core::error::Error for DiscloseError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Rejected(source) => Some(source),
            Self::Pointer(_) => None,
        }
    }
}

impl SdJwt<'_> {
    /// Keeps what is needed for the claims at `pointers` (RFC 6901, into the claims with all
    /// disclosures in place): each claim with all that lies in it, and what lies on the way to it.
    ///
    /// # Errors
    /// [`DiscloseError`].
    pub fn disclose(
        &self,
        crypto: &dyn Crypto,
        pointers: &[&str],
    ) -> Result<Presentation, DiscloseError> {
        let processed = self.process(crypto).map_err(DiscloseError::Rejected)?;
        let claims = Value::Object(processed.claims);
        if let Some(absent) = pointers.iter().find(|pointer| claims.pointer(pointer).is_none()) {
            return Err(DiscloseError::Pointer((*absent).into()));
        }
        let mut text = format!("{}~", self.jws_text);
        for (index, disclosure) in self.disclosures.iter().enumerate() {
            let place = processed.disclosed.iter().find(|place| place.disclosure == index);
            let chosen = place.is_some_and(|place| {
                pointers.iter().any(|chosen| {
                    lies_in(&place.pointer, chosen) || lies_in(chosen, &place.pointer)
                })
            });
            if chosen {
                text.push_str(disclosure.text);
                text.push('~');
            }
        }
        Ok(Presentation { text, hash: processed.hash })
    }
}

impl Presentation {
    /// The text without key binding; it ends in a tilde.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Adds the holder's proof: a JWT over the challenge and the hash of this very presentation,
    /// to be signed by the key that the credential names in `cnf`.
    #[must_use]
    pub fn bind(
        self,
        crypto: &dyn Crypto,
        algorithm: Algorithm,
        challenge: &Challenge<'_>,
    ) -> Unsigned<CompactSdJwt> {
        let mut claims = Map::new();
        claims.insert("aud".into(), challenge.audience.into());
        claims.insert("iat".into(), challenge.at.unix_seconds().into());
        claims.insert("nonce".into(), challenge.nonce.into());
        claims.insert("sd_hash".into(), digest(crypto, self.hash, &self.text).into());
        let unsigned = sign(HeaderParts::new(algorithm, KEY_BINDING_TYP), &claims);
        unsigned.map(move |proof| CompactSdJwt(format!("{}{proof}", self.text)))
    }
}

/// Whether `inner` is `outer` or a part of it.
fn lies_in(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
