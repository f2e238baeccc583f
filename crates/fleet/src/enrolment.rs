//! Enrolment: a place and a one-time code that wait for a reader.
//!
//! Staff makes the code; whoever mounts the reader types it in; the reader makes its own key,
//! proves that it holds it over a challenge that only the code gives, and gets a certificate. The
//! code is 80 bits of entropy, stored as a SHA-256 hash, good for [`TRIES_MAX`] tries within
//! [`LIFE_MAX`], and never for two readers.

use core::time::Duration;
use std::fmt;

use credential::crypto::Crypto;
use credential::unsigned::Unsigned;
use credential::x509::build::SERIAL_ENTROPY_BYTES;
use policy::action::Action;
use policy::actor::{Actor, Object};
use policy::authorize::Permit;
use policy::place::PlaceTree;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use vocabulary::code::{OperatorCode, PlaceCode};
use vocabulary::id::{EnrolmentId, ReaderId};
use vocabulary::text::Line;
use vocabulary::time::Instant;

use crate::certificate::{Authority, Named, ProvenKey, certificate};
use crate::change::Change;
use crate::reader::{DOORS_MAX, JournalHead, LABEL_BYTES_MAX, Reader, ReaderState};
use crate::refusal::Refusal;
use crate::secret::{ReaderSecret, SECRET_BYTES};

/// Wrong codes after which an enrolment is dead.
pub const TRIES_MAX: u8 = 5;
/// How long a code waits for its reader.
pub const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Enrolments that may wait at a time, per operator.
pub const WAITING_MAX: usize = 1_000;
/// Bytes of entropy in a code.
pub const CODE_BYTES: usize = 10;

const HASH_DOMAIN: &[u8] = b"limen enrolment code 1\0";
const CHALLENGE_DOMAIN: &[u8] = b"limen enrolment challenge 1\0";

/// An enrolment as it is stored: without its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// The key; it also stands in the code.
    pub id: EnrolmentId,
    /// The operator to which the reader will belong.
    pub operator: OperatorCode,
    /// What the reader will be called.
    pub label: Line<LABEL_BYTES_MAX>,
    /// The doors that the reader will serve, 1 to [`DOORS_MAX`].
    pub doors: Vec<PlaceCode>,
    /// Hash over identifier and code.
    pub hash: CodeHash,
    /// Wrong codes that it still takes; at 0 it is dead.
    pub tries_left: u8,
    /// When it was made.
    pub created_at: Instant,
    /// From this instant on the code is worth nothing.
    pub expires_at: Instant,
    /// The reader that used it, if one did.
    pub used_by: Option<ReaderId>,
    /// Counts the writes, from 1.
    pub version: u32,
}

impl Enrolment {
    /// Whether a right code would be accepted at `now`.
    #[must_use]
    pub fn is_waiting(&self, now: Instant) -> bool {
        self.used_by.is_none() && self.tries_left > 0 && now < self.expires_at
    }

    pub(crate) fn next(&self) -> Self {
        Self { version: self.version.saturating_add(1), ..self.clone() }
    }
}

/// The stored form of a code: 32 bytes, compared in constant time.
#[derive(Clone, Copy)]
pub struct CodeHash([u8; 32]);

impl CodeHash {
    /// From the bytes in the store.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes for the store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for CodeHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for CodeHash {}

impl fmt::Debug for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeHash(..)")
    }
}

/// A one-time code as it is typed in: `enrolment_<26 characters>.<20 hexadecimal digits>`.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentCode {
    id: EnrolmentId,
    secret: [u8; CODE_BYTES],
}

