//! A city on a token that changes its suite: both halves of its keys, and the way there and back.

use std::path::Path;

use serde_json::Value;

use crate::ceremony::{MODULE, Tokens};
use crate::key::listening;
use crate::run::Folder;

const HYBRID: &str = "ES256+ML-DSA-44";

/// A city whose keys lie on a token, and whose root lies in its folder.
struct City {
    folder: Folder,
    tokens: Tokens,
}

impl City {
    /// None where there is no SoftHSM.
    fn new(suites: &[&str]) -> Option<Self> {
        if !Path::new(MODULE).is_file() {
            let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            assert!(!ci, "SoftHSM is absent: install the package softhsm2");
            eprintln!("NOT RUN: SoftHSM is absent; install the package softhsm2");
            return None;
        }
        let folder = Folder::new();
        let tokens = Tokens::new(&folder);
        tokens.make("city-keys");
        let city = Self { folder, tokens };
        let create = ["city", "create", "--folder", "city", "--name", "Test City", "--json"];
        let rest = ["--operator", "harbour=Harbour", "--module", MODULE, "--token", "city-keys"];
        let pin = format!("file:{}", city.folder.path("pin").display());
        let suites = suites.iter().flat_map(|suite| ["--suite", suite]);
        let create: Vec<&str> =
            create.into_iter().chain(rest).chain(["--pin", &pin]).chain(suites).collect();
        city.limen(&create).expect(0, "tokens");
        Some(city)
    }

    fn limen(&self, arguments: &[&str]) -> crate::run::Done {
        self.tokens.limen(&self.folder, "", arguments)
    }

    /// Suite, custodian and state of every key of a purpose, as `limen key list` tells of them.
    fn keys(&self, purpose: &str) -> Vec<[String; 3]> {
        let mut serve =
            self.folder.command(&["key", "serve", "--config", "city/keys.toml", "--json"]);
        serve.env("SOFTHSM2_CONF", &self.tokens.0);
        let _service = listening(serve);
        let list = self.limen(&["key", "list", "--config", "city/limen.toml", "--json"]);
        let list = list.expect(0, purpose).json();
        let of = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
        let keys = list["keys"].as_array().unwrap().iter();
        keys.filter(|key| key["purpose"] == purpose)
            .map(|key| ["suite", "held_by", "state"].map(|name| of(key, name)))
            .collect()
    }

    fn set_suites(&self, text: &str) {
        let path = self.folder.path("city/limen.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let (before, _) = config.split_once("[keys.suites]").unwrap_or((&config, ""));
        let after = config.split_once("[limits]").map_or("", |(_, after)| after);
        let before = before.split_once("[limits]").map_or(before, |(before, _)| before);
        let limits = if after.is_empty() { String::new() } else { format!("[limits]{after}") };
        std::fs::write(path, format!("{before}\n[keys.suites]\n{text}\n{limits}")).unwrap();
    }
}

fn hybrid(state: &str) -> [String; 3] {
    [HYBRID, "token:city-keys + software", state].map(String::from)
}

fn classic(state: &str) -> [String; 3] {
    ["ES256", "token:city-keys", state].map(String::from)
}

#[test]
fn keys_on_a_token_have_their_other_halves_beside_it() {
    let (bundle, list) = (format!("bundle={HYBRID}"), format!("status-list={HYBRID}"));
    let Some(city) = City::new(&[&bundle, &list]) else { return };
    assert_eq!(city.keys("bundle"), [hybrid("active")]);
    assert_eq!(city.keys("status-list"), [hybrid("active")]);
    assert_eq!(city.keys("reader-authority"), [classic("active")]);
    // Without the halves nothing is served, rather than keys that are not what they were.
    std::fs::rename(city.folder.path("city/keys/halves.keys"), city.folder.path("away")).unwrap();
    city.limen(&["key", "serve", "--config", "city/keys.toml"]).expect(1, "halves");
}

#[test]
fn suite_changes_by_rotation_and_is_not_weakened_without_a_word() {
    let Some(city) = City::new(&[]) else { return };
    assert_eq!(city.keys("bundle"), [classic("active")]);
    city.set_suites(&format!("bundle = \"{HYBRID}\"\nstatus_list = \"{HYBRID}\""));
    let rotate = ["key", "rotate", "bundle", "--folder", "city"];
    let done = city.limen(&rotate).expect(0, "active");
    assert!(!done.err.contains("weaker"), "{}", done.err);
    assert_eq!(city.keys("bundle"), [classic("active"), hybrid("active")]);
    // Readers must know a signer of status lists before its first use.
    city.limen(&["key", "rotate", "status-list", "--folder", "city"]).expect(0, "made");
    assert_eq!(city.keys("status-list"), [classic("active"), hybrid("published")]);
    city.set_suites("");
    let done = city.limen(&rotate).expect(0, "active");
    assert!(done.err.contains("weaker than ES256+ML-DSA-44"), "{}", done.err);
}

/// A city from before there were hybrid keys on tokens, or one that moved to its token since.
#[test]
fn a_city_without_halves_has_them_made_by_the_rotation_that_needs_them() {
    let Some(city) = City::new(&[]) else { return };
    let path = city.folder.path("city/keys.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = config.split_once("[halves]").unwrap();
    let after = rest.split_once("\n[").map_or("", |(_, after)| after);
    let bare = format!("{before}[{after}");
    std::fs::write(&path, &bare).unwrap();
    for file in ["halves.keys", "halves.key"] {
        std::fs::remove_file(city.folder.path("city/keys").join(file)).unwrap();
    }
    let rotate = |level: &str| city.limen(&["key", "rotate", level, "--folder", "city"]);
    // As long as no suite is hybrid nobody makes any.
    rotate("bundle").expect(0, "active");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), bare);
    city.set_suites(&format!("bundle = \"{HYBRID}\""));
    rotate("status-list").expect(0, "made");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), bare);

    // With the service running, which reads its configuration again.
    let mut serve = city.folder.command(&["key", "serve", "--config", "city/keys.toml", "--json"]);
    serve.env("SOFTHSM2_CONF", &city.tokens.0);
    let service = listening(serve);
    rotate("bundle").expect(0, "active");
    drop(service);
    assert!(std::fs::read_to_string(&path).unwrap().contains("[halves]"));
    assert!(city.folder.path("city/keys/halves.keys").is_file());
    assert_eq!(city.keys("bundle").last(), Some(&hybrid("active")));
    // Once is enough.
    let config = std::fs::read_to_string(&path).unwrap();
    rotate("bundle").expect(0, "active");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), config);
}
