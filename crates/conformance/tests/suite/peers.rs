//! The peers among themselves: the control of every test beside this one.
//!
//! A peer that accepts everything would make our documents look good. Each is shown here to
//! refuse a document with one byte changed, one of a stranger, and one out of its time.

use conformance::peer::{Implementation, Peer};
use serde_json::{Value, json};

use crate::city::{City, DOC_TYPE, NAMESPACE, claims, hex};

pub(crate) fn ask(implementation: Implementation, job: &Value) -> Value {
    Peer::start(implementation).unwrap().ask(job).unwrap()
}

pub(crate) fn issue(city: &City, implementation: Implementation, claims: &Value) -> Value {
    ask(
        implementation,
        &json!({
            "job": "issue", "doc_type": DOC_TYPE, "namespaces": claims,
            "signer": city.signer.jwk(), "certificates": [hex(&city.signer_certificate)],
            "device": city.device.jwk(),
            "signed": city.day(0), "valid_from": city.day(0), "valid_until": city.day(30),
        }),
    )
}

#[test]
fn an_mdoc_of_one_peer_is_judged_by_the_other() {
    let city = City::new();
    let issued = issue(&city, Implementation::OwfMdoc, &claims());
    let document = issued["document"].as_str().unwrap();
    let forged = document.replace(&hex(b"tramways"), &hex(b"railways"));
    let mut peer = Peer::start(Implementation::OwfMdoc).unwrap();
    let mut verify = |document: &str, trust: &[u8], at: String| {
        let job = json!({ "job": "verify_issuer_signed", "document": document, "trust": [hex(trust)], "at": at });
        peer.ask(&job).unwrap()
    };
    let good = verify(document, &city.authority, city.day(1));
    assert_eq!(good["valid"], true, "{good}");
    assert_eq!(good["claims"], claims());
    for (what, verdict) in [
        ("a changed value", verify(&forged, &city.authority, city.day(1))),
        ("a time after its end", verify(document, &city.authority, city.day(31))),
        ("a stranger", verify(document, &City::stranger().authority, city.day(1))),
        ("a time before its begin", verify(document, &city.authority, city.day(-1))),
    ] {
        assert_eq!(verdict["valid"], false, "{what}: {verdict}");
    }
}

#[test]
fn a_document_of_pymdoccbor_is_read_by_owf() {
    let city = City::new();
    let claims = json!({ NAMESPACE: { "operator": "tramways", "uses_max": 5 } });
    let issued = issue(&city, Implementation::PyMdocCbor, &claims);
    let job = json!({
        "job": "verify_issuer_signed", "document": issued["issuer_signed"],
        "trust": [hex(&city.authority)], "at": city.day(1),
    });
    let verdict = ask(Implementation::OwfMdoc, &job);
    assert_eq!(verdict["valid"], true, "{verdict}");
    assert_eq!(verdict["claims"], claims);
}
