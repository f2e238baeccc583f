//! A pass as an application holds it: an access document for the standard tap, an mdoc by which handles
//! of the express tap are asked for, and the reader authorities to which it is shown.

use alloc::vec::Vec;

use credential::access_document::{self, pass};
use credential::crypto::{Crypto, PublicKey};

use crate::AUTHORITIES_MAX;
use crate::status::{Status, StatusError};

/// The bytes of a pass, taken apart:
/// time (8) ‖ number of the key of either document (2) ‖ count ‖ count × authority (65) ‖
/// length of the access document (2) ‖ access document ‖ mdoc.
pub(crate) struct Pass<'p> {
    /// What the time is not before, in Unix seconds.
    pub(crate) floor: i64,
    /// The numbers of the keys that were drawn for the documents, in the session that brought them.
    pub(crate) access_number: u8,
    pub(crate) handle_number: u8,
    /// Keys of reader authorities.
    pub(crate) authorities: &'p [[u8; 65]],
    pub(crate) access: &'p [u8],
}

impl<'p> Pass<'p> {
    pub(crate) fn parse(bytes: &'p [u8]) -> Result<Self, StatusError> {
        let (floor, rest) = bytes.split_first_chunk::<8>().ok_or(Status::Length)?;
        let (&[access_number, handle_number, count], rest) =
            rest.split_first_chunk::<3>().ok_or(Status::Length)?;
        let count = usize::from(count);
        if count == 0 || count > AUTHORITIES_MAX {
            return Err(Status::Parameter.into());
        }
        let (authorities, rest) = rest.split_at_checked(count * 65).ok_or(Status::Length)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(Status::Length)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (access, handles) = rest.split_at_checked(length).ok_or(Status::Length)?;
        let floor = i64::from_be_bytes(*floor);
        if access.is_empty() || handles.is_empty() || floor < 0 {
            return Err(Status::Length.into());
        }
        let authorities = authorities.as_chunks().0;
        Ok(Self { floor, access_number, handle_number, authorities, access })
    }

    /// The device key for which the access document was issued.
    pub(crate) fn device_key(&self) -> Option<[u8; 65]> {
        match access_document::named_device(self.access) {
            Ok(Some(PublicKey::P256(key))) => Some(key),
            _ => None,
        }
    }

    /// Whether a card may hold it: nobody is asked when it is shown.
    pub(crate) fn needs_holder(&self) -> bool {
        let rights = pass::danger_unverified_rights(self.access);
        rights.map_or(true, |rights| rights.holder_only)
    }

    /// The slot by which a reader's side knows the device key.
    pub(crate) fn key_slot(crypto: &dyn Crypto, device_key: [u8; 65]) -> [u8; 8] {
        access_document::key_id(crypto, &PublicKey::P256(device_key))
    }

    /// The answer to a request of the step-up phase, if it asks for what there is.
    pub(crate) fn answer(&self, request: &[u8]) -> Option<Vec<u8>> {
        let kind = access_document::Kind::Access;
        let asked = access_document::parse_request(request, kind).ok()?;
        if !asked.iter().any(|it| it.element == pass::ELEMENT) {
            return None;
        }
        access_document::device_response(kind, self.access, &[pass::ELEMENT]).ok()
    }
}