impl EnrolmentCode {
    /// Reads a code.
    ///
    /// # Errors
    /// [`Refusal::Code`], as for every code that opens nothing.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let (id, digits) = text.split_once('.').ok_or(Refusal::Code)?;
        let id = id.parse().map_err(|_| Refusal::Code)?;
        let is_lower_hex = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if digits.len() != 2 * CODE_BYTES || !is_lower_hex {
            return Err(Refusal::Code);
        }
        // INVARIANT: twenty hexadecimal digits fill eighty bits.
        let value = u128::from_str_radix(digits, 16).map_err(|_| Refusal::Code)?;
        let [_, _, _, _, _, _, secret @ ..] = value.to_be_bytes();
        Ok(Self { id, secret })
    }

    /// The identifier, by which the stored enrolment is found.
    #[must_use]
    pub const fn id(&self) -> EnrolmentId {
        self.id
    }

    /// The text to be typed into the reader. It is shown once, when the enrolment is made.
    #[must_use]
    pub fn danger_text(&self) -> String {
        let secret = self.secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("{}.{secret}", self.id)
    }

    /// The message that the reader signs with its new key to prove that it holds it. Only who has
    /// the code can build it, and it is good for this `key` alone.
    #[must_use]
    pub fn challenge(&self, key: &[u8; 65]) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(self.id.as_bytes());
        hash.update(self.secret);
        hash.update(key);
        [CHALLENGE_DOMAIN, hash.finalize().as_slice()].concat()
    }

    fn hash(&self) -> CodeHash {
        let mut hash = Sha256::new();
        hash.update(HASH_DOMAIN);
        hash.update(self.id.as_bytes());
        hash.update(self.secret);
        CodeHash(hash.finalize().into())
    }
}

impl fmt::Debug for EnrolmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolmentCode({})", self.id)
    }
}

/// What is asked when a reader is invited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// What the reader will be called.
    pub label: Line<LABEL_BYTES_MAX>,
    /// The doors that it will serve.
    pub doors: Vec<PlaceCode>,
}

/// What the caller draws at random for an enrolment.
#[derive(Clone)]
pub struct EnrolmentEntropy {
    /// For the identifier.
    pub id: [u8; 10],
    /// The code itself.
    pub secret: [u8; CODE_BYTES],
}

/// Makes an enrolment and its one-time code; the code goes to whoever mounts the reader. Its doors
/// are places of the permit's operator in `tree`; `waiting` is how many enrolments wait there now.
///
/// # Errors
/// [`Refusal::Doors`], [`Refusal::NoPlace`], [`Refusal::EnrolmentsTooMany`], [`Refusal::Permit`].
pub fn invite_reader(
    permit: &Permit,
    tree: &PlaceTree,
    waiting: usize,
    request: Invitation,
    now: Instant,
    entropy: &EnrolmentEntropy,
) -> Result<(Change, EnrolmentCode), Refusal> {
    permit.covers(Action::ReaderInvite, permit.operator())?;
    let doors = &request.doors;
    let is_repeated =
        doors.iter().enumerate().any(|(n, door)| doors.iter().take(n).any(|d| d == door));
    if doors.is_empty() || doors.len() > DOORS_MAX || is_repeated {
        return Err(Refusal::Doors);
    }
    let is_own =
        |door: &PlaceCode| tree.get(door).is_some_and(|place| place.operator == *permit.operator());
    if let Some(foreign) = doors.iter().find(|door| !is_own(door)) {
        return Err(Refusal::NoPlace(foreign.clone()));
    }
    if waiting >= WAITING_MAX {
        return Err(Refusal::EnrolmentsTooMany);
    }
    let code = EnrolmentCode { id: EnrolmentId::new(now, entropy.id), secret: entropy.secret };
    let enrolment = Enrolment {
        id: code.id,
        operator: permit.operator().clone(),
        label: request.label,
        doors: request.doors,
        hash: code.hash(),
        tries_left: TRIES_MAX,
        created_at: now,
        expires_at: now.saturating_add(LIFE_MAX),
        used_by: None,
        version: 1,
    };
    Ok((Change::InsertEnrolment(enrolment), code))
}

/// What comes of a code that somebody presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// It is right: this actor may ask for the permit to enrol.
    Right(Actor),
    /// It is wrong: this must be written before anything is answered, so that tries are counted.
    Wrong(Box<Change>),
    /// It opens nothing: unknown, used, expired or out of tries.
    Dead,
}

