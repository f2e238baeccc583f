//! `limen reader doctor`: what is there, and what is wrong.

mod folder;
#[cfg(feature = "pcsc")]
mod stack;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::config::{Config, Slot};
use crate::failure::Failure;
use crate::{output, world};

#[derive(Args)]
#[command(after_help = "Examples:\n  limen reader doctor\n  \
    limen reader doctor --config reader.toml --json\n\n\
    Exit status: 0 when all is well or there are only warnings, 1 when something is wrong.")]
pub(crate) struct Doctor {
    /// The configuration of the reader; without one, only the readers of the system are looked at.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Measure 250 SELECTs with each card that lies in a reader.
    #[arg(long)]
    bench: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Default)]
struct Report {
    /// The readers of the system and what is in them.
    readers: Vec<Value>,
    /// The folders of the configuration.
    folders: Vec<Value>,
    findings: Vec<Finding>,
}

/// Something that is not as it should be.
struct Finding {
    is_wrong: bool,
    what: String,
    next: String,
}

impl Report {
    fn wrong(&mut self, what: impl Into<String>, next: impl Into<String>) {
        self.findings.push(Finding { is_wrong: true, what: what.into(), next: next.into() });
    }

    fn warn(&mut self, what: impl Into<String>, next: impl Into<String>) {
        self.findings.push(Finding { is_wrong: false, what: what.into(), next: next.into() });
    }
}

impl Doctor {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let config = self.config.as_deref().map(Config::load).transpose()?;
        let slots: &[Slot] = config.as_ref().map_or(&[], |config| &config.slots);
        let mut report = Report::default();
        look_at_readers(&mut report, slots, self.bench);
        let now = world::now();
        for folder in config.iter().flat_map(Config::folders) {
            let doors = slots.iter().filter(|slot| slot.folder == folder);
            folder::look(
                &mut report,
                folder,
                &doors.map(|slot| &slot.door).collect::<Vec<_>>(),
                now,
            );
        }
        self.tell(&report)?;
        let is_wrong = report.findings.iter().any(|finding| finding.is_wrong);
        Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn tell(&self, report: &Report) -> Result<(), Failure> {
        let Report { readers, folders, findings } = report;
        let grade = |finding: &Finding| if finding.is_wrong { "wrong" } else { "warning" };
        if self.json {
            let findings: Vec<Value> = findings
                .iter()
                .map(|it| json!({ "is": grade(it), "what": it.what, "next": it.next }))
                .collect();
            return output::json(&json!({
                "readers": readers, "folders": folders, "findings": findings,
            }));
        }
        let mut text = String::new();
        for (kind, entries) in [("reader", readers), ("folder", folders)] {
            for entry in entries {
                text.push_str(&line(kind, entry));
            }
        }
        for finding in findings {
            text.push_str(&format!(
                "{:9} {}\n          {}\n",
                grade(finding),
                finding.what,
                finding.next
            ));
        }
        if findings.is_empty() {
            text.push_str("nothing is wrong\n");
        }
        output::text(&output::printable_lines(&text))?;
        output::text("\n")
    }
}

/// `reader    NAME: member value, member value`.
fn line(kind: &str, entry: &Value) -> String {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let members = entry.as_object().into_iter().flatten();
    let told = members.filter(|(name, value)| *name != "name" && !value.is_null());
    let told: Vec<String> =
        told.map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value))).collect();
    let name = entry.get("name").map(plain).unwrap_or_default();
    format!("{kind:9} {name}: {}\n", told.join(", "))
}

#[cfg(feature = "pcsc")]
fn look_at_readers(report: &mut Report, slots: &[Slot], bench: bool) {
    stack::look(report, slots, bench);
}

#[cfg(not(feature = "pcsc"))]
fn look_at_readers(report: &mut Report, _: &[Slot], _: bool) {
    let failure = super::without_pcsc().to_string();
    let (what, next) = failure.split_once('\n').unwrap_or((&failure, ""));
    report.wrong(what, next.trim());
}
