//! `limen tap`: what taps cost, and what the doors of a city ask of them.

mod bench;
mod express;
mod identity;
#[path = "../../../benches/measure.rs"]
#[allow(dead_code, unreachable_pub, reason = "a file that benchmarks include")]
mod measure;
mod profile;
mod settings;
mod standard;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Measure what a tap costs by each profile: commands, bytes, time of both ends.
    Bench(bench::Bench),
    /// What taps must prove at the doors of the city, and how fast, by class of door.
    #[command(subcommand)]
    Settings(settings::Command),
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Bench(bench) => bench.run(),
            Self::Settings(command) => command.run(),
        }
    }
}
