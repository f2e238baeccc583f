//! `limen up` as a process, and its key service, which comes back when it dies.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::TcpListener;
use std::process::{ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::deliveries::Process;
use crate::run::{Done, Folder};

/// How long a server may take to find its key service again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The processes that `parent` started and that run a key service.
fn key_services(parent: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        entry.unwrap().file_name().to_str().and_then(|name| name.parse::<u32>().ok())
    });
    let is_ours = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).to_owned();
        let mut fields = after_name.split(' ');
        let (state, ppid) = (fields.next(), fields.next());
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        state != Some("Z")
            && ppid == Some(parent.to_string().as_str())
            && String::from_utf8_lossy(&line).contains("key\0serve")
    };
    all.filter(is_ours).collect()
}

/// An example city that runs, with one phone.
pub(crate) struct Up {
    pub(crate) folder: Folder,
    process: Process,
    complaints: Lines<BufReader<ChildStderr>>,
    pub(crate) url: String,
    token: String,
}

impl Up {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let mut up = folder.command(&["up", "--data", "data", "--listen", &listen]);
        let mut up = up.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(up.stdout.take().unwrap()).lines();
        let complaints = BufReader::new(up.stderr.take().unwrap()).lines();
        let process = Process(up);
        let is_up = told.by_ref().map_while(Result::ok).any(|line| line.contains("Ctrl-C"));
        assert!(is_up, "the city did not start");
        let token = std::fs::read_to_string(folder.path("data.city/harbour.token")).unwrap();
        let url = format!("http://{listen}");
        folder.limen(&["wallet", "init", "--server", &url]).expect(0, "wallet made");
        Self { folder, process, complaints, url, token }
    }

    pub(crate) fn ask(&self, arguments: &[&str]) -> Value {
        let call = ["--server", &self.url, "--token", &self.token, "--json"];
        let done = self.folder.limen(&[arguments, &call].concat());
        assert_eq!(done.code, 0, "{arguments:?}: {}", done.err);
        done.json()
    }

    /// A new badge, collected by the phone: documents that somebody signed.
    pub(crate) fn issue(&self) {
        self.collect().expect(0, "accepted");
    }

    fn collect(&self) -> Done {
        let people = self.ask(&["person", "list"]);
        let person = people["items"][0]["id"].as_str().unwrap();
        let pass = self.ask(&["pass", "issue", "--person", person, "--product", "staff-badge"]);
        let offer = self.ask(&["pass", "offer", pass["id"].as_str().unwrap()]);
        let mut arguments = vec!["wallet", "accept", offer["uri"].as_str().unwrap()];
        if let Some(code) = offer["transaction_code"].as_str() {
            arguments.extend(["--code", code]);
        }
        self.folder.limen(&arguments)
    }

    fn wait_for(&mut self, text: &str) {
        let found = self.complaints.by_ref().map_while(Result::ok).any(|line| line.contains(text));
        assert!(found, "`{text}` was never said");
    }
}

#[test]
fn key_service_that_dies_is_started_again_and_passes_are_issued_again() {
    let mut city = Up::new();
    city.issue();
    let up = city.process.0.id();
    let before = key_services(up);
    assert_eq!(before.len(), 1, "{before:?}");
    for _ in 0..2 {
        let dying = key_services(up)[0].to_string();
        assert!(Command::new("kill").args(["-KILL", &dying]).status().unwrap().success());
        city.wait_for("the key service ended");
        city.wait_for("the key service runs again");
    }
    let after = key_services(up);
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
    // The server looks for it from time to time.
    let began = Instant::now();
    loop {
        let done = city.collect();
        if done.code == 0 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{}", done.err);
        done.expect(1, "the city cannot sign at present");
    }
}
