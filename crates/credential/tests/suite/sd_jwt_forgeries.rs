//! What must be refused of an SD-JWT, each with the control that the same thing unforged passes.

use std::sync::LazyLock;

use credential::crypto::{Algorithm, HashAlgorithm, PublicKey};
use credential::jose::{HeaderParts, base64url, jwk};
use credential::rejection::Culprit;
use credential::sd_jwt::{
    CredentialRequest, DISCLOSURES_MAX, Decoys, Disclosure, Expectation, IssueError,
    KeyBindingRule, PLACE_BYTES_MAX, Presence, Profile, Salt, SdJwt, Window, verify,
};
use credential::status::StatusReference;
use credential::x509::TrustAnchors;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::sd_jwt::salts;
use crate::tokens::{PROVIDERS, Signatory, at, chain};

pub(crate) const NOW: i64 = 1_700_000_000;
const VCT: &str = "urn:limen:pass:1";

pub(crate) type Verdict<'a> = Result<(), (Culprit, &'a str)>;

pub(crate) fn issuer() -> Signatory {
    Signatory::new(1)
}

pub(crate) fn holder() -> Signatory {
    Signatory::new(2)
}

pub(crate) fn expectation<'a>(anchors: &'a TrustAnchors, profile: Profile<'a>) -> Expectation<'a> {
    let key_binding = KeyBindingRule {
        presence: Presence::Optional,
        audience: None,
        nonce: None,
        window: Window::default(),
    };
    Expectation { anchors, at: at(NOW), profile, key_binding }
}

