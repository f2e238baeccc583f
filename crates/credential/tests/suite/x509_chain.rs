//! Chains to trust anchors: what may vouch for what, each refusal with its control.

use credential::crypto::{Algorithm, Crypto, PublicKey};
use credential::rejection::Culprit::{self, Issuer, Reader, Time, Trust};
use credential::rustcrypto::RustCrypto;
use credential::x509::build::{self, BuildError, Purpose, Request, Signer, Subject};
use credential::x509::{
    ANCHORS_MAX, AnchorError, CERTIFICATE_BYTES_MAX, CHAIN_LENGTH_MAX, Certificate,
    CertificateError, Judgement, KeyUsage, Profile, SIGNER_CACHE_ENTRIES_MAX, SignerCache,
    TrustAnchors, pem,
};
use proptest::prelude::*;

use crate::city::{City, Key, at, certify, request};
use crate::forge::{Der, recertify};

const JUNE: &str = "2026-06-01T12:00:00Z";

fn judge(
    anchors: &TrustAnchors,
    profile: Profile,
    instant: &str,
    chain: &[&[u8]],
) -> Result<(), (Culprit, &'static str)> {
    let judgement = Judgement { crypto: &RustCrypto, anchors, at: at(instant), profile };
    let judged = judgement.signer(chain, None);
    judged.map(|_| ()).map_err(|rejection| (rejection.culprit, rejection.code))
}

fn anchors(ders: &[&[u8]]) -> TrustAnchors {
    TrustAnchors::from_ders(ders.iter().copied()).unwrap()
}

#[test]
fn certificates_that_are_built_hold_to_the_profile() {
    let city = City::new();
    for (der, authority, path_length) in [
        (&city.root, true, Some(1)),
        (&city.authority, true, Some(0)),
        (&city.reader_authority, true, Some(0)),
        (&city.signer, false, None),
        (&city.reader, false, None),
    ] {
        let certificate = Certificate::parse(der).unwrap();
        assert_eq!(certificate.is_authority(), authority);
        assert_eq!(
            certificate.basic_constraints.and_then(|limits| limits.path_length),
            path_length
        );
        assert_eq!(certificate.subject_key_id.map(<[u8]>::len), Some(20));
        let signs = certificate.key_usage.unwrap().allows(KeyUsage::DIGITAL_SIGNATURE);
        assert_eq!(signs, !authority);
    }
    let signer = Certificate::parse(&city.signer).unwrap();
    let authority = Certificate::parse(&city.authority).unwrap();
    assert_eq!(signer.authority_key_id, authority.subject_key_id);
    assert_eq!(signer.subject.to_string(), "CN=Harbour Transit DS, O=Harbour City, C=DE");
    assert_eq!(signer.serial.len(), 17);
}

#[test]
fn each_leaf_is_trusted_for_its_own_use_only() {
    let city = City::new();
    let key = Key::new(40);
    let leaf = request(Purpose::Leaf, "Status", &key);
    let leaf = certify(&leaf, Some(&city.root), &city.root_key);
    let bundles = request(Purpose::BundleSigner, "Bundles", &key);
    let bundles = certify(&bundles, Some(&city.root), &city.root_key);
    let all = anchors(&[&city.root, &city.authority, &city.reader_authority]);
    let wrong = |culprit| Err((culprit, "certificate-profile"));
    for (chain, profile, expected) in [
        (&city.signer, Profile::DocumentSigner, Ok(())),
        (&city.signer, Profile::Reader, wrong(Reader)),
        (&city.signer, Profile::Leaf, Ok(())),
        (&city.reader, Profile::Reader, Ok(())),
        (&city.reader, Profile::DocumentSigner, wrong(Issuer)),
        // A reader hangs in a wall: its key signs neither credentials nor status lists.
        (&city.reader, Profile::Leaf, wrong(Issuer)),
        (&city.reader, Profile::BundleSigner, wrong(Issuer)),
        (&bundles, Profile::BundleSigner, Ok(())),
        (&bundles, Profile::Leaf, wrong(Issuer)),
        (&leaf, Profile::Leaf, Ok(())),
        (&leaf, Profile::BundleSigner, wrong(Issuer)),
        (&leaf, Profile::DocumentSigner, wrong(Issuer)),
        (&leaf, Profile::Reader, wrong(Reader)),
    ] {
        assert_eq!(judge(&all, profile, JUNE, &[chain]), expected, "{profile:?}");
    }
}

