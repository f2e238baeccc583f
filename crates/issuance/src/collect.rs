//! The credential endpoint: a wallet collects documents for its keys (OpenID4VCI 1.0, 8).
//!
//! One request, one format, one or several device keys; each key gets a document of its own with a
//! random status index of its own. Nothing is signed here: documents leave as `Unsigned`, and what
//! the city remembers of them leaves as changes, to be committed before the answer does.

use core::fmt;

use credential::crypto::Crypto;
use credential::unsigned::Unsigned;
use policy::action::Action;
use policy::actor::Object;
use policy::authorize::{Permit, WrongPermit};
use vocabulary::id::CredentialId;
use vocabulary::time::Instant;

use crate::access::Access;
use crate::attestation::Attester;
use crate::change::Change;
use crate::document::{Delivery, Document, Standing};
use crate::entropy::Entropy;
use crate::issuer::{Configuration, Issuer};
use crate::nonce::{NonceError, NonceKey};
use crate::paper::{Dates, Paper, PaperError, draw_up, formats_of, signer_of};
use crate::pass::{Pass, PassRefusal, collect_pass};
use crate::product::{Format, Product};
use crate::proof::{DeviceKey, Expectation, ProofError, Proofs, ProvenKeys, verify_proofs};
use crate::secret::{Digest, Secret, SecretUse, digest};
use crate::status_list::StatusList;
use crate::token::{Grant, Remaining};

/// A credential request, as `wire::credential` reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectRequest {
    /// Which credential.
    pub configuration: Configuration,
    /// For which keys.
    pub proofs: Proofs,
}

/// The issuer at work: what does not change from request to request.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Provider of cryptography.
    pub crypto: &'a dyn Crypto,
    /// The issuer.
    pub issuer: &'a Issuer,
    /// The key of its nonces.
    pub nonce_key: &'a NonceKey,
    /// Whose key attestations are taken.
    pub attesters: &'a [Attester],
    /// Certificates of the signer of mdocs and access documents in DER, leaf first, without the trust
    /// anchor.
    pub mdoc_chain: &'a [&'a [u8]],
    /// Certificates of the signer of SD-JWT VCs in DER, leaf first, without the trust anchor.
    pub sd_jwt_chain: &'a [&'a [u8]],
}

/// What the store found for a credential request; everything is of the issuer's operator.
#[derive(Clone, Copy)]
pub struct CollectState<'a> {
    /// The pass of the grant.
    pub pass: &'a Pass,
    /// The version of the product that the pass names.
    pub product: &'a Product,
    /// The operator's newest status list.
    pub status_list: &'a StatusList,
    /// Indexes of that list that are free, from `draw_indexes`, as many as there may be documents.
    pub free_indexes: &'a [u32],
}

/// Documents that wait for their signatures.
pub struct Collected {
    /// What to commit before the answer leaves.
    pub changes: Vec<Change>,
    /// The format, which says by which key to sign.
    pub format: Format,
    /// The documents in the order of the proofs; each becomes the text of one `credential`.
    pub documents: Vec<Unsigned<String>>,
    /// The name of this response in notifications.
    pub notification: Secret,
}

/// Draws up the documents that a wallet asks for. The permit is for the grant's offer.
///
/// # Errors
/// [`CollectRefusal`]
pub fn collect_documents(
    desk: Desk<'_>,
    permit: &Permit,
    access: &Access,
    state: CollectState<'_>,
    request: &CollectRequest,
    now: Instant,
    entropy: [u8; 32],
) -> Result<Collected, CollectRefusal> {
    let grant = access.grant();
    check_permit(permit, grant)?;
    check_state(desk.issuer, grant, state)?;
    let format = request.configuration.format;
    let left = remaining(grant, state.product, &request.configuration)?;
    let pass = collect_pass(state.pass, now).map_err(CollectRefusal::Pass)?;
    let proven = verify_proofs(desk.crypto, &request.proofs, expectation(desk, state), now)
        .map_err(CollectRefusal::Proof)?;
    let count = proven.keys().len().min(left.into());
    let keys = proven.keys().get(..count).unwrap_or_default();

    let mut entropy = Entropy::new(entropy);
    let notification = Secret::new(entropy.block());
    let chain = chain_of(desk, state, format)?;
    let dates = Dates::of(&pass, state.product, chain, now).map_err(CollectRefusal::Paper)?;
    let batch = Batch { desk, state, format, chain, dates, notification: &notification };
    let mut rows = Vec::with_capacity(count);
    let mut documents = Vec::with_capacity(count);
    for (position, key) in keys.iter().enumerate() {
        let index = state.free_indexes.get(position).ok_or(CollectRefusal::StatusIndexes)?;
        let (row, document) = batch.draw_up(key, *index, now, &mut entropy)?;
        rows.push(Change::Document(row));
        documents.push(document);
    }
    let mut changes = consumption(access, &proven, grant, format, count);
    changes.push(Change::Pass(pass));
    changes.append(&mut rows);
    Ok(Collected { changes, format, documents, notification })
}

