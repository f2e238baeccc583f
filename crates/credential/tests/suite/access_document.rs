//! Access documents and revocation documents: issued, disclosed and verified; forged ones, each with
//! its control; and the limits of what they say.

use credential::access_document::{
    self, AccessData, Capabilities, ChangeMode, Expectation, IssueRequest, Kind, KnownExtension,
    Pattern, RevocationData,
};
use credential::cbor::Encoder;
use credential::crypto::{Crypto, P256Secret, PublicKey};
use credential::mdoc::{self, IssueError, Validity};
use credential::rejection::{Culprit, Rejection};
use credential::rustcrypto::RustCrypto;
use proptest::prelude::*;
use vocabulary::time::Instant;

const NOW: Instant = Instant::from_unix_seconds(1_790_000_000);
const VALIDITY: Validity = Validity {
    signed: Instant::from_unix_seconds(1_789_000_000),
    valid_from: Instant::from_unix_seconds(1_789_000_000),
    valid_until: Instant::from_unix_seconds(1_791_000_000),
    expected_update: Some(Instant::from_unix_seconds(1_790_500_000)),
};

fn secret(byte: u8) -> P256Secret {
    P256Secret::from_bytes([byte; 32])
}

fn public(byte: u8) -> PublicKey {
    PublicKey::P256(RustCrypto.p256_public(&secret(byte)).unwrap())
}

const ISSUER: u8 = 1;
const DEVICE: u8 = 2;

/// A map with integer labels.
fn map(fields: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.map(fields.len());
    fields.iter().for_each(|(label, value)| {
        encoder.unsigned(*label).raw(value);
    });
    encoder.into_bytes()
}

fn array(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.array(entries.len());
    entries.iter().for_each(|entry| {
        encoder.raw(entry);
    });
    encoder.into_bytes()
}

fn number(value: i64) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.integer(value);
    encoder.into_bytes()
}

fn bytes(value: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.bytes(value);
    encoder.into_bytes()
}

fn rule(capabilities: i64, allow: i64, deny: i64) -> Vec<u8> {
    map(&[(0, number(capabilities)), (1, number(allow)), (2, number(deny))])
}

fn recurrence(parts: [i64; 5]) -> Vec<u8> {
    array(&parts.map(number))
}

fn schedule(rule: Vec<u8>) -> Vec<u8> {
    map(&[(0, number(1_700_000_000)), (1, number(1_900_000_000)), (2, rule), (3, number(1))])
}

fn extension(criticality: i64, id: i64) -> Vec<u8> {
    array(&[number(criticality), number(id), number(1), bytes(b"data")])
}

fn access_data() -> Vec<u8> {
    map(&[
        (0, number(1)),
        (1, bytes(b"a door")),
        (2, array(&[rule(0b10, 0b01, 0b10)])),
        (
            3,
            array(&[
                schedule(recurrence([3_600, 0b1_1111, 2, 1, 0])),
                schedule(recurrence([86_400, 0b1_0000_0000_1000_0000, 6, 1, -1])),
            ]),
        ),
        (4, array(&[number(7), number(0xFFFF)])),
        (6, map(&[(0xFA_1466, array(&[extension(1, 2)]))])),
    ])
}

fn issued(device: Option<u8>, elements: &[(&str, &[u8])]) -> Vec<u8> {
    let device_key = device.map(public);
    let request = IssueRequest {
        device_key: device_key.as_ref(),
        elements,
        validity: VALIDITY,
        needs_clock: true,
    };
    let entropy: Vec<u8> = (0..elements.len() * 24).map(|n| n as u8).collect();
    let issuer = public(ISSUER);
    let unsigned = access_document::issue(&RustCrypto, &request, &issuer, &entropy).unwrap();
    let signature = RustCrypto.p256_sign(&secret(ISSUER), unsigned.to_be_signed()).unwrap();
    unsigned.complete(&signature).into_bytes()
}

fn access_document() -> Vec<u8> {
    issued(Some(DEVICE), &[("b1.f2", &access_data()), ("b1.f3", &map(&[(0, number(1))]))])
}

