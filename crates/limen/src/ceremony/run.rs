//! `limen ceremony run`: the ceremony itself, at the terminal or as a rehearsal.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use keys::ceremony::files::{self, partial};
use keys::ceremony::lead::{Setting, discard, lead};
use keys::ceremony::plan::{PLAN_BYTES_MAX, Plan};
use keys::ceremony::room::Room;
use keys::ceremony::transcript::verify::Verified;
use keys::ceremony::transcript::{TRANSCRIPT_BYTES_MAX, last_step};

use super::place::Seat;
use super::terminal::Terminal;
use super::{rehearsal, summary};
use crate::city::runtime;
use crate::failure::{Failure, OrFail};
use crate::{output, world};

/// The program as transcripts name it.
pub(super) const PROGRAM: &str = concat!("limen ", env!("CARGO_PKG_VERSION"));

/// `limen ceremony run`.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    limen ceremony run docs/guide/ceremony-example.toml --rehearse\n  \
    limen ceremony run harbour.toml\n\n\
    Answers are read from standard input, screens go to standard error. Type `stop` to leave: what\n\
    the ceremony made until then is taken back.")]
pub(crate) struct Run {
    /// The plan, TOML; docs/guide/ceremony.md tells what stands in it.
    plan: PathBuf,
    /// Practise: the program answers for everybody, on a new SoftHSM2 token in a folder of its own.
    #[arg(long)]
    rehearse: bool,
    /// Take back what an interrupted ceremony of this plan made.
    #[arg(long, conflicts_with = "rehearse")]
    discard: bool,
    /// The folder of a rehearsal, which this process is to use as it is.
    #[arg(long, hide = true, requires = "rehearse", value_name = "DIR")]
    rehearsal_folder: Option<PathBuf>,
    /// Print a summary of the transcript as JSON.
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let text = self.text()?;
        if self.rehearse {
            // Told before anything is made.
            self.parse(&text, Path::new(""))?;
            return match &self.rehearsal_folder {
                None => rehearsal::begin(&self.plan, self.json),
                Some(folder) => {
                    let (verified, transcript) = rehearsal::hold(&text, folder)?;
                    self.answer(&verified, &transcript)
                }
            };
        }
        let folder = self.plan.parent().unwrap_or(Path::new(""));
        let plan = self.parse(&text, folder)?;
        if self.discard {
            return take_back(&plan);
        }
        let mut terminal = Terminal::new();
        let root = Seat::open(&plan.root, true, &mut terminal)?;
        let old_root = plan.old_root.as_ref();
        let old_root = old_root.map(|place| Seat::open(place, false, &mut terminal)).transpose()?;
        let setting = Setting {
            plan: &plan,
            plan_text: &text,
            rehearsal: false,
            program: PROGRAM,
            root: root.root(),
            old_root: old_root.as_ref().map(|seat| seat.root() as _),
        };
        let verified = hold(&setting, &mut terminal)?;
        self.answer(&verified, &plan.transcript)
    }

    fn text(&self) -> Result<String, Failure> {
        let bytes = files::read(&self.plan, PLAN_BYTES_MAX).or_fail("cannot read the plan")?;
        let text = String::from_utf8(bytes.to_vec());
        text.map_err(|_| Failure::usage(format!("`{}` is not UTF-8", self.plan.display())))
    }

    fn parse(&self, text: &str, folder: &Path) -> Result<Plan, Failure> {
        Plan::parse(text, folder).map_err(|error| {
            let told = output::printable_lines(&crate::failure::chain(&error));
            Failure::usage(format!("`{}`: {told}", self.plan.display()))
                .hint("docs/guide/ceremony.md says what stands in a plan")
        })
    }

    fn answer(&self, verified: &Verified, transcript: &Path) -> Result<ExitCode, Failure> {
        if self.json {
            let mut value = summary::value(verified);
            if let Some(members) = value.as_object_mut() {
                members.insert("transcript".into(), transcript.display().to_string().into());
            }
            output::json(&value)?;
        } else {
            output::text(&format!(
                "{}\nsigned transcript: {path}\nverify it with: limen ceremony verify {path}\n",
                summary::text(verified),
                path = transcript.display()
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Leads the ceremony on this thread.
pub(super) fn hold(setting: &Setting<'_>, room: &mut dyn Room) -> Result<Verified, Failure> {
    let held = runtime()?.block_on(lead(setting, room));
    held.map_err(|error| Failure::broken(output::printable(&crate::failure::chain(&error))))
}

/// Takes back what an interrupted ceremony made, once a person has said so.
fn take_back(plan: &Plan) -> Result<ExitCode, Failure> {
    let record = partial(&plan.transcript);
    let bytes = files::read(&record, TRANSCRIPT_BYTES_MAX).map_err(|_| {
        let path = record.display();
        Failure::usage(format!("no interrupted ceremony of this plan: there is no `{path}`"))
    })?;
    if plan.transcript.exists() {
        let transcript = plan.transcript.display();
        return Err(Failure::usage(format!("the ceremony was finished: `{transcript}` is signed"))
            .hint(format!("only its record is left over: rm '{}'", record.display())));
    }
    let mut terminal = Terminal::new();
    let reached = last_step(&bytes);
    let reached = reached.map_or_else(
        || String::from("before its first step"),
        |(number, facts)| format!("after step {number} ({})", facts.word()),
    );
    terminal.print(&format!(
        "The ceremony was interrupted {reached}. Its root key, backup and shares will be destroyed."
    ));
    let agreed = terminal.ask("Type `discard` to do that, or `stop`:", |line| match line {
        "discard" => Ok(()),
        _ => Err(String::from("Nothing was done.")),
    });
    agreed.or_fail("nothing was taken back")?;
    let root = Seat::open(&plan.root.without_officer(), false, &mut terminal)?;
    let left = runtime()?.block_on(discard(plan, root.root(), world::now()));
    if left.is_empty() {
        output::text("The interrupted ceremony is taken back; begin again when you are ready.\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::broken(format!("left behind: {}", output::printable(&left.join("; ")))))
}
