//! `limen credential` on published credentials and on what is none.

use serde_json::{Value, json};

use crate::run::{Done, Folder, vectors};

const AT: &str = "2021-01-01T00:00:00Z";

/// Annex D of ISO/IEC 18013-5 as files.
fn annex_d() -> Option<(Folder, Value)> {
    let folder = Folder::new();
    let messages = vectors("iso18013-5-annex-d", "messages.json")?;
    let certificates = vectors("iso18013-5-annex-d", "certificates.json")?;
    let keys = vectors("iso18013-5-annex-d", "keys.json")?;
    // Hexadecimal, as people copy it out of a document; the key as a file of hexadecimal too.
    folder.file("response.hex", messages["device_response_hex"].as_str()?);
    folder.file("transcript.hex", messages["session_transcript_bytes_hex"].as_str()?);
    folder.file("reader.hex", keys["ephemeral_reader"]["d_hex"].as_str()?);
    folder.file("trust/signer.pem", certificates["document_signer_pem"].as_str()?);
    folder.file("other.pem", certificates["reader_pem"].as_str()?);
    Some((folder, messages))
}

fn verify(folder: &Folder, arguments: &[&str]) -> Done {
    folder.limen(&[&["credential", "verify"], arguments].concat())
}

#[test]
fn an_mdl_verifies_with_and_without_its_session() {
    let Some((folder, _)) = annex_d() else { return };
    let base = ["response.hex", "--trust", "trust/signer.pem", "--at", AT, "--json"];
    let alone = verify(&folder, &base).expect(0, "\"holder\": \"unchecked\"").json();
    assert_eq!((&alone["verdict"], &alone["format"]), (&json!("valid"), &json!("mso_mdoc")));
    let claims = &alone["claims"]["org.iso.18013.5.1.mDL"]["org.iso.18013.5.1"];
    assert_eq!(
        (&claims["family_name"], &claims["document_number"]),
        (&json!("Doe"), &json!("123456789"))
    );
    let session = ["--session-transcript", "transcript.hex", "--reader-key", "reader.hex"];
    let whole = verify(&folder, &[&base[..], &session].concat()).expect(0, "valid").json();
    assert_eq!(whole["holder"], "mac");
    // A folder of anchors does as well; so does the file on standard input.
    verify(&folder, &["response.hex", "--trust", "trust", "--at", AT]).expect(0, "valid");
}

#[test]
fn a_rejection_names_its_culprit_with_status_3() {
    let Some((folder, messages)) = annex_d() else { return };
    let hex = messages["device_response_hex"].as_str().unwrap();
    let check = |arguments: &[&str], culprit: &str| {
        let all = [&["--json", "--trust"], arguments].concat();
        let answer = verify(&folder, &all).expect(3, "\"verdict\": \"rejected\"").json();
        assert_eq!(answer["culprit"], culprit, "{answer}");
        assert!(answer["code"].is_string() && answer["message"].is_string(), "{answer}");
    };
    check(&["trust", "response.hex", "--at", "2021-11-01T00:00:00Z"], "time");
    check(&["other.pem", "response.hex", "--at", AT], "trust");
    check(&["trust", "response.hex", "--at", AT, "--doc-type", "org.example"], "holder");
    folder.file("cut.hex", &hex[..hex.len() - 2]);
    check(&["trust", "cut.hex", "--at", AT], "wire");
    folder.file("twice.hex", hex.repeat(2));
    check(&["trust", "twice.hex", "--at", AT], "wire");
    folder.file("garbage", [0xff; 64]);
    check(&["trust", "garbage", "--at", AT], "wire");
    folder.file("bomb", [0x9f; 4096]);
    check(&["trust", "bomb", "--at", AT], "wire");
    folder.file("empty", "");
    check(&["trust", "empty", "--at", AT], "wire");
    // One bit of an element: the digest that its issuer signed tells.
    let doe = hex.replace("63446f65", "63446f64");
    assert_ne!(doe, hex);
    folder.file("doe.hex", doe);
    check(&["trust", "doe.hex", "--at", AT], "holder");
}

