//! `limen ceremony`: m-of-n custodians create, renew and restore the root of a city.

pub(crate) mod place;
mod rehearsal;
mod restore;
mod run;
mod summary;
mod terminal;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

#[derive(Subcommand)]
#[command(after_help = "Examples:\n  \
    limen ceremony run docs/guide/ceremony-example.toml --rehearse\n  \
    limen ceremony verify transcript.json\n\n\
    Guide: docs/guide/ceremony.md")]
pub(crate) enum Command {
    /// Lead custodians through a ceremony, or rehearse it.
    Run(run::Run),
    /// Judge the transcript of a ceremony, offline: exit status 3 when it is rejected.
    Verify(verify::Verify),
    /// Bring a root back from its backup and the custodians' shares, onto another token or file.
    Restore(restore::Restore),
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Run(run) => run.run(),
            Self::Verify(verify) => verify.run(),
            Self::Restore(restore) => restore.run(),
        }
    }
}
