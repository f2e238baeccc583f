//! The keys of a token as its objects describe them, and those that are not used, with what is wrong.
//!
//! A key is three objects with one `CKA_ID`: the private key, whose label counts, the public key, and
//! the certificate once there is one. Private keys without a label of ours are nobody's business here.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::custody::{CERTIFICATE_BYTES_MAX, KEYS_MAX, Key, KeyHandle};
use crate::object::certificate;
use crate::purpose::Purpose;
use crate::token::Role;
use crate::token::class::{Class, Flag};
use crate::token::label::{self, Description};
use crate::token::mechanism::SuiteOnToken;
use crate::token::pool::Connection;

/// What was read in one go.
pub(crate) struct Listing {
    pub(crate) keys: Arc<[Key]>,
    pub(crate) refused: Arc<[RefusedKey]>,
    /// The private keys of `keys`, one for one; they hold on `connection`.
    pub(crate) handles: Vec<ObjectHandle>,
    pub(crate) connection: Connection,
    /// The highest number of a key.
    pub(crate) number_max: u32,
    numbers: Vec<u32>,
}

impl Listing {
    pub(crate) fn find(&self, handle: &KeyHandle) -> Option<(&Key, ObjectHandle)> {
        let position = self.keys.iter().position(|key| key.handle == *handle)?;
        Some((self.keys.get(position)?, *self.handles.get(position)?))
    }

    /// The number of the key `handle`, in the order of making.
    pub(crate) fn number(&self, handle: &KeyHandle) -> Option<u32> {
        let position = self.keys.iter().position(|key| key.handle == *handle)?;
        self.numbers.get(position).copied()
    }

    /// Reads the objects of the token.
    pub(crate) fn read(
        session: &Session,
        connection: Connection,
        role: Role,
        held_by: &Arc<str>,
    ) -> Result<Self, Error> {
        let publics = publics(session)?;
        let certificates = certificates(session)?;
        let mut found = Vec::new();
        for private in session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])? {
            found.extend(Found::read(session, private)?);
        }
        let judged = judge(found, &publics, &certificates, role, held_by);
        let number_max = judged.used.iter().map(|used| used.number).max().unwrap_or(0);
        let numbers = judged.used.iter().map(|used| used.number).collect();
        let handles = judged.used.iter().map(|used| used.private).collect();
        let keys = judged.used.into_iter().map(|used| used.key).collect();
        let refused = judged.refused.into();
        Ok(Self { keys, refused, handles, connection, number_max, numbers })
    }
}

/// A key of ours that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedKey {
    /// `CKA_LABEL`.
    pub label: String,
    /// `CKA_ID`, in hexadecimal digits.
    pub id: String,
    /// What is wrong with it.
    pub fault: KeyFault,
}

impl fmt::Display for RefusedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key `{}` (`{}`) is not used: {}", self.id, self.label, self.fault)
    }
}

/// Why a key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// It may do more, or less, than keys of its class.
    Usage {
        /// The class of its purpose.
        class: Class,
        /// The attribute at fault.
        attribute: Flag,
        /// The value that it has.
        value: bool,
    },
    /// Its label is ours and of no known form.
    Label,
    /// Its making was not finished.
    Unfinished,
    /// There is no public key with its `CKA_ID`, or it is of no known curve.
    PublicKey,
    /// Its `CKA_ID` is not the handle of its public key.
    Id,
    /// Its label names a suite that is not that of its curve, or that its purpose does not allow.
    Suite,
    /// The root lies on a token of its own.
    Role {
        /// Its purpose.
        purpose: Purpose,
    },
    /// Another key has the same `CKA_ID`.
    Twice,
    /// It is past the limit of keys.
    TooMany,
}

impl KeyFault {
    /// Whether the key is in order but lies on a token of the other role.
    #[must_use]
    pub const fn is_of_other_role(&self) -> bool {
        matches!(self, Self::Role { .. })
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage { class, attribute, value } => {
                write!(f, "it has `{attribute}={value}`, which a key of class `{class}` has not")
            }
            Self::Label => f.write_str("its label is of no known form"),
            Self::Unfinished => f.write_str("its making was not finished"),
            Self::PublicKey => f.write_str("it has no public key of a known curve"),
            Self::Id => f.write_str("its `CKA_ID` is not that of its public key"),
            Self::Suite => f.write_str("its suite is not that of its curve or its purpose"),
            Self::Role { purpose } => {
                write!(f, "a key for `{purpose}` does not belong on this token")
            }
            Self::Twice => f.write_str("another key has its `CKA_ID`"),
            Self::TooMany => write!(f, "the token has more than `{KEYS_MAX}` keys"),
        }
    }
}

