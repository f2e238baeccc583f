//! The holder's side of SD-JWT VC: proofs of possession, choices, and requests that make no sound
//! credential; each refusal with the control that the same thing unforged passes.

use credential::crypto::{Algorithm, HashAlgorithm};
use credential::jose::HeaderParts;
use credential::rejection::Culprit;
use credential::sd_jwt::{
    Challenge, CredentialRequest, DISCLOSURES_MAX, Decoys, DiscloseError, Expectation, IssueError,
    IssueRequest, Presence, Profile, SdJwt, issue, verify,
};
use credential::x509::TrustAnchors;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::sd_jwt::salts;
use crate::sd_jwt_forgeries::{
    ANY_CREDENTIAL, NOW, check, credential, digest, expectation, holder, issuer,
};
use crate::tokens::{PROVIDERS, Signatory, at};

/// A presentation of everything, bound to a challenge.
fn bound(challenge: &Challenge<'_>, signatory: &Signatory) -> String {
    let text = credential(|_| ()).unwrap();
    let chosen = SdJwt::parse(&text).unwrap().disclose(PROVIDERS[0], &[""]).unwrap();
    signatory.sign(chosen.bind(PROVIDERS[0], Algorithm::Es256, challenge)).into_string()
}

const CHALLENGE: Challenge<'static> = Challenge {
    audience: "gate",
    nonce: "n-1",
    at: vocabulary::time::Instant::from_unix_seconds(NOW),
};

fn demanding(anchors: &TrustAnchors) -> Expectation<'_> {
    let mut expectation = expectation(anchors, ANY_CREDENTIAL);
    expectation.key_binding.presence = Presence::Required;
    expectation.key_binding.audience = Some("gate");
    expectation.key_binding.nonce = Some("n-1");
    expectation
}

#[test]
fn proofs_of_possession_must_answer_the_challenge() {
    let anchors = issuer().pinned();
    let demanding = demanding(&anchors);
    let lenient = expectation(&anchors, ANY_CREDENTIAL);
    let sound = bound(&CHALLENGE, &holder());
    check(&sound, &demanding, Ok(()));
    for (challenge, code) in [
        (Challenge { audience: "other", ..CHALLENGE }, "audience"),
        (Challenge { nonce: "n-2", ..CHALLENGE }, "nonce"),
    ] {
        let text = bound(&challenge, &holder());
        check(&text, &demanding, Err((Culprit::Holder, code)));
        check(&text, &lenient, Ok(()));
    }
    let thief = bound(&CHALLENGE, &Signatory::new(3));
    check(&thief, &demanding, Err((Culprit::Holder, "signature")));
    check(&thief, &lenient, Err((Culprit::Holder, "signature")));
    let (unbound, _) = sound.rsplit_once('~').unwrap();
    let unbound = format!("{unbound}~");
    check(&unbound, &demanding, Err((Culprit::Holder, "key-binding-missing")));
    check(&unbound, &lenient, Ok(()));
    // Another selection under the same proof.
    let parts: Vec<&str> = sound.split('~').collect();
    let fewer = format!("{}~{}~{}", parts[0], parts[1], parts[3]);
    check(&fewer, &demanding, Err((Culprit::Holder, "sd-hash")));
    let swapped = format!("{}~{}~{}~{}", parts[0], parts[2], parts[1], parts[3]);
    check(&swapped, &demanding, Err((Culprit::Holder, "sd-hash")));
}

#[test]
fn proofs_of_possession_hold_within_the_window() {
    let anchors = issuer().pinned();
    for (offset, expected) in [
        (-301, Err((Culprit::Time, "key-binding-expired"))),
        (-300, Ok(())),
        (60, Ok(())),
        (61, Err((Culprit::Time, "key-binding-not-yet-valid"))),
    ] {
        let challenge = Challenge { at: at(NOW + offset), ..CHALLENGE };
        check(&bound(&challenge, &holder()), &demanding(&anchors), expected);
    }
}

