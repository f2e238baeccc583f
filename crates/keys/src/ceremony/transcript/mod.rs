//! The transcript: what happened in a ceremony, step by step, and the custodians' signatures on it.
//!
//! A JSON document in one canonical form (`specs/ceremony-transcript.md`): every step carries the digest
//! of all before it, and the last digest is what custodians approve with their staff keys. It holds
//! public facts only; anybody may keep a copy and judge it offline ([`verify::verify`]).

use aws_lc_rs::digest::{Context, SHA256};
use base64ct::{Base64UrlUnpadded, Encoding};
use vocabulary::time::Instant;

use super::approval::PersonName;
use super::shares::CeremonyId;
use wire::{Approved, Content, Facts, Head, Step, Transcript};

pub mod error;
mod script;
pub mod verify;
pub mod wire;

/// Bytes in a transcript.
pub const TRANSCRIPT_BYTES_MAX: usize = 512 * 1024;
/// Steps in a transcript.
pub const STEPS_MAX: usize = 64;
/// The deed that custodians approve with their signatures on a transcript.
pub const DEED: &str = "ceremony-transcript";

const HEAD_DOMAIN: &[u8] = b"limen-ceremony-head-1";
const STEP_DOMAIN: &[u8] = b"limen-ceremony-step-1";

/// Writes a transcript while the ceremony goes on.
#[derive(Clone, Debug)]
pub struct Recorder {
    transcript: Transcript,
    digest: [u8; 32],
}

/// What happened in one step, before it is chained.
#[derive(Clone, Debug)]
pub struct Event<'e> {
    /// When.
    pub at: Instant,
    /// What those present saw on the screen, secrets left out.
    pub shown: &'e str,
    /// Who confirmed it.
    pub confirmed_by: &'e [PersonName],
    /// What is true since.
    pub facts: Facts,
}

impl Recorder {
    /// Opens the transcript of the ceremony `id`.
    #[must_use]
    pub fn begin(id: CeremonyId, rehearsal: bool) -> Self {
        let head = Head { format: wire::FORMAT.to_owned(), ceremony: id.to_string(), rehearsal };
        let digest = head_digest(&head);
        Self { transcript: Transcript { head, steps: Vec::new(), approvals: Vec::new() }, digest }
    }

    /// Adds a step.
    pub fn record(&mut self, event: Event<'_>) {
        let number = u32::try_from(self.transcript.steps.len() + 1).unwrap_or(u32::MAX);
        let content = Content {
            number,
            at: event.at.floor_to_second().to_string(),
            shown: event.shown.to_owned(),
            confirmed_by: event.confirmed_by.iter().map(ToString::to_string).collect(),
            facts: event.facts,
            previous: hex(&self.digest),
        };
        self.digest = step_digest(&self.digest, &content);
        self.transcript.steps.push(Step { content, digest: hex(&self.digest) });
    }

    /// The digest of all steps so far: what is approved at the end.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Adds the approval of `name`.
    pub fn approve(&mut self, name: &PersonName, approval: &[u8]) {
        let approval = Base64UrlUnpadded::encode_string(approval);
        self.transcript.approvals.push(Approved { name: name.to_string(), approval });
    }

    /// The document as it is kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(&self.transcript)
    }
}

/// The last step of a transcript that was never finished, for saying where a ceremony broke off.
#[must_use]
pub fn last_step(bytes: &[u8]) -> Option<(u32, Facts)> {
    let transcript: Transcript = serde_json::from_slice(bytes).ok()?;
    transcript.steps.last().map(|step| (step.content.number, step.content.facts.clone()))
}

/// The one form in which a transcript is written.
fn to_bytes(transcript: &Transcript) -> Vec<u8> {
    // INVARIANT: structs of texts, numbers and lists always serialize.
    let mut bytes = serde_json::to_vec_pretty(transcript).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn head_digest(head: &Head) -> [u8; 32] {
    hash(HEAD_DOMAIN, &[], &serde_json::to_vec(head).unwrap_or_default())
}

fn step_digest(previous: &[u8; 32], content: &Content) -> [u8; 32] {
    hash(STEP_DOMAIN, previous, &serde_json::to_vec(content).unwrap_or_default())
}

fn hash(domain: &[u8], previous: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    [domain, previous, bytes].into_iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// Bytes as lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
