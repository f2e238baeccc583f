//! `limen key`: the service as a process, who may ask it, and what happens when it goes away.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::{Done, Folder};

const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is killed with its test.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a command and waits for the line with which it says that it listens.
pub(crate) fn listening(mut command: Command) -> Process {
    let folder = command.get_current_dir().unwrap().to_owned();
    let path = folder.join("process.log");
    let log = std::fs::File::options().create(true).append(true).open(path).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let process = Process(child);
    let log = std::fs::read_to_string(folder.join("process.log")).unwrap();
    assert!(line.contains("listening"), "{line} {log}");
    process
}

pub(crate) fn serve_keys(folder: &Folder) -> Process {
    listening(folder.command(&["key", "serve", "--config", "city/keys.toml", "--json"]))
}

pub(crate) fn serve(folder: &Folder) -> Process {
    listening(folder.command(&["serve", "--config", "city/limen.toml", "--json"]))
}

/// A city in the folder `city`.
pub(crate) struct City {
    pub(crate) folder: Folder,
    pub(crate) url: String,
    token: String,
}

impl City {
    pub(crate) fn new() -> Self {
        Self::created(Folder::new(), &[])
    }

    pub(crate) fn created(folder: Folder, keys: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let create = ["city", "create", "--folder", "city", "--name", "Test City"];
        let rest = ["--operator", "harbour=Harbour", "--listen", &listen, "--json"];
        let created = folder.limen(&[&create[..], &rest, keys].concat()).expect(0, "tokens").json();
        let tokens = created["tokens"].as_array().unwrap();
        let token = tokens.iter().find(|token| token["operator"] == "harbour").unwrap();
        let token = token["token"].as_str().unwrap().to_owned();
        Self { folder, url: format!("http://{listen}"), token }
    }

    fn call(&self, arguments: &[&str]) -> Done {
        let call = ["--server", &self.url, "--token", &self.token, "--json"];
        self.folder.limen(&[arguments, &call].concat())
    }

    /// Products and a person; gives the person.
    pub(crate) fn furnish(&self) -> String {
        self.furnish_for(30, 24)
    }

    /// As [`City::furnish`], with passes and documents that live for so long.
    pub(crate) fn furnish_for(&self, pass_days: u32, document_hours: u32) -> String {
        let terms = format!(
            r#"{{ "code": "badge", "terms": {{ "display": [{{ "language": "en", "name": "Badge" }}],
            "stake": "low", "rights": {{}}, "pass_days_max": {pass_days},
            "document_hours": {document_hours} }} }}"#
        );
        self.folder.file("product.json", terms);
        self.call(&["product", "add", "product.json"]).expect(0, "badge");
        let person = self.call(&["person", "register", "Mira"]).expect(0, "person_").json();
        person["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn issue(&self, person: &str) -> String {
        let issue = ["pass", "issue", "--person", person, "--product", "badge"];
        let pass = self.call(&issue).expect(0, "pass_").json();
        pass["id"].as_str().unwrap().to_owned()
    }

    /// Offers the pass to a phone, which collects it.
    pub(crate) fn collect(&self, pass: &str, phone: &str) -> Done {
        self.accept(&self.offer(pass), phone)
    }

    fn offer(&self, pass: &str) -> Value {
        self.call(&["pass", "offer", pass]).expect(0, "uri").json()
    }

    fn accept(&self, offer: &Value, phone: &str) -> Done {
        let uri = offer["uri"].as_str().unwrap();
        let mut arguments = vec!["wallet", "accept", "--folder", phone];
        if let Some(code) = offer["transaction_code"].as_str() {
            arguments.extend(["--code", code]);
        }
        arguments.push(uri);
        self.folder.limen(&arguments)
    }

    pub(crate) fn phone(&self, name: &str) {
        self.folder
            .limen(&["wallet", "init", "--folder", name, "--server", &self.url])
            .expect(0, "");
    }

    fn uses(&self) -> Done {
        self.folder.limen(&["key", "uses", "--config", "city/limen.toml", "--json"])
    }
}

