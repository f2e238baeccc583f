//! The processes of a demonstration and their folders. Everything ends when the stage is dropped.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use presentation::profile::Profile;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::client::{Client, Connection};
use crate::failure::{Failure, OrFail};
use crate::hsm::Softhsm;
use crate::key::process::KeyService;

/// How long a process may take to say something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a city, phones and readers, and the processes that run on them.
pub(super) struct Stage {
    program: PathBuf,
    folder: PathBuf,
    sabotage: Option<&'static str>,
    profile: Profile,
    port: u16,
    server: Option<Process>,
    keys: Option<KeyService>,
    softhsm: Option<Softhsm>,
    token: Option<String>,
}

/// A process that prints lines of JSON.
pub(super) struct Process {
    child: Child,
    lines: Receiver<String>,
    name: &'static str,
}

/// What a command that has ended printed.
pub(super) struct Done {
    /// Its exit status.
    pub(super) code: i32,
    /// What it printed.
    pub(super) stdout: String,
    /// What it complained of.
    pub(super) stderr: String,
}

impl Done {
    /// The JSON that it printed.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or(Value::Null)
    }
}

impl Stage {
    pub(super) fn new(
        folder: &Path,
        (sabotage, profile): (Option<&'static str>, Profile),
        softhsm: Option<Softhsm>,
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe().or_fail("cannot find this program")?;
        let port = free_port().or_fail("cannot find a free port")?;
        Ok(Self {
            program,
            folder: folder.into(),
            sabotage,
            profile,
            port,
            server: None,
            keys: None,
            softhsm,
            token: None,
        })
    }

    /// Whether the keys of the city are on a token.
    pub(super) const fn has_token(&self) -> bool {
        self.softhsm.is_some()
    }

    /// The tokens.
    pub(super) fn softhsm(&self) -> Result<&Softhsm, Failure> {
        self.softhsm.as_ref().ok_or_else(|| Failure::broken("this city has no token"))
    }

    /// The profile by which the ticket is shown.
    pub(super) const fn profile(&self) -> Profile {
        self.profile
    }

    /// What a command must be told to use the tokens, if there are any.
    pub(super) fn token_arguments(&self) -> Vec<String> {
        self.softhsm.as_ref().map(Softhsm::arguments).unwrap_or_default()
    }

    /// A path below the folder, as text.
    pub(super) fn path(&self, below: &str) -> String {
        self.folder.join(below).display().to_string()
    }

    /// The base of the server's URLs.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The address at which the server listens.
    pub(super) fn listen(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether this measure is broken.
    pub(super) fn breaks(&self, name: &str) -> bool {
        self.sabotage == Some(name)
    }

    /// The sabotage that a reader understands, if one is asked for.
    pub(super) fn reader_sabotage(&self) -> Option<&'static str> {
        self.sabotage.filter(|name| reader::engine::sabotage::NAMES.contains(name))
    }

    pub(super) fn keep_token(&mut self, token: String) {
        self.token = Some(token);
    }

    /// The operator at the console.
    pub(super) fn operator(&self) -> Result<Client, Failure> {
        let connection = Connection { server: self.url(), token: self.token.clone(), ca: None };
        Client::new(connection)
    }

    /// Runs a command of this program to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<Done, Failure> {
        let output = self.command(arguments).stdin(Stdio::null()).output();
        let output = output.or_fail("cannot start a process")?;
        Ok(Done {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Runs a command that must succeed.
    pub(super) fn must(&self, arguments: &[&str]) -> Result<Done, Failure> {
        let done = self.run(arguments)?;
        if done.code == 0 {
            return Ok(done);
        }
        let verb = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        let why = done.stderr.strip_prefix("limen: ").unwrap_or(&done.stderr);
        Err(Failure::broken(format!("`limen {verb}` failed: {why}")))
    }

    /// Starts a process that stays, and waits for its first line.
    pub(super) fn start(
        &self,
        name: &'static str,
        arguments: &[&str],
    ) -> Result<(Process, Value), Failure> {
        let log = self.log(name)?;
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().or_fail("cannot start a process")?;
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                BufReader::new(stdout)
                    .lines()
                    .map_while(Result::ok)
                    .try_for_each(|l| sender.send(l))
            });
        }
        let mut process = Process { child, lines, name };
        let first = process.event()?;
        Ok((process, first))
    }

    /// Starts the key service, which stays until the end unless somebody pulls it.
    pub(super) fn start_keys(&mut self) -> Result<(), Failure> {
        let log = self.log("key service")?;
        let config = self.folder.join("city/keys.toml");
        self.keys =
            Some(KeyService::start(&self.program, &config, log.into(), self.softhsm.as_ref())?);
        Ok(())
    }

    pub(super) fn start_server(&mut self) -> Result<(), Failure> {
        if self.keys.is_none() {
            self.start_keys()?;
        }
        let config = self.path("city/limen.toml");
        let (server, _) = self.start("server", &["serve", "--config", &config, "--json"])?;
        self.server = Some(server);
        Ok(())
    }

    /// Stops the server in order and waits for its end.
    pub(super) fn stop_server(&mut self) -> Result<(), Failure> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        server.stop()
    }

    fn log(&self, name: &str) -> Result<File, Failure> {
        let path = self.folder.join(format!("{name}.log"));
        File::options().create(true).append(true).open(path).or_fail("cannot make a log file")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.folder);
        command.envs(self.softhsm.as_ref().map(Softhsm::environment));
        // The story is about this city alone, whatever the shell of its viewer says.
        for name in ["LIMEN_SERVER", "LIMEN_TOKEN", "LIMEN_CA", "LIMEN_PROFILE"] {
            command.env_remove(name);
        }
        command
    }
}

impl Process {
    /// The next line that the process prints, as JSON.
    pub(super) fn event(&mut self) -> Result<Value, Failure> {
        let line = self.lines.recv_timeout(PATIENCE).map_err(|_| {
            let name = self.name;
            Failure::broken(format!("the {name} fell silent"))
                .hint(format!("see {name}.log with --keep"))
        })?;
        serde_json::from_str(&line).or_fail(format!("the {} speaks no JSON", self.name))
    }

    /// Asks the process to end and waits for it.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).or_fail("cannot stop a process")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.child.try_wait().or_fail("cannot wait for a process")?.is_some() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Failure::broken(format!("the {} does not end", self.name)));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
