//! Issues documents: salts, digests and the mobile security object, waiting for a signature
//! (ISO/IEC 18013-5, 9.1.2). Entropy and dates are arguments; the signature is made elsewhere.

use alloc::vec::Vec;
use core::fmt;

use vocabulary::time::Instant;

use crate::cbor::{Decoder, Encoder};
use crate::cose::{self, Sign1Parts};
use crate::crypto::{Crypto, HashAlgorithm, PublicKey};
use crate::status::StatusReference;
use crate::unsigned::Unsigned;
use crate::x509::Certificate;

use super::issuer_signed::ELEMENTS_MAX;
use super::labels::{Labels, Structure};
use super::mso::VERSION;
use super::names::NameFilter;
use super::signer;

/// Bytes of the salt of each element.
pub const SALT_BYTES: usize = 16;
/// Bytes of entropy for each element: its salt, and a draw in the shuffle of digest numbers.
pub const ENTROPY_BYTES_PER_ELEMENT: usize = SALT_BYTES + 8;

/// A document to be issued.
#[derive(Clone, Copy, Debug)]
pub struct IssueRequest<'r> {
    /// The document type.
    pub doc_type: &'r str,
    /// What it says.
    pub name_spaces: &'r [NameSpace<'r>],
    /// The key of the device that may present it.
    pub device_key: &'r PublicKey,
    /// The name spaces whose elements the device may sign itself; usually none.
    pub authorized_name_spaces: &'r [&'r str],
    /// When it is valid.
    pub validity: Validity,
    /// Where its status will be found.
    pub status: Option<StatusReference<'r>>,
}

/// A name space with its elements.
#[derive(Clone, Copy, Debug)]
pub struct NameSpace<'r> {
    /// Its name.
    pub name: &'r str,
    /// Names and CBOR values of its elements.
    pub elements: &'r [(&'r str, &'r [u8])],
}

/// The dates of a document, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// When it is signed.
    pub signed: Instant,
    /// First instant of validity, not before it is signed.
    pub valid_from: Instant,
    /// Last instant of validity.
    pub valid_until: Instant,
    /// When the issuer means to renew it.
    pub expected_update: Option<Instant>,
}

/// The bytes of a signed IssuerSigned.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuerSignedBytes(Vec<u8>);

impl IssuerSignedBytes {
    /// Items and signature as one IssuerSigned.
    pub(crate) fn join(items: &[u8], issuer_auth: &[u8], labels: Labels) -> Self {
        let label = |name| labels.label(Structure::IssuerSigned, name);
        let mut issuer_signed = Encoder::with_capacity(items.len() + issuer_auth.len() + 32);
        issuer_signed.map(2).text(label("nameSpaces")).raw(items);
        issuer_signed.text(label("issuerAuth")).raw(issuer_auth);
        Self(issuer_signed.into_bytes())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without copying.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for IssuerSignedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerSignedBytes({} bytes)", self.0.len())
    }
}

/// Why a document is not issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueError {
    /// There is no element, or more than the verifier reads ([`ELEMENTS_MAX`]).
    ElementCount,
    /// A name space or an element of one is named twice.
    DuplicateName,
    /// The value of an element is not one CBOR item.
    Value,
    /// There are not exactly [`ENTROPY_BYTES_PER_ELEMENT`] bytes of entropy for each element.
    Entropy,
    /// The dates are out of order.
    Dates,
    /// The first certificate of the chain cannot be read, or is not valid when it signs.
    Signer,
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ElementCount => write!(f, "document must have 1 to {ELEMENTS_MAX} elements"),
            Self::DuplicateName => f.write_str("document names an element or name space twice"),
            Self::Value => f.write_str("value of an element is not one CBOR item"),
            Self::Entropy => {
                write!(f, "document needs {ENTROPY_BYTES_PER_ELEMENT} bytes of entropy per element")
            }
            Self::Dates => f.write_str("document dates are out of order"),
            Self::Signer => f.write_str("signer certificate is unreadable or not valid then"),
        }
    }
}

impl core::error::Error for IssueError {}

