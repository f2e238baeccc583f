//! `limen demo`: the story as expected, each measure broken on purpose, and who knows which secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// What each sabotage makes go wrong, and how it ends then.
const SABOTAGES: [(&str, &str, &str); 8] = [
    ("digest-not-compared", "tampered", "granted"),
    ("validity-ignored", "month-later", "granted"),
    ("device-key-unchecked", "copied-ticket", "granted"),
    ("status-ignored", "revoked", "granted"),
    ("nonce-reused", "replayed", "granted"),
    ("journal-entry-dropped", "upload-journals", "refused"),
    ("reader-authentication-skipped", "rogue-reader", "granted"),
    ("log-leaf-altered", "verify-log", "refused"),
];

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("limen-test-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn limen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_limen")).args(arguments).output().unwrap()
}

fn story(arguments: &[&str]) -> (i32, BTreeMap<String, (String, String)>, Value) {
    let output = limen(&[&["demo", "--json"], arguments].concat());
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let text = |step: &Value, name: &str| step[name].as_str().unwrap().to_owned();
    let steps = told["steps"].as_array().unwrap().iter().map(|step| {
        assert!(step["duration_us"].is_u64());
        assert!(!text(step, "reason").is_empty());
        (text(step, "name"), (text(step, "expected"), text(step, "outcome")))
    });
    (output.status.code().unwrap(), steps.collect(), told["log"].clone())
}

#[test]
fn the_story_ends_as_expected_and_its_documents_can_be_checked() {
    let folder = Folder::new("story");
    let path = |below: &str| folder.0.join(below).display().to_string();
    let (code, steps, log) = story(&["--keep", &path("")]);
    assert_eq!(code, 0);
    assert!(steps.len() >= 20);
    assert!(steps.values().all(|(expected, outcome)| expected == outcome));
    let count = |outcome: &str| steps.values().filter(|(_, found)| found == outcome).count();
    assert!((count("granted"), count("refused")) >= (3, 7), "{steps:?}");
    assert_eq!(log["verified"], true);
    assert!(log["size"].as_u64().unwrap() > 20 && log["root"].as_str().unwrap().len() == 44);
    check_documents(&path);
    check_secrets(&folder.0);
    let again = limen(&["demo", "--keep", &path("")]);
    assert_eq!(again.status.code(), Some(2), "a kept story is not written over");
}

/// What was shown is judged again, offline, from the files alone.
fn check_documents(path: &dyn Fn(&str) -> String) {
    for (name, verdict, culprit) in [
        ("tap-door", "valid", Value::Null),
        ("tap-gate", "valid", Value::Null),
        ("tap-copied", "rejected", "holder".into()),
        ("tap-tampered", "rejected", "holder".into()),
    ] {
        let output = limen(&[
            "credential",
            "verify",
            &path(&format!("documents/{name}.response.cbor")),
            "--trust",
            &path("documents/trust"),
            "--session-transcript",
            &path(&format!("documents/{name}.transcript.cbor")),
            "--json",
        ]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&answer["verdict"], &answer["culprit"]), (&verdict.into(), &culprit), "{name}");
        assert_eq!(output.status.code(), Some(if verdict == "valid" { 0 } else { 3 }));
    }
    let other = limen(&[
        "credential",
        "verify",
        &path("documents/tap-door.response.cbor"),
        "--trust",
        &path("documents/trust"),
        "--session-transcript",
        &path("documents/tap-gate.transcript.cbor"),
    ]);
    assert_eq!(other.status.code(), Some(3), "a response must not fit another session");
}

/// Every secret lies where it belongs and nowhere else, in whatever way it could be written.
fn check_secrets(folder: &Path) {
    let secrets = [
        ("phones/mira.key", "phones/mira.key"),
        ("phones/old-phone.key", "phones/old-phone.key"),
        ("readers/door/reader.key", "readers/door/"),
        ("readers/gate/reader.key", "readers/gate/"),
        ("city/keys/city.key", "city/keys/"),
        ("city/root/root.key", "city/root/"),
    ];
    let files = files(folder);
    assert!(files.len() > 30);
    for (file, home) in secrets {
        let secret = std::fs::read(folder.join(file)).unwrap();
        assert_eq!(secret.len(), 32, "{file}");
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = credential::jose::base64url::encode(&secret);
        let forms = [secret.as_slice(), hex.as_bytes(), base64.as_bytes()];
        let holders: Vec<&str> = files
            .iter()
            .filter(|(_, bytes)| forms.iter().any(|form| contains(bytes, form)))
            .map(|(name, _)| name.as_str())
            .collect();
        assert!(holders.contains(&file), "the search must find `{file}` itself");
        assert!(holders.iter().all(|name| name.starts_with(home)), "{file} is in {holders:?}");
    }
    for (file, bytes) in &files {
        let is_own = file.starts_with("phones/") || file.starts_with("city/");
        assert!(is_own || !contains(bytes, b"Mira Okafor"), "{file} names a person");
    }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            found.push((name, std::fs::read(&path).unwrap()));
        }
    }
    found
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn each_broken_measure_changes_its_own_scene_and_no_other() {
    let listed = limen(&["demo", "--sabotage", "list"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    for (sabotage, scene, outcome) in SABOTAGES {
        assert!(listed.contains(sabotage), "{sabotage} is not listed");
        let (code, steps, log) = story(&["--sabotage", sabotage]);
        assert_eq!(code, 1, "{sabotage}");
        let differing: Vec<_> =
            steps.iter().filter(|(_, (expected, found))| expected != found).collect();
        let [(name, (_, found))] = differing.as_slice() else {
            panic!("{sabotage}: {differing:?}")
        };
        assert_eq!((name.as_str(), found.as_str()), (scene, outcome), "{sabotage}");
        assert_eq!(log["verified"], sabotage != "log-leaf-altered");
    }
    assert_eq!(listed.lines().count(), SABOTAGES.len());
}

#[test]
fn an_unknown_sabotage_is_wrong_use() {
    let output = limen(&["demo", "--sabotage", "everything"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("everything"));
}

#[test]
fn the_story_is_the_same_with_every_key_on_a_token() {
    let usual = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"];
    if !usual.iter().any(|path| Path::new(path).is_file()) {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!ci, "SoftHSM is absent: install the package softhsm2");
        eprintln!("NOT RUN: SoftHSM is absent; install the package softhsm2");
        return;
    }
    let (code, steps, log) = story(&["--hsm", "softhsm"]);
    assert!(steps.values().all(|(expected, outcome)| expected == outcome), "{steps:?}");
    assert_eq!((code, &log["verified"]), (0, &Value::Bool(true)));
    let ended = |name: &str| steps[name].1.as_str();
    assert_eq!(ended("pull-token"), "refused");
    assert_eq!(ended("tap-without-token"), "granted");
    assert_eq!((ended("return-token"), ended("foreign-client")), ("done", "done"));
    assert_eq!(ended("reader-keys"), "done");
}

#[test]
fn a_missing_token_module_is_wrong_use() {
    let output = limen(&["demo", "--hsm", "softhsm", "--hsm-module", "/nowhere/lib.so"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("there is no PKCS#11 module `/nowhere/lib.so`"), "{told}");
}
