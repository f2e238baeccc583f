//! Crate `isomdl` 0.2.0 as a reader of our presentations: a whole proximity session with QR
//! engagement (ISO/IEC 18013-5), from its SessionEstablishment to its verdict.
//!
//! It is also the control of our own strictness: two forgeries that Limen refuses are shown to
//! pass there. It knows driving licences alone, signs no request, and checks no device MAC.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

#[path = "../suite/city.rs"]
#[allow(dead_code, reason = "the quick tests use more of the city")]
mod city;
mod forgeries;

use credential::cbor::Encoder;
use credential::crypto::{Crypto as _, P256Secret};
use credential::mdoc::{
    self, ENTROPY_BYTES_PER_ELEMENT, Expectation, IssueRequest, NameSpace, Session, Validity,
};
use credential::rejection::Rejection;
use credential::rustcrypto::RustCrypto;
use credential::x509::{TrustAnchors, pem};
use isomdl::definitions::device_request::{DataElements, Namespaces};
use isomdl::definitions::x509::trust_anchor::{PemTrustAnchor, TrustAnchorRegistry, TrustPurpose};
use isomdl::presentation::authentication::{AuthenticationStatus, ResponseAuthenticationOutcome};
use isomdl::presentation::reader::SessionManager;
use presentation::engagement;
use presentation::session::message::{SessionData, SessionEstablishment};
use presentation::session::{Channel, End, SessionKeys};
use presentation::transcript::{Handover, SessionTranscript};
use serde_json::json;

use city::{City, hex, unhex};

const LICENCE: &str = "org.iso.18013.5.1.mDL";
const LICENCE_NAMESPACE: &str = "org.iso.18013.5.1";

/// A driving licence that names its holder, valid between two days from now.
fn issue(city: &City, from: i64, until: i64) -> Vec<u8> {
    let mut name = Encoder::new();
    name.text("Dampf");
    let elements: [(&str, &[u8]); 1] = [("family_name", name.as_bytes())];
    let request = IssueRequest {
        doc_type: LICENCE,
        name_spaces: &[NameSpace { name: LICENCE_NAMESPACE, elements: &elements }],
        device_key: &city.device.public(),
        authorized_name_spaces: &[],
        validity: Validity {
            signed: city.at(from),
            valid_from: city.at(from),
            valid_until: city.at(until),
            expected_update: None,
        },
        status: None,
    };
    let entropy = [7; ENTROPY_BYTES_PER_ELEMENT];
    let unsigned =
        mdoc::issue(&RustCrypto, &request, &[&city.signer_certificate], &entropy).unwrap();
    city.signer.sign(unsigned).into_bytes()
}

/// What both readers say to the same presentation of the same document.
struct Verdicts {
    isomdl: ResponseAuthenticationOutcome,
    limen: Result<(), Rejection>,
}

