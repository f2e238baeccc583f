//! The credential endpoint: every bad proof, nonce, attestation and request, beside a good one.

use credential::crypto::{Crypto, P256Secret};
use credential::jose::base64url;
use credential::rustcrypto::RustCrypto;
use issuance::attestation::{ATTESTED_KEYS_MAX, Attester, LEVELS_MAX};
use issuance::collect::{CollectRefusal, CollectRequest};
use issuance::nonce::NonceKey;
use issuance::pass::{Carried, suspend_pass};
use issuance::product::{AttestationLevel, Bearer, RightsTemplate, Stake, Terms};
use issuance::proof::PROOFS_MAX;
use issuance::wire;
use issuance::wire::credential::REQUEST_BYTES_MAX;
use policy::action::Action;
use serde_json::{Value, json};

use crate::city::{City, NOW, at, staff, ticket};
use crate::wallet::{Draft, Key, attestation, proof};

const ISSUER: &str = "https://city.example/issuers/harbour";
const SOFTWARE: &str = "urn:limen:key-storage:software";

fn city(level: AttestationLevel) -> City {
    City::with(Terms { attestation_min: level, stake: Stake::Low, ..ticket() })
}

fn body(proofs: &[String]) -> Value {
    json!({"credential_configuration_id": "day-ticket.mso_mdoc", "proofs": {"jwt": proofs}})
}

fn read(body: &Value) -> Result<CollectRequest, CollectRefusal> {
    wire::credential::read(body.to_string().as_bytes())
}

/// The code and the wallet's error of the refusal of one request, after it was decided in full.
fn outcome(city: &mut City, body: &Value, seconds: i64) -> Option<(&'static str, &'static str)> {
    let access = city.entered(&Key::new(99), &format!("{seconds}"), NOW);
    let decided = read(body).and_then(|request| city.collect(&access, &request, seconds));
    decided.err().map(|refusal| (refusal.code(), refusal.oauth_error()))
}

fn check_proof(edit: impl Fn(Draft) -> Draft, expected: Option<(&str, &str)>) {
    let mut city = city(AttestationLevel::None);
    let key = Key::new(31);
    let nonce = city.nonce(NOW);
    let text = edit(proof(&key, ISSUER, &nonce, NOW)).sign(&key);
    assert_eq!(outcome(&mut city, &body(&[text]), NOW), expected);
}

#[test]
fn proof_must_name_this_issuer_its_nonce_its_key_and_now() {
    let bad = Some(("proof", "invalid_proof"));
    check_proof(|draft| draft, None);
    check_proof(|draft| draft.claim("aud", json!("https://city.example/issuers/other")), bad);
    check_proof(|draft| draft.claim("aud", json!([ISSUER])), bad);
    check_proof(|draft| draft.claim("aud", Value::Null), bad);
    check_proof(|draft| draft.claim("iat", json!(NOW - 300)), None);
    check_proof(|draft| draft.claim("iat", json!(NOW - 301)), bad);
    check_proof(|draft| draft.claim("iat", json!(NOW + 300)), None);
    check_proof(|draft| draft.claim("iat", json!(NOW + 301)), bad);
    check_proof(|draft| draft.claim("iat", Value::Null), bad);
    check_proof(|draft| draft.claim("nonce", Value::Null), bad);
    check_proof(|draft| draft.claim("nonce", json!("guess")), Some(("nonce", "invalid_nonce")));
    check_proof(|draft| draft.header("typ", json!("JWT")), bad);
    check_proof(|draft| draft.header("typ", json!("dpop+jwt")), bad);
    check_proof(|draft| draft.header("typ", Value::Null), bad);
    check_proof(|draft| draft.header("alg", json!("none")), bad);
    check_proof(|draft| draft.header("alg", json!("HS256")), bad);
    check_proof(|draft| draft.header("alg", json!("ES384")), bad);
    check_proof(|draft| draft.header("alg", json!("EdDSA")), bad);
    check_proof(|draft| draft.header("jwk", Key::new(32).jwk()), bad);
    check_proof(|draft| draft.header("jwk", Value::Null), bad);
    check_proof(|draft| draft.header("kid", json!("0")), bad);
    check_proof(|draft| draft.header("jwk", Value::Null).header("kid", json!("0")), bad);
    check_proof(|draft| draft.header("crit", json!(["b64"])), bad);
}