/// Tries until it does, for as long as a person would.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
    }
}

#[test]
fn a_killed_key_service_costs_nothing_that_was_acknowledged() {
    let city = City::new();
    let keys = serve_keys(&city.folder);
    let _server = serve(&city.folder);
    let person = city.furnish();
    city.phone("phone");
    let before = city.issue(&person);
    city.collect(&before, "phone").expect(0, "");
    drop(keys);
    // What needs no key goes on.
    let meanwhile: Vec<String> = (0..5).map(|_| city.issue(&person)).collect();
    let offer = city.offer(&meanwhile[0]);
    city.accept(&offer, "phone").expect(1, "the offer is as good as before");
    city.call(&["pass", "revoke", &before]).expect(0, "revoked");
    let keys = serve_keys(&city.folder);
    until("the phone gets its pass", || city.accept(&offer, "phone").code == 0);
    city.collect(&meanwhile[1], "phone").expect(0, "");
    for pass in &meanwhile {
        city.call(&["pass", "show", pass]).expect(0, pass);
    }
    city.call(&["pass", "show", &before]).expect(0, "revoked");
    drop(keys);
}

#[test]
fn one_keystore_has_one_key_service() {
    let city = City::new();
    let first = serve_keys(&city.folder);
    let second = ["key", "serve", "--config", "city/keys.toml"];
    city.folder.limen(&second).expect(1, "another one serves from");
    drop(first);
    drop(serve_keys(&city.folder));
}

#[test]
fn the_journal_of_uses_is_whole_and_the_log_knows_it() {
    let city = City::new();
    let keys = serve_keys(&city.folder);
    let mut server = serve(&city.folder);
    let person = city.furnish();
    city.phone("phone");
    let pass = city.issue(&person);
    city.collect(&pass, "phone").expect(0, "");
    terminate(&mut server);
    let told = city.uses().expect(0, "document-signer-mdoc").json();
    assert_eq!(told["is_verified"], true);
    assert!(told["anchors"].as_u64().unwrap() >= 1, "{told}");
    let left = told["entries"].as_u64().unwrap() - told["anchored"].as_u64().unwrap();
    let uses = told["uses"].as_array().unwrap();
    let left = &uses[uses.len() - usize::try_from(left).unwrap()..];
    assert!(left.iter().all(|used| used["purpose"] == "checkpoint"), "{left:?}");
    drop(keys);
    // Somebody forges the journal: it is whole in itself, and not what the log says.
    let folder = city.folder.path("city/keys/uses");
    let journal = folder.join("00000000000000000000.uses");
    let honest = std::fs::read(&journal).unwrap();
    let name: [u8; 16] = std::fs::read(folder.join("name")).unwrap().try_into().unwrap();
    let (mut head, mut forged, mut rest) =
        (audit::journal::Head::start(name), Vec::new(), honest.as_slice());
    while let Ok((record, after)) = audit::journal::split_record(rest, 0) {
        if record.sequence != 3 {
            let (bytes, next) = head.append(record.at, record.payload).unwrap();
            forged.extend_from_slice(&bytes);
            head = next;
        }
        rest = after;
    }
    std::fs::write(&journal, &forged).unwrap();
    let keys = serve_keys(&city.folder);
    city.uses().expect(1, "the log anchors");
    let doctor = ["key", "doctor", "--config", "city/limen.toml"];
    city.folder.limen(&doctor).expect(1, "is not what it was");
    drop(keys);
    std::fs::write(&journal, &honest).unwrap();
    let _keys = serve_keys(&city.folder);
    city.uses().expect(0, "\"is_verified\": true");
}

