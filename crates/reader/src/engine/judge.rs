//! From what a phone presented to a decision.
//!
//! The order is that of trust: the document as `credential` verifies it, the operator for whom its
//! authority may speak, its rights at this moment, its status, and last the table of this door.

mod access;

use alloc::boxed::Box;
use alloc::vec::Vec;

use credential::crypto::{Crypto, P256Secret, PublicKey};
use credential::mdoc::{Expectation, Session, VerifiedDocument, verify_response};
use credential::rejection::Rejection;
use credential::rights::{DOC_TYPE, Rights};
use credential::status::StatusReference;
use credential::x509::{self, Judgement, SignerCache};
use presentation::express::Context;
use presentation::express::handle::Index;
use presentation::express::reader::{Presence, Proven};
use presentation::profile::Profile;
use presentation::standard::reader::Authenticated;
use vocabulary::code::PlaceCode;
use vocabulary::time::Instant;

use crate::bundle::VerifiedBundle;
use crate::decision::{Decision, Reason};
use crate::journal::{HandleTrace, PassTrace, Tapped, pass_trace};
use crate::snapshot::StatusSnapshot;
use crate::table::{Claim, Closed, Door};

/// What a phone presented, and the session in which it did.
#[derive(Debug)]
pub(super) struct Presented {
    pub(super) device_response: Vec<u8>,
    pub(super) session_transcript: Vec<u8>,
    pub(super) reader_secret: P256Secret,
}

/// What a device showed after it had proved its key by a standard tap.
#[derive(Debug)]
pub(super) struct Accessed {
    pub(super) device: Box<Authenticated>,
    pub(super) device_response: Vec<u8>,
}

/// What was decided, about what, and what was wrong with it.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) decision: Decision,
    pub(super) trace: Trace,
    pub(super) rejection: Option<Rejection>,
}

/// What is kept of a pass and of how it was shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    pub(super) pass: Option<PassTrace>,
    pub(super) tap: Option<Tapped>,
    /// The counted use that the holder has written, or was told to: its index, and the mark.
    pub(super) paid: Option<(Index, [u8; 4])>,
}

impl Trace {
    pub(super) fn profile(&self) -> Option<Profile> {
        self.tap.map(|tap| tap.profile())
    }
}

impl Verdict {
    pub(super) const fn refused(reason: Reason) -> Self {
        let trace = Trace { pass: None, tap: None, paid: None };
        Self { decision: Decision::Refused(reason), trace, rejection: None }
    }

    pub(super) fn rejected(rejection: Rejection) -> Self {
        Self { rejection: Some(rejection.clone()), ..Self::refused(Reason::of(&rejection)) }
    }

    /// Whose operator does not stand for it.
    fn unvouched(rejection: Rejection) -> Self {
        Self { rejection: Some(rejection), ..Self::refused(Reason::OperatorMismatch) }
    }
}

/// A measure of the reader. Each can be broken on purpose in a build with `danger-sabotage`, and
/// in no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "danger-sabotage"), allow(dead_code, reason = "named, never broken"))]
pub(crate) enum Measure {
    Digest,
    Validity,
    DeviceKey,
    Status,
    Nonce,
    Journal,
}

/// By what a presentation is judged.
pub(super) struct Bench<'b> {
    pub(super) crypto: &'b dyn Crypto,
    pub(super) bundle: &'b VerifiedBundle,
    pub(super) status: &'b StatusSnapshot,
    pub(super) door: &'b PlaceCode,
    pub(super) at: Instant,
    #[cfg(feature = "danger-sabotage")]
    pub(super) sabotage: super::sabotage::DangerSabotage,
}

/// What a document says that counts at a door.
pub(super) struct Facts<'a> {
    pub(super) rights: Rights,
    pub(super) status: Option<StatusReference<'a>>,
    pub(super) device_key: PublicKey,
    /// The certificate of the document signer, DER.
    pub(super) signer: &'a [u8],
}

