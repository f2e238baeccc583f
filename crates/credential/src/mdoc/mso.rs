//! The mobile security object: what the issuer signed, borrowed (ISO/IEC 18013-5, 9.1.2.4).
//!
//! Reading happens after the signature held, so that whatever is wrong here is the issuer's fault.

use alloc::vec::Vec;

use vocabulary::time::Instant;

use crate::cbor::{CborError, Decoder, TAG_DATE_TIME};
use crate::cose;
use crate::crypto::{HashAlgorithm, PublicKey};
use crate::rejection::{Culprit, Rejection};
use crate::status::StatusReference;

use super::issue::Validity;
use super::issuer_signed::ELEMENTS_MAX;
use super::labels::{Labels, Structure};

/// The version that is understood.
pub(super) const VERSION: &str = "1.0";

/// A mobile security object.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MobileSecurityObject<'a> {
    /// What the digests are made with.
    pub digest_algorithm: HashAlgorithm,
    /// The type of the document.
    pub doc_type: &'a str,
    /// The key of the device that may present the document.
    pub device_key: PublicKey,
    /// What the device may sign itself.
    pub key_authorizations: KeyAuthorizations<'a>,
    /// When it was signed.
    pub signed: Instant,
    /// First instant of validity.
    pub valid_from: Instant,
    /// Last instant of validity.
    pub valid_until: Instant,
    /// When the issuer means to renew it.
    pub expected_update: Option<Instant>,
    /// Where its status is found.
    pub status: Option<StatusReference<'a>>,
    digests: Digests<'a>,
}

/// What an issuer signed, in either encoding.
#[derive(Clone, Debug)]
pub(crate) struct SignedObject<'a> {
    pub(crate) doc_type: &'a str,
    /// The key of the device; always there in the names of ISO/IEC 18013-5.
    pub(crate) device_key: Option<PublicKey>,
    pub(crate) validity: Validity,
    /// Whether a verifier without a clock must refuse.
    pub(crate) needs_clock: bool,
    pub(crate) digests: Digests<'a>,
    key_authorizations: KeyAuthorizations<'a>,
    status: Option<StatusReference<'a>>,
}

/// The digests of all elements, and what they are made with.
#[derive(Clone, Debug)]
pub(crate) struct Digests<'a> {
    pub(crate) algorithm: HashAlgorithm,
    name_spaces: Vec<DigestRange<'a>>,
    digests: Vec<ValueDigest<'a>>,
}

/// What the device key may sign beside the session (ISO/IEC 18013-5, KeyAuthorizations), as CBOR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyAuthorizations<'a> {
    name_spaces: Option<&'a [u8]>,
    data_elements: Option<&'a [u8]>,
}

/// The digests of one name space: a range of the list of all digests, sorted by number.
#[derive(Clone, Copy, Debug)]
struct DigestRange<'a> {
    name_space: &'a str,
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct ValueDigest<'a> {
    id: u64,
    digest: &'a [u8],
    seen: bool,
}

/// What became of looking for the digest of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DigestLookup<'a> {
    Found(&'a [u8]),
    Repeated,
    Absent,
}

impl<'a> MobileSecurityObject<'a> {
    /// Reads MobileSecurityObjectBytes: the object in tag 24, as the signature's payload holds it.
    ///
    /// # Errors
    /// [`Rejection`] with culprit `issuer`.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Rejection> {
        let object = SignedObject::parse(payload, Labels::Iso)?;
        let Validity { signed, valid_from, valid_until, expected_update } = object.validity;
        Ok(Self {
            digest_algorithm: object.digests.algorithm,
            doc_type: object.doc_type,
            device_key: object.device_key.ok_or_else(|| missing("deviceKey"))?,
            key_authorizations: object.key_authorizations,
            signed,
            valid_from,
            valid_until,
            expected_update,
            status: object.status,
            digests: object.digests,
        })
    }

    /// Its dates.
    pub(super) const fn validity(&self) -> Validity {
        Validity {
            signed: self.signed,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            expected_update: self.expected_update,
        }
    }

    /// Its digests.
    pub(super) const fn digests_mut(&mut self) -> &mut Digests<'a> {
        &mut self.digests
    }
}

impl<'a> SignedObject<'a> {
    /// Reads the object in tag 24, as the signature's payload holds it.
    pub(crate) fn parse(payload: &'a [u8], labels: Labels) -> Result<Self, Rejection> {
        let mut outer = Decoder::new(payload).map_err(by_issuer)?;
        let embedded = outer.embedded().map_err(by_issuer)?;
        outer.finish().map_err(by_issuer)?;
        let mut decoder = Decoder::new(embedded.inner).map_err(by_issuer)?;
        let mut draft = Draft::default();
        draft.read(&mut decoder, labels)?;
        decoder.finish().map_err(by_issuer)?;
        draft.complete()
    }
}

