//! `limen key serve`: the process that alone holds the keys of a city.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use keys::service::config::Config;
use keys::service::serve::Service;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::city::{runtime, trace};
use crate::failure::{Failure, OrFail};
use crate::output;

#[derive(Args)]
#[command(after_help = "Example:\n  limen key serve --config harbour/keys.toml\n\n\
    Run it as a user of its own: whoever is that user, or knows what opens the keystore, can have\n\
    anything signed. Stop it with Ctrl-C or SIGTERM; SIGHUP has it read its configuration again.\n\
    Logs go to standard error as JSON lines.")]
pub(crate) struct Serve {
    /// The configuration of the key service.
    #[arg(long, value_name = "FILE", default_value = "limen-city/keys.toml")]
    config: PathBuf,
    /// End when standard input ends, which it does with the process that started this one.
    #[arg(long, hide = true)]
    attached: bool,
    /// Print one line of JSON when it listens.
    #[arg(long)]
    json: bool,
}

impl Serve {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        leave_no_core();
        let mut config = load(&self.config)?;
        trace();
        runtime()?.block_on(async {
            let signals = [SignalKind::terminate(), SignalKind::hangup()].map(signal);
            let [terminate, hangup] = signals;
            let mut terminate = terminate.or_fail("cannot wait for signals")?;
            let mut hangup = hangup.or_fail("cannot wait for signals")?;
            let mut orphaned = self.attached.then(end_of_input);
            let mut service = Service::start(&config).or_fail("cannot start the key service")?;
            self.tell(&config, &service)?;
            loop {
                let (stop, stopped) = watch::channel(false);
                let running = tokio::spawn(service.run(stopped));
                let is_over = tokio::select! {
                    _ = terminate.recv() => true,
                    interrupted = tokio::signal::ctrl_c() => {
                        interrupted.or_fail("cannot wait for signals")?;
                        true
                    }
                    () = ended(&mut orphaned) => true,
                    _ = hangup.recv() => false,
                };
                stop.send_replace(true);
                running.await.or_fail("the key service ended badly")?;
                if is_over {
                    return Ok(());
                }
                service = self.again(&mut config)?;
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// Starts again with the configuration as it is by now, or as it was where that cannot be served.
    fn again(&self, config: &mut Config) -> Result<Service, Failure> {
        let started = load(&self.config).and_then(|next| {
            let service = Service::start(&next).or_fail("cannot start the key service")?;
            Ok((next, service))
        });
        match started {
            Ok((next, service)) => {
                *config = next;
                tracing::info!("the configuration was read again");
                Ok(service)
            }
            Err(failure) => {
                tracing::error!(%failure, "the configuration of before is served on");
                Service::start(config).or_fail("cannot start the key service again")
            }
        }
    }

    fn tell(&self, config: &Config, service: &Service) -> Result<(), Failure> {
        let socket = config.socket.display().to_string();
        if self.json {
            let same_user = service.same_user();
            let line = json!({ "event": "listening", "socket": socket, "same_user": same_user });
            return output::text(&format!("{line}\n"));
        }
        output::text(&format!("listening on {socket}\n"))?;
        if service.same_user() {
            output::text(
                "WARNING: same_user = true: clients may run as this user, who can read the keys\n",
            )?;
        }
        Ok(())
    }
}

/// Keys and PINs of this process go into no core file, and into no debugger of the same user.
fn leave_no_core() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Where the system refuses, there is nothing better to do.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Reads the configuration of a key service.
pub(crate) fn load(path: &Path) -> Result<Config, Failure> {
    let config = Config::load(path).or_fail("cannot read the configuration of the key service");
    config.map_err(|failure| {
        failure.hint("--config names a file of the key service (keys.toml) that this user may read")
    })
}

/// Comes when the process that this one is attached to has ended, if it is attached to one.
async fn ended(orphaned: &mut Option<oneshot::Receiver<()>>) {
    match orphaned {
        Some(end) => drop(end.await),
        None => std::future::pending().await,
    }
}

/// Comes when standard input ends.
fn end_of_input() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    // A thread of its own, for nobody waits for it at the end.
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut buffer = [0; 64];
        while input.read(&mut buffer).is_ok_and(|count| count > 0) {}
        let _ = sender.send(());
    });
    receiver
}
