//! The published COSE examples (cose-wg/Examples) for COSE_Sign1 and COSE_Mac0.

use credential::aws_lc::AwsLc;
use credential::cose::{self, Mac0, Sign1};
use credential::crypto::{Algorithm, Crypto, PublicKey};
use credential::rejection::Culprit;
use credential::rustcrypto::RustCrypto;
use serde_json::Value;

use crate::vectors::{self, hex};

/// Good examples that must be refused here all the same: algorithms or curves that are not on our
/// list, and an algorithm that stands in the unprotected header.
const NOT_ACCEPTED: [&str; 5] = [
    "ecdsa-examples__ecdsa-sig-03",
    "ecdsa-examples__ecdsa-sig-04",
    "sign1-tests__sign-pass-01",
    "mac0-tests__mac-pass-01",
    "mac0-tests__mac-pass-03",
];

fn public_key(key: &Value) -> Option<PublicKey> {
    let point = |name: &str| hex(key[name].as_str().unwrap());
    match key["crv"].as_str()? {
        "P-256" => {
            let point = [vec![4], point("x_hex"), point("y_hex")].concat();
            Some(PublicKey::P256(point.try_into().unwrap()))
        }
        "P-384" => {
            let point = [vec![4], point("x_hex"), point("y_hex")].concat();
            Some(PublicKey::P384(point.try_into().unwrap()))
        }
        "Ed25519" => Some(PublicKey::Ed25519(point("x_hex").try_into().unwrap())),
        _ => None,
    }
}

#[test]
fn sign1_examples_give_the_published_verdict() {
    let Some(folder) = vectors::folder("cose") else { return };
    let mut ran = 0;
    for (name, example) in vectors::json_files(&folder) {
        if example["structure"] != "COSE_Sign1" {
            continue;
        }
        let message = hex(example["message_cbor_hex"].as_str().unwrap());
        let aad = hex(example["external_aad_hex"].as_str().unwrap());
        let expected = example["expected"] == "verifies" && !NOT_ACCEPTED.contains(&name.as_str());
        for crypto in [&RustCrypto as &dyn Crypto, &AwsLc] {
            let verdict = Sign1::parse(&message).ok().zip(public_key(&example["key"])).is_some_and(
                |(sign1, key)| sign1.verify(crypto, &key, None, &aad, Culprit::Issuer).is_ok(),
            );
            assert_eq!(verdict, expected, "{name}");
        }
        ran += 1;
    }
    assert!(ran >= 14, "ran {ran} examples only");
}

#[test]
fn signed_bytes_of_sign1_examples_are_rebuilt() {
    let Some(folder) = vectors::folder("cose") else { return };
    let mut ran = 0;
    for (name, example) in vectors::json_files(&folder) {
        let (Some(bytes), "COSE_Sign1", "verifies") = (
            example["signed_or_authenticated_bytes_hex"].as_str(),
            example["structure"].as_str().unwrap_or_default(),
            example["expected"].as_str().unwrap_or_default(),
        ) else {
            continue;
        };
        let message = hex(example["message_cbor_hex"].as_str().unwrap());
        let aad = hex(example["external_aad_hex"].as_str().unwrap());
        let sign1 = Sign1::parse(&message).unwrap();
        let rebuilt =
            cose::structure("Signature1", sign1.protected_raw, &aad, sign1.payload.unwrap());
        assert_eq!(rebuilt, hex(bytes), "{name}");
        ran += 1;
    }
    assert!(ran >= 8, "ran {ran} examples only");
}

#[test]
fn mac0_examples_give_the_published_verdict() {
    let Some(folder) = vectors::folder("cose") else { return };
    let mut ran = 0;
    for (name, example) in vectors::json_files(&folder) {
        if example["structure"] != "COSE_Mac0" {
            continue;
        }
        let message = hex(example["message_cbor_hex"].as_str().unwrap());
        let key = <[u8; 32]>::try_from(hex(example["key"]["k_hex"].as_str().unwrap())).unwrap();
        // Device authentication has no external data: examples with some must not verify.
        let plain = example["external_aad_hex"].as_str().unwrap_or_default().is_empty();
        let accepted = plain && !NOT_ACCEPTED.contains(&name.as_str());
        let expected = example["expected"] == "verifies" && accepted;
        let verdict =
            Mac0::parse(&message).is_ok_and(|mac0| mac0.verify(&RustCrypto, &key, None).is_ok());
        assert_eq!(verdict, expected, "{name}");
        ran += 1;
    }
    assert!(ran >= 8, "ran {ran} examples only");
}

#[test]
fn own_message_verifies_and_every_changed_byte_is_noticed() {
    let secret = credential::crypto::P256Secret::from_bytes([9; 32]);
    let key = PublicKey::P256(RustCrypto.p256_public(&secret).unwrap());
    let parts =
        cose::Sign1Parts { payload: b"payload", typ: Some("example"), ..Default::default() };
    let unsigned = cose::sign1(Algorithm::Es256, &parts);
    let signature = RustCrypto.p256_sign(&secret, unsigned.to_be_signed()).unwrap();
    let message = unsigned.complete(&signature);
    let verify = |bytes: &[u8]| {
        Sign1::parse(bytes)
            .and_then(|sign1| sign1.verify(&RustCrypto, &key, None, &[], Culprit::Issuer))
    };
    assert_eq!(verify(&message), Ok(()));
    for position in 0..message.len() {
        let mut forged = message.clone();
        forged[position] ^= 1;
        assert!(verify(&forged).is_err(), "byte {position}");
    }
}

#[test]
fn keys_return_from_their_cose_form() {
    let secret = credential::crypto::P256Secret::from_bytes([9; 32]);
    for key in [
        PublicKey::P256(RustCrypto.p256_public(&secret).unwrap()),
        PublicKey::P384([4; 97]),
        PublicKey::Ed25519([7; 32]),
    ] {
        let mut encoder = credential::cbor::Encoder::new();
        cose::write_key(&mut encoder, &key);
        let mut decoder = credential::cbor::Decoder::new(encoder.as_bytes()).unwrap();
        assert_eq!(cose::parse_key(&mut decoder), Ok(key));
    }
}
