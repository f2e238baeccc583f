//! `limen login`: what is remembered, for whom, and what is not.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::run::{Folder, Listening, listen};

fn server() -> Listening {
    listen(Box::new(|first, token, _| {
        let problem = |status: u16, code: &str| {
            let body = json!({ "status": status, "title": "no", "code": code, "detail": "why" });
            (status, "application/problem+json", body.to_string().into())
        };
        match (first, token) {
            (_, Some("narrow")) => problem(403, "denied"),
            (_, Some("secret-1")) if first.starts_with("GET /v1/operators?") => {
                let item = json!({ "code": "tram", "name": "Tram", "registered_at": "2027" });
                (200, "application/json", json!({ "items": [item] }).to_string().into())
            }
            _ => problem(401, "unauthorized"),
        }
    }))
}

#[test]
fn a_profile_is_checked_kept_private_and_used() {
    let (folder, server) = (Folder::new(), server());
    let login = ["login", "--server", &server.url];
    let said = folder.limen_with("secret-1\n", &login).expect(0, "Signed in");
    assert!(!said.out.contains("secret-1") && !said.err.contains("secret-1"));
    let file = folder.path("config/limen/profile.toml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    folder.limen(&["operator", "list"]).expect(0, "CODE  NAME  REGISTERED\ntram  Tram  2027\n");
    // The token of this server goes to no other.
    let other = listen(Box::new(|_, token, _| {
        (401, "text/plain", format!("token: {}", token.unwrap_or("none")).into())
    }));
    folder.limen(&["operator", "list", "--server", &other.url]).expect(1, "token: none");
    // A file that others can read is not taken.
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    folder.limen(&["operator", "list"]).expect(2, "chmod 600");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    folder.limen(&["logout"]).expect(0, "is forgotten");
    folder.limen(&["logout"]).expect(0, "There is no profile `default`");
    folder.limen(&["operator", "list"]).expect(2, "no server is known");
    assert!(!std::fs::read_to_string(&file).unwrap().contains("secret-1"));
}

#[test]
fn profiles_stand_beside_each_other() {
    let (folder, server) = (Folder::new(), server());
    let login = |name, token: &str| {
        let arguments = ["login", "--server", &server.url, "--profile", name];
        folder.limen_with(token, &arguments).expect(0, "Signed in")
    };
    login("work", "secret-1");
    login("narrow", "narrow");
    folder.limen(&["operator", "list", "--profile", "work"]).expect(0, "tram");
    let denied = folder.limen(&["operator", "list", "--profile", "narrow"]);
    denied.expect(1, "denied, HTTP 403");
    let mut by_environment = folder.command(&["operator", "list", "--json"]);
    let output = by_environment.env("LIMEN_PROFILE", "work").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut by_environment = folder.command(&["operator", "list"]);
    by_environment.env("LIMEN_SERVER", &server.url).env("LIMEN_TOKEN", "secret-1");
    assert!(by_environment.output().unwrap().status.success());
}

#[test]
fn a_token_that_the_server_does_not_know_is_not_remembered() {
    let (folder, server) = (Folder::new(), server());
    let login = ["login", "--server", &server.url];
    folder.limen_with("wrong\n", &login).expect(1, "does not know this token");
    folder.limen_with("", &login).expect(2, "no token");
    folder.limen_with("two words", &login).expect(2, "no token");
    folder.limen_with(&"x".repeat(1025), &login).expect(2, "no token");
    folder.limen(&["login", "--server", "http://city.example"]).expect(2, "this machine only");
    assert!(!folder.path("config").exists());
}

#[test]
fn a_damaged_profile_is_named_without_its_tokens() {
    let folder = Folder::new();
    let path = folder.file("config/limen/profile.toml", "[profile.default]\ntoken = \"secret-1");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let done = folder.limen(&["operator", "list"]).expect(2, "profile.toml");
    assert!(!done.err.contains("secret-1"), "{}", done.err);
}
