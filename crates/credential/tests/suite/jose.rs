//! Compact JWS and JWK against the examples of their RFCs, forgeries and arbitrary text.

use base64ct::{Base64, Encoding};
use credential::crypto::{Algorithm, PublicKey, Signature};
use credential::jose::{CompactJws, HeaderParts, Jws, base64url, jwk, sign};
use credential::rejection::{Culprit, Rejection};
use credential::unsigned::Unsigned;
use p384::ecdsa::signature::Signer as _;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::composite::CompositeSigner;
use crate::tokens::{PROVIDERS, Signatory, chain};

/// RFC 7515, appendix A.3.
const RFC7515_A3: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 8037, appendix A.4.
const RFC8037_A4: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn rfc7515_key() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
}

fn rfc8037_key() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn verdict(text: &str, key: &PublicKey) -> Result<(), Rejection> {
    let verdicts = PROVIDERS.map(|crypto| Jws::parse(text, Culprit::Issuer)?.verify(crypto, key));
    assert_eq!(verdicts[0], verdicts[1], "the providers disagree about {text}");
    verdicts.into_iter().next().unwrap()
}

#[track_caller]
fn check(text: &str, key: &PublicKey, expected: Result<(), (Culprit, &str)>) {
    let verdict = verdict(text, key);
    assert_eq!(verdict.map_err(|r| (r.culprit, r.code)), expected, "{text}");
}

