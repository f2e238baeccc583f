//! A city pass as an access document: one element, whose critical extension holds the same claims as
//! the mdoc and the SD-JWT VC (`specs/city-pass.md`) and where the status stands.
//!
//! The rule and the schedule beside it say no more than that something may be opened between two
//! dates: whoever does not know the extension must refuse, and who does goes by the claims.

use alloc::string::String;
use alloc::vec::Vec;

use super::{AccessData, EXTENSION_BYTES_MAX, KnownExtension, VerifiedDocument};
use crate::cbor::{Decoder, Encoder, Kind};
use crate::mdoc::IssuerSigned;
use crate::mdoc::labels::Labels;
use crate::rejection::Rejection;
use crate::rights::Rights;
use crate::status::StatusReference;

/// The element of a city pass.
pub const ELEMENT: &str = "limen.pass.1";
/// Its critical extension. The vendor identifier is not registered.
pub const EXTENSION: KnownExtension = KnownExtension { vendor: 0xF0_4C49, id: 1, version: 1 };

/// The value of the element.
///
/// # Errors
/// [`Rejection`] of the issuer, when the rights have a claim out of its range or are too many for an
/// extension of [`EXTENSION_BYTES_MAX`] bytes.
pub fn value(rights: &Rights, status: Option<StatusReference<'_>>) -> Result<Vec<u8>, Rejection> {
    let claims = rights.to_elements().map_err(Rejection::from)?;
    let mut data = Encoder::new();
    data.array(2).map(claims.len());
    for (name, value) in &claims {
        data.text(name).raw(value);
    }
    match status {
        Some(status) => status.encode(&mut data),
        None => {
            data.null();
        }
    }
    if data.as_bytes().len() > EXTENSION_BYTES_MAX {
        let message = String::from("pass names more than an access document holds");
        return Err(Rejection::issuer("access-data", message));
    }
    let seconds = |at: vocabulary::time::Instant| u32::try_from(at.unix_seconds()).unwrap_or(0);
    let mut value = Encoder::new();
    value.map(4).unsigned(0).unsigned(1);
    // To unsecure for a moment, in schedule 0.
    value.unsigned(2).array(1).map(2).unsigned(0).unsigned(8).unsigned(1).unsigned(1);
    value.unsigned(3).array(1).map(3);
    value.unsigned(0).unsigned(seconds(rights.valid_from).into());
    value.unsigned(1).unsigned(seconds(rights.valid_until).into());
    value.unsigned(3).unsigned(1);
    value.unsigned(6).map(1).unsigned(EXTENSION.vendor.into()).array(1).array(4);
    value.unsigned(0).unsigned(EXTENSION.id.into()).unsigned(EXTENSION.version.into());
    value.bytes(data.as_bytes());
    Ok(value.into_bytes())
}

/// What a verified access document entitles to, and where its status stands.
///
/// # Errors
/// [`Rejection`]: the holder withheld the element, or the issuer wrote what is not understood.
pub fn read<'a>(
    document: &VerifiedDocument<'a>,
) -> Result<(Rights, Option<StatusReference<'a>>), Rejection> {
    read_data(&document.access_data(ELEMENT, &[EXTENSION])?.ok_or_else(withheld)?)
}

/// The rights that an IssuerSigned names, of which nothing is verified: for the wallet that verified it
/// when it took it in.
///
/// # Errors
/// [`Rejection`], where it holds no pass that can be read.
pub fn danger_unverified_rights(issuer_signed: &[u8]) -> Result<Rights, Rejection> {
    let document = IssuerSigned::parse_as(issuer_signed, Labels::Compact)?;
    let mut items = document.items.iter();
    let item = items.find(|item| item.element == ELEMENT).ok_or_else(withheld)?;
    let (rights, _) = read_data(&AccessData::parse(item.value, &[EXTENSION])?)?;
    Ok(rights)
}

fn withheld() -> Rejection {
    Rejection::holder("rights-withheld", String::from("access document shows no city pass"))
}

fn read_data<'a>(
    data: &AccessData<'a>,
) -> Result<(Rights, Option<StatusReference<'a>>), Rejection> {
    let mut own = data.access_extensions.iter().filter(|extension| {
        let KnownExtension { vendor, id, version } = EXTENSION;
        (extension.vendor, extension.id, extension.version) == (vendor, id, version)
    });
    let (Some(extension), None) = (own.next(), own.next()) else {
        let message = String::from("access document does not hold the claims of one pass");
        return Err(Rejection::issuer("rights", message));
    };
    let mut decoder = Decoder::new(extension.data)?;
    decoder.array_of(2)?;
    let mut claims = Vec::new();
    let mut entries = decoder.map()?;
    while decoder.more(&mut entries)? {
        claims.push((decoder.text()?, decoder.raw()?));
    }
    let status = match decoder.kind() {
        Kind::Null => decoder.null().map(|()| None)?,
        _ => Some(StatusReference::decode(&mut decoder)?),
    };
    decoder.finish()?;
    let rights = Rights::from_elements(claims).map_err(Rejection::from)?;
    Ok((rights, status))
}
