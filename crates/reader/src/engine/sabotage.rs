//! Measures broken on purpose, one at a time, to show in a demonstration that each carries weight.
//!
//! Compiled only with the feature `danger-sabotage`, which no reader in a wall is built with. The
//! verification in `credential` stays whole: what it rejects is rejected, and only the broken
//! measure of this reader passes over that one rejection.

use credential::cose::Sign1;
use credential::mdoc::{DeviceResponse, MobileSecurityObject};
use credential::rejection::{Culprit, Rejection};
use credential::rights::{NAME_SPACE, Rights};
use credential::x509::SignerCache;

use super::judge::{Bench, Facts, Measure, Presented, Verdict};

/// At most one broken measure; the default breaks none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DangerSabotage {
    broken: Option<Measure>,
}

/// The names of the measures that a reader can break.
pub const NAMES: [&str; 6] = [
    "digest-not-compared",
    "validity-ignored",
    "device-key-unchecked",
    "status-ignored",
    "nonce-reused",
    "journal-entry-dropped",
];

const MEASURES: [Measure; 6] = [
    Measure::Digest,
    Measure::Validity,
    Measure::DeviceKey,
    Measure::Status,
    Measure::Nonce,
    Measure::Journal,
];

impl DangerSabotage {
    /// The sabotage of one of [`NAMES`].
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let position = NAMES.iter().position(|other| *other == name)?;
        Some(Self { broken: MEASURES.get(position).copied() })
    }

    pub(super) const fn breaks(self, measure: Measure) -> bool {
        matches!(self.broken, Some(broken) if broken as u8 == measure as u8)
    }

    fn passes_over(self, rejection: &Rejection) -> bool {
        match self.broken {
            Some(Measure::Digest) => rejection.code == "digest-mismatch",
            Some(Measure::Validity) => {
                rejection.culprit == Culprit::Time && rejection.code.starts_with("document-")
            }
            Some(Measure::DeviceKey) => rejection.code.starts_with("device-"),
            _ => false,
        }
    }
}

impl Bench<'_> {
    pub(super) fn rejected(
        &self,
        presented: &Presented,
        rejection: Rejection,
        cache: &mut SignerCache,
    ) -> Verdict {
        if !self.sabotage.passes_over(&rejection) {
            return Verdict::rejected(rejection);
        }
        match self.judge_unverified(presented, cache) {
            Ok(verdict) => verdict,
            Err(rejection) => Verdict::rejected(rejection),
        }
    }

    /// The first document as it came, with nothing verified but its operator and its rights.
    fn judge_unverified(
        &self,
        presented: &Presented,
        cache: &mut SignerCache,
    ) -> Result<Verdict, Rejection> {
        let absent = || Rejection::holder("no-document", "response holds no document");
        let response = DeviceResponse::parse(&presented.device_response)?;
        let document = response.documents.first().ok_or_else(absent)?;
        let message = Sign1::parse(document.issuer_signed.issuer_auth)?;
        let mso = MobileSecurityObject::parse(message.payload.unwrap_or_default())?;
        let own = document.issuer_signed.items.iter().filter(|item| item.name_space == NAME_SPACE);
        let rights = Rights::from_elements(own.map(|item| (item.element, item.value)))?;
        let chain = message.unprotected.x5chain;
        let facts = Facts {
            rights,
            status: mso.status,
            device_key: mso.device_key,
            signer: chain.certificates().first().copied().ok_or_else(absent)?,
        };
        Ok(self.judge_facts(&facts, cache))
    }
}
