//! Making an SD-JWT: chosen claims leave the payload and become disclosures (RFC 9901, section 4).
//!
//! Never draws a salt: the caller brings entropy, one salt for each disclosure and decoy.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt;

use serde_json::{Map, Value, json};

use super::disclosure::{DISCLOSURES_MAX, digest};
use super::{DIGESTS, ELEMENT_DIGEST, HASH_NAME, hash_name, is_reserved};
use crate::crypto::{Crypto, HashAlgorithm};
use crate::jose::{HeaderParts, base64url, sign};
use crate::unsigned::Unsigned;

/// Bytes of a salt, as RFC 9901, section 9.3 recommends.
pub const SALT_BYTES: usize = 16;

/// Fresh entropy for one disclosure or decoy; never used twice.
pub type Salt = [u8; SALT_BYTES];

/// A compact SD-JWT, with or without key binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactSdJwt(pub(super) String);

impl CompactSdJwt {
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

impl fmt::Display for CompactSdJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an SD-JWT is made of.
#[derive(Clone, Debug)]
pub struct IssueRequest<'a> {
    /// The protected header.
    pub header: HeaderParts<'a>,
    /// All claims in plain form.
    pub claims: Map<String, Value>,
    /// JSON pointers (RFC 6901) of the claims and array elements to conceal; a claim and a part of
    /// it may both be named.
    pub concealed: &'a [&'a str],
    /// Digests of nothing, which hide how many claims there are.
    pub decoys: &'a [Decoys<'a>],
    /// The hash function of the digests.
    pub hash: HashAlgorithm,
    /// Entropy: as many as there are concealed claims and decoys.
    pub salts: &'a [Salt],
}

/// Decoy digests for one object or array (section 4.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoys<'a> {
    /// JSON pointer of the object or array; empty for the top.
    pub pointer: &'a str,
    /// How many.
    pub count: usize,
}

/// Why an SD-JWT cannot be issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssueError {
    /// Nothing stands at the pointer, or it was named twice.
    Pointer(String),
    /// A claim has a name that SD-JWT keeps for itself.
    ReservedName(String),
    /// A claim that SD-JWT VC demands in the open.
    NeverConcealed(String),
    /// More than [`DISCLOSURES_MAX`] disclosures and decoys.
    Disclosures,
    /// Another number of salts than needed.
    Salts {
        /// How many are needed.
        needed: usize,
        /// How many were given.
        given: usize,
    },
    /// A salt that was given twice.
    SaltRepeated,
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer(pointer) => write!(f, "cannot conceal `{pointer}`: nothing is there"),
            Self::ReservedName(name) => write!(f, "cannot issue a claim of the name `{name}`"),
            Self::NeverConcealed(name) => write!(f, "cannot conceal the claim `{name}`"),
            Self::Disclosures => write!(f, "more than {DISCLOSURES_MAX} disclosures and decoys"),
            Self::Salts { needed, given } => write!(f, "{needed} salts needed, {given} given"),
            Self::SaltRepeated => f.write_str("a salt was given twice"),
        }
    }
}

impl core::error::Error for IssueError {}

/// An SD-JWT that waits for the issuer's signature.
///
/// # Errors
/// [`IssueError`].
pub fn issue(
    crypto: &dyn Crypto,
    request: IssueRequest<'_>,
) -> Result<Unsigned<CompactSdJwt>, IssueError> {
    let mut payload = Value::Object(request.claims);
    check_names(&payload)?;
    let deeds = deeds(request.concealed, request.decoys)?;
    check_salts(request.salts, deeds.len())?;
    let mut disclosures = Vec::new();
    for (deed, salt) in deeds.into_iter().zip(request.salts) {
        let salt = base64url::encode(salt);
        match deed {
            Deed::Conceal(pointer) => {
                let disclosure = conceal(crypto, request.hash, &mut payload, pointer, salt)?;
                disclosures.push(disclosure);
            }
            Deed::Decoy(pointer) => {
                let decoy = digest(crypto, request.hash, &salt);
                put_decoy(&mut payload, pointer, decoy)?;
            }
        }
    }
    let Value::Object(mut claims) = payload else {
        return Err(IssueError::Pointer(String::new()));
    };
    claims.insert(HASH_NAME.into(), hash_name(request.hash).into());
    // Deeper claims were concealed first; readers like the outer ones first.
    let disclosed: String = disclosures.iter().rev().map(|text| format!("{text}~")).collect();
    let unsigned = sign(request.header, &claims);
    Ok(unsigned.map(move |jws| CompactSdJwt(format!("{jws}~{disclosed}"))))
}