#[test]
fn path_may_lead_through_authorities_of_the_chain() {
    let city = City::new();
    let root = anchors(&[&city.root]);
    let chain = [&city.signer[..], &city.authority[..]];
    assert_eq!(judge(&root, Profile::DocumentSigner, JUNE, &chain), Ok(()));
    let with_root = [&city.signer[..], &city.authority[..], &city.root[..]];
    assert_eq!(judge(&root, Profile::DocumentSigner, JUNE, &with_root), Ok(()));
    let authority = city.anchors();
    assert_eq!(judge(&authority, Profile::DocumentSigner, JUNE, &with_root), Ok(()));
    let untrusted = Err((Trust, "untrusted-signer"));
    assert_eq!(judge(&root, Profile::DocumentSigner, JUNE, &chain[..1]), untrusted);
    assert_eq!(judge(&TrustAnchors::new(), Profile::DocumentSigner, JUNE, &chain), untrusted);
    assert_eq!(with_root.len(), CHAIN_LENGTH_MAX);
    let longer = [&with_root[..], &[&city.root[..]]].concat();
    let too_long = Err((Issuer, "chain-too-long"));
    assert_eq!(judge(&root, Profile::DocumentSigner, JUNE, &longer), too_long);
}

#[test]
fn authority_over_document_signers_has_a_path_length_of_zero() {
    let city = City::new();
    let key = Key::new(41);
    // The root has a path length of one: it may not sign a document signer itself.
    let direct = request(Purpose::DocumentSigner, "Direct DS", &key);
    let direct = certify(&direct, Some(&city.root), &city.root_key);
    let root = anchors(&[&city.root]);
    let profile = Err((Trust, "authority-profile"));
    assert_eq!(judge(&root, Profile::DocumentSigner, JUNE, &[&direct]), profile);
    assert_eq!(judge(&root, Profile::Leaf, JUNE, &[&direct]), Ok(()));

    // An authority below an authority whose path length is zero.
    let below_key = Key::new(42);
    let below = request(Purpose::Authority, "Below", &below_key);
    let below = certify(&below, Some(&city.authority), &city.authority_key);
    let leaf = request(Purpose::DocumentSigner, "Deep DS", &key);
    let leaf = certify(&leaf, Some(&below), &below_key);
    let chain = [&leaf[..], &below[..]];
    assert_eq!(judge(&city.anchors(), Profile::DocumentSigner, JUNE, &chain), profile);
    assert_eq!(judge(&city.anchors(), Profile::Leaf, JUNE, &chain), profile);
}

#[test]
fn pinned_signer_is_held_to_its_dates_and_key_but_not_to_the_profile() {
    let city = City::new();
    let plain = recertify(&city, &city.signer_key, |tbs| {
        tbs.children.truncate(7);
    });
    let pinned = anchors(&[&plain]);
    assert_eq!(judge(&pinned, Profile::DocumentSigner, JUNE, &[&plain]), Ok(()));
    let late = "2027-02-01T00:00:01Z";
    let expired = Err((Time, "certificate-expired"));
    assert_eq!(judge(&pinned, Profile::DocumentSigner, late, &[&plain]), expired);
    // The same key in a certificate that lives longer is not the pinned one.
    let longer = recertify(&city, &city.signer_key, |tbs| {
        tbs.children.truncate(7);
        tbs.at(&[4, 1]).value = b"400101000000Z".to_vec();
    });
    let untrusted = Err((Trust, "untrusted-signer"));
    assert_eq!(judge(&pinned, Profile::DocumentSigner, late, &[&longer]), untrusted);
    // A pinned signer vouches for nobody else.
    let other = recertify(&city, &city.signer_key, |tbs| {
        tbs.children[3] = tbs.children[5].clone();
        tbs.at(&[5, 2, 0, 1]).value = b"Second DS".to_vec();
        tbs.at(&[7, 0]).children.remove(1);
    });
    let signer = anchors(&[&city.signer]);
    let profile = Err((Trust, "authority-profile"));
    assert_eq!(judge(&signer, Profile::DocumentSigner, JUNE, &[&other]), profile);
}

