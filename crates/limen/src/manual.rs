//! `limen completions` and `limen man`: made from the commands themselves.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Limen;
use crate::failure::{Failure, OrFail};
use crate::output;

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    limen completions bash > ~/.local/share/bash-completion/completions/limen\n  \
    limen completions zsh > ~/.zfunc/_limen\n  \
    limen completions fish > ~/.config/fish/completions/limen.fish")]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

#[derive(Args)]
#[command(after_help = "Example:\n  \
    limen man ~/.local/share/man/man1 && man limen-pass-issue")]
pub(crate) struct Man {
    /// The folder to write a page per command to; made where it is missing.
    folder: PathBuf,
}

impl Completions {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Limen::command(), "limen", &mut script);
        output::bytes(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Man {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let attempt = format!("cannot write manual pages to `{}`", self.folder.display());
        std::fs::create_dir_all(&self.folder).or_fail(&attempt)?;
        clap_mangen::generate_to(Limen::command(), &self.folder).or_fail(&attempt)?;
        Ok(ExitCode::SUCCESS)
    }
}