impl<'a> Digests<'a> {
    /// The digest of number `id` in `name_space`; a second request for the same one says so.
    pub(super) fn take(&mut self, name_space: &str, id: u64) -> DigestLookup<'a> {
        let range = self.name_spaces.iter().find(|range| range.name_space == name_space);
        let Some(digests) = range.and_then(|range| self.digests.get_mut(range.start..range.end))
        else {
            return DigestLookup::Absent;
        };
        let found = digests.binary_search_by_key(&id, |digest| digest.id).ok();
        match found.and_then(|position| digests.get_mut(position)) {
            Some(digest) if digest.seen => DigestLookup::Repeated,
            Some(digest) => {
                digest.seen = true;
                DigestLookup::Found(digest.digest)
            }
            None => DigestLookup::Absent,
        }
    }
}

impl KeyAuthorizations<'_> {
    /// Whether the device may sign `element` of `name_space`.
    #[must_use]
    pub fn allow(&self, name_space: &str, element: &str) -> bool {
        let whole = self.name_spaces.is_some_and(|list| lists(list, name_space).unwrap_or(false));
        whole
            || self
                .data_elements
                .is_some_and(|map| maps_to(map, name_space, element).unwrap_or(false))
    }
}

fn lists(list: &[u8], name: &str) -> Result<bool, CborError> {
    let mut decoder = Decoder::new(list)?;
    let mut entries = decoder.array()?;
    while decoder.more(&mut entries)? {
        if decoder.text()? == name {
            return Ok(true);
        }
    }
    Ok(false)
}

fn maps_to(map: &[u8], name_space: &str, element: &str) -> Result<bool, CborError> {
    let mut decoder = Decoder::new(map)?;
    let mut entries = decoder.map()?;
    while decoder.more(&mut entries)? {
        let (found, elements) = (decoder.text()?, decoder.raw()?);
        if found == name_space {
            return lists(elements, element);
        }
    }
    Ok(false)
}

/// The fields while they are read.
#[derive(Default)]
struct Draft<'a> {
    version: Option<&'a str>,
    digest_algorithm: Option<&'a str>,
    doc_type: Option<&'a str>,
    device_key: Option<PublicKey>,
    key_authorizations: KeyAuthorizations<'a>,
    signed: Option<Instant>,
    valid_from: Option<Instant>,
    valid_until: Option<Instant>,
    expected_update: Option<Instant>,
    status: Option<StatusReference<'a>>,
    value_digests: bool,
    needs_clock: Option<bool>,
    name_spaces: Vec<DigestRange<'a>>,
    digests: Vec<ValueDigest<'a>>,
}

impl<'a> Draft<'a> {
    fn read(&mut self, decoder: &mut Decoder<'a>, labels: Labels) -> Result<(), Rejection> {
        let mut entries = decoder.map().map_err(by_issuer)?;
        while decoder.more(&mut entries).map_err(by_issuer)? {
            let label = decoder.text().map_err(by_issuer)?;
            match labels.name(Structure::MobileSecurityObject, label) {
                "version" => self.version = Some(decoder.text().map_err(by_issuer)?),
                "digestAlgorithm" => {
                    self.digest_algorithm = Some(decoder.text().map_err(by_issuer)?);
                }
                "docType" => self.doc_type = Some(decoder.text().map_err(by_issuer)?),
                "valueDigests" => self.read_digests(decoder)?,
                "deviceKeyInfo" => self.read_device_key(decoder, labels)?,
                "validityInfo" => self.read_validity(decoder, labels)?,
                // A field of the compact encoding alone.
                "timeVerificationRequired" if labels == Labels::Compact => {
                    self.needs_clock = Some(decoder.bool().map_err(by_issuer)?);
                }
                // A status by other means alone cannot be checked and is refused, because a
                // document that was revoked by it would pass.
                "status" => self.status = Some(StatusReference::decode(decoder)?),
                _ => decoder.skip().map_err(by_issuer)?,
            }
        }
        Ok(())
    }

    fn read_digests(&mut self, decoder: &mut Decoder<'a>) -> Result<(), Rejection> {
        self.value_digests = true;
        let mut name_spaces = decoder.map().map_err(by_issuer)?;
        while decoder.more(&mut name_spaces).map_err(by_issuer)? {
            let name_space = decoder.text().map_err(by_issuer)?;
            let start = self.digests.len();
            let mut list = decoder.map().map_err(by_issuer)?;
            let announced = list.count().and_then(|count| usize::try_from(count).ok());
            self.digests.reserve(announced.unwrap_or(0).min(ELEMENTS_MAX));
            while decoder.more(&mut list).map_err(by_issuer)? {
                if self.digests.len() == ELEMENTS_MAX {
                    let message = alloc::format!("more than {ELEMENTS_MAX} value digests");
                    return Err(Rejection::issuer("elements-too-many", message));
                }
                let id = decoder.unsigned().map_err(by_issuer)?;
                let digest = decoder.bytes().map_err(by_issuer)?;
                self.digests.push(ValueDigest { id, digest, seen: false });
            }
            if let Some(digests) = self.digests.get_mut(start..) {
                digests.sort_unstable_by_key(|digest| digest.id);
            }
            self.name_spaces.push(DigestRange { name_space, start, end: self.digests.len() });
        }
        Ok(())
    }

