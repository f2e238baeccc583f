//! `limen reader keys`: which symmetric keys a reader holds, and never a key.

use std::process::ExitCode;

use clap::Args;
use reader::delivery::{Held, SecureElement};
use serde_json::json;

use super::Place;
use crate::failure::Failure;
use crate::output;

/// `limen reader keys`.
#[derive(Args)]
#[command(after_help = "Example:\n  limen reader keys --folder gate-3 --json")]
pub(crate) struct Keys {
    #[command(flatten)]
    place: Place,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Keys {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let host = self.place.open()?;
        let element = host.element();
        let suite = element.map(|element| element.recipient().suite().as_str());
        let held = element.map(SecureElement::held).unwrap_or_default();
        if self.json {
            let keys: Vec<_> = held.iter().map(as_json).collect();
            let element = element.map(|_| "software");
            output::json(&json!({ "element": element, "agreement": suite, "keys": keys }))?;
            return Ok(ExitCode::SUCCESS);
        }
        match suite {
            Some(suite) => output::text(&format!("element    software, agrees by {suite}\n"))?,
            None => output::text("element    none\n")?,
        }
        for Held { purpose, scope, epoch, version, kcv } in held {
            let scope = scope.to_string();
            output::text(&format!(
                "{:10} {scope:24} epoch {epoch:6}  version {version:3}  check {kcv}\n",
                purpose.as_str(),
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(held: &Held) -> serde_json::Value {
    json!({
        "purpose": held.purpose.as_str(),
        "operator": held.scope.operator.as_str(),
        "zone": held.scope.zone.as_ref().map(ToString::to_string),
        "epoch": held.epoch,
        "version": held.version,
        "check_value": held.kcv.to_string(),
    })
}