/// A private key as its attributes tell, without judgement.
struct Found<H> {
    private: H,
    label: String,
    id: Vec<u8>,
    /// Of its class, and possibly more.
    attributes: Vec<Attribute>,
}

impl Found<ObjectHandle> {
    /// `None` for a key whose label is not ours.
    fn read(session: &Session, private: ObjectHandle) -> Result<Option<Self>, Error> {
        let mut asked = vec![AttributeType::Label, AttributeType::Id];
        let rules = [Class::Online, Class::Root].map(Class::rules);
        asked.extend(rules.iter().flat_map(|rules| rules.asked()));
        let attributes = session.get_attributes(private, &asked)?;
        let label = label_of(&attributes);
        let id = id_of(&attributes);
        let is_ours = label.starts_with(label::PREFIX);
        Ok(is_ours.then_some(Self { private, label, id, attributes }))
    }
}

struct Public {
    curve: Vec<u8>,
    point: Vec<u8>,
}

struct Used<H> {
    number: u32,
    key: Key,
    private: H,
}

struct Judged<H> {
    used: Vec<Used<H>>,
    refused: Vec<RefusedKey>,
}

type Publics = BTreeMap<Vec<u8>, Public>;
type Certificates = BTreeMap<Vec<u8>, Vec<u8>>;

fn judge<H>(
    found: Vec<Found<H>>,
    publics: &Publics,
    certificates: &Certificates,
    role: Role,
    held_by: &Arc<str>,
) -> Judged<H> {
    let mut used: Vec<Used<H>> = Vec::new();
    let mut refused = Vec::new();
    for Found { private, label, id, attributes } in found {
        match judge_one(&label, &id, &attributes, publics, role, held_by) {
            Ok((number, mut key)) => {
                let attached = certificates.get(&id);
                key.certificate =
                    attached.filter(|der| fits(der, &key)).map(|der| Arc::from(&**der));
                used.push(Used { number, key, private });
            }
            Err(fault) => refused.push(RefusedKey { label, id: hex(&id), fault }),
        }
    }
    used.sort_by_key(|used| (used.number, used.key.created_at, used.key.handle));
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for one in used {
        let fault = if !seen.insert(one.key.handle) {
            KeyFault::Twice
        } else if kept.len() >= KEYS_MAX {
            KeyFault::TooMany
        } else {
            kept.push(one);
            continue;
        };
        let label = Description::of(one.number, &one.key).to_string();
        refused.push(RefusedKey { label, id: hex(one.key.handle.as_bytes()), fault });
    }
    Judged { used: kept, refused }
}

fn judge_one(
    label: &str,
    id: &[u8],
    attributes: &[Attribute],
    publics: &Publics,
    role: Role,
    held_by: &Arc<str>,
) -> Result<(u32, Key), KeyFault> {
    if label == label::UNFINISHED {
        return Err(KeyFault::Unfinished);
    }
    let Description { number, purpose, operator, suite, created_at, state, state_since } =
        Description::parse(label).ok_or(KeyFault::Label)?;
    if !role.holds(purpose) {
        return Err(KeyFault::Role { purpose });
    }
    let public = publics.get(id).ok_or(KeyFault::PublicKey)?;
    let on_token = SuiteOnToken::of_curve(&public.curve).ok_or(KeyFault::PublicKey)?;
    let public_key = on_token.public_key(&public.point).ok_or(KeyFault::PublicKey)?;
    let handle = KeyHandle::of(public_key.as_bytes());
    if handle.as_bytes() != id {
        return Err(KeyFault::Id);
    }
    if on_token.suite != suite || !purpose.allows(suite) {
        return Err(KeyFault::Suite);
    }
    let class = Class::of(purpose);
    if let Some((attribute, value)) = class.rules().broken_by(attributes) {
        return Err(KeyFault::Usage { class, attribute, value });
    }
    let key = Key {
        handle,
        purpose,
        suite,
        operator,
        created_at,
        public_key,
        certificate: None,
        state,
        state_since,
        held_by: Arc::clone(held_by),
    };
    Ok((number, key))
}

fn fits(der: &[u8], key: &Key) -> bool {
    der.len() <= CERTIFICATE_BYTES_MAX && certificate::certifies(der, &key.public_key)
}

