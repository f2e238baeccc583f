//! A process killed while it makes keys leaves a file that opens and holds every key that it
//! reported; leftovers between write and rename do no harm.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use keys::custody::{Custody, NewKey};
use keys::purpose::Purpose;
use keys::seal::Kind;
use keys::software::Keystore;
use keys::unlock::Unlock;
use vocabulary::time::Instant;

use crate::folder::Folder;
use crate::keystore::wait;

const CHILD: &str = "LIMEN_KEYS_CRASH_CHILD";
const KILLS: u64 = 20;

fn request() -> NewKey {
    NewKey::active(Purpose::Checkpoint, None, Instant::from_unix_seconds(0))
}

/// Does nothing by itself: the child of the next test, which runs it with a folder.
#[test]
fn child_makes_keys_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD).map(std::path::PathBuf::from) else { return };
    let unlock = Unlock::key_file(&folder.join("unlock.key"), &folder.join("data")).unwrap();
    let store = Keystore::open_server(&folder.join("keys.sealed"), &unlock).unwrap();
    loop {
        let key = wait(store.generate(request())).unwrap();
        println!("made {}", key.handle);
    }
}

#[test]
fn killed_process_loses_no_key_that_it_reported() {
    let folder = Folder::new();
    let path = folder.path("keys.sealed");
    Keystore::create(&path, Kind::Server, &folder.unlock()).unwrap();
    let mut reported = Vec::new();
    for round in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_makes_keys_until_it_is_killed", "--nocapture"])
            .env(CHILD, folder.path(""))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let handle = |line: String| line.split_once("made ").map(|(_, handle)| handle.to_owned());
        let first = lines.by_ref().find_map(|line| handle(line.unwrap())).unwrap();
        std::thread::sleep(Duration::from_micros(round * 370));
        child.kill().unwrap();
        child.wait().unwrap();
        reported.push(first);
        reported.extend(lines.map_while(Result::ok).filter_map(handle));
        let store = Keystore::open_server(&path, &folder.unlock()).unwrap();
        let kept: Vec<_> = store.keys().iter().map(|key| key.handle.to_string()).collect();
        for handle in &reported {
            assert!(kept.contains(handle), "{handle} was reported and is gone");
        }
    }
    assert!(reported.len() >= usize::try_from(KILLS).unwrap());
}

#[test]
fn leftover_between_write_and_rename_is_ignored_and_replaced() {
    let folder = Folder::new();
    let path = folder.path("keys.sealed");
    let store = Keystore::create(&path, Kind::Server, &folder.unlock()).unwrap();
    fs::write(folder.path("keys.sealed.new"), b"half a ke").unwrap();
    let opened = Keystore::open_server(&path, &folder.unlock()).unwrap();
    assert_eq!(opened.keys(), store.keys());
    wait(opened.generate(request())).unwrap();
    assert!(!folder.path("keys.sealed.new").exists());
    assert_eq!(Keystore::open_server(&path, &folder.unlock()).unwrap().keys().len(), 1);
}
