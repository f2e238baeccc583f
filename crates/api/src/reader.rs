//! Readers: enrolment by a one-time code, bundles, journals.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A reader that is awaited.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEnrolment {
    /// What the reader will be called.
    #[schema(example = "Gate 3")]
    pub label: String,
    /// The doors that it will serve, 1 to 8 places.
    pub doors: Vec<String>,
}

/// An enrolment that waits for its reader.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct Enrolment {
    /// The identifier.
    pub id: String,
    /// The one-time code, shown this once.
    pub code: String,
    /// From when on the code is worth nothing.
    pub expires_at: String,
}

/// A reader that presents itself with a one-time code. It has no token yet.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The one-time code.
    pub code: String,
    /// The reader's new public key: an uncompressed P-256 point, base64url.
    pub public_key: String,
    /// Signature by that key over the challenge of the code, base64url.
    pub proof: String,
}

/// What a reader gets when it is enrolled.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct Enrolled {
    /// The reader's identifier.
    pub reader: String,
    /// Its certificate, PEM.
    pub certificate: String,
    /// The reader authority that made it, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader_authority: Option<String>,
    /// The certificate for the standard tap by the same authority, compressed, base64url. None where
    /// the authority's key is not on P-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_certificate: Option<String>,
    /// The root of the city, PEM: the one thing that the reader trusts from now on.
    pub city_root: String,
    /// What stands after `Authorization: Bearer` in its own requests; shown this once.
    pub secret: String,
}

/// A reader that wants its certificate anew, for its key or for its next one.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// The public key to be certified: an uncompressed P-256 point, base64url.
    pub public_key: String,
    /// Signature by that key over the challenge that the certificate at hand gives, base64url.
    pub proof: String,
    /// Where it is another key than the one at hand: the signature by the one at hand over the same
    /// challenge, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_proof: Option<String>,
}

/// To which keys of its own a reader has its symmetric keys wrapped.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryKeys {
    /// The statement, signed by the reader's key and by the delivery key itself, base64url.
    pub statement: String,
}

/// Delivery keys that are kept.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DeliveryKeysKept {
    /// How keys are agreed from now on: `P-256` or `P-256+ML-KEM-768`.
    pub suite: String,
}

/// A certificate made anew.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Renewed {
    /// The certificate, PEM.
    pub certificate: String,
    /// The reader authority that made it, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader_authority: Option<String>,
    /// The certificate for the standard tap by the same authority, compressed, base64url. None where
    /// the authority's key is not on P-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_certificate: Option<String>,
}

/// A reader.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Reader {
    /// The identifier.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// The doors that it serves.
    pub doors: Vec<String>,
    /// `enrolled` or `retired`.
    pub state: String,
    /// The last instant of its certificate.
    pub certificate_until: String,
    /// The epoch of the newest bundle made for it; 0 before the first.
    pub bundle_epoch: u64,
    /// How many journal records are known.
    pub journal_records: u64,
}

/// A piece of journal.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalUpload {
    /// The records as the reader wrote them, base64url, in order.
    pub records: Vec<String>,
    /// The head that the reader signed over the last of them, base64url.
    pub signed_head: String,
}

/// What came of an upload.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct JournalReceipt {
    /// The number that the next record must have.
    pub next: u64,
    /// How many records were new.
    pub accepted: u64,
}
