//! The words of the command line: a noun, then a verb.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// Limen: who is this, what may they use, when and where.
///
/// A city issues passes to phones and cards; its gates and doors read them, also offline.
#[derive(Parser)]
#[command(name = "limen", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Begin with `limen demo`, which shows the main job from end to end.\n\n\
    Exit status: 0 done, 1 failed, 2 wrong use, 3 a credential was rejected.")]
pub(crate) struct Limen {
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Subcommand)]
enum Noun {
    /// Look at credentials and verify them, offline, on files.
    #[command(subcommand)]
    Credential(crate::credential::Command),
}

impl Limen {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self.noun {
            Noun::Credential(command) => command.run(),
        }
    }
}