/// Verifies a response; gives the number of elements, or the code of the rejection.
fn verify(
    response: &[u8],
    issuer: u8,
    device: Option<u8>,
    at: Instant,
) -> Result<usize, Rejection> {
    let (issuers, device_key) = ([public(9), public(issuer)], device.map(public));
    let expectation =
        Expectation { crypto: &RustCrypto, issuers: &issuers, at, device_key: device_key.as_ref() };
    access_document::verify_response(response, &expectation)
        .map(|document| document.elements().count())
}

fn code(result: Result<usize, Rejection>) -> &'static str {
    result.map(|_| "good").unwrap_or_else(|rejection| rejection.code)
}

#[test]
fn a_document_is_asked_for_disclosed_and_verified() {
    let request = access_document::device_request(Kind::Access, &["b1.f2"]);
    let asked = access_document::parse_request(&request, Kind::Access).unwrap();
    let names: Vec<_> = asked.iter().map(|element| element.element).collect();
    assert_eq!(names, ["b1.f2"]);
    assert!(access_document::parse_request(&request, Kind::Revocation).unwrap().is_empty());

    let stored = access_document();
    let response = access_document::device_response(Kind::Access, &stored, &names).unwrap();
    let (issuers, device_key) = ([public(ISSUER)], public(DEVICE));
    let expectation = Expectation {
        crypto: &RustCrypto,
        issuers: &issuers,
        at: NOW,
        device_key: Some(&device_key),
    };
    let document = access_document::verify_response(&response, &expectation).unwrap();
    assert_eq!((document.kind(), document.elements().count()), (Kind::Access, 1));
    assert_eq!((document.validity(), document.needs_clock()), (VALIDITY, true));
    assert_eq!(document.access_data("b1.f3", &[]), Ok(None));
    assert_eq!(document.revocation_data("b1.f2", &[]), Ok(None));
    let data = document.access_data("b1.f2", &[]).unwrap().unwrap();
    assert_eq!((data.version, data.id), (1, &b"a door"[..]));
    assert!(data.rules[0].capabilities.has(Capabilities::UNSECURE));
    assert!(!data.rules[0].capabilities.has(Capabilities::PAYMENT));
    assert_eq!((data.rules[0].allow, data.rules[0].deny), (1, 2));
    assert!(data.schedules[0].is_utc && data.schedules[0].end == Some(1_900_000_000));
    assert_eq!(data.schedules[0].recurrence.unwrap().pattern, Pattern::Weekly);
    assert_eq!(data.schedules[1].recurrence.unwrap().ordinal, -1);
    assert_eq!(data.reader_rule_ids, [7, 0xFFFF]);
    let extension = data.access_extensions[0];
    assert_eq!((extension.vendor, extension.id, extension.is_critical), (0xFA_1466, 2, false));
    let whole = access_document::verify_issuer_signed(&stored, &expectation).unwrap();
    assert_eq!(whole.elements().count(), 2);
}

#[test]
fn the_compact_labels_are_those_of_the_wire() {
    // Map of 2, "1": name spaces, of which one.
    assert!(access_document().starts_with(&[0xA2, 0x61, b'1', 0xA1, 0x67]));
    let request = access_document::device_request(Kind::Revocation, &[]);
    let expected: &[u8] =
        &[0xA2, 0x61, b'1', 0x63, b'1', b'.', b'0', 0x61, b'2', 0x81, 0xA1, 0x61, b'1', 0xD8, 0x18];
    assert!(request.starts_with(expected), "{request:02x?}");
}

#[test]
fn a_document_is_good_for_its_device_its_issuer_and_its_time() {
    let response =
        access_document::device_response(Kind::Access, &access_document(), &["b1.f2"]).unwrap();
    let at = Instant::from_unix_seconds;
    for (issuer, device, at, expected) in [
        (ISSUER, Some(DEVICE), NOW, "good"),
        (ISSUER, Some(3), NOW, "device-key-mismatch"),
        (ISSUER, None, NOW, "no-document"),
        (8, Some(DEVICE), NOW, "issuer-unknown"),
        (ISSUER, Some(DEVICE), at(1_788_999_999), "document-not-yet-signed"),
        (ISSUER, Some(DEVICE), at(1_791_000_000), "good"),
        (ISSUER, Some(DEVICE), at(1_791_000_001), "document-expired"),
    ] {
        assert_eq!(code(verify(&response, issuer, device, at)), expected);
    }
}