#[test]
fn nonce_is_good_once_for_a_while_and_for_its_issuer() {
    let mut city = city(AttestationLevel::None);
    let key = Key::new(31);
    let signed = |nonce: &str, seconds| proof(&key, ISSUER, nonce, seconds).sign(&key);
    let nonce = city.nonce(NOW);
    let good = body(&[signed(&nonce, NOW)]);
    let stale = Some(("nonce", "invalid_nonce"));
    assert_eq!(outcome(&mut city, &body(&[signed(&nonce, NOW + 299)]), NOW + 299), None);
    assert_eq!(outcome(&mut city, &body(&[signed(&nonce, NOW + 300)]), NOW + 300), stale);

    let access = city.entered(&Key::new(99), "once", NOW);
    let collected = city.collect(&access, &read(&good).unwrap(), NOW).unwrap();
    city.rows.commit(collected.changes).unwrap();
    let access = city.entered(&Key::new(99), "twice", NOW);
    let again = city.collect(&access, &read(&good).unwrap(), NOW).unwrap();
    assert!(city.rows.commit(again.changes).is_err(), "the nonce was used before");
    let fresh = city.nonce(NOW);
    let fresh = body(&[signed(&fresh, NOW)]);
    let control = city.collect(&access, &read(&fresh).unwrap(), NOW).unwrap();
    assert!(city.rows.commit(control.changes).is_ok());

    city.nonce_key = NonceKey::new([8; 32]);
    assert_eq!(outcome(&mut city, &good, NOW), stale);
}

#[test]
fn all_proofs_of_a_request_carry_one_nonce() {
    let mut city = city(AttestationLevel::None);
    let keys = [Key::new(31), Key::new(32)];
    let nonces = [city.nonce(NOW), city.nonce(NOW)];
    let signed =
        |key: usize, nonce: usize| proof(&keys[key], ISSUER, &nonces[nonce], NOW).sign(&keys[key]);
    assert_eq!(outcome(&mut city, &body(&[signed(0, 0), signed(1, 0)]), NOW), None);
    let two = outcome(&mut city, &body(&[signed(0, 0), signed(1, 1)]), NOW + 1);
    assert_eq!(two, Some(("nonce", "invalid_nonce")));
}

#[test]
fn one_key_twice_gets_one_document() {
    let mut city = city(AttestationLevel::None);
    let key = Key::new(31);
    let nonce = city.nonce(NOW);
    let text = proof(&key, ISSUER, &nonce, NOW).sign(&key);
    let access = city.entered(&key, "one", NOW);
    let request = read(&body(&[text.clone(), text])).unwrap();
    assert_eq!(city.collect(&access, &request, NOW).unwrap().documents.len(), 1);
}

#[test]
fn one_bad_proof_among_good_ones_refuses_them_all() {
    let mut city = city(AttestationLevel::None);
    let keys = [Key::new(31), Key::new(32)];
    let nonce = city.nonce(NOW);
    let good = proof(&keys[0], ISSUER, &nonce, NOW);
    let bad = proof(&keys[1], ISSUER, &nonce, NOW).sign(&keys[0]);
    let refusal = outcome(&mut city, &body(&[good.sign(&keys[0]), bad]), NOW);
    assert_eq!(refusal, Some(("proof", "invalid_proof")));
}

#[test]
fn proofs_hold_to_their_limit() {
    let mut city = city(AttestationLevel::None);
    let nonce = city.nonce(NOW);
    let signed = |count: usize| -> Vec<String> {
        let key = |n| Key::new(u8::try_from(n).unwrap() + 1);
        (0..count).map(|n| proof(&key(n), ISSUER, &nonce, NOW).sign(&key(n))).collect()
    };
    let missing = Some(("proofs-missing", "invalid_proof"));
    assert_eq!(outcome(&mut city, &body(&signed(PROOFS_MAX)), NOW), None);
    assert_eq!(outcome(&mut city, &body(&signed(PROOFS_MAX + 1)), NOW + 1), missing);
    assert_eq!(outcome(&mut city, &body(&[]), NOW + 2), missing);
}