/// The document that `request` describes, waiting for the signature of the first certificate of
/// `chain` (leaf first; the trust anchor is left out). It carries that chain or, of a hybrid signer, names
/// the signer alone: whoever verifies has its certificate (`specs/suites.md`).
///
/// `entropy` holds [`ENTROPY_BYTES_PER_ELEMENT`] fresh random bytes for each element.
///
/// # Errors
/// [`IssueError`] when the request cannot give a valid document.
pub fn issue(
    crypto: &dyn Crypto,
    request: &IssueRequest<'_>,
    chain: &[&[u8]],
    entropy: &[u8],
) -> Result<Unsigned<IssuerSignedBytes>, IssueError> {
    check(request, entropy)?;
    let signer = chain.first().and_then(|leaf| Certificate::parse(leaf).ok());
    let signer = signer.filter(|signer| signer.is_current(request.validity.signed));
    let signer = signer.ok_or(IssueError::Signer)?;
    let algorithm = signer.public_key.algorithm();
    let hash = signer::is_named_by(algorithm).then(|| crypto.sha256(signer.raw));

    let labels = Labels::Iso;
    let (items, digests) = items_and_digests(crypto, request.name_spaces, entropy, labels);
    let object = Object {
        doc_type: request.doc_type,
        device_key: Some(request.device_key),
        authorized_name_spaces: request.authorized_name_spaces,
        validity: request.validity,
        needs_clock: None,
        status: request.status,
    };
    let payload = object.encode(&digests, labels);
    let x5chain = if hash.is_some() { &[] } else { chain };
    let x5t = hash.as_ref();
    let parts = Sign1Parts { payload: &payload, x5chain, x5t, ..Default::default() };
    Ok(cose::sign1(algorithm, &parts)
        .map(move |issuer_auth| IssuerSignedBytes::join(&items, &issuer_auth, labels)))
}

fn check(request: &IssueRequest<'_>, entropy: &[u8]) -> Result<(), IssueError> {
    check_content(request.name_spaces, &request.validity, entropy)
}

/// Whether these elements and dates give a document.
pub(crate) fn check_content(
    spaces: &[NameSpace<'_>],
    validity: &Validity,
    entropy: &[u8],
) -> Result<(), IssueError> {
    let count: usize = spaces.iter().map(|space| space.elements.len()).sum();
    if !(1..=ELEMENTS_MAX).contains(&count) {
        return Err(IssueError::ElementCount);
    }
    if entropy.len() != count * ENTROPY_BYTES_PER_ELEMENT {
        return Err(IssueError::Entropy);
    }
    for (position, space) in spaces.iter().enumerate() {
        if spaces.iter().take(position).any(|other| other.name == space.name) {
            return Err(IssueError::DuplicateName);
        }
        let mut names = NameFilter::new();
        for (position, (name, value)) in space.elements.iter().enumerate() {
            let mut earlier = space.elements.iter().take(position);
            if names.may_repeat(name) && earlier.any(|(other, _)| other == name) {
                return Err(IssueError::DuplicateName);
            }
            Decoder::new(value).map_err(|_| IssueError::Value)?;
        }
    }
    let Validity { signed, valid_from, valid_until, .. } = *validity;
    if valid_from < signed || valid_until < valid_from {
        return Err(IssueError::Dates);
    }
    Ok(())
}

/// The digests of one name space, in the order of their numbers.
pub(crate) struct Digests<'r> {
    name_space: &'r str,
    by_number: Vec<[u8; 32]>,
}

/// IssuerNameSpaces as CBOR, and the digests of all its items.
pub(crate) fn items_and_digests<'r>(
    crypto: &dyn Crypto,
    spaces: &[NameSpace<'r>],
    entropy: &[u8],
    labels: Labels,
) -> (Vec<u8>, Vec<Digests<'r>>) {
    let label = |name| labels.label(Structure::Item, name);
    let values = spaces.iter().flat_map(|space| space.elements);
    let room: usize = values.map(|(name, value)| name.len() + value.len() + 96).sum();
    let mut items = Encoder::with_capacity(room + 64 * spaces.len());
    let mut all = Vec::with_capacity(spaces.len());
    let mut draws = entropy.chunks_exact(ENTROPY_BYTES_PER_ELEMENT);
    items.map(spaces.len());
    let mut item = Encoder::with_capacity(256);
    for space in spaces {
        let count = space.elements.len();
        items.text(space.name).array(count);
        // Entropy is split so that the numbers are drawn before the items are written.
        let own: Vec<&[u8]> = draws.by_ref().take(count).collect();
        let numbers = shuffled(&own);
        let mut by_number = alloc::vec![[0; 32]; count];
        for (((name, value), entropy), number) in space.elements.iter().zip(&own).zip(numbers) {
            let salt = entropy.get(..SALT_BYTES).unwrap_or_default();
            item.clear();
            item.map(4)
                .text(label("digestID"))
                .unsigned(number as u64)
                .text(label("random"))
                .bytes(salt);
            item.text(label("elementIdentifier")).text(name).text(label("elementValue")).raw(value);
            let start = items.as_bytes().len();
            items.embedded(item.as_bytes());
            let raw = items.as_bytes().get(start..).unwrap_or_default();
            if let Some(slot) = by_number.get_mut(number) {
                *slot = crypto.sha256(raw);
            }
        }
        all.push(Digests { name_space: space.name, by_number });
    }
    (items.into_bytes(), all)
}

