//! Where a credential says that its status is published (Token Status List, section 6).
//!
//! One reference, two forms: the `status` claim of a JWT, the `status` item of a CWT or of a
//! MobileSecurityObject.

use alloc::format;

use serde_json::{Value, json};

use crate::cbor::{CborError, Decoder, Encoder};
use crate::rejection::Rejection;

/// The list that holds a status, and the index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusReference<'a> {
    /// The URI of the list: the `sub` of its token, compared as it stands.
    pub uri: &'a str,
    /// The index of the entry.
    pub index: u64,
}

impl<'a> StatusReference<'a> {
    /// From the value of a `status` claim: `{"status_list": {"idx": 0, "uri": "…"}}`.
    ///
    /// # Errors
    /// [`Rejection`] of the issuer: a status that is not understood must not be taken for none.
    pub fn from_json(status: &'a Value) -> Result<Self, Rejection> {
        let list = status.get("status_list");
        let uri = list.and_then(|list| list.get("uri")?.as_str());
        let index = list.and_then(|list| list.get("idx")?.as_u64());
        Self::from_parts(uri, index)
    }

    /// The value of a `status` claim.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"status_list": {"idx": self.index, "uri": self.uri}})
    }

    /// Reads a `status` item: `{"status_list": {"idx": 0, "uri": "…"}}`.
    ///
    /// # Errors
    /// [`Rejection`] of the issuer, as for [`StatusReference::from_json`].
    pub fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Rejection> {
        let unreadable = |error: CborError| refuse(&format!("is unreadable: {error}"));
        let (uri, index) = decode_parts(decoder).map_err(unreadable)?;
        Self::from_parts(uri, index)
    }

    /// Writes a `status` item.
    pub fn encode(&self, encoder: &mut Encoder) {
        encoder.map(1).text("status_list").map(2);
        encoder.text("idx").unsigned(self.index).text("uri").text(self.uri);
    }

    fn from_parts(uri: Option<&'a str>, index: Option<u64>) -> Result<Self, Rejection> {
        match (uri, index) {
            (Some(uri), Some(index)) => Ok(Self { uri, index }),
            _ => Err(refuse("names no list and index")),
        }
    }
}

type Parts<'a> = (Option<&'a str>, Option<u64>);

fn decode_parts<'a>(decoder: &mut Decoder<'a>) -> Result<Parts<'a>, CborError> {
    let (mut uri, mut index) = (None, None);
    let mut entries = decoder.map()?;
    while decoder.more(&mut entries)? {
        if decoder.text()? != "status_list" {
            decoder.skip()?;
            continue;
        }
        let mut fields = decoder.map()?;
        while decoder.more(&mut fields)? {
            match decoder.text()? {
                "uri" => uri = Some(decoder.text()?),
                "idx" => index = Some(decoder.unsigned()?),
                _ => decoder.skip()?,
            }
        }
    }
    Ok((uri, index))
}

fn refuse(what: &str) -> Rejection {
    Rejection::issuer("status-reference", format!("status of the credential {what}"))
}
