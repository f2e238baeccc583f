//! An access document that is fetched in the step-up phase and judged with the key of the same tap.

use credential::access_document::{self, Expectation, IssueRequest, Kind};
use credential::crypto::{Crypto, PublicKey};
use credential::mdoc::{ENTROPY_BYTES_PER_ELEMENT, Validity};
use credential::rustcrypto::RustCrypto;
use presentation::standard::message::{ControlFlow, Signaling};
use vocabulary::time::Instant;

use super::pair::{DEVICE_SECRET, NOW, Pair, Then, public, secret};

const ISSUER: u8 = 0x61;
/// Version 1 and an identifier.
const ELEMENT: &[u8] = &[0xA2, 0x00, 0x01, 0x01, 0x44, 1, 2, 3, 4];

/// An access document for this device.
fn document(device: u8) -> Vec<u8> {
    let device_key = PublicKey::P256(public(device));
    let request = IssueRequest {
        device_key: Some(&device_key),
        elements: &[("floor1", ELEMENT), ("floor2", ELEMENT)],
        validity: Validity {
            signed: Instant::from_unix_seconds(1_789_000_000),
            valid_from: Instant::from_unix_seconds(1_789_000_000),
            valid_until: Instant::from_unix_seconds(1_791_000_000),
            expected_update: None,
        },
        needs_clock: true,
    };
    let issuer = PublicKey::P256(public(ISSUER));
    let entropy = [3; 2 * ENTROPY_BYTES_PER_ELEMENT];
    let unsigned = access_document::issue(&RustCrypto, &request, &issuer, &entropy).unwrap();
    let signature = RustCrypto.p256_sign(&secret(ISSUER), unsigned.to_be_signed()).unwrap();
    unsigned.complete(&signature).into_bytes()
}

/// A tap on which the device gives the document of `device`: what the reader makes of it.
fn fetch(device: u8) -> Result<usize, &'static str> {
    let mut pair = Pair::standard();
    pair.then = [Then::StepUp, Then::Conclude(ControlFlow::SUCCESS)].into();
    pair.device_request = access_document::device_request(Kind::Access, &["floor2"]);
    let asked = access_document::parse_request(&pair.device_request, Kind::Access).unwrap();
    let names: Vec<_> = asked.iter().map(|element| element.element).collect();
    let response = access_document::device_response(Kind::Access, &document(device), &names);
    pair.device_response = response.unwrap();
    pair.run_whole();
    assert_eq!(pair.reader_closed, Some(Ok(())));
    let known = &pair.authenticated[0];
    assert!(known.signaling.has(Signaling::ACCESS_DOCUMENT));
    let (issuers, key) = ([PublicKey::P256(public(ISSUER))], PublicKey::P256(known.device_key));
    let expectation =
        Expectation { crypto: &RustCrypto, issuers: &issuers, at: NOW, device_key: Some(&key) };
    let verified = access_document::verify_response(&pair.step_ups[0], &expectation)
        .map_err(|rejection| rejection.code)?;
    let data = verified.access_data("floor2", &[]).unwrap().unwrap();
    assert_eq!(data.id, [1, 2, 3, 4]);
    assert_eq!(verified.access_data("floor1", &[]), Ok(None));
    Ok(verified.elements().count())
}

#[test]
fn a_document_is_good_for_the_device_that_proved_its_key_at_this_tap() {
    assert_eq!(fetch(DEVICE_SECRET), Ok(1));
    // The document of a friend, over one's own channel.
    assert_eq!(fetch(0x62), Err("device-key-mismatch"));
}