#[test]
fn proofs_of_possession_must_be_whole() {
    let anchors = issuer().pinned();
    let demanding = demanding(&anchors);
    let text = credential(|_| ()).unwrap();
    let sound = json!({"aud": "gate", "nonce": "n-1", "iat": NOW, "sd_hash": digest(&text)});
    let with = |name: &str, value: Value| {
        let mut claims = sound.clone();
        claims[name] = value;
        claims
    };
    let bind = |typ: &str, claims: &Value| format!("{text}{}", holder().jws(typ, claims));
    let holder_fault = |code| Err((Culprit::Holder, code));
    check(&bind("kb+jwt", &sound), &demanding, Ok(()));
    check(&bind("JWT", &sound), &demanding, holder_fault("typ"));
    check(&bind("dc+sd-jwt", &sound), &demanding, holder_fault("typ"));
    for name in ["aud", "nonce", "iat", "sd_hash"] {
        let mut claims = sound.clone();
        claims.as_object_mut().unwrap().remove(name);
        check(&bind("kb+jwt", &claims), &demanding, holder_fault("claim-missing"));
        check(&bind("kb+jwt", &with(name, json!([]))), &demanding, holder_fault("claim-type"));
    }
    check(&bind("kb+jwt", &with("sd_hash", json!(""))), &demanding, holder_fault("sd-hash"));
    let expired = with("exp", json!(NOW));
    check(&bind("kb+jwt", &expired), &demanding, Err((Culprit::Time, "expired")));
    let none = format!(
        "{text}{}",
        holder().raw_jws(r#"{"alg":"none","typ":"kb+jwt"}"#, &sound.to_string())
    );
    check(&none, &demanding, holder_fault("algorithm"));
    // A credential that is bound to nobody cannot be proven.
    let anyone = credential(|request| request.holder_key = None).unwrap();
    let claims = with("sd_hash", json!(digest(&anyone)));
    let text = format!("{anyone}{}", holder().jws("kb+jwt", &claims));
    check(&text, &demanding, holder_fault("holder-key-missing"));
}

#[test]
fn requests_that_make_no_sound_credential_are_refused() {
    let refused = |change: fn(&mut CredentialRequest<'_>)| credential(change).unwrap_err();
    let pointer = |text: &str| IssueError::Pointer(text.into());
    assert_eq!(refused(|r| r.concealed = &["/operator", "/zone"]), pointer("/zone"));
    assert_eq!(refused(|r| r.concealed = &["/operator", "/operator"]), pointer("/operator"));
    assert_eq!(refused(|r| r.concealed = &["/zones/1", "/zones/1"]), pointer("/zones/1"));
    assert_eq!(refused(|r| r.concealed = &["/operator", "/_sd"]), pointer("/_sd"));
    assert_eq!(refused(|r| r.concealed = &["", "/operator"]), pointer(""));
    assert_eq!(refused(|r| r.concealed = &["/operator", "/zones/2"]), pointer("/zones/2"));
    let decoys = &[Decoys { pointer: "/operator", count: 1 }];
    let outcome = credential(|r| (r.decoys, r.concealed) = (decoys, &["/zones/0", "/zones/1"]));
    assert_eq!(outcome, Err(pointer("/operator")));
    let hidden = IssueError::NeverConcealed("exp".into());
    assert_eq!(refused(|r| r.concealed = &["/exp", "/operator"]), hidden);
    let hidden = IssueError::NeverConcealed("cnf".into());
    assert_eq!(refused(|r| r.concealed = &["/cnf/jwk", "/operator"]), hidden);
    for name in ["_sd", "...", "_sd_alg", "vct", "exp", "status"] {
        let reserved = IssueError::ReservedName(name.into());
        let claims = Map::from_iter([(name.to_owned(), json!([]))]);
        assert_eq!(credential(|r| r.claims = claims), Err(reserved));
    }
    let few = IssueError::Salts { needed: 3, given: 2 };
    assert_eq!(refused(|r| r.salts = &[[1; 16], [2; 16]]), few);
    let same = [[1; 16], [2; 16], [1; 16]];
    assert_eq!(credential(|r| r.salts = &same), Err(IssueError::SaltRepeated));
}

#[test]
fn disclosures_of_one_request_are_limited() {
    let salts = salts(DISCLOSURES_MAX + 1);
    for (count, expected) in
        [(DISCLOSURES_MAX, None), (DISCLOSURES_MAX + 1, Some(IssueError::Disclosures))]
    {
        let outcome = issue(
            PROVIDERS[0],
            IssueRequest {
                header: HeaderParts::new(Algorithm::Es256, "example+sd-jwt"),
                claims: Map::new(),
                concealed: &[],
                decoys: &[Decoys { pointer: "", count }],
                hash: HashAlgorithm::Sha256,
                salts: &salts[..count],
            },
        );
        assert_eq!(outcome.err(), expected);
    }
}

#[test]
fn a_holder_discloses_only_what_is_there_and_sound() {
    let text = credential(|_| ()).unwrap();
    let sd_jwt = SdJwt::parse(&text).unwrap();
    let names = |pointers: &[&str]| -> Vec<String> {
        let chosen = sd_jwt.disclose(PROVIDERS[0], pointers).unwrap();
        let parsed = SdJwt::parse(chosen.as_str()).unwrap();
        parsed.disclosures.into_iter().map(|d| d.name.unwrap_or_default()).collect()
    };
    assert_eq!(names(&[]), [""; 0]);
    assert_eq!(names(&["/operator"]), ["operator"]);
    assert_eq!(names(&["/zones"]), [""]);
    assert_eq!(names(&["/vct"]), [""; 0]);
    assert_eq!(names(&[""]).len(), 2);
    let absent = sd_jwt.disclose(PROVIDERS[0], &["/operato"]).unwrap_err();
    assert_eq!(absent, DiscloseError::Pointer("/operato".into()));
    let doubled = format!("{text}{}~", text.split('~').nth(1).unwrap());
    let outcome = SdJwt::parse(&doubled).unwrap().disclose(PROVIDERS[0], &[]);
    assert!(matches!(outcome, Err(DiscloseError::Rejected(_))));
}

#[test]
fn every_changed_character_is_noticed() {
    let anchors = issuer().pinned();
    let demanding = demanding(&anchors);
    let sound = bound(&CHALLENGE, &holder());
    check(&sound, &demanding, Ok(()));
    for position in 0..sound.len() {
        for replacement in ["A", "~", "."] {
            let mut text = sound.clone();
            text.replace_range(position..=position, replacement);
            let refused = verify(PROVIDERS[1], &text, &demanding).is_err();
            assert_eq!(refused, text != sound, "{position} to {replacement}");
        }
        let cut = &sound[..position];
        assert!(verify(PROVIDERS[1], cut, &demanding).is_err(), "cut at {position}");
    }
}

proptest! {
    #[test]
    fn what_is_chosen_is_disclosed_and_nothing_else(
        concealed in proptest::collection::vec(any::<bool>(), 6),
        chosen in proptest::collection::vec(any::<bool>(), 6),
    ) {
        const POINTERS: [&str; 6] = ["/a", "/b", "/b/c", "/d/0", "/d/1", "/e~1f"];
        let claims = json!({"a": 1, "b": {"c": 2}, "d": [3, 4], "e/f": 5, "open": 6});
        let pick = |picks: &[bool]| -> Vec<&str> {
            POINTERS.iter().zip(picks).filter(|(_, pick)| **pick).map(|(p, _)| *p).collect()
        };
        let (concealed, chosen) = (pick(&concealed), pick(&chosen));
        let request = IssueRequest {
            header: HeaderParts::new(Algorithm::Es256, "example+sd-jwt"),
            claims: claims.as_object().unwrap().clone(),
            concealed: &concealed,
            decoys: &[],
            hash: HashAlgorithm::Sha256,
            salts: &salts(concealed.len()),
        };
        let text = issuer().sign(issue(PROVIDERS[0], request).unwrap()).into_string();
        let anchors = issuer().pinned();
        let chosen_text = SdJwt::parse(&text).unwrap().disclose(PROVIDERS[0], &chosen).unwrap();
        let expectation = expectation(&anchors, Profile::SdJwt);
        let verified = verify(PROVIDERS[0], chosen_text.as_str(), &expectation).unwrap();
        let shown = Value::Object(verified.claims().clone());
        let selected = |pointer: &&&str| {
            chosen.iter().any(|c| c.starts_with(**pointer) || pointer.starts_with(c))
        };
        for pointer in concealed.iter().filter(|p| !p.starts_with("/d")) {
            let wanted = selected(&pointer);
            prop_assert_eq!(shown.pointer(pointer).is_some(), wanted, "{}", pointer);
        }
        let elements = shown["d"].as_array().unwrap();
        for (value, pointer) in [(3, "/d/0"), (4, "/d/1")] {
            let hidden = concealed.contains(&pointer) && !chosen.contains(&pointer);
            prop_assert_eq!(elements.contains(&json!(value)), !hidden, "{}", pointer);
        }
        prop_assert_eq!(shown.get("open"), Some(&json!(6)));
    }
}
