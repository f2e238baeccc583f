//! Token Status List against the vectors of the draft, forgeries and arbitrary bytes.

use std::time::Duration;

use credential::cbor::{Decoder, Encoder};
use credential::cose::{Sign1, Sign1Parts, sign1};
use credential::crypto::{Algorithm, PublicKey};
use credential::jose::{HeaderParts, base64url, jwk};
use credential::rejection::{Culprit, Rejection};
use credential::status::{
    BYTES_MAX, Bits, CWT_TYP, CwtHeader, Expectation, JWT_TYP, Status, StatusList,
    StatusListClaims, StatusReference, VerifiedStatusList,
};
use credential::x509::TrustAnchors;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::tokens::{PROVIDERS, Signatory, at, chain};
use crate::vectors::{self, hex};

const URI: &str = "https://city.example/status/1";
const NOW: i64 = 1_700_000_000;

fn list_of(form: &Value) -> Result<StatusList, &'static str> {
    let bits = Bits::from_count(form["bits"].as_u64().unwrap()).ok_or("bits")?;
    let compressed = base64url::decode(form["lst"].as_str().unwrap()).ok_or("base64url")?;
    StatusList::inflate(bits, &compressed).map_err(|_| "compression")
}

/// The `lst` of a status list in CBOR form.
fn cbor_lst(text: &Value) -> Vec<u8> {
    let bytes = hex(text.as_str().unwrap());
    let mut decoder = Decoder::new(&bytes).unwrap();
    let (mut entries, mut lst) = (decoder.map().unwrap(), Vec::new());
    while decoder.more(&mut entries).unwrap() {
        match decoder.text().unwrap() {
            "lst" => lst = decoder.bytes().unwrap().to_vec(),
            _ => decoder.skip().unwrap(),
        }
    }
    lst
}

#[test]
fn published_encodings_hold_the_published_values() {
    let Some(folder) = vectors::folder("token-status-list") else { return };
    for bits in [1, 2, 4, 8] {
        let vector = vectors::json(&folder, &format!("encoding-{bits}-bit.json"));
        let list = list_of(&vector["json_form"]).unwrap();
        let from_cbor = StatusList::inflate(list.bits(), &cbor_lst(&vector["cbor_form_hex"]));
        assert_eq!(from_cbor.as_ref(), Ok(&list));
        assert_eq!(list.as_bytes().len() as u64, vector["uncompressed_bytes"].as_u64().unwrap());
        assert_eq!(list.entries(), vector["entries"].as_u64().unwrap());
        let entries = usize::try_from(list.entries()).unwrap();
        let mut expected = vec![0_u8; entries];
        let mut built = StatusList::new(list.bits(), entries).unwrap();
        for entry in vector["status"].as_array().unwrap() {
            let (index, value) =
                (entry["index"].as_u64().unwrap(), entry["value"].as_u64().unwrap());
            expected[usize::try_from(index).unwrap()] = u8::try_from(value).unwrap();
            built.set(index, Status::from_value(u8::try_from(value).unwrap())).unwrap();
        }
        assert_eq!(built, list, "{bits} bits");
        for (index, value) in expected.iter().enumerate() {
            assert_eq!(list.status(index as u64).unwrap().value(), *value, "{bits} bits, {index}");
        }
        assert!(list.status(list.entries()).is_err());
    }
}

#[test]
fn small_encodings_are_written_byte_for_byte() {
    let Some(folder) = vectors::folder("token-status-list") else { return };
    let vector = vectors::json(&folder, "encoding-small.json");
    for case in vector["cases"].as_array().unwrap() {
        let bits = Bits::from_count(case["bits"].as_u64().unwrap()).unwrap();
        let statuses = case["statuses"].as_array().unwrap();
        let mut list = StatusList::new(bits, statuses.len()).unwrap();
        for (index, value) in statuses.iter().enumerate() {
            let value = u8::try_from(value.as_u64().unwrap()).unwrap();
            list.set(index as u64, Status::from_value(value)).unwrap();
        }
        assert_eq!(list.as_bytes(), hex(case["byte_array_hex"].as_str().unwrap()));
        assert_eq!(list, list_of(&case["json_form"]).unwrap());
        assert_eq!(list, StatusList::inflate(bits, &cbor_lst(&case["cbor_form_hex"])).unwrap());
        assert_eq!(StatusList::inflate(bits, &list.deflate()), Ok(list));
    }
}

