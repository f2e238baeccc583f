//! A city with a stronger root is not spoken for by weaker keys: each attack with its control.
//!
//! The attacker of these tests can compute private keys of ES256 from public ones, as a quantum
//! computer could: it signs with every half of ES256, and with no half of ML-DSA.

use credential::aws_lc::{AwsLc, MlDsa44Key};
use credential::composite::{self, CompositeKey};
use credential::cose::Sign1;
use credential::crypto::{Crypto, PublicKey};
use credential::rejection::Culprit;
use credential::status::{
    Bits, CwtHeader, Expectation, StatusList, StatusListClaims, VerifiedStatusList,
};
use credential::unsigned::Unsigned;
use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use credential::x509::{Certificate, Judgement, Profile, TrustAnchors};
use reader::bundle::{Bundle, Pin, VerifiedBundle};
use reader::roots::Root;

use crate::city::{CRYPTO, City, READER, STATUS_URI, days, key, noon, public};

/// A key pair of ES256, or of the composite.
struct Pair {
    number: u8,
    ml_dsa: Option<MlDsa44Key>,
}

const CLASSIC: fn(u8) -> Pair = |number| Pair { number, ml_dsa: None };
const HYBRID: fn(u8) -> Pair =
    |number| Pair { number, ml_dsa: Some(MlDsa44Key::from_seed(&[number; 32])) };

impl Pair {
    fn key(&self) -> PublicKey {
        let own = public(&key(self.number));
        match (&self.ml_dsa, &own) {
            (Some(ml_dsa), PublicKey::P256(point)) => {
                CompositeKey::new(ml_dsa.public(), point).into()
            }
            _ => own,
        }
    }

    fn sign<T>(&self, unsigned: Unsigned<T>) -> T {
        let own = key(self.number);
        let message = unsigned.to_be_signed();
        let signature = match &self.ml_dsa {
            None => CRYPTO.p256_sign(&own, message).unwrap(),
            Some(ml_dsa) => {
                let inner = composite::message(&CRYPTO.sha256(message));
                let half = ml_dsa.sign(&inner, composite::LABEL, [1; 32]).unwrap();
                composite::join(&half, &CRYPTO.p256_sign(&own, &inner).unwrap()).unwrap()
            }
        };
        unsigned.complete(&signature)
    }

    fn certify(&self, own: Option<&[u8]>, purpose: Purpose, subject: &Pair) -> Vec<u8> {
        let name = match purpose {
            // All roots of a city have one name.
            Purpose::Root => "Test root".to_owned(),
            _ => format!("Test {}", subject.number),
        };
        let request = Request {
            purpose,
            subject: Subject { common_name: &name, organization: None, country: "UT" },
            key: &subject.key(),
            not_before: noon().saturating_sub(days(10)),
            not_after: noon().saturating_add(days(400)),
            serial_entropy: [subject.number; build::SERIAL_ENTROPY_BYTES],
            issuer_uri: "https://city.example",
            crl_uri: "https://city.example/crl",
        };
        let parsed = own.map(|der| Certificate::parse(der).unwrap());
        let signer = parsed.as_ref().map_or(Signer::Subject, Signer::Authority);
        self.sign(build::certificate(&request, signer).unwrap()).into_bytes()
    }
}

fn verify(crypto: &dyn Crypto, root: &[u8], bytes: &[u8]) -> Result<VerifiedBundle, &'static str> {
    let root = TrustAnchors::from_ders([root]).unwrap();
    let pin = Pin { root: &root, reader: READER, epoch: 5, at: noon() };
    VerifiedBundle::verify(crypto, bytes, &pin).map_err(|rejection| rejection.code)
}

/// Who certifies, who signs, and what a reader with that root says.
fn check_bundle(root: fn(u8) -> Pair, signer: fn(u8) -> Pair, expected: Result<(), &'static str>) {
    let (root, signer) = (root(60), signer(61));
    let root_der = root.certify(None, Purpose::Root, &root);
    let signer_der = root.certify(Some(&root_der), Purpose::BundleSigner, &signer);
    let bytes = signer.sign(City::new().bundle(5).unsigned(&signer_der));
    for crypto in [CRYPTO, &AwsLc] {
        assert_eq!(verify(crypto, &root_der, &bytes).map(|_| ()), expected);
    }
    // Without the measure: the path holds, and so does the signature.
    let anchors = TrustAnchors::from_ders([root_der.as_slice()]).unwrap();
    let at = noon();
    let judgement =
        Judgement { crypto: CRYPTO, anchors: &anchors, at, profile: Profile::BundleSigner };
    let chain: [&[u8]; 1] = [&signer_der];
    let trusted = judgement.signer(&chain, None).unwrap();
    let message = Sign1::parse(&bytes).unwrap();
    message.verify(CRYPTO, trusted.key(), None, &[], Culprit::Issuer).unwrap();
}

#[test]
fn bundle_by_a_weaker_key_than_the_root_is_refused() {
    check_bundle(CLASSIC, CLASSIC, Ok(()));
    check_bundle(CLASSIC, HYBRID, Ok(()));
    check_bundle(HYBRID, HYBRID, Ok(()));
    check_bundle(HYBRID, CLASSIC, Err("suite-downgrade"));
}