/// One step of the work, with the pointer that it concerns.
enum Deed<'a> {
    Conceal(&'a str),
    Decoy(&'a str),
}

/// All steps, the deepest first: a digest covers the digests inside it.
fn deeds<'a>(concealed: &[&'a str], decoys: &[Decoys<'a>]) -> Result<Vec<Deed<'a>>, IssueError> {
    let wanted = decoys.iter().fold(concealed.len(), |sum, d| sum.saturating_add(d.count));
    if wanted > DISCLOSURES_MAX {
        return Err(IssueError::Disclosures);
    }
    let mut deeds: Vec<_> = concealed.iter().map(|&pointer| Deed::Conceal(pointer)).collect();
    for decoy in decoys {
        deeds.extend((0..decoy.count).map(|_| Deed::Decoy(decoy.pointer)));
    }
    let depth = |pointer: &str| pointer.matches('/').count();
    deeds.sort_by_key(|deed| match deed {
        Deed::Conceal(pointer) => Reverse(depth(pointer)),
        Deed::Decoy(pointer) => Reverse(depth(pointer) + 1),
    });
    Ok(deeds)
}

/// Moves the claim at `pointer` into a disclosure and returns that.
fn conceal(
    crypto: &dyn Crypto,
    hash: HashAlgorithm,
    payload: &mut Value,
    pointer: &str,
    salt: String,
) -> Result<String, IssueError> {
    let nothing = || IssueError::Pointer(pointer.into());
    let (parent, token) = pointer.rsplit_once('/').ok_or_else(nothing)?;
    match payload.pointer_mut(parent).ok_or_else(nothing)? {
        Value::Object(members) => {
            let name = token.replace("~1", "/").replace("~0", "~");
            // The digests that were put here before are no claim.
            let value = if is_reserved(&name) { None } else { members.remove(&name) };
            let value = value.ok_or_else(nothing)?;
            let text = disclosure_text(&json!([salt, name, value]));
            put_digest(members, digest(crypto, hash, &text));
            Ok(text)
        }
        Value::Array(elements) => {
            let element = token.parse::<usize>().ok().and_then(|index| elements.get_mut(index));
            let element = element.filter(|element| element.get(ELEMENT_DIGEST).is_none());
            let element = element.ok_or_else(nothing)?;
            let text = disclosure_text(&json!([salt, element.take()]));
            *element = json!({ELEMENT_DIGEST: digest(crypto, hash, &text)});
            Ok(text)
        }
        _ => Err(nothing()),
    }
}

fn disclosure_text(contents: &Value) -> String {
    base64url::encode(format!("{contents}").as_bytes())
}

/// Puts a digest in its alphabetical place, which says nothing about the claims (section 4.2.4.1).
fn put_digest(members: &mut Map<String, Value>, digest: String) {
    let digests = members.entry(DIGESTS).or_insert_with(|| json!([]));
    if let Some(digests) = digests.as_array_mut() {
        let place = digests.partition_point(|other| other.as_str() < Some(digest.as_str()));
        digests.insert(place, digest.into());
    }
}

fn put_decoy(payload: &mut Value, pointer: &str, decoy: String) -> Result<(), IssueError> {
    match payload.pointer_mut(pointer) {
        Some(Value::Object(members)) => put_digest(members, decoy),
        Some(Value::Array(elements)) => elements.push(json!({ELEMENT_DIGEST: decoy})),
        _ => return Err(IssueError::Pointer(pointer.into())),
    }
    Ok(())
}

fn check_salts(salts: &[Salt], needed: usize) -> Result<(), IssueError> {
    if salts.len() != needed {
        return Err(IssueError::Salts { needed, given: salts.len() });
    }
    let mut sorted = salts.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < needed { Err(IssueError::SaltRepeated) } else { Ok(()) }
}

fn check_names(value: &Value) -> Result<(), IssueError> {
    match value {
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            if is_reserved(name) {
                return Err(IssueError::ReservedName(name.clone()));
            }
            check_names(value)
        }),
        Value::Array(elements) => elements.iter().try_for_each(check_names),
        _ => Ok(()),
    }
}