fn terminate(process: &mut Process) {
    let pid = rustix::process::Pid::from_child(&process.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(process.0.wait().unwrap().success());
}

#[test]
fn an_attached_key_service_ends_with_its_parent() {
    let city = City::new();
    let config = ["key", "serve", "--config", "city/keys.toml", "--json", "--attached"];
    let mut command = city.folder.command(&config);
    command.stdin(Stdio::piped());
    let mut keys = listening(command);
    assert!(keys.0.try_wait().unwrap().is_none());
    drop(keys.0.stdin.take());
    assert!(keys.0.wait().unwrap().success());
    assert!(!city.folder.path("city/run/keys.sock").exists());
}

#[test]
fn list_and_doctor_tell_who_holds_what() {
    let city = City::new();
    let doctor = ["key", "doctor", "--config", "city/limen.toml"];
    city.folder.limen(&doctor).expect(1, "start `limen key serve`");
    let mut keys = serve_keys(&city.folder);
    let list = ["key", "list", "--config", "city/limen.toml", "--json"];
    let listed = city.folder.limen(&list).json();
    let rows = listed["keys"].as_array().unwrap();
    assert_eq!(rows.len(), 5, "reader authority, two signers, log key, issuing authority");
    for row in rows {
        assert_eq!((&row["held_by"], &row["state"]), (&"software".into(), &"active".into()));
        assert!(row["next_rotation"].is_string(), "{row}");
        assert_eq!(row["next_step"], "successor");
    }
    city.folder.limen(&doctor).expect(0, "the key service lets clients run as its own user");
    let confirm = |date: &str| {
        city.folder.limen(&["key", "confirm-clock", date, "--config", "city/limen.toml"])
    };
    confirm("1999-12-31").expect(2, "by the clock of this machine");
    confirm(&server::world::now().to_string()[..10]).expect(0, "confirmed");
    let pair = ["key", "pair", "clerk", "--config", "city/keys.toml", "--out", "clerk.pairing"];
    city.folder.limen(&pair).expect(0, "[[client]]");
    let mode = std::fs::metadata(city.folder.path("clerk.pairing")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    city.folder.limen(&pair).expect(1, "pairing");
    let own = city.folder.path("city/pairings/clerk.pairing");
    std::fs::remove_file(&own).unwrap();
    city.folder.limen(&pair).expect(1, "first move the old ones away");
    assert!(!own.exists(), "both files or none");
    std::fs::remove_file(city.folder.path("clerk.pairing")).unwrap();
    city.folder.limen(&pair).expect(0, "[[client]]");
    assert!(own.exists(), "the control");
    terminate(&mut keys);
}

#[test]
fn an_operator_is_added_whether_the_service_runs_or_not() {
    let city = City::new();
    let add = |operator: &str| {
        city.folder.limen(&["city", "add-operator", "--folder", "city", "--operator", operator])
    };
    add("tram=Tram").expect(0, "tram");
    let keys = serve_keys(&city.folder);
    add("library=Library").expect(0, "library");
    let list = ["key", "list", "--config", "city/limen.toml"];
    let listed = city.folder.limen(&list).expect(0, "tram");
    assert!(listed.out.contains("library"), "{}", listed.out);
    drop(keys);
}

#[test]
fn keys_are_rotated_with_what_each_needs() {
    let city = City::new();
    let rotate =
        |rest: &[&str]| city.folder.limen(&[&["key", "rotate", "--folder", "city"], rest].concat());
    let keys = serve_keys(&city.folder);
    let _server = serve(&city.folder);
    rotate(&["document-signer", "--operator", "nobody"]).expect(1, "`harbour`");
    let (root, away) = (city.folder.path("city/root"), city.folder.path("safe"));
    std::fs::rename(&root, &away).unwrap();
    for level in ["document-signer", "checkpoint"] {
        rotate(&[level]).expect(0, level);
    }
    rotate(&["status-list"]).expect(1, "cannot open the root");
    drop(keys);
    let refused = rotate(&["checkpoint"]).expect(1, "`limen key serve`");
    assert!(!refused.err.contains("stop"), "{}", refused.err);
    let _keys = serve_keys(&city.folder);
    rotate(&["checkpoint"]).expect(0, "checkpoint");
}

/// The users of the key service and of the server in the next test; they need no name.
const KEYS_UID: u32 = 54_321;
const SERVER_UID: u32 = 54_322;

#[test]
fn the_user_of_the_server_reads_no_key_and_has_things_signed() {
    if !rustix::process::geteuid().is_root() {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!ci, "run as root: the key service needs a user of its own here");
        eprintln!("NOT RUN: only root can start the key service as another user");
        return;
    }
    let city = City::new();
    let folder = &city.folder;
    part(folder);
    let run_as = |uid: u32, arguments: &[&str]| run_as(folder, uid, arguments);
    let keys = ["key", "serve", "--config", "city/keys.toml", "--json"];
    let _keys = listening(run_as(KEYS_UID, &keys));
    let _server =
        listening(run_as(SERVER_UID, &["serve", "--config", "city/limen.toml", "--json"]));
    for secret in ["city/keys/city.keys", "city/keys/city.key", "city/keys/server.pairing"] {
        let path = folder.path(secret);
        let read = |uid: u32| {
            let mut cat = Command::new("setpriv");
            cat.args([
                &format!("--reuid={uid}"),
                &format!("--regid={uid}"),
                "--clear-groups",
                "cat",
            ]);
            cat.arg(&path).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
        };
        assert!(!read(SERVER_UID), "the user of the server reads {secret}");
        assert!(read(KEYS_UID), "the control: {secret} is there");
    }
    let person = city.furnish();
    city.phone("phone");
    let pass = city.issue(&person);
    city.collect(&pass, "phone").expect(0, "");
    // Another user is not even let near the socket; root is, and is turned away.
    let list = ["key", "list", "--config", "city/limen.toml"];
    folder.limen(&list).expect(1, "no client for this user");
    let doctor = ["key", "doctor", "--config", "city/limen.toml", "--json"];
    let doctor = run_as(SERVER_UID, &doctor).output().unwrap();
    let told: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    assert_eq!(told["service"]["uid"], KEYS_UID);
    assert_eq!(told["findings"], serde_json::json!([]), "there is nothing to warn of");
}

/// Gives server and key service a user each, as `docs/guide/operate.md` says.
fn part(folder: &Folder) {
    std::fs::copy(env!("CARGO_BIN_EXE_limen"), folder.path("limen")).unwrap();
    let config = std::fs::read_to_string(folder.path("city/keys.toml")).unwrap();
    let config = config.replace("same_user = true", &format!("group = {SERVER_UID}"));
    let pairing = "pairing = \"keys/server.pairing\"";
    let config = config.replace(pairing, &format!("{pairing}\nuid = {SERVER_UID}"));
    std::fs::write(folder.path("city/keys.toml"), config).unwrap();
    give(&folder.path("city"), SERVER_UID);
    for part in ["city/keys", "city/keys.toml", "city/run"] {
        give(&folder.path(part), KEYS_UID);
    }
    chown(folder.path("city/run"), None, Some(SERVER_UID)).unwrap();
    let for_group = std::fs::Permissions::from_mode(0o750);
    std::fs::set_permissions(folder.path("city/run"), for_group).unwrap();
    for path in ["", "city"] {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(path), open).unwrap();
    }
}

/// A command of this program by the user `uid`, who is in the group of the server.
fn run_as(folder: &Folder, uid: u32, arguments: &[&str]) -> Command {
    let mut setpriv = Command::new("setpriv");
    for (name, value) in folder.command(&[]).get_envs() {
        match value {
            Some(value) => setpriv.env(name, value),
            None => setpriv.env_remove(name),
        };
    }
    setpriv.args([format!("--reuid={uid}"), format!("--regid={uid}")]);
    setpriv.arg(format!("--groups={SERVER_UID}")).arg(folder.path("limen"));
    setpriv.args(arguments).current_dir(folder.path(""));
    setpriv
}

/// Gives a file, or a folder with all that is in it, to a user.
fn give(path: &Path, uid: u32) {
    chown(path, Some(uid), Some(uid)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), uid);
        }
    }
}