#[test]
fn a_document_with_any_byte_changed_is_refused() {
    let response =
        access_document::device_response(Kind::Access, &access_document(), &["b1.f2"]).unwrap();
    let mut tolerated = Vec::new();
    for position in 0..response.len() {
        let mut changed = response.clone();
        changed[position] ^= 1;
        if let Ok(elements) = verify(&changed, ISSUER, Some(DEVICE), NOW) {
            tolerated.push((position, elements));
        }
        assert!(verify(&response[..position], ISSUER, Some(DEVICE), NOW).is_err(), "{position}");
    }
    // `1.0` may become `1.1`, and elements may be withheld; nothing else of the answer is unsigned.
    assert_eq!(tolerated, [(6, 1), (15, 0)]);
    assert_eq!(code(verify(&response, ISSUER, Some(DEVICE), NOW)), "good");
}

#[test]
fn an_encoding_does_not_pass_for_the_other() {
    let stored = access_document();
    let rejection = mdoc::IssuerSigned::parse(&stored).unwrap_err();
    assert_eq!((rejection.culprit, rejection.code), (Culprit::Wire, "field-missing"));
    let response = mdoc::device_response_status(0);
    assert_eq!(code(verify(&response, ISSUER, Some(DEVICE), NOW)), "field-missing");
}

#[test]
fn a_revocation_document_names_no_device() {
    let mut expires = Encoder::new();
    expires.tag(1).unsigned(1_800_000_000);
    let entry = map(&[(0, bytes(&[5; 32])), (1, bytes(b"a door")), (2, expires.into_bytes())]);
    let value = map(&[
        (0, number(1)),
        (1, number(1)),
        (2, array(&[entry])),
        (3, array(&[map(&[(1, bytes(b"b"))])])),
    ]);
    let stored = issued(None, &[("list", &value)]);
    let issuers = [public(ISSUER)];
    let expectation =
        Expectation { crypto: &RustCrypto, issuers: &issuers, at: NOW, device_key: None };
    let document = access_document::verify_issuer_signed(&stored, &expectation).unwrap();
    let data = document.revocation_data("list", &[]).unwrap().unwrap();
    assert_eq!((data.change, data.entries.len(), data.removed.len()), (ChangeMode::Append, 1, 1));
    assert_eq!(data.entries[0].key_hash, Some(&[5; 32][..]));
    assert_eq!(data.entries[0].expires, Some(Instant::from_unix_seconds(1_800_000_000)));
    assert_eq!(document.access_data("list", &[]), Ok(None));
    for (value, message) in [
        (map(&[(1, number(0))]), "version"),
        (map(&[(0, number(1))]), "change mode"),
        (map(&[(0, number(1)), (1, number(2))]), "unknown change"),
        (map(&[(0, number(1)), (1, number(0)), (2, array(&[map(&[])]))]), "nothing"),
        (map(&[(0, number(1)), (1, number(0)), (7, number(0))]), "no known label"),
    ] {
        let rejection = RevocationData::parse(&value, &[]).unwrap_err();
        assert!(rejection.message.contains(message), "{rejection}");
    }
}

fn with_extension(label: u64, vendor: u64, extensions: &[Vec<u8>]) -> Vec<u8> {
    map(&[(0, number(1)), (label, map(&[(vendor, array(extensions))]))])
}

