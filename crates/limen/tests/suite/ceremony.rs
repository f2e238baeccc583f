//! `limen ceremony`: rehearsed, held at a script of answers, verified, restored, and a city on its root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::run::{Done, Folder};

pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(crate) const PIN: &str = "271828";

const PLAN: &str = r#"
[city]
name = "Harbour City"
country = "UT"
public_url = "https://id.harbour.example"

[ceremony]
kind = "create"
threshold = 2
transcript = "out/transcript.json"
backup = "out/root.backup"

[root.file]
path = "root/root.keys"
key_file = "root/root.key"

[[custodian]]
name = "Ada Ferry"
share = "ada/share.txt"
staff = { path = "ada/staff.keys", key_file = "ada/staff.key" }

[[custodian]]
name = "Bo Quay"
share = "bo/share.txt"
staff = { path = "bo/staff.keys" }
"#;

const BOTH: &str = "Ada Ferry\nBo Quay\n";
const PHRASE: &str = "a passphrase of Bo's\na passphrase of Bo's\n";

/// What two custodians type, from the first screen to the last.
fn answers() -> String {
    let each = |times: usize| BOTH.repeat(times);
    let keys = format!("Ada Ferry\nBo Quay\n{PHRASE}");
    // The plan; two keys; wrapping key, root, certificate, backup; two shares; two ends.
    [each(1), keys, each(4), BOTH.to_owned(), each(2)].concat()
}

fn held(plan: &str) -> Folder {
    let folder = Folder::new();
    folder.file("plan.toml", plan);
    let done = folder.limen_with(&answers(), &["ceremony", "run", "plan.toml"]);
    done.expect(0, "was created in ceremony");
    folder
}

/// Tokens in a folder of the test.
pub(crate) struct Tokens(pub(crate) PathBuf);

impl Tokens {
    pub(crate) fn new(folder: &Folder) -> Self {
        fs::create_dir_all(folder.path("tokens")).unwrap();
        let tokens = folder.path("tokens");
        let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        folder.file("softhsm2.conf", text);
        folder.file("pin", PIN);
        let mode = PermissionsExt::from_mode(0o600);
        fs::set_permissions(folder.path("pin"), mode).unwrap();
        Self(folder.path("softhsm2.conf"))
    }

    pub(crate) fn make(&self, label: &str) {
        let arguments = ["--init-token", "--free", "--label", label, "--so-pin", PIN, "--pin", PIN];
        let mut command = Command::new("softhsm2-util");
        let made = command.args(arguments).env("SOFTHSM2_CONF", &self.0).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    }

    pub(crate) fn limen(&self, folder: &Folder, input: &str, arguments: &[&str]) -> Done {
        folder.limen_as(input, arguments, |command| {
            command.env("SOFTHSM2_CONF", &self.0);
        })
    }

