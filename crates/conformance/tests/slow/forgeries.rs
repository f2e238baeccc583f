//! The forged documents that `credential` refuses, shown to two peers: which of them they accept
//! is the control of ours, noted in `accepted.txt` beside this file.
//!
//! `cargo xtask test --slow` writes the forgeries and names their folder in `LIMEN_MUTANTS_DIR`.
//! With `UPDATE_EXPECT=1` the note is written anew.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use conformance::peer::{Implementation, Peer};
use credential::x509::pem;
use isomdl::cbor;
use isomdl::definitions::DeviceResponse;
use isomdl::definitions::device_response::Document;
use isomdl::definitions::session::SessionTranscript180135;
use isomdl::definitions::x509::X5Chain;
use isomdl::definitions::x509::trust_anchor::{PemTrustAnchor, TrustAnchorRegistry, TrustPurpose};
use isomdl::definitions::x509::validation::ValidationRuleset;
use isomdl::presentation::authentication::mdoc::{device_authentication, issuer_authentication};
use serde_json::{Value, json};

use crate::city::hex;

const HEADING: &str = "\
# Forged documents that Limen refuses and a peer does not: the control of our strictness.
# Certificates are judged for @owf/mdoc by its host, here node:crypto, which knows no profile.
# Dates of certificates are left out: isomdl judges them by the machine's clock.
";

struct Forgeries {
    folder: PathBuf,
    index: Value,
}

impl Forgeries {
    fn read() -> Self {
        let folder = std::env::var_os("LIMEN_MUTANTS_DIR")
            .map(PathBuf::from)
            .expect("the forgeries are written by `cargo xtask test --slow`");
        let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
        Self { folder, index: serde_json::from_str(&index).unwrap() }
    }

    fn file(&self, name: &Value) -> Vec<u8> {
        std::fs::read(self.folder.join(name.as_str().unwrap())).unwrap()
    }

    fn anchor(&self) -> String {
        String::from_utf8(self.file(&self.index["anchor"])).unwrap()
    }

    /// A paragraph of the note: the forgeries that the peer does not refuse, after it took the
    /// control.
    fn survivors(&self, peer: &str, mut judge: impl FnMut(&[u8]) -> Verdict) -> String {
        assert_eq!(judge(&self.file(&self.index["control"])), Verdict::Accepted, "{peer}: control");
        let forgeries = self.index["mutants"].as_array().unwrap().iter();
        let forgeries: Vec<&Value> =
            forgeries.filter(|forgery| !is_date_of_certificate(forgery)).collect();
        let (mut names, mut accepted, mut panics) = (String::new(), 0, 0);
        for forgery in &forgeries {
            let name = forgery["name"].as_str().unwrap();
            match judge(&self.file(&forgery["file"])) {
                Verdict::Refused => {}
                Verdict::Accepted => {
                    accepted += 1;
                    writeln!(names, "  {name}").unwrap();
                }
                Verdict::Panicked => {
                    panics += 1;
                    writeln!(names, "  {name} (panics)").unwrap();
                }
            }
        }
        let count = format!("{accepted} of {} accepted, {panics} panic", forgeries.len());
        println!("figure: forgeries at {peer} = {count}");
        format!("\n{peer}: {count}\n{names}")
    }
}

fn is_date_of_certificate(forgery: &Value) -> bool {
    forgery["name"].as_str().unwrap().starts_with("certificate/") && forgery["culprit"] == "time"
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Refused,
    Accepted,
    Panicked,
}

impl From<bool> for Verdict {
    fn from(accepted: bool) -> Self {
        if accepted { Self::Accepted } else { Self::Refused }
    }
}

#[test]
fn peers_accept_the_forgeries_that_are_noted() {
    let forgeries = Forgeries::read();
    let mut note = String::from(HEADING);
    note += &forgeries.survivors("@owf/mdoc 0.6.0", owf(&forgeries));
    note += &forgeries.survivors("isomdl 0.2.0", isomdl(&forgeries));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slow/accepted.txt");
    if std::env::var("UPDATE_EXPECT").is_ok_and(|set| set == "1") {
        std::fs::write(&path, &note).unwrap();
    }
    let noted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(note, noted, "set UPDATE_EXPECT=1 to write the note anew");
}

fn owf(forgeries: &Forgeries) -> impl FnMut(&[u8]) -> Verdict {
    let anchors = pem::decode(&forgeries.anchor(), pem::CERTIFICATE).unwrap();
    let trust: Vec<String> = anchors.iter().map(|der| hex(der)).collect();
    let transcript = hex(&forgeries.file(&forgeries.index["transcript"]));
    let at = forgeries.index["at"].clone();
    let mut peer = Peer::start(Implementation::OwfMdoc).unwrap();
    move |response| {
        let job = json!({
            "job": "verify_response", "document": hex(response), "transcript": transcript,
            "trust": trust, "at": at,
        });
        Verdict::from(peer.ask(&job).unwrap()["valid"] == true)
    }
}

/// Its verdict but for the dates of certificates, which it judges by the machine's clock.
fn isomdl(forgeries: &Forgeries) -> impl FnMut(&[u8]) -> Verdict {
    let trust = PemTrustAnchor { certificate_pem: forgeries.anchor(), purpose: TrustPurpose::Iaca };
    let registry = TrustAnchorRegistry::from_pem_certificates(vec![trust]).unwrap();
    let transcript: SessionTranscript180135 =
        cbor::from_slice(&forgeries.file(&forgeries.index["transcript"])).unwrap();
    let takes = move |response: &[u8]| {
        let Ok(response) = cbor::from_slice::<DeviceResponse>(response) else { return false };
        let documents = response.documents.map(Vec::from).unwrap_or_default();
        let mut each = documents.iter();
        !documents.is_empty() && each.all(|one| isomdl_takes(one, &transcript, &registry))
    };
    move |response| match catch_unwind(AssertUnwindSafe(|| takes(response))) {
        Ok(accepted) => Verdict::from(accepted),
        Err(_) => Verdict::Panicked,
    }
}

fn isomdl_takes(
    document: &Document,
    transcript: &SessionTranscript180135,
    registry: &TrustAnchorRegistry,
) -> bool {
    let headers = &document.issuer_signed.issuer_auth.unprotected.rest;
    let chain = headers.iter().find_map(|(_, value)| X5Chain::from_cbor(value.clone()).ok());
    let Some(chain) = chain else { return false };
    let errors = ValidationRuleset::Mdl.validate(&chain, registry).errors;
    errors.iter().all(|error| error.contains("expired") || error.contains("not yet valid"))
        && issuer_authentication(chain, &document.issuer_signed).is_ok()
        && device_authentication(document, transcript.clone()).is_ok()
}
