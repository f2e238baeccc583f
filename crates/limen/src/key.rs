//! `limen key`: the keys of a city, and the service that holds them.

pub(crate) mod life;
mod list;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keys::custody::Custody;
use server::city::files::open_keystore;
use server::config::Config;

use crate::failure::{Failure, OrFail};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the keys of a city: purpose, suite, custody, validity, state, next rotation.
    List(list::List),
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::List(list) => list.run(),
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
        Config::load(&self.config).or_fail("cannot read the configuration of the city")
    }

    /// Who holds the keys of the city.
    pub(crate) fn custody(&self) -> Result<Box<dyn Custody>, Failure> {
        let keys = open_keystore(&self.config()?).or_fail("cannot reach the keys of the city")?;
        Ok(Box::new(keys))
    }
}