#[test]
fn bare_key_vouches_for_its_own_certificate_and_for_what_it_signed() {
    let city = City::new();
    let with_key = |key: PublicKey| {
        let mut anchors = TrustAnchors::new();
        anchors.add_key(key).unwrap();
        anchors
    };
    for (key, expected) in [
        (&city.signer_key, Ok(())),
        (&city.authority_key, Ok(())),
        (&city.reader_key, Err((Trust, "untrusted-signer"))),
    ] {
        let anchors = with_key(key.public.clone());
        assert_eq!(judge(&anchors, Profile::DocumentSigner, JUNE, &[&city.signer]), expected);
    }
    let anchors = with_key(city.signer_key.public.clone());
    let late = judge(&anchors, Profile::DocumentSigner, "2027-03-01T00:00:00Z", &[&city.signer]);
    assert_eq!(late, Err((Time, "certificate-expired")));
}

#[test]
fn anchor_is_held_to_its_own_dates() {
    let city = City::new();
    let early = "2026-01-01T12:00:00Z";
    let judged = judge(&city.anchors(), Profile::DocumentSigner, early, &[&city.signer]);
    assert_eq!(judged, Err((Time, "certificate-not-yet-valid")));
    let short = Request {
        not_after: at("2026-05-01T00:00:00Z"),
        ..request(Purpose::Authority, "Harbour Transit IACA", &city.authority_key)
    };
    let short = certify(&short, Some(&city.root), &city.root_key);
    let judged = judge(&anchors(&[&short]), Profile::DocumentSigner, JUNE, &[&city.signer]);
    assert_eq!(judged, Err((Time, "certificate-expired")));
}

#[test]
fn impossible_certificates_are_not_built() {
    let city = City::new();
    let root = Certificate::parse(&city.root).unwrap();
    let signer = Certificate::parse(&city.signer).unwrap();
    let key = Key::new(43);
    let good = request(Purpose::Leaf, "Leaf", &key);
    let check = |request: Request<'_>, by: Signer<'_>, expected: Result<(), BuildError>| {
        assert_eq!(build::certificate(&request, by).map(|_| ()), expected, "{request:?}");
    };
    let named = |common_name| Subject { common_name, ..good.subject };
    let (longest, longer) = ("n".repeat(build::NAME_BYTES_MAX), "n".repeat(65));
    check(good, Signer::Authority(&root), Ok(()));
    check(Request { subject: named(&longest), ..good }, Signer::Authority(&root), Ok(()));
    for subject in [
        named(&longer),
        named(""),
        Subject { country: "de", ..good.subject },
        Subject { organization: Some(""), ..good.subject },
    ] {
        let request = Request { subject, ..good };
        check(request, Signer::Authority(&root), Err(BuildError::Name));
    }
    let spaced = Request { crl_uri: "a b", ..good };
    check(spaced, Signer::Authority(&root), Err(BuildError::Uri));
    let reversed = Request { not_after: at("2026-01-31T00:00:00Z"), ..good };
    check(reversed, Signer::Authority(&root), Err(BuildError::Dates));
    let outliving = Request { not_after: at("2050-01-01T00:00:00Z"), ..good };
    check(outliving, Signer::Authority(&root), Err(BuildError::Authority));
    check(good, Signer::Authority(&signer), Err(BuildError::Authority));
    check(good, Signer::Subject, Err(BuildError::SelfSigned));
}

