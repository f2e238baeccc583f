//! From an access document to a decision: verified at a standard tap, remembered at a fast one.

use alloc::format;
use alloc::string::String;

use credential::access_document::{self, Expectation, pass};
use credential::crypto::PublicKey;
use credential::mdoc::Validity;
use credential::rejection::Rejection;
use credential::rights::Rights;
use credential::status::StatusReference;
use credential::x509::SignerCache;
use presentation::profile::Profile;

use super::{Accessed, Bench, Facts, Measure, Verdict};
use crate::decision::Reason;
use crate::engine::known::Learnt;

/// What an access document says, once it is verified.
struct Read<'a> {
    rights: Rights,
    status: Option<StatusReference<'a>>,
    issuer: PublicKey,
    validity: Validity,
}

impl Bench<'_> {
    /// The verdict on a device that proved its key and showed a document for it, and what to remember
    /// of that.
    pub(in crate::engine) fn judge_access(
        &self,
        shown: &Accessed,
        cache: &mut SignerCache,
    ) -> (Verdict, Option<Learnt>) {
        let device_key = PublicKey::P256(shown.device.device_key);
        let read = match self.read(&shown.device_response, &device_key) {
            Ok(read) => read,
            Err(rejection) => return (Verdict::rejected(rejection), None),
        };
        let learnt = Learnt {
            device_key: shown.device.device_key,
            rights: read.rights.clone(),
            status: read.status.map(|status| (String::from(status.uri), status.index)),
            issuer: read.issuer.clone(),
            validity: read.validity,
        };
        (self.judge_read(read, device_key, Profile::Standard, cache), Some(learnt))
    }

    /// The verdict on a device that a standard tap before has made known: by what the reader knows now.
    pub(in crate::engine) fn judge_learnt(
        &self,
        learnt: &Learnt,
        cache: &mut SignerCache,
    ) -> Verdict {
        let Learnt { device_key, rights, status, issuer, validity } = learnt;
        if !self.breaks(Measure::Validity) {
            if self.at < validity.valid_from {
                return Verdict::refused(Reason::NotYetValid);
            }
            if self.at > validity.valid_until {
                return Verdict::refused(Reason::Expired);
            }
        }
        let status = status.as_ref().map(|(uri, index)| StatusReference { uri, index: *index });
        let (rights, issuer) = (rights.clone(), issuer.clone());
        let read = Read { rights, status, issuer, validity: *validity };
        self.judge_read(read, PublicKey::P256(*device_key), Profile::Fast, cache)
    }

    fn read<'a>(&self, response: &'a [u8], device_key: &PublicKey) -> Result<Read<'a>, Rejection> {
        let expectation = Expectation {
            crypto: self.crypto,
            issuers: self.bundle.access_keys(),
            at: self.at,
            device_key: Some(device_key),
        };
        let document = access_document::verify_response(response, &expectation)?;
        let (rights, status) = pass::read(&document)?;
        let (issuer, validity) = (document.issuer().clone(), document.validity());
        Ok(Read { rights, status, issuer, validity })
    }

    /// A key is believed for the operator under which the bundle lists it, by a certificate that held
    /// when the document was signed (ISO/IEC 18013-5, 9.3.1, step 5) and holds now.
    fn judge_read(
        &self,
        Read { rights, status, issuer, validity }: Read<'_>,
        device_key: PublicKey,
        profile: Profile,
        cache: &mut SignerCache,
    ) -> Verdict {
        let operator = rights.operator.clone();
        let mut facts = Facts { rights, status, device_key, signer: &[] };
        let message = format!("signer of the pass did not stand for operator `{operator}`");
        let mut found = Err(Rejection::trust("operator-unknown", message));
        let signers = self.bundle.access_issuers(&operator, &issuer);
        for signer in signers.filter(|signer| signer.is_current(validity.signed)) {
            facts.signer = &signer.certificate;
            found = self.check_operator(&facts, cache);
            if found.is_ok() {
                break;
            }
        }
        match found {
            Ok(()) => self.judge_vouched(&facts, profile),
            Err(rejection) => Verdict::unvouched(rejection),
        }
    }
}