#[test]
fn request_is_read_strictly() {
    let mut city = city(AttestationLevel::None);
    let key = Key::new(31);
    let nonce = city.nonce(NOW);
    let good = body(&[proof(&key, ISSUER, &nonce, NOW).sign(&key)]);
    let mut check = |edit: &dyn Fn(&mut Value), expected: Option<&str>| {
        let mut body = good.clone();
        edit(&mut body);
        let refusal = outcome(&mut city, &body, NOW);
        assert_eq!(refusal.map(|(_, error)| error), expected, "{body}");
        city.rows.onces.clear();
    };
    let unknown = Some("unknown_credential_configuration");
    check(&|_| (), None);
    check(&|body| body["colour"] = json!("blue"), Some("invalid_credential_request"));
    check(&|body| body["proofs"]["colour"] = json!("blue"), Some("invalid_credential_request"));
    check(&|body| body["proof"] = json!({}), Some("invalid_credential_request"));
    check(
        &|body| body["credential_configuration_id"] = json!(7),
        Some("invalid_credential_request"),
    );
    check(&|body| body["credential_configuration_id"] = json!("day-ticket"), unknown);
    check(&|body| body["credential_configuration_id"] = json!("day-ticket.jwt_vc_json"), unknown);
    check(&|body| body["credential_configuration_id"] = json!("year-ticket.mso_mdoc"), unknown);
    let named = &|body: &mut Value| body["credential_identifier"] = json!("a");
    check(named, Some("unknown_credential_identifier"));
    let encrypted = &|body: &mut Value| body["credential_response_encryption"] = json!({});
    check(encrypted, Some("invalid_encryption_parameters"));
    check(&|body| drop(body.as_object_mut().unwrap().remove("proofs")), Some("invalid_proof"));
    let both = &|body: &mut Value| body["proofs"]["attestation"] = json!(["a"]);
    check(both, Some("invalid_proof"));
    check(&|body| body["proofs"] = json!({"attestation": ["a", "b"]}), Some("invalid_proof"));
    check(&|body| body["proofs"] = json!({}), Some("invalid_proof"));
}

#[test]
fn bodies_that_are_no_request_are_refused() {
    let padded = |bytes: usize| {
        let body = body(&["a.b.c".into()]).to_string();
        format!("{body}{}", " ".repeat(bytes - body.len()))
    };
    let read = |text: &str| wire::credential::read(text.as_bytes()).err();
    assert_eq!(read(&padded(REQUEST_BYTES_MAX)), None);
    assert_eq!(read(&padded(REQUEST_BYTES_MAX + 1)), Some(CollectRefusal::Form));
    for text in ["", "[]", "null", "{", r#"{"proofs":{},"proofs":{}}"#, "\u{feff}{}"] {
        assert_eq!(read(text), Some(CollectRefusal::Form), "{text}");
    }
}

#[test]
fn pass_out_of_force_gives_no_documents_and_an_overtaken_collection_none_either() {
    let mut city = city(AttestationLevel::None);
    let key = Key::new(31);
    let nonce = city.nonce(NOW);
    let request = read(&body(&[proof(&key, ISSUER, &nonce, NOW).sign(&key)])).unwrap();
    let access = city.entered(&key, "one", NOW);
    let collected = city.collect(&access, &request, NOW).unwrap();
    let pass = city.rows.passes[0].clone();
    let permit = staff(Action::PassSuspend);
    city.rows.commit(suspend_pass(&permit, &pass, Carried::default(), at(NOW)).unwrap()).unwrap();
    assert!(city.rows.commit(collected.changes).is_err(), "suspended meanwhile");
    assert!(city.rows.documents.is_empty());
    let refusal = city.collect(&access, &request, NOW).err().unwrap();
    assert_eq!(
        (refusal.code(), refusal.oauth_error()),
        ("pass-state", "credential_request_denied")
    );
}

