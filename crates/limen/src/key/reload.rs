//! A new configuration for a key service: written whole, told to the service that runs, and taken back
//! where that does not serve it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use keys::service::config::Config as Keys;
use keys::service::serve::Service;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use server::city::files::open_keeper;
use server::config::Config;

use super::migrate::is_served;
use super::serve::load;
use crate::failure::{Failure, OrFail};
use crate::field::get;

/// How long the service may take to serve what it was told.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The configuration as it is, and what may replace it.
pub(super) struct Draft {
    path: PathBuf,
    text: String,
    keys: Keys,
}

impl Draft {
    /// Reads the file, with the paths in it as they stand there.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        let attempt = "cannot read the configuration of the key service";
        let text = std::fs::read_to_string(path).or_fail(attempt)?;
        let keys = Keys::parse(&text).or_fail(attempt)?;
        Ok(Self { path: path.into(), text, keys })
    }

    /// What it says.
    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Puts `next` in its place and has the service serve it. Where that fails, the file is as it was.
    pub(super) async fn put(&self, config: &Config, next: Keys) -> Result<(), Failure> {
        let attempt = "cannot write the configuration of the key service";
        next.check().or_fail(attempt)?;
        let text = toml::to_string(&next).or_fail(attempt)?;
        self.write(&format!("{}{text}", self.notes()))?;
        let told = status(config).await;
        let served = match &told {
            Some(told) => tell(config, told, &next).await,
            // None runs; whether one could is found out here.
            None => load(&self.path).and_then(|keys| {
                Service::start(&keys).map(drop).or_fail("cannot start the key service")
            }),
        };
        if served.is_err() {
            self.write(&self.text)?;
            // It serves what it served before, or is told to.
            let _ = told.as_ref().map(signal);
        }
        served
    }

    /// The lines of comment at the top of the file.
    fn notes(&self) -> String {
        self.text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .flat_map(|it| [it, "\n"])
            .collect()
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        let written = edge::file::replace(&self.path, text.as_bytes());
        written.or_fail("cannot write the configuration of the key service")
    }
}

/// What the key service says of itself, if one runs.
pub(super) async fn status(config: &Config) -> Option<Value> {
    let service = open_keeper(config).await.ok()?.service?;
    serde_json::from_str(&service.status().await.ok()?).ok()
}

/// Has the service read its configuration again, and waits until it serves `next`.
async fn tell(config: &Config, told: &Value, next: &Keys) -> Result<(), Failure> {
    signal(told)?;
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if status(config).await.is_some_and(|told| is_served(&told, next)) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Failure::broken(
        "the key service does not serve its new configuration; the old one is back",
    )
    .hint("its log says why"))
}

fn signal(told: &Value) -> Result<(), Failure> {
    let pid = get(told, "pid").as_i64().and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(Pid::from_raw);
    let pid =
        pid.ok_or_else(|| Failure::broken("the key service does not say which process it is"))?;
    let sent = kill_process(pid, Signal::HUP).or_fail("cannot tell the key service");
    sent.map_err(|failure| failure.hint("run this as the user of the key service"))
}