/// What the documents of one response have in common.
struct Batch<'a> {
    desk: Desk<'a>,
    state: CollectState<'a>,
    format: Format,
    chain: &'a [&'a [u8]],
    dates: Dates,
    notification: &'a Secret,
}

impl Batch<'_> {
    /// One document for `key`, and the row that remembers it.
    fn draw_up(
        &self,
        key: &DeviceKey,
        status_index: u32,
        now: Instant,
        entropy: &mut Entropy,
    ) -> Result<(Document, Unsigned<String>), CollectRefusal> {
        let (pass, list) = (self.state.pass, self.state.status_list);
        let row = Document {
            id: CredentialId::new(now, entropy.bytes()),
            operator: pass.operator.clone(),
            pass: pass.id,
            format: self.format,
            key_thumbprint: key.thumbprint,
            status_list: list.number,
            status_index,
            standing: Standing::Valid,
            delivery: Delivery::Sent,
            notification_digest: notification_digest(self.notification),
            issued_at: now,
            valid_until: self.dates.valid_until,
            version: 1,
        };
        let paper = Paper {
            issuer: self.desk.issuer,
            pass,
            product: self.state.product,
            key: &key.key,
            dates: self.dates,
            status_uri: &self.desk.issuer.status_uri(list.number),
            status_index: status_index.into(),
            chain: self.chain,
        };
        let document = draw_up(self.desk.crypto, &paper, self.format, entropy)
            .map_err(CollectRefusal::Paper)?;
        Ok((row, document))
    }
}

fn notification_digest(notification: &Secret) -> Digest {
    digest(SecretUse::Notification, notification.reveal())
}

fn expectation<'a>(desk: Desk<'a>, state: CollectState<'a>) -> Expectation<'a> {
    Expectation {
        issuer: desk.issuer,
        nonce_key: desk.nonce_key,
        attesters: desk.attesters,
        level_min: state.product.terms.attestation_min,
        user_authentication_min: state.product.terms.user_authentication_min(),
    }
}

fn check_permit(permit: &Permit, grant: &Grant) -> Result<(), CollectRefusal> {
    let action = Action::CredentialCollect;
    permit.covers(action, &grant.operator).map_err(CollectRefusal::Permit)?;
    if permit.object() == Object::Offer(grant.offer) {
        return Ok(());
    }
    Err(CollectRefusal::Permit(WrongPermit { given: permit.action(), needed: action }))
}

/// The caller must have loaded what belongs together.
fn check_state(
    issuer: &Issuer,
    grant: &Grant,
    state: CollectState<'_>,
) -> Result<(), CollectRefusal> {
    let CollectState { pass, product, status_list, .. } = state;
    let operators = [&grant.operator, &pass.operator, &product.operator, &status_list.operator];
    let belongs = operators.into_iter().all(|operator| operator == issuer.operator())
        && grant.pass == pass.id
        && pass.is_of(product);
    if belongs { Ok(()) } else { Err(CollectRefusal::State) }
}

/// How many documents of the configuration may still be collected: at least one.
fn remaining(
    grant: &Grant,
    product: &Product,
    configuration: &Configuration,
) -> Result<u16, CollectRefusal> {
    let left = grant.remaining.iter().find(|left| left.format == configuration.format);
    match left.filter(|_| configuration.product == product.code) {
        None => Err(CollectRefusal::Configuration),
        Some(Remaining { documents: 0, .. }) => Err(CollectRefusal::Exhausted),
        Some(Remaining { documents, .. }) => Ok(*documents),
    }
}

/// Whose certificates sign `format`, if it is given now: the city may have gone over to another signer
/// since the offer was made.
fn chain_of<'a>(
    desk: Desk<'a>,
    state: CollectState<'_>,
    format: Format,
) -> Result<&'a [&'a [u8]], CollectRefusal> {
    let signer = signer_of(desk.mdoc_chain).map(|key| key.algorithm());
    if !formats_of(desk.issuer, state.product, signer).contains(&format) {
        return Err(CollectRefusal::Configuration);
    }
    Ok(match format {
        Format::Mdoc | Format::AccessDocument => desk.mdoc_chain,
        Format::SdJwt => desk.sd_jwt_chain,
    })
}