#[test]
fn negative_cases_are_refused() {
    let Some(folder) = vectors::folder("token-status-list") else { return };
    let vector = vectors::json(&folder, "negative-cases.json");
    let cases = vector["cases"].as_array().unwrap();
    for case in cases {
        let outcome = list_of(&case["json_form"]);
        match case["index"].as_u64() {
            Some(index) => assert!(outcome.unwrap().status(index).is_err(), "{}", case["name"]),
            None => assert!(outcome.is_err(), "{}", case["name"]),
        }
    }
    assert!(cases.len() >= 6);
}

#[test]
fn status_types_are_those_of_the_registry() {
    let Some(folder) = vectors::folder("token-status-list") else { return };
    let types = vectors::json(&folder, "status-types.json");
    let value = |name: &str| u8::try_from(types[name].as_u64().unwrap()).unwrap();
    assert_eq!(Status::from_value(value("VALID")), Status::Valid);
    assert_eq!(Status::from_value(value("INVALID")), Status::Invalid);
    assert_eq!(Status::from_value(value("SUSPENDED")), Status::Suspended);
    let own: Vec<u64> =
        types["application_specific"].as_array().unwrap().iter().flat_map(Value::as_u64).collect();
    for value in 0..=255_u8 {
        let status = Status::from_value(value);
        assert_eq!(status.value(), value);
        let specific = matches!(status, Status::ApplicationSpecific(_));
        assert_eq!(specific, own.contains(&value.into()), "{value}");
    }
    assert_eq!(types["jwt_typ"], JWT_TYP);
    assert_eq!(types["media_types"][1], CWT_TYP);
}

fn pinned(key: &Value) -> TrustAnchors {
    let mut public = key.clone();
    public.as_object_mut().unwrap().remove("d");
    let mut anchors = TrustAnchors::new();
    anchors.add_key(jwk::parse(&public).unwrap()).unwrap();
    anchors
}

#[test]
fn published_tokens_verify() {
    let Some(folder) = vectors::folder("token-status-list") else { return };
    let tokens = vectors::json(&folder, "tokens.json");
    let anchors = pinned(&tokens["signing_key_jwk"]);
    let payload = &tokens["status_list_jwt"]["payload"];
    let uri = payload["sub"].as_str().unwrap();
    let jwt = tokens["status_list_jwt"]["compact"].as_str().unwrap();
    let cwt = hex(tokens["status_list_cwt"]["hex"].as_str().unwrap());
    let expectation = Expectation { anchors: &anchors, at: at(NOW), uri: Some(uri) };
    for crypto in PROVIDERS {
        let from_jwt = VerifiedStatusList::verify_jwt(crypto, jwt, &expectation).unwrap();
        let from_cwt = VerifiedStatusList::verify_cwt(crypto, &cwt, &expectation).unwrap();
        assert_eq!(from_jwt, from_cwt);
        assert_eq!(from_jwt.issued_at(), at(payload["iat"].as_i64().unwrap()));
        assert_eq!(from_jwt.expires_at(), payload["exp"].as_i64().map(at));
        assert_eq!(from_jwt.ttl(), payload["ttl"].as_u64().map(Duration::from_secs));
        let reference = referenced(&hex(tokens["referenced_token_cwt"]["hex"].as_str().unwrap()));
        assert_eq!(reference, (uri.to_owned(), 0));
        let reference = StatusReference { uri, index: reference.1 };
        assert_eq!(from_jwt.status(reference), Ok(Status::Invalid));
        assert_eq!(from_jwt.status(StatusReference { uri, index: 1 }), Ok(Status::Valid));
    }
}

/// The status reference inside a CWT.
fn referenced(cwt: &[u8]) -> (String, u64) {
    let token = Sign1::parse(cwt).unwrap();
    let mut decoder = Decoder::new(token.payload.unwrap()).unwrap();
    let mut entries = decoder.map().unwrap();
    let mut found = None;
    while decoder.more(&mut entries).unwrap() {
        if decoder.integer().unwrap() == 65_535 {
            let reference = StatusReference::decode(&mut decoder).unwrap();
            found = Some((reference.uri.to_owned(), reference.index));
        } else {
            decoder.skip().unwrap();
        }
    }
    found.unwrap()
}

