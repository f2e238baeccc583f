//! An issued document: one signed credential, bound to one device key, carrying one pass.
//!
//! A batch gives a pass several documents, each with its own key and its own random status index,
//! so that two showings cannot be linked. What the city keeps of a document is this row; the
//! signed bytes themselves are never stored.

use vocabulary::code::OperatorCode;
use vocabulary::id::{CredentialId, PassId};
use vocabulary::time::Instant;

use crate::names::names;
use crate::product::Format;
use crate::secret::Digest;

/// What the city remembers of one signed document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its identifier; not part of the document.
    pub id: CredentialId,
    /// The operator, which is the tenant.
    pub operator: OperatorCode,
    /// The pass that it carries.
    pub pass: PassId,
    /// mdoc or SD-JWT VC.
    pub format: Format,
    /// The RFC 7638 thumbprint of the device key to which it is bound.
    pub key_thumbprint: Digest,
    /// Number of the status list of this operator.
    pub status_list: u32,
    /// Index in that list; unique within it.
    pub status_index: u32,
    /// What the list says of it.
    pub standing: Standing,
    /// What the wallet said became of it.
    pub delivery: Delivery,
    /// Digest of the `notification_id` of the response that carried it.
    pub notification_digest: Digest,
    /// When it was signed.
    pub issued_at: Instant,
    /// When it expires by its own date.
    pub valid_until: Instant,
    /// 1 when issued, one more with every change.
    pub version: u32,
}

/// What a status list says (Token Status List, 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// 0x00
    Valid,
    /// 0x01, for good.
    Invalid,
    /// 0x02, until resumed.
    Suspended,
}

names!(Standing { Valid = "valid", Invalid = "invalid", Suspended = "suspended" });

/// What a wallet reported (OpenID4VCI 1.0, 11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Delivery {
    /// Sent, and nothing heard since: notifying is optional for wallets.
    Sent,
    /// `credential_accepted`
    Accepted,
    /// `credential_failure`
    Failed,
    /// `credential_deleted`
    Deleted,
}

names!(Delivery {
    Sent = "sent",
    Accepted = "accepted",
    Failed = "failed",
    Deleted = "deleted",
});

impl Document {
    /// The next version of this document with another `standing`; none when nothing changes.
    /// What is invalid stays invalid.
    #[must_use]
    pub fn with_standing(&self, standing: Standing) -> Option<Self> {
        if self.standing == standing || self.standing == Standing::Invalid {
            return None;
        }
        Some(Self { standing, version: self.version.saturating_add(1), ..self.clone() })
    }
}
