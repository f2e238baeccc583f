//! The one command of Limen. It holds no logic of its own: it is the face of the other crates.
#![forbid(unsafe_code)]

mod cli;
mod client;
mod credential;
mod failure;
mod input;
mod output;
mod tree;
mod world;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let command = cli::Limen::parse();
    match command.run() {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
