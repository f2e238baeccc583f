//! Every suite in every format: certificates and chains of mixed suites, COSE and JOSE.

use credential::cbor::{Decoder, Encoder};
use credential::cose::{self, Sign1, Sign1Parts, sign1};
use credential::crypto::{Algorithm, PublicKey, Signature};
use credential::jose::{HeaderParts, Jws, jwk, sign};
use credential::rejection::Culprit;
use credential::unsigned::Unsigned;
use credential::x509::build::{self, Purpose, Request, Subject};
use credential::x509::{Certificate, Judgement, Profile, TrustAnchors};
use p384::ecdsa::signature::Signer as _;
use serde_json::{Map, json};

use crate::composite::CompositeSigner;
use crate::tokens::{PROVIDERS, Signatory, at};

/// A key pair of any suite of the city.
pub(crate) enum Pair {
    Es256(Signatory),
    Es384(p384::ecdsa::SigningKey),
    Composite(Box<CompositeSigner>),
}

impl Pair {
    pub(crate) fn all(seed: u8) -> [Self; 3] {
        [
            Self::Es256(Signatory::new(seed)),
            Self::Es384(p384::ecdsa::SigningKey::from_slice(&[seed; 48]).unwrap()),
            Self::Composite(Box::new(CompositeSigner::new(seed))),
        ]
    }

    pub(crate) fn key(&self) -> PublicKey {
        match self {
            Self::Es256(pair) => pair.key.clone(),
            Self::Es384(pair) => {
                let point = pair.verifying_key().to_sec1_point(false);
                PublicKey::P384(point.as_bytes().try_into().unwrap())
            }
            Self::Composite(pair) => pair.key.clone(),
        }
    }

    pub(crate) fn sign<T>(&self, unsigned: Unsigned<T>) -> T {
        assert_eq!(unsigned.algorithm(), self.key().algorithm());
        let message = unsigned.to_be_signed();
        let signature = match self {
            Self::Es256(pair) => pair.signature(message),
            Self::Es384(pair) => {
                let signature: p384::ecdsa::Signature = pair.sign(message);
                Signature::new(Algorithm::Es384, &signature.to_bytes()).unwrap()
            }
            Self::Composite(pair) => pair.signature(message),
        };
        unsigned.complete(&signature)
    }

    /// A certificate for `subject`, signed by this pair, whose own certificate is `authority`.
    fn certify(&self, purpose: Purpose, subject: &PublicKey, authority: Option<&[u8]>) -> Vec<u8> {
        let request = Request {
            purpose,
            subject: Subject { common_name: "name", organization: None, country: "DE" },
            key: subject,
            not_before: at(1_000_000),
            not_after: at(2_000_000_000),
            serial_entropy: [7; 16],
            issuer_uri: "https://city.example",
            crl_uri: "https://city.example/crl",
        };
        let parsed = authority.map(|der| Certificate::parse(der).unwrap());
        let signer = parsed.as_ref().map_or(build::Signer::Subject, build::Signer::Authority);
        self.sign(build::certificate(&request, signer).unwrap()).into_bytes()
    }
}

#[test]
fn chains_of_mixed_suites_lead_to_their_root() {
    for root_pair in Pair::all(1) {
        let root = root_pair.certify(Purpose::Root, &root_pair.key(), None);
        let anchors = TrustAnchors::from_ders([&root[..]]).unwrap();
        for leaf_pair in Pair::all(2) {
            let leaf = root_pair.certify(Purpose::Leaf, &leaf_pair.key(), Some(&root));
            let parsed = Certificate::parse(&leaf).unwrap();
            assert_eq!(parsed.algorithm, root_pair.key().algorithm());
            assert_eq!(parsed.public_key, leaf_pair.key());
            for crypto in PROVIDERS {
                let at = at(1_500_000_000);
                let judge = Judgement { crypto, anchors: &anchors, at, profile: Profile::Leaf };
                let signer = judge.signer(&[&leaf], None).unwrap();
                assert_eq!(*signer.key(), leaf_pair.key());
                let mut forged = leaf.clone();
                *forged.last_mut().unwrap() ^= 1;
                assert!(judge.signer(&[&forged], None).is_err());
            }
        }
    }
}

#[test]
fn cose_messages_and_keys_of_every_suite_return() {
    for pair in Pair::all(3) {
        let parts = Sign1Parts { payload: b"payload", tagged: true, ..Default::default() };
        let message = pair.sign(sign1(pair.key().algorithm(), &parts));
        let parsed = Sign1::parse(&message).unwrap();
        assert_eq!(parsed.protected.alg, Some(pair.key().algorithm().cose_id()));
        let mut encoder = Encoder::new();
        cose::write_key(&mut encoder, &pair.key());
        let key = cose::parse_key(&mut Decoder::new(encoder.as_bytes()).unwrap()).unwrap();
        assert_eq!(key, pair.key());
        for crypto in PROVIDERS {
            parsed.verify(crypto, &key, None, &[], Culprit::Issuer).unwrap();
            for other in Pair::all(4) {
                let verdict = parsed.verify(crypto, &other.key(), None, &[], Culprit::Issuer);
                assert!(verdict.is_err());
            }
        }
    }
}

#[test]
fn tokens_and_keys_of_every_suite_return() {
    let claims = Map::from_iter([("a".to_owned(), json!(1))]);
    for pair in Pair::all(5) {
        let header = HeaderParts::new(pair.key().algorithm(), "t");
        let text = pair.sign(sign(header, &claims)).into_string();
        let jws = Jws::parse(&text, Culprit::Issuer).unwrap();
        let key = jwk::parse(&jwk::write(&pair.key())).unwrap();
        assert_eq!(key, pair.key());
        for crypto in PROVIDERS {
            jws.verify(crypto, &key).unwrap();
            assert!(Pair::all(6).iter().all(|other| jws.verify(crypto, &other.key()).is_err()));
        }
    }
}

#[test]
fn algorithms_return_from_their_identifiers() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::from_cose_id(algorithm.cose_id()), Some(algorithm));
        assert_eq!(Algorithm::from_jose_name(algorithm.jose_name()), Some(algorithm));
    }
    // ML-DSA alone (RFC 9964) is not on the list.
    assert_eq!(Algorithm::from_cose_id(-48), None);
    assert_eq!(Algorithm::from_jose_name("ML-DSA-44"), None);
}

#[test]
fn composite_key_with_a_private_part_or_another_algorithm_is_refused() {
    let key = jwk::write(&CompositeSigner::new(1).key);
    assert!(jwk::parse(&key).is_ok());
    for (name, value) in [("priv", "AA"), ("alg", "ML-DSA-44"), ("pub", "AA"), ("kty", "OKP")] {
        let mut changed = key.clone();
        changed[name] = json!(value);
        assert!(jwk::parse(&changed).is_err(), "{name}");
    }
}
