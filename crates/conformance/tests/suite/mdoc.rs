//! Documents (ISO/IEC 18013-5) that were issued there and are verified here, and the other way.

use conformance::peer::{Implementation, Peer};
use credential::cbor::{Decoder, Encoder, Kind};
use credential::mdoc::{
    self, ENTROPY_BYTES_PER_ELEMENT, Expectation, Holder, IssueRequest, NameSpace, Validity,
    VerifiedDocument,
};
use credential::rejection::{Culprit, Rejection};
use credential::rustcrypto::RustCrypto;
use credential::x509::TrustAnchors;
use serde_json::{Value, json};

use crate::city::{City, DOC_TYPE, NAMESPACE, claims, hex, unhex};
use crate::peers::{ask, issue};

/// The document of [`claims`] as Limen issues it, from today for thirty days.
pub(crate) fn issue_here(city: &City) -> Vec<u8> {
    let values: Vec<(String, Vec<u8>)> = claims()[NAMESPACE]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), to_cbor(value)))
        .collect();
    let elements: Vec<(&str, &[u8])> =
        values.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
    let request = IssueRequest {
        doc_type: DOC_TYPE,
        name_spaces: &[NameSpace { name: NAMESPACE, elements: &elements }],
        device_key: &city.device.public(),
        authorized_name_spaces: &[],
        validity: Validity {
            signed: city.now,
            valid_from: city.now,
            valid_until: city.at(30),
            expected_update: None,
        },
        status: None,
    };
    let entropy: Vec<u8> =
        (0..=255).cycle().take(elements.len() * ENTROPY_BYTES_PER_ELEMENT).collect();
    let unsigned =
        mdoc::issue(&RustCrypto, &request, &[&city.signer_certificate], &entropy).unwrap();
    city.signer.sign(unsigned).into_bytes()
}

pub(crate) fn expectation<'e>(
    city: &City,
    anchors: &'e TrustAnchors,
    days: i64,
) -> Expectation<'e> {
    Expectation {
        crypto: &RustCrypto,
        anchors,
        at: city.at(days),
        doc_type: Some(DOC_TYPE),
        session: None,
    }
}

pub(crate) fn trust(city: &City) -> TrustAnchors {
    TrustAnchors::from_ders([city.authority.as_slice()]).unwrap()
}

/// The disclosed elements in the JSON form of the peers.
pub(crate) fn claims_of(document: &VerifiedDocument<'_>) -> Value {
    let mut claims = json!({});
    for item in document.elements() {
        claims[item.name_space][item.element] = to_json(item.value);
    }
    claims
}

fn to_json(cbor: &[u8]) -> Value {
    let mut decoder = Decoder::new(cbor).unwrap();
    match decoder.kind() {
        Kind::Text => json!(decoder.text().unwrap()),
        Kind::Bytes => json!({ "bytes": hex(decoder.bytes().unwrap()) }),
        Kind::Tag => {
            decoder.expect_tag(1004, "full-date").unwrap();
            json!({ "full-date": decoder.text().unwrap() })
        }
        _ => json!(decoder.integer().unwrap()),
    }
}

fn to_cbor(value: &Value) -> Vec<u8> {
    let mut encoder = Encoder::new();
    match value {
        Value::String(text) => encoder.text(text),
        Value::Number(number) => encoder.integer(number.as_i64().unwrap()),
        value => match value.get("bytes") {
            Some(bytes) => encoder.bytes(&unhex(bytes.as_str().unwrap())),
            None => encoder.tag(1004).text(value["full-date"].as_str().unwrap()),
        },
    };
    encoder.into_bytes()
}

/// Replaces the operator's name by another of the same length.
pub(crate) fn forge(document: &[u8]) -> Vec<u8> {
    let forged = hex(document).replace(&hex(b"tramways"), &hex(b"railways"));
    assert_ne!(forged, hex(document), "the document names its operator");
    unhex(&forged)
}

fn check_rejected(outcome: Result<VerifiedDocument<'_>, Rejection>, culprit: Culprit, code: &str) {
    let rejection = outcome.map(|_| ()).unwrap_err();
    assert_eq!((rejection.culprit, rejection.code), (culprit, code), "{}", rejection.message);
}

