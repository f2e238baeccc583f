//! Documents that are issued, disclosed and verified here, and refusals one by one.

use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use credential::mdoc::{
    self, DeviceRequest, Expectation, Holder, ReaderJudgement, Session, Validity,
    verify_issuer_signed, verify_response,
};
use credential::rejection::Culprit;
use credential::rustcrypto::RustCrypto;
use credential::x509::{SignerCache, TrustAnchors};

use crate::city::{self, City, at, expectation, six_elements, validity};

#[test]
fn issued_document_is_presented_and_verified() {
    let city = City::new();
    let anchors = city.anchors();
    let issued = city.issue(&six_elements());
    let response = city.respond(&issued, &["zones", "operator"]);
    for crypto in [&RustCrypto as &dyn Crypto, &AwsLc] {
        let expectation = Expectation { crypto, ..expectation(&city, &anchors) };
        let verified = verify_response(&response, &expectation, None).unwrap();
        let [document] = verified.documents() else { panic!("one document expected") };
        assert_eq!(document.holder(), Holder::Signature);
        assert_eq!(document.status(), Some(city::STATUS));
        assert_eq!(document.device_key(), &city.device_key.public);
        let names: Vec<_> = document.elements().iter().map(|item| item.element).collect();
        assert_eq!(names, ["operator", "zones"]);
        assert_eq!(
            document.element(city::NAME_SPACE, "zones"),
            Some(&city::text("value of zones")[..])
        );
        let stored = Expectation { session: None, ..expectation };
        let document = verify_issuer_signed(&issued, &stored, None).unwrap();
        assert_eq!((document.elements().len(), document.holder()), (6, Holder::Unchecked));
    }
}

#[test]
fn document_with_device_mac_is_verified() {
    let city = City::new();
    let anchors = city.anchors();
    let response = city.present_with_mac(&city.issue(&six_elements()), &["zones"]);
    let good = expectation(&city, &anchors);
    let verified = verify_response(&response, &good, None).unwrap();
    assert_eq!(verified.documents()[0].holder(), Holder::Mac);
    let other = city::Key::new(99);
    let session = Session { transcript: &city.transcript, reader_secret: Some(&other.secret) };
    let rejection =
        verify_response(&response, &Expectation { session: Some(session), ..good }, None)
            .unwrap_err();
    assert_eq!((rejection.culprit, rejection.code), (Culprit::Holder, "device-mac"));
}

#[test]
fn forged_second_document_is_refused_and_named() {
    let city = City::new();
    let anchors = city.anchors();
    let issued = city.issue(&six_elements());
    let (first, second) = (city.present(&issued, &["zones"]), city.present(&issued, &["class"]));
    let both = mdoc::device_response(&[first, second], &[]);
    let expectation = expectation(&city, &anchors);
    assert_eq!(verify_response(&both, &expectation, None).unwrap().documents().len(), 2);

    let position = both.windows(14).position(|window| window == b"value of class").unwrap();
    let mut forged = both;
    forged[position] ^= 1;
    let rejection = verify_response(&forged, &expectation, None).unwrap_err();
    assert_eq!((rejection.culprit, rejection.code), (Culprit::Holder, "digest-mismatch"));
    assert_eq!(
        rejection.message,
        "document 2 `city.limen.pass.1`: element `class` is not what was issued"
    );
}

#[test]
fn document_is_valid_at_both_ends_of_its_validity_and_not_beyond() {
    let city = City::new();
    let anchors = city.anchors();
    let response = city.respond(&city.issue(&six_elements()), &["zones"]);
    let check = |instant: &str, expected: Result<(), &str>| {
        let expectation = Expectation { at: at(instant), ..expectation(&city, &anchors) };
        let found = verify_response(&response, &expectation, None).map(|_| ());
        assert!(found.as_ref().err().is_none_or(|error| error.culprit == Culprit::Time));
        assert_eq!(found.map_err(|error| error.code), expected, "{instant}");
    };
    check("2026-01-15T00:00:00Z", Err("certificate-not-yet-valid"));
    check("2026-02-15T00:00:00Z", Err("document-not-yet-signed"));
    check("2026-03-01T08:59:59Z", Err("document-not-yet-valid"));
    check("2026-03-01T09:00:00Z", Ok(()));
    check("2026-12-01T00:00:00Z", Ok(()));
    check("2026-12-01T00:00:01Z", Err("document-expired"));
    check("2027-02-01T00:00:01Z", Err("certificate-expired"));
}

