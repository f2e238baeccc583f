//! `limen key migrate` with real processes: a city moves from its sealed file to a token while its
//! server runs, and passes of before, of meanwhile and of after are believed.

use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::{Context, Poll, Waker};

use keys::custody::{Custody, SignError, State};
use keys::object::{ObjectType, TypedObject};
use keys::purpose::Purpose;
use keys::software::Keystore;
use keys::unlock::Unlock;
use serde_json::Value;

use crate::key::{City, serve, serve_keys, until};
use crate::run::{Done, Folder};

pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(crate) const PIN: &str = "271828";
const LABEL: &str = "harbour-keys";
const TEXT: &[u8] = b"city.example/log\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

/// Tokens in the folder of the city; none where SoftHSM is not installed.
pub(crate) fn tokens(folder: &Folder, labels: &[&str]) -> Option<()> {
    if !Path::new(MODULE).is_file() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "SoftHSM is absent");
        eprintln!("NOT RUN: SoftHSM is absent; install the package softhsm2");
        return None;
    }
    let tokens = folder.path("tokens");
    fs::create_dir_all(&tokens).unwrap();
    let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
    let configuration = folder.file("softhsm2.conf", text);
    folder.file("pin", PIN);
    fs::set_permissions(folder.path("pin"), PermissionsExt::from_mode(0o600)).unwrap();
    for label in labels {
        let arguments = ["--init-token", "--free", "--label", label, "--so-pin", PIN, "--pin", PIN];
        let mut command = Command::new("softhsm2-util");
        let made = command.args(arguments).env("SOFTHSM2_CONF", &configuration).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    Some(())
}

/// The private keys on a token, as the foreign client lists them.
pub(crate) fn private_keys(folder: &Folder, label: &str) -> String {
    let mut list = Command::new("pkcs11-tool");
    list.args(["--module", MODULE, "--token-label", label, "--login", "--pin", PIN]);
    list.args(["--list-objects", "--type", "privkey"]);
    list.env("SOFTHSM2_CONF", folder.path("softhsm2.conf")).stderr(Stdio::null());
    String::from_utf8(list.output().unwrap().stdout).unwrap()
}

fn migrate(city: &City, more: &[&str]) -> Done {
    let to = ["key", "migrate", "--to", LABEL, "--to-module", MODULE, "--pin", "file:pin"];
    city.folder.limen(&[&to[..], &["--folder", "city", "--json"], more].concat())
}

/// Purpose, custodian and state of every key.
fn keys(city: &City) -> Vec<[String; 3]> {
    let list = ["key", "list", "--config", "city/limen.toml", "--json"];
    let listed = city.folder.limen(&list).expect(0, "keys").json();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = listed["keys"].as_array().unwrap();
    rows.iter().map(|row| ["purpose", "held_by", "state"].map(|name| text(row, name))).collect()
}

pub(crate) fn count(city: &City, held_by: &str, state: &str) -> usize {
    keys(city).iter().filter(|[_, held, is]| held == held_by && is == state).count()
}

/// Issues a pass to a phone of its own, which writes its documents out.
pub(crate) fn pass(city: &City, person: &str, phone: &str) {
    city.phone(phone);
    let pass = city.issue(person);
    until("the phone gets its pass", || city.collect(&pass, phone).code == 0);
    let out = format!("documents/{phone}");
    city.folder.limen(&["wallet", "export", "--folder", phone, "--out", &out]).expect(0, "");
}

/// Whether every document of a phone is believed by who fetches the city's trust now; how many.
pub(crate) fn believed(city: &City, phone: &str) -> usize {
    let mut answer = ureq::get(&format!("{}/v1/trust", city.url)).call().unwrap();
    let trust: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    // Whoever checks access documents pins the document signers, too.
    for (field, file) in [("issuing_authorities", "trust.pem"), ("document_signers", "signers.pem")]
    {
        let listed = trust[field].as_array().unwrap().iter();
        let pems: String = listed.map(|it| it["certificate"].as_str().unwrap()).collect();
        city.folder.file(file, pems);
    }
    let mut documents = 0;
    for entry in fs::read_dir(city.folder.path(&format!("documents/{phone}"))).unwrap() {
        let path = entry.unwrap().path();
        let is_access = path.extension().is_some_and(|ending| ending == "access");
        let trust = if is_access { "signers.pem" } else { "trust.pem" };
        let verify = ["credential", "verify", path.to_str().unwrap(), "--trust", trust];
        city.folder.limen(&["credential", "inspect", verify[2]]).expect(0, "format");
        city.folder.limen(&verify).expect(0, "valid");
        documents += 1;
    }
    documents
}

fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a sealed file answers at once"),
    }
}

/// What the keystore at `path` says, opened alone, when its key for the log is to sign.
fn sign_alone(city: &City, path: &str) -> Result<(), SignError> {
    let unlock = city.folder.path("city/keys/city.key");
    let unlock = Unlock::key_file(&unlock, &city.folder.path("city/data")).unwrap();
    let store = Keystore::open_server(&city.folder.path(path), &unlock).unwrap();
    let key = store.keys().iter().find(|key| key.purpose == Purpose::Checkpoint).unwrap().clone();
    let object = TypedObject::parse(ObjectType::Checkpoint, TEXT).unwrap();
    wait(store.sign(&key.handle, &object)).map(drop)
}

#[test]
fn a_city_moves_from_its_file_to_a_token_while_its_server_runs() {
    let city = City::new();
    let Some(()) = tokens(&city.folder, &[LABEL]) else { return };
    let service = serve_keys(&city.folder);
    let server = serve(&city.folder);
    let person = city.furnish();
    pass(&city, &person, "before");
    let old = "city/keys/city.keys";
    fs::copy(city.folder.path(old), city.folder.path("copy.keys")).unwrap();

    // A wrong PIN, and an instant at which not all have learnt: nothing goes over.
    let config = fs::read_to_string(city.folder.path("city/keys.toml")).unwrap();
    city.folder.file("wrong", "314159");
    fs::set_permissions(city.folder.path("wrong"), PermissionsExt::from_mode(0o600)).unwrap();
    let wrong = ["key", "migrate", "--to", LABEL, "--to-module", MODULE, "--pin", "file:wrong"];
    city.folder.limen(&[&wrong[..], &["--folder", "city"]].concat()).expect(1, "cannot move");
    assert_eq!(fs::read_to_string(city.folder.path("city/keys.toml")).unwrap(), config);
    migrate(&city, &["--at", "2020-01-01T00:00:00Z"]).expect(2, "not everybody has learnt");
    assert!(sign_alone(&city, old).is_ok(), "control: the old side signs");

    // Planned: what nobody must learn of signs on the token at once, the rest is published there.
    let moved = migrate(&city, &[]).expect(0, "silent_from").json();
    assert_eq!(moved["from"], "software");
    let held_by = format!("token:{LABEL}");
    let has = |purpose: &str, state: &str| {
        keys(&city).contains(&[purpose, &held_by, state].map(str::to_owned))
    };
    for (purpose, state) in [
        ("bundle", "active"),
        ("document-signer-mdoc", "active"),
        ("issuing-authority", "published"),
        ("status-list", "published"),
        ("checkpoint", "published"),
    ] {
        assert!(has(purpose, state), "{purpose} is not {state}: {:?}", keys(&city));
    }
    pass(&city, &person, "meanwhile");
    city.folder.limen(&["key", "migrate", "--finish", "--folder", "city"]).expect(2, "still holds");

    // In haste: from this instant the old side signs nothing, whoever opens it.
    migrate(&city, &["--compromised"]).expect(0, "silent_from");
    until("the old side is silent", || count(&city, "software", "active") == 0);
    assert_eq!(count(&city, "software", "published"), 0);
    let refused = sign_alone(&city, old).unwrap_err();
    assert!(matches!(refused, SignError::NotActive { state: State::Retired, .. }), "{refused:?}");
    assert!(sign_alone(&city, "copy.keys").is_ok(), "control: the same key, had it not retired");
    pass(&city, &person, "after");
    for phone in ["before", "meanwhile", "after"] {
        assert!(believed(&city, phone) >= 1, "{phone}");
    }
    drop(server);
    drop(service);
    let seen = private_keys(&city.folder, LABEL);
    for purpose in ["issuing-authority", "bundle", "status-list", "checkpoint"] {
        assert!(seen.contains(purpose), "{purpose} in {seen}");
    }
}