    /// What the foreign client sees on the token.
    fn objects(&self, label: &str) -> String {
        let mut command = Command::new("pkcs11-tool");
        command.args(["--module", MODULE, "--token-label", label, "--login", "--pin", PIN]);
        command.arg("--list-objects").env("SOFTHSM2_CONF", &self.0);
        let output = command.stderr(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

fn on_token(label: &str) -> String {
    let file = "[root.file]\npath = \"root/root.keys\"\nkey_file = \"root/root.key\"\n";
    let token = format!(
        "[root.token]\nmodule = \"{MODULE}\"\nlabel = \"{label}\"\npin = \"file:pin\"\nofficer_pin = \"file:pin\"\n"
    );
    let plan = PLAN.replace(file, &token);
    assert_ne!(plan, PLAN);
    plan
}

#[test]
fn the_example_is_rehearsed_on_a_token_and_its_transcript_verifies() {
    let folder = Folder::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/ceremony-example.toml");
    let rehearse = ["ceremony", "run", example, "--rehearse", "--json"];
    let done = folder.limen_as("", &rehearse, |command| {
        command.env("TMPDIR", folder.path(""));
    });
    let done = done.expect(0, "the program confirms for Ada Ferry");
    let summary = done.json();
    assert_eq!(summary["rehearsal"], true);
    assert_eq!(summary["custody"], "token:limen-rehearsal");
    assert_eq!(
        (&summary["threshold"], summary["custodians"].as_array().unwrap().len()),
        (&Value::from(2), 3)
    );
    let transcript = summary["transcript"].as_str().unwrap();
    assert!(transcript.starts_with(folder.path("").to_str().unwrap()), "{transcript}");
    let key = summary["custodians"][0]["staff_key"].as_str().unwrap();
    let verify = ["ceremony", "verify", transcript, "--custodian", key];
    let told = folder.limen(&verify).expect(0, "The transcript holds.");
    assert!(told.out.contains("REHEARSAL") && told.out.contains("1 of 3"), "{}", told.out);
    let stranger = "key_00000000000000000000000000000000";
    folder
        .limen(&["ceremony", "verify", transcript, "--custodian", stranger])
        .expect(3, "has not signed");
    // No city is founded on it.
    let found =
        ["city", "create", "--name", "X", "--operator", "a=A", "--root-transcript", transcript];
    let file = ["--root-file", "root.keys"];
    folder.limen(&[&found[..], &file].concat()).expect(2, "rehearsal");
}

#[test]
fn a_rehearsal_without_softhsm_says_so_and_a_renewal_is_rehearsed_too() {
    let folder = Folder::new();
    let old = "kind = \"renew\"\n";
    let plan = PLAN.replace("kind = \"create\"\n", old);
    folder.file(
        "plan.toml",
        plan.replacen("[[custodian]]", "[old_root.file]\npath = \"old\"\n\n[[custodian]]", 1),
    );
    let done =
        folder.limen_as("", &["ceremony", "run", "plan.toml", "--rehearse", "--json"], |command| {
            // No program is found there, `softhsm2-util` neither.
            command.env("TMPDIR", folder.path("")).env("PATH", folder.path(""));
        });
    let summary = done.expect(0, "NO TOKEN").json();
    assert_eq!((&summary["kind"], &summary["custody"]), (&"renew".into(), &"software".into()));
    assert!(summary["link_sha256"].is_string());
    assert!(!folder.path("out").exists() && !folder.path("ada").exists());
}

#[test]
fn a_ceremony_is_held_by_typed_names_and_any_changed_byte_is_found() {
    let folder = held(PLAN);
    let verify = ["ceremony", "verify", "out/transcript.json"];
    folder.limen(&verify).expect(0, "Custody is by software");
    assert_eq!(folder.limen(&[&verify[..], &["--json"]].concat()).json()["verdict"], "valid");
    let good = fs::read_to_string(folder.path("out/transcript.json")).unwrap();
    for (what, changed) in [
        (
            "was changed",
            good.replace("Ada Ferry, type", "Ada Fairy, type").replacen("Harbour", "Harbor ", 1),
        ),
        ("does not hold", good.replacen("\"rehearsal\": false", "\"rehearsal\": true", 1)),
        ("does not hold", good[..good.len() / 2].to_owned()),
        ("does not hold", format!("{good} ")),
    ] {
        assert_ne!(changed, good);
        folder.file("changed.json", changed);
        folder.limen(&["ceremony", "verify", "changed.json"]).expect(3, what);
        let json = folder.limen(&["ceremony", "verify", "changed.json", "--json"]);
        assert_eq!((json.code, &json.json()["verdict"]), (3, &"rejected".into()));
    }
    folder.limen(&["ceremony", "verify", "none.json"]).expect(1, "none.json");
}

#[test]
fn whoever_stops_or_is_not_there_leaves_nothing() {
    let folder = Folder::new();
    folder.file("plan.toml", PLAN);
    let run = ["ceremony", "run", "plan.toml"];
    let all = answers();
    let lines: Vec<&str> = all.lines().collect();
    for count in [0, 1, 9, 12, lines.len() - 1] {
        let some = lines[..count].join("\n") + "\n";
        folder.limen_with(&format!("{some}stop\n"), &run).expect(1, "nothing is left");
        // The input ends as if everybody had gone.
        folder.limen_with(&some, &run).expect(1, "nothing is left");
        assert!(!folder.path("out/transcript.json").exists());
        assert!(!folder.path("out/root.backup").exists() && !folder.path("ada/share.txt").exists());
    }
    let wrong = "Mallory\n".repeat(5);
    folder.limen_with(&wrong, &run).expect(1, "wrong too often");
    folder
        .limen(&["ceremony", "run", "plan.toml", "--discard"])
        .expect(2, "no interrupted ceremony");
    folder.file("bad.toml", PLAN.replace("threshold", "treshold"));
    folder.limen(&["ceremony", "run", "bad.toml"]).expect(2, "treshold");
}

#[test]
fn an_interrupted_ceremony_is_discarded_by_word() {
    let folder = held(PLAN);
    // As if the power had failed before the signatures.
    let partial = folder.path("out/transcript.json.partial");
    fs::rename(folder.path("out/transcript.json"), &partial).unwrap();
    let run = ["ceremony", "run", "plan.toml"];
    folder.limen_with(&answers(), &run).expect(1, "--discard");
    let discard = ["ceremony", "run", "plan.toml", "--discard"];
    folder.limen_with("no\nstop\n", &discard).expect(1, "nothing was taken back");
    assert!(partial.exists());
    folder.limen_with("discard\n", &discard).expect(0, "is taken back");
    assert!(!partial.exists() && !folder.path("ada/share.txt").exists());
    // Bo's key is there now: it is opened, not made, and asked for once.
    let again = answers().replacen(PHRASE, "a passphrase of Bo's\n", 1);
    folder.limen_with(&again, &run).expect(0, "was created in ceremony");
}

#[test]
fn a_root_comes_back_on_another_token_and_a_city_is_founded_on_it() {
    let folder = Folder::new();
    let tokens = Tokens::new(&folder);
    tokens.make("first");
    tokens.make("second");
    folder.file("plan.toml", on_token("first").replace("officer_pin = \"file:pin\"\n", ""));
    let run = ["ceremony", "run", "plan.toml", "--json"];
    tokens.limen(&folder, &answers(), &run).expect(1, "write into the plan");
    assert!(!folder.path("ada").exists() && !tokens.objects("first").contains("Key Object"));
    folder.file("plan.toml", on_token("first"));
    let summary = tokens.limen(&folder, &answers(), &run).expect(0, "token:first").json();
    assert_eq!(summary["wrapping_key_trusted_by"], "security-officer");
    let id = summary["root"].as_str().unwrap().replace("key_", "");
    assert!(!tokens.objects("second").contains(&id));

    let restore = [
        "ceremony",
        "restore",
        "--transcript",
        "out/transcript.json",
        "--backup",
        "out/root.backup",
    ];
    let to = ["--root-token", "second", "--module", MODULE, "--root-pin", "file:pin"];
    let with = |more: &[&'static str]| [&restore[..], &to, more].concat();
    let ada = ["--share", "ada/share.txt"];
    let refuse = |more: &[&'static str], text: &str| {
        tokens.limen(&folder, "", &with(more)).expect(1, text);
        assert!(!tokens.objects("second").contains("Key Object"));
    };
    refuse(&ada, "`1` given, `2` needed");
    refuse(&[ada, ada].concat(), "share `1` once more");
    let other = held(PLAN);
    let foreign = fs::read(other.path("bo/share.txt")).unwrap();
    folder.file("foreign.txt", foreign);
    refuse(&[ada, ["--share", "foreign.txt"]].concat(), "belongs to ceremony");
    let share = fs::read_to_string(folder.path("ada/share.txt")).unwrap();
    folder.file("torn.txt", share.trim_end().rsplit_once('-').unwrap().0);
    refuse(&["--share", "torn.txt"], "type all sixteen groups");

    // The shares are typed from paper, in lower case, line by line.
    let paper = |name: &str| {
        let text = fs::read_to_string(folder.path(name)).unwrap().to_lowercase();
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n") + "\n"
    };
    let typed = [paper("bo/share.txt"), paper("ada/share.txt")].concat();
    tokens.limen(&folder, &typed, &with(&[])).expect(0, "is held by token:second and signs there");
    let objects = tokens.objects("second");
    assert!(objects.contains(&id) && objects.contains("city-root"), "{objects}");
    tokens.limen(&folder, &typed, &with(&[])).expect(1, "is here already");

    let create = ["city", "create", "--name", "Harbour City", "--operator", "tram=Tram"];
    let root = ["--root-transcript", "out/transcript.json"];
    tokens.limen(&folder, "", &[&create[..], &to, &root].concat()).expect(0, "first tokens");
    assert!(!folder.path("limen-city/root").exists());
    let add = ["city", "add-operator", "--operator", "port=Port"];
    tokens.limen(&folder, "", &[&add[..], &to, &root].concat()).expect(0, "port");
    folder.limen(&add).expect(1, "cannot open the root");
}

#[test]
fn a_city_is_founded_on_a_sealed_root_that_a_ceremony_made() {
    let folder = held(PLAN);
    let create = ["city", "create", "--name", "Harbour City", "--operator", "tram=Tram", "--json"];
    let root = ["--root-file", "root/root.keys", "--root-key-file", "root/root.key"];
    let transcript = ["--root-transcript", "out/transcript.json"];
    folder.limen(&[&create[..], &root].concat()).expect(2, "needs the transcript");
    folder.limen(&[&create[..], &transcript].concat()).expect(2, "how to reach the root");
    let other = held(PLAN);
    folder.file("other.json", fs::read(other.path("out/transcript.json")).unwrap());
    let wrong = ["--root-transcript", "other.json"];
    folder.limen(&[&create[..], &root, &wrong].concat()).expect(2, "not the one of the transcript");
    assert!(!folder.path("limen-city").exists());
    folder.limen(&[&create[..], &root, &transcript].concat()).expect(0, "tokens");
    let add = ["city", "add-operator", "--operator", "port=Port"];
    folder.limen(&[&add[..], &root, &transcript].concat()).expect(0, "port");
}
