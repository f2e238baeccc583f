//! What a document of the hybrid suite costs a reader above one of ES256: time and bytes.
//!
//! The arrangement is that of a city with `experimental_hybrid_mso`: issuing authority and document
//! signer are hybrid, the device key is ES256, since no phone has another. The document names its signer
//! (`x5t`), and the gate has the signer's certificate from its trust bundle, whose signature it verified
//! when the bundle came. So nothing of the hybrid chain is left to verify or to remember. The document of
//! ES256 carries its chain; that is remembered, as at a gate, or verified each time in the line `_cold`.
//! `_carried` is the hybrid document that carries its chain, as it would by ISO/IEC 18013-5.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    unreachable_pub,
    missing_docs,
    reason = "a benchmark may panic, and uses a part of what all share"
)]

mod support;

use credential::aws_lc::{AwsLc, MlDsa44Key};
use credential::composite::{self, CompositeKey};
use credential::cose::{self, Sign1, Sign1Parts};
use credential::crypto::{Crypto as _, PublicKey};
use credential::mdoc::{self, DeviceResponse};
use credential::unsigned::Unsigned;
use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use credential::x509::{Certificate, SignerCache};
use presentation::session::Channel;
use support::city::{City, Key};
use support::door::Gate;
use support::licence::{Order, Presentation, SIX, elements};
use support::measure::{Bench, Direction, Pair};
use support::{ROUND, cpu};

/// Sessions that are set up before anything is measured; far more than are needed.
const SESSIONS: usize = 12_000;
/// Bytes that a presentation may grow by.
const BYTES_GOAL: f64 = 2_600.0;

fn main() {
    let classic = Arrangement::new(City::new(), &[], |city, order| order.issue(city));
    let authority = Hybrid::new(0x71);
    let signer = Hybrid::new(0x72);
    let city = hybrid_city(&authority, &signer);
    let known = city.signer_certificate.clone();
    let hybrid = Arrangement::new(city, &[&known], |city, order| {
        let chain: [&[u8]; 1] = [&city.signer_certificate];
        let unsigned =
            order.with(city, |request| mdoc::issue(&AwsLc, request, &chain, &order.entropy));
        signer.sign(unsigned.unwrap()).into_bytes()
    });
    let carried = Arrangement::new(hybrid_city(&authority, &signer), &[], |city, order| {
        let issued =
            order.with(city, |request| mdoc::issue(&AwsLc, request, &[&known], &order.entropy));
        carrying(&signer.sign(issued.unwrap()).into_bytes(), &signer, &known)
    });

    let remembered = {
        let (mut ours, mut theirs) = (SignerCache::new(), SignerCache::new());
        let (mut of_hybrid, mut of_classic) = (hybrid.channels(), classic.channels());
        Pair::measure(
            cpu,
            ROUND,
            || hybrid.judge(of_hybrid.pop().expect("enough sessions"), Some(&mut ours)),
            || classic.judge(of_classic.pop().expect("enough sessions"), Some(&mut theirs)),
        )
    };
    Bench::cost("hybrid_presentation", remembered, 1.35).report();
    let as_iso = {
        let (mut ours, mut theirs) = (SignerCache::new(), SignerCache::new());
        let (mut of_carried, mut of_classic) = (carried.channels(), classic.channels());
        Pair::measure(
            cpu,
            ROUND,
            || carried.judge(of_carried.pop().expect("enough sessions"), Some(&mut ours)),
            || classic.judge(of_classic.pop().expect("enough sessions"), Some(&mut theirs)),
        )
    };
    Bench::cost("hybrid_presentation_carried", as_iso, 1.35).report();
    let (mut of_hybrid, mut of_classic) = (hybrid.channels(), classic.channels());
    let cold = Pair::measure(
        cpu,
        ROUND,
        || hybrid.judge(of_hybrid.pop().expect("enough sessions"), None),
        || classic.judge(of_classic.pop().expect("enough sessions"), None),
    );
    Bench::cost("hybrid_presentation_cold", cold, 1.35).report();

    let [whole, signature] = [hybrid.sizes(), classic.sizes()]
        .map(|(whole, signature)| [whole as f64, signature as f64])
        .into_iter()
        .reduce(|[whole, signature], [less, smaller]| [whole - less, signature - smaller])
        .unwrap();
    bytes("hybrid_presentation_bytes", whole);
    bytes("hybrid_presentation_carried_bytes", carried.sizes().0 as f64 - classic.sizes().0 as f64);
    bytes("hybrid_presentation_signature_bytes", signature);
}