fn claims() -> StatusListClaims {
    let mut list = StatusList::new(Bits::Two, 100).unwrap();
    list.set(3, Status::Invalid).unwrap();
    list.set(5, Status::Suspended).unwrap();
    StatusListClaims {
        uri: URI.into(),
        issued_at: at(NOW),
        expires_at: Some(at(NOW + 86_400)),
        ttl: Some(Duration::from_secs(900)),
        list,
    }
}

fn code<T>(outcome: Result<T, Rejection>) -> Option<(Culprit, &'static str)> {
    outcome.err().map(|rejection| (rejection.culprit, rejection.code))
}

fn verify_jwt(text: &str, expectation: &Expectation<'_>) -> Result<VerifiedStatusList, Rejection> {
    let verdicts =
        PROVIDERS.map(|crypto| VerifiedStatusList::verify_jwt(crypto, text, expectation));
    assert_eq!(verdicts[0], verdicts[1]);
    verdicts.into_iter().next().unwrap()
}

fn verify_cwt(
    bytes: &[u8],
    expectation: &Expectation<'_>,
) -> Result<VerifiedStatusList, Rejection> {
    let verdicts =
        PROVIDERS.map(|crypto| VerifiedStatusList::verify_cwt(crypto, bytes, expectation));
    assert_eq!(verdicts[0], verdicts[1]);
    verdicts.into_iter().next().unwrap()
}

#[test]
fn what_is_signed_here_verifies_in_both_forms() {
    let (authority, signer) = (Signatory::new(1), Signatory::new(2));
    let [leaf, root] = chain(&authority, &signer);
    let anchors = TrustAnchors::from_ders([&root[..]]).unwrap();
    let x5c = [&leaf[..]];
    let header = HeaderParts { x5c: &x5c, ..HeaderParts::new(Algorithm::Es256, "") };
    let cwt_header = CwtHeader { algorithm: Algorithm::Es256, kid: None, x5chain: &x5c };
    let jwt = signer.sign(claims().jwt(header));
    let cwt = signer.sign(claims().cwt(cwt_header));
    let expectation = Expectation { anchors: &anchors, at: at(NOW), uri: Some(URI) };
    let from_jwt = verify_jwt(jwt.as_str(), &expectation).unwrap();
    assert_eq!(verify_cwt(&cwt, &expectation), Ok(from_jwt.clone()));
    assert_eq!(from_jwt.list(), &claims().list);
    assert_eq!((from_jwt.uri(), from_jwt.ttl()), (URI, claims().ttl));
    let status = |index| from_jwt.status(StatusReference { uri: URI, index });
    assert_eq!(status(3), Ok(Status::Invalid));
    assert_eq!(status(4), Ok(Status::Valid));
    assert_eq!(status(5), Ok(Status::Suspended));
    assert_eq!(code(status(100)), Some((Culprit::Issuer, "status-index")));
    let elsewhere = StatusReference { uri: "https://city.example/status/2", index: 3 };
    assert_eq!(code(from_jwt.status(elsewhere)), Some((Culprit::Trust, "status-list-uri")));
    // The leaf alone does not make itself trusted.
    let strange = Signatory::new(9).pinned();
    let expectation = Expectation { anchors: &strange, ..expectation };
    assert_eq!(
        code(verify_jwt(jwt.as_str(), &expectation)),
        Some((Culprit::Trust, "untrusted-signer"))
    );
    assert_eq!(code(verify_cwt(&cwt, &expectation)), Some((Culprit::Trust, "untrusted-signer")));
}

#[test]
fn dates_of_a_list_hold_to_the_second() {
    let signer = Signatory::new(2);
    let anchors = signer.pinned();
    let jwt = signer.sign(claims().jwt(HeaderParts::new(Algorithm::Es256, "")));
    let cwt_header = CwtHeader { algorithm: Algorithm::Es256, kid: Some(b"1"), x5chain: &[] };
    let cwt = signer.sign(claims().cwt(cwt_header));
    for (now, expected) in [
        (NOW - 61, Some((Culprit::Time, "status-list-not-yet-valid"))),
        (NOW - 60, None),
        (NOW + 86_399, None),
        (NOW + 86_400, Some((Culprit::Time, "status-list-expired"))),
    ] {
        let expectation = Expectation { anchors: &anchors, at: at(now), uri: None };
        assert_eq!(code(verify_jwt(jwt.as_str(), &expectation)), expected, "{now}");
        assert_eq!(code(verify_cwt(&cwt, &expectation)), expected, "{now}");
    }
}

