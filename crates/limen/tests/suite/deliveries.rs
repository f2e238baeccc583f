//! Keys from the key service to a reader, by real processes; and where those keys are not.
//!
//! The key that the reader's element holds is looked for in the memory of the server, in its data
//! (database and audit log), in its log, and in what a backup of its folder holds. The controls find it
//! in the element, and in the key service, which is the boundary.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use credential::delivery::{Kcv, epoch_at};
use serde_json::Value;
use vocabulary::time::Instant;

use crate::run::Folder;

/// A server has more than this to search.
pub(crate) const SEARCHED_BYTES_MIN: usize = 16 << 20;

/// A process that is killed with its test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Ends it at once, and waits until it has.
    pub(crate) fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn listening(mut command: Command, log: &Path) -> Process {
    let log = File::create(log).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("listening"), "{line}");
    Process(child)
}

pub(crate) struct City {
    pub(crate) folder: Folder,
    pub(crate) url: String,
    pub(crate) token: String,
    /// Of the owner of the city itself.
    pub(crate) city_token: String,
    pub(crate) keys: Process,
    pub(crate) server: Process,
}

impl City {
    pub(crate) fn new() -> Self {
        Self::created(Folder::new(), &[])
    }

    /// A city in `folder` that is created with `more` arguments.
    pub(crate) fn created(folder: Folder, more: &[&str]) -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let create = ["city", "create", "--folder", "city", "--name", "Test City", "--operator"];
        let rest = ["harbour=Harbour", "--listen", &listen, "--json"];
        let created = folder.limen(&[&create[..], &rest, more].concat()).json();
        let tokens = created["tokens"].as_array().unwrap();
        let token_of = |operator: &str| {
            let token = tokens.iter().find(|token| token["operator"] == operator).unwrap();
            token["token"].as_str().unwrap().to_owned()
        };
        let (token, city_token) = (token_of("harbour"), token_of("city"));
        let keys = serve_keys(&folder);
        let mut serve = folder.command(&["serve", "--config", "city/limen.toml", "--json"]);
        serve.env("LIMEN_LOG", "debug");
        let server = listening(serve, &folder.path("server.log"));
        Self { url: format!("http://{listen}"), folder, token, city_token, keys, server }
    }

    pub(crate) fn ask(&self, arguments: &[&str]) -> Value {
        let call = ["--server", &self.url, "--token", &self.token, "--json"];
        let done = self.folder.limen(&[arguments, &call].concat());
        assert_eq!(done.code, 0, "{arguments:?}: {}", done.err);
        done.json()
    }

    /// No tap is drawn to go by a stronger profile; readers hear of it when they next ask.
    pub(crate) fn draw_none(&self) {
        let set = ["tap", "settings", "set", "--class", "normal", "--stronger-per-mille", "0"];
        let call = ["--server", &self.url, "--token", &self.city_token];
        self.folder.limen(&[&set[..], &call].concat()).expect(0, "");
    }

    /// A pass for zone B of a new product with these more terms.
    pub(crate) fn day_ticket(&self, terms: &[&str]) -> String {
        let add = ["product", "add", "--code", "day", "--name", "Day ticket", "--zone", "B"];
        self.ask(&[&add[..], terms].concat());
        let person = self.ask(&["person", "register", "Ada"]);
        let person = person["id"].as_str().unwrap();
        let pass = self.ask(&["pass", "issue", "--person", person, "--product", "day"]);
        pass["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn door(&self, place: &str, zone: &str) {
        let (site, _) = place.split_once('/').unwrap();
        let call = ["--server", &self.url, "--token", &self.token];
        // The site may be there.
        self.folder.limen(&[&["place", "add", site, site][..], &call].concat());
        self.ask(&["place", "add", place, place, "--zone", zone]);
    }

    pub(crate) fn reader(&self, name: &str, door: &str, more: &[&str]) {
        let invited = self.ask(&["reader", "invite", name, "--door", door]);
        let code = invited["code"].as_str().unwrap();
        let enrol = ["reader", "enrol", "--folder", name, "--server", &self.url, "--code", code];
        self.folder.limen(&[&enrol[..], more].concat()).expect(0, "enrolled");
        self.sync(name);
    }

    pub(crate) fn sync(&self, name: &str) {
        self.folder.limen(&["reader", "sync", "--folder", name]).expect(0, "bundle epoch");
    }

    pub(crate) fn keys_of(&self, name: &str) -> Vec<Value> {
        let done = self.folder.limen(&["reader", "keys", "--folder", name, "--json"]);
        done.json()["keys"].as_array().unwrap().clone()
    }
}