#[test]
fn an_unknown_critical_extension_refuses() {
    // Bit 0 is zero for a critical one.
    let known = KnownExtension { vendor: 0xFA_1466, id: 1, version: 1 };
    for label in [5, 6] {
        let critical = with_extension(label, 0xFA_1466, &[extension(1, 2), extension(0, 1)]);
        assert_eq!(AccessData::parse(&critical, &[]).unwrap_err().code, "critical-extension");
        for other in [
            KnownExtension { vendor: 1, ..known },
            KnownExtension { id: 2, ..known },
            KnownExtension { version: 2, ..known },
        ] {
            let refused = AccessData::parse(&critical, &[other]);
            assert_eq!(refused.unwrap_err().code, "critical-extension");
        }
        // Controls: one that is known, and one that may be passed over.
        assert!(AccessData::parse(&critical, &[known]).is_ok());
        let other = with_extension(label, 0xFA_1466, &[extension(1, 1)]);
        assert!(AccessData::parse(&other, &[]).is_ok());
    }
    for (vendor, count, fits) in
        [(0, 1, false), (0xFF_FFFF, 1, true), (0x100_0000, 1, false), (1, 16, true), (1, 17, false)]
    {
        let list = with_extension(6, vendor, &vec![extension(1, 1); count]);
        assert_eq!(AccessData::parse(&list, &[]).is_ok(), fits, "{vendor} {count}");
    }
}

#[test]
fn every_list_holds_to_its_limit() {
    let any = || schedule(recurrence([1, 0, 1, 1, 0]));
    let check = |label: u64, entry: Vec<u8>, max: usize| {
        for (count, fits) in [(max, true), (max + 1, false)] {
            let data = map(&[(0, number(1)), (label, array(&vec![entry.clone(); count]))]);
            assert_eq!(AccessData::parse(&data, &[]).is_ok(), fits, "{label} {count}");
        }
    };
    check(2, rule(1, 0, 0), access_document::RULES_MAX);
    check(3, any(), access_document::SCHEDULES_MAX);
    check(4, number(1), access_document::READER_RULE_IDS_MAX);
    let with = |fields: &[(u64, Vec<u8>)]| {
        let all: Vec<_> = [(0, number(1))].iter().chain(fields).cloned().collect();
        AccessData::parse(&map(&all), &[]).is_ok()
    };
    assert!(with(&[(1, bytes(&[0; 16]))]) && !with(&[(1, bytes(&[0; 17]))]));
    assert!(!with(&[(4, array(&[number(0x1_0000)]))]));
    assert!(!with(&[(7, number(0))]));
    // A rule names a schedule that is there, and nothing beyond the six capabilities.
    assert!(with(&[(2, array(&[rule(0x3F, 1, 0)])), (3, array(&[any()]))]));
    assert!(!with(&[(2, array(&[rule(0x3F, 0, 2)])), (3, array(&[any()]))]));
    assert!(!with(&[(2, array(&[rule(0x40, 0, 0)]))]));
    assert!(AccessData::parse(&map(&[]), &[]).is_err());
}

#[test]
fn recurrences_hold_to_their_pattern() {
    let (weekdays, january) = (0x7F, 1 << 7);
    for (parts, fits) in [
        ([1, 0, 1, 1, 0], true),
        ([0, 0, 1, 1, 0], false),
        ([1, 0, 1, 0, 0], false),
        ([1, 0, 1, 255, 0], true),
        ([1, 0, 1, 256, 0], false),
        ([1, 1, 1, 1, 0], false),
        ([1, 0, 1, 1, 1], false),
        ([1, weekdays, 2, 1, 0], true),
        ([1, 0, 2, 1, 0], false),
        ([1, january, 2, 1, 0], false),
        ([1, weekdays, 3, 1, -5], true),
        ([1, weekdays, 3, 1, 0], false),
        ([1, weekdays, 3, 1, 6], false),
        ([1, 1 << 30, 4, 1, 0], true),
        ([1, 1 << 31, 4, 1, 0], false),
        ([1, weekdays, 4, 1, -31], true),
        ([1, weekdays, 4, 1, 32], false),
        ([1, weekdays | january, 5, 1, 5], true),
        ([1, january, 6, 1, 31], true),
        ([1, january, 6, 1, 0], false),
        ([1, weekdays, 7, 1, 53], true),
        ([1, weekdays, 7, 1, -54], false),
        ([1, weekdays | january, 8, 1, 5], true),
        ([1, 1 << 19, 8, 1, 5], false),
        ([1, weekdays, 9, 1, 1], false),
        ([1, weekdays, 3, 1, 128], false),
    ] {
        let data = map(&[(0, number(1)), (3, array(&[schedule(recurrence(parts))]))]);
        assert_eq!(AccessData::parse(&data, &[]).is_ok(), fits, "{parts:?}");
    }
}