/// The claims of a token that holds, as JSON.
fn sound() -> Value {
    json!({"sub": URI, "iat": NOW, "ttl": 900, "status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ"}})
}

#[test]
fn forged_tokens_as_jwt_are_refused() {
    let signer = Signatory::new(2);
    let anchors = signer.pinned();
    let expectation = Expectation { anchors: &anchors, at: at(NOW), uri: Some(URI) };
    let bomb = {
        let zeros = vec![0; BYTES_MAX + 1];
        base64url::encode(&miniz_oxide::deflate::compress_to_vec_zlib(&zeros, 9))
    };
    let with = |pointer: &str, value: Value| {
        let mut claims = sound();
        *claims.pointer_mut(pointer).unwrap() = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = sound();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let list = |value: Value| with("/status_list", value);
    assert_eq!(code(verify_jwt(&signer.jws(JWT_TYP, &sound()), &expectation)), None);
    let issuer = |code| Some((Culprit::Issuer, code));
    for (claims, expected) in [
        (without("sub"), issuer("claim-missing")),
        (without("iat"), issuer("claim-missing")),
        (without("status_list"), issuer("claim-missing")),
        (without("ttl"), None),
        (with("/sub", json!("https://other.example")), issuer("status-list-uri")),
        (with("/sub", json!(7)), issuer("claim-type")),
        (with("/iat", json!("now")), issuer("claim-type")),
        (with("/ttl", json!(0)), issuer("status-list")),
        (with("/ttl", json!(-1)), issuer("claim-type")),
        (list(json!({"bits": 3, "lst": "eNrbuRgAAhcBXQ"})), issuer("status-list")),
        (list(json!({"bits": 16, "lst": "eNrbuRgAAhcBXQ"})), issuer("status-list")),
        (list(json!({"lst": "eNrbuRgAAhcBXQ"})), issuer("claim-missing")),
        (list(json!({"bits": 1})), issuer("claim-missing")),
        (list(json!({"bits": 1, "lst": "eNrbuRgAAhcBXQ=="})), issuer("status-list")),
        (list(json!({"bits": 1, "lst": 7})), issuer("status-list")),
        (list(json!({"bits": 1, "lst": "uaM"})), Some((Culprit::Wire, "status-list-compression"))),
        (list(json!({"bits": 1, "lst": bomb})), Some((Culprit::Wire, "status-list-length"))),
    ] {
        let outcome = verify_jwt(&signer.jws(JWT_TYP, &claims), &expectation);
        assert_eq!(code(outcome), expected, "{claims:.200}");
    }
    let mut not_yet = sound();
    not_yet["nbf"] = json!(NOW + 1);
    let outcome = verify_jwt(&signer.jws(JWT_TYP, &not_yet), &expectation);
    assert_eq!(code(outcome), Some((Culprit::Time, "status-list-not-yet-valid")));
    assert_eq!(code(verify_jwt(&signer.jws("JWT", &sound()), &expectation)), issuer("typ"));
    let other = Signatory::new(3).jws(JWT_TYP, &sound());
    assert_eq!(code(verify_jwt(&other, &expectation)), issuer("signature"));
    let nobody = Expectation { anchors: &TrustAnchors::new(), ..expectation };
    let outcome = verify_jwt(&signer.jws(JWT_TYP, &sound()), &nobody);
    assert_eq!(code(outcome), Some((Culprit::Trust, "untrusted-signer")));
}

#[test]
fn forged_tokens_as_cwt_are_refused() {
    let signer = Signatory::new(2);
    let anchors = signer.pinned();
    let expectation = Expectation { anchors: &anchors, at: at(NOW), uri: Some(URI) };
    let sign = |typ, payload: &[u8]| {
        let parts = Sign1Parts { payload, typ, tagged: true, ..Sign1Parts::default() };
        signer.sign(sign1(Algorithm::Es256, &parts))
    };
    let payload = |bits: u64| {
        let mut claims = Encoder::new();
        claims.map(3).integer(2).text(URI).integer(6).integer(NOW).integer(65_533).map(2);
        claims.text("bits").unsigned(bits).text("lst").bytes(&hex("78dadbb918000217015d"));
        claims.into_bytes()
    };
    assert_eq!(code(verify_cwt(&sign(Some(CWT_TYP), &payload(1)), &expectation)), None);
    let issuer = |code| Some((Culprit::Issuer, code));
    for (token, expected) in [
        (sign(None, &payload(1)), issuer("typ")),
        (sign(Some("application/statuslist+jwt"), &payload(1)), issuer("typ")),
        (sign(Some(CWT_TYP), &payload(3)), issuer("status-list")),
        (sign(Some(CWT_TYP), &[0xa0]), issuer("claim-missing")),
        (sign(Some(CWT_TYP), &[]), Some((Culprit::Wire, "cbor"))),
        (sign(Some(CWT_TYP), &[&payload(1)[..], &[0]].concat()), Some((Culprit::Wire, "cbor"))),
    ] {
        assert_eq!(code(verify_cwt(&token, &expectation)), expected);
    }
    let whole = sign(Some(CWT_TYP), &payload(1));
    for end in 0..whole.len() {
        assert!(verify_cwt(&whole[..end], &expectation).is_err(), "{end}");
    }
    for position in 0..whole.len() {
        let mut changed = whole.clone();
        changed[position] ^= 1;
        assert!(verify_cwt(&changed, &expectation).is_err(), "{position}");
    }
}

#[test]
fn references_are_read_as_they_are_written() {
    let reference = StatusReference { uri: URI, index: 7 };
    assert_eq!(StatusReference::from_json(&reference.to_json()), Ok(reference));
    let mut encoder = Encoder::new();
    reference.encode(&mut encoder);
    let mut decoder = Decoder::new(encoder.as_bytes()).unwrap();
    assert_eq!(StatusReference::decode(&mut decoder), Ok(reference));
    for status in [
        json!({}),
        json!({"status_list": {"uri": URI}}),
        json!({"status_list": {"idx": 7}}),
        json!({"status_list": {"idx": -7, "uri": URI}}),
        json!({"status_list": {"idx": "7", "uri": URI}}),
        json!({"identifier_list": {"id": "7", "uri": URI}}),
        json!(7),
    ] {
        let outcome = StatusReference::from_json(&status);
        assert_eq!(code(outcome), Some((Culprit::Issuer, "status-reference")), "{status}");
    }
}

proptest! {
    #[test]
    fn arbitrary_tokens_never_panic(text: String, bytes: Vec<u8>) {
        let anchors = TrustAnchors::new();
        let expectation = Expectation { anchors: &anchors, at: at(NOW), uri: None };
        prop_assert!(VerifiedStatusList::verify_jwt(PROVIDERS[0], &text, &expectation).is_err());
        prop_assert!(VerifiedStatusList::verify_cwt(PROVIDERS[0], &bytes, &expectation).is_err());
    }

    #[test]
    fn arbitrary_signed_payloads_never_panic(payload: Vec<u8>, text: String) {
        let signer = Signatory::new(2);
        let anchors = signer.pinned();
        let expectation = Expectation { anchors: &anchors, at: at(NOW), uri: None };
        let parts = Sign1Parts { payload: &payload, typ: Some(CWT_TYP), ..Sign1Parts::default() };
        let cwt = signer.sign(sign1(Algorithm::Es256, &parts));
        prop_assert!(VerifiedStatusList::verify_cwt(PROVIDERS[1], &cwt, &expectation).is_err());
        let jwt = signer.raw_jws(r#"{"alg":"ES256","typ":"statuslist+jwt"}"#, &text);
        prop_assert!(VerifiedStatusList::verify_jwt(PROVIDERS[1], &jwt, &expectation).is_err());
    }
}

#[test]
fn keys_off_their_curve_do_not_verify() {
    let mut anchors = TrustAnchors::new();
    anchors.add_key(PublicKey::P256([4; 65])).unwrap();
    let expectation = Expectation { anchors: &anchors, at: at(NOW), uri: Some(URI) };
    let token = Signatory::new(2).jws(JWT_TYP, &sound());
    assert_eq!(code(verify_jwt(&token, &expectation)), Some((Culprit::Issuer, "signature")));
}
