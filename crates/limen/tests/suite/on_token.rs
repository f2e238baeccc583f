//! Keys from a PKCS#11 token to a reader, by real processes; and how signing keys and secrets live on one
//! token. `pkcs11-tool` is the foreign witness.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::deliveries::{City, SEARCHED_BYTES_MIN, forms, in_files, in_memory, key_in, serve_keys};
use crate::run::Folder;
use crate::up::PATIENCE;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "271828";

/// A folder with an empty token `city`.
fn with_token() -> Folder {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("tokens")).unwrap();
    let tokens = folder.path("tokens");
    let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
    folder.file("softhsm2.conf", text);
    edge::file::replace(&folder.path("pin"), PIN.as_bytes()).unwrap();
    let init = ["--init-token", "--free", "--label", "city", "--so-pin", "31415926", "--pin", PIN];
    run(&folder, Command::new("softhsm2-util").args(init));
    folder
}

fn run(folder: &Folder, command: &mut Command) -> String {
    let output = command.env("SOFTHSM2_CONF", folder.path("softhsm2.conf")).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

fn foreign(folder: &Folder, arguments: &[&str]) -> String {
    let login = ["--module", MODULE, "--token-label", "city", "--login", "--pin", PIN];
    run(folder, Command::new("pkcs11-tool").args(login).args(arguments))
}

fn city() -> City {
    let folder = with_token();
    let pin = format!("file:{}", folder.path("pin").display());
    City::created(folder, &["--module", MODULE, "--token", "city", "--pin", &pin])
}

/// The objects that `pkcs11-tool` lists, each with its lines.
fn objects(listed: &str, kind: &str) -> Vec<String> {
    let mut objects: Vec<String> = Vec::new();
    for line in listed.lines() {
        if line.starts_with(' ') {
            if let Some(last) = objects.last_mut() {
                last.push_str(line);
            }
        } else {
            objects.push(line.into());
        }
    }
    objects.retain(|object| object.starts_with(kind));
    objects
}

#[test]
fn keys_go_from_a_token_to_a_readers_element_and_the_server_never_has_them() {
    let city = city();
    city.door("quay/gate-1", "B");
    city.reader("gate-1", "quay/gate-1", &["--post-quantum"]);
    let held = city.keys_of("gate-1");
    assert_eq!(held.len(), 3, "{held:?}");
    let element = fs::read(city.folder.path("gate-1/element")).unwrap();
    for listed in &held {
        let check = listed["check_value"].as_str().unwrap();
        let key = key_in(&element, check).expect("control: the element holds the key");
        let (found, looked) = in_memory(&city.server, &forms(&key));
        assert!(!found && looked > SEARCHED_BYTES_MIN, "{}: {looked} bytes", listed["purpose"]);
        // The token encrypts what it stores.
        for place in ["city", "tokens"] {
            let (found, looked) = in_files(&city.folder.path(place), &forms(&key));
            assert!(found.is_empty() && looked > 3, "{found:?}");
        }
    }
}

#[test]
fn city_that_is_not_founded_leaves_its_token_empty() {
    let folder = with_token();
    let pin = format!("file:{}", folder.path("pin").display());
    let create = ["city", "create", "--folder", "city", "--name", "Test", "--operator", "a=A"];
    let on_token = ["--module", MODULE, "--token", "city", "--pin", &pin];
    let create = [&create[..], &on_token].concat();
    let wrong = [&create[..], &["--country", "nowhere"]].concat();
    folder.limen(&wrong).expect(1, "a country of two capitals");
    let keys = || objects(&foreign(&folder, &["--list-objects"]), "Private Key Object").len();
    assert_eq!(keys(), 0);
    folder.limen(&create).expect(0, "created");
    assert!(keys() > 3, "the control");
}

#[test]
fn handles_of_the_express_tap_are_made_where_the_epoch_keys_are_in_a_token() {
    crate::express::check_secrecy(city());
}

#[test]
fn signing_keys_and_secrets_on_one_token_do_not_disturb_each_other() {
    let mut city = city();
    city.door("quay/gate-1", "B");
    city.reader("gate-1", "quay/gate-1", &[]);
    let list = ["key", "list", "--config", "city/limen.toml", "--json"];
    let signing = |city: &City| {
        let keys = city.folder.limen(&list).expect(0, "token:city").json();
        keys["keys"].as_array().unwrap().len()
    };
    let before = signing(&city);
    assert!(before > 4, "{before}");
    let listed = foreign(&city.folder, &["--list-objects"]);
    let (privates, secrets) =
        (objects(&listed, "Private Key Object"), objects(&listed, "Secret Key Object"));
    assert_eq!(privates.len(), before, "{listed}");
    assert!(privates.iter().all(|key| key.contains("never extractable")), "{privates:?}");
    assert!(privates.iter().all(|key| !key.contains("limen-secret-1")));
    assert_eq!(secrets.len(), 3, "two epochs and a zone: {listed}");
    for secret in &secrets {
        assert!(secret.contains("limen-secret-1") && secret.contains("sensitive"), "{secret}");
        let usage = secret.split("Usage:").nth(1).unwrap_or_default();
        for word in ["encrypt", "decrypt", "sign", "verify", "unwrap", "derive"] {
            assert!(!usage.contains(word), "{word}: {secret}");
        }
    }
    // A second custodian is kept out, though the vault has sessions of its own.
    let second = fs::read_to_string(city.folder.path("city/keys.toml")).unwrap();
    let second = second.replace("keys.sock", "second.sock").replace("keys/uses", "keys/second");
    city.folder.file("city/second.toml", second);
    let serve = ["key", "serve", "--config", "city/second.toml"];
    city.folder.limen(&serve).expect(1, "token");
    // Somebody else's keys on the token, and one with a label of ours that may do too much.
    let generate = ["--keygen", "--key-type", "AES:32", "--id", "77"];
    foreign(
        &city.folder,
        &[&generate[..], &["--label", "somebody else", "--usage-decrypt"]].concat(),
    );
    city.keys.end();
    city.keys = serve_keys(&city.folder);
    assert_eq!(signing(&city), before);
    city.door("yard/gate-2", "C");
    city.reader("gate-2", "yard/gate-2", &[]);
    // The server looks for its key service from time to time, and so does the reader for its keys.
    let began = Instant::now();
    while city.keys_of("gate-2").len() < 3 {
        assert!(began.elapsed() < PATIENCE, "the vault makes and wraps no more");
        city.sync("gate-2");
    }
    assert_eq!(signing(&city), before);
}
