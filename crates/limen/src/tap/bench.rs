//! `limen tap bench`: what a tap costs by each profile, measured on this machine.

use std::process::ExitCode;

use ::credential::aws_lc::AwsLc;
use clap::Args;
use serde_json::{Value, json};

use super::profile::{Profile, air_us};
use super::{express, identity, measure, standard};
use crate::failure::{Failure, OrFail};
use crate::output;

/// Measure what a tap costs by each profile: commands, bytes, time of both ends.
#[derive(Args)]
#[command(after_help = "Examples:\n  limen tap bench\n  limen tap bench --json\n\n\
    The reader is held against the bare cryptography of its profile, run in turns with it (the ratio\n\
    is the median of 41 rounds). Times are those of the processor for both ends in one process, without\n\
    link or storage; raw times on the air count 9 bits a byte and no frames. Takes some ten seconds.")]
pub(crate) struct Bench {
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let clock = measure::wall;
        let express = express::measure(&AwsLc, clock).or_fail("cannot measure the express tap")?;
        let [fast, standard] = standard::measure(clock)?;
        let profiles = [express, fast, standard, identity::measure(clock)?];
        if self.json {
            let profiles: Vec<Value> = profiles.iter().map(line).collect();
            output::json(&json!({ "profiles": profiles }))?;
        } else {
            output::text(&told(&profiles))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn line(profile: &Profile) -> Value {
    json!({
        "profile": profile.profile,
        "apdus": profile.apdus,
        "bytes_on_air": profile.bytes_on_air,
        "reader_us": profile.reader_us,
        "wallet_us": profile.wallet_us,
        "bare_us": profile.bare_us,
        "reader_ratio": profile.reader_ratio,
    })
}

fn told(profiles: &[Profile]) -> String {
    let mut text = String::from(
        "profile    apdus  bytes  106 kbit/s  424 kbit/s    reader    wallet      bare  ratio\n",
    );
    for profile in profiles {
        let air = |kilobit| air_us(profile.bytes_on_air, kilobit) / 1e3;
        text += &format!(
            "{:10} {:5} {:6} {:8.1} ms {:8.1} ms {:6.0} us {:6.0} us {:6.0} us {:6.2}\n",
            profile.profile,
            profile.apdus,
            profile.bytes_on_air,
            air(106),
            air(424),
            profile.reader_us,
            profile.wallet_us,
            profile.bare_us,
            profile.reader_ratio,
        );
    }
    text
}