impl<'a> Facts<'a> {
    fn of(document: &VerifiedDocument<'a>) -> Result<Self, Rejection> {
        Ok(Self {
            rights: Rights::from_document(document)?,
            status: document.status(),
            device_key: document.device_key().clone(),
            signer: document.signer().raw,
        })
    }
}

impl Bench<'_> {
    /// One verdict for all that was presented: the first document that opens the door counts, or
    /// else the first one that does not.
    pub(super) fn judge(&self, presented: &Presented, cache: &mut SignerCache) -> Verdict {
        let session = Session {
            transcript: &presented.session_transcript,
            reader_secret: Some(&presented.reader_secret),
        };
        let expectation = Expectation {
            crypto: self.crypto,
            anchors: self.bundle.issuers(),
            at: self.at,
            doc_type: Some(DOC_TYPE),
            session: Some(session),
        };
        match verify_response(&presented.device_response, &expectation, Some(cache)) {
            Ok(response) => {
                let mut nearest = None;
                for document in response.documents() {
                    let verdict = match Facts::of(document) {
                        Ok(facts) => self.judge_facts(&facts, cache),
                        Err(rejection) => Verdict::rejected(rejection),
                    };
                    if matches!(verdict.decision, Decision::Granted { .. }) {
                        return verdict;
                    }
                    nearest = nearest.or(Some(verdict));
                }
                nearest.unwrap_or(Verdict::refused(Reason::NoPass))
            }
            Err(rejection) => self.rejected(presented, rejection, cache),
        }
    }

    /// The verdict on a pass whose document was verified with its chain.
    pub(super) fn judge_facts(&self, facts: &Facts<'_>, cache: &mut SignerCache) -> Verdict {
        match self.check_operator(facts, cache) {
            Ok(()) => self.judge_vouched(facts, Profile::Identity),
            Err(rejection) => Verdict::unvouched(rejection),
        }
    }

    /// The verdict on a pass for which its operator stands, however it was shown.
    fn judge_vouched(&self, facts: &Facts<'_>, profile: Profile) -> Verdict {
        let pass = PassTrace {
            operator: facts.rights.operator.clone(),
            product: facts.rights.product.clone(),
            device: pass_trace(self.crypto, &facts.device_key),
        };
        let decision = self.decide(facts).unwrap_or_else(Decision::Refused);
        let trace = Trace { pass: Some(pass), tap: Some(Tapped::Keyed(profile)), paid: None };
        Verdict { decision, trace, rejection: None }
    }

    /// An authority vouches for one operator; another's name in a pass of its own is a forgery.
    fn check_operator(&self, facts: &Facts<'_>, cache: &mut SignerCache) -> Result<(), Rejection> {
        let operator = &facts.rights.operator;
        let anchors = self.bundle.issuers_of(operator).ok_or_else(|| {
            let message = alloc::format!("nobody here vouches for operator `{operator}`");
            Rejection::trust("operator-unknown", message)
        })?;
        let profile = x509::Profile::DocumentSigner;
        let judgement = Judgement { crypto: self.crypto, anchors, at: self.at, profile };
        // The chain was verified a moment ago: its signature comes out of the cache.
        judgement.signer(&[facts.signer], Some(cache)).map(|_| ()).map_err(|rejection| {
            let message = alloc::format!(
                "pass names operator `{operator}`, whose authority did not certify its signer: {rejection}"
            );
            Rejection { message, ..rejection }
        })
    }

    fn decide(&self, facts: &Facts<'_>) -> Result<Decision, Reason> {
        let Facts { rights, status, .. } = facts;
        let bundle = self.bundle.bundle();
        self.check_time(rights)?;
        if rights.uses_max.is_some() {
            return Err(Reason::UsesCounted);
        }
        // Broken on purpose, the reader takes what it was told for fresh for ever.
        let at = if self.breaks(Measure::Validity) { bundle.issued_at } else { self.at };
        if at >= bundle.expires_at {
            return Err(Reason::BundleExpired);
        }
        let door = bundle.table.door(self.door).ok_or(Reason::Closed(Closed::Door))?;
        if !self.breaks(Measure::Status) {
            let policy = bundle.freshness.of(door.class());
            self.status.judge(*status, door.class(), policy, at)?;
        }
        let rule = self.rule(door, rights)?;
        Ok(Decision::Granted { rule, unlock_ms: bundle.unlock_ms })
    }

    /// The verdict on a holder that proved itself by the express tap; `is_copied` if its handle was used
    /// here before.
    pub(super) fn judge_express(
        &self,
        context: Context,
        proven: &Proven,
        is_copied: bool,
    ) -> Verdict {
        let Proven { content, taps, .. } = *proven;
        let (status, number) = (content.status, content.number);
        let handle = HandleTrace { context, status, number, taps };
        let rule = self.bundle.express_door(self.door).ok_or(Closed::Door);
        let rule = rule.and_then(|door| door.judge(context.scope, &content));
        let pass = rule.as_ref().ok().map(|rule| PassTrace {
            operator: rule.operator.clone(),
            product: rule.product.clone(),
            device: handle.pass_trace(self.crypto),
        });
        let decision = match rule {
            _ if is_copied => Err(Reason::HandleCopied),
            Ok(rule) => self
                .decide_express(proven)
                .map(|unlock_ms| Decision::Granted { rule: rule.rule, unlock_ms }),
            Err(closed) => Err(Reason::Closed(closed)),
        };
        let trace = Trace { pass, tap: Some(Tapped::Express(handle)), paid: None };
        let decision = decision.unwrap_or_else(Decision::Refused);
        Verdict { decision, trace, rejection: None }
    }

    fn decide_express(&self, proven: &Proven) -> Result<u32, Reason> {
        let Proven { content, presence, .. } = proven;
        let bundle = self.bundle.bundle();
        let now = self.at.unix_seconds();
        match () {
            () if self.breaks(Measure::Validity) => {}
            () if now < content.not_before.into() => return Err(Reason::NotYetValid),
            () if now > content.not_after.into() => return Err(Reason::Expired),
            () if self.at >= bundle.expires_at => return Err(Reason::BundleExpired),
            () => {}
        }
        if content.needs_presence && *presence == Presence::None {
            return Err(Reason::NoPresence);
        }
        if !self.breaks(Measure::Status) {
            let door = bundle.table.door(self.door).ok_or(Reason::Closed(Closed::Door))?;
            let policy = bundle.freshness.of(door.class());
            self.status.judge_tagged(content.status, door.class(), policy, self.at)?;
        }
        Ok(bundle.unlock_ms)
    }

    fn check_time(&self, rights: &Rights) -> Result<(), Reason> {
        if self.breaks(Measure::Validity) {
            return Ok(());
        }
        if self.at < rights.valid_from {
            return Err(Reason::NotYetValid);
        }
        if self.at.floor_to_second() > rights.valid_until {
            return Err(Reason::Expired);
        }
        if rights.hold_at(self.at) { Ok(()) } else { Err(Reason::OutsideHours) }
    }

    fn rule(&self, door: &Door, rights: &Rights) -> Result<u16, Reason> {
        let claim = Claim {
            operator: &rights.operator,
            product: &rights.product,
            class: rights.class.as_ref(),
            zones: &rights.zones,
            places: &rights.places,
        };
        let rule = door.judge(&claim).map_err(Reason::Closed)?;
        let place = door.rules().partition_point(|other| other < rule);
        // INVARIANT: a door has at most 1,024 rules.
        Ok(u16::try_from(place).unwrap_or(u16::MAX))
    }

    #[cfg(not(feature = "danger-sabotage"))]
    #[allow(clippy::unused_self, reason = "the other form of this function uses it")]
    const fn breaks(&self, _: Measure) -> bool {
        false
    }

    #[cfg(feature = "danger-sabotage")]
    const fn breaks(&self, measure: Measure) -> bool {
        self.sabotage.breaks(measure)
    }

    #[cfg(not(feature = "danger-sabotage"))]
    #[allow(clippy::unused_self, reason = "the other form of this function uses it")]
    fn rejected(&self, _: &Presented, rejection: Rejection, _: &mut SignerCache) -> Verdict {
        Verdict::rejected(rejection)
    }
}