    fn read_device_key(
        &mut self,
        decoder: &mut Decoder<'a>,
        labels: Labels,
    ) -> Result<(), Rejection> {
        let mut entries = decoder.map().map_err(by_issuer)?;
        while decoder.more(&mut entries).map_err(by_issuer)? {
            match labels.name(Structure::DeviceKeyInfo, decoder.text().map_err(by_issuer)?) {
                "deviceKey" => {
                    let key = cose::parse_key(decoder)
                        .map_err(|error| Rejection::issuer("device-key", error.message))?;
                    self.device_key = Some(key);
                }
                "keyAuthorizations" => self.read_authorizations(decoder)?,
                _ => decoder.skip().map_err(by_issuer)?,
            }
        }
        Ok(())
    }

    fn read_authorizations(&mut self, decoder: &mut Decoder<'a>) -> Result<(), Rejection> {
        let mut entries = decoder.map().map_err(by_issuer)?;
        while decoder.more(&mut entries).map_err(by_issuer)? {
            let name = decoder.text().map_err(by_issuer)?;
            let value = decoder.raw().map_err(by_issuer)?;
            match name {
                "nameSpaces" => self.key_authorizations.name_spaces = Some(value),
                "dataElements" => self.key_authorizations.data_elements = Some(value),
                _ => {}
            }
        }
        Ok(())
    }

    fn read_validity(
        &mut self,
        decoder: &mut Decoder<'a>,
        labels: Labels,
    ) -> Result<(), Rejection> {
        let mut entries = decoder.map().map_err(by_issuer)?;
        while decoder.more(&mut entries).map_err(by_issuer)? {
            match labels.name(Structure::Validity, decoder.text().map_err(by_issuer)?) {
                "signed" => self.signed = Some(date_time(decoder)?),
                "validFrom" => self.valid_from = Some(date_time(decoder)?),
                "validUntil" => self.valid_until = Some(date_time(decoder)?),
                "expectedUpdate" => self.expected_update = Some(date_time(decoder)?),
                _ => decoder.skip().map_err(by_issuer)?,
            }
        }
        Ok(())
    }

    fn complete(self) -> Result<SignedObject<'a>, Rejection> {
        let version = self.version.ok_or_else(|| missing("version"))?;
        if version != VERSION {
            let message = alloc::format!("mobile security object is of version `{version}`");
            return Err(Rejection::issuer("mso-version", message));
        }
        let name = self.digest_algorithm.ok_or_else(|| missing("digestAlgorithm"))?;
        let digest_algorithm =
            [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512]
                .into_iter()
                .find(|algorithm| algorithm.mso_name() == name)
                .ok_or_else(|| {
                    let message = alloc::format!("digest algorithm `{name}` is not accepted");
                    Rejection::issuer("digest-algorithm", message)
                })?;
        let length = digest_algorithm.digest_bytes();
        if self.digests.iter().any(|entry| entry.digest.len() != length) {
            let message = alloc::format!("a value digest is not {length} bytes long");
            return Err(Rejection::issuer("digest-length", message));
        }
        if !self.value_digests {
            return Err(missing("valueDigests"));
        }
        Ok(SignedObject {
            doc_type: self.doc_type.ok_or_else(|| missing("docType"))?,
            device_key: self.device_key,
            validity: Validity {
                signed: self.signed.ok_or_else(|| missing("signed"))?,
                valid_from: self.valid_from.ok_or_else(|| missing("validFrom"))?,
                valid_until: self.valid_until.ok_or_else(|| missing("validUntil"))?,
                expected_update: self.expected_update,
            },
            needs_clock: self.needs_clock.unwrap_or(true),
            digests: Digests {
                algorithm: digest_algorithm,
                name_spaces: self.name_spaces,
                digests: self.digests,
            },
            key_authorizations: self.key_authorizations,
            status: self.status,
        })
    }
}

fn date_time(decoder: &mut Decoder<'_>) -> Result<Instant, Rejection> {
    decoder.expect_tag(TAG_DATE_TIME, "a date and time (tag 0)").map_err(by_issuer)?;
    let text = decoder.text().map_err(by_issuer)?;
    Instant::parse_rfc3339(text).map_err(|error| {
        Rejection::issuer("mso", alloc::format!("date `{}`: {error}", text.escape_debug()))
    })
}

fn missing(field: &str) -> Rejection {
    Rejection::issuer("mso", alloc::format!("mobile security object has no `{field}`"))
}

fn by_issuer(error: CborError) -> Rejection {
    Rejection::new(Culprit::Issuer, "mso", alloc::format!("mobile security object: {error}"))
}
