//! `limen log` on a log of two levels of tiles, and on every way to break it.

use std::path::PathBuf;

use audit::checkpoint::Checkpoint;
use audit::merkle::Tree;
use audit::note::VerifierKey;
use audit::tiles::Appender;
use ed25519_dalek::{Signer, SigningKey};

use crate::run::{Folder, Listening, listen};

const ORIGIN: &str = "city.example/log";

struct Log {
    folder: Folder,
    appender: Appender,
    signer: SigningKey,
}

impl Log {
    fn of(size: u64) -> Self {
        let signer = SigningKey::from_bytes(&[9; 32]);
        let mut log = Self { folder: Folder::new(), appender: Appender::default(), signer };
        log.grow(size);
        log
    }

    fn key(&self) -> VerifierKey {
        VerifierKey::new(ORIGIN, self.signer.verifying_key().as_bytes()).unwrap()
    }

    fn grow(&mut self, to: u64) {
        for index in self.appender.size()..to {
            self.appender.append(format!("entry {index}").as_bytes()).unwrap();
        }
        for file in self.appender.take_files() {
            self.folder.file(&format!("log/{}", file.tile.path()), file.bytes);
        }
        let tree = Tree { size: self.appender.size(), root: self.appender.root() };
        let unsigned = Checkpoint::unsigned(&tree, &self.key()).unwrap();
        let signature = self.signer.sign(unsigned.to_be_signed()).to_bytes();
        self.folder.file("log/checkpoint", unsigned.complete(&signature).unwrap());
    }

    #[track_caller]
    fn verify(&self, more: &[&str], code: i32, text: &str) {
        let key = self.key().to_string();
        let arguments = [&["log", "verify", "log", "--key", &key], more].concat();
        self.folder.limen(&arguments).expect(code, text);
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.folder.path("log")];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                found.push(path);
            }
        }
        found
    }
}

#[test]
fn a_log_that_holds_is_told_with_its_root() {
    for size in [0, 1, 256, 300] {
        let log = Log::of(size);
        log.verify(&[], 0, &format!("{size} entries, root {}", log.appender.root()));
    }
    let log = Log::of(3);
    let key = log.folder.file("log.key", format!("{}\n", log.key()));
    let arguments = ["log", "verify", "log", "--key", &key, "--json"];
    let answer = log.folder.limen(&arguments).expect(0, "").json();
    assert_eq!((&answer["verified"], &answer["size"]), (&true.into(), &3.into()));
    assert_eq!(answer["root"], log.appender.root().to_string());
}

#[test]
fn a_flipped_byte_in_any_file_is_found() {
    let log = Log::of(300);
    let files = log.files();
    assert_eq!(files.len(), 6, "{files:?}");
    for file in files {
        let whole = std::fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        std::fs::write(&file, &flipped).unwrap();
        log.verify(&["--json"], 3, "\"verified\": false");
        std::fs::remove_file(&file).unwrap();
        log.verify(&[], 3, "is missing");
        std::fs::write(&file, &whole).unwrap();
    }
    log.verify(&[], 0, "holds");
}

#[test]
fn a_log_that_was_rewritten_does_not_go_on() {
    let mut log = Log::of(200);
    std::fs::copy(log.folder.path("log/checkpoint"), log.folder.path("older")).unwrap();
    log.grow(300);
    log.verify(&["--older", "older"], 0, "goes on where it was");
    let other = Log::of(300);
    let mut rewritten = Log::of(0);
    rewritten.appender.append(b"another beginning").unwrap();
    rewritten.grow(300);
    let older = log.folder.path("older");
    let older = ["--older", older.to_str().unwrap()];
    other.verify(&older, 0, "goes on");
    rewritten.verify(&older, 3, "does not continue");
    rewritten.verify(&[], 0, "holds");
}

