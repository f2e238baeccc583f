//! `limen tap settings`: what taps must prove at the doors of the city, and how fast.

use std::process::ExitCode;

use api::taps::{TapPolicy, TapPolicyChange, Taps, TapsChange};
use clap::{ArgGroup, Args, Subcommand};
use presentation::profile::Profile;
use reader::taps::PER_MILLE_MAX;
use serde::Serialize;

use crate::call::Call;
use crate::failure::Failure;
use crate::output;
use crate::place::Class;
use crate::table::{self, Shown};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what holds at the doors of each class.
    #[command(after_help = "Example:\n  limen tap settings show --json")]
    Show(Show),
    /// Set what holds at the doors of one class: with a token of the city's own operator.
    Set(Set),
}

#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    call: Call,
}

#[derive(Args)]
#[command(group = ArgGroup::new("setting").required(true).multiple(true)
    .args(["least", "stronger_per_mille", "apdu_ms", "total_ms"]))]
#[command(after_help = "Examples:\n  \
    limen tap settings set --class high --least identity\n  \
    limen tap settings set --class normal --apdu-ms 600 --total-ms 2000\n\n\
    What is not named stays as it is. Each reader hears of it with its next bundle; its own\n\
    configuration can ask for more, never for less.")]
pub(crate) struct Set {
    /// The class of the doors.
    #[arg(long, value_enum)]
    class: Class,
    /// The least profile: express, fast, standard or identity; at `high` standard at the least.
    #[arg(long, value_name = "PROFILE")]
    least: Option<Profile>,
    /// Of a thousand taps that could be express, how many go by a stronger profile instead, drawn at
    /// random.
    #[arg(long, value_name = "NUMBER")]
    stronger_per_mille: Option<u16>,
    /// What one response of a phone or card may take, in milliseconds: 50 to 60000.
    #[arg(long, value_name = "MS")]
    apdu_ms: Option<u32>,
    /// What all responses of a tap may take together, in milliseconds: 100 to 120000, and no less than
    /// one may.
    #[arg(long, value_name = "MS")]
    total_ms: Option<u32>,
    #[command(flatten)]
    call: Call,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Show(Show { call }) => show(&call, &call.client()?.get_json("/v1/taps")?, ""),
            Self::Set(set) => set.run(),
        }
    }
}

impl Set {
    fn run(self) -> Result<ExitCode, Failure> {
        let Self { class, least, stronger_per_mille, apdu_ms, total_ms, call } = self;
        let least = least.map(|least| least.to_string());
        let change = Some(TapPolicyChange { least, stronger_per_mille, apdu_ms, total_ms });
        let change = match class {
            Class::Low => TapsChange { low: change, ..TapsChange::default() },
            Class::Normal => TapsChange { normal: change, ..TapsChange::default() },
            Class::High => TapsChange { high: change, ..TapsChange::default() },
        };
        let taps: Taps = call.client()?.patch_json("/v1/taps", &change)?;
        let next = "\nNext:\n  each reader hears of it with its next bundle: `limen reader sync`\n";
        show(&call, &taps, &format!("{}{next}", shut_out(&taps)))
    }
}

/// The classes whose doors no pass with a limited number of uses opens any more.
fn shut_out(taps: &Taps) -> String {
    let is_shut = |policy: &TapPolicy| {
        policy.least != Profile::Express.as_str() || policy.stronger_per_mille == PER_MILLE_MAX
    };
    let shut = [("low", &taps.low), ("normal", &taps.normal)];
    let shut: Vec<_> =
        shut.iter().filter(|(_, policy)| is_shut(policy)).map(|(it, _)| *it).collect();
    if shut.is_empty() {
        return String::new();
    }
    let shut = shut.join(" and ");
    format!(
        "\nUses are counted in the express tap alone: passes of limited uses open no {shut} door now.\n"
    )
}

fn show(call: &Call, taps: &Taps, next: &str) -> Result<ExitCode, Failure> {
    if call.json {
        return call.value(taps);
    }
    let rows = [("low", &taps.low), ("normal", &taps.normal), ("high", &taps.high)];
    let rows = rows.map(|(class, policy)| Row { class, policy });
    output::text(&format!("{}{next}", table::table(&rows)))?;
    Ok(ExitCode::SUCCESS)
}

/// What holds at the doors of one class.
#[derive(Serialize)]
struct Row<'t> {
    class: &'static str,
    policy: &'t TapPolicy,
}

impl Shown for Row<'_> {
    const COLUMNS: &'static [&'static str] =
        &["class", "least", "stronger", "one response", "a tap"];

    fn cells(&self) -> Vec<String> {
        let TapPolicy { least, stronger_per_mille, apdu_ms, total_ms } = self.policy;
        let stronger = format!("{stronger_per_mille} of 1000");
        let times = [apdu_ms, total_ms].map(|ms| format!("{ms} ms"));
        let [apdu, total] = times;
        vec![self.class.into(), least.clone(), stronger, apdu, total]
    }
}