#[test]
fn remembered_signer_skips_its_signature_but_not_its_dates_or_anchors() {
    let city = City::new();
    let anchors = city.anchors();
    let response = city.respond(&city.issue(&six_elements()), &["zones"]);
    let good = expectation(&city, &anchors);
    let mut cache = SignerCache::new();
    verify_response(&response, &good, Some(&mut cache)).unwrap();
    assert_eq!(cache.len(), 1);
    verify_response(&response, &good, Some(&mut cache)).unwrap();
    assert_eq!(cache.len(), 1);
    let late = Expectation { at: at("2027-02-02T00:00:00Z"), ..good };
    let rejection = verify_response(&response, &late, Some(&mut cache)).unwrap_err();
    assert_eq!(rejection.code, "certificate-expired");
    let others = TrustAnchors::from_ders([&city.reader_authority[..]]).unwrap();
    let elsewhere = Expectation { anchors: &others, ..good };
    let rejection = verify_response(&response, &elsewhere, Some(&mut cache)).unwrap_err();
    assert_eq!(rejection.code, "untrusted-signer");
}

#[test]
fn refused_certificate_is_not_remembered() {
    let city = City::new();
    let anchors = city.anchors();
    let mut response = city.respond(&city.issue(&six_elements()), &["zones"]);
    let position = response.windows(10).position(|window| window == b"Transit DS").unwrap();
    response[position] ^= 1;
    let mut cache = SignerCache::new();
    for _ in 0..2 {
        let expectation = expectation(&city, &anchors);
        let rejection = verify_response(&response, &expectation, Some(&mut cache)).unwrap_err();
        assert_eq!(rejection.code, "certificate-signature");
        assert!(cache.is_empty());
    }
}

#[test]
fn response_without_document_or_with_an_error_status_blames_the_holder() {
    let city = City::new();
    let anchors = city.anchors();
    let expectation = expectation(&city, &anchors);
    for (response, code, words) in [
        (mdoc::device_response_status(10), "response-status", "status 10"),
        (mdoc::device_response(&[], &[]), "no-document", "no document"),
        (mdoc::device_response(&[], &["a.b"]), "no-document", "did not return `a.b`"),
    ] {
        let rejection = verify_response(&response, &expectation, None).unwrap_err();
        assert_eq!((rejection.culprit, rejection.code), (Culprit::Holder, code));
        assert!(rejection.message.contains(words), "{rejection}");
    }
}

#[test]
fn stored_document_is_no_proof_of_a_session() {
    let city = City::new();
    let anchors = city.anchors();
    let issued = city.issue(&six_elements());
    let rejection = verify_issuer_signed(&issued, &expectation(&city, &anchors), None).unwrap_err();
    assert_eq!((rejection.culprit, rejection.code), (Culprit::Holder, "device-proof-missing"));
}

