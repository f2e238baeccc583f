//! Handles of the express tap, made beside the epoch keys (`specs/express-tap.md`, "Issuing").
//!
//! What the desk goes by is signed: the pass by a document signer whose key lies in this service, the
//! request by the device. The client that carries both gets a batch that only the device opens. Epoch
//! keys come from the vault as they do for a reader, wrapped for this process; what is derived from
//! them stays in memory for the epochs at hand and is erased then.

use core::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::rand;
use credential::aws_lc::AwsLc;
use credential::crypto::P256Secret;
use credential::delivery::{EPOCH_SECONDS, Purpose as DeliveryPurpose, Scope, epoch_at};
use credential::mdoc::{Expectation, verify_issuer_signed};
use credential::rights::Rights;
use credential::x509::TrustAnchors;
use presentation::express::handle::{Content, HANDLES_MAX, Index, NONCE_BYTES};
use presentation::express::issuing::{Batch, Request, Wish};
use presentation::express::schedule::ScopeKeys;
use presentation::express::{Context, ScopeId, class_tag, list_tag, product_tag};
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use super::transport::Transport;
use super::{Secret, SecretHandle, SecretKind, Vault};
use crate::custody::Key;
use crate::purpose::Purpose;

/// Scopes and epochs whose keys are in memory at a time.
pub const SCOPES_MAX: usize = 1024;

/// The desk, with the keys that it works with.
#[derive(Default)]
pub(crate) struct Handles {
    kept: Mutex<Vec<Kept>>,
}

/// What was derived from the epoch key `secret`.
struct Kept {
    secret: SecretHandle,
    epoch: u64,
    keys: Arc<ScopeKeys>,
}

/// Why no handles are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlesError {
    /// The request has not the form of this version.
    Form,
    /// The pass is not signed by a document signer whose key is here, not valid now, or changed.
    Pass {
        /// What is amiss.
        why: String,
    },
    /// The statement is not signed by the device key of the pass, or not fresh.
    Device,
    /// The pass is of another operator, or does not name the zone.
    Scope,
    /// Only its holder may use the pass, and no secure element is attested.
    HolderOnly,
    /// The epoch is not the one at hand or the next, or has no key.
    Epoch,
    /// The hours of the pass make more than one interval on that day, or none.
    Hours,
    /// No handle, or more than [`HANDLES_MAX`] of one index.
    Count,
    /// The client has no right to handles.
    NotAllowed,
    /// They cannot be made now; later they may be.
    Unavailable,
}

impl HandlesError {
    /// The word on the line.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Pass { .. } => "pass",
            Self::Device => "device",
            Self::Scope => "scope",
            Self::HolderOnly => "holder-only",
            Self::Epoch => "epoch",
            Self::Hours => "hours",
            Self::Count => "count",
            Self::NotAllowed => "not-allowed",
            Self::Unavailable => "unavailable",
        }
    }

    /// What a word of the line means.
    pub(crate) fn named(word: &str, detail: Option<&str>) -> Self {
        let plain = [
            Self::Form,
            Self::Device,
            Self::Scope,
            Self::HolderOnly,
            Self::Epoch,
            Self::Hours,
            Self::Count,
            Self::NotAllowed,
        ];
        match word {
            "pass" => Self::Pass { why: detail.unwrap_or_default().into() },
            word => plain.into_iter().find(|it| it.word() == word).unwrap_or(Self::Unavailable),
        }
    }

    pub(crate) fn detail(&self) -> Option<&str> {
        match self {
            Self::Pass { why } => Some(why),
            _ => None,
        }
    }
}

impl fmt::Display for HandlesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("make express handles: ")?;
        f.write_str(match self {
            Self::Form => "the request has not the form of this version",
            Self::Pass { why } => return write!(f, "the pass does not hold: {why}"),
            Self::Device => {
                "the request is not signed by the device key of the pass, or its clock is off by more \
                 than five minutes"
            }
            Self::Scope => "the pass is of another operator, or does not name the zone",
            Self::HolderOnly => {
                "only its holder may use the pass, which takes an attested secure element"
            }
            Self::Epoch => "the epoch is not today's or tomorrow's, or has no key",
            Self::Hours => "the hours of the pass are not one interval of that day",
            Self::Count => return write!(f, "1 to {HANDLES_MAX} for one index, and no more"),
            Self::NotAllowed => {
                "this client has no right to handles; put `handles` into its line `vault` in the \
                 configuration of the key service"
            }
            Self::Unavailable => "the key service cannot make any at present",
        })
    }
}

impl core::error::Error for HandlesError {}

impl Handles {
    /// The sealed batch for the request `bytes`.
    pub(crate) async fn deal(
        &self,
        vault: &dyn Vault,
        keys: &[Key],
        bytes: &[u8],
        at: Instant,
    ) -> Result<Vec<u8>, HandlesError> {
        let request = Request::parse(bytes).map_err(|_| HandlesError::Form)?;
        let content = judge(keys, &request, at)?;
        let secret = vault.current(SecretKind::Epoch, &request.scope, request.epoch);
        let secret = secret.ok_or(HandlesError::Epoch)?;
        let keys = self.scope_keys(vault, &secret, &request.scope, at).await?;
        let failed = |_| HandlesError::Unavailable;
        let mut handles = Vec::with_capacity(request.count.into());
        for number in request.first..request.first.saturating_add(request.count) {
            let mut nonce = [0; NONCE_BYTES];
            rand::fill(&mut nonce).map_err(failed)?;
            handles.push(keys.seal(&AwsLc, &Content { number, ..content }, nonce));
        }
        let mut scalar = Zeroizing::new([0; 32]);
        rand::fill(scalar.as_mut()).map_err(failed)?;
        let batch = Batch { scope: request.scope, epoch: request.epoch, handles };
        let ephemeral = P256Secret::from_bytes(*scalar);
        // The device signed its point: one that is none of the curve is its own fault.
        let answer = batch.seal(&AwsLc, &ephemeral, &request.statement.point);
        Ok(answer.map_err(|_| HandlesError::Device)?.encode())
    }