#[test]
fn examples_of_the_rfcs_verify() {
    let ec = jwk::parse(&rfc7515_key()).unwrap();
    let ed = jwk::parse(&rfc8037_key()).unwrap();
    check(RFC7515_A3, &ec, Ok(()));
    check(RFC8037_A4, &ed, Ok(()));
    check(RFC7515_A3, &ed, Err((Culprit::Issuer, "algorithm-mismatch")));
    check(RFC8037_A4, &ec, Err((Culprit::Issuer, "algorithm-mismatch")));
    let claims = Jws::parse(RFC7515_A3, Culprit::Issuer).unwrap().claims().unwrap();
    assert_eq!(claims.text("iss"), Ok(Some("joe")));
    assert!(Jws::parse(RFC8037_A4, Culprit::Issuer).unwrap().claims().is_err());
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    // RFC 8037, appendix A.3, and RFC 9449, section 6.1.
    let dpop = json!({"kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"});
    for (key, expected) in [
        (rfc8037_key(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        (dpop, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
    ] {
        let key = jwk::parse(&key).unwrap();
        for crypto in PROVIDERS {
            assert_eq!(base64url::encode(&jwk::thumbprint(crypto, &key)), expected);
        }
    }
}

#[test]
fn keys_that_are_written_are_read_again() {
    for key in [rfc7515_key(), rfc8037_key(), jwk::write(&PublicKey::P384([4; 97]))] {
        assert_eq!(jwk::write(&jwk::parse(&key).unwrap()), key);
    }
}

#[test]
fn keys_of_other_kinds_are_refused() {
    let with = |name: &str, value: Value| {
        let mut key = rfc7515_key();
        key[name] = value;
        key
    };
    let refused = [
        (with("kty", json!("RSA")), "jwk"),
        (with("crv", json!("secp256k1")), "jwk"),
        (with("crv", json!("P-384")), "jwk"),
        (with("x", json!("AAAA")), "jwk"),
        (with("x", json!(1)), "jwk"),
        (with("y", Value::Null), "jwk"),
        (with("y", json!("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0=")), "jwk"),
        (with("alg", json!("ES384")), "jwk"),
        (with("use", json!("enc")), "jwk"),
        (with("d", json!("AAAA")), "jwk-private"),
        (json!([]), "jwk"),
    ];
    for (key, code) in refused {
        assert_eq!(jwk::parse(&key).map_err(|r| r.code), Err(code), "{key}");
    }
    assert!(jwk::parse(&with("alg", json!("ES256"))).is_ok());
    assert!(jwk::parse(&with("use", json!("sig"))).is_ok());
}

#[test]
fn headers_that_weaken_the_signature_are_refused() {
    let signatory = Signatory::new(1);
    let key = &signatory.key;
    let header = |header: &str| signatory.raw_jws(header, "{}");
    // The control: the same signature under a sound header.
    check(&header(r#"{"alg":"ES256"}"#), key, Ok(()));
    check(&header(r#"{"alg":"ES256","typ":"a+jwt","jku":"https://a.example"}"#), key, Ok(()));
    for (text, culprit, code) in [
        (r#"{"alg":"none"}"#, Culprit::Issuer, "algorithm"),
        (r#"{"alg":"HS256"}"#, Culprit::Issuer, "algorithm"),
        (r#"{"alg":"RS256"}"#, Culprit::Issuer, "algorithm"),
        (r#"{"alg":"ES256K"}"#, Culprit::Issuer, "algorithm"),
        (r#"{"alg":"es256"}"#, Culprit::Issuer, "algorithm"),
        (r#"{"alg":"ES384"}"#, Culprit::Issuer, "algorithm-mismatch"),
        (r#"{"alg":"ES256","alg":"none"}"#, Culprit::Wire, "jws"),
        (r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, Culprit::Wire, "crit"),
        (r#"{"alg":"ES256","crit":[]}"#, Culprit::Wire, "crit"),
        (r#"{"alg":7}"#, Culprit::Wire, "jws"),
        (r#"{"typ":"JWT"}"#, Culprit::Wire, "jws"),
        (r#"{"alg":"ES256","kid":7}"#, Culprit::Wire, "jws"),
        (r#"{"alg":"ES256","x5c":[]}"#, Culprit::Wire, "jws"),
        (r#"{"alg":"ES256","x5c":["_w"]}"#, Culprit::Wire, "jws"),
        (r#"{"alg":"ES256","x5c":["AA==","AA==","AA==","AA==","AA=="]}"#, Culprit::Wire, "jws"),
        (r#"{"alg":"ES256","jwk":{"kty":"oct","k":"AA"}}"#, Culprit::Wire, "jwk"),
        (r#"["alg"]"#, Culprit::Wire, "jws"),
        ("", Culprit::Wire, "jws"),
    ] {
        check(&header(text), key, Err((culprit, code)));
    }
}

#[test]
fn a_signature_by_another_key_or_of_another_form_is_refused() {
    let (own, other) = (Signatory::new(1), Signatory::new(2));
    let text = own.jws("a+jwt", &json!({"a": 1}));
    check(&text, &own.key, Ok(()));
    check(&text, &other.key, Err((Culprit::Issuer, "signature")));
    let (input, _) = text.rsplit_once('.').unwrap();
    for (tail, culprit, code) in [
        ("", Culprit::Issuer, "signature"),
        ("AAAA", Culprit::Issuer, "signature"),
        ("A", Culprit::Wire, "jws"),
        ("AA==", Culprit::Wire, "jws"),
    ] {
        check(&format!("{input}.{tail}"), &own.key, Err((culprit, code)));
    }
    for form in ["", ".", "..", "a.b", &format!("{text}.{text}"), &format!(" {text}")] {
        check(form, &own.key, Err((Culprit::Wire, "jws")));
    }
}

#[test]
fn a_payload_with_a_member_twice_is_refused_after_its_signature_held() {
    let text = Signatory::new(1).raw_jws(r#"{"alg":"ES256"}"#, r#"{"sub":"a","sub":"b"}"#);
    let jws = Jws::parse(&text, Culprit::Holder).unwrap();
    assert_eq!(jws.verify(PROVIDERS[0], &Signatory::new(1).key), Ok(()));
    assert_eq!(jws.claims().unwrap_err().code, "jws");
}

#[test]
fn typ_is_compared_as_a_media_type() {
    for (typ, expected) in [
        ("kb+jwt", true),
        ("KB+JWT", true),
        ("application/kb+jwt", true),
        ("Application/kb+jwt", true),
        ("text/kb+jwt", false),
        ("kb+jwt2", false),
        ("", false),
    ] {
        let text = Signatory::new(1).jws(typ, &json!({}));
        let jws = Jws::parse(&text, Culprit::Holder).unwrap();
        let verdict = jws.require_typ("kb+jwt").map_err(|rejection| rejection.code);
        assert_eq!(verdict, if expected { Ok(()) } else { Err("typ") }, "{typ}");
    }
}

fn complete(unsigned: Unsigned<CompactJws>, signature: &[u8]) -> String {
    let signature = Signature::new(unsigned.algorithm(), signature).unwrap();
    unsigned.complete(&signature).into_string()
}

#[test]
fn what_is_signed_here_verifies_by_every_algorithm() {
    let [leaf, root] = chain(&Signatory::new(1), &Signatory::new(2));
    let x5c = [&leaf[..], &root[..]];
    let claims = Map::from_iter([("a".to_owned(), json!(["b"]))]);
    let es256 = Signatory::new(2);
    let es384 = p384::ecdsa::SigningKey::from_slice(&[3; 48]).unwrap();
    let eddsa = ed25519_dalek::SigningKey::from_bytes(&[4; 32]);
    let es384_key = es384.verifying_key().to_sec1_point(false).as_bytes().try_into().unwrap();
    let composite = CompositeSigner::new(5);
    let keys = [
        es256.key.clone(),
        PublicKey::P384(es384_key),
        PublicKey::Ed25519(eddsa.verifying_key().to_bytes()),
        composite.key.clone(),
    ];
    for key in keys {
        let header = HeaderParts {
            algorithm: key.algorithm(),
            typ: "openid4vci-proof+jwt",
            kid: Some("k"),
            x5c: &x5c,
            jwk: Some(&key),
            key_attestation: None,
        };
        let unsigned = sign(header, &claims);
        let message = unsigned.to_be_signed().to_vec();
        let text = match key.algorithm() {
            Algorithm::Es256 => complete(unsigned, es256.signature(&message).as_bytes()),
            Algorithm::Es384 => {
                let signature: p384::ecdsa::Signature = es384.sign(&message);
                complete(unsigned, &signature.to_bytes())
            }
            Algorithm::EdDsa => complete(unsigned, &eddsa.sign(&message).to_bytes()),
            Algorithm::MlDsa44Es256 => complete(unsigned, composite.signature(&message).as_bytes()),
        };
        check(&text, &key, Ok(()));
        let jws = Jws::parse(&text, Culprit::Holder).unwrap();
        assert_eq!(jws.header.jwk, Some(key));
        assert_eq!(jws.header.kid.as_deref(), Some("k"));
        assert_eq!(jws.header.x5c, [leaf.clone(), root.clone()]);
        assert_eq!(jws.header.members["x5c"][0], Base64::encode_string(&leaf));
        assert_eq!(jws.claims().unwrap().members(), &claims);
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text: String, key: Vec<u8>) {
        let _ = Jws::parse(&text, Culprit::Wire);
        let _ = jwk::parse(&json!({"kty": "EC", "crv": "P-256", "x": base64url::encode(&key), "y": text}));
    }

    #[test]
    fn arbitrary_headers_and_payloads_never_panic(header: String, payload: String) {
        let text = Signatory::new(1).raw_jws(&header, &payload);
        let _ = Jws::parse(&text, Culprit::Wire).and_then(|jws| jws.claims());
    }

    #[test]
    fn a_changed_character_is_noticed(at in 0..RFC7515_A3.len(), to in "[A-Za-z0-9_.=-]") {
        let mut text = RFC7515_A3.to_owned();
        text.replace_range(at..=at, &to);
        let key = jwk::parse(&rfc7515_key()).unwrap();
        prop_assert_eq!(verdict(&text, &key).is_ok(), text == RFC7515_A3);
    }
}
