//! The chores of the workspace, run as `cargo xtask COMMAND`.
//!
//! What is here checks, tests and measures Limen. It is linked by nothing, and it must never
//! change a file that is under version control unless the caller asked for exactly that.
#![forbid(unsafe_code)]

mod bench;
mod house;
mod probe;
mod process;
mod second_token;
mod setup;
mod source;
mod suite;
mod table;
mod tidy;

use std::process::ExitCode;

use crate::house::House;
use crate::process::Failure;

const HELP: &str = "\
The chores of the workspace.

Usage: cargo xtask COMMAND

  tidy [--ratchet]      check the layout: edges, floors, headers, sizes, bans, words
                        (--ratchet lowers the numbers in xtask/ratchet.txt to what is true now)
  setup                 install the foreign peers that the tests talk to
  probe                 prove that the ground and field crates need no std
  test [--slow]         everything that every commit must pass (--slow: what is too long for that)
  bench [--json] [NAME] measure every benchmark against its baseline (NAME: those that contain it)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Failure> {
    let house = House::find()?;
    match arguments {
        ["tidy"] => tidy::run(&house),
        ["tidy", "--ratchet"] => tidy::sizes::tighten(&house),
        ["setup"] => setup::run(&house),
        ["probe"] => probe::run(&house),
        ["test"] => suite::run(&house),
        ["test", "--slow"] => suite::run_slow(&house),
        ["bench", rest @ ..] => bench::run(&house, rest),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(Failure::new(format!("no such command: `{}`\n\n{HELP}", other.join(" ")))),
    }
}
