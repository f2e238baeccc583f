//! Compressed reader certificates: the published ones in both directions, and forged ones, each
//! with its control. Vectors: `aliro/reader-certificates-profile-0000.json`.

use credential::crypto::{P256Secret, PublicKey};
use credential::rustcrypto::RustCrypto;
use credential::x509::compressed::{self, CompressedError, Request};
use credential::{crypto::Crypto, x509::Certificate};
use proptest::prelude::*;
use vocabulary::time::Instant;

use crate::vectors::{folder, hex, json};

struct Case {
    name: String,
    compressed: Vec<u8>,
    full: Vec<u8>,
    key: Vec<u8>,
}

fn cases() -> Option<(PublicKey, Vec<Case>)> {
    let file = json(&folder("aliro")?, "reader-certificates-profile-0000.json");
    let text = |value: &serde_json::Value| hex(value.as_str().unwrap());
    let issuer = text(&file["issuer_public_key_uncompressed_hex"]);
    let cases = file["cases"].as_array().unwrap().iter().map(|case| Case {
        name: case["name"].as_str().unwrap().into(),
        compressed: text(&case["compressed_hex"]),
        full: text(&case["full_der_hex"]),
        key: text(&case["fields"]["public_key_hex"]),
    });
    Some((PublicKey::P256(issuer.try_into().unwrap()), cases.collect()))
}

fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(text).unwrap()
}

#[test]
fn published_certificates_return_in_both_directions() {
    let Some((issuer, cases)) = cases() else { return };
    assert_eq!(cases.len(), 2);
    for case in cases {
        let name = &case.name;
        assert_eq!(compressed::rebuild(&case.compressed, &issuer).unwrap(), case.full, "{name}");
        assert_eq!(compressed::compress(&case.full, &issuer).unwrap(), case.compressed, "{name}");
        let then = at("2024-01-01T00:00:00Z");
        let key = compressed::verify(&RustCrypto, &case.compressed, &issuer, then).unwrap().key;
        assert_eq!(key.as_bytes(), case.key, "{name}");
    }
}

#[test]
fn dates_are_checked_at_both_ends() {
    let Some((issuer, cases)) = cases() else { return };
    let code = |time: &str| {
        let verified = compressed::verify(&RustCrypto, &cases[1].compressed, &issuer, at(time));
        verified.map(|_| "good").unwrap_or_else(|rejection| rejection.code)
    };
    assert_eq!(code("2019-12-31T23:59:59Z"), "reader-certificate-dates");
    assert_eq!(code("2020-01-01T00:00:00Z"), "good");
    assert_eq!(code("2025-05-05T00:00:00Z"), "good");
    assert_eq!(code("2025-05-05T00:00:01Z"), "reader-certificate-dates");
}

#[test]
fn another_issuer_and_any_changed_byte_are_refused() {
    let Some((issuer, cases)) = cases() else { return };
    let then = at("2024-01-01T00:00:00Z");
    let other = RustCrypto.p256_public(&P256Secret::from_bytes([7; 32])).unwrap();
    for case in &cases {
        let by_other =
            compressed::verify(&RustCrypto, &case.compressed, &PublicKey::P256(other), then);
        assert_eq!(by_other.unwrap_err().code, "reader-certificate-signature");
        for position in 0..case.compressed.len() {
            let mut forged = case.compressed.clone();
            forged[position] ^= 1;
            let verified = compressed::verify(&RustCrypto, &forged, &issuer, then);
            assert!(verified.is_err(), "{} byte {position}", case.name);
            let cut = compressed::rebuild(&case.compressed[..position], &issuer);
            assert!(cut.is_err(), "{} cut to {position}", case.name);
        }
        let control = compressed::verify(&RustCrypto, &case.compressed, &issuer, then);
        assert!(control.is_ok());
    }
}

#[test]
fn issued_certificates_verify_until_their_last_second() {
    let issuer_secret = P256Secret::from_bytes([9; 32]);
    let issuer = PublicKey::P256(RustCrypto.p256_public(&issuer_secret).unwrap());
    let key = RustCrypto.p256_public(&P256Secret::from_bytes([8; 32])).unwrap();
    let request = Request {
        serial: &[0x12, 0x34],
        issuer: "group of the north",
        subject: "door 7",
        not_before: at("2026-01-01T00:00:00Z"),
        // From 2050 on a certificate has times of another form.
        not_after: at("2051-01-01T00:00:00Z"),
        key: &key,
    };
    let unsigned = compressed::issue(&request, &issuer).unwrap();
    let signature = RustCrypto.p256_sign(&issuer_secret, unsigned.to_be_signed()).unwrap();
    let bytes = unsigned.complete(&signature);
    let full = compressed::rebuild(&bytes, &issuer).unwrap();
    assert_eq!(compressed::compress(&full, &issuer).unwrap(), bytes);
    let verify = |time: &str| compressed::verify(&RustCrypto, &bytes, &issuer, at(time));
    let reader = verify("2051-01-01T00:00:00Z").unwrap();
    assert_eq!((reader.key, reader.name.as_str()), (PublicKey::P256(key), "door 7"));
    assert_eq!(verify("2051-01-01T00:00:01Z").unwrap_err().code, "reader-certificate-dates");
    for wrong in [
        Request { serial: &[0x80], ..request },
        Request { serial: &[], ..request },
        Request { serial: &[1; 21], ..request },
        Request { subject: "", ..request },
        Request { issuer: "a name of more than thirty-two bytes", ..request },
        Request { not_after: at("2025-01-01T00:00:00Z"), ..request },
    ] {
        assert_eq!(compressed::issue(&wrong, &issuer).unwrap_err(), CompressedError::Field);
    }
}

#[test]
fn what_the_profile_cannot_carry_is_not_compressed() {
    let Some((issuer, cases)) = cases() else { return };
    let other = RustCrypto.p256_public(&P256Secret::from_bytes([7; 32])).unwrap();
    let full = &cases[0].full;
    // Another issuer has another key identifier.
    let differs = compressed::compress(full, &PublicKey::P256(other));
    assert_eq!(differs, Err(CompressedError::Differs));
    let certificate = Certificate::parse(full).unwrap();
    let usage = full.windows(4).position(|part| part == [0x03, 0x02, 0x07, 0x80]).unwrap();
    let mut other_usage = full.clone();
    other_usage[usage + 3] = 0xC0;
    assert_eq!(certificate.subject.common_name(), Some("subject"));
    assert_eq!(compressed::compress(&other_usage, &issuer), Err(CompressedError::Differs));
    let long = vec![0x30; compressed::COMPRESSED_BYTES_MAX + 1];
    assert_eq!(compressed::rebuild(&long, &issuer), Err(CompressedError::TooLong));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let issuer = PublicKey::P256([4; 65]);
        let _ = compressed::rebuild(&bytes, &issuer);
        let _ = compressed::compress(&bytes, &issuer);
    }
}
