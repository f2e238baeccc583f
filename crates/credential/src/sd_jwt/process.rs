//! From digests and disclosures to claims (RFC 9901, section 7.1, steps 3 to 5).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::disclosure::SdJwt;
use super::{DIGESTS, Disclosure, ELEMENT_DIGEST, HASH_NAME, is_reserved};
use crate::crypto::{Crypto, HashAlgorithm};
use crate::jose::json::DEPTH_MAX;
use crate::rejection::{Culprit, Rejection};

/// The claims of an SD-JWT with everything in place that is disclosed.
#[derive(Clone, Debug, PartialEq)]
pub struct Processed {
    /// The processed payload: no digests, no `_sd_alg`.
    pub claims: Map<String, Value>,
    /// Where each disclosure went.
    pub disclosed: Vec<Disclosed>,
    /// The hash function in use.
    pub hash: HashAlgorithm,
}

/// The place of a disclosure in the processed payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosed {
    /// JSON pointer (RFC 6901).
    pub pointer: String,
    /// Index among the disclosures of the SD-JWT.
    pub disclosure: usize,
}

impl SdJwt<'_> {
    /// Puts every disclosure in its place. This checks the digests, not the signature: use
    /// [`super::verify`] for claims that can be trusted.
    ///
    /// # Errors
    /// [`Rejection`]: with culprit `wire` if a disclosure stands twice, of the issuer if one is not
    /// covered by a digest, a digest stands twice, or a rule of section 7.1 is broken.
    pub fn process(&self, crypto: &dyn Crypto) -> Result<Processed, Rejection> {
        let claims = self.jws.claims()?;
        let hash = Self::hash(&claims)?;
        let mut by_digest = BTreeMap::new();
        for (index, disclosure) in self.disclosures.iter().enumerate() {
            if by_digest.insert(disclosure.digest(crypto, hash), index).is_some() {
                let message = format!("disclosure {} stands twice", place_name(disclosure));
                return Err(Rejection::wire("disclosure-repeated", message));
            }
        }
        let mut members = claims.into_members();
        members.remove(HASH_NAME);
        let mut work = Work {
            disclosures: &self.disclosures,
            by_digest,
            digests: BTreeSet::new(),
            disclosed: Vec::new(),
        };
        let claims = work.object(members, "", 0)?;
        if let Some(&index) = work.by_digest.values().next() {
            let name = self.disclosures.get(index).map(place_name).unwrap_or_default();
            let message = format!("no digest of the issuer covers the disclosure {name}");
            return Err(Rejection::issuer("disclosure-unreferenced", message));
        }
        Ok(Processed { claims, disclosed: work.disclosed, hash })
    }
}

/// The state of one walk through the payload.
struct Work<'w, 'a> {
    disclosures: &'w [Disclosure<'a>],
    /// Disclosures not yet in their place.
    by_digest: BTreeMap<String, usize>,
    /// Digests met so far, whether or not something was disclosed for them.
    digests: BTreeSet<String>,
    disclosed: Vec<Disclosed>,
}

impl<'w, 'a> Work<'w, 'a> {
    fn value(&mut self, value: Value, pointer: &str, depth: usize) -> Result<Value, Rejection> {
        match value {
            Value::Object(members) => self.object(members, pointer, depth).map(Value::Object),
            Value::Array(elements) => self.array(elements, pointer, depth).map(Value::Array),
            scalar => Ok(scalar),
        }
    }

    fn object(
        &mut self,
        mut members: Map<String, Value>,
        pointer: &str,
        depth: usize,
    ) -> Result<Map<String, Value>, Rejection> {
        check_depth(depth)?;
        let digests = match members.remove(DIGESTS) {
            None => Vec::new(),
            Some(digests) => {
                texts(digests).ok_or_else(|| broken("`_sd` is not an array of texts"))?
            }
        };
        let mut claims = Map::new();
        for (name, value) in members {
            if is_reserved(&name) {
                return Err(broken(format!("`{name}` stands where it may not")));
            }
            let value = self.value(value, &member_pointer(pointer, &name), depth + 1)?;
            claims.insert(name, value);
        }
        for digest in digests {
            let Some((index, disclosure)) = self.take(digest)? else { continue };
            let Some(name) = &disclosure.name else {
                return Err(broken("an array element is disclosed as a claim"));
            };
            if is_reserved(name) {
                return Err(broken(format!("a claim of the name `{name}` is disclosed")));
            }
            if claims.contains_key(name) {
                return Err(broken(format!("the disclosed claim `{name}` is already there")));
            }
            let pointer = member_pointer(pointer, name);
            self.disclosed.push(Disclosed { pointer: pointer.clone(), disclosure: index });
            let value = self.value(disclosure.value.clone(), &pointer, depth + 1)?;
            claims.insert(name.clone(), value);
        }
        Ok(claims)
    }

    fn array(
        &mut self,
        elements: Vec<Value>,
        pointer: &str,
        depth: usize,
    ) -> Result<Vec<Value>, Rejection> {
        check_depth(depth)?;
        let mut values = Vec::with_capacity(elements.len());
        for element in elements {
            let pointer = format!("{pointer}/{}", values.len());
            let Some(digest) = element_digest(&element)? else {
                values.push(self.value(element, &pointer, depth + 1)?);
                continue;
            };
            let Some((index, disclosure)) = self.take(digest)? else { continue };
            if disclosure.name.is_some() {
                return Err(broken("a claim is disclosed as an array element"));
            }
            self.disclosed.push(Disclosed { pointer: pointer.clone(), disclosure: index });
            values.push(self.value(disclosure.value.clone(), &pointer, depth + 1)?);
        }
        Ok(values)
    }

    /// The disclosure of a digest, if there is one; each digest counts once.
    fn take(&mut self, digest: String) -> Result<Option<(usize, &'w Disclosure<'a>)>, Rejection> {
        let index = self.by_digest.remove(&digest);
        if !self.digests.insert(digest) {
            return Err(Rejection::issuer("digest-repeated", "a digest stands twice"));
        }
        Ok(index.and_then(|index| Some((index, self.disclosures.get(index)?))))
    }
}

/// The digest that an array element stands for, if it is one (section 4.2.4.2).
fn element_digest(element: &Value) -> Result<Option<String>, Rejection> {
    let Some(members) = element.as_object().filter(|m| m.contains_key(ELEMENT_DIGEST)) else {
        return Ok(None);
    };
    match members.get(ELEMENT_DIGEST) {
        Some(Value::String(digest)) if members.len() == 1 => Ok(Some(digest.clone())),
        _ => Err(broken("`...` is not the text that alone stands for an array element")),
    }
}

fn texts(value: Value) -> Option<Vec<String>> {
    let Value::Array(elements) = value else { return None };
    let text = |element| match element {
        Value::String(text) => Some(text),
        _ => None,
    };
    elements.into_iter().map(text).collect()
}

fn check_depth(depth: usize) -> Result<(), Rejection> {
    if depth < DEPTH_MAX {
        return Ok(());
    }
    let message = format!("disclosed claims nest deeper than {DEPTH_MAX}");
    Err(Rejection::new(Culprit::Wire, "disclosure", message))
}

/// JSON pointer of a member (RFC 6901, section 3).
pub(super) fn member_pointer(parent: &str, name: &str) -> String {
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn broken(message: impl Into<String>) -> Rejection {
    Rejection::issuer("sd-jwt-rule", message)
}

fn place_name(disclosure: &Disclosure<'_>) -> String {
    match &disclosure.name {
        Some(name) => format!("of claim `{name}`"),
        None => "of an array element".into(),
    }
}
