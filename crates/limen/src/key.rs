//! `limen key`: the keys of a city, and the service that holds them.

mod clock;
mod doctor;
pub(crate) mod halves;
mod list;
mod migrate;
mod pair;
pub(crate) mod process;
mod reload;
mod rotate;
mod serve;
mod uses;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use server::city::files::{Keeper, open_keeper};
use server::config::Config;

use crate::failure::{Failure, OrFail};

#[derive(Subcommand)]
#[command(after_help = "Examples:\n  \
    limen key serve --config harbour/keys.toml\n  \
    limen key doctor --config harbour/limen.toml\n\n\
    Guides: docs/guide/keys.md, docs/guide/rotation.md")]
pub(crate) enum Command {
    /// Run the key service: the one process that holds the keys, and signs for a server.
    Serve(serve::Serve),
    /// Make the secret that a server and the key service share.
    Pair(pair::Pair),
    /// List the keys of a city: purpose, suite, custody, validity, state, next rotation.
    List(list::List),
    /// Say whether the keys can be reached, who holds them, and what is due.
    Doctor(doctor::Doctor),
    /// Replace keys while the city runs: publish, overlap, go over, retire, destroy.
    Rotate(rotate::Rotate),
    /// Move a running city to another custodian: keys do not move, trust does.
    Migrate(migrate::Migrate),
    /// Say what day it is, where the city does not believe its clock.
    ConfirmClock(clock::ConfirmClock),
    /// List the uses of keys, and check them against the log of the city.
    Uses(uses::Uses),
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::Pair(pair) => pair.run(),
            Self::List(list) => list.run(),
            Self::Doctor(doctor) => doctor.run(),
            Self::Rotate(rotate) => rotate.run(),
            Self::Migrate(migrate) => migrate.run(),
            Self::ConfirmClock(confirm) => confirm.run(),
            Self::Uses(uses) => uses.run(),
        }
    }
}

/// Whose keys: a city is named by the configuration of its server.
#[derive(Args)]
pub(crate) struct City {
    /// The configuration of the server.
    #[arg(long, value_name = "FILE", default_value = "limen-city/limen.toml")]
    config: PathBuf,
}

impl City {
    /// The configuration.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let config =
            Config::load(&self.config).or_fail("cannot read the configuration of the city");
        config.map_err(|failure| {
            failure.hint("--config names a file of the server (limen.toml) that this user may read")
        })
    }

    /// The folder of the city: that of its configuration.
    fn folder(&self) -> PathBuf {
        let folder = self.config.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new(".")).to_owned()
    }

    /// Who holds the keys of the city. The connection to a key service lives on the runtime that this
    /// is called on.
    pub(crate) async fn keeper(&self) -> Result<Keeper, Failure> {
        open_keeper(&self.config()?).await.or_fail("cannot reach the keys of the city")
    }
}
