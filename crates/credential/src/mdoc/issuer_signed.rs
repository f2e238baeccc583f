//! IssuerSigned: the disclosed items and the issuer's signature, borrowed (ISO/IEC 18013-5, 8.3.2.1.2.2).

use alloc::vec::Vec;

use crate::cbor::{Decoder, Embedded, Lengths};
use crate::rejection::Rejection;

use super::labels::{Labels, Structure};

/// Elements of one document.
pub const ELEMENTS_MAX: usize = 1024;
/// Bytes of the salt of an element, at least (ISO/IEC 18013-5, 9.1.2.5).
pub const SALT_BYTES_MIN: usize = 16;

/// An IssuerSigned structure as it came.
#[derive(Clone, Debug)]
pub struct IssuerSigned<'a> {
    /// The disclosed elements; those of one name space stand together.
    pub items: Vec<Item<'a>>,
    /// The COSE_Sign1 over the mobile security object.
    pub issuer_auth: &'a [u8],
}

/// One disclosed element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its name space.
    pub name_space: &'a str,
    /// IssuerSignedItemBytes with tag 24: what is hashed.
    pub raw: &'a [u8],
    /// The number of its digest in the mobile security object.
    pub digest_id: u64,
    /// Its salt.
    pub random: &'a [u8],
    /// Its name.
    pub element: &'a str,
    /// Its value, as CBOR.
    pub value: &'a [u8],
}

impl<'a> IssuerSigned<'a> {
    /// Reads bytes that are one IssuerSigned and nothing else. Nothing is verified.
    ///
    /// # Errors
    /// [`Rejection`] with culprit `wire`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Rejection> {
        Self::parse_as(bytes, Labels::Iso)
    }

    /// As [`IssuerSigned::parse`], in this encoding.
    pub(crate) fn parse_as(bytes: &'a [u8], labels: Labels) -> Result<Self, Rejection> {
        let mut decoder = Decoder::with_lengths(bytes, Lengths::OpenContainers)?;
        let parsed = Self::read(&mut decoder, labels)?;
        decoder.finish()?;
        Ok(parsed)
    }

    pub(super) fn read(decoder: &mut Decoder<'a>, labels: Labels) -> Result<Self, Rejection> {
        let mut items = Vec::new();
        let mut issuer_auth = None;
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match labels.name(Structure::IssuerSigned, decoder.text()?) {
                "nameSpaces" => read_name_spaces(decoder, &mut items, labels)?,
                "issuerAuth" => issuer_auth = Some(decoder.raw()?),
                _ => decoder.skip()?,
            }
        }
        let issuer_auth = issuer_auth
            .ok_or_else(|| Rejection::wire("field-missing", "issuerSigned has no `issuerAuth`"))?;
        Ok(Self { items, issuer_auth })
    }
}

fn read_name_spaces<'a>(
    decoder: &mut Decoder<'a>,
    items: &mut Vec<Item<'a>>,
    labels: Labels,
) -> Result<(), Rejection> {
    let mut name_spaces = decoder.map()?;
    while decoder.more(&mut name_spaces)? {
        let name_space = decoder.text()?;
        let mut list = decoder.array()?;
        let announced = list.count().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        items.reserve(announced.min(ELEMENTS_MAX));
        while decoder.more(&mut list)? {
            if items.len() == ELEMENTS_MAX {
                let message =
                    alloc::format!("document discloses more than {ELEMENTS_MAX} elements");
                return Err(Rejection::wire("elements-too-many", message));
            }
            let embedded = decoder.embedded()?;
            items.push(Item::read(name_space, embedded, labels)?);
        }
    }
    Ok(())
}

impl<'a> Item<'a> {
    fn read(
        name_space: &'a str,
        embedded: Embedded<'a>,
        labels: Labels,
    ) -> Result<Self, Rejection> {
        let Embedded { raw, inner } = embedded;
        let (mut digest_id, mut random, mut element, mut value) = (None, None, None, None);
        let mut decoder = Decoder::new(inner)?;
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match labels.name(Structure::Item, decoder.text()?) {
                "digestID" => digest_id = Some(decoder.unsigned()?),
                "random" => random = Some(decoder.bytes()?),
                "elementIdentifier" => element = Some(decoder.text()?),
                "elementValue" => value = Some(decoder.raw()?),
                _ => decoder.skip()?,
            }
        }
        decoder.finish()?;
        match (digest_id, random, element, value) {
            (Some(digest_id), Some(random), Some(element), Some(value)) => {
                Ok(Self { name_space, raw, digest_id, random, element, value })
            }
            _ => {
                let message = "issuer-signed item lacks one of its four fields";
                Err(Rejection::wire("field-missing", message))
            }
        }
    }
}
