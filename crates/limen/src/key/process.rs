//! A key service as a process of its own, which ends with who started it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::failure::{Failure, OrFail};
use crate::hsm::Softhsm;

/// How long a key service may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

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
