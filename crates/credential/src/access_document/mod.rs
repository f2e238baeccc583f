//! Access documents and revocation documents, as the step-up phase of a standard tap carries them.
//!
//! Both are mdocs in the compact encoding: read, digested and signed by the code of
//! [`crate::mdoc`], with a second table of labels. An access document names the device for which it
//! was issued, and is worth nothing with another; a revocation document names none. Whoever verifies has
//! the issuers' keys: none is taken from a document.
//!
//! Nothing here decides: rules and schedules are read with their limits and handed out. What is not
//! understood makes a document unreadable, above all a critical extension.

mod data;
mod extension;
mod issue;
pub mod pass;
mod recurrence;
mod request;
mod revocation;
mod verify;

pub use data::{
    AccessData, AccessRule, Capabilities, ID_BYTES_MAX, READER_RULE_IDS_MAX, RULES_MAX,
    SCHEDULES_MAX, Schedule,
};
pub use extension::{
    EXTENSION_BYTES_MAX, EXTENSIONS_MAX, Extension, KnownExtension, VENDOR_ID_MAX,
};
pub use issue::{IssueRequest, issue};
pub use recurrence::{Pattern, Recurrence};
pub use request::{device_request, device_response, parse_request};
pub use revocation::{ChangeMode, REVOCATION_ENTRIES_MAX, RevocationData, RevocationEntry};
pub use verify::{
    Expectation, VerifiedDocument, named_device, verify_issuer_signed, verify_response,
};

use crate::crypto::{Crypto, PublicKey};

/// Bytes of the name of an issuer's key.
pub const KEY_ID_BYTES: usize = 8;

/// Which of the two documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What a device may open.
    Access,
    /// Which keys and documents count no more.
    Revocation,
}

impl Kind {
    /// Its document type, which is the name space of its elements too.
    #[must_use]
    pub const fn doc_type(self) -> &'static str {
        match self {
            Self::Access => "aliro-a",
            Self::Revocation => "aliro-r",
        }
    }
}

/// The name of an issuer's key in the header of a signature: it only chooses among known keys.
#[must_use]
pub fn key_id(crypto: &dyn Crypto, issuer: &PublicKey) -> [u8; KEY_ID_BYTES] {
    let digest = crypto.sha256(&[b"key-identifier", issuer.as_bytes()].concat());
    let mut id = [0; KEY_ID_BYTES];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    id
}
