//! `limen serve` as a process: TLS 1.3, and an end in order.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::run::Folder;

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/tls/server.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/tls/server.key");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/tls/root.pem");

/// A server that is killed with its test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn city(folder: &Folder) -> (u16, String) {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let created = folder.limen(&[
        "city",
        "create",
        "--folder",
        "city",
        "--name",
        "Test City",
        "--operator",
        "harbour=Harbour",
        "--listen",
        &listen,
        "--json",
    ]);
    let created: Value = serde_json::from_str(&created.out).unwrap();
    let tokens = created["tokens"].as_array().unwrap();
    let token = tokens.iter().find(|token| token["operator"] == "harbour").unwrap();
    (port, token["token"].as_str().unwrap().to_owned())
}

/// The server and the key service that it needs.
fn serve(folder: &Folder, arguments: &[&str]) -> [Server; 2] {
    let keys = serve_keys(folder);
    let serve = ["serve", "--config", "city/limen.toml", "--json"];
    [listening(folder.command(&[&serve[..], arguments].concat())), keys]
}

fn serve_keys(folder: &Folder) -> Server {
    listening(folder.command(&["key", "serve", "--config", "city/keys.toml", "--json"]))
}

fn listening(mut command: std::process::Command) -> Server {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("listening"), "{line}");
    Server(child)
}

#[test]
fn a_city_that_cannot_be_founded_leaves_nothing_in_the_way_of_the_next_try() {
    let folder = Folder::new();
    let create = ["city", "create", "--folder", "city", "--name", "Test City", "--operator"];
    let create = [&create[..], &["harbour=Harbour"]].concat();
    let wrong = [&create[..], &["--country", "nowhere"]].concat();
    folder.limen(&wrong).expect(1, "a country of two capitals");
    assert!(!folder.path("city").exists());
    folder.limen(&create).expect(0, "created");
    // The control: a folder that was there before stays as it is.
    folder.limen(&wrong).expect(2, "holds a city already");
    assert!(folder.path("city/limen.toml").exists());
}

#[test]
fn a_city_that_cannot_be_founded_in_a_folder_takes_away_what_it_made_and_no_more() {
    let folder = Folder::new();
    // The folder is there, and a part of a city has the name of another's.
    std::fs::create_dir_all(folder.path("city/keys/old")).unwrap();
    let theirs = ["city/note", "city/keys/front-door", "city/keys/old/shed"];
    for file in theirs {
        folder.file(file, "theirs");
    }
    let all = || {
        let (mut found, mut left) = (Vec::new(), vec![folder.path("city")]);
        while let Some(path) = left.pop() {
            if path.is_dir() {
                left.extend(std::fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
            }
            found.push(path);
        }
        found.sort();
        found
    };
    let before = all();
    let create = ["city", "create", "--folder", "city", "--name", "Test City", "--operator"];
    let create = [&create[..], &["harbour=Harbour"]].concat();
    let wrong = [&create[..], &["--country", "nowhere"]].concat();
    for embedded in [&[][..], &["--embedded"]] {
        folder.limen(&[&wrong[..], embedded].concat()).expect(1, "a country of two capitals");
        assert_eq!(all(), before);
    }
    folder.limen(&create).expect(0, "created");
    let made = all();
    assert!(made.len() > before.len() + 10, "control: {made:?}");
    // What is there stays when a city is there, whole or not.
    std::fs::remove_file(folder.path("city/limen.toml")).unwrap();
    let rest = all();
    folder.limen(&wrong).expect(2, "holds a city already");
    assert_eq!(all(), rest);
    for file in theirs {
        assert_eq!(std::fs::read(folder.path(file)).unwrap(), b"theirs");
    }
}

#[test]
fn tls_serves_whoever_trusts_its_root_and_nobody_else() {
    let folder = Folder::new();
    let (port, token) = city(&folder);
    let _server = serve(&folder, &["--tls-cert", CERTIFICATE, "--tls-key", KEY]);
    let show = |url: &str, more: &[&str]| {
        let command = ["operator", "show", "harbour", "--server", url, "--token", &token];
        folder.limen(&[&command[..], more].concat())
    };
    let url = format!("https://localhost:{port}");
    assert_eq!(show(&url, &["--ca", ROOT]).code, 0);
    assert_eq!(show(&url, &[]).code, 1, "its root is not one of the web's");
    let plain = format!("http://127.0.0.1:{port}");
    assert_eq!(show(&plain, &[]).code, 1, "there is no plain HTTP beside TLS");
}

#[test]
fn one_half_of_tls_is_wrong_use() {
    let folder = Folder::new();
    let done = folder.limen(&["serve", "--tls-cert", CERTIFICATE]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("--tls-key"), "{}", done.err);
}

#[test]
fn a_second_city_does_not_replace_the_first() {
    let folder = Folder::new();
    city(&folder);
    let keys = std::fs::read(folder.path("city/keys/city.keys")).unwrap();
    let again = folder.limen(&[
        "city",
        "create",
        "--folder",
        "city",
        "--name",
        "Other",
        "--operator",
        "harbour=Harbour",
    ]);
    assert_eq!(again.code, 2);
    assert_eq!(std::fs::read(folder.path("city/keys/city.keys")).unwrap(), keys);
}

#[test]
fn a_log_that_cannot_be_written_does_not_stop_the_server() {
    let folder = Folder::new();
    let (port, token) = city(&folder);
    let _keys = serve_keys(&folder);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = folder.command(&["serve", "--config", "city/limen.toml", "--json"]);
    command.env("LIMEN_LOG", "debug").stdout(Stdio::piped()).stderr(full);
    let mut server = Server(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("listening"), "{line}");
    let url = format!("http://127.0.0.1:{port}");
    let register = ["person", "register", "Mira", "--server", &url, "--token", &token];
    for _ in 0..3 {
        let done = folder.limen(&register);
        assert_eq!(done.code, 0, "{}", done.err);
    }
}

#[test]
fn folders_of_a_city_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    city(&folder);
    for part in ["city", "city/data", "city/keys", "city/root", "city/server"] {
        let mode = std::fs::metadata(folder.path(part)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{part}");
    }
}

#[test]
fn the_way_out_opens_whatever_is_wrong_with_the_reader() {
    let folder = Folder::new();
    let egress =
        || folder.limen(&["reader", "egress", "--folder", "gone", "--door", "hall/door", "--json"]);
    let absent = egress();
    folder.file("gone/reader.cbor", "damaged");
    let damaged = egress();
    for done in [absent, damaged] {
        assert_eq!(done.code, 0);
        let answer: Value = serde_json::from_str(&done.out).unwrap();
        assert_eq!(answer["unlock_ms"], 5000);
        assert!(done.err.contains("without a record"), "{}", done.err);
    }
}
