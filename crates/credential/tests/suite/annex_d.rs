//! The worked example of ISO/IEC 18013-5, Annex D: issuer, device and reader authentication, with
//! both providers. Each check has its control.

use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret};
use credential::mdoc::{
    self, DeviceRequest, Expectation, Holder, ReaderJudgement, Session, verify_response,
};
use credential::rejection::Culprit;
use credential::rustcrypto::RustCrypto;
use credential::x509::{SignerCache, TrustAnchors, pem};
use serde_json::Value;

use crate::city::at;
use crate::vectors::{self, hex};

const PROVIDERS: [&dyn Crypto; 2] = [&RustCrypto, &AwsLc];
const MDL: &str = "org.iso.18013.5.1.mDL";

struct Example {
    messages: Value,
    certificates: Value,
    expected: Value,
    keys: Value,
}

impl Example {
    fn load() -> Option<Self> {
        let folder = vectors::folder("iso18013-5-annex-d")?;
        Some(Self {
            messages: vectors::json(&folder, "messages.json"),
            certificates: vectors::json(&folder, "certificates.json"),
            expected: vectors::json(&folder, "expected.json"),
            keys: vectors::json(&folder, "keys.json"),
        })
    }

    fn message(&self, name: &str) -> Vec<u8> {
        hex(self.messages[name].as_str().unwrap())
    }

    fn secret(&self, name: &str) -> P256Secret {
        let bytes = hex(self.keys[name]["d_hex"].as_str().unwrap());
        P256Secret::from_bytes(bytes.try_into().unwrap())
    }

    fn anchors(&self, name: &str) -> TrustAnchors {
        TrustAnchors::from_pem(self.certificates[name].as_str().unwrap()).unwrap()
    }
}

#[test]
fn response_of_annex_d_verifies_with_its_device_mac() {
    let Some(example) = Example::load() else { return };
    let response = example.message("device_response_hex");
    let transcript = example.message("session_transcript_bytes_hex");
    let secret = example.secret("ephemeral_reader");
    let anchors = example.anchors("document_signer_pem");
    for crypto in PROVIDERS {
        let good = Expectation {
            crypto,
            anchors: &anchors,
            at: at("2021-01-01T00:00:00Z"),
            doc_type: Some(MDL),
            session: Some(Session { transcript: &transcript, reader_secret: Some(&secret) }),
        };
        let mut cache = SignerCache::new();
        let verified = verify_response(&response, &good, Some(&mut cache)).unwrap();
        let [document] = verified.documents() else { panic!("one document expected") };
        assert_eq!(document.holder(), Holder::Mac);
        assert_eq!(document.doc_type(), MDL);
        let elements = example.expected["elements"].as_object().unwrap();
        assert_eq!(document.elements().len(), elements.len());
        for item in document.elements() {
            assert_eq!(elements[item.element]["digest_id"], item.digest_id);
            let digest = hex(elements[item.element]["digest_hex"].as_str().unwrap());
            assert_eq!(crypto.sha256(item.raw).to_vec(), digest);
        }
        let name = document.element("org.iso.18013.5.1", "family_name").unwrap();
        assert_eq!(name, b"\x63Doe");

        let check = |expectation: Expectation<'_>, culprit, code| {
            let rejection = verify_response(&response, &expectation, None).unwrap_err();
            assert_eq!((rejection.culprit, rejection.code), (culprit, code), "{rejection}");
        };
        let late = at("2021-11-01T00:00:00Z");
        check(Expectation { at: late, ..good }, Culprit::Time, "certificate-expired");
        check(Expectation { doc_type: Some("x"), ..good }, Culprit::Holder, "doc-type-unexpected");
        let nobody = TrustAnchors::new();
        check(Expectation { anchors: &nobody, ..good }, Culprit::Trust, "untrusted-signer");
        let other = example.secret("static_device");
        let session = Some(Session { transcript: &transcript, reader_secret: Some(&other) });
        check(Expectation { session, ..good }, Culprit::Holder, "device-mac");
        let session = Some(Session { transcript: &[0x80], reader_secret: Some(&secret) });
        check(Expectation { session, ..good }, Culprit::Holder, "device-mac");
        let session = Some(Session { transcript: &transcript, reader_secret: None });
        check(Expectation { session, ..good }, Culprit::Holder, "device-mac-unverifiable");
        let unchecked = Expectation { session: None, ..good };
        let verified = verify_response(&response, &unchecked, None).unwrap();
        assert_eq!(verified.documents()[0].holder(), Holder::Unchecked);
    }
}

#[test]
fn mac_key_of_annex_d_is_derived() {
    let Some(example) = Example::load() else { return };
    let transcript = example.message("session_transcript_bytes_hex");
    for crypto in PROVIDERS {
        let device = crypto.p256_public(&example.secret("static_device")).unwrap();
        let shared = crypto.p256_agree(&example.secret("ephemeral_reader"), &device).unwrap();
        let key = mdoc::e_mac_key(crypto, &shared, &transcript).unwrap();
        assert_eq!(key.to_vec(), hex(example.expected["emac_key_hex"].as_str().unwrap()));
    }
}

#[test]
fn reader_of_annex_d_is_authenticated() {
    let Some(example) = Example::load() else { return };
    let request = example.message("device_request_hex");
    let transcript = example.message("session_transcript_bytes_hex");
    let anchors = example.anchors("reader_pem");
    let parsed = DeviceRequest::parse(&request).unwrap();
    let [doc_request] = &parsed.doc_requests[..] else { panic!("one request expected") };
    assert_eq!(doc_request.doc_type, MDL);
    let retained: Vec<_> =
        doc_request.elements.iter().map(|e| (e.element, e.intent_to_retain)).collect();
    assert_eq!(retained.len(), 6);
    assert!(retained.contains(&("portrait", false)) && retained.contains(&("family_name", true)));
    for crypto in PROVIDERS {
        let judgement = ReaderJudgement {
            crypto,
            anchors: &anchors,
            at: at("2021-01-01T00:00:00Z"),
            transcript: &transcript,
        };
        let reader = doc_request.verify_reader(&judgement, None).unwrap();
        assert_eq!(reader.signer().certificate().subject.common_name(), Some("reader"));
        let elsewhere = ReaderJudgement { transcript: &[0x80], ..judgement };
        let rejection = doc_request.verify_reader(&elsewhere, None).unwrap_err();
        assert_eq!((rejection.culprit, rejection.code), (Culprit::Reader, "signature"));
        let nobody = TrustAnchors::new();
        let untrusting = ReaderJudgement { anchors: &nobody, ..judgement };
        let rejection = doc_request.verify_reader(&untrusting, None).unwrap_err();
        assert_eq!(rejection.culprit, Culprit::Trust);
    }
}

#[test]
fn certificates_of_annex_d_return_from_pem() {
    let Some(example) = Example::load() else { return };
    for name in ["document_signer", "reader"] {
        let text = example.certificates[format!("{name}_pem")].as_str().unwrap();
        let der = hex(example.certificates[format!("{name}_der_hex")].as_str().unwrap());
        assert_eq!(pem::encode(pem::CERTIFICATE, &der), text);
        assert_eq!(pem::decode(text, pem::CERTIFICATE).unwrap(), [der]);
    }
}
