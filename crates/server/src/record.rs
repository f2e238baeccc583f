//! The record of a deed: the leaf that goes into the audit log with every change.
//!
//! Actors and objects stand in the leaf as pseudonyms under a key per operator that is derived
//! from a file beside the server's secrets and is never in the database. The details are identifiers
//! alone, bound by a commitment under a fresh random key that is kept with them: deleting the
//! details destroys the key, and the leaf says nothing any more.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use audit::entry::{Commitment, CommitmentKey, Entry, Pseudonym};
use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use policy::actor::Subject;
use policy::authorize::Permit;
use serde::Serialize;
use store::commit::{AuditEntry, Detail};
use vocabulary::code::OperatorCode;
use vocabulary::id::EventId;
use vocabulary::time::Instant;

use crate::config::Keys;
use crate::world::{NoEntropy, entropy};

const SECRET_BYTES: usize = 32;
const KEY_LABEL: &[u8] = b"limen pseudonym key 1\0";

/// The secret of the city from which each operator's key of pseudonyms comes.
pub(crate) struct Recorder([u8; SECRET_BYTES]);

/// What was done, by whom, to what.
pub(crate) struct Deed {
    /// In whose realm.
    pub(crate) operator: OperatorCode,
    /// Who did it.
    pub(crate) subject: Subject,
    /// What happened: an action's name, or a word of its own, with hyphens or dots.
    pub(crate) what: &'static str,
    /// To what: an identifier or a code, never a name.
    pub(crate) object: String,
    /// When.
    pub(crate) at: Instant,
    /// What else is kept beside the log, and can be forgotten.
    pub(crate) more: Option<serde_json::Value>,
}

impl Deed {
    /// The deed that `permit` allows, upon `object`.
    pub(crate) fn of(permit: &Permit, object: String, at: Instant) -> Self {
        Self {
            operator: permit.operator().clone(),
            subject: permit.actor().subject(),
            what: permit.action().as_str(),
            object,
            at,
            more: None,
        }
    }
}

#[derive(Serialize)]
struct Details<'d> {
    what: &'d str,
    actor: &'d str,
    object: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<&'d serde_json::Value>,
}

impl Recorder {
    /// The file of the secret: it lies beside the pairing with the key service, or beside the keystore.
    pub(crate) fn path(keys: &Keys) -> PathBuf {
        keys.pairing.as_ref().unwrap_or(&keys.keystore).with_extension("pseudonyms")
    }

    /// Reads the secret; nobody but its owner may have permissions on the file.
    ///
    /// # Errors
    /// [`io::Error`] that names the file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("key of pseudonyms `{}`: {error}", path.display()))
        };
        let mode = std::fs::metadata(path).map_err(named)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(named(io::Error::other("others have permissions on it: set mode 600")));
        }
        let bytes = std::fs::read(path).map_err(named)?;
        let secret = bytes.try_into().map_err(|_| named(io::Error::other("not 32 bytes long")))?;
        Ok(Self(secret))
    }

    /// The record of `deed`.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub(crate) fn entry(&self, deed: &Deed) -> Result<AuditEntry, NoEntropy> {
        let actor = name(deed.subject);
        let details = Details {
            what: deed.what,
            actor: &actor,
            object: &deed.object,
            more: deed.more.as_ref(),
        };
        // INVARIANT: texts and JSON values always serialize.
        let payload = serde_json::to_string(&details).unwrap_or_default();
        let key: [u8; 32] = entropy()?;
        let pseudonyms = self.pseudonyms(&deed.operator);
        // INVARIANT: every word that deeds are named by is a kind once its dots are hyphens.
        let kind = deed.what.replace('.', "-").parse().map_err(|_| NoEntropy)?;
        let entry = Entry {
            at: deed.at,
            event: EventId::new(deed.at, entropy()?),
            kind,
            operator: deed.operator.clone(),
            actor: match deed.subject {
                Subject::Worker => Pseudonym::NONE,
                _ => Pseudonym::of(&pseudonyms, actor.as_bytes()),
            },
            object: Pseudonym::of(&pseudonyms, deed.object.as_bytes()),
            commitment: Commitment::over(&CommitmentKey::from_bytes(key), payload.as_bytes()),
        };
        Ok(AuditEntry { entry, detail: Some(Detail { payload, key }) })
    }

    fn pseudonyms(&self, operator: &OperatorCode) -> CommitmentKey {
        let message = [KEY_LABEL, operator.as_str().as_bytes()].concat();
        CommitmentKey::from_bytes(AwsLc.hmac_sha256(&self.0, &message))
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder(..)")
    }
}

fn name(subject: Subject) -> String {
    match subject {
        Subject::Token(id) => id.to_string(),
        Subject::Reader(id) => id.to_string(),
        Subject::Enrolment(id) => id.to_string(),
        Subject::Offer(id) => id.to_string(),
        Subject::Pass(id) => id.to_string(),
        Subject::Worker => "worker".into(),
        Subject::Host => "host".into(),
    }
}
