//! `limen key migrate` from one token to another, with real processes, from the first command to the
//! last: the wall clock of the processes is moved over the weeks between.

use std::fs;
use std::process::Command;
use std::time::Duration;

use credential::crypto::PublicKey;
use credential::x509::Certificate;
use credential::x509::build::{self, Request, Signer, Subject};
use keys::custody::{Custody, Key, SignError, State};
use keys::object::TypedObject;
use keys::purpose::Purpose;
use keys::token::pin::Pin;
use keys::token::{Role, Settings, Token};
use vocabulary::time::Instant;

use crate::clock;
use crate::key::{City, serve, serve_keys, until};
use crate::migrate::{MODULE, PIN, believed, count, pass, private_keys, tokens};
use crate::run::{Done, Folder};

const OLD: &str = "old-keys";
const NEW: &str = "new-keys";
/// The suite of its signer of bundles, whose halves of ML-DSA lie beside either token.
const HYBRID: &str = "ES256+ML-DSA-44";
/// Says to this test, in a process of its own, which token to open alone.
const ALONE: &str = "LIMEN_TEST_SIGN_ALONE";

fn key(city: &City, arguments: &[&str]) -> Done {
    city.folder.limen(&[&["key"], arguments, &["--folder", "city"]].concat())
}

/// What becomes of a certificate that the issuing authority on the token `label` is to sign, opened without
/// the key service: `signs`, or why not. SoftHSM finds its tokens by the environment of a process.
fn sign_alone(city: &City, label: &str) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([
        "migrate_token::a_city_moves_from_one_token_to_another_and_the_old_one_is_dropped",
        "--exact",
        "--nocapture",
    ]);
    child.env(ALONE, label).env("SOFTHSM2_CONF", city.folder.path("softhsm2.conf"));
    let told = String::from_utf8(child.output().unwrap().stdout).unwrap();
    let told = told.lines().find_map(|line| line.split_once("alone: "));
    told.unwrap().1.to_owned()
}

async fn try_alone(label: &str) -> String {
    let settings = Settings { module: MODULE.into(), label: label.to_owned() };
    let token = Token::open(&settings, Pin::new(PIN).unwrap(), Role::City).unwrap();
    let keys = token.keys();
    let authority = keys
        .iter()
        .find(|key| key.purpose == Purpose::IssuingAuthority && key.state != State::Published);
    let Some(key) = authority else { return format!("holds {} keys", keys.len()) };
    let certificate = signer_certificate(key);
    let object = TypedObject::parse(key.purpose.object_type(), &certificate).unwrap();
    match token.sign(&key.handle, &object).await {
        Ok(_) => String::from("signs"),
        Err(SignError::NotActive { state: State::Retired, .. }) => String::from("retired"),
        Err(error) => error.to_string(),
    }
}

/// A certificate that the authority is to sign, of a document signer of somebody's own.
fn signer_certificate(authority: &Key) -> Vec<u8> {
    let above = Certificate::parse(authority.certificate.as_deref().unwrap()).unwrap();
    let own = PublicKey::P256(*authority.public_key.as_bytes().first_chunk().unwrap());
    let request = Request {
        purpose: build::Purpose::DocumentSigner,
        subject: Subject { common_name: "own", organization: None, country: "UT" },
        key: &own,
        not_before: above.not_before,
        not_after: above.not_before.saturating_add(Duration::from_secs(86_400)),
        serial_entropy: [7; 16],
        issuer_uri: "https://own.example",
        crl_uri: "https://own.example/crl",
    };
    let unsigned = build::certificate(&request, Signer::Authority(&above)).unwrap();
    unsigned.to_be_signed().to_vec()
}

/// Days from the beginning of the test until `instant`, and one more.
fn day_after(began: Instant, instant: &str) -> u64 {
    let instant = Instant::parse_rfc3339(instant).unwrap();
    let seconds = instant.unix_seconds() - began.unix_seconds();
    u64::try_from(seconds / 86_400 + 1).unwrap()
}

/// So many days have gone by since the test began, and somebody says that the clock is right.
fn weeks_later(city: &City, began: Instant, days: u64) {
    clock::advance(&city.folder, days);
    let date = began.saturating_add(Duration::from_secs(86_400 * days)).to_string();
    let confirm = ["key", "confirm-clock", &date[..10], "--config", "city/limen.toml"];
    city.folder.limen(&confirm).expect(0, "confirmed");
}

fn now() -> Instant {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Instant::from_unix_seconds(i64::try_from(since.as_secs()).unwrap())
}

