//! SD-JWT and SD-JWT VC against published vectors: what others issued, and what we issue.

use credential::crypto::{Algorithm, HashAlgorithm};
use credential::jose::{HeaderParts, jwk};
use credential::sd_jwt::{
    Challenge, Decoys, Disclosed, Disclosure, Expectation, IssueRequest, KeyBindingRule, Presence,
    Profile, Salt, SdJwt, Verified, Window, issue, verify,
};
use credential::x509::TrustAnchors;
use serde_json::{Value, json};

use crate::tokens::{PROVIDERS, Signatory, at};
use crate::vectors;

/// Examples whose `sd_hash` the generator took over its JSON container, where RFC 9901, section 8.1
/// demands the compact form.
const HASHED_AS_JSON: [&str; 2] = ["json_serialization_flattened", "json_serialization_general"];

/// The profile whose expected claims leave out an object that has become empty, where RFC 9901,
/// section 7.1, step 3e keeps it.
const DROPS_EMPTY: &str = "array_none_disclosed";

/// A JWK without its private part.
fn public(key: &Value) -> Value {
    let mut public = key.clone();
    public.as_object_mut().unwrap().remove("d");
    public
}

fn issuer_of_the_vectors(folder: &std::path::Path) -> TrustAnchors {
    let keys = vectors::json(folder, "keys.json");
    let mut anchors = TrustAnchors::new();
    anchors.add_key(jwk::parse(&public(&keys["issuer_jwk"])).unwrap()).unwrap();
    anchors
}

/// The compact form of an example, which may stand there as JSON.
fn compact(example: &Value) -> String {
    let Some(object) = example.as_object() else { return example.as_str().unwrap().into() };
    let text = |name: &str| object[name].as_str().unwrap();
    let mut compact = format!("{}.{}.{}~", text("protected"), text("payload"), text("signature"));
    for disclosure in object["disclosures"].as_array().unwrap() {
        compact.push_str(disclosure.as_str().unwrap());
        compact.push('~');
    }
    compact + object.get("kb_jwt").and_then(Value::as_str).unwrap_or_default()
}

/// The examples of the specification, without the key file and the lists of other things.
fn examples(folder: &std::path::Path) -> Vec<(String, Value)> {
    let mut files = vectors::json_files(folder);
    files.retain(|(_, file)| file.get("sd_jwt_presentation").is_some());
    assert!(files.len() >= 11, "{} examples only", files.len());
    files
}

fn expectation(anchors: &TrustAnchors, seconds: i64) -> Expectation<'_> {
    Expectation {
        anchors,
        at: at(seconds),
        profile: Profile::SdJwt,
        key_binding: KeyBindingRule {
            presence: Presence::Optional,
            audience: None,
            nonce: None,
            window: Window::default(),
        },
    }
}

fn verify_both(text: &str, expectation: &Expectation<'_>, name: &str) -> Verified {
    let verdicts = PROVIDERS.map(|crypto| verify(crypto, text, expectation));
    assert_eq!(verdicts[0], verdicts[1], "{name}");
    let [verdict, _] = verdicts;
    verdict.unwrap_or_else(|rejection| panic!("{name}: {} {rejection}", rejection.code))
}

#[test]
fn examples_verify_as_issued() {
    let Some(folder) = vectors::folder("sd-jwt") else { return };
    let anchors = issuer_of_the_vectors(&folder);
    for (name, example) in examples(&folder) {
        let now = example["evaluation_time_epoch"].as_i64().unwrap();
        let text = compact(&example["sd_jwt_issuance"]);
        let verified = verify_both(&text, &expectation(&anchors, now), &name);
        for (claim, value) in example["user_claims"].as_object().unwrap() {
            assert_eq!(verified.claims().get(claim), Some(value), "{name}: {claim}");
        }
        assert!(!verified.claims().contains_key("_sd_alg"));
        let sd_jwt = SdJwt::parse(&text).unwrap();
        let published = example["disclosures"].as_array().unwrap();
        assert_eq!(sd_jwt.disclosures.len(), published.len(), "{name}");
        for entry in published {
            check_disclosure(entry["disclosure"].as_str().unwrap(), entry, "decoded");
        }
    }
}