fn publics(session: &Session) -> Result<Publics, Error> {
    let asked = [AttributeType::Id, AttributeType::EcParams, AttributeType::EcPoint];
    let mut publics = Publics::new();
    for handle in session.find_objects(&[Attribute::Class(ObjectClass::PUBLIC_KEY)])? {
        let (mut curve, mut point) = (Vec::new(), Vec::new());
        let attributes = session.get_attributes(handle, &asked)?;
        let id = id_of(&attributes);
        for attribute in attributes {
            match attribute {
                Attribute::EcParams(bytes) => curve = bytes,
                Attribute::EcPoint(bytes) => point = bytes,
                _ => {}
            }
        }
        publics.insert(id, Public { curve, point });
    }
    Ok(publics)
}

/// The certificate of each key that was attached last.
fn certificates(session: &Session) -> Result<Certificates, Error> {
    let mut newest: BTreeMap<Vec<u8>, (u32, Vec<u8>)> = BTreeMap::new();
    for (handle, id, number) in certificate_objects(session)? {
        if newest.get(&id).is_some_and(|(other, _)| *other > number) {
            continue;
        }
        let value = session.get_attributes(handle, &[AttributeType::Value])?;
        if let Some(Attribute::Value(der)) = value.into_iter().next() {
            newest.insert(id, (number, der));
        }
    }
    Ok(newest.into_iter().map(|(id, (_, der))| (id, der)).collect())
}

/// Our certificates: the object, the `CKA_ID` of its key, its number.
pub(crate) fn certificate_objects(
    session: &Session,
) -> Result<Vec<(ObjectHandle, Vec<u8>, u32)>, Error> {
    let mut found = Vec::new();
    for handle in session.find_objects(&[Attribute::Class(ObjectClass::CERTIFICATE)])? {
        let attributes =
            session.get_attributes(handle, &[AttributeType::Label, AttributeType::Id])?;
        if let Some(number) = label::certificate_number(&label_of(&attributes)) {
            found.push((handle, id_of(&attributes), number));
        }
    }
    Ok(found)
}

pub(crate) fn label_of(attributes: &[Attribute]) -> String {
    let label = attributes.iter().find_map(|attribute| match attribute {
        Attribute::Label(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    });
    label.unwrap_or_default()
}

pub(crate) fn id_of(attributes: &[Attribute]) -> Vec<u8> {
    let id = attributes.iter().find_map(|attribute| match attribute {
        Attribute::Id(bytes) => Some(bytes.clone()),
        _ => None,
    });
    id.unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURVE: &[u8] = &[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];

    /// Keys in order, with points that are none: nobody computes with them here.
    fn judged(numbers: impl Iterator<Item = u32>) -> Judged<u32> {
        let mut publics = Publics::new();
        let found = numbers
            .map(|number| {
                let point = [&[4; 61][..], &number.to_be_bytes()].concat();
                let id = KeyHandle::of(&point).as_bytes().to_vec();
                publics.insert(id.clone(), Public { curve: CURVE.to_vec(), point });
                let rules = Class::Online.rules();
                let attributes = rules.held();
                Found {
                    private: number,
                    label: format!(
                        "limen:1 {number} bundle - ES256 2026-09-21T14:13:20Z active \
                         2026-09-21T14:13:20Z"
                    ),
                    id,
                    attributes: attributes.map(|(flag, value)| flag.attribute(value)).collect(),
                }
            })
            .collect();
        judge(found, &publics, &Certificates::new(), Role::City, &Arc::from("token:test"))
    }

    #[test]
    fn keys_are_used_up_to_the_limit_and_the_newest_past_it_is_named() {
        let limit = u32::try_from(KEYS_MAX).unwrap();
        let Judged { used, refused } = judged((1..=limit).rev());
        assert_eq!((used.len(), refused.len()), (KEYS_MAX, 0));
        assert!(used.iter().map(|used| used.private).eq(1..=limit));
        let Judged { used, refused } = judged((1..=limit + 1).rev());
        assert_eq!(used.len(), KEYS_MAX);
        assert_eq!(refused.iter().map(|key| key.fault).collect::<Vec<_>>(), [KeyFault::TooMany]);
        assert!(refused[0].label.starts_with(&format!("limen:1 {} ", limit + 1)));
    }

    #[test]
    fn second_private_key_of_one_name_is_not_used() {
        let Judged { used, refused } = judged([7, 7].into_iter());
        assert_eq!(used.len(), 1);
        assert_eq!(refused[0].fault, KeyFault::Twice);
    }
}