/// A city on the old token.
fn city() -> Option<City> {
    let folder = Folder::new();
    if !clock::is_movable() {
        return None;
    }
    tokens(&folder, &[OLD, NEW])?;
    let pin = format!("file:{}", folder.path("pin").display());
    let suite = format!("bundle={HYBRID}");
    let token = ["--module", MODULE, "--token", OLD, "--pin", &pin, "--suite", &suite];
    Some(City::created(folder, &token))
}

#[test]
fn a_city_moves_from_one_token_to_another_and_the_old_one_is_dropped() {
    if let Ok(label) = std::env::var(ALONE) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        println!("alone: {}", runtime.block_on(try_alone(&label)));
        return;
    }
    let Some(city) = city() else { return };
    let began = now();
    let old = format!("token:{OLD}");
    let config = fs::read_to_string(city.folder.path("city/keys.toml")).unwrap();

    let (service, server) = (serve_keys(&city.folder), serve(&city.folder));
    let person = city.furnish_for(365, 24 * 60);
    pass(&city, &person, "before");
    let to = ["migrate", "--to", NEW, "--to-module", MODULE, "--pin", "file:pin", "--json"];
    let moved = key(&city, &to).expect(0, "silent_from").json();
    assert_eq!(moved["from"], old.as_str());
    let silent_from = moved["silent_from"].as_str().unwrap().to_owned();
    let bundles = |state: &str| {
        let both = [OLD, NEW].map(|label| format!("token:{label} + software"));
        both.map(|held_by| count(&city, &held_by, state))
    };
    assert_eq!(bundles("active"), [1, 1], "both sign bundles, hybrid either");
    pass(&city, &person, "meanwhile");
    key(&city, &["migrate", "--finish"]).expect(2, "of them active");
    drop((server, service));
    assert_eq!(sign_alone(&city, OLD), "signs", "control: the old side signs before its instant");

    // The day before, it still does what nobody has learnt to expect of the new side.
    let silent = day_after(began, &silent_from);
    weeks_later(&city, began, silent - 2);
    let (service, server) = (serve_keys(&city.folder), serve(&city.folder));
    pass(&city, &person, "eve");
    assert!(count(&city, &old, "active") > 0);
    assert_eq!(bundles("active"), [0, 1]);
    drop((server, service));

    // From the instant on it signs nothing, whoever opens it; what it signed is believed.
    weeks_later(&city, began, silent);
    let (service, server) = (serve_keys(&city.folder), serve(&city.folder));
    until("the old side is silent", || count(&city, &old, "active") == 0);
    assert_eq!(count(&city, &old, "published"), 0);
    pass(&city, &person, "after");
    for phone in ["before", "meanwhile", "eve", "after"] {
        assert!(believed(&city, phone) >= 1, "{phone}");
    }
    let waits = key(&city, &["migrate", "--finish"]).expect(2, "0 of them active");
    let until_day = waits.err.split_once("look again on ").unwrap().1;
    let until_day = until_day.split_whitespace().next().unwrap();
    drop((server, service));
    assert_eq!(sign_alone(&city, OLD), "retired");
    assert_eq!(sign_alone(&city, NEW), "signs");
    assert!(private_keys(&city.folder, OLD).contains("issuing-authority"));

    weeks_later(&city, began, day_after(began, until_day));
    drop_old(&city, &person, &config);
}

/// When the last of its keys has ended, the old token is dropped; `config` named it.
fn drop_old(city: &City, person: &str, config: &str) {
    let old = format!("token:{OLD}");
    let (service, server) = (serve_keys(&city.folder), serve(&city.folder));
    let finish = || key(city, &["migrate", "--finish", "--json"]);
    until("the old keys are destroyed", || keys_on(city, &old) == 0);
    assert_eq!(finish().expect(0, "dropped").json()["dropped"], old.as_str());
    finish().expect(2, "no move is under way");
    let after = fs::read_to_string(city.folder.path("city/keys.toml")).unwrap();
    assert!(after.contains("halves-2.keys") && !after.contains("halves.keys"), "{after}");
    assert!(config.contains(OLD) && !after.contains(OLD) && after.contains(NEW), "{after}");
    pass(city, person, "last");
    assert!(believed(city, "last") >= 1);
    drop((server, service));
    assert!(!private_keys(&city.folder, OLD).contains("Private Key Object"));
    assert_eq!(sign_alone(city, OLD), "holds 0 keys");
    assert!(private_keys(&city.folder, NEW).contains("issuing-authority"));
}

fn keys_on(city: &City, held_by: &str) -> usize {
    let names = [held_by.to_owned(), format!("{held_by} + software")];
    let states = ["published", "active", "retired"];
    names.iter().flat_map(|name| states.map(|state| count(city, name, state))).sum()
}