#[test]
fn presentations_of_the_examples_verify_with_key_binding() {
    let Some(folder) = vectors::folder("sd-jwt") else { return };
    let anchors = issuer_of_the_vectors(&folder);
    let mut bound = 0;
    for (name, example) in examples(&folder) {
        let proof = example.pointer("/key_binding_jwt/payload/iat").and_then(Value::as_i64);
        let now = proof.or(example["evaluation_time_epoch"].as_i64()).unwrap();
        let mut expectation = expectation(&anchors, now);
        expectation.key_binding.audience = example["expected_audience"].as_str();
        expectation.key_binding.nonce = example["expected_nonce"].as_str();
        if proof.is_some() {
            expectation.key_binding.presence = Presence::Required;
            bound += 1;
        }
        let mut text = compact(&example["sd_jwt_presentation"]);
        if HASHED_AS_JSON.contains(&name.as_str()) {
            let rejection = verify(PROVIDERS[0], &text, &expectation).unwrap_err();
            assert_eq!(rejection.code, "sd-hash", "{name}");
            text.truncate(text.rfind('~').unwrap() + 1);
            expectation.key_binding.presence = Presence::Optional;
            bound -= 1;
        }
        let verified = verify_both(&text, &expectation, &name);
        let claims = Value::Object(verified.claims().clone());
        assert_eq!(claims, example["verified_contents"], "{name}");
        assert_eq!(verified.key_binding().is_some(), !text.ends_with('~'), "{name}");
        let expires_at = claims["exp"].as_i64().map(at);
        assert_eq!(verified.validity().expires_at, expires_at, "{name}");
    }
    assert!(bound >= 4, "{bound} presentations with key binding only");
}

#[test]
fn the_same_choice_gives_the_same_presentation() {
    let Some(folder) = vectors::folder("sd-jwt") else { return };
    for (name, example) in examples(&folder) {
        let issued = compact(&example["sd_jwt_issuance"]);
        let presented = compact(&example["sd_jwt_presentation"]);
        let (issued, presented) =
            (SdJwt::parse(&issued).unwrap(), SdJwt::parse(&presented).unwrap());
        let texts: Vec<_> = presented.disclosures.iter().map(|d| d.text).collect();
        let places = issued.process(PROVIDERS[0]).unwrap().disclosed;
        let shown = |place: &&Disclosed| texts.contains(&issued.disclosures[place.disclosure].text);
        // A pointer chooses all that lies under it. Where the example shows a claim without its
        // concealed parts, one of its open members stands for it.
        let mut chosen = Vec::new();
        for place in places.iter().filter(shown) {
            let below = format!("{}/", place.pointer);
            let mut parts = places.iter().filter(|part| part.pointer.starts_with(&below));
            let value = &issued.disclosures[place.disclosure].value;
            let open = value.as_object().and_then(|members| members.keys().find(|n| *n != "_sd"));
            match open {
                _ if parts.clone().any(|part| shown(&part)) => {}
                Some(open) if parts.next().is_some() => chosen.push(below + open),
                _ => chosen.push(place.pointer.clone()),
            }
        }
        let chosen: Vec<_> = chosen.iter().map(String::as_str).collect();
        let ours = issued.disclose(PROVIDERS[1], &chosen).unwrap();
        let ours = SdJwt::parse(ours.as_str()).unwrap();
        let sorted = |sd_jwt: &SdJwt<'_>| -> Vec<String> {
            let mut texts: Vec<_> = sd_jwt.disclosures.iter().map(|d| d.text.to_owned()).collect();
            texts.sort_unstable();
            texts
        };
        assert_eq!(sorted(&ours), sorted(&presented), "{name}");
    }
}

fn check_disclosure(text: &str, entry: &Value, contents: &str) {
    let disclosure = Disclosure::parse(text).unwrap();
    for crypto in PROVIDERS {
        let digest = disclosure.digest(crypto, HashAlgorithm::Sha256);
        assert_eq!(digest, entry["digest"].as_str().unwrap());
    }
    let read = match &disclosure.name {
        Some(name) => json!([disclosure.salt, name, disclosure.value]),
        None => json!([disclosure.salt, disclosure.value]),
    };
    assert_eq!(read, entry[contents]);
}

