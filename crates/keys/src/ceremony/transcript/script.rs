//! The script of a ceremony: which steps come in which order, and what each must say.

use aws_lc_rs::digest;
use base64ct::{Base64UrlUnpadded, Encoding};
use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, PublicKey};
use credential::x509::Certificate;
use vocabulary::time::Instant;

use super::error::{TranscriptError, What};
use super::hex;
use super::verify::{Holder, Link, Verified};
use super::wire::{Content, Facts, Head, TRUSTED_BY_OFFICER, Transcript};
use crate::ceremony::approval::{Approver, PersonName};
use crate::ceremony::shares::{CeremonyId, Split};
use crate::custody::KeyHandle;
use crate::purpose::{Purpose, Suite};

/// The order in which steps must come, and what they must say.
pub(super) struct Script {
    opened: Opened,
    words: Vec<&'static str>,
    next: usize,
    last_at: Option<Instant>,
    first_at: Option<Instant>,
    pub(super) approvers: Vec<Approver>,
    commitments: Vec<[u8; 32]>,
    check_value: Option<String>,
    root: Option<PublicKey>,
    certificate: Option<Vec<u8>>,
    link: Option<Link>,
    backup_digest: Option<[u8; 32]>,
    trusted_by: Option<String>,
}

#[derive(Clone)]
struct Opened {
    city: String,
    kind: String,
    suite: Suite,
    split: Split,
    names: Vec<PersonName>,
    custody: String,
    program: String,
}

impl Script {
    pub(super) fn open(transcript: &Transcript) -> Result<Self, TranscriptError> {
        let at = |what| TranscriptError::Step { number: 1, what };
        let first = transcript.steps.first().ok_or(TranscriptError::Empty)?;
        let Facts::Opened { city, kind, suite, threshold, custodians, custody, program, .. } =
            &first.content.facts
        else {
            return Err(at(What::Order { expected: "opened", found: first.content.facts.word() }));
        };
        let names = custodians.iter().map(|name| name.parse::<PersonName>());
        let names =
            names.collect::<Result<Vec<_>, _>>().map_err(|_| at(What::Fact("custodians")))?;
        let count = u8::try_from(names.len()).unwrap_or(u8::MAX);
        let split = Split::new(*threshold, count).map_err(|_| at(What::Fact("threshold")))?;
        let suite = suite.parse().ok().filter(|suite| Purpose::CityRoot.allows(*suite));
        let suite = suite.ok_or_else(|| at(What::Fact("suite")))?;
        let distinct = names
            .iter()
            .enumerate()
            .all(|(i, name)| names.iter().skip(i + 1).all(|other| other != name));
        if !distinct {
            return Err(at(What::Fact("custodians")));
        }
        let mut words = vec!["opened"];
        words.extend(names.iter().map(|_| "staff-key"));
        words.extend(["wrapping-key-made", "root-made", "root-certified"]);
        match kind.as_str() {
            "create" => {}
            "renew" => words.push("root-linked"),
            _ => return Err(at(What::Fact("kind"))),
        }
        words.push("root-backed-up");
        words.extend(names.iter().map(|_| "share-given"));
        words.extend(["wrapping-key-destroyed", "closed"]);
        let (city, kind, custody) = (city.clone(), kind.clone(), custody.clone());
        let opened = Opened { city, kind, suite, split, names, custody, program: program.clone() };
        Ok(Self {
            opened,
            words,
            next: 0,
            last_at: None,
            first_at: None,
            approvers: Vec::new(),
            commitments: Vec::new(),
            check_value: None,
            root: None,
            certificate: None,
            link: None,
            backup_digest: None,
            trusted_by: None,
        })
    }

    pub(super) fn check(&mut self, content: &Content) -> Result<(), TranscriptError> {
        let number = content.number;
        let at = |what| TranscriptError::Step { number, what };
        let found = content.facts.word();
        match self.words.get(self.next) {
            Some(expected) if *expected == found => self.next += 1,
            Some(expected) => return Err(at(What::Order { expected, found })),
            None => return Err(at(What::Order { expected: "the end", found })),
        }
        let instant = Instant::parse_rfc3339(&content.at).map_err(|_| at(What::Fact("at")))?;
        if self.last_at.is_some_and(|last| instant < last) {
            return Err(at(What::Time));
        }
        self.last_at = Some(instant);
        self.first_at.get_or_insert(instant);
        self.check_confirmed(content)?;
        self.take(&content.facts).map_err(at)
    }

    /// The custodians, in the order of their shares.
    pub(super) fn names(&self) -> &[PersonName] {
        &self.opened.names
    }

