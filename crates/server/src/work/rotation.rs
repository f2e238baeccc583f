//! Keys move on with time: `keys::rotation` says what is due, and what needs no root is done here.
//!
//! Document signers are made and certified by their operator's own issuing authority (ISO/IEC
//! 18013-5 B.1.4). Readers and verifiers trust that authority and get the signer's certificate with
//! every document, so a signer needs no time to become known and signs at once. Access documents name
//! its key alone: until a reader has its next bundle, their holders pass by the mdoc. The key of the log
//! needs no certificate and is made here as well. Every other key is made by `limen key rotate`,
//! with the root at hand; once it is there, its first use, retirement and end are steps of this chore.

use std::collections::BTreeSet;
use std::error::Error;

use credential::crypto::Crypto;
use credential::x509::build;
use fleet::bundle::LIFE_DEFAULT;
use keys::custody::{Key, KeyHandle, NewKey, State};
use keys::purpose::Purpose;
use keys::rotation::lives::{DOCUMENT_SIGNER_LIFE, Lives};
use keys::rotation::{Step, due};
use serde_json::json;
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use crate::city::certificate::{Wanted, certificate};
use crate::city::facts::city;
use crate::record::Deed;
use crate::server::{Server, worker_deed};
use crate::sign::{certified, is_in_force, sign};

/// Rounds in which one step makes the next possible: make, certify, activate, retire, destroy.
const ROUNDS_MAX: usize = 8;
/// The keys that an operator signs documents with.
const SIGNERS: [Purpose; 2] = [Purpose::DocumentSignerMdoc, Purpose::DocumentSignerSdJwt];

/// Why a step was not taken, for the log.
type StepFault = Box<dyn Error + Send + Sync>;

/// The lives of the city's keys.
#[must_use]
pub const fn lives() -> Lives {
    Lives::new(LIFE_DEFAULT)
}

/// Takes every step that is due and can be taken without the root.
///
/// What fails for one operator is logged, told to whoever asks for readiness, and tried again with
/// the next chores; it stops no other operator.
pub(crate) async fn turn_all(server: &Server, at: Instant) {
    let mut failed: BTreeSet<KeyHandle> = BTreeSet::new();
    let mut unrenewed: BTreeSet<OperatorCode> = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let keys = server.custody.keys();
        let mut steps = first_signers(&keys, at);
        steps.extend(due(&keys, &lives(), at));
        steps.retain(|step| is_ours(step, &keys, at));
        let mut is_done = true;
        for step in &steps {
            let (key, operator) = concerned(step, &keys);
            let is_lost = key.is_some_and(|key| failed.contains(&key.handle))
                || operator.is_some_and(|operator| unrenewed.contains(operator));
            if is_lost {
                continue;
            }
            is_done = false;
            if let Err(error) = take(server, step, key, at).await {
                tracing::error!(?step, %error, "a key does not move on");
                failed.extend(key.map(|key| key.handle));
                unrenewed.extend(operator.cloned());
            }
        }
        if is_done {
            break;
        }
    }
    server.findings.set_unrenewed(unrenewed);
}

/// The first document signers of operators whose issuing authority is in force: a city is founded
/// without any.
fn first_signers(keys: &[Key], at: Instant) -> Vec<Step> {
    let has = |purpose, operator: &OperatorCode| {
        keys.iter().any(|key| key.purpose == purpose && key.operator.as_ref() == Some(operator))
    };
    let operators: BTreeSet<&OperatorCode> = keys
        .iter()
        .filter(|key| key.purpose == Purpose::IssuingAuthority && signs(key, at))
        .filter_map(|key| key.operator.as_ref())
        .collect();
    let wanted = operators.iter().flat_map(|operator| SIGNERS.map(|purpose| (*operator, purpose)));
    wanted
        .filter(|(operator, purpose)| !has(*purpose, operator))
        .map(|(operator, purpose)| Step::Make {
            purpose,
            operator: Some(operator.clone()),
            suite: purpose.suite(),
        })
        .collect()
}

fn signs(key: &Key, at: Instant) -> bool {
    key.state == State::Active && key.certificate.as_deref().is_some_and(|der| is_in_force(der, at))
}

