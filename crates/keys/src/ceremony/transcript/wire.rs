//! The JSON of a transcript (`specs/ceremony-transcript.md`). Members stand in the order of the fields.

use serde::{Deserialize, Serialize};

/// What the member `format` says.
pub const FORMAT: &str = "limen-ceremony-transcript-1";
/// What `trusted_by` says where it is there.
pub const TRUSTED_BY_OFFICER: &str = "security-officer";

/// The whole document.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Transcript {
    /// Which ceremony.
    #[serde(flatten)]
    pub head: Head,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// The signatures of custodians over the digest of the last step.
    pub approvals: Vec<Approved>,
}

/// What stands before the first step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Head {
    /// [`FORMAT`].
    pub format: String,
    /// The identifier of the ceremony.
    pub ceremony: String,
    /// Whether it was held for practice, with keys that are not to be used.
    pub rehearsal: bool,
}

/// One step and the digest that chains it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Step {
    /// What is chained.
    #[serde(flatten)]
    pub content: Content,
    /// SHA-256 over the digest before and the content, hexadecimal.
    pub digest: String,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Content {
    /// Its place, from 1.
    pub number: u32,
    /// When, RFC 3339, in whole seconds.
    pub at: String,
    /// What was on the screen.
    pub shown: String,
    /// The names of those who confirmed it.
    pub confirmed_by: Vec<String>,
    /// What is true since.
    pub facts: Facts,
    /// The digest of the step before, or of the head.
    pub previous: String,
}

/// One custodian's signature on the transcript.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Approved {
    /// Whose.
    pub name: String,
    /// The COSE_Sign1 in base64url.
    pub approval: String,
}

/// What is true since a step. Keys and certificates in base64url, digests in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Facts {
    /// The plan was read out.
    Opened {
        /// The name of the city.
        city: String,
        /// Its country.
        country: String,
        /// `create` or `renew`.
        kind: String,
        /// The algorithm of the root.
        suite: String,
        /// How many custodians can restore the root.
        threshold: u8,
        /// Who is there, in the order of their shares.
        custodians: Vec<String>,
        /// Who will hold the root: `software`, or `token:` and a label.
        custody: String,
        /// SHA-256 of the plan's text.
        plan: String,
        /// Name and version of the program that leads.
        program: String,
    },
    /// A custodian's staff key is known.
    StaffKey {
        /// Whose.
        custodian: String,
        /// The algorithm.
        suite: String,
        /// The encoded point.
        public_key: String,
        /// The handle, which the custodian writes down.
        handle: String,
    },
    /// The wrapping key is there.
    WrappingKeyMade {
        /// Its check value.
        check_value: String,
    },
    /// The root is there.
    RootMade {
        /// The algorithm.
        suite: String,
        /// The encoded point.
        public_key: String,
        /// The handle.
        handle: String,
        /// `software`, or `token:` and a label.
        held_by: String,
    },
    /// The root signed its own certificate.
    RootCertified {
        /// DER.
        certificate: String,
        /// SHA-256 of it.
        digest: String,
    },
    /// The old root certified the new one.
    RootLinked {
        /// The certificate of the old root, DER.
        old_certificate: String,
        /// The certificate of the new root's key that the old root signed, DER.
        link_certificate: String,
    },
    /// The private half lies in the backup, under the wrapping key.
    RootBackedUp {
        /// SHA-256 of the backup.
        digest: String,
        /// Its size.
        bytes: u32,
        /// The check value of the key that wraps it.
        check_value: String,
        /// [`TRUSTED_BY_OFFICER`] where the token's officer made that key trusted; otherwise not there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trusted_by: Option<String>,
    },
    /// A custodian has a share.
    ShareGiven {
        /// Who.
        custodian: String,
        /// The place of the share.
        index: u8,
        /// SHA-256 over the share.
        commitment: String,
        /// `screen` or `file`.
        handover: String,
    },
    /// The wrapping key is gone from memory and token.
    WrappingKeyDestroyed {
        /// Its check value.
        check_value: String,
    },
    /// The ceremony is over; these sign.
    Closed {
        /// Who.
        signers: Vec<String>,
    },
}

impl Facts {
    /// The word in the member `what`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::StaffKey { .. } => "staff-key",
            Self::WrappingKeyMade { .. } => "wrapping-key-made",
            Self::RootMade { .. } => "root-made",
            Self::RootCertified { .. } => "root-certified",
            Self::RootLinked { .. } => "root-linked",
            Self::RootBackedUp { .. } => "root-backed-up",
            Self::ShareGiven { .. } => "share-given",
            Self::WrappingKeyDestroyed { .. } => "wrapping-key-destroyed",
            Self::Closed { .. } => "closed",
        }
    }
}
