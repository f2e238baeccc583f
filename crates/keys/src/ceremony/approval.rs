//! Approvals: signed words of staff that a deed may be done, and the quorum that they make.
//!
//! An approval is a COSE_Sign1 (RFC 9052) with `typ` `application/limen-approval+cose` and the
//! signer's key handle as `kid`; its payload names the deed, the digest of what is to be done, who
//! approves, and from when until when the word holds (`specs/ceremony-transcript.md`). A quorum counts
//! persons, not signatures. Every refusal names its culprit; a count of good ones never hides a bad one.

use core::fmt;

use credential::cbor::{CborError, Decoder, Encoder};
use credential::cose::{Sign1, Sign1Parts, sign1};
use credential::crypto::{Crypto, PublicKey};
use credential::rejection::Culprit;
use credential::unsigned::Unsigned;
use vocabulary::text::Line;
use vocabulary::time::Instant;

use crate::custody::KeyHandle;
use crate::object::cose::APPROVAL_TYP;

/// Bytes in the name of a deed.
pub const DEED_BYTES_MAX: usize = 64;
/// Bytes in the name of a person.
pub const NAME_BYTES_MAX: usize = 64;
/// Approvals that are looked at for one deed.
pub const APPROVALS_MAX: usize = 64;
/// Bytes of one approval.
pub const APPROVAL_BYTES_MAX: usize = 1024;

const VERSION: u64 = 1;

/// The name of a deed, such as `ceremony-transcript`.
pub type DeedName = Line<DEED_BYTES_MAX>;
/// The name of a person who approves.
pub type PersonName = Line<NAME_BYTES_MAX>;

/// What one person says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// What is to be done.
    pub deed: DeedName,
    /// SHA-256 of the object of the deed.
    pub digest: [u8; 32],
    /// The staff key that signs this.
    pub by: KeyHandle,
    /// Since when the word holds, in whole seconds.
    pub at: Instant,
    /// First instant at which it no longer holds, in whole seconds.
    pub expires_at: Instant,
}

impl Approval {
    /// The approval, waiting for the signature of `key`, whose handle is [`Approval::by`].
    #[must_use]
    pub fn unsigned(&self, key: &PublicKey) -> Unsigned<Vec<u8>> {
        let mut payload = Encoder::new();
        payload.map(6).text("version").unsigned(VERSION);
        payload.text("deed").text(self.deed.as_str());
        payload.text("digest").bytes(&self.digest);
        payload.text("by").bytes(self.by.as_bytes());
        payload.text("at").integer(self.at.unix_seconds());
        payload.text("expires_at").integer(self.expires_at.unix_seconds());
        let parts = Sign1Parts {
            payload: payload.as_bytes(),
            typ: Some(APPROVAL_TYP),
            kid: Some(self.by.as_bytes()),
            tagged: true,
            ..Default::default()
        };
        sign1(key.algorithm(), &parts)
    }

    /// Reads an approval without believing it.
    fn read(payload: &[u8]) -> Result<Option<Self>, CborError> {
        let mut decoder = Decoder::new(payload)?;
        let mut entries = decoder.map()?;
        let (mut version, mut deed, mut digest, mut by) = (None, None, None, None);
        let (mut at, mut expires_at) = (None, None);
        while decoder.more(&mut entries)? {
            match decoder.text()? {
                "version" => version = Some(decoder.unsigned()?),
                "deed" => deed = decoder.text()?.parse().ok(),
                "digest" => digest = Some(decoder.byte_array()?),
                "by" => by = Some(KeyHandle::from_bytes(decoder.byte_array()?)),
                "at" => at = Some(Instant::from_unix_seconds(decoder.integer()?)),
                "expires_at" => expires_at = Some(Instant::from_unix_seconds(decoder.integer()?)),
                _ => return Ok(None),
            }
        }
        decoder.finish()?;
        if version != Some(VERSION) {
            return Ok(None);
        }
        let whole = || {
            Some(Self { deed: deed?, digest: digest?, by: by?, at: at?, expires_at: expires_at? })
        };
        Ok(whole())
    }
}

/// A person whose approvals count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    /// The name of the person.
    pub name: PersonName,
    /// The person's staff key.
    pub key: PublicKey,
}

impl Approver {
    /// The handle of the staff key.
    #[must_use]
    pub fn handle(&self) -> KeyHandle {
        KeyHandle::of(self.key.as_bytes())
    }
}

/// What is asked to be approved.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The deed.
    pub deed: &'r DeedName,
    /// SHA-256 of its object.
    pub digest: &'r [u8; 32],
    /// How many persons must approve, at least one.
    pub needed: usize,
    /// The instant at which the approvals must hold.
    pub at: Instant,
}

/// Enough distinct persons approved one deed. Made by [`quorum`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    names: Vec<PersonName>,
}

impl Quorum {
    /// Who approved, in the order of the approvals.
    #[must_use]
    pub fn names(&self) -> &[PersonName] {
        &self.names
    }
}

