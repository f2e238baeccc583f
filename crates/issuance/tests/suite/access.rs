//! Access tokens and DPoP proofs: every way to show them wrongly, beside the right one.

use credential::rustcrypto::RustCrypto;
use issuance::access::AUTHORIZATION_BYTES_MAX;
use issuance::dpop::{BoundRequest, DPOP_WINDOW, DpopError, JTI_BYTES_MAX, verify_dpop};
use serde_json::{Value, json};

use crate::city::{City, NOW, at, badge, ticket};
use crate::wallet::{Draft, Key, ath, dpop};

const URL: &str = "https://city.example/issuers/harbour/credential";

/// A bound token of a city, and the draft of a good proof for it.
fn bound(key: &Key) -> (City, String, Draft) {
    let mut city = City::with(badge());
    let (form, proof) = (city.form(), city.token_proof(key, "token", NOW));
    let token = city.token(&form, Some(&proof), NOW).ok().unwrap().token.reveal().to_owned();
    let draft = dpop(key, URL, "one", NOW).claim("ath", ath(&token));
    (city, token, draft)
}

fn check(edit: impl Fn(Draft) -> Draft, expected: Option<&str>) {
    let key = Key::new(31);
    let (city, token, draft) = bound(&key);
    let text = edit(draft).sign(&key);
    let outcome = city.access(&format!("DPoP {token}"), Some(&text), NOW);
    assert_eq!(outcome.err().map(|refusal| refusal.code()), expected);
}

#[test]
fn proof_must_be_for_this_request_now_and_by_the_key_of_the_token() {
    let bad = Some("dpop-proof");
    let window = i64::try_from(DPOP_WINDOW.as_secs()).unwrap();
    check(|draft| draft, None);
    check(|draft| draft.claim("htm", json!("GET")), bad);
    check(|draft| draft.claim("htu", json!("https://city.example/issuers/other/credential")), bad);
    check(|draft| draft.claim("htu", json!(format!("{URL}?a=b#c"))), None);
    check(|draft| draft.claim("ath", ath("another token")), bad);
    check(|draft| draft.claim("ath", Value::Null), bad);
    check(|draft| draft.claim("jti", Value::Null), bad);
    check(|draft| draft.claim("jti", json!("")), bad);
    check(|draft| draft.claim("jti", json!("a".repeat(JTI_BYTES_MAX))), None);
    check(|draft| draft.claim("jti", json!("a".repeat(JTI_BYTES_MAX + 1))), bad);
    check(|draft| draft.claim("iat", Value::Null), bad);
    check(|draft| draft.claim("iat", json!(NOW - window)), None);
    check(|draft| draft.claim("iat", json!(NOW - window - 1)), bad);
    check(|draft| draft.claim("iat", json!(NOW + window)), None);
    check(|draft| draft.claim("iat", json!(NOW + window + 1)), bad);
    check(|draft| draft.header("typ", json!("JWT")), bad);
    check(|draft| draft.header("alg", json!("none")), bad);
    check(|draft| draft.header("alg", json!("ES384")), bad);
    check(|draft| draft.header("jwk", Value::Null), bad);
    check(|draft| draft.header("jwk", Key::new(32).jwk()), bad);
    let private = crate::wallet::with(Key::new(31).jwk(), "d", json!("AA"));
    check(move |draft| draft.header("jwk", private.clone()), bad);
}

#[test]
fn stolen_token_is_of_no_use_without_its_key() {
    let key = Key::new(31);
    let thief = Key::new(32);
    let (city, token, draft) = bound(&key);
    let refused = |header: &str, proof: Option<&str>| {
        city.access(header, proof, NOW).err().map(|refusal| refusal.code())
    };
    let own = draft.clone().header("jwk", thief.jwk()).sign(&thief);
    assert_eq!(refused(&format!("DPoP {token}"), Some(&own)), Some("dpop-key"));
    assert_eq!(refused(&format!("DPoP {token}"), None), Some("dpop-missing"));
    assert_eq!(refused(&format!("Bearer {token}"), None), Some("authorization-scheme"));
    assert_eq!(refused(&format!("DPoP {token}"), Some(&draft.sign(&key))), None);
}

#[test]
fn bearer_token_is_good_until_it_expires_and_unknown_ones_never() {
    let mut city = City::with(ticket());
    let form = city.form();
    let token = city.token(&form, None, NOW).ok().unwrap().token.reveal().to_owned();
    let check = |header: &str, seconds, expected: Option<&str>| {
        let refusal = city.access(header, None, seconds).err();
        assert_eq!(refusal.map(|refusal| refusal.code()), expected, "{header} at {seconds}");
    };
    check(&format!("Bearer {token}"), NOW + 599, None);
    check(&format!("bearer {token}"), NOW, None);
    check(&format!("Bearer {token}"), NOW + 600, Some("access-token-expired"));
    check(&format!("DPoP {token}"), NOW, Some("authorization-scheme"));
    check(&format!("Bearer {}", "A".repeat(43)), NOW, Some("access-token"));
    check(&format!("Basic {token}"), NOW, Some("authorization"));
    check(&token, NOW, Some("authorization"));
    check("", NOW, Some("authorization"));
    let long = |bytes: usize| format!("Bearer {}", "A".repeat(bytes - "Bearer ".len()));
    check(&long(AUTHORIZATION_BYTES_MAX), NOW, Some("access-token"));
    check(&long(AUTHORIZATION_BYTES_MAX + 1), NOW, Some("authorization"));
}

#[test]
fn proof_leaves_the_same_mark_however_often_it_is_shown() {
    let key = Key::new(31);
    let request = BoundRequest { method: "POST", url: URL, access_token: None };
    let mark = |key: &Key, jti, seconds| {
        let text = dpop(key, URL, jti, NOW).sign(key);
        verify_dpop(&RustCrypto, &text, request, at(seconds)).unwrap().once().clone()
    };
    assert_eq!(mark(&key, "one", NOW), mark(&key, "one", NOW + 60));
    assert_ne!(mark(&key, "one", NOW).digest, mark(&key, "two", NOW).digest);
    assert_ne!(mark(&key, "one", NOW).digest, mark(&Key::new(32), "one", NOW).digest);
    // The mark outlives the window of the proof.
    let expires_at = mark(&key, "one", NOW).expires_at;
    let text = dpop(&key, URL, "one", NOW).sign(&key);
    assert_eq!(verify_dpop(&RustCrypto, &text, request, expires_at), Err(DpopError::Date));
}

#[test]
fn challenge_names_the_error_and_the_algorithms() {
    let city = City::with(ticket());
    let refusal = city.access("Bearer unknown", None, NOW).unwrap_err();
    assert_eq!(refusal.challenge(), r#"DPoP error="invalid_token", algs="ES256""#);
    let refusal = city.access("", None, NOW).unwrap_err();
    assert_eq!(refusal.challenge(), r#"DPoP algs="ES256""#);
}
