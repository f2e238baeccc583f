//! Documents that name their signer by hash: who takes them, and who refuses.

use credential::aws_lc::AwsLc;
use credential::cose::{Sign1, Sign1Parts, sign1};
use credential::crypto::{Crypto, PublicKey};
use credential::mdoc::{
    self, ENTROPY_BYTES_PER_ELEMENT, Expectation, IssueRequest, IssuerSigned, NameSpace,
};
use credential::rejection::Culprit;
use credential::rustcrypto::RustCrypto;
use credential::unsigned::Unsigned;
use credential::x509::build::{self, Purpose, Request, Signer};
use credential::x509::{Certificate, TrustAnchors};

use crate::city::{self, City, at, expectation, six_elements, validity};
use crate::composite::CompositeSigner;

/// A hybrid authority with two hybrid document signers.
struct Hybrid {
    city: City,
    signer: CompositeSigner,
    authority_der: Vec<u8>,
    signer_der: Vec<u8>,
    other_der: Vec<u8>,
}

impl Hybrid {
    fn new() -> Self {
        let city = City::new();
        let [root, authority, signer, other] = [50, 51, 52, 53].map(CompositeSigner::new);
        let root_der = certify(Purpose::Root, "Root", &root, None, &root);
        let under_root = Some(&root_der[..]);
        let authority_der = certify(Purpose::Authority, "Authority", &authority, under_root, &root);
        let by = Some(&authority_der[..]);
        let signer_der = certify(Purpose::DocumentSigner, "Signer", &signer, by, &authority);
        let other_der = certify(Purpose::DocumentSigner, "Other", &other, by, &authority);
        Self { city, signer, authority_der, signer_der, other_der }
    }

    /// A document of the signer that names the certificate `named`.
    fn issue(&self, named: &[u8]) -> Vec<u8> {
        let elements = six_elements();
        let elements: Vec<(&str, &[u8])> =
            elements.iter().map(|(name, value)| (*name, &value[..])).collect();
        let request = IssueRequest {
            doc_type: city::DOC_TYPE,
            name_spaces: &[NameSpace { name: city::NAME_SPACE, elements: &elements }],
            device_key: &self.city.device_key.public,
            authorized_name_spaces: &[],
            validity: validity(),
            status: None,
        };
        let entropy = vec![7; elements.len() * ENTROPY_BYTES_PER_ELEMENT];
        let unsigned = mdoc::issue(&RustCrypto, &request, &[named], &entropy).unwrap();
        self.sign(unsigned).into_bytes()
    }

    fn sign<T>(&self, unsigned: Unsigned<T>) -> T {
        let signature = self.signer.signature(unsigned.to_be_signed());
        unsigned.complete(&signature)
    }

    /// What a gate says that knows `anchors`, with their hashes worked out before or not.
    fn check(&self, issued: &[u8], known: &[&[u8]], expected: Result<(), (Culprit, &str)>) {
        let response = self.city.respond(issued, &["zones"]);
        let mut anchors = TrustAnchors::from_ders(known.iter().copied()).unwrap();
        for crypto in [&RustCrypto as &dyn Crypto, &AwsLc] {
            for _ in 0..2 {
                let expectation = Expectation { crypto, ..expectation(&self.city, &anchors) };
                let verified = mdoc::verify_response(&response, &expectation, None);
                let verified = verified.map_err(|rejection| (rejection.culprit, rejection.code));
                if let Ok(response) = &verified {
                    assert_eq!(response.documents()[0].signer().raw, self.signer_der);
                }
                assert_eq!(verified.map(|_| ()), expected);
                anchors.hash_document_signers(crypto);
            }
        }
    }
}

fn certify(
    purpose: Purpose,
    name: &str,
    subject: &CompositeSigner,
    authority: Option<&[u8]>,
    by: &CompositeSigner,
) -> Vec<u8> {
    let key = city::Key::new(1);
    let request = Request { key: &subject.key, ..city::request(purpose, name, &key) };
    let parsed = authority.map(|der| Certificate::parse(der).unwrap());
    let issuer = parsed.as_ref().map_or(Signer::Subject, Signer::Authority);
    let unsigned = build::certificate(&request, issuer).unwrap();
    let signature = by.signature(unsigned.to_be_signed());
    unsigned.complete(&signature).into_bytes()
}

/// The same document, with another header around the same payload.
fn wrapped(issued: &[u8], key: &PublicKey, parts: Sign1Parts<'_>) -> Unsigned<Vec<u8>> {
    let auth = IssuerSigned::parse(issued).unwrap().issuer_auth;
    let payload = Sign1::parse(auth).unwrap().payload.unwrap();
    let before = issued[..issued.len() - auth.len()].to_vec();
    let parts = Sign1Parts { payload, ..parts };
    sign1(key.algorithm(), &parts).map(move |auth| [before, auth].concat())
}