/// Whether a step can be taken here. An operator without an authority in force issues nothing; its
/// signers end with it.
fn is_ours(step: &Step, keys: &[Key], at: Instant) -> bool {
    let has_authority = |operator: Option<&OperatorCode>| {
        keys.iter().any(|key| {
            key.purpose == Purpose::IssuingAuthority
                && key.operator.as_ref() == operator
                && signs(key, at)
        })
    };
    match step {
        Step::Make { purpose: Purpose::Checkpoint, .. } => true,
        Step::Make { purpose, operator, .. } => {
            SIGNERS.contains(purpose) && has_authority(operator.as_ref())
        }
        Step::Certify(handle) => keys.iter().any(|key| {
            key.handle == *handle
                && SIGNERS.contains(&key.purpose)
                && has_authority(key.operator.as_ref())
        }),
        Step::Activate(_) | Step::Retire(_) | Step::Destroy(_) => true,
    }
}

/// The key that a step is about, and the operator whose it is or will be.
fn concerned<'k>(step: &'k Step, keys: &'k [Key]) -> (Option<&'k Key>, Option<&'k OperatorCode>) {
    match step {
        Step::Make { operator, .. } => (None, operator.as_ref()),
        Step::Certify(handle)
        | Step::Activate(handle)
        | Step::Retire(handle)
        | Step::Destroy(handle) => {
            let key = keys.iter().find(|key| key.handle == *handle);
            (key, key.and_then(|key| key.operator.as_ref()))
        }
    }
}

/// Takes one step and records it.
async fn take(
    server: &Server,
    step: &Step,
    key: Option<&Key>,
    at: Instant,
) -> Result<(), StepFault> {
    let custody = &*server.custody;
    let (what, key) = match (step, key) {
        (Step::Make { purpose, operator, .. }, _) => {
            let (purpose, operator) = (*purpose, operator.clone());
            let suite = server.suites.of(purpose);
            let request = NewKey { purpose, operator, suite, state: State::Published, at };
            (MAKE, custody.generate(request).await?)
        }
        (Step::Certify(_), Some(key)) => return certify(server, key, at).await,
        (Step::Activate(handle), Some(_)) => {
            (ACTIVATE, custody.set_state(handle, State::Active, at).await?)
        }
        (Step::Retire(handle), Some(_)) => {
            (RETIRE, custody.set_state(handle, State::Retired, at).await?)
        }
        (Step::Destroy(handle), Some(key)) => {
            custody.destroy(handle).await?;
            (DESTROY, key.clone())
        }
        (_, None) => return Ok(()),
    };
    let deed = deed_of(&key, what, at, worker_deed);
    server.attempt(deed, Vec::new(), Vec::new()).await?;
    tracing::info!(what, purpose = %key.purpose, key = %key.handle, "a key moved on");
    Ok(())
}

async fn certify(server: &Server, key: &Key, at: Instant) -> Result<(), StepFault> {
    let custody = &*server.custody;
    let Some(operator) = &key.operator else { return Ok(()) };
    let (authority, above) = certified(custody, Purpose::IssuingAuthority, Some(operator), at)?;
    let name = format!("{operator} {}", key.purpose);
    let wanted = Wanted {
        purpose: build::Purpose::DocumentSigner,
        common_name: &name,
        organization: Some(operator.as_str()),
        country: &server.city.country,
        public_url: &server.public_url,
        key: &key.public_key,
        life: DOCUMENT_SIGNER_LIFE,
    };
    let signed = sign(custody, &authority, certificate(&wanted, Some(&above), at)?).await?;
    custody.attach_certificate(&key.handle, signed.as_bytes()).await?;
    Ok(())
}

/// Deeds upon keys.
pub(crate) const MAKE: &str = "key.make";
pub(crate) const ACTIVATE: &str = "key.activate";
pub(crate) const RETIRE: &str = "key.retire";
pub(crate) const DESTROY: &str = "key.destroy";

/// The record of a deed upon `key`: which it is, what it is for, and the digest of its public half,
/// by which the end of a key can be held against what it signed.
pub(crate) fn deed_of(
    key: &Key,
    what: &'static str,
    at: Instant,
    by: fn(OperatorCode, &'static str, String, Instant) -> Deed,
) -> Deed {
    let digest = credential::aws_lc::AwsLc.sha256(key.public_key.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let more = json!({
        "purpose": key.purpose.as_str(),
        "suite": key.suite.as_str(),
        "held_by": &*key.held_by,
        "public_key_sha256": digest,
    });
    let operator = key.operator.clone().unwrap_or_else(city);
    Deed { more: Some(more), ..by(operator, what, key.handle.to_string(), at) }
}

#[cfg(test)]
mod tests;
