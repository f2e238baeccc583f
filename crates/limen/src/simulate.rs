//! `limen simulate`: opens the fleet simulator.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use simulation::report::Report;
use simulation::run::{Sabotage, run};
use simulation::scenario::Scenario;

use crate::failure::{Failure, OrFail};
use crate::output;

/// Let a fleet of readers live on virtual time: real bundles, real rotation, one seed.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    limen simulate --seed 7\n  \
    limen simulate --readers 500 --json\n  \
    limen simulate --sabotage no-lead        # what goes wrong without a lead\n\n\
    Exit status: 1 when anybody was denied wrongly, but with --sabotage 0. Progress goes to standard\n\
    error.")]
pub(crate) struct Simulate {
    /// What happens: `rotate-all` rotates every level of keys while 30 % of the readers are offline.
    #[arg(long, default_value = "rotate-all")]
    scenario: String,
    /// From which all chance follows: the same seed gives the same report.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many readers, instead of what the scenario says.
    #[arg(long)]
    readers: Option<u32>,
    /// Break something on purpose, to see that it carries weight.
    #[arg(long, value_enum)]
    sabotage: Option<Broken>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Broken {
    /// Keys sign before anybody could learn of them.
    NoLead,
}

impl Simulate {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let mut scenario = Scenario::named(&self.scenario).or_fail("cannot simulate")?;
        if let Some(readers) = self.readers {
            if !(1..=simulation::scenario::READERS_MAX).contains(&readers) {
                return Err(Failure::usage(
                    "this is not a number of readers that can be simulated",
                )
                .hint("take 1 to 100,000"));
            }
            scenario.readers = readers;
        }
        let sabotage = match self.sabotage {
            Some(Broken::NoLead) => Sabotage::NoLead,
            None => Sabotage::Nothing,
        };
        let readers = scenario.readers;
        let progress = |done: u32| eprint!("\r{done} of {readers} readers ");
        let report = run(&scenario, self.seed, sabotage, &progress);
        eprintln!();
        let report = report.or_fail("cannot simulate")?;
        if self.json {
            output::json(&serde_json::to_value(&report).or_fail("cannot write JSON")?)?;
        } else {
            output::text(&told(&report))?;
        }
        // A rotation that closes doors to the entitled has failed, unless it was meant to.
        let is_well = report.wrong_denials == 0 || sabotage != Sabotage::Nothing;
        Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn told(report: &Report) -> String {
    let mut text = format!(
        "{}: {} readers, {} taps, offline {:.1} % of the time, seed {}\n\n",
        report.scenario,
        report.readers,
        report.taps,
        report.offline_share * 100.0,
        report.seed,
    );
    let head = ["level", "first use", "retired", "old key dead after", "wrong denials"];
    let [level, first, retired, dead, wrong] = head;
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{level:20} {first:22} {retired:22} {dead:>20} {wrong:>14}");
    for level in &report.levels {
        let dead = level
            .dead_after_hours
            .map_or("not yet".to_owned(), |hours| format!("{} d {} h", hours / 24, hours % 24));
        let [first, retired] =
            [&level.first_use, &level.retired].map(|at| at.as_deref().unwrap_or("-"));
        let (name, wrong) = (&level.level, level.wrong_denials);
        let _ = writeln!(text, "{name:20} {first:22} {retired:22} {dead:>20} {wrong:>14}");
    }
    let _ = write!(
        text,
        "\nwrong denials: {}\nrefused for an expired bundle: {}\nbundles with real signatures: {:.1} %\n\
         digest: {}\n",
        report.wrong_denials,
        report.refused_expired_bundle,
        report.sampled_crypto_share * 100.0,
        report.digest,
    );
    text
}
