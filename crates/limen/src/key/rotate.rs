//! `limen key rotate`: replaces the keys of a level, with the root at hand where that certifies them.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;
use server::city::ceremony::Custodians;
use server::city::rotation::{self, Done, Haste, Order, Sharing};
use server::config::Config;
use vocabulary::code::OperatorCode;

use super::halves;
use crate::city::Files;
use crate::city::root::{RootAtHand, with_keys, with_root};
use crate::failure::{Failure, OrFail};
use crate::{output, world};

#[derive(Args)]
#[command(
    after_help = "A key is made and published at once; it signs once whoever must believe it \
    has learnt of it, and\nthe old one retires and is destroyed after that, by the server itself. \
    The root takes three more\ncalls, on the days that are told. docs/guide/rotation.md has the \
    timelines.\n\nExamples:\n  \
    limen key rotate status-list --folder harbour\n  \
    limen key rotate issuing-authority --operator harbour-transit --folder harbour"
)]
pub(crate) struct Rotate {
    /// Which keys.
    level: Level,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    root: RootAtHand,
    /// One operator alone, of levels that each operator has.
    #[arg(long, value_name = "CODE")]
    operator: Option<OperatorCode>,
    /// Go over at once. Refused where a reader, a wallet or an auditor would have to know the key first.
    #[arg(long, conflicts_with = "compromised")]
    now: bool,
    /// The old key is in other hands: retire it at once, whatever that closes.
    #[arg(long)]
    compromised: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    Root,
    IssuingAuthority,
    DocumentSigner,
    ReaderAuthority,
    StatusList,
    Bundle,
    Checkpoint,
    Staff,
    Firmware,
    All,
}

impl Level {
    fn levels(self) -> Vec<rotation::Level> {
        vec![match self {
            Self::Root => rotation::Level::Root,
            Self::IssuingAuthority => rotation::Level::IssuingAuthority,
            Self::DocumentSigner => rotation::Level::DocumentSigner,
            Self::ReaderAuthority => rotation::Level::ReaderAuthority,
            Self::StatusList => rotation::Level::StatusList,
            Self::Bundle => rotation::Level::Bundle,
            Self::Checkpoint => rotation::Level::Checkpoint,
            Self::Staff => rotation::Level::Staff,
            Self::Firmware => rotation::Level::Firmware,
            Self::All => return rotation::Level::ALL.to_vec(),
        }]
    }
}

impl Rotate {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let levels = self.level.levels();
        let haste = match (self.now, self.compromised) {
            (_, true) => Haste::Compromised,
            (true, _) => Haste::Now,
            _ => Haste::Planned,
        };
        if haste == Haste::Compromised {
            for level in &levels {
                eprintln!("limen: warning: {}", level.loss());
            }
        }
        let config = Config::load(&self.files.config()).or_fail("cannot rotate keys")?;
        halves::ensure(&self.files, &config, &levels)?;
        let operator = self.operator;
        let needs_root = levels.iter().any(|level| level.needs_root());
        let rotate = async |custodians: Custodians<'_>, sharing: Sharing| {
            let order = Order { levels, operator, haste, sharing, leaving: None };
            for (key, suite) in rotation::weakened(&config, custodians, &order) {
                let (purpose, old) = (key.purpose, key.suite);
                eprintln!(
                    "limen: warning: the next key for `{purpose}` is of {suite}, weaker than {old}: \
                     [keys.suites] of the configuration says so"
                );
            }
            rotation::rotate(&config, custodians, &order, world::now()).await
        };
        let done = if needs_root {
            with_root(&self.files, &self.root, &config, rotate)?
        } else {
            with_keys(&self.files, None, &config, rotate)?
        };
        if self.json {
            let rows: Vec<_> = done.iter().map(row).collect();
            output::json(&json!({ "done": rows }))?;
        } else if done.is_empty() {
            output::text("there is no key of this level: nothing was done\n")?;
        } else {
            output::text(&told(&done))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) fn row(done: &Done) -> serde_json::Value {
    json!({
        "done": done.what,
        "key": done.key.handle.to_string(),
        "purpose": done.key.purpose.as_str(),
        "operator": done.key.operator.as_ref().map(ToString::to_string),
        "next": done.next.map(|at| at.to_string()),
    })
}

pub(super) fn told(done: &[Done]) -> String {
    let mut text = String::new();
    for one in done {
        let owner = one.key.operator.as_ref().map(|code| format!(" of {code}")).unwrap_or_default();
        let purpose = one.key.purpose;
        // Writing to a text cannot fail.
        let _ = write!(text, "{:9} {}  {purpose}{owner}", one.what, one.key.handle);
        if let Some(next) = one.next {
            let _ = write!(text, ", next step {}", next.floor_to_second());
        }
        text.push('\n');
    }
    text
}