/// The attacker has the half of ES256 of the root, and of a signer, and makes the rest up.
#[test]
fn root_of_two_halves_is_not_forged_with_one() {
    let (root, signer) = (HYBRID(60), HYBRID(61));
    let root_der = root.certify(None, Purpose::Root, &root);
    let thief = Pair { number: 60, ml_dsa: Some(MlDsa44Key::from_seed(&[99; 32])) };
    for (forger, expected) in [(&root, Ok(())), (&thief, Err("certificate-signature"))] {
        let der = forger.certify(Some(&root_der), Purpose::BundleSigner, &signer);
        let bytes = signer.sign(City::new().bundle(5).unsigned(&der));
        assert_eq!(verify(CRYPTO, &root_der, &bytes).map(|_| ()), expected);
    }
    let der = root.certify(Some(&root_der), Purpose::BundleSigner, &signer);
    let thief = Pair { number: 61, ml_dsa: Some(MlDsa44Key::from_seed(&[99; 32])) };
    for (forger, expected) in [(&signer, Ok(())), (&thief, Err("signature"))] {
        let bytes = forger.sign(City::new().bundle(5).unsigned(&der));
        assert_eq!(verify(CRYPTO, &root_der, &bytes).map(|_| ()), expected);
    }
}

fn list_by(signer: &Pair, chain: &[&[u8]]) -> Vec<u8> {
    let claims = StatusListClaims {
        uri: STATUS_URI.into(),
        issued_at: noon(),
        expires_at: None,
        ttl: None,
        list: StatusList::new(Bits::Two, 64).unwrap(),
    };
    let algorithm = signer.key().algorithm();
    signer.sign(claims.cwt(CwtHeader { algorithm, kid: None, x5chain: chain }))
}

fn believes(anchors: &TrustAnchors, list: &[u8]) -> Result<(), &'static str> {
    let expectation = Expectation { anchors, at: noon(), uri: Some(STATUS_URI) };
    let verified = VerifiedStatusList::verify_cwt(CRYPTO, list, &expectation);
    verified.map(|_| ()).map_err(|rejection| rejection.code)
}

/// A bundle may still name signers from before the root was stronger: they are passed over.
#[test]
fn status_signer_weaker_than_the_root_is_not_believed() {
    for (root, expected) in [(CLASSIC, Ok(())), (HYBRID, Err("untrusted-signer"))] {
        let (root, bundles) = (root(60), HYBRID(61));
        let root_der = root.certify(None, Purpose::Root, &root);
        let bundles_der = root.certify(Some(&root_der), Purpose::BundleSigner, &bundles);
        let signers = [CLASSIC(62), HYBRID(63)];
        let certify = |signer| root.certify(Some(&root_der), Purpose::Leaf, signer);
        let ders: Vec<Vec<u8>> = signers.iter().map(certify).collect();
        let bundle = Bundle { status_signers: ders.clone(), ..City::new().bundle(5) };
        let bytes = bundles.sign(bundle.unsigned(&bundles_der));
        let verified = verify(CRYPTO, &root_der, &bytes).unwrap();
        let lists = [0, 1].map(|one| list_by(&signers[one], &[&ders[one]]));
        assert_eq!(believes(verified.status_signers(), &lists[0]), expected);
        assert_eq!(believes(verified.status_signers(), &lists[1]), Ok(()));
    }
}

/// Who holds the root as an anchor, such as a foreign verifier, is held to the same, over every
/// certificate of the path.
#[test]
fn status_list_over_a_weaker_path_than_its_anchor_is_refused() {
    let downgrade = Err("suite-downgrade");
    for (root, authority, signer, expected) in [
        (CLASSIC, CLASSIC, CLASSIC, Ok(())),
        (HYBRID, HYBRID, HYBRID, Ok(())),
        (HYBRID, HYBRID, CLASSIC, downgrade),
        (HYBRID, CLASSIC, HYBRID, downgrade),
    ] {
        let (root, authority, signer) = (root(60), authority(61), signer(62));
        let root_der = root.certify(None, Purpose::Root, &root);
        let authority_der = root.certify(Some(&root_der), Purpose::Authority, &authority);
        let signer_der = authority.certify(Some(&authority_der), Purpose::Leaf, &signer);
        let list = list_by(&signer, &[&signer_der, &authority_der]);
        let anchors = TrustAnchors::from_ders([root_der.as_slice()]).unwrap();
        assert_eq!(believes(&anchors, &list), expected);
    }
}

#[test]
fn no_weaker_root_follows_a_stronger_one() {
    for (old, new, expected) in [
        (CLASSIC, CLASSIC, Ok(())),
        (CLASSIC, HYBRID, Ok(())),
        (HYBRID, HYBRID, Ok(())),
        (HYBRID, CLASSIC, Err("bundle-roots")),
    ] {
        let (old, new, signer) = (old(60), new(64), HYBRID(61));
        let old_der = old.certify(None, Purpose::Root, &old);
        let new_der = new.certify(None, Purpose::Root, &new);
        let link = old.certify(Some(&old_der), Purpose::Root, &new);
        let roots = vec![
            Root { certificate: old_der.clone(), link: None },
            Root { certificate: new_der, link: Some(link) },
        ];
        let signer_der = old.certify(Some(&old_der), Purpose::BundleSigner, &signer);
        let bundle = Bundle { roots, ..City::new().bundle(5) };
        let bytes = signer.sign(bundle.unsigned(&signer_der));
        assert_eq!(verify(CRYPTO, &old_der, &bytes).map(|_| ()), expected);
    }
}