// Key attestations.

fn check_attested(
    level_min: AttestationLevel,
    edit: impl Fn(Draft) -> Draft,
    expected: Option<&str>,
) {
    let mut city = city(level_min);
    let key = Key::new(31);
    let nonce = city.nonce(NOW);
    let vouched = edit(attestation(&[&key], SOFTWARE, &nonce, NOW)).sign(&key);
    let draft = proof(&key, ISSUER, &nonce, NOW).header("key_attestation", vouched.into());
    let refusal = outcome(&mut city, &body(&[draft.sign(&key)]), NOW);
    assert_eq!(refusal.map(|(code, _)| code), expected);
}

#[test]
fn attestation_must_hold_in_every_part() {
    let bad = Some("key-attestation");
    let check = |edit: &dyn Fn(Draft) -> Draft, expected| {
        check_attested(AttestationLevel::Software, edit, expected);
    };
    check(&|draft| draft, None);
    check(&|draft| draft.header("typ", json!("keyattestation+jwt")), bad);
    check(&|draft| draft.header("typ", json!("openid4vci-proof+jwt")), bad);
    check(&|draft| draft.header("alg", json!("ES384")), bad);
    check(&|draft| draft.header("jwk", Key::new(32).jwk()), bad);
    check(&|draft| draft.header("jwk", Value::Null), bad);
    check(&|draft| draft.claim("iat", Value::Null), bad);
    check(&|draft| draft.claim("iat", json!(NOW + 3600)), bad);
    check(&|draft| draft.claim("exp", Value::Null), bad);
    check(&|draft| draft.claim("exp", json!(NOW)), bad);
    check(&|draft| draft.claim("attested_keys", json!([])), bad);
    check(&|draft| draft.claim("attested_keys", json!(["key"])), bad);
    check(&|draft| draft.claim("attested_keys", json!([Key::new(32).jwk()])), Some("proof"));
    check(&|draft| draft.claim("nonce", Value::Null), Some("proof"));
    check(&|draft| draft.claim("nonce", json!("guess")), Some("nonce"));
    check(&|draft| draft.claim("key_storage", json!([])), bad);
    check(&|draft| draft.claim("key_storage", json!("software")), bad);
    check(&|draft| draft.claim("key_storage", json!(vec![SOFTWARE; LEVELS_MAX])), None);
    check(&|draft| draft.claim("key_storage", json!(vec![SOFTWARE; LEVELS_MAX + 1])), bad);
}

#[test]
fn level_of_a_product_is_a_minimum_and_no_wallet_vouches_for_more_than_software() {
    use AttestationLevel as L;
    let bad = Some("key-attestation");
    let level = |name: &'static str| move |draft: Draft| draft.claim("key_storage", json!([name]));
    check_attested(L::None, level("iso_18045_high"), bad);
    check_attested(L::Software, level("iso_18045_basic"), bad);
    check_attested(L::Software, level(SOFTWARE), None);
    check_attested(L::Software, level("https://example.com/unheard-of"), bad);
    check_attested(L::None, level("https://example.com/unheard-of"), None);
    check_attested(L::Basic, level(SOFTWARE), bad);
    check_attested(L::Software, |draft| draft.claim("key_storage", Value::Null), bad);

    let mut unattested = city(L::Software);
    let key = Key::new(31);
    let nonce = unattested.nonce(NOW);
    let bare = body(&[proof(&key, ISSUER, &nonce, NOW).sign(&key)]);
    let refusal = outcome(&mut unattested, &bare, NOW);
    assert_eq!(refusal, Some(("key-attestation", "invalid_proof")));
}