/// Shows the licence to a reader of isomdl; `tamper` may change the response before it is sealed.
fn show(
    city: &City,
    licence: &[u8],
    anchor: &[u8],
    tamper: impl Fn(Vec<u8>) -> Vec<u8>,
) -> Verdicts {
    let secret = P256Secret::from_bytes([0x55; 32]);
    let engagement = engagement::build(&RustCrypto.p256_public(&secret).unwrap(), &[]);
    let anchor_pem = pem::encode(pem::CERTIFICATE, anchor);
    let trust = PemTrustAnchor { certificate_pem: anchor_pem, purpose: TrustPurpose::Iaca };
    let registry = TrustAnchorRegistry::from_pem_certificates(vec![trust]).unwrap();
    let asked =
        Namespaces::new(LICENCE_NAMESPACE.into(), DataElements::new("family_name".into(), false));
    let uri = engagement::to_uri(&engagement);
    let (mut reader, establishment, _) =
        SessionManager::establish_session(uri, asked, registry).unwrap();

    let establishment = SessionEstablishment::parse(&establishment).unwrap();
    let transcript =
        SessionTranscript::new(&engagement, establishment.reader_key_bytes, Handover::Qr);
    let keys =
        SessionKeys::agree(&RustCrypto, &secret, &establishment.reader_key, &transcript).unwrap();
    let mut channel = Channel::new(End::Holder, keys);
    let request = channel.open(&RustCrypto, establishment.data).unwrap();
    let request = mdoc::DeviceRequest::parse(&request).unwrap();
    assert_eq!(request.doc_requests[0].doc_type, LICENCE);

    let disclosure = mdoc::disclose(licence, &[(LICENCE_NAMESPACE, "family_name")]).unwrap();
    let document = city.device.sign(disclosure.sign(transcript.as_bytes()).unwrap());
    let response = tamper(mdoc::device_response(&[document], &[]));
    let data = channel.seal(&RustCrypto, &response).unwrap();
    let message = SessionData { data: Some(&data), status: None }.encode();
    let anchors = TrustAnchors::from_ders([anchor]).unwrap();
    let session = Session { transcript: transcript.as_bytes(), reader_secret: None };
    let expectation = Expectation {
        crypto: &RustCrypto,
        anchors: &anchors,
        at: city.now,
        doc_type: Some(LICENCE),
        session: Some(session),
    };
    let limen = mdoc::verify_response(&response, &expectation, None).map(|_| ());
    Verdicts { isomdl: reader.handle_response(&message), limen }
}

fn check(verdicts: &Verdicts, issuer: AuthenticationStatus, device: AuthenticationStatus) {
    let said = &verdicts.isomdl;
    let statuses = (said.issuer_authentication, said.device_authentication);
    assert_eq!(statuses, (issuer, device), "{:?}", said.errors);
}

use AuthenticationStatus::{Invalid, Valid};

#[test]
fn our_presentation_is_read_by_isomdl() {
    let city = City::new();
    let verdicts = show(&city, &issue(&city, 0, 30), &city.authority, |response| response);
    check(&verdicts, Valid, Valid);
    assert_eq!(verdicts.isomdl.response[LICENCE_NAMESPACE], json!({ "family_name": "Dampf" }));
    verdicts.limen.unwrap();
}

#[test]
fn isomdl_refuses_a_stranger_and_another_device() {
    let (city, stranger) = (City::new(), City::stranger());
    let licence = issue(&city, 0, 30);
    let verdicts = show(&city, &licence, &stranger.authority, |response| response);
    check(&verdicts, Invalid, Valid);
    verdicts.limen.unwrap_err();

    let thief = City { device: stranger.device, ..City::new() };
    let verdicts = show(&thief, &licence, &city.authority, |response| response);
    check(&verdicts, Valid, Invalid);
    verdicts.limen.unwrap_err();
}

#[test]
fn isomdl_accepts_a_forged_value_which_limen_refuses() {
    let city = City::new();
    let forge = |response: Vec<u8>| unhex(&hex(&response).replace(&hex(b"Dampf"), &hex(b"Nebel")));
    let verdicts = show(&city, &issue(&city, 0, 30), &city.authority, forge);
    check(&verdicts, Valid, Valid);
    assert_eq!(verdicts.isomdl.response[LICENCE_NAMESPACE], json!({ "family_name": "Nebel" }));
    assert_eq!(verdicts.limen.unwrap_err().code, "digest-mismatch");
    println!("figure: isomdl 0.2.0 accepts a forged value = yes");
}

#[test]
fn isomdl_accepts_a_document_out_of_its_time_which_limen_refuses() {
    let city = City::new();
    let early = City { now: city.at(20), ..City::new() };
    let verdicts = show(&city, &issue(&early, 0, 30), &city.authority, |response| response);
    check(&verdicts, Valid, Valid);
    assert_eq!(verdicts.limen.unwrap_err().code, "document-not-yet-signed");
    println!("figure: isomdl 0.2.0 accepts a document before its time = yes");
}
