//! From digests and disclosures to claims (RFC 9901, section 7.1, steps 3 to 5).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::disclosure::SdJwt;
use super::{DIGESTS, Disclosure, ELEMENT_DIGEST, HASH_NAME, is_reserved};
use crate::crypto::{Crypto, HashAlgorithm};
use crate::jose::json::DEPTH_MAX;
use crate::rejection::{Culprit, Rejection};

/// Bytes in the JSON pointer of a disclosure: each of them is told where it stands, and names that
/// lead to many must not be long.
pub const PLACE_BYTES_MAX: usize = 1024;

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
    /// JSON pointer (RFC 6901), at most [`PLACE_BYTES_MAX`] bytes.
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
    /// covered by a digest, a digest stands twice, a disclosure stands too far in, or a rule of
    /// section 7.1 is broken.
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
            pointer: String::new(),
        };
        let claims = work.object(members, 0)?;
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
    /// Where the walk is. It grows and shrinks, so that no step costs more than its own name.
    pointer: String,
}

impl<'w, 'a> Work<'w, 'a> {
    fn value(&mut self, value: Value, depth: usize) -> Result<Value, Rejection> {
        match value {
            Value::Object(members) => self.object(members, depth).map(Value::Object),
            Value::Array(elements) => self.array(elements, depth).map(Value::Array),
            scalar => Ok(scalar),
        }
    }

    /// The value of a disclosure that stands where the walk is.
    fn disclosed(&mut self, value: &Value, index: usize, depth: usize) -> Result<Value, Rejection> {
        if self.pointer.len() > PLACE_BYTES_MAX {
            let message = format!("a disclosure stands beyond {PLACE_BYTES_MAX} bytes of names");
            return Err(Rejection::issuer("disclosure-place", message));
        }
        self.disclosed.push(Disclosed { pointer: self.pointer.clone(), disclosure: index });
        self.value(value.clone(), depth)
    }

    fn object(
        &mut self,
        mut members: Map<String, Value>,
        depth: usize,
    ) -> Result<Map<String, Value>, Rejection> {
        check_depth(depth)?;
        let digests = match members.remove(DIGESTS) {
            None => Vec::new(),
            Some(digests) => {
                texts(digests).ok_or_else(|| broken("`_sd` is not an array of texts"))?
            }
        };
        let here = self.pointer.len();
        let mut claims = Map::new();
        for (name, value) in members {
            if is_reserved(&name) {
                return Err(broken(format!("`{name}` stands where it may not")));
            }
            push_member(&mut self.pointer, &name);
            let value = self.value(value, depth + 1)?;
            self.pointer.truncate(here);
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
            push_member(&mut self.pointer, name);
            let value = self.disclosed(&disclosure.value, index, depth + 1)?;
            self.pointer.truncate(here);
            claims.insert(name.clone(), value);
        }
        Ok(claims)
    }

    fn array(&mut self, elements: Vec<Value>, depth: usize) -> Result<Vec<Value>, Rejection> {
        check_depth(depth)?;
        let here = self.pointer.len();
        let mut values = Vec::with_capacity(elements.len());
        for element in elements {
            self.pointer.truncate(here);
            push_member(&mut self.pointer, &values.len().to_string());
            let Some(digest) = element_digest(&element)? else {
                values.push(self.value(element, depth + 1)?);
                continue;
            };
            let Some((index, disclosure)) = self.take(digest)? else { continue };
            if disclosure.name.is_some() {
                return Err(broken("a claim is disclosed as an array element"));
            }
            values.push(self.disclosed(&disclosure.value, index, depth + 1)?);
        }
        self.pointer.truncate(here);
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

/// JSON pointer of a member at the top (RFC 6901, section 3).
pub(super) fn top_pointer(name: &str) -> String {
    let mut pointer = String::new();
    push_member(&mut pointer, name);
    pointer
}

/// Leads `pointer` on to the member or element `name`.
fn push_member(pointer: &mut String, name: &str) {
    pointer.push('/');
    for part in name.split_inclusive(['~', '/']) {
        match part.strip_suffix('~') {
            Some(text) => pointer.extend([text, "~0"]),
            None => match part.strip_suffix('/') {
                Some(text) => pointer.extend([text, "~1"]),
                None => pointer.push_str(part),
            },
        }
    }
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
