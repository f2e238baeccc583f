//! A key service as a process of its own, which ends with who started it.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::failure::{Failure, OrFail};
use crate::hsm::Softhsm;

/// How long a key service may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is seen whether a watched one still runs.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long to wait before a key service that died is started again: this at first, twice as long each
/// time, up to the second. Who ran as long as the second begins with the first again.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// A key service that runs. It ends in order when this is dropped, and when the process that holds
/// this is killed.
pub(crate) struct KeyService(Child);

impl KeyService {
    /// Starts `program`, which is this one, with the configuration `config`, and waits until it listens.
    /// A token of SoftHSM is seen where `softhsm` makes it so.
    pub(crate) fn start(
        program: &Path,
        config: &Path,
        log: Stdio,
        softhsm: Option<&Softhsm>,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.envs(softhsm.map(Softhsm::environment));
        command.args(["key", "serve", "--attached", "--json", "--config"]).arg(config);
        // It ends when its standard input does: the other end is in this process alone.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().or_fail("cannot start the key service")?;
        let stdout = child.stdout.take();
        let service = Self(child);
        let (sender, line) = channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line));
            // Nobody may be waiting any more.
            let _ = sender.send(matches!(read, Some(Ok(1..))));
        });
        if line.recv_timeout(PATIENCE) != Ok(true) {
            return Err(Failure::broken("the key service does not start")
                .hint(format!("see why: limen key serve --config {}", config.display())));
        }
        Ok(service)
    }

    /// Whether it runs.
    fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for KeyService {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.0.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                _ => return,
            }
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A key service that is started again whenever it dies, until this is dropped.
pub(crate) struct Watched {
    end: Option<Sender<()>>,
    watch: Option<JoinHandle<()>>,
}

impl Watched {
    /// Starts it as [`KeyService::start`] does; what it logs goes to standard error.
    pub(crate) fn start(program: PathBuf, config: PathBuf) -> Result<Self, Failure> {
        let first = KeyService::start(&program, &config, Stdio::inherit(), None)?;
        let (end, ended) = channel();
        let start = move || KeyService::start(&program, &config, Stdio::inherit(), None);
        let watch = std::thread::spawn(move || watch(first, start, &ended));
        Ok(Self { end: Some(end), watch: Some(watch) })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.end.take());
        // The key service ends before this does.
        let _ = self.watch.take().map(JoinHandle::join);
    }
}

fn watch(first: KeyService, start: impl Fn() -> Result<KeyService, Failure>, ended: &Receiver<()>) {
    let goes_on = |pause| ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout);
    let (mut service, mut since, mut pause) = (Some(first), Instant::now(), AGAIN_FIRST);
    loop {
        while service.as_mut().is_some_and(KeyService::is_running) {
            if !goes_on(LOOK_EVERY) {
                return;
            }
        }
        if since.elapsed() >= AGAIN_MAX {
            pause = AGAIN_FIRST;
        }
        say(&format!(
            "the key service ended: nothing is signed; starting it again in {} s",
            pause.as_secs()
        ));
        if !goes_on(pause) {
            return;
        }
        pause = pause.saturating_mul(2).min(AGAIN_MAX);
        since = Instant::now();
        service = start().map_err(|failure| say(&failure.to_string())).ok();
        if service.is_some() {
            say("the key service runs again");
        }
    }
}

fn say(text: &str) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(io::stderr().lock(), "limen: {text}");
}