    /// What is derived from `secret`: from memory, or from the vault.
    async fn scope_keys(
        &self,
        vault: &dyn Vault,
        secret: &Secret,
        scope: &Scope,
        at: Instant,
    ) -> Result<Arc<ScopeKeys>, HandlesError> {
        let now = epoch_at(at);
        if let Some(keys) = self.known(&secret.handle, now) {
            return Ok(keys);
        }
        let failed = || HandlesError::Unavailable;
        let transport = Transport::draw().map_err(|_| failed())?;
        let delivery = vault.wrap_for(&secret.handle, transport.recipient()).await;
        let delivery = delivery.map_err(|error| {
            tracing::warn!(%error, "no epoch key for handles");
            failed()
        })?;
        let context = &delivery.context;
        if context.purpose != DeliveryPurpose::Epoch || context.epoch != secret.epoch {
            return Err(failed());
        }
        let key = transport.open(&delivery).map_err(|_| failed())?;
        let key = key.as_slice().try_into().map_err(|_| failed())?;
        let epoch = u32::try_from(secret.epoch).map_err(|_| HandlesError::Epoch)?;
        let scope = ScopeId::new(&AwsLc, &scope.operator, scope.zone.as_ref());
        let keys = Arc::new(ScopeKeys::derive(&AwsLc, key, Context { scope, epoch }));
        let kept = Kept { secret: secret.handle, epoch: secret.epoch, keys: Arc::clone(&keys) };
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= SCOPES_MAX {
            all.remove(0);
        }
        all.push(kept);
        Ok(keys)
    }

    fn known(&self, secret: &SecretHandle, now: u64) -> Option<Arc<ScopeKeys>> {
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|kept| kept.epoch >= now);
        let kept = all.iter().find(|kept| kept.secret == *secret)?;
        Some(Arc::clone(&kept.keys))
    }
}

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handles(..)")
    }
}

/// What the handles of `request` say, their number aside, in the order in which refusals are named.
fn judge(keys: &[Key], request: &Request, at: Instant) -> Result<Content, HandlesError> {
    let amiss = |why: &dyn fmt::Display| HandlesError::Pass { why: why.to_string() };
    let signers: Vec<&Key> =
        keys.iter().filter(|key| key.purpose == Purpose::DocumentSignerMdoc).collect();
    let ders = signers.iter().filter_map(|key| key.certificate.as_deref());
    let anchors = TrustAnchors::from_ders(ders).map_err(|error| amiss(&error))?;
    let expectation =
        Expectation { crypto: &AwsLc, anchors: &anchors, at, doc_type: None, session: None };
    let document = verify_issuer_signed(&request.issuer_signed, &expectation, None)
        .map_err(|rejection| amiss(&rejection))?;
    let rights = Rights::from_document(&document).map_err(|rejection| amiss(&rejection))?;
    let signer = signers.iter().find(|key| {
        key.certificate.as_deref() == Some(document.signer().raw)
            && key.operator.as_ref() == Some(&rights.operator)
    });
    if signer.is_none() {
        return Err(amiss(&"its document signer does not speak for its operator"));
    }
    let now = at.unix_seconds();
    let Request { issuer_signed, scope, epoch, .. } = request;
    let wish = Wish { issuer_signed, scope, epoch: *epoch };
    if !request.statement.holds(&AwsLc, document.device_key(), &wish, now) {
        return Err(HandlesError::Device);
    }
    let Scope { operator, zone } = &request.scope;
    if rights.operator != *operator || !zone.as_ref().is_some_and(|it| rights.cover_zone(it)) {
        return Err(HandlesError::Scope);
    }
    if rights.holder_only {
        return Err(HandlesError::HolderOnly);
    }
    let today = epoch_at(at);
    if ![today, today.saturating_add(1)].contains(&request.epoch) {
        return Err(HandlesError::Epoch);
    }
    let mso = document.mobile_security_object();
    let dates = (mso.valid_from.unix_seconds(), mso.valid_until.unix_seconds());
    let (not_before, not_after) =
        hours(&rights, request.epoch, dates).ok_or(HandlesError::Hours)?;
    let last = request.first.saturating_add(request.count);
    let is_wanted = (1..=request.statement.count).contains(&request.count);
    if !is_wanted || last > HANDLES_MAX {
        return Err(HandlesError::Count);
    }
    Ok(Content {
        needs_presence: false,
        is_counted: rights.uses_max.is_some(),
        product: product_tag(&AwsLc, rights.product.as_str()),
        class: rights.class.as_ref().map(|class| class_tag(&AwsLc, class.as_str())),
        status: Index { list: list_tag(&AwsLc, &request.list), index: request.index },
        not_before,
        not_after,
        number: request.first,
    })
}

/// The one interval of the epoch in which the pass and its document hold.
fn hours(rights: &Rights, epoch: u64, (from, until): (i64, i64)) -> Option<(u32, u32)> {
    let begin = epoch.checked_mul(EPOCH_SECONDS.into())?;
    let end = begin.checked_add((EPOCH_SECONDS - 1).into())?;
    let (begin, end) = (i64::try_from(begin).ok()?.max(from), i64::try_from(end).ok()?.min(until));
    let (first, last) = rights.only_interval(begin, end)?;
    Some((u32::try_from(first).ok()?, u32::try_from(last).ok()?))
}