/// The nonce and the DPoP proof are used, and the grant has `count` documents less.
fn consumption(
    access: &Access,
    proven: &ProvenKeys,
    grant: &Grant,
    format: Format,
    count: usize,
) -> Vec<Change> {
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    let less = |left: &Remaining| Remaining {
        documents: left.documents.saturating_sub(if left.format == format { count } else { 0 }),
        ..*left
    };
    let grant = Grant {
        remaining: grant.remaining.iter().map(less).collect(),
        version: grant.version.saturating_add(1),
        ..grant.clone()
    };
    let mut changes = vec![Change::Once(proven.once().clone())];
    changes.extend(access.once().cloned().map(Change::Once));
    changes.push(Change::Grant(grant));
    changes
}

/// Why documents are not drawn up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CollectRefusal {
    /// The permit is for another deed, operator or offer.
    Permit(WrongPermit),
    /// The request is malformed, too long, or has a member that is unknown or stands twice.
    Form,
    /// An encrypted response was asked for.
    Encryption,
    /// A `credential_identifier` was named; this issuer gives none.
    Identifier,
    /// The configuration is unknown, or not in the offer.
    Configuration,
    /// No proofs, too many, or of no type that is supported.
    ProofsMissing,
    /// A proof does not hold.
    Proof(ProofError),
    /// The nonce was used before; the store found its mark.
    NonceReplayed,
    /// The pass is out of force.
    Pass(PassRefusal),
    /// All documents of this offer have been collected.
    Exhausted,
    /// The caller loaded what does not belong together.
    State,
    /// The caller found too few free status indexes: draw again.
    StatusIndexes,
    /// The document cannot be drawn up: the signer or the product is amiss.
    Paper(PaperError),
}

impl CollectRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Permit(_) => "wrong-permit",
            Self::Form => "credential-request",
            Self::Encryption => "response-encryption",
            Self::Identifier => "credential-identifier",
            Self::Configuration => "credential-configuration",
            Self::ProofsMissing => "proofs-missing",
            Self::Proof(ProofError::Nonce(_) | ProofError::NoncesDiffer) => "nonce",
            Self::Proof(
                ProofError::Attestation(_) | ProofError::LevelTooLow | ProofError::UserUnattested,
            ) => "key-attestation",
            Self::Proof(_) => "proof",
            Self::NonceReplayed => "nonce-replayed",
            Self::Pass(refusal) => refusal.code(),
            Self::Exhausted => "offer-collected",
            Self::State => "collect-state",
            Self::StatusIndexes => "status-indexes",
            Self::Paper(_) => "document",
        }
    }

    /// The error code that the wallet sees (OpenID4VCI 1.0, 8.3.1.2). `server_error` is a fault of
    /// the caller or its keys, to be answered as such.
    #[must_use]
    pub const fn oauth_error(&self) -> &'static str {
        match self {
            Self::Form => "invalid_credential_request",
            Self::Encryption => "invalid_encryption_parameters",
            Self::Identifier => "unknown_credential_identifier",
            Self::Configuration => "unknown_credential_configuration",
            Self::NonceReplayed
            | Self::Proof(
                ProofError::Nonce(NonceError::Unknown | NonceError::Expired)
                | ProofError::NoncesDiffer,
            ) => "invalid_nonce",
            Self::ProofsMissing | Self::Proof(_) => "invalid_proof",
            Self::Pass(_) | Self::Exhausted => "credential_request_denied",
            Self::Permit(_) | Self::State | Self::StatusIndexes | Self::Paper(_) => "server_error",
        }
    }
}

impl fmt::Display for CollectRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit(wrong) => return write!(f, "{wrong}"),
            Self::Form => "the credential request is malformed",
            Self::Encryption => "encrypted credential responses are not supported",
            Self::Identifier => "credential identifiers are not in use",
            Self::Configuration => "the credential configuration is unknown or not on offer",
            Self::ProofsMissing => "the request needs proofs of one supported type",
            Self::Proof(error) => return write!(f, "{error}"),
            Self::NonceReplayed => "the nonce was used before",
            Self::Pass(refusal) => return write!(f, "{refusal}"),
            Self::Exhausted => "all documents of this offer have been collected",
            Self::State => "the loaded state does not belong together",
            Self::StatusIndexes => "too few free status indexes were found",
            Self::Paper(error) => return write!(f, "{error}"),
        })
    }
}

impl core::error::Error for CollectRefusal {}
