//! Arbitrary, truncated and changed bytes into every parser of mdoc: never a panic, and never
//! a word that the issuer did not say.

use std::sync::LazyLock;

use credential::mdoc::{
    self, DeviceRequest, DeviceResponse, Holder, IssuerSigned, MobileSecurityObject,
    verify_issuer_signed, verify_response,
};
use credential::x509::TrustAnchors;
use proptest::prelude::*;

use crate::city::{City, STATUS, expectation, six_elements};

struct Sample {
    city: City,
    anchors: TrustAnchors,
    response: Vec<u8>,
    request: Vec<u8>,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let city = City::new();
    let response = city.respond(&city.issue(&six_elements()), &["zones", "class"]);
    let request = city.ask(&[("zones", false)]);
    Sample { anchors: city.anchors(), city, response, request }
});

fn parse_all(bytes: &[u8]) {
    let Sample { city, anchors, .. } = &*SAMPLE;
    let expectation = expectation(city, anchors);
    let _ = DeviceResponse::parse(bytes);
    let _ = IssuerSigned::parse(bytes);
    let _ = MobileSecurityObject::parse(bytes);
    let _ = mdoc::disclose(bytes, &[]);
    let _ = mdoc::transcript_bytes(bytes);
    if let Ok(request) = DeviceRequest::parse(bytes) {
        request.doc_requests.iter().for_each(|one| assert!(one.elements.len() < 100_000));
    }
    assert!(verify_issuer_signed(bytes, &expectation, None).is_err());
    assert!(verify_response(bytes, &expectation, None).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused(bytes: Vec<u8>) {
        parse_all(&bytes);
    }

    #[test]
    fn truncated_messages_are_refused(end: prop::sample::Index) {
        for message in [&SAMPLE.response, &SAMPLE.request] {
            parse_all(&message[..end.index(message.len())]);
        }
    }

    // What no signature covers may change: a name that becomes unknown hides what it named, as the
    // holder may. Nothing may be said that the issuer did not say.
    #[test]
    fn changed_byte_never_changes_what_is_said(at: prop::sample::Index, value: u8) {
        let Sample { city, anchors, response, .. } = &*SAMPLE;
        let expectation = expectation(city, anchors);
        let true_elements = verify_response(response, &expectation, None).unwrap();
        let true_elements = true_elements.documents()[0].elements();
        let mut changed = response.clone();
        let position = at.index(changed.len());
        changed[position] = value;
        let _ = DeviceRequest::parse(&changed);
        if let Ok(verified) = verify_response(&changed, &expectation, None) {
            let [document] = verified.documents() else { panic!("one document expected") };
            prop_assert!(document.elements().iter().all(|item| true_elements.contains(item)));
            prop_assert_eq!(document.holder(), Holder::Signature);
            prop_assert_eq!(document.status(), Some(STATUS));
        }
    }
}
