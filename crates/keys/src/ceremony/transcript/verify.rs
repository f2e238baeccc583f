//! Judging a transcript, offline: form, chain, order, facts, signatures.
//!
//! What cannot be told from the document itself is whose the staff keys are: compare their handles with
//! those that custodians wrote down ([`Expected::custodians`]).

use credential::aws_lc::AwsLc;
use credential::crypto::PublicKey;
use vocabulary::time::Instant;

use super::error::{TranscriptError, What};
use super::script::{Script, decode};
use super::wire::{Step, Transcript};
use super::{DEED, STEPS_MAX, TRANSCRIPT_BYTES_MAX, head_digest, hex, step_digest, to_bytes, wire};
use crate::ceremony::approval::{self, ApprovalError, PersonName, Request};
use crate::ceremony::shares::{CeremonyId, Split};
use crate::custody::KeyHandle;

/// What holds of a ceremony whose transcript was believed. Made by [`verify`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Which ceremony.
    pub ceremony: CeremonyId,
    /// Whether it was for practice.
    pub rehearsal: bool,
    /// The name of the city.
    pub city: String,
    /// Whether a root was created or renewed: `create` or `renew`.
    pub kind: String,
    /// How many custodians there are, and how many can restore the root.
    pub split: Split,
    /// Who holds the root: `software`, or `token:` and a label.
    pub custody: String,
    /// Those who have a share, in its order.
    pub custodians: Vec<Holder>,
    /// The public half of the root.
    pub root: PublicKey,
    /// The certificate of the root, DER.
    pub certificate: Vec<u8>,
    /// For a renewal: the certificate of the old root and the one that it signed for the new.
    pub link: Option<Link>,
    /// The check value of the wrapping key, as shown.
    pub check_value: String,
    /// SHA-256 of the backup.
    pub backup_digest: [u8; 32],
    /// Who made the wrapping key trusted for the token, if it takes that: `security-officer`.
    pub trusted_by: Option<String>,
    /// When the ceremony was opened and when it was closed.
    pub span: (Instant, Instant),
    /// The program that led it.
    pub program: String,
}

/// A custodian with the staff key and the commitment to the share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The name.
    pub name: PersonName,
    /// The handle of the staff key that signed.
    pub staff_key: KeyHandle,
    /// SHA-256 over the share.
    pub commitment: [u8; 32],
}

/// How readers go over from the old root to the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The certificate of the old root, DER.
    pub old_certificate: Vec<u8>,
    /// The certificate of the new root's key that the old root signed, DER.
    pub certificate: Vec<u8>,
}

/// What is known from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Handles of custodians' staff keys that were written down; each must have signed.
    pub custodians: Vec<KeyHandle>,
}

/// Judges the transcript in `bytes`.
///
/// # Errors
/// [`TranscriptError`] for the first thing that does not hold, with the step where it stands.
pub fn verify(bytes: &[u8], expected: &Expected) -> Result<Verified, TranscriptError> {
    let transcript = read(bytes)?;
    let end = check_chain(&transcript)?;
    let mut script = Script::open(&transcript)?;
    for step in &transcript.steps {
        script.check(&step.content)?;
    }
    check_approvals(&script, &transcript, &end)?;
    let verified = script.finish(&transcript.head)?;
    for handle in &expected.custodians {
        if !verified.custodians.iter().any(|holder| holder.staff_key == *handle) {
            return Err(TranscriptError::NotSignedBy { key: *handle });
        }
    }
    Ok(verified)
}

fn read(bytes: &[u8]) -> Result<Transcript, TranscriptError> {
    if bytes.len() > TRANSCRIPT_BYTES_MAX {
        return Err(TranscriptError::Size);
    }
    let transcript: Transcript = serde_json::from_slice(bytes)
        .map_err(|source| TranscriptError::Json { line: source.line() })?;
    if transcript.head.format != wire::FORMAT {
        return Err(TranscriptError::Format { found: transcript.head.format });
    }
    if transcript.steps.len() > STEPS_MAX {
        return Err(TranscriptError::Size);
    }
    let canonical = to_bytes(&transcript);
    if canonical != bytes {
        let same = canonical.iter().zip(bytes).take_while(|(ours, theirs)| ours == theirs).count();
        let before = bytes.get(..same).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        return Err(TranscriptError::Form { line });
    }
    Ok(transcript)
}

/// The digest of the last step, if every step holds on to the one before.
fn check_chain(transcript: &Transcript) -> Result<[u8; 32], TranscriptError> {
    let mut digest = head_digest(&transcript.head);
    for (number, Step { content, digest: claimed }) in (1..).zip(&transcript.steps) {
        let at = |what| TranscriptError::Step { number, what };
        if content.number != number {
            return Err(at(What::Number { found: content.number }));
        }
        if content.previous != hex(&digest) {
            return Err(at(What::Previous));
        }
        digest = step_digest(&digest, content);
        if *claimed != hex(&digest) {
            return Err(at(What::Digest));
        }
    }
    Ok(digest)
}

/// Each custodian's signature, in the order of their shares, over the digest of the last step.
fn check_approvals(
    script: &Script,
    transcript: &Transcript,
    end: &[u8; 32],
) -> Result<(), TranscriptError> {
    let closed = script.closed_at()?;
    let mut approvals = Vec::with_capacity(transcript.approvals.len());
    for (name, approved) in script.names().iter().zip(&transcript.approvals) {
        if approved.name != name.as_str() {
            return Err(TranscriptError::Unsigned { name: name.clone() });
        }
        let bytes = decode(&approved.approval);
        approvals.push(bytes.ok_or_else(|| TranscriptError::Unsigned { name: name.clone() })?);
    }
    if let Some(name) = script.names().get(approvals.len()) {
        return Err(TranscriptError::Unsigned { name: name.clone() });
    }
    if transcript.approvals.len() > approvals.len() {
        return Err(TranscriptError::TooManyApprovals);
    }
    // They are made one after the other: each must hold when the last was made.
    let last = approvals.iter().filter_map(|bytes| approval::claimed_instant(bytes)).max();
    let at = last.unwrap_or(closed).max(closed);
    let deed = DEED.parse().map_err(|_| TranscriptError::Empty)?;
    let needed = script.names().len();
    let request = Request { deed: &deed, digest: end, needed, at };
    approval::quorum(&AwsLc, &request, &script.approvers, &approvals)
        .map_err(TranscriptError::Approval)?;
    for (position, (name, bytes)) in (1..).zip(script.names().iter().zip(&approvals)) {
        let (approver, _) = approval::verify(&AwsLc, &request, &script.approvers, position, bytes)
            .map_err(TranscriptError::Approval)?;
        if approver.name != *name {
            let name = name.clone();
            return Err(TranscriptError::Approval(ApprovalError::Forged { position, name }));
        }
    }
    Ok(())
}
