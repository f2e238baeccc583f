//! Runs the built program in a folder of its own, with no settings of the user around it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A folder that goes away with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("limen-suite-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file and returns its path as an argument.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_limen"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LIMEN_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).current_dir(&self.0).env("XDG_CONFIG_HOME", self.path("config"));
        command.env("SOFTHSM2_CONF", self.path("softhsm2.conf"));
        crate::clock::set(&mut command, &self.path(crate::clock::FILE));
        command
    }

    pub(crate) fn limen(&self, arguments: &[&str]) -> Done {
        self.limen_with("", arguments)
    }

    /// Runs with this text on standard input.
    pub(crate) fn limen_with(&self, input: &str, arguments: &[&str]) -> Done {
        self.limen_as(input, arguments, |_| {})
    }

    /// As [`Folder::limen_with`], with a last word about the process.
    pub(crate) fn limen_as(
        &self,
        input: &str,
        arguments: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Done {
        let mut command = self.command(arguments);
        prepare(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Who does not read it closes it; that is no error of the test.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Done::of(arguments, &child.wait_with_output().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How a command ended.
pub(crate) struct Done {
    line: String,
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    fn of(arguments: &[&str], output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(!out.contains('\u{1b}') && !err.contains('\u{1b}'), "{out}{err}");
        Self { line: arguments.join(" "), code: output.status.code().unwrap(), out, err }
    }

    /// Asserts the exit status and that a text stands in what was printed.
    #[track_caller]
    pub(crate) fn expect(self, code: i32, text: &str) -> Self {
        let Self { line, out, err, .. } = &self;
        assert_eq!(self.code, code, "limen {line}\n{out}\n{err}");
        assert!(
            out.contains(text) || err.contains(text),
            "limen {line}: no `{text}`\n{out}\n{err}"
        );
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// The folder `name` of the shared vectors. Where it is absent this says what was not run, and
/// under `CI=true` it fails.
pub(crate) fn vectors(name: &str, file: &str) -> Option<Value> {
    let shared = std::env::var_os("LIMEN_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = shared.join("vectors").join(name).join(file);
    if path.is_file() {
        return Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap());
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "vectors `{name}` are absent");
    eprintln!("NOT RUN: vectors `{name}` are absent; set LIMEN_SHARED to their folder");
    None
}

/// Answers a request, given as its first line, its token and its body: status, type, body.
type Answer = dyn Fn(&str, Option<&str>, &str) -> (u16, &'static str, Vec<u8>) + Send;

/// A server that answers as a function says, and remembers what it was asked.
pub(crate) struct Listening {
    pub(crate) url: String,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

pub(crate) fn listen(answer: Box<Answer>) -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let memory = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut token, mut length) = (String::new(), None, 0);
            if reader.read_line(&mut first).unwrap_or(0) == 0 {
                continue;
            }
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim_end();
                let Some((name, value)) = line.split_once(": ") else { break };
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "authorization" => token = value.strip_prefix("Bearer ").map(str::to_owned),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body = String::from_utf8(body).unwrap();
            let first = first.trim_end().trim_end_matches(" HTTP/1.1");
            memory.lock().unwrap().push(format!("{first} {body}").trim_end().to_owned());
            let (status, kind, body) = answer(first, token.as_deref(), &body);
            let head = format!(
                "HTTP/1.1 {status} Answer\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.into_bytes(), body].concat());
        }
    });
    Listening { url, asked }
}