/// The numbers 0 to n - 1 in an order drawn from entropy (Fisher and Yates), so that a number tells
/// nothing about the place of an element. The bias of 64 bits over so few numbers is below 2^-53.
fn shuffled(entropy: &[&[u8]]) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..entropy.len()).collect();
    for (last, bytes) in entropy.iter().enumerate().skip(1).rev() {
        let draw = bytes.get(SALT_BYTES..).unwrap_or_default();
        let draw = draw.iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
        let chosen = draw % (last as u64 + 1);
        numbers.swap(last, usize::try_from(chosen).unwrap_or(0));
    }
    numbers
}

/// What an issuer signs beside the digests.
pub(crate) struct Object<'r> {
    pub(crate) doc_type: &'r str,
    pub(crate) device_key: Option<&'r PublicKey>,
    pub(crate) authorized_name_spaces: &'r [&'r str],
    pub(crate) validity: Validity,
    /// Whether a verifier without a clock must refuse; a field of the compact encoding.
    pub(crate) needs_clock: Option<bool>,
    pub(crate) status: Option<StatusReference<'r>>,
}

impl Object<'_> {
    /// MobileSecurityObjectBytes: the object in tag 24.
    pub(crate) fn encode(&self, digests: &[Digests<'_>], labels: Labels) -> Vec<u8> {
        let label = |name| labels.label(Structure::MobileSecurityObject, name);
        let count: usize = digests.iter().map(|space| space.by_number.len()).sum();
        let mut mso = Encoder::with_capacity(count * 37 + 640);
        let optional =
            [self.device_key.is_some(), self.needs_clock.is_some(), self.status.is_some()];
        mso.map(5 + optional.into_iter().filter(|is_there| *is_there).count());
        mso.text(label("version")).text(VERSION);
        mso.text(label("digestAlgorithm")).text(HashAlgorithm::Sha256.mso_name());
        mso.text(label("valueDigests")).map(digests.len());
        for space in digests {
            mso.text(space.name_space).map(space.by_number.len());
            for (number, digest) in space.by_number.iter().enumerate() {
                mso.unsigned(number as u64).bytes(digest);
            }
        }
        if let Some(key) = self.device_key {
            mso.text(label("deviceKeyInfo"));
            self.write_device_key(&mut mso, key, labels);
        }
        mso.text(label("docType")).text(self.doc_type);
        mso.text(label("validityInfo"));
        write_validity(&mut mso, &self.validity, labels);
        if let Some(needs_clock) = self.needs_clock {
            mso.text(label("timeVerificationRequired")).bool(needs_clock);
        }
        if let Some(status) = self.status {
            mso.text("status");
            status.encode(&mut mso);
        }
        let mut payload = Encoder::with_capacity(mso.as_bytes().len() + 8);
        payload.embedded(mso.as_bytes());
        payload.into_bytes()
    }

    fn write_device_key(&self, mso: &mut Encoder, key: &PublicKey, labels: Labels) {
        let authorized = self.authorized_name_spaces;
        mso.map(1 + usize::from(!authorized.is_empty()));
        mso.text(labels.label(Structure::DeviceKeyInfo, "deviceKey"));
        cose::write_key(mso, key);
        if !authorized.is_empty() {
            mso.text("keyAuthorizations").map(1).text("nameSpaces").array(authorized.len());
            authorized.iter().for_each(|name| {
                mso.text(name);
            });
        }
    }
}

fn write_validity(mso: &mut Encoder, validity: &Validity, labels: Labels) {
    let label = |name| labels.label(Structure::Validity, name);
    let Validity { signed, valid_from, valid_until, expected_update } = *validity;
    mso.map(3 + usize::from(expected_update.is_some()));
    mso.text(label("signed")).date_time(signed);
    mso.text(label("validFrom")).date_time(valid_from);
    mso.text(label("validUntil")).date_time(valid_until);
    if let Some(expected_update) = expected_update {
        mso.text(label("expectedUpdate")).date_time(expected_update);
    }
}