    /// When the last step was recorded.
    ///
    /// # Errors
    /// [`TranscriptError::Missing`] unless that was the end.
    pub(super) fn closed_at(&self) -> Result<Instant, TranscriptError> {
        match (self.words.get(self.next), self.last_at) {
            (None, Some(at)) => Ok(at),
            (word, _) => {
                Err(TranscriptError::Missing { expected: word.copied().unwrap_or("the end") })
            }
        }
    }

    /// A custodian's own step is confirmed by that custodian, every other by all.
    fn check_confirmed(&self, content: &Content) -> Result<(), TranscriptError> {
        let number = content.number;
        let own = match &content.facts {
            Facts::StaffKey { custodian, .. } | Facts::ShareGiven { custodian, .. } => {
                Some(custodian)
            }
            _ => None,
        };
        let mut needed =
            self.opened.names.iter().filter(|name| own.is_none_or(|own| own == name.as_str()));
        match needed.find(|name| !content.confirmed_by.iter().any(|one| one == name.as_str())) {
            Some(name) => Err(TranscriptError::Step {
                number,
                what: What::NotConfirmed { name: name.clone() },
            }),
            None => Ok(()),
        }
    }

    fn take(&mut self, facts: &Facts) -> Result<(), What> {
        match facts {
            Facts::Opened { .. } => Ok(()),
            Facts::StaffKey { custodian, suite, public_key, handle } => {
                let name = self.opened.names.get(self.approvers.len());
                let name = name
                    .filter(|name| name.as_str() == custodian)
                    .ok_or(What::Fact("custodian"))?;
                let key = public(suite, public_key).ok_or(What::Fact("public_key"))?;
                let approver = Approver { name: name.clone(), key: key.clone() };
                if approver.handle().to_string() != *handle {
                    return Err(What::Fact("handle"));
                }
                if self.approvers.iter().any(|other| other.key == key) {
                    return Err(What::Fact("public_key"));
                }
                self.approvers.push(approver);
                Ok(())
            }
            Facts::WrappingKeyMade { check_value } => {
                self.check_value = Some(check_value.clone());
                Ok(())
            }
            Facts::RootMade { suite, public_key, handle, held_by } => {
                let key = public(suite, public_key).ok_or(What::Fact("public_key"))?;
                if suite != self.opened.suite.as_str() {
                    return Err(What::Fact("suite"));
                }
                if KeyHandle::of(key.as_bytes()).to_string() != *handle {
                    return Err(What::Fact("handle"));
                }
                if *held_by != self.opened.custody {
                    return Err(What::Fact("held_by"));
                }
                self.root = Some(key);
                Ok(())
            }
            Facts::RootCertified { certificate, digest } => {
                self.certificate = Some(self.certificate(certificate, digest)?);
                Ok(())
            }
            Facts::RootLinked { old_certificate, link_certificate } => {
                self.link = Some(self.link(old_certificate, link_certificate)?);
                Ok(())
            }
            Facts::RootBackedUp { digest, check_value, trusted_by, .. } => {
                if trusted_by.as_deref().is_some_and(|by| by != TRUSTED_BY_OFFICER) {
                    return Err(What::Fact("trusted_by"));
                }
                self.trusted_by = trusted_by.clone();
                self.backup_digest = Some(digest_of(digest).ok_or(What::Fact("digest"))?);
                self.same_check_value(check_value)
            }
            Facts::ShareGiven { custodian, index, commitment, .. } => {
                self.share(custodian, *index, commitment)
            }
            Facts::WrappingKeyDestroyed { check_value } => self.same_check_value(check_value),
            Facts::Closed { signers } => {
                let all = self.opened.names.iter().map(PersonName::as_str);
                if all.eq(signers.iter().map(String::as_str)) {
                    Ok(())
                } else {
                    Err(What::Fact("signers"))
                }
            }
        }
    }

    fn share(&mut self, custodian: &str, index: u8, commitment: &str) -> Result<(), What> {
        let place = self.commitments.len();
        let named = self.opened.names.get(place).is_some_and(|name| name.as_str() == custodian);
        if !named {
            return Err(What::Fact("custodian"));
        }
        if usize::from(index) != place + 1 {
            return Err(What::Fact("index"));
        }
        let commitment = digest_of(commitment).ok_or(What::Fact("commitment"))?;
        if self.commitments.contains(&commitment) {
            return Err(What::Fact("commitment"));
        }
        self.commitments.push(commitment);
        Ok(())
    }