#[test]
fn wrong_keys_and_folders_are_named() {
    let log = Log::of(2);
    let other = VerifierKey::new("other.example/log", log.key().as_bytes()).unwrap().to_string();
    let check = |arguments: &[&str], code: i32, text: &str| {
        log.folder.limen(&[&["log", "verify"], arguments].concat()).expect(code, text);
    };
    check(&["log", "--key", &other], 3, "does not hold");
    check(&["log", "--key", "city.example+00000000+AAAA"], 2, "--key `city.example+00000000+AAAA`");
    check(&["log"], 2, "--key");
    let key = log.key().to_string();
    check(&["none", "--key", &key], 2, "cannot read `none`");
    log.folder.file("older", "no note");
    check(&["log", "--key", &key, "--older", "older"], 2, "--older `older`");
}

fn serve(log: &Log) -> Listening {
    let root = log.folder.path("log");
    listen(Box::new(move |first, _, _| {
        let path = first.strip_prefix("GET /v1/log/").unwrap_or("none");
        match std::fs::read(root.join(path)) {
            Ok(bytes) => (200, "application/octet-stream", bytes),
            Err(_) => (404, "text/plain", "no such file".into()),
        }
    }))
}

#[test]
fn a_log_that_was_rewritten_is_not_fetched_over_the_one_at_hand() {
    let log = Log::of(300);
    let (server, key) = (serve(&log), log.key().to_string());
    let fetch = |from: &Listening| {
        log.folder.limen(&["log", "fetch", "copy", "--server", &from.url, "--key", &key])
    };
    let kept = || std::fs::read(log.folder.path("copy/checkpoint")).unwrap();
    fetch(&server).expect(0, "300 entries");
    let honest = kept();
    let other = |size: u64| {
        let mut other = Log::of(0);
        other.appender.append(b"another beginning").unwrap();
        other.grow(size);
        other
    };
    for rewritten in [Log::of(299), other(300), other(600)] {
        let server = serve(&rewritten);
        for _ in 0..2 {
            fetch(&server).expect(1, "it was rewritten");
            assert_eq!(kept(), honest);
        }
        let refused = std::fs::read(log.folder.path("copy/checkpoint.refused")).unwrap();
        assert_eq!(refused, std::fs::read(rewritten.folder.path("log/checkpoint")).unwrap());
    }
    log.folder.limen(&["log", "verify", "copy", "--key", &key]).expect(0, "300 entries");
    fetch(&server).expect(0, "300 entries");
}

#[test]
fn a_log_that_claims_to_be_endless_is_refused() {
    let log = Log::of(3);
    let server = serve(&log);
    let tree = Tree { size: 1 << 55, root: log.appender.root() };
    let unsigned = Checkpoint::unsigned(&tree, &log.key()).unwrap();
    let signature = log.signer.sign(unsigned.to_be_signed()).to_bytes();
    log.folder.file("log/checkpoint", unsigned.complete(&signature).unwrap());
    let key = log.key().to_string();
    let fetch = ["log", "fetch", "copy", "--server", &server.url, "--key", &key];
    log.folder.limen(&fetch).expect(1, "claims 36028797018963968 entries");
    log.verify(&[], 3, "does not hold");
}

#[test]
fn a_log_is_fetched_and_fetched_on() {
    let mut log = Log::of(300);
    let key = log.key().to_string();
    let server = serve(&log);
    let fetch = ["log", "fetch", "copy", "--server", &server.url, "--key", &key];
    log.folder.limen(&fetch).expect(0, "300 entries are in copy, 5 files are new");
    let verify = ["log", "verify", "copy", "--key", &key];
    log.folder.limen(&verify).expect(0, "300 entries");
    log.grow(301);
    log.folder.limen(&fetch).expect(0, "301 entries");
    let goes_on = [&verify[..], &["--older", "copy/checkpoint.earlier"]].concat();
    log.folder.limen(&goes_on).expect(0, "goes on where it was");
    let asked = server.asked.lock().unwrap();
    let full = asked.iter().filter(|line| line.as_str() == "GET /v1/log/tile/entries/000");
    assert_eq!(full.count(), 1, "{asked:?}");
}