/// Judges `code` by what is `stored` under its identifier. Outside, `Wrong` and `Dead` look alike.
#[must_use]
pub fn present_code(stored: Option<&Enrolment>, code: &EnrolmentCode, now: Instant) -> Presented {
    let hash = code.hash();
    let expected = stored.map_or(CodeHash([0; 32]), |enrolment| enrolment.hash);
    let is_equal = hash == expected;
    let Some(enrolment) = stored.filter(|e| e.id == code.id && e.is_waiting(now)) else {
        return Presented::Dead;
    };
    if is_equal {
        Presented::Right(Actor::candidate(enrolment.operator.clone(), enrolment.id))
    } else {
        let tries_left = enrolment.tries_left.saturating_sub(1);
        let enrolment = Enrolment { tries_left, ..enrolment.next() };
        Presented::Wrong(Box::new(Change::UpdateEnrolment(enrolment)))
    }
}

/// What a reader sends to be enrolled.
#[derive(Clone, Debug)]
pub struct EnrolRequest {
    /// The one-time code that was typed in.
    pub code: EnrolmentCode,
    /// The key that the reader made, proven over [`EnrolmentCode::challenge`].
    pub key: ProvenKey,
}

/// What the caller draws at random when a reader is enrolled.
#[derive(Clone)]
pub struct ReaderEntropy {
    /// For the identifier.
    pub id: [u8; 10],
    /// For the serial number of the certificate.
    pub serial: [u8; SERIAL_ENTROPY_BYTES],
    /// The secret by which the reader will speak to the server.
    pub secret: [u8; SECRET_BYTES],
}

/// A reader that comes to be as soon as its certificate is signed and the change is committed.
#[derive(Debug)]
pub struct Enrolled {
    /// The change; the reader authority signs.
    pub change: Unsigned<Change>,
    /// The secret of the reader, shown this once.
    pub secret: ReaderSecret,
}

/// Turns `enrolment` into a reader. The permit is that of the candidate whom [`present_code`] gave.
///
/// # Errors
/// [`Refusal::Code`] when the code does not open this enrolment now, [`Refusal::Possession`],
/// [`Refusal::Certificate`], [`Refusal::Permit`].
pub fn enrol_reader(
    permit: &Permit,
    enrolment: &Enrolment,
    request: &EnrolRequest,
    authority: &Authority<'_>,
    crypto: &dyn Crypto,
    now: Instant,
    entropy: &ReaderEntropy,
) -> Result<Enrolled, Refusal> {
    permit.covers(Action::ReaderEnrol, &enrolment.operator)?;
    let is_right = matches!(present_code(Some(enrolment), &request.code, now), Presented::Right(_));
    if permit.object() != Object::Enrolment(enrolment.id) || !is_right {
        return Err(Refusal::Code);
    }
    let key = request.key.key;
    request.key.check(crypto, &request.code.challenge(&key))?;
    let named = Named { operator: &enrolment.operator, label: &enrolment.label, key };
    let certificate = certificate(&named, authority, now, entropy.serial)?;
    let id = ReaderId::new(now, entropy.id);
    let secret = ReaderSecret::new(id, entropy.secret);
    let hash = secret.hash();
    let enrolment = Enrolment { used_by: Some(id), ..enrolment.next() };
    let change = certificate.map(move |certificate| Change::EnrolReader {
        reader: Reader {
            id,
            operator: enrolment.operator.clone(),
            label: enrolment.label.clone(),
            doors: enrolment.doors.clone(),
            state: ReaderState::Enrolled,
            key,
            secret: hash,
            certificate,
            bundle_epoch: 0,
            journal: JournalHead::start(id),
            watermark: None,
            delivery_keys: None,
            enrolled_at: now,
            version: 1,
        },
        enrolment,
    });
    Ok(Enrolled { change, secret })
}