    fn same_check_value(&self, found: &str) -> Result<(), What> {
        if self.check_value.as_deref() == Some(found) {
            Ok(())
        } else {
            Err(What::Fact("check_value"))
        }
    }

    /// The root's certificate: of its key, of an authority, signed by itself.
    fn certificate(&self, certificate: &str, digest: &str) -> Result<Vec<u8>, What> {
        let wrong = What::Fact("certificate");
        let der = decode(certificate).ok_or(wrong.clone())?;
        if hex(&AwsLc.sha256(&der)) != digest {
            return Err(What::Fact("digest"));
        }
        let root = self.root.clone().ok_or(wrong.clone())?;
        let parsed = Certificate::parse(&der).map_err(|_| wrong.clone())?;
        let good = parsed.public_key == root
            && parsed.is_authority()
            && parsed.issuer == parsed.subject
            && signed_by(&parsed, &root);
        if good { Ok(der) } else { Err(wrong) }
    }

    /// The certificate that the old root signed over the new root's key.
    fn link(&self, old: &str, link: &str) -> Result<Link, What> {
        let old_certificate = decode(old).ok_or(What::Fact("old_certificate"))?;
        let old =
            Certificate::parse(&old_certificate).map_err(|_| What::Fact("old_certificate"))?;
        let certificate = decode(link).ok_or(What::Fact("link_certificate"))?;
        let link = Certificate::parse(&certificate).map_err(|_| What::Fact("link_certificate"))?;
        if !old.is_authority() || !signed_by(&old, &old.public_key) {
            return Err(What::Fact("old_certificate"));
        }
        let good = self.root.as_ref() == Some(&link.public_key)
            && link.public_key != old.public_key
            && link.is_authority()
            && link.basic_constraints.is_some_and(|it| it.path_length != Some(0))
            && link.issuer == old.subject
            && link.subject == old.subject
            && signed_by(&link, &old.public_key);
        if !good {
            return Err(What::Fact("link_certificate"));
        }
        Ok(Link { old_certificate: old_certificate.clone(), certificate: certificate.clone() })
    }

    pub(super) fn finish(self, head: &Head) -> Result<Verified, TranscriptError> {
        let missing = || TranscriptError::Missing {
            expected: self.words.get(self.next).copied().unwrap_or("the end"),
        };
        if self.next != self.words.len() {
            return Err(missing());
        }
        let ceremony = head.ceremony.parse::<CeremonyId>().ok();
        let ceremony = ceremony
            .filter(|id| id.to_string() == head.ceremony)
            .ok_or(TranscriptError::Ceremony)?;
        let holders =
            self.approvers.iter().zip(&self.commitments).map(|(approver, commitment)| Holder {
                name: approver.name.clone(),
                staff_key: approver.handle(),
                commitment: *commitment,
            });
        let whole = || {
            Some(Verified {
                ceremony,
                rehearsal: head.rehearsal,
                city: self.opened.city.clone(),
                kind: self.opened.kind.clone(),
                split: self.opened.split,
                custody: self.opened.custody.clone(),
                custodians: holders.collect(),
                root: self.root?,
                certificate: self.certificate.clone()?,
                link: self.link.clone(),
                check_value: self.check_value.clone()?,
                backup_digest: self.backup_digest?,
                trusted_by: self.trusted_by.clone(),
                span: (self.first_at?, self.last_at?),
                program: self.opened.program.clone(),
            })
        };
        whole().ok_or_else(missing)
    }
}

fn signed_by(certificate: &Certificate<'_>, key: &PublicKey) -> bool {
    let mut buffer = [0; 96];
    certificate.algorithm == key.algorithm()
        && certificate
            .signature(&mut buffer)
            .is_ok_and(|signature| AwsLc.verify(key, certificate.tbs, signature).is_ok())
}

fn public(suite: &str, encoded: &str) -> Option<PublicKey> {
    let point = decode(encoded)?;
    match suite.parse().ok()? {
        Suite::Es256 => point.try_into().ok().map(PublicKey::P256),
        Suite::Es384 => point.try_into().ok().map(PublicKey::P384),
        _ => None,
    }
}

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

fn digest_of(text: &str) -> Option<[u8; 32]> {
    let digits = text.len() == 2 * digest::SHA256_OUTPUT_LEN
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let pair =
        |position: usize| u8::from_str_radix(text.get(2 * position..2 * position + 2)?, 16).ok();
    let bytes = (0..32).map(pair).collect::<Option<Vec<u8>>>()?;
    digits.then_some(bytes)?.try_into().ok()
}
