//! `limen demo`: the main job from end to end, over real processes of this program.

mod attack;
mod report;
mod stage;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use presentation::profile::Profile;
use serde_json::{Value, json};

use self::stage::Stage;
use self::story::{Outcome, Step};
use crate::failure::{Failure, OrFail};
use crate::hsm::Softhsm;
use crate::{output, world};

/// Measures that a demonstration can break on purpose.
pub(crate) const SABOTAGES: [(&str, &str); 8] = [
    (
        "digest-not-compared",
        "the reader does not compare disclosed values with the issuer's digests",
    ),
    ("validity-ignored", "the reader ignores dates"),
    ("device-key-unchecked", "the reader does not check the proof of the phone's key"),
    ("status-ignored", "the reader ignores revocation"),
    ("nonce-reused", "the reader uses one ephemeral key for all taps"),
    ("journal-entry-dropped", "the reader opens doors without a record"),
    ("reader-authentication-skipped", "the phone answers a reader that proves nothing"),
    ("log-leaf-altered", "somebody alters an entry of the audit log on the disk"),
];

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    limen demo\n  \
    limen demo --report story.html\n  \
    limen demo --profile express                 # the tap of a gate with millions of riders\n  \
    limen demo --hsm softhsm                     # the keys on PKCS#11 tokens\n  \
    limen demo --sabotage digest-not-compared    # exit status 1: the story differs\n\n\
    It starts a server, phones and readers as separate processes on free loopback ports, and\n\
    removes everything at the end unless --keep says otherwise.")]
pub(crate) struct Demo {
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    /// Keep all files in this folder, among them every document and the tiles of the log.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Write the story as one page, with a sequence diagram per tap and the bytes on the wire.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Keep every key of the city on a token, the root on one of its own: `softhsm` makes both.
    #[arg(long, value_name = "KIND", value_parser = ["softhsm"])]
    hsm: Option<String>,
    /// The PKCS#11 module of SoftHSM, where it is not found by itself.
    #[arg(long, value_name = "FILE", requires = "hsm")]
    hsm_module: Option<PathBuf>,
    /// Show the ticket by this profile of the tap: `express`, `fast`, `standard` or `identity`. Express and
    /// fast taps prove no presence, so that the ticket is then good for whoever holds the phone.
    #[arg(long, value_name = "PROFILE", default_value = "identity")]
    profile: Profile,
    /// Break one measure on purpose; `list` names them. The measures are those of the identity profile.
    #[arg(long, value_name = "NAME")]
    sabotage: Option<String>,
}

impl Demo {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        if self.sabotage.as_deref() == Some("list") {
            for (name, what) in SABOTAGES {
                output::text(&format!("{name:32}{what}\n"))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let sabotage = self.sabotage.as_deref().map(known_sabotage).transpose()?;
        if sabotage.is_some() && self.profile != Profile::Identity {
            return Err(Failure::usage("a measure is broken with the identity profile alone"));
        }
        let folder = self.folder()?;
        let softhsm = self
            .hsm
            .as_ref()
            .map(|_| Softhsm::create(&folder.join("tokens"), self.hsm_module.as_deref()));
        let mut stage = Stage::new(&folder, (sabotage, self.profile), softhsm.transpose()?)?;
        let told =
            story::play(
                &mut stage,
                |step| {
                    if self.json { Ok(()) } else { output::text(&line(step)) }
                },
            );
        drop(stage);
        if self.keep.is_none() {
            // What cannot be removed lies in the system's folder for temporary files.
            let _ = std::fs::remove_dir_all(&folder);
        }
        let story = told?;
        if let Some(path) = &self.report {
            let page = report::page(&story, sabotage);
            std::fs::write(path, page).or_fail(format!("cannot write `{}`", path.display()))?;
        }
        self.conclude(&story.steps, &story.log)
    }

    fn folder(&self) -> Result<PathBuf, Failure> {
        let folder = match &self.keep {
            Some(folder) => folder.clone(),
            None => {
                let name = world::entropy::<8>()?.map(|byte| format!("{byte:02x}")).concat();
                std::env::temp_dir().join(format!("limen-demo-{name}"))
            }
        };
        if folder.join("city").exists() {
            return Err(Failure::usage(format!("`{}` holds a story already", folder.display()))
                .hint("name an empty folder"));
        }
        std::fs::create_dir_all(&folder).or_fail("cannot make the folder of the story")?;
        std::path::absolute(&folder).or_fail("cannot make the folder of the story")
    }

    fn conclude(&self, steps: &[Step], log: &Value) -> Result<ExitCode, Failure> {
        let unexpected: Vec<&Step> = steps.iter().filter(|s| s.outcome != s.expected).collect();
        if self.json {
            let steps: Vec<Value> = steps.iter().map(Step::to_json).collect();
            output::json(&json!({ "steps": steps, "log": log }))?;
        } else {
            let verdict = match unexpected.as_slice() {
                [] => format!("\n{} steps, all as expected.\n", steps.len()),
                [..] => {
                    let names: Vec<&str> = unexpected.iter().map(|step| step.name).collect();
                    format!("\nNOT AS EXPECTED: {}\n", names.join(", "))
                }
            };
            output::text(&verdict)?;
            if let Some(keep) = &self.keep {
                output::text(&format!("everything is in {}\n", keep.display()))?;
            }
        }
        Ok(if unexpected.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn known_sabotage(name: &str) -> Result<&'static str, Failure> {
    let known = SABOTAGES.iter().find(|(known, _)| *known == name);
    known.map(|(known, _)| *known).ok_or_else(|| {
        Failure::usage(format!("no sabotage is called `{name}`"))
            .hint("`limen demo --sabotage list` names them")
    })
}

/// One step as a line for people.
fn line(step: &Step) -> String {
    let mark = match (step.outcome == step.expected, step.outcome) {
        (false, _) => "!!",
        (true, Outcome::Refused) => "no",
        (true, _) => "ok",
    };
    let milliseconds = step.duration_us / 1000;
    let tap = step
        .tap
        .as_ref()
        .map(|tap| format!(", tap {}.{} ms", tap.duration_us / 1000, tap.duration_us / 100 % 10));
    format!(
        "{mark}  {:58} {:8} {milliseconds:>5} ms{}\n      {}\n",
        step.title,
        step.outcome.as_str(),
        tap.unwrap_or_default(),
        step.reason,
    )
}
