//! Forged documents: a named table of changes to a valid presentation, each of which must be refused
//! for its own reason.
//!
//! A change before signing is signed anew with the right keys and must still be refused; a change
//! after signing must be noticed. The control is the presentation without a change. With
//! `LIMEN_MUTANTS_DIR` set, the forgeries are written there for foreign verifiers, with an index.

use std::collections::BTreeSet;

use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use credential::mdoc::{Expectation, verify_response};
use credential::rejection::Culprit::{self, Holder, Issuer, Time, Trust, Wire};
use credential::rustcrypto::RustCrypto;
use credential::x509::pem;
use serde_json::json;

use crate::city::{City, expectation};
use crate::forge::{Cbor, Draft};
use crate::{mutations_certificate, mutations_issuer, mutations_response};

/// Forgeries of the table, at least.
const MUTANTS_MIN: usize = 200;

/// A forged response and why it must be refused.
pub(crate) struct Mutant {
    pub(crate) name: String,
    pub(crate) culprit: Culprit,
    pub(crate) code: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// Collects forgeries of one city.
pub(crate) struct Table<'c> {
    pub(crate) city: &'c City,
    pub(crate) mutants: Vec<Mutant>,
}

/// What a refusal must say.
pub(crate) type Reason = (Culprit, &'static str);

pub(crate) const SIGNATURE: Reason = (Issuer, "signature");
pub(crate) const MSO: Reason = (Issuer, "mso");
pub(crate) const CBOR: Reason = (Wire, "cbor");
pub(crate) const FIELD: Reason = (Wire, "field-missing");
pub(crate) const DIGEST: Reason = (Holder, "digest-mismatch");
pub(crate) const DEVICE: Reason = (Holder, "device-signature");
pub(crate) const CERTIFICATE: Reason = (Issuer, "certificate");
pub(crate) const PROFILE: Reason = (Issuer, "certificate-profile");
pub(crate) const CERTIFIED: Reason = (Trust, "certificate-signature");
pub(crate) const UNTRUSTED: Reason = (Trust, "untrusted-signer");
pub(crate) const EXPIRED: Reason = (Time, "certificate-expired");

impl<'c> Table<'c> {
    /// A change before issuer and device sign.
    pub(crate) fn signed(&mut self, name: &str, reason: Reason, edit: impl FnOnce(&mut Draft<'c>)) {
        let mut draft = Draft::new(self.city);
        edit(&mut draft);
        self.push(name, reason, draft.build().encode());
    }

    /// A change after issuer and device signed.
    pub(crate) fn unsigned(&mut self, name: &str, reason: Reason, edit: impl FnOnce(&mut Cbor)) {
        let mut response = Draft::new(self.city).build();
        edit(&mut response);
        self.push(name, reason, response.encode());
    }

    /// A change of the bytes of the whole response.
    pub(crate) fn bytes(&mut self, name: &str, reason: Reason, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Draft::new(self.city).build().encode();
        edit(&mut bytes);
        self.push(name, reason, bytes);
    }

    fn push(&mut self, name: &str, (culprit, code): Reason, bytes: Vec<u8>) {
        self.mutants.push(Mutant { name: name.into(), culprit, code, bytes });
    }
}

fn mutants(city: &City) -> Vec<Mutant> {
    let mut table = Table { city, mutants: Vec::new() };
    mutations_certificate::fill(&mut table);
    mutations_issuer::fill(&mut table);
    mutations_response::fill(&mut table);
    table.mutants
}

#[test]
fn unchanged_draft_is_the_control_and_verifies() {
    let city = City::new();
    let anchors = city.anchors();
    for mac in [false, true] {
        let mut draft = Draft::new(&city);
        draft.mac = mac;
        draft.digest_anew(0);
        let control = draft.build().encode();
        verify_response(&control, &expectation(&city, &anchors), None).unwrap();
    }
}

#[test]
fn every_forgery_is_refused_for_its_own_reason() {
    let city = City::new();
    let anchors = city.anchors();
    let mutants = mutants(&city);
    let control = Draft::new(&city).build().encode();
    let mut wrong = Vec::new();
    for crypto in [&RustCrypto as &dyn Crypto, &AwsLc] {
        let expectation = Expectation { crypto, ..expectation(&city, &anchors) };
        for mutant in &mutants {
            assert_ne!(mutant.bytes, control, "{} changes nothing", mutant.name);
            match verify_response(&mutant.bytes, &expectation, None) {
                Ok(_) => wrong.push(format!("{}: accepted", mutant.name)),
                Err(found) if (found.culprit, found.code) != (mutant.culprit, mutant.code) => {
                    let Mutant { name, culprit, code, .. } = mutant;
                    wrong.push(format!(
                        "{name}: {culprit} {code} expected, {} {} found: {found}",
                        found.culprit, found.code
                    ));
                }
                Err(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), mutants.len(), wrong.join("\n"));
    let names: BTreeSet<_> = mutants.iter().map(|mutant| &mutant.name).collect();
    assert_eq!(names.len(), mutants.len(), "names repeat");
    let bytes: BTreeSet<_> = mutants.iter().map(|mutant| &mutant.bytes).collect();
    assert_eq!(bytes.len(), mutants.len(), "two forgeries are the same bytes");
    assert!(mutants.len() >= MUTANTS_MIN, "{} forgeries only", mutants.len());
}

/// Writes the forgeries, the control and what they are judged by, if a folder is named.
#[test]
fn forgeries_are_written_for_foreign_verifiers() {
    let Some(folder) = std::env::var_os("LIMEN_MUTANTS_DIR").map(std::path::PathBuf::from) else {
        return;
    };
    let city = City::new();
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: String, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    let mut index = Vec::new();
    for Mutant { name, culprit, code, bytes } in mutants(&city) {
        let file = format!("{}.cbor", name.replace('/', "__"));
        write(file.clone(), &bytes);
        index.push(json!({
            "name": name, "file": file, "culprit": culprit.as_str(), "code": code,
        }));
    }
    write("control.cbor".into(), &Draft::new(&city).build().encode());
    write("transcript.cbor".into(), &city.transcript);
    write("anchor.pem".into(), pem::encode(pem::CERTIFICATE, &city.authority).as_bytes());
    let index = json!({
        "control": "control.cbor", "transcript": "transcript.cbor", "anchor": "anchor.pem",
        "at": "2026-06-01T12:00:00Z", "doc_type": crate::city::DOC_TYPE, "mutants": index,
    });
    write("index.json".into(), serde_json::to_string_pretty(&index).unwrap().as_bytes());
}
