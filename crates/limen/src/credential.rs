//! `limen credential`: look at credentials and verify them, offline, on files.

mod access;
mod inspect;
mod json;
pub(crate) mod trust;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what is inside a credential, with every date and key. Nothing is verified.
    Inspect(inspect::Inspect),
    /// Verify a credential: exit status 0 when valid, 3 when rejected, 2 on wrong use.
    Verify(verify::Verify),
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Inspect(inspect) => inspect.run(),
            Self::Verify(verify) => verify.run(),
        }
    }
}