fn verdict(text: &str, expectation: &Expectation<'_>) -> Verdict<'static> {
    let verdicts = PROVIDERS.map(|crypto| {
        verify(crypto, text, expectation)
            .map(drop)
            .map_err(|rejection| (rejection.culprit, rejection.code))
    });
    assert_eq!(verdicts[0], verdicts[1], "the providers disagree about {text}");
    verdicts[0]
}

#[track_caller]
pub(crate) fn check(text: &str, expectation: &Expectation<'_>, expected: Verdict<'_>) {
    assert_eq!(verdict(text, expectation), expected, "{text}");
}

fn disclosure(contents: &Value) -> String {
    base64url::encode(contents.to_string().as_bytes())
}

pub(crate) fn digest(disclosure: &str) -> String {
    base64url::encode(&PROVIDERS[0].sha256(disclosure.as_bytes()))
}

/// An SD-JWT of a payload and disclosures as they are, and its verdict.
#[track_caller]
fn check_parts(payload: &Value, disclosures: &[&str], expected: Verdict<'_>) {
    let mut text = issuer().jws("example+sd-jwt", payload) + "~";
    disclosures.iter().for_each(|disclosure| text += &format!("{disclosure}~"));
    check(&text, &expectation(&issuer().pinned(), Profile::SdJwt), expected);
}

const RULE: Verdict<'static> = Err((Culprit::Issuer, "sd-jwt-rule"));

#[test]
fn disclosures_and_digests_that_do_not_match_are_refused() {
    let (one, two) = (disclosure(&json!(["s", "a", 1])), disclosure(&json!(["t", "a", 1])));
    let payload = json!({"_sd": [digest(&one)]});
    check_parts(&payload, &[&one], Ok(()));
    check_parts(&payload, &[], Ok(()));
    check_parts(&payload, &[&two], Err((Culprit::Issuer, "disclosure-unreferenced")));
    check_parts(&payload, &[&one, &two], Err((Culprit::Issuer, "disclosure-unreferenced")));
    check_parts(&payload, &[&one, &one], Err((Culprit::Wire, "disclosure-repeated")));
    check_parts(&payload, &[&one, ""], Err((Culprit::Wire, "disclosure")));
    let repeated = Err((Culprit::Issuer, "digest-repeated"));
    let twice = json!({"_sd": [digest(&one), digest(&one)]});
    check_parts(&twice, &[&one], repeated);
    check_parts(&twice, &[], repeated);
    let nested = json!({"_sd": [digest(&one)], "b": {"_sd": [digest(&one)]}});
    check_parts(&nested, &[], repeated);
    let element = json!({"_sd": [digest(&one)], "b": [{"...": digest(&one)}]});
    check_parts(&element, &[], repeated);
    // A digest inside a disclosure counts as well.
    let inner = disclosure(&json!(["u", "b", {"_sd": [digest(&one)]}]));
    let recursive = json!({"_sd": [digest(&one), digest(&inner)]});
    check_parts(&recursive, &[&one], Ok(()));
    check_parts(&recursive, &[&inner], repeated);
    // A disclosure that hangs on one that is not shown.
    let outer = json!({"_sd": [digest(&inner)]});
    check_parts(&outer, &[&inner, &one], Ok(()));
    check_parts(&outer, &[&one], Err((Culprit::Issuer, "disclosure-unreferenced")));
}

#[test]
fn disclosed_claims_must_fit_their_place() {
    for name in ["_sd", "...", "_sd_alg"] {
        let bad = disclosure(&json!(["s", name, ["a"]]));
        check_parts(&json!({"_sd": [digest(&bad)]}), &[&bad], RULE);
    }
    let one = disclosure(&json!(["s", "a", 1]));
    let same = disclosure(&json!(["t", "a", 2]));
    check_parts(&json!({"_sd": [digest(&one)], "b": 1}), &[&one], Ok(()));
    check_parts(&json!({"_sd": [digest(&one)], "a": 1}), &[&one], RULE);
    check_parts(&json!({"_sd": [digest(&one), digest(&same)]}), &[&one, &same], RULE);
    check_parts(&json!({"_sd": [digest(&one), digest(&same)]}), &[&same], Ok(()));
    let element = disclosure(&json!(["s", 1]));
    check_parts(&json!({"a": [{"...": digest(&element)}]}), &[&element], Ok(()));
    check_parts(&json!({"_sd": [digest(&element)]}), &[&element], RULE);
    check_parts(&json!({"a": [{"...": digest(&one)}]}), &[&one], RULE);
}

#[test]
fn digests_must_stand_where_they_may() {
    for payload in [
        json!({"_sd": "x"}),
        json!({"_sd": [1]}),
        json!({"_sd": ["x", null]}),
        json!({"_sd": {"a": "x"}}),
        json!({"...": "x"}),
        json!({"a": {"...": "x"}}),
        json!({"a": [{"...": "x", "b": 1}]}),
        json!({"a": [{"...": 1}]}),
        json!({"a": [{"...": ["x"]}]}),
        json!({"a": {"_sd_alg": "sha-256"}}),
        json!({"a": [{"_sd_alg": "sha-256"}]}),
    ] {
        check_parts(&payload, &[], RULE);
    }
    for payload in [json!({"_sd": []}), json!({"a": [{"...": "x"}]}), json!({"a": {"_sd": ["x"]}})]
    {
        check_parts(&payload, &[], Ok(()));
    }
}

#[test]
fn hash_functions_are_those_of_the_list() {
    for (name, expected) in [
        (json!("sha-256"), Ok(())),
        (json!("sha-384"), Ok(())),
        (json!("sha-512"), Ok(())),
        (json!("sha-1"), Err((Culprit::Issuer, "hash-algorithm"))),
        (json!("md5"), Err((Culprit::Issuer, "hash-algorithm"))),
        (json!("SHA-256"), Err((Culprit::Issuer, "hash-algorithm"))),
        (json!(256), Err((Culprit::Issuer, "claim-type"))),
    ] {
        check_parts(&json!({"_sd_alg": name}), &[], expected);
    }
    // The digest must be by the function that is named.
    let one = disclosure(&json!(["s", "a", 1]));
    let other = json!({"_sd_alg": "sha-512", "_sd": [digest(&one)]});
    check_parts(&other, &[&one], Err((Culprit::Issuer, "disclosure-unreferenced")));
}

#[test]
fn malformed_disclosures_are_refused() {
    let encode = |text: &str| base64url::encode(text.as_bytes());
    for text in [
        encode("7"),
        encode("{}"),
        encode("[]"),
        encode(r#"["s"]"#),
        encode(r#"["s","a",1,2]"#),
        encode(r#"[1,"a",1]"#),
        encode(r#"["s",1,1]"#),
        encode(r#"[1,1]"#),
        encode(r#"["s","a",{"b":1,"b":2}]"#),
        encode(r#"["s","a",1] "x""#),
        encode(r#"["s","a",1"#),
        format!("{}=", encode(r#"["s","a",1]"#)),
        base64url::encode(b"[\"s\",\"a\",\"\xff\"]"),
        "!".into(),
    ] {
        let payload = json!({"_sd": [digest(&text)]});
        check_parts(&payload, &[&text], Err((Culprit::Wire, "disclosure")));
    }
    // The control: unusual white space is no fault, since the text is hashed as it stands.
    let spaced = encode("[ \"s\" ,\n\"a\", 1 ]");
    check_parts(&json!({"_sd": [digest(&spaced)]}), &[&spaced], Ok(()));
}

#[test]
fn nesting_and_numbers_are_limited() {
    let chain_of = |length: usize| {
        let mut chain: Vec<String> = Vec::new();
        for _ in 0..length {
            let inner = chain.last().map_or(json!(1), |text| json!({"_sd": [digest(text)]}));
            chain.push(disclosure(&json!(["s", "a", inner])));
        }
        (json!({"_sd": [digest(chain.last().unwrap())]}), chain)
    };
    for (length, expected) in [(32, Ok(())), (33, Err((Culprit::Wire, "disclosure")))] {
        let (payload, chain) = chain_of(length);
        let disclosures: Vec<_> = chain.iter().map(String::as_str).collect();
        check_parts(&payload, &disclosures, expected);
    }
    let many: Vec<String> =
        (0..=DISCLOSURES_MAX).map(|n| disclosure(&json!(["s", n.to_string(), 1]))).collect();
    let payload = json!({"_sd": many.iter().map(|text| digest(text)).collect::<Vec<_>>()});
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    check_parts(&payload, &many[1..], Ok(()));
    check_parts(&payload, &many, Err((Culprit::Wire, "sd-jwt")));
}

#[test]
fn disclosure_stands_within_its_limit() {
    let one = disclosure(&json!(["s", "a", 1]));
    let element = disclosure(&json!(["s", 1]));
    let check_place = |length: usize, expected: Verdict<'_>| {
        // `/name/a` and `/name/0` are as long as the limit says.
        let name = "~".repeat((length - 3) / 2) + if length.is_multiple_of(2) { "n" } else { "" };
        check_parts(&json!({&name: {"_sd": [digest(&one)]}}), &[&one], expected);
        check_parts(&json!({&name: [{"...": digest(&element)}]}), &[&element], expected);
        // What is not disclosed may stand anywhere.
        check_parts(&json!({&name: {"_sd": [digest(&one)], "b": [1]}}), &[], Ok(()));
    };
    check_place(PLACE_BYTES_MAX, Ok(()));
    check_place(PLACE_BYTES_MAX + 1, Err((Culprit::Issuer, "disclosure-place")));
}

#[test]
fn places_of_disclosures_are_told_in_json_pointers() {
    let inner = disclosure(&json!(["s", "c/~d", true]));
    let outer = disclosure(&json!(["s", {"_sd": [digest(&inner)]}]));
    let last = disclosure(&json!(["s", "z", 1]));
    let payload =
        json!({"_sd": [digest(&last)], "a~/": [0, {"...": "x"}, {"...": digest(&outer)}]});
    let jws = issuer().jws("example+sd-jwt", &payload);
    let text = format!("{jws}~{inner}~{outer}~{last}~");
    let processed = SdJwt::parse(&text).unwrap().process(PROVIDERS[0]).unwrap();
    let places: Vec<(&str, usize)> =
        processed.disclosed.iter().map(|place| (&place.pointer[..], place.disclosure)).collect();
    assert_eq!(places, [("/a~0~1/1", 1), ("/a~0~1/1/c~1~0d", 0), ("/z", 2)]);
}

#[test]
fn long_name_costs_its_length_once() {
    let took = |length: usize| {
        let members: serde_json::Map<String, Value> =
            (0..15_000).map(|n| (n.to_string(), json!({}))).collect();
        let text = issuer().jws("example+sd-jwt", &json!({"a".repeat(length): members})) + "~";
        let sd_jwt = SdJwt::parse(&text).unwrap();
        let run = || {
            let start = std::time::Instant::now();
            sd_jwt.process(PROVIDERS[0]).unwrap();
            start.elapsed()
        };
        (0..5).map(|_| run()).min().unwrap()
    };
    // It is half of the text; with a copy for each member it costs seven times as much and more.
    let (short, long) = (took(1), took(550_000));
    assert!(long < short * 4, "{short:?} and {long:?}");
}

/// A credential as the city issues it, and what may be changed in its making.
pub(crate) fn credential<'a>(
    change: impl FnOnce(&mut CredentialRequest<'a>),
) -> Result<String, IssueError> {
    static HOLDER_KEY: LazyLock<PublicKey> = LazyLock::new(|| holder().key);
    static SALTS: LazyLock<Vec<Salt>> = LazyLock::new(|| salts(3));
    let mut request = CredentialRequest {
        header: HeaderParts::new(Algorithm::Es256, ""),
        vct: VCT,
        issuer: Some("https://city.example"),
        issued_at: at(NOW),
        not_before: Some(at(NOW)),
        expires_at: Some(at(NOW + 1000)),
        holder_key: Some(&HOLDER_KEY),
        status: Some(StatusReference { uri: "https://city.example/status/1", index: 7 }),
        claims: json!({"operator": "tram", "zones": ["A", "B"]}).as_object().unwrap().clone(),
        concealed: &["/operator", "/zones/1"],
        decoys: &[Decoys { pointer: "", count: 1 }],
        hash: HashAlgorithm::Sha256,
        salts: &SALTS,
    };
    change(&mut request);
    let unsigned = request.issue(PROVIDERS[0])?;
    Ok(issuer().sign(unsigned).into_string())
}

pub(crate) const ANY_CREDENTIAL: Profile<'static> = Profile::Credential { vct: None };

#[test]
fn a_credential_verifies_with_all_that_it_says() {
    let text = credential(|_| ()).unwrap();
    let anchors = issuer().pinned();
    let profile = Profile::Credential { vct: Some(VCT) };
    let verified = verify(PROVIDERS[1], &text, &expectation(&anchors, profile)).unwrap();
    assert_eq!(verified.vct(), Some(VCT));
    assert_eq!(verified.issuer_key(), &issuer().key);
    assert_eq!(verified.holder_key(), Some(&holder().key));
    assert_eq!(verified.key_binding(), None);
    let status = StatusReference { uri: "https://city.example/status/1", index: 7 };
    assert_eq!(verified.status(), Some(status));
    assert_eq!(verified.validity().not_before, Some(at(NOW)));
    assert_eq!(verified.claims()["zones"], json!(["A", "B"]));
    assert!(!verified.claims().contains_key("_sd"));
    // Nothing of what is concealed stands in the part that the issuer signed in the open.
    let payload = SdJwt::parse(&text).unwrap();
    let payload = String::from_utf8(payload.jws.payload().to_vec()).unwrap();
    assert!(!payload.contains("tram") && payload.contains("\"A\"") && !payload.contains("\"B\""));
}

#[test]
fn credentials_are_held_to_their_dates_and_type() {
    let text = credential(|_| ()).unwrap();
    let anchors = issuer().pinned();
    let at_second =
        |seconds| Expectation { at: at(seconds), ..expectation(&anchors, ANY_CREDENTIAL) };
    check(&text, &at_second(NOW - 1), Err((Culprit::Time, "not-yet-valid")));
    check(&text, &at_second(NOW), Ok(()));
    check(&text, &at_second(NOW + 999), Ok(()));
    check(&text, &at_second(NOW + 1000), Err((Culprit::Time, "expired")));
    let other = Profile::Credential { vct: Some("urn:limen:pass:2") };
    check(&text, &expectation(&anchors, other), Err((Culprit::Issuer, "vct")));
    check(&text, &expectation(&anchors, Profile::SdJwt), Ok(()));
}

#[test]
fn what_is_no_credential_is_refused_as_one() {
    let anchors = issuer().pinned();
    let expectation = expectation(&anchors, ANY_CREDENTIAL);
    let jws = |typ: &str, payload: Value| issuer().jws(typ, &payload) + "~";
    let status = |status: Value| jws("dc+sd-jwt", json!({"vct": VCT, "status": status}));
    let cnf = |cnf: Value| jws("dc+sd-jwt", json!({"vct": VCT, "cnf": cnf}));
    let issuer_fault = |code| Err((Culprit::Issuer, code));
    check(&jws("dc+sd-jwt", json!({"vct": VCT})), &expectation, Ok(()));
    for (text, expected) in [
        (jws("vc+sd-jwt", json!({"vct": VCT})), issuer_fault("typ")),
        (jws("kb+jwt", json!({"vct": VCT})), issuer_fault("typ")),
        (jws("dc+sd-jwt", json!({})), issuer_fault("claim-missing")),
        (jws("dc+sd-jwt", json!({"vct": 1})), issuer_fault("claim-type")),
        (jws("dc+sd-jwt", json!({"vct": VCT, "exp": "never"})), issuer_fault("claim-type")),
        (status(json!({})), issuer_fault("status-reference")),
        (status(json!({"status_list": {"idx": -1, "uri": "a"}})), issuer_fault("status-reference")),
        (cnf(json!({"kid": "1"})), issuer_fault("holder-key")),
        (cnf(json!({"jwk": {"kty": "oct"}})), issuer_fault("holder-key")),
    ] {
        check(&text, &expectation, expected);
    }
    for name in ["iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "status"] {
        let hidden = disclosure(&json!(["s", name, 1]));
        let payload = json!({"vct": VCT, "_sd": [digest(&hidden)]});
        let mut payload = payload.as_object().unwrap().clone();
        if name == "vct" {
            payload.remove("vct");
        }
        let text = format!("{}{hidden}~", jws("dc+sd-jwt", Value::Object(payload)));
        check(&text, &expectation, issuer_fault("claim-concealed"));
    }
    let inside = disclosure(&json!(["s", "jwk", jwk::write(&holder().key)]));
    let text = cnf(json!({"_sd": [digest(&inside)]})) + &inside + "~";
    check(&text, &expectation, issuer_fault("claim-concealed"));
    let proof = jws("kb+jwt", json!({}));
    let any = Expectation { profile: Profile::SdJwt, ..expectation };
    check(&proof, &any, issuer_fault("typ"));
}

#[test]
fn the_issuer_must_be_trusted() {
    let (authority, stranger) = (Signatory::new(5), Signatory::new(6));
    let [leaf, root] = chain(&authority, &issuer());
    let x5c = [&leaf[..]];
    let text = credential(|request| request.header.x5c = &x5c).unwrap();
    let [stranger_leaf, stranger_root] = chain(&stranger, &issuer());
    let trust = |der: &[u8]| TrustAnchors::from_ders([der]).unwrap();
    for (anchors, expected) in [
        (trust(&root), Ok(())),
        (trust(&leaf), Ok(())),
        (issuer().pinned(), Ok(())),
        (authority.pinned(), Ok(())),
        (stranger.pinned(), Err((Culprit::Trust, "untrusted-signer"))),
        (TrustAnchors::new(), Err((Culprit::Trust, "untrusted-signer"))),
    ] {
        check(&text, &expectation(&anchors, ANY_CREDENTIAL), expected);
    }
    // The same name and key, but signed by another authority.
    let anchors = trust(&stranger_root);
    let outcome = verdict(&text, &expectation(&anchors, ANY_CREDENTIAL));
    assert!(matches!(outcome, Err((Culprit::Trust, _))), "{outcome:?}");
    let anchors = trust(&root);
    let x5c = [&stranger_leaf[..], &stranger_root[..]];
    let text = credential(|request| request.header.x5c = &x5c).unwrap();
    let outcome = verdict(&text, &expectation(&anchors, ANY_CREDENTIAL));
    assert!(matches!(outcome, Err((Culprit::Trust, _))), "{outcome:?}");
    // A chain that is sound, but not of the key that signed.
    let [other_leaf, _] = chain(&authority, &stranger);
    let x5c = [&other_leaf[..]];
    let text = credential(|request| request.header.x5c = &x5c).unwrap();
    let outcome = verdict(&text, &expectation(&anchors, ANY_CREDENTIAL));
    assert_eq!(outcome, Err((Culprit::Issuer, "signature")));
    // Neither chain nor pinned key.
    let text = credential(|_| ()).unwrap();
    let outcome = verdict(&text, &expectation(&anchors, ANY_CREDENTIAL));
    assert_eq!(outcome, Err((Culprit::Trust, "untrusted-signer")));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text: String, parts in "[A-Za-z0-9_.~-]{0,64}") {
        let anchors = issuer().pinned();
        let expectation = expectation(&anchors, Profile::SdJwt);
        prop_assert!(verify(PROVIDERS[0], &text, &expectation).is_err());
        prop_assert!(verify(PROVIDERS[0], &parts, &expectation).is_err());
        let _ = Disclosure::parse(&parts);
    }

    #[test]
    fn arbitrary_signed_payloads_and_disclosures_never_panic(
        payload: String,
        contents in proptest::collection::vec(any::<String>(), 0..4),
    ) {
        let anchors = issuer().pinned();
        let mut text = issuer().raw_jws(r#"{"alg":"ES256"}"#, &payload) + "~";
        for contents in contents {
            text += &format!("{}~", base64url::encode(contents.as_bytes()));
        }
        let _ = verify(PROVIDERS[1], &text, &expectation(&anchors, Profile::SdJwt));
    }
}