#[test]
fn listed_attester_vouches_up_to_its_own_level() {
    use AttestationLevel as L;
    let maker = Key::new(51);
    let cases = [
        ("maker", "iso_18045_basic", L::Moderate, Some("key-attestation")),
        ("maker", "iso_18045_moderate", L::Moderate, None),
        ("maker", "iso_18045_high", L::Moderate, Some("key-attestation")),
        ("other", "iso_18045_moderate", L::Moderate, Some("key-attestation")),
        ("maker", "iso_18045_basic", L::Basic, None),
    ];
    for (kid, level, level_min, expected) in cases {
        let mut city = city(level_min);
        let listed =
            Attester { kid: "maker".into(), key: maker.public.clone(), level_max: L::Moderate };
        city.attesters.push(listed);
        let key = Key::new(31);
        let nonce = city.nonce(NOW);
        let draft = attestation(&[&key], level, &nonce, NOW);
        let vouched = draft.header("jwk", Value::Null).header("kid", json!(kid)).sign(&maker);
        let draft = proof(&key, ISSUER, &nonce, NOW).header("key_attestation", vouched.into());
        let refusal = outcome(&mut city, &body(&[draft.sign(&key)]), NOW);
        assert_eq!(refusal.map(|(code, _)| code), expected, "{kid} {level}");
    }
}

#[test]
fn pass_of_its_holder_alone_asks_for_a_device_that_makes_sure_of_its_user() {
    use AttestationLevel as L;
    let maker = Key::new(51);
    let check = |bearer, level_min, level: &str, user: Value, expected: Option<&str>| {
        for is_alone in [false, true] {
            let rights = RightsTemplate { bearer, ..ticket().rights };
            let mut city = City::with(Terms { attestation_min: level_min, rights, ..ticket() });
            let listed =
                Attester { kid: "maker".into(), key: maker.public.clone(), level_max: L::Moderate };
            city.attesters.push(listed);
            let key = Key::new(31);
            let nonce = city.nonce(NOW);
            let draft = attestation(&[&key], level, &nonce, NOW);
            let draft = draft.claim("user_authentication", user.clone());
            let vouched = draft.header("jwk", maker.jwk()).sign(&maker);
            let body = if is_alone {
                let proofs = json!({"attestation": [vouched]});
                json!({"credential_configuration_id": "day-ticket.mso_mdoc", "proofs": proofs})
            } else {
                let draft = proof(&key, ISSUER, &nonce, NOW);
                body(&[draft.header("key_attestation", vouched.into()).sign(&key)])
            };
            let refusal = outcome(&mut city, &body, NOW).map(|(code, _)| code);
            assert_eq!(refusal, expected, "{bearer:?} {level} {user} {is_alone}");
        }
    };
    let (basic, moderate) = ("iso_18045_basic", "iso_18045_moderate");
    let bad = Some("key-attestation");
    use Bearer::{Anyone, HolderOnly};
    check(HolderOnly, L::Moderate, moderate, json!([moderate]), None);
    check(HolderOnly, L::Moderate, moderate, json!([basic]), bad);
    check(HolderOnly, L::Moderate, moderate, Value::Null, bad);
    check(HolderOnly, L::Moderate, moderate, json!([]), bad);
    check(HolderOnly, L::Moderate, moderate, json!("iso_18045_moderate"), bad);
    check(HolderOnly, L::Moderate, moderate, json!(vec![moderate; LEVELS_MAX]), None);
    check(HolderOnly, L::Moderate, moderate, json!(vec![moderate; LEVELS_MAX + 1]), bad);
    check(HolderOnly, L::Basic, moderate, json!([basic]), None);
    // Nobody vouches for more than the city lets it.
    check(Anyone, L::None, basic, json!(["iso_18045_high"]), bad);
    // The controls: where anyone may use it, or the wallet's own word suffices, nothing is asked.
    let nothing = json!(["https://example.com/unheard-of"]);
    check(Anyone, L::Moderate, moderate, nothing.clone(), None);
    check(HolderOnly, L::Software, SOFTWARE, nothing.clone(), None);
    check(HolderOnly, L::None, SOFTWARE, nothing, None);
}

#[test]
fn proof_may_name_an_attested_key_by_its_place() {
    for (kid, expected) in [("1", None), ("0", Some("proof")), ("7", Some("proof"))] {
        let mut city = city(AttestationLevel::Software);
        let keys = [Key::new(31), Key::new(32)];
        let nonce = city.nonce(NOW);
        let vouched = attestation(&[&keys[0], &keys[1]], SOFTWARE, &nonce, NOW).sign(&keys[0]);
        let draft = proof(&keys[1], ISSUER, &nonce, NOW).header("jwk", Value::Null);
        let draft = draft.header("kid", json!(kid)).header("key_attestation", vouched.into());
        let refusal = outcome(&mut city, &body(&[draft.sign(&keys[1])]), NOW);
        assert_eq!(refusal.map(|(code, _)| code), expected, "kid {kid}");
    }
}