#[test]
fn published_digests_are_those_of_the_text() {
    let Some(folder) = vectors::folder("sd-jwt") else { return };
    let cases = vectors::json(&folder, "disclosure-digests.json");
    let cases = cases["cases"].as_array().unwrap();
    for case in cases {
        check_disclosure(case["disclosure"].as_str().unwrap(), case, "contents");
    }
    assert!(cases.len() >= 6);
}

#[test]
fn openid4vp_example_discloses_what_it_says() {
    let Some(folder) = vectors::folder("openid4vc") else { return };
    let folder = folder.join("openid4vp-1.0");
    let file = |name: &str| vectors::json(&folder, &format!("sd_jwt_vcld__01__{name}.json"));
    // Line breaks are for display only.
    let text = |name: &str| file(name)["text"].as_str().unwrap().replace('\n', "");
    let issuance = text("sd_jwt_issuance");
    let issued = SdJwt::parse(&issuance).unwrap();
    assert_eq!(issued.jws.require_typ("dc+sd-jwt"), Ok(()));
    let listed = file("disclosures")["text"].as_str().unwrap().replace("`\\\n`", "");
    for disclosure in &issued.disclosures {
        let digest = disclosure.digest(PROVIDERS[0], HashAlgorithm::Sha256);
        assert!(listed.contains(disclosure.text) && listed.contains(&digest), "{digest}");
    }
    assert_eq!(issued.disclosures.len(), 3);
    let presentation = text("sd_jwt_presentation");
    let presented = SdJwt::parse(&presentation).unwrap();
    let claims = Value::Object(presented.process(PROVIDERS[0]).unwrap().claims);
    assert_eq!(claims, file("verified_contents")["json"]);
    let chosen = issued.disclose(PROVIDERS[0], &["/ld/credentialSubject/givenName"]).unwrap();
    assert!(presentation.starts_with(chosen.as_str()));
    let proof = presented.key_binding.unwrap();
    let claims = Value::Object(proof.claims().unwrap().into_members());
    assert_eq!(claims, file("kb_jwt_payload")["json"]);
    let cnf = &file("verified_contents")["json"]["cnf"]["jwk"];
    assert_eq!(proof.verify(PROVIDERS[0], &jwk::parse(cnf).unwrap()), Ok(()));
}

/// Pointers of a disclosure frame: what `_sd` lists at each level, and the decoys.
fn read_frame(
    frame: &Value,
    pointer: &str,
    concealed: &mut Vec<String>,
    decoys: &mut Vec<(String, usize)>,
) {
    let Some(members) = frame.as_object() else { return };
    for (name, value) in members {
        match name.as_str() {
            "_sd" => concealed.extend(value.as_array().unwrap().iter().map(|entry| {
                format!("{pointer}/{}", entry.as_str().map_or(entry.to_string(), str::to_owned))
            })),
            "_sd_decoy" => {
                let count = usize::try_from(value.as_u64().unwrap()).unwrap();
                decoys.push((pointer.to_owned(), count));
            }
            _ => read_frame(value, &format!("{pointer}/{name}"), concealed, decoys),
        }
    }
}

/// Pointers of a presentation frame: every `true`.
fn read_choice(frame: &Value, pointer: &str, chosen: &mut Vec<String>) {
    match frame {
        Value::Bool(true) => chosen.push(pointer.to_owned()),
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| read_choice(value, &format!("{pointer}/{name}"), chosen)),
        _ => panic!("{frame}"),
    }
}

