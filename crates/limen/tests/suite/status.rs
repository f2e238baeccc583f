//! `limen status` on the published Status List Tokens.

use serde_json::{Value, json};

use crate::run::{Folder, listen, vectors};

fn tokens() -> Option<(Folder, Value)> {
    let tokens = vectors("token-status-list", "tokens.json")?;
    let folder = Folder::new();
    folder.file("list.jwt", tokens["status_list_jwt"]["compact"].as_str()?);
    folder.file("list.cwt", tokens["status_list_cwt"]["hex"].as_str()?);
    let mut public = tokens["signing_key_jwk"].clone();
    public.as_object_mut()?.remove("d")?;
    folder.file("signer.jwk", public.to_string());
    Some((folder, tokens))
}

#[test]
fn a_list_is_shown_in_both_forms() {
    let Some((folder, _)) = tokens() else { return };
    let inspect = |file| folder.limen(&["status", "inspect", file, "--json"]).json();
    let mut jwt = inspect("list.jwt");
    let mut cwt = inspect("list.cwt");
    assert_eq!(jwt["uri"], "https://example.com/statuslists/1");
    assert_eq!(
        (&jwt["bits"], &jwt["entries"], &jwt["ttl_seconds"]),
        (&json!(1), &json!(16), &json!(43_200))
    );
    assert_eq!(jwt["statuses"], json!({ "valid": 7, "invalid": 9 }));
    for answer in [&mut jwt, &mut cwt] {
        answer.as_object_mut().unwrap().remove("format").unwrap();
    }
    assert_eq!(jwt, cwt);
    folder.limen(&["status", "inspect", "signer.jwk"]).expect(2, "cannot read `signer.jwk`");
}

#[test]
fn an_entry_is_looked_up_and_judged() {
    let Some((folder, tokens)) = tokens() else { return };
    let check = |arguments: &[&str], code: i32, text: &str| {
        folder.limen(&[&["status", "check"], arguments].concat()).expect(code, text);
    };
    for file in ["list.jwt", "list.cwt"] {
        check(&[file, "0"], 3, "entry 0: invalid (signature unchecked)");
        check(&[file, "1"], 0, "entry 1: valid (signature unchecked)");
        check(&[file, "15"], 3, "invalid");
        check(&[file, "16"], 2, "its entries are 0 to 15");
        let trusted = [file, "1", "--trust", "signer.jwk", "--at"];
        check(&[&trusted[..], &["2024-01-01T00:00:00Z"]].concat(), 0, "valid (signature valid)");
        check(&[&trusted[..], &["2050-01-01T00:00:00Z"]].concat(), 3, "expired");
    }
    let compact = tokens["status_list_jwt"]["compact"].as_str().unwrap();
    folder.file("forged.jwt", compact.replace(".2lKU", ".2lKV"));
    check(
        &["forged.jwt", "1", "--trust", "signer.jwk", "--at", "2024-01-01T00:00:00Z"],
        3,
        "rejected",
    );
    check(&["list.jwt", "1", "--at", "2024-01-01T00:00:00Z"], 2, "--trust");
}

#[test]
fn a_list_is_fetched_without_the_token() {
    let Some((folder, tokens)) = tokens() else { return };
    let compact = tokens["status_list_jwt"]["compact"].as_str().unwrap().to_owned();
    let server = listen(Box::new(move |first, token, _| match first {
        "GET /v1/status-lists" => {
            (200, "application/json", json!({ "status_lists": ["https://a/1"] }).to_string().into())
        }
        "GET /lists/1" if token.is_none() => {
            (200, "application/statuslist+jwt", compact.clone().into())
        }
        _ => (500, "text/plain", "unexpected".into()),
    }));
    let url = format!("{}/lists/1", server.url);
    let call = ["--server", &server.url, "--token", "secret"];
    folder.limen(&[&["status", "fetch"], &call[..]].concat()).expect(0, "https://a/1");
    folder
        .limen(&[&["status", "fetch", &url, "--out", "got"], &call[..]].concat())
        .expect(0, "got");
    folder.limen(&["status", "check", "got", "1"]).expect(0, "valid");
}