/// Whether `approvals` are of as many distinct persons among `approvers` as `request` needs.
///
/// # Errors
/// [`ApprovalError`] for the first approval that does not hold, or when there are too few.
pub fn quorum(
    crypto: &dyn Crypto,
    request: &Request<'_>,
    approvers: &[Approver],
    approvals: &[Vec<u8>],
) -> Result<Quorum, ApprovalError> {
    if approvals.len() > APPROVALS_MAX {
        return Err(ApprovalError::TooMany { found: approvals.len() });
    }
    let mut names: Vec<PersonName> = Vec::with_capacity(approvals.len());
    for (position, bytes) in (1..).zip(approvals) {
        let (approver, _) = verify(crypto, request, approvers, position, bytes)?;
        if names.contains(&approver.name) {
            return Err(ApprovalError::Twice { position, name: approver.name.clone() });
        }
        names.push(approver.name.clone());
    }
    if names.len() < request.needed.max(1) {
        return Err(ApprovalError::TooFew { found: names.len(), needed: request.needed.max(1) });
    }
    Ok(Quorum { names })
}

/// One approval, read and believed; it stands at `position`, from 1, among those given.
///
/// # Errors
/// [`ApprovalError`].
pub fn verify<'a>(
    crypto: &dyn Crypto,
    request: &Request<'_>,
    approvers: &'a [Approver],
    position: usize,
    bytes: &[u8],
) -> Result<(&'a Approver, Approval), ApprovalError> {
    let form = ApprovalError::Form { position };
    let (message, approval) = read(bytes).ok_or_else(|| form.clone())?;
    let approver = approvers.iter().find(|approver| approver.handle() == approval.by);
    let approver = approver.ok_or(ApprovalError::UnknownKey { position, key: approval.by })?;
    let name = || approver.name.clone();
    let verified = message.verify(crypto, &approver.key, None, &[], Culprit::Issuer);
    verified.map_err(|_| ApprovalError::Forged { position, name: name() })?;
    // What the signature does not cover must be as we write it, so that no byte can be changed.
    let ours = approval.unsigned(&approver.key);
    let signature = credential::crypto::Signature::new(ours.algorithm(), message.signature);
    if signature.ok().map(|signature| ours.complete(&signature)).as_deref() != Some(bytes) {
        return Err(form);
    }
    if approval.deed != *request.deed || approval.digest != *request.digest {
        return Err(ApprovalError::OtherDeed { position, name: name(), deed: approval.deed });
    }
    if request.at < approval.at || approval.expires_at <= request.at {
        return Err(ApprovalError::NotInForce { position, name: name() });
    }
    Ok((approver, approval))
}

/// When the approval in `bytes` says that it was made; nothing of it is believed.
#[must_use]
pub fn claimed_instant(bytes: &[u8]) -> Option<Instant> {
    read(bytes).map(|(_, approval)| approval.at)
}

fn read(bytes: &[u8]) -> Option<(Sign1<'_>, Approval)> {
    if bytes.len() > APPROVAL_BYTES_MAX {
        return None;
    }
    let message = Sign1::parse(bytes).ok()?;
    let approval = Approval::read(message.payload?).ok()??;
    let named = message.protected.kid == Some(approval.by.as_bytes().as_slice())
        && message.protected.typ == Some(APPROVAL_TYP);
    named.then_some((message, approval))
}

/// Why approvals are not a quorum. Positions count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApprovalError {
    /// More than [`APPROVALS_MAX`] were given.
    TooMany {
        /// How many.
        found: usize,
    },
    /// The bytes are no approval, or not written as approvals are.
    Form {
        /// Its place among those given.
        position: usize,
    },
    /// The key is nobody's whose approval counts.
    UnknownKey {
        /// Its place among those given.
        position: usize,
        /// The key that it names.
        key: KeyHandle,
    },
    /// The signature is not that of the person's key.
    Forged {
        /// Its place among those given.
        position: usize,
        /// Whom it names.
        name: PersonName,
    },
    /// The approval is for another deed, or for another object of it.
    OtherDeed {
        /// Its place among those given.
        position: usize,
        /// Who signed.
        name: PersonName,
        /// What was approved.
        deed: DeedName,
    },
    /// The approval is not yet, or no longer, in force.
    NotInForce {
        /// Its place among those given.
        position: usize,
        /// Who signed.
        name: PersonName,
    },
    /// The same person approved before.
    Twice {
        /// Its place among those given.
        position: usize,
        /// Who signed.
        name: PersonName,
    },
    /// Fewer persons than needed.
    TooFew {
        /// How many approved.
        found: usize,
        /// How many must.
        needed: usize,
    },
}

impl fmt::Display for ApprovalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { found } => {
                write!(f, "count approvals: `{found}` given, `{APPROVALS_MAX}` are the limit")
            }
            Self::Form { position } => write!(f, "read approval `{position}`: it is not one"),
            Self::UnknownKey { position, key } => {
                write!(
                    f,
                    "verify approval `{position}`: the key `{key}` is nobody's who may approve"
                )
            }
            Self::Forged { position, name } => write!(
                f,
                "verify approval `{position}`: the signature is not that of `{}`",
                name.as_str()
            ),
            Self::OtherDeed { position, name, deed } => write!(
                f,
                "verify approval `{position}`: `{}` approved something else (`{}`)",
                name.as_str(),
                deed.as_str()
            ),
            Self::NotInForce { position, name } => write!(
                f,
                "verify approval `{position}`: that of `{}` is not in force at this time; ask anew",
                name.as_str()
            ),
            Self::Twice { position, name } => {
                write!(f, "count approvals: `{position}` is the second of `{}`", name.as_str())
            }
            Self::TooFew { found, needed } => {
                write!(f, "count approvals: `{found}` persons approved, `{needed}` must")
            }
        }
    }
}

impl core::error::Error for ApprovalError {}