#[test]
fn reader_is_trusted_by_its_own_authority_only() {
    let city = City::new();
    let request = city.ask(&[("zones", false), ("class", true)]);
    let parsed = DeviceRequest::parse(&request).unwrap();
    let [doc_request] = &parsed.doc_requests[..] else { panic!("one request expected") };
    let anchors = TrustAnchors::from_ders([&city.reader_authority[..]]).unwrap();
    let good = ReaderJudgement {
        crypto: &RustCrypto,
        anchors: &anchors,
        at: at("2026-06-01T12:00:00Z"),
        transcript: &city.transcript,
    };
    doc_request.verify_reader(&good, None).unwrap();
    let issuers = city.anchors();
    for (judgement, culprit, code) in [
        (ReaderJudgement { anchors: &issuers, ..good }, Culprit::Trust, "untrusted-signer"),
        (ReaderJudgement { transcript: &[0x80], ..good }, Culprit::Reader, "signature"),
        (
            ReaderJudgement { at: at("2028-01-01T00:00:00Z"), ..good },
            Culprit::Time,
            "certificate-expired",
        ),
    ] {
        let rejection = doc_request.verify_reader(&judgement, None).unwrap_err();
        assert_eq!((rejection.culprit, rejection.code), (culprit, code));
    }
    let items = mdoc::ItemsRequest { doc_type: city::DOC_TYPE, name_spaces: &[] };
    let bare = mdoc::device_request(&[mdoc::doc_request_unauthenticated(&items)]);
    let parsed = DeviceRequest::parse(&bare).unwrap();
    let rejection = parsed.doc_requests[0].verify_reader(&good, None).unwrap_err();
    assert_eq!((rejection.culprit, rejection.code), (Culprit::Reader, "reader-auth-missing"));
}

#[test]
fn request_with_a_changed_element_is_refused() {
    let city = City::new();
    let mut request = city.ask(&[("zones", false)]);
    let position = request.windows(5).position(|window| window == b"zones").unwrap();
    request[position] ^= 1;
    let parsed = DeviceRequest::parse(&request).unwrap();
    let anchors = TrustAnchors::from_ders([&city.reader_authority[..]]).unwrap();
    let judgement = ReaderJudgement {
        crypto: &RustCrypto,
        anchors: &anchors,
        at: at("2026-06-01T12:00:00Z"),
        transcript: &city.transcript,
    };
    let rejection = parsed.doc_requests[0].verify_reader(&judgement, None).unwrap_err();
    assert_eq!((rejection.culprit, rejection.code), (Culprit::Reader, "signature"));
}

#[test]
fn impossible_documents_are_not_issued() {
    let city = City::new();
    let issue = |elements: &[(&str, &[u8])], validity: Validity, entropy: usize| {
        let request = mdoc::IssueRequest {
            doc_type: city::DOC_TYPE,
            name_spaces: &[mdoc::NameSpace { name: city::NAME_SPACE, elements }],
            device_key: &city.device_key.public,
            authorized_name_spaces: &[],
            validity,
            status: None,
        };
        let entropy = vec![7; entropy];
        mdoc::issue(&RustCrypto, &request, &[&city.signer], &entropy).map(|_| ())
    };
    use mdoc::IssueError;
    let one: &[(&str, &[u8])] = &[("a", &[0x01])];
    let early = Validity { valid_until: at("2026-01-01T00:00:00Z"), ..validity() };
    let before_signer = Validity { signed: at("2026-01-10T00:00:00Z"), ..validity() };
    assert_eq!(issue(one, validity(), 24), Ok(()));
    assert_eq!(issue(one, validity(), 23), Err(IssueError::Entropy));
    assert_eq!(issue(&[], validity(), 0), Err(IssueError::ElementCount));
    assert_eq!(issue(one, early, 24), Err(IssueError::Dates));
    assert_eq!(issue(one, before_signer, 24), Err(IssueError::Signer));
    assert_eq!(issue(&[("a", &[0x18])], validity(), 24), Err(IssueError::Value));
    let twice: &[(&str, &[u8])] = &[("a", &[1]), ("a", &[2])];
    assert_eq!(issue(twice, validity(), 48), Err(IssueError::DuplicateName));
}

#[test]
fn digest_numbers_are_shuffled_by_entropy() {
    let city = City::new();
    let issued = city.issue(&six_elements());
    let parsed = mdoc::IssuerSigned::parse(&issued).unwrap();
    let mut numbers: Vec<_> = parsed.items.iter().map(|item| item.digest_id).collect();
    assert_ne!(numbers, [0, 1, 2, 3, 4, 5]);
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
}