#[test]
fn wrong_files_are_named_with_status_2() {
    let Some((folder, _)) = annex_d() else { return };
    let check = |arguments: &[&str], text: &str| {
        verify(&folder, arguments).expect(2, text);
    };
    check(&["none.cbor", "--trust", "trust"], "cannot read `none.cbor`");
    check(&["response.hex", "--trust", "none.pem"], "cannot read `none.pem`");
    check(&["response.hex"], "--trust");
    std::fs::create_dir(folder.path("bare")).unwrap();
    check(&["response.hex", "--trust", "bare"], "no trust anchor in folder `bare`");
    folder.file("text.pem", "hello");
    check(&["response.hex", "--trust", "text.pem"], "cannot use trust anchor `text.pem`");
    check(&["response.hex", "--trust", "trust", "--at", "yesterday"], "invalid value 'yesterday'");
    folder.file("short.key", "00ff");
    let session = ["--session-transcript", "transcript.hex", "--reader-key", "short.key"];
    check(&[&["response.hex", "--trust", "trust"], &session[..]].concat(), "a key of 32 bytes");
}

#[test]
fn an_sd_jwt_verifies_with_its_key_binding() {
    let Some(example) = vectors("sd-jwt", "simple.json") else { return };
    let keys = vectors("sd-jwt", "keys.json").unwrap();
    let folder = Folder::new();
    folder.file("pass.sd-jwt", example["sd_jwt_presentation"].as_str().unwrap());
    let mut public = keys["issuer_jwk"].clone();
    public.as_object_mut().unwrap().remove("d").unwrap();
    folder.file("issuer.jwk", public.to_string());
    folder.file("private.jwk", keys["issuer_jwk"].to_string());
    let base = ["pass.sd-jwt", "--at", "2023-11-14T22:13:20Z", "--trust"];
    let proof = ["--audience", "https://verifier.example.org", "--nonce"];
    let good = [&base[..], &["issuer.jwk"], &proof, &["1234567890", "--json"]].concat();
    let answer = verify(&folder, &good).expect(0, "valid").json();
    assert_eq!((&answer["format"], &answer["holder"]), (&json!("dc+sd-jwt"), &json!("signature")));
    assert_eq!(answer["claims"]["nationalities"], json!(["US"]));
    let wrong = [&base[..], &["issuer.jwk"], &proof, &["0", "--json"]].concat();
    assert_eq!(verify(&folder, &wrong).expect(3, "rejected").json()["culprit"], "holder");
    let private = [&base[..], &["private.jwk"]].concat();
    verify(&folder, &private).expect(2, "cannot use trust anchor `private.jwk`");
    folder.limen(&["credential", "inspect", "pass.sd-jwt"]).expect(0, "disclosures");
}

#[test]
fn inspect_shows_what_is_inside_and_verifies_nothing() {
    let Some((folder, messages)) = annex_d() else { return };
    let inspect = |file: &str| folder.limen(&["credential", "inspect", file]);
    inspect("response.hex").expect(0, "valid until").expect(0, "family_name");
    inspect("trust/signer.pem").expect(0, "utopia ds");
    let json = folder.limen(&["credential", "inspect", "response.hex", "--json"]).json();
    assert_eq!(json["document_1"]["document_type"], "org.iso.18013.5.1.mDL");
    // Names that would steer a terminal are shown harmless; the helper looks for escapes.
    let hex = messages["device_response_hex"].as_str().unwrap();
    folder.file("steer.hex", hex.replace("63446f65", "631b5b4a"));
    inspect("steer.hex").expect(0, "\\u{1b}[J");
    folder.file("garbage", [0xff; 64]);
    inspect("garbage").expect(1, "cannot read `garbage` as a credential");
    inspect("none").expect(2, "cannot read `none`");
}