#[test]
fn named_signer_is_taken_by_who_knows_it() {
    let hybrid = Hybrid::new();
    let issued = hybrid.issue(&hybrid.signer_der);
    let auth = Sign1::parse(IssuerSigned::parse(&issued).unwrap().issuer_auth).unwrap();
    assert!(auth.unprotected.x5chain.certificates().is_empty());
    assert_eq!(auth.protected.x5t, Some(&RustCrypto.sha256(&hybrid.signer_der)));
    let Hybrid { authority_der, signer_der, other_der, .. } = &hybrid;
    hybrid.check(&issued, &[authority_der, other_der, signer_der], Ok(()));
    hybrid.check(&issued, &[signer_der], Ok(()));
}

#[test]
fn named_signer_is_refused_by_who_does_not_know_it() {
    let hybrid = Hybrid::new();
    let Hybrid { authority_der, signer_der, other_der, .. } = &hybrid;
    let unknown = Err((Culprit::Trust, "signer-unknown"));
    let issued = hybrid.issue(signer_der);
    hybrid.check(&issued, &[], unknown);
    hybrid.check(&issued, &[authority_der], unknown);
    hybrid.check(&issued, &[authority_der, other_der], unknown);
    // An authority is nobody's document signer, though its certificate is known.
    hybrid.check(&hybrid.issue(authority_der), &[authority_der, signer_der], unknown);
}

#[test]
fn name_of_another_signer_is_refused() {
    let hybrid = Hybrid::new();
    let Hybrid { signer_der, other_der, .. } = &hybrid;
    let known: [&[u8]; 2] = [signer_der, other_der];
    let forged = Err((Culprit::Issuer, "signature"));
    // Signed so.
    hybrid.check(&hybrid.issue(other_der), &known, forged);
    // Changed on the way: to another, and to nobody.
    let issued = hybrid.issue(signer_der);
    let replaced = |by: [u8; 32]| {
        let hash = RustCrypto.sha256(signer_der);
        let at = issued.windows(32).position(|window| window == hash).unwrap();
        [&issued[..at], &by, &issued[at + 32..]].concat()
    };
    hybrid.check(&replaced(RustCrypto.sha256(other_der)), &known, forged);
    hybrid.check(&replaced([0; 32]), &known, Err((Culprit::Trust, "signer-unknown")));
    hybrid.check(&replaced(RustCrypto.sha256(signer_der)), &known, Ok(()));
}

#[test]
fn named_signer_is_held_to_its_dates() {
    let hybrid = Hybrid::new();
    let issued = hybrid.issue(&hybrid.signer_der);
    let anchors = TrustAnchors::from_ders([&hybrid.signer_der[..]]).unwrap();
    for (instant, expected) in
        [("2026-06-01T12:00:00Z", Ok(())), ("2027-02-02T00:00:00Z", Err("certificate-expired"))]
    {
        let stored = expectation(&hybrid.city, &anchors);
        let expectation = Expectation { session: None, at: at(instant), ..stored };
        let verified = mdoc::verify_issuer_signed(&issued, &expectation, None);
        assert_eq!(verified.map(|_| ()).map_err(|rejection| rejection.code), expected);
    }
}

#[test]
fn classic_document_must_carry_its_signer() {
    let hybrid = Hybrid::new();
    let city = &hybrid.city;
    let carried = city.issue(&six_elements());
    let hash = RustCrypto.sha256(&city.signer);
    let parts = Sign1Parts { x5t: Some(&hash), ..Sign1Parts::default() };
    let named = city.signer_key.sign(wrapped(&carried, &city.signer_key.public, parts));
    let anchors = TrustAnchors::from_ders([&city.signer[..]]).unwrap();
    let expectation = expectation(city, &anchors);
    let expectation = Expectation { session: None, ..expectation };
    let verify = |bytes: &[u8]| {
        let verified = mdoc::verify_issuer_signed(bytes, &expectation, None);
        verified.map(|_| ()).map_err(|rejection| (rejection.culprit, rejection.code))
    };
    assert_eq!(verify(&named), Err((Culprit::Issuer, "signer-not-carried")));
    assert_eq!(verify(&carried), Ok(()));
}

/// As documents were issued before: nothing changes for them.
#[test]
fn hybrid_document_may_carry_its_signer() {
    let hybrid = Hybrid::new();
    let chain: [&[u8]; 1] = [&hybrid.signer_der];
    let issued = hybrid.issue(&hybrid.signer_der);
    let parts = Sign1Parts { x5chain: &chain, ..Sign1Parts::default() };
    let carried = hybrid.sign(wrapped(&issued, &hybrid.signer.key, parts));
    hybrid.check(&carried, &[&hybrid.authority_der], Ok(()));
    hybrid.check(&carried, &[&hybrid.other_der], Err((Culprit::Trust, "untrusted-signer")));
}