#[test]
fn what_cannot_be_a_document_is_not_issued() {
    let device_key = public(DEVICE);
    let elements: [(&str, &[u8]); 1] = [("a", &[0xA0])];
    let request = IssueRequest {
        device_key: Some(&device_key),
        elements: &elements,
        validity: VALIDITY,
        needs_clock: true,
    };
    let issue = |request: &IssueRequest<'_>, issuer: &PublicKey, entropy: usize| {
        access_document::issue(&RustCrypto, request, issuer, &vec![0; entropy]).map(|_| ())
    };
    assert_eq!(issue(&request, &public(ISSUER), 24), Ok(()));
    assert_eq!(issue(&request, &public(ISSUER), 23), Err(IssueError::Entropy));
    assert_eq!(issue(&request, &PublicKey::Ed25519([1; 32]), 24), Err(IssueError::Signer));
    let none = IssueRequest { elements: &[], ..request };
    assert_eq!(issue(&none, &public(ISSUER), 0), Err(IssueError::ElementCount));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = AccessData::parse(&bytes, &[]);
        let _ = RevocationData::parse(&bytes, &[]);
        let _ = access_document::parse_request(&bytes, Kind::Access);
        let _ = access_document::device_response(Kind::Access, &bytes, &["a"]);
        prop_assert!(verify(&bytes, ISSUER, Some(DEVICE), NOW).is_err());
    }

    #[test]
    fn access_data_with_any_byte_changed_never_panics(position in 0_usize..150, bit in 0..8) {
        let mut data = access_data();
        let length = data.len();
        data[position % length] ^= 1_u8 << bit;
        let _ = AccessData::parse(&data, &[]);
    }
}

#[test]
fn a_city_pass_reads_as_what_was_written() {
    use credential::access_document::pass;
    use credential::rights::Rights;
    use credential::status::StatusReference;

    let rights = Rights {
        operator: "transit".parse().unwrap(),
        product: "ticket".parse().unwrap(),
        class: Some("first".parse().unwrap()),
        zones: vec!["A".parse().unwrap(), "B".parse().unwrap()],
        places: Vec::new(),
        recurrence: None,
        valid_from: NOW,
        valid_until: Instant::from_unix_seconds(1_790_500_000),
        uses_max: Some(10),
        holder_only: true,
    };
    let status = StatusReference { uri: "https://city.example/status/1", index: 7 };
    for status in [Some(status), None] {
        let value = pass::value(&rights, status).unwrap();
        let document = issued(Some(DEVICE), &[(pass::ELEMENT, &value)]);
        let device = public(DEVICE);
        let issuers = [public(ISSUER)];
        let expectation = Expectation {
            crypto: &RustCrypto,
            issuers: &issuers,
            at: NOW,
            device_key: Some(&device),
        };
        let verified = access_document::verify_issuer_signed(&document, &expectation).unwrap();
        assert_eq!(pass::read(&verified).unwrap(), (rights.clone(), status));
        assert_eq!(pass::danger_unverified_rights(&document).unwrap(), rights);
        assert_eq!(access_document::named_device(&document).unwrap(), Some(device));
    }
    let without = pass::danger_unverified_rights(&access_document());
    assert_eq!(without.unwrap_err().code, "rights-withheld");
    let too_many = Rights {
        places: (0..32).map(|n| format!("{0}/{0}/{n}", "a".repeat(30)).parse().unwrap()).collect(),
        ..rights
    };
    assert_eq!(pass::value(&too_many, None).unwrap_err().code, "access-data");
}