#[test]
fn our_document_is_read_by_owf() {
    let city = City::new();
    let document = issue_here(&city);
    let mut peer = Peer::start(Implementation::OwfMdoc).unwrap();
    let mut verify = |document: &[u8], trust: &[u8], at: String| {
        let job = json!({ "job": "verify_issuer_signed", "document": hex(document), "trust": [hex(trust)], "at": at });
        peer.ask(&job).unwrap()
    };
    let verdict = verify(&document, &city.authority, city.day(1));
    assert_eq!(verdict["valid"], true, "{verdict}");
    assert_eq!((&verdict["doc_type"], &verdict["claims"]), (&json!(DOC_TYPE), &claims()));
    for (what, verdict) in [
        ("forged", verify(&forge(&document), &city.authority, city.day(1))),
        ("late", verify(&document, &city.authority, city.day(31))),
        ("stranger", verify(&document, &City::stranger().authority, city.day(1))),
    ] {
        assert_eq!(verdict["valid"], false, "{what}: {verdict}");
    }
}

#[test]
fn a_document_of_owf_is_read_here() {
    let city = City::new();
    let issued = issue(&city, Implementation::OwfMdoc, &claims());
    check_foreign_document(&city, &unhex(issued["document"].as_str().unwrap()), &claims());
}

#[test]
fn a_document_of_pymdoccbor_is_read_here() {
    let city = City::new();
    // It marks a text with this name as a date by itself.
    let mut said = claims();
    said[NAMESPACE]["expiry_date"] = json!("2030-01-31");
    let issued = issue(&city, Implementation::PyMdocCbor, &said);
    check_foreign_document(&city, &unhex(issued["issuer_signed"].as_str().unwrap()), &claims());

    let response = unhex(issued["document"].as_str().unwrap());
    let anchors = trust(&city);
    let verified =
        mdoc::verify_response(&response, &expectation(&city, &anchors, 1), None).unwrap();
    let [document] = verified.documents() else { panic!("one document was issued") };
    assert_eq!((claims_of(document), document.holder()), (claims(), Holder::Unchecked));
}

fn check_foreign_document(city: &City, document: &[u8], expected: &Value) {
    let anchors = trust(city);
    let verified =
        mdoc::verify_issuer_signed(document, &expectation(city, &anchors, 1), None).unwrap();
    assert_eq!(verified.doc_type(), DOC_TYPE);
    assert_eq!(&claims_of(&verified), expected);
    assert_eq!(verified.device_key(), &city.device.public());

    let verify = |document, anchors, days| {
        mdoc::verify_issuer_signed(document, &expectation(city, anchors, days), None)
    };
    let forged = forge(document);
    check_rejected(verify(&forged, &anchors, 1), Culprit::Holder, "digest-mismatch");
    check_rejected(verify(document, &anchors, 31), Culprit::Time, "document-expired");
    let strangers = trust(&City::stranger());
    let rejection = verify(document, &strangers, 1).map(|_| ()).unwrap_err();
    assert_eq!(rejection.culprit, Culprit::Trust, "{}", rejection.message);
}

#[test]
fn our_response_is_read_by_pymdoccbor_as_far_as_it_reads() {
    let city = City::new();
    let response = crate::mdoc_session::respond_here(&city, crate::mdoc_session::Proof::Signature);
    let job = |document: &[u8], trust: &[u8]| json!({ "job": "verify_response", "document": hex(document), "trust": [hex(trust)] });
    let verdict = ask(Implementation::PyMdocCbor, &job(&response, &city.authority));
    assert_eq!(verdict["valid"], true, "{verdict}");
    let verdict = ask(Implementation::PyMdocCbor, &job(&forge(&response), &city.authority));
    assert_eq!(verdict["valid"], false, "{verdict}");
    let verdict = ask(Implementation::PyMdocCbor, &job(&response, &City::stranger().authority));
    assert_eq!(verdict["valid"], false, "{verdict}");
}