#[test]
fn attested_keys_hold_to_their_limit() {
    for (count, expected) in
        [(ATTESTED_KEYS_MAX, None), (ATTESTED_KEYS_MAX + 1, Some("key-attestation"))]
    {
        let mut city = city(AttestationLevel::Software);
        let maker = Key::new(51);
        let listed = Attester {
            kid: "maker".into(),
            key: maker.public.clone(),
            level_max: AttestationLevel::Software,
        };
        city.attesters.push(listed);
        let keys: Vec<Key> = (0..count).map(|n| Key::new(u8::try_from(n).unwrap() + 1)).collect();
        let keys: Vec<&Key> = keys.iter().collect();
        let nonce = city.nonce(NOW);
        let draft = attestation(&keys, SOFTWARE, &nonce, NOW).header("jwk", maker.jwk());
        let refusal = outcome(&mut city, &attested_body(&draft.sign(&maker)), NOW);
        assert_eq!(refusal.map(|(code, _)| code), expected, "{count} keys");
    }
}

fn attested_body(attestation: &str) -> Value {
    json!({
        "credential_configuration_id": "day-ticket.mso_mdoc",
        "proofs": {"attestation": [attestation]},
    })
}

#[test]
fn wallets_own_word_proves_no_key_but_the_one_that_signed_it() {
    let mut city = city(AttestationLevel::Software);
    let (own, foreign) = (Key::new(31), Key::new(32));
    let nonce = city.nonce(NOW);
    let both = attestation(&[&own, &foreign], SOFTWARE, &nonce, NOW);

    // As a proof of its own: one key, which signed, or nothing.
    let refusal = outcome(&mut city, &attested_body(&both.sign(&own)), NOW);
    assert_eq!(refusal, Some(("proof", "invalid_proof")));
    let about_another = both.clone().claim("attested_keys", json!([foreign.jwk()]));
    let refusal = outcome(&mut city, &attested_body(&about_another.sign(&own)), NOW + 1);
    assert_eq!(refusal, Some(("proof", "invalid_proof")));
    let about_itself = both.clone().claim("attested_keys", json!([own.jwk()]));
    assert_eq!(outcome(&mut city, &attested_body(&about_itself.sign(&own)), NOW + 2), None);

    // In the header of proofs: a document for each key that signed one, and for no other.
    let vouched = both.sign(&own);
    let signed = |key: &Key| {
        let draft = proof(key, ISSUER, &nonce, NOW);
        draft.header("key_attestation", vouched.clone().into()).sign(key)
    };
    for (proofs, documents) in [(vec![signed(&own)], 1), (vec![signed(&own), signed(&foreign)], 2)]
    {
        let access = city.entered(&Key::new(99), &format!("header-{documents}"), NOW);
        let request = read(&body(&proofs)).unwrap();
        assert_eq!(city.collect(&access, &request, NOW).unwrap().documents.len(), documents);
    }
}

#[test]
fn signature_that_does_not_verify_is_refused() {
    let mut city = city(AttestationLevel::None);
    let key = Key::new(31);
    let nonce = city.nonce(NOW);
    let text = proof(&key, ISSUER, &nonce, NOW).sign(&key);
    let (input, _) = text.rsplit_once('.').unwrap();
    let other = RustCrypto.p256_sign(&P256Secret::from_bytes([32; 32]), input.as_bytes()).unwrap();
    let forged = format!("{input}.{}", base64url::encode(other.as_bytes()));
    let refusal = outcome(&mut city, &body(&[forged]), NOW);
    assert_eq!(refusal, Some(("proof", "invalid_proof")));
    assert_eq!(outcome(&mut city, &body(&[text]), NOW + 1), None);
}
