//! `limen card personalise`: what a desk does before it hands a card out, and again when it comes back.
//! What is done already is not done again.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keys::vault::applications::Desk;
use keys::vault::applications::plan::{Done, Plan, Planned};
use keys::vault::personalise::Process;
use serde_json::{Value as Json, json};
use vocabulary::code::OperatorCode;

use super::Service;
use super::field::Held;
use super::lines::line;
use super::place::{Application, Value, root};
use crate::city::runtime;
use crate::failure::{Failure, OrFail};
use crate::{output, world};

#[derive(Args)]
#[command(
    after_help = "Example:\n  limen card personalise rider.card --service run/keys.sock \\\n    \
    --pairing personaliser.pairing --ledger ledger.jsonl --issuer city \\\n    \
    --application ticket=metro/a --application badge=town-hall \\\n    \
    --value metro/a=20\n\n\
    Keys are derived in the key service, from the masters of the issuer and of each owner\n\
    (limen card make-master). A card that has its keys gets newer ones where the masters have moved on.\n\
    Run it again after a break: what is done is not done twice."
)]
pub(crate) struct Personalise {
    /// The file of the card.
    #[arg(value_name = "FILE", required_unless_present = "pcsc")]
    card: Option<PathBuf>,
    /// The card in this reader of the system, or in the only one that has a card.
    #[arg(long, value_name = "READER", num_args = 0..=1, default_missing_value = "",
          conflicts_with = "card")]
    pcsc: Option<String>,
    #[command(flatten)]
    service: Service,
    /// The file to which each deed is appended before any key is asked for.
    #[arg(long, value_name = "FILE")]
    ledger: PathBuf,
    /// The operator who issues the card: its masters are those of the card itself.
    #[arg(long, value_name = "CODE")]
    issuer: OperatorCode,
    /// An application, and whose it is: ticket, badge, library or purse = OPERATOR or OPERATOR/ZONE.
    #[arg(long = "application", value_name = "KIND=OWNER")]
    applications: Vec<Application>,
    /// What a ticket or a purse begins with; one that has begun keeps what it has.
    #[arg(long = "value", value_name = "OWNER=NUMBER")]
    values: Vec<Value>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Personalise {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        self.check()?;
        let mut held = Held::take(self.card.as_deref(), self.pcsc.as_deref())?;
        let mut process = Process::begin(&self.ledger).or_fail("cannot begin")?;
        let done = runtime()?.block_on(async {
            let vault = self.service.vault().await?;
            let mut desk = Desk { vault: &vault, link: &mut held };
            let done = desk.personalise(&mut process, &self.plan(), world::now()).await;
            done.or_fail("cannot personalise the card")
        })?;
        let done = self.show(&done);
        if self.json {
            output::json(&done)?;
        } else {
            output::text(&told(&done))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Every value is for an application that is named.
    fn check(&self) -> Result<(), Failure> {
        for owner in self.values.iter().map(|value| &value.owner) {
            if !self.applications.iter().any(|application| application.owner == *owner) {
                let text = format!("no application of `{owner}` is named");
                return Err(Failure::usage(text).hint("give --application KIND=OWNER for it"));
            }
        }
        for value in &self.values {
            let of = |it: &&Application| it.owner == value.owner && !it.kind.is_counted();
            if let Some(Application { kind, owner }) = self.applications.iter().find(of) {
                let text = format!("the {} of `{owner}` counts nothing", kind.as_str());
                return Err(Failure::usage(text));
            }
        }
        Ok(())
    }

    fn plan(&self) -> Plan {
        let planned = self.applications.iter().map(|Application { kind, owner }| Planned {
            place: owner.place(),
            kind: kind.byte(),
            value: self.values.iter().find(|it| it.owner == *owner).map(|it| it.value),
        });
        Plan { root: root(&self.issuer), applications: planned.collect() }
    }

    fn show(&self, done: &Done) -> Json {
        let applications = self.applications.iter().zip(&done.applications);
        let applications = applications.map(|(Application { kind, owner }, done)| {
            json!({
                "application": owner.to_string(),
                "kind": kind.as_str(),
                "is_new": done.is_new,
                "keys_moved": done.keys_moved,
            })
        });
        json!({
            "card": line(&done.identifier),
            "is_new": done.is_new,
            "keys_moved": done.keys_moved,
            "applications": applications.collect::<Vec<_>>(),
        })
    }
}

fn told(done: &Json) -> String {
    let word = |is_new: &Json| if is_new == &Json::Bool(true) { "new" } else { "kept" };
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Json| value.as_u64().unwrap_or_default();
    let get = |value: &Json, name: &str| value.get(name).cloned().unwrap_or_default();
    let mut lines = format!(
        "card {}: {}, {} keys moved on\n",
        text(&get(done, "card")),
        word(&get(done, "is_new")),
        number(&get(done, "keys_moved")),
    );
    for application in get(done, "applications").as_array().into_iter().flatten() {
        lines.push_str(&format!(
            "{} {}: {}, {} keys moved on\n",
            text(&get(application, "kind")),
            text(&get(application, "application")),
            word(&get(application, "is_new")),
            number(&get(application, "keys_moved")),
        ));
    }
    lines
}