pub(crate) fn serve_keys(folder: &Folder) -> Process {
    let serve = folder.command(&["key", "serve", "--config", "city/keys.toml", "--json"]);
    listening(serve, &folder.path("keys.log"))
}

fn kcv(key: &[u8]) -> String {
    use aws_lc_rs::cmac;
    let key = cmac::Key::new(cmac::AES_256, key).unwrap();
    Kcv::of_mac(cmac::sign(&key, &[0; 16]).unwrap().as_ref().try_into().unwrap()).to_string()
}

/// The bytes of the key with this check value: every 32 bytes of the element are tried.
pub(crate) fn key_in(element: &[u8], check: &str) -> Option<Vec<u8>> {
    element.windows(32).find(|window| kcv(window) == check).map(<[u8]>::to_vec)
}

/// The ways in which bytes are written: as they are, in hexadecimal, in base64url.
pub(crate) fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64url = credential::jose::base64url::encode(bytes);
    vec![bytes.to_vec(), hex.into_bytes(), base64url.into_bytes()]
}

/// Whether `bytes` hold `key` in any of its [`forms`].
pub(crate) fn holds(bytes: &[u8], forms: &[Vec<u8>]) -> bool {
    forms.iter().any(|form| contains(bytes, form))
}

fn contains(bytes: &[u8], key: &[u8]) -> bool {
    let first = key[0];
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(key) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// Whether any readable page of a process holds one of `forms`, and how many bytes were looked at.
pub(crate) fn in_memory(process: &Process, forms: &[Vec<u8>]) -> (bool, usize) {
    let pid = process.0.id();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let (mut found, mut looked) = (false, 0);
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        if !rest.starts_with('r') || rest.ends_with("[vvar]") || rest.ends_with("[vsyscall]") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let from = u64::from_str_radix(from, 16).unwrap();
        let to = u64::from_str_radix(to, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        if memory.seek(SeekFrom::Start(from)).is_ok() && memory.read_exact(&mut bytes).is_ok() {
            looked += bytes.len();
            found |= holds(&bytes, forms);
        }
    }
    (found, looked)
}

/// The files below `folder` that hold one of `forms`, and how many were looked at.
pub(crate) fn in_files(folder: &Path, forms: &[Vec<u8>]) -> (Vec<String>, usize) {
    let (mut found, mut looked) = (Vec::new(), 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let (more, count) = in_files(&path, forms);
            found.extend(more);
            looked += count;
        } else if path.is_file() {
            looked += 1;
            if holds(&fs::read(&path).unwrap(), forms) {
                found.push(path.display().to_string());
            }
        }
    }
    (found, looked)
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if path.is_file() {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// What everybody may know and the server must: the key of the city's root, as in its certificate.
pub(crate) fn public_marker(city: &City) -> Vec<u8> {
    let url = format!("{}/v1/trust", city.url);
    let trust: Value =
        ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap().parse().unwrap();
    let root = trust["city_root"].as_str().unwrap();
    let root = credential::x509::pem::decode(root, "CERTIFICATE").unwrap().remove(0);
    let key = credential::x509::Certificate::parse(&root).unwrap().public_key;
    let key = credential::x509::build::public_key_info(&key);
    key[key.len() - 32..].to_vec()
}

#[test]
fn a_readers_keys_are_in_its_element_and_in_the_key_service_and_nowhere_between() {
    let city = City::new();
    city.door("quay/gate-1", "B");
    city.reader("gate-1", "quay/gate-1", &["--post-quantum"]);
    let held = city.keys_of("gate-1");
    assert_eq!(held.len(), 3, "{held:?}");
    let element = fs::read(city.folder.path("gate-1/element")).unwrap();
    let backup = city.folder.path("backup");
    copy(&city.folder.path("city/data"), &backup);
    // Controls of the search itself: what is there is found, in memory, data, backup and log.
    let (found, _) = in_memory(&city.server, &forms(&public_marker(&city)));
    assert!(found, "control: the memory of the server holds the key of the root");
    let door = [b"quay/gate-1".to_vec()];
    for folder in [city.folder.path("city/data"), backup.clone()] {
        assert!(!in_files(&folder, &door).0.is_empty(), "control: {} was read", folder.display());
    }
    let log = fs::read(city.folder.path("server.log")).unwrap();
    assert!(contains(&log, b"/v1/readers"), "control: the log tells of the requests");
    for listed in &held {
        let check = listed["check_value"].as_str().unwrap();
        let key = key_in(&element, check).expect("control: the element holds the key");
        let key = forms(&key);
        let (found, looked) = in_memory(&city.server, &key);
        assert!(!found, "the memory of the server holds a {} key", listed["purpose"]);
        println!("figure: server_memory_searched_mib = {}", looked >> 20);
        assert!(looked > SEARCHED_BYTES_MIN, "{looked} bytes");
        for folder in [city.folder.path("city"), backup.clone()] {
            let (found, looked) = in_files(&folder, &key);
            assert!(found.is_empty(), "{found:?}");
            assert!(looked > 3, "{looked} files");
        }
        for log in ["server.log", "keys.log"] {
            let log = fs::read(city.folder.path(log)).unwrap();
            assert!(!log.is_empty() && !holds(&log, &key));
        }
        let (found, _) = in_memory(&city.keys, &key);
        assert!(found, "control: the key service holds the key");
        let (found, _) = in_files(&city.folder.path("gate-1"), &key);
        assert_eq!(found.len(), 1, "the element alone: {found:?}");
        assert!(found[0].ends_with("element"));
    }
}

#[test]
fn a_stolen_reader_has_the_keys_of_its_own_scope_and_readers_of_one_scope_share_them() {
    let city = City::new();
    for (door, zone) in [("quay/gate-1", "B"), ("quay/gate-2", "B"), ("yard/gate-3", "C")] {
        city.door(door, zone);
        city.reader(door.split_once('/').unwrap().1, door, &[]);
    }
    let names = ["gate-1", "gate-2", "gate-3"];
    let [first, second, third] = names.map(|name| city.keys_of(name));
    let (same, other) = (checks(&second), checks(&third));
    assert_eq!(checks(&first), same);
    assert!(checks(&first).iter().all(|check| !other.contains(check)));
    assert!(first.iter().all(|key| key["zone"] == "B"));
    assert!(third.iter().all(|key| key["zone"] == "C"));
    let epochs: Vec<u64> = first.iter().filter_map(|key| key["epoch"].as_u64()).collect();
    let now = epoch_at(now());
    assert!(epochs.contains(&now) && epochs.contains(&(now + 1)), "{epochs:?}");
    // The second time nothing is new.
    city.sync("gate-1");
    assert_eq!(checks(&city.keys_of("gate-1")), same);
    // Nothing that a command prints is a key.
    let element = fs::read(city.folder.path("gate-1/element")).unwrap();
    let shown = city.folder.limen(&["reader", "keys", "--folder", "gate-1"]);
    for check in &same {
        let key = key_in(&element, check).unwrap();
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(shown.out.contains(check.as_str()) && !shown.out.contains(&hex));
    }
}

fn checks(keys: &[Value]) -> Vec<String> {
    let mut checks: Vec<String> =
        keys.iter().map(|key| key["check_value"].as_str().unwrap().to_owned()).collect();
    checks.sort();
    checks
}

pub(crate) fn now() -> Instant {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Instant::from_unix_seconds(i64::try_from(since.as_secs()).unwrap())
}