#[test]
fn anchors_come_from_pem_with_one_or_many_certificates() {
    let city = City::new();
    let [root, authority] =
        [&city.root, &city.authority].map(|der| pem::encode(pem::CERTIFICATE, der));
    assert_eq!(TrustAnchors::from_pem(&root).unwrap().len(), 1);
    let both = format!("# city\n{root}\nand its authority\n{authority}");
    assert_eq!(TrustAnchors::from_pem(&both).unwrap().len(), 2);
    for (text, expected) in [
        ("nothing", AnchorError::NoCertificate),
        ("-----BEGIN CERTIFICATE-----\n", AnchorError::Pem(pem::PemError::Unended)),
        (
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----",
            AnchorError::Pem(pem::PemError::Base64),
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            AnchorError::NoCertificate,
        ),
    ] {
        assert_eq!(TrustAnchors::from_pem(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn limits_hold_at_the_limit_and_one_past() {
    let city = City::new();
    let mut anchors = TrustAnchors::new();
    for _ in 0..ANCHORS_MAX {
        anchors.add_key(city.root_key.public.clone()).unwrap();
    }
    assert_eq!(anchors.add_key(city.root_key.public.clone()), Err(AnchorError::TooMany));
    let padded = |bytes: usize| {
        let der = recertify(&city, &city.authority_key, |tbs| {
            let id = Der::leaf(6, &[0x2A, 3, 4]);
            let length = bytes.saturating_sub(city.signer.len() + 40);
            let extension = Der::node(0x30, vec![id, Der::leaf(4, &vec![0; length])]);
            tbs.at(&[7, 0]).children.push(extension);
        });
        (der.len(), Certificate::parse(&der).map(|_| ()))
    };
    let (length, judged) = padded(CERTIFICATE_BYTES_MAX);
    assert!(length <= CERTIFICATE_BYTES_MAX && judged.is_ok(), "{length} {judged:?}");
    let (length, judged) = padded(CERTIFICATE_BYTES_MAX + 200);
    assert!(length > CERTIFICATE_BYTES_MAX && judged == Err(CertificateError::TooLong));
    for (more, valid) in [(14, true), (15, false)] {
        let der = recertify(&city, &city.authority_key, |tbs| {
            let one =
                |number| Der::node(0x30, vec![Der::leaf(6, &[0x2A, number]), Der::leaf(4, &[])]);
            tbs.at(&[7, 0]).children.extend((0..more).map(one));
        });
        assert_eq!(Certificate::parse(&der).is_ok(), valid, "{more}");
    }
    let mut cache = SignerCache::new();
    let authority = city.anchors();
    for number in 0..=SIGNER_CACHE_ENTRIES_MAX {
        let der = recertify(&city, &city.authority_key, |tbs| {
            tbs.at(&[1]).value = vec![1, u8::try_from(number).unwrap()];
        });
        let profile = Profile::DocumentSigner;
        let judgement =
            Judgement { crypto: &RustCrypto, anchors: &authority, at: at(JUNE), profile };
        judgement.signer(&[&der], Some(&mut cache)).unwrap();
        assert_eq!(cache.len(), (number + 1).min(SIGNER_CACHE_ENTRIES_MAX));
    }
}

#[test]
fn certificates_of_other_key_types_are_read() {
    let city = City::new();
    for key in [PublicKey::P384([4; 97]), PublicKey::Ed25519([7; 32])] {
        let unnamed = request(Purpose::Leaf, "Other", &city.signer_key);
        let other = Request { key: &key, ..unnamed };
        let root = Certificate::parse(&city.root).unwrap();
        let unsigned = build::certificate(&other, Signer::Authority(&root)).unwrap();
        assert_eq!(unsigned.algorithm(), Algorithm::Es256);
        let der = city.root_key.sign(unsigned).into_bytes();
        assert_eq!(Certificate::parse(&der).unwrap().public_key, key);
        let info = build::public_key_info(&key);
        assert!(der.windows(info.len()).any(|window| window == info));
    }
}

proptest! {
    #[test]
    fn arbitrary_and_changed_certificates_never_panic(
        bytes: Vec<u8>, position in 0_usize..600, value: u8, end in 0_usize..600
    ) {
        let _ = Certificate::parse(&bytes);
        let city = City::new();
        let mut der = city.signer.clone();
        let position = position % der.len();
        let changed = der[position] != value;
        der[position] = value;
        let found = judge(&city.anchors(), Profile::DocumentSigner, JUNE, &[&der]);
        prop_assert_eq!(found.is_ok(), !changed);
        prop_assert!(Certificate::parse(&der[..end % der.len()]).is_err());
        prop_assert!(RustCrypto.sha256(&der).len() == 32);
    }

    #[test]
    fn arbitrary_text_never_panics_as_pem(text: String) {
        let _ = TrustAnchors::from_pem(&text);
        let _ = pem::decode(&format!("-----BEGIN X-----\n{text}\n-----END X-----"), "X");
    }
}