#[test]
fn issuance_profiles_present_what_they_say() {
    let Some(folder) = vectors::folder("sd-jwt") else { return };
    let profiles = vectors::json(&folder, "issuance-profiles.json");
    let issuer = Signatory::new(1);
    let anchors = issuer.pinned();
    for profile in profiles.as_array().unwrap() {
        let name = profile["name"].as_str().unwrap();
        let (mut concealed, mut decoys, mut chosen) = (Vec::new(), Vec::new(), Vec::new());
        read_frame(&profile["disclosureFrame"], "", &mut concealed, &mut decoys);
        read_choice(&profile["presentationFrames"], "", &mut chosen);
        // One frame chooses an element that its claims do not have.
        chosen.retain(|pointer| profile["claims"].pointer(pointer).is_some());
        let concealed: Vec<_> = concealed.iter().map(String::as_str).collect();
        let chosen: Vec<_> = chosen.iter().map(String::as_str).collect();
        let decoys: Vec<_> =
            decoys.iter().map(|(pointer, count)| Decoys { pointer, count: *count }).collect();
        let wanted = concealed.len() + decoys.iter().map(|d| d.count).sum::<usize>();
        for (crypto, hash) in [
            (PROVIDERS[0], HashAlgorithm::Sha256),
            (PROVIDERS[1], HashAlgorithm::Sha384),
            (PROVIDERS[0], HashAlgorithm::Sha512),
        ] {
            let unsigned = issue(
                crypto,
                IssueRequest {
                    header: HeaderParts::new(Algorithm::Es256, "example+sd-jwt"),
                    claims: profile["claims"].as_object().unwrap().clone(),
                    concealed: &concealed,
                    decoys: &decoys,
                    hash,
                    salts: &salts(wanted),
                },
            );
            let text = issuer.sign(unsigned.unwrap()).into_string();
            let whole = verify_both(&text, &expectation(&anchors, 0), name);
            assert_eq!(whole.claims(), profile["claims"].as_object().unwrap(), "{name}");
            let issued = SdJwt::parse(&text).unwrap();
            let presentation = issued.disclose(crypto, &chosen).unwrap();
            let verified = verify_both(presentation.as_str(), &expectation(&anchors, 0), name);
            let mut claims = Value::Object(verified.claims().clone());
            if name == DROPS_EMPTY {
                assert_eq!(claims["is_over"].take(), json!({}));
                claims = json!({});
            }
            assert_eq!(claims, profile["presentedClaims"], "{name}");
        }
    }
    assert_eq!(profiles.as_array().unwrap().len(), 17);
}

/// Salts that differ; only tests may make them so.
pub(crate) fn salts(count: usize) -> Vec<Salt> {
    (0..count).map(|number| (number as u128 + 1).to_be_bytes()).collect()
}

#[test]
fn a_presentation_with_key_binding_verifies() {
    let (issuer, holder) = (Signatory::new(1), Signatory::new(2));
    let claims = json!({"name": "Ada", "age": 36, "cnf": {"jwk": jwk::write(&holder.key)}});
    for (crypto, hash) in PROVIDERS.into_iter().zip([HashAlgorithm::Sha256, HashAlgorithm::Sha512])
    {
        let unsigned = issue(
            crypto,
            IssueRequest {
                header: HeaderParts::new(Algorithm::Es256, "example+sd-jwt"),
                claims: claims.as_object().unwrap().clone(),
                concealed: &["/name", "/age"],
                decoys: &[],
                hash,
                salts: &salts(2),
            },
        );
        let text = issuer.sign(unsigned.unwrap()).into_string();
        let chosen = SdJwt::parse(&text).unwrap().disclose(crypto, &["/age"]).unwrap();
        let challenge = Challenge { audience: "gate", nonce: "n-1", at: at(1000) };
        let text = holder.sign(chosen.bind(crypto, Algorithm::Es256, &challenge)).into_string();
        let anchors = issuer.pinned();
        let mut expectation = expectation(&anchors, 1000);
        expectation.key_binding.presence = Presence::Required;
        expectation.key_binding.audience = Some("gate");
        expectation.key_binding.nonce = Some("n-1");
        let verified = verify_both(&text, &expectation, "own");
        assert_eq!(verified.claims().get("age"), Some(&json!(36)));
        assert_eq!(verified.claims().get("name"), None);
        let proof = verified.key_binding().unwrap();
        assert_eq!((&*proof.audience, &*proof.nonce), ("gate", "n-1"));
        assert_eq!(proof.issued_at, at(1000));
        assert_eq!(verified.holder_key(), Some(&holder.key));
    }
}
