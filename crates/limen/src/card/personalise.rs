//! `limen card personalise`: what a desk does before it hands a card out, and again when it comes back.
//! What is done already is not done again.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use edge::card_host::SoftwareCard;
use keys::vault::Vault;
use keys::vault::applications::{Desk, DeskError, Identifier};
use keys::vault::personalise::Process;
use serde_json::{Value as Json, json};
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use super::Service;
use super::handles::Batch;
use super::lines::line;
use super::place::{Application, Held, Value, root};
use crate::city::runtime;
use crate::failure::{Failure, OrFail};
use crate::{output, world};

#[derive(Args)]
#[command(
    after_help = "Example:\n  limen card personalise rider.card --service run/keys.sock \\\n    \
    --pairing personaliser.pairing --ledger ledger.jsonl --issuer city \\\n    \
    --application ticket=metro/a --application badge=town-hall \\\n    \
    --value metro/a=20 --handles metro.batch\n\n\
    Keys are derived in the key service, from the masters of the issuer and of each owner\n\
    (limen card make-master). A card that has its keys gets newer ones where the masters have moved on.\n\
    Run it again after a break: what is done is not done twice."
)]
pub(crate) struct Personalise {
    /// The file of the card.
    #[arg(value_name = "FILE")]
    card: PathBuf,
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
    /// A batch of handles, as the key service made it for this card.
    #[arg(long = "handles", value_name = "FILE")]
    handles: Vec<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Personalise {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let batches = self.handles.iter().map(|path| Batch::read(path));
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        self.check(&batches)?;
        let card = SoftwareCard::open(&self.card).or_fail("cannot take the card")?;
        let mut process = Process::begin(&self.ledger).or_fail("cannot begin")?;
        let mut held = Held(card);
        let done = runtime()?.block_on(async {
            let vault = self.service.vault().await?;
            let at = world::now();
            let done = self.personalise(&vault, &mut process, &mut held, &batches, at).await;
            done.or_fail("cannot personalise the card")
        })?;
        if self.json {
            output::json(&done)?;
        } else {
            output::text(&told(&done))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Every value and batch is for an application that is named.
    fn check(&self, batches: &[Batch]) -> Result<(), Failure> {
        let owners = self.values.iter().map(|value| &value.owner);
        for owner in owners.chain(batches.iter().map(|batch| &batch.owner)) {
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

    async fn personalise(
        &self,
        vault: &dyn Vault,
        process: &mut Process,
        held: &mut Held,
        batches: &[Batch],
        at: Instant,
    ) -> Result<Json, DeskError> {
        let mut desk = Desk { vault, link: held };
        let root = root(&self.issuer);
        desk.select()?;
        let is_blank = desk.version(&root, 0)? == 0;
        let identifier = desk.identifier(&root).await?;
        if is_blank {
            desk.give_keys(process, &root, &identifier, at).await?;
        }
        let moved = desk.rekey(process, &root, &identifier, at).await?;
        let there = desk.applications(&root, &identifier).await?;
        let mut done = Vec::new();
        for application in &self.applications {
            let place = application.owner.place();
            let is_new = !there.contains(&place.id);
            if is_new {
                let kind = application.kind.byte();
                desk.create(process, &root, (&place, kind), &identifier, at).await?;
            }
            let moved = desk.rekey(process, &place, &identifier, at).await?;
            let loaded = self.fill(&mut desk, application, &identifier, batches).await?;
            done.push(json!({
                "application": application.owner.to_string(),
                "kind": application.kind.as_str(),
                "is_new": is_new,
                "keys_moved": moved,
                "epochs_loaded": loaded,
            }));
        }
        Ok(json!({
            "card": line(&identifier),
            "is_new": is_blank,
            "keys_moved": moved,
            "applications": done,
        }))
    }

    /// First value and handles; gives the epochs of the handles.
    async fn fill(
        &self,
        desk: &mut Desk<'_>,
        application: &Application,
        identifier: &Identifier,
        batches: &[Batch],
    ) -> Result<Vec<u32>, DeskError> {
        let place = application.owner.place();
        if let Some(value) = self.values.iter().find(|value| value.owner == application.owner) {
            let held = desk.held(&place, identifier).await?;
            if held.counted.is_some_and(|(sequence, ..)| sequence == 0) {
                desk.set_value(&place, identifier, value.value).await?;
            }
        }
        let mut loaded = Vec::new();
        for batch in batches.iter().filter(|batch| batch.owner == application.owner) {
            desk.load(&place, identifier, &batch.bytes).await?;
            loaded.push(batch.epoch);
        }
        Ok(loaded)
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
            "{} {}: {}, {} keys moved on, {} batches of handles\n",
            text(&get(application, "kind")),
            text(&get(application, "application")),
            word(&get(application, "is_new")),
            number(&get(application, "keys_moved")),
            get(application, "epochs_loaded").as_array().map_or(0, Vec::len),
        ));
    }
    lines
}