fn bytes(name: &'static str, more: f64) {
    Bench {
        name,
        value: more,
        baseline: BYTES_GOAL,
        ratio: more / BYTES_GOAL,
        goal: 1.0,
        direction: Direction::AtMost,
    }
    .report();
}

/// A city, its gate, and a licence on its way there.
struct Arrangement {
    presentation: Presentation,
    gate: Gate,
}

impl Arrangement {
    /// `known` are the document signers of whom the gate's bundle tells.
    fn new(city: City, known: &[&[u8]], issue: impl FnOnce(&City, &Order) -> Vec<u8>) -> Self {
        let licence = issue(&city, &Order::of(elements()));
        Self {
            presentation: Presentation::new(&city, &licence, &SIX),
            gate: Gate::knowing(&city, known),
        }
    }

    fn channels(&self) -> Vec<Channel> {
        self.presentation.channels(SESSIONS)
    }

    fn judge(&self, channel: Channel, cache: Option<&mut SignerCache>) {
        self.gate.judge(&self.presentation, channel, cache);
    }

    /// Bytes of the response, and of the issuer's signature in it.
    fn sizes(&self) -> (usize, usize) {
        let response = &self.presentation.response;
        let parsed = DeviceResponse::parse(response).unwrap();
        let issuer_auth = Sign1::parse(parsed.documents[0].issuer_signed.issuer_auth).unwrap();
        (response.len(), issuer_auth.signature.len())
    }
}

/// The same document, with the certificate of its signer instead of the hash.
fn carrying(issued: &[u8], signer: &Hybrid, certificate: &[u8]) -> Vec<u8> {
    let auth = mdoc::IssuerSigned::parse(issued).unwrap().issuer_auth;
    let payload = Sign1::parse(auth).unwrap().payload.unwrap();
    let chain = [certificate];
    let parts = Sign1Parts { payload, x5chain: &chain, ..Sign1Parts::default() };
    let auth_of_chain = signer.sign(cose::sign1(signer.public().algorithm(), &parts));
    [&issued[..issued.len() - auth.len()], &auth_of_chain].concat()
}

/// A key pair of the hybrid suite.
struct Hybrid {
    es256: Key,
    ml_dsa: MlDsa44Key,
}

impl Hybrid {
    fn new(seed: u8) -> Self {
        Self { es256: Key::new(seed), ml_dsa: MlDsa44Key::from_seed(&[seed; 32]) }
    }

    fn public(&self) -> PublicKey {
        let PublicKey::P256(point) = self.es256.public() else { panic!("a key on P-256") };
        CompositeKey::new(self.ml_dsa.public(), &point).into()
    }

    fn sign<T>(&self, unsigned: Unsigned<T>) -> T {
        let message = composite::message(&AwsLc.sha256(unsigned.to_be_signed()));
        let es256 = AwsLc.p256_sign(&self.es256.secret, &message).unwrap();
        let ml_dsa = self.ml_dsa.sign(&message, composite::LABEL, [3; 32]).unwrap();
        unsigned.complete(&composite::join(&ml_dsa, &es256).unwrap())
    }
}

/// The usual city, whose authority and document signer are hybrid. The authority is an anchor, so
/// that who certified it does not matter here.
fn hybrid_city(authority: &Hybrid, signer: &Hybrid) -> City {
    let root = Hybrid::new(0x70);
    let city = City::new();
    let certify = |purpose, common_name, key: &Hybrid, issuer: Option<&[u8]>, by: &Hybrid| {
        let parsed = issuer.map(|der| Certificate::parse(der).unwrap());
        let request = Request {
            purpose,
            subject: Subject { common_name, organization: Some("Tramways"), country: "UT" },
            key: &key.public(),
            not_before: city.at(-1),
            not_after: city.at(100),
            serial_entropy: [7; 16],
            issuer_uri: "https://city.example",
            crl_uri: "https://city.example/crl",
        };
        let signed_by = parsed.as_ref().map_or(Signer::Subject, Signer::Authority);
        by.sign(build::certificate(&request, signed_by).unwrap()).into_bytes()
    };
    let root_der = certify(Purpose::Root, "Root", &root, None, &root);
    let authority_der =
        certify(Purpose::Authority, "Issuing Authority", authority, Some(&root_der), &root);
    let signer_certificate = certify(
        Purpose::DocumentSigner,
        "Document Signer",
        signer,
        Some(&authority_der),
        authority,
    );
    City { authority: authority_der, signer_certificate, ..city }
}
