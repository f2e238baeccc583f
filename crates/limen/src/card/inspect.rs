//! `limen card inspect`: what a card tells everybody, and what it tells its operators.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keys::vault::Vault;
use keys::vault::applications::{Desk, DeskError, Place};
use keys::vault::exchange::Link;
use presentation::express::wire::Apdu;
use presentation::standard::EXPEDITED_APPLICATION;
use serde_json::{Map, Value as Json, json};
use vocabulary::code::OperatorCode;
use vocabulary::time::Date;

use super::Service;
use super::field::Held;
use super::lines::line;
use super::place::{Owner, root};
use crate::city::runtime;
use crate::failure::{Failure, OrFail};
use crate::field::get;
use crate::output;
use crate::tree::Tree;

#[derive(Args)]
#[command(after_help = "Examples:\n  limen card inspect rider.card\n  \
    limen card inspect rider.card --service run/keys.sock --pairing personaliser.pairing \\\n    \
    --issuer city --owner metro/a --owner town-hall\n\n\
    Without keys a card tells what every card tells. With --service it is authenticated, and tells the\n\
    issuer which applications it has, and each owner what its own holds.")]
pub(crate) struct Inspect {
    /// The file of the card.
    #[arg(value_name = "FILE", required_unless_present = "pcsc")]
    card: Option<PathBuf>,
    /// The card in this reader of the system, or in the only one that has a card.
    #[arg(long, value_name = "READER", num_args = 0..=1, default_missing_value = "",
          conflicts_with = "card")]
    pcsc: Option<String>,
    /// The socket of the key service.
    #[arg(long, value_name = "SOCKET", requires = "pairing")]
    service: Option<PathBuf>,
    /// The user as whom it runs; the owner of the socket's folder by default.
    #[arg(long, value_name = "UID", requires = "service")]
    service_uid: Option<u32>,
    /// The name of this client, which must have the right `cards`.
    #[arg(long, value_name = "NAME", default_value = "personaliser")]
    client: String,
    /// The secret that it shares with the key service (`limen key pair`).
    #[arg(long, value_name = "FILE", requires = "service")]
    pairing: Option<PathBuf>,
    /// The operator who issued the card.
    #[arg(long, value_name = "CODE", requires = "service")]
    issuer: Option<OperatorCode>,
    /// The owner of an application: OPERATOR or OPERATOR/ZONE.
    #[arg(long = "owner", value_name = "OWNER", requires = "service")]
    owners: Vec<Owner>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let mut held = Held::take(self.card.as_deref(), self.pcsc.as_deref())?;
        let mut found = Map::new();
        found.insert("is_software".into(), held.is_software().into());
        found.insert("public".into(), public(&mut held)?);
        if let Some(service) = self.service() {
            runtime()?.block_on(async {
                let vault = service.vault().await?;
                let told = self.ask(&vault, &mut held, &mut found).await;
                told.or_fail("cannot read the card")
            })?;
        }
        if self.json {
            output::json(&Json::Object(found))?;
        } else {
            output::text(&told(&found).to_text())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn service(&self) -> Option<Service> {
        let (service, pairing) = (self.service.clone()?, self.pairing.clone()?);
        let (client, service_uid) = (self.client.clone(), self.service_uid);
        Some(Service { service, service_uid, client, pairing })
    }

    async fn ask(
        &self,
        vault: &dyn Vault,
        held: &mut Held,
        found: &mut Map<String, Json>,
    ) -> Result<(), DeskError> {
        let mut desk = Desk { vault, link: held };
        desk.select()?;
        if let Some(issuer) = &self.issuer {
            let root = root(issuer);
            let identifier = desk.identifier(&root).await?;
            found.insert("card".into(), line(&identifier).into());
            if desk.version(&root, 0)? != 0 {
                let there = desk.applications(&root, &identifier).await?;
                let there: Vec<String> = there.iter().map(|id| line(id)).collect();
                found.insert("scopes".into(), there.into());
            }
        }
        let mut applications = Vec::new();
        for owner in &self.owners {
            let place = owner.place();
            applications.push(application(&mut desk, owner, &place).await?);
        }
        found.insert("applications".into(), applications.into());
        Ok(())
    }
}

/// What everybody can ask for.
fn public(card: &mut Held) -> Result<Json, Failure> {
    let mut ask = |command: &[u8]| {
        let answer = card.exchange(command).map(|answer| line(&answer));
        answer.ok_or_else(|| Failure::broken("the card does not answer"))
    };
    let express = ask(Apdu::select().as_bytes())?;
    let standard = [&[0, 0xA4, 4, 0, 9][..], &EXPEDITED_APPLICATION, &[0]].concat();
    let standard = ask(&standard)?;
    let management = [&[0, 0xA4, 4, 0, 7][..], &card::management::APPLICATION, &[0]].concat();
    let management = ask(&management)?;
    Ok(json!({
        "historical_bytes": line(card::HISTORICAL),
        "express": express,
        "standard": standard,
        "management": management,
    }))
}

async fn application(desk: &mut Desk<'_>, owner: &Owner, place: &Place) -> Result<Json, DeskError> {
    let identifier = desk.identifier(place).await?;
    let held = desk.held(place, &identifier).await?;
    let pass = desk.pass(place, &identifier).await?;
    let kind = card::Kind::from_byte(held.kind).map_or("unknown", card::Kind::as_str);
    let counted = held.counted.map(|(sequence, value, mark)| {
        json!({ "sequence": sequence, "value": value, "mark": line(&mark) })
    });
    let batches = held.batches.iter().map(|batch| {
        json!({
            "epoch": batch.epoch,
            "handles": batch.count,
            "shown": batch.shown,
            "taps": batch.taps,
        })
    });
    Ok(json!({
        "application": owner.to_string(),
        "scope": line(&place.id),
        "kind": kind,
        "card": line(&identifier),
        "key_versions": held.versions,
        "shown_for_nothing": held.shown_for_nothing,
        "counted": counted,
        "batches": batches.collect::<Vec<_>>(),
        "has_pass": pass.is_some(),
    }))
}

/// What was found, for people to read.
fn told(found: &Map<String, Json>) -> Tree {
    let is_software = found.get("is_software") == Some(&Json::Bool(true));
    let mut tree = Tree::new();
    let what = "in software: its keys are not protected";
    tree.leaf("card", if is_software { what } else { "in a reader" });
    if let Some(identifier) = found.get("card") {
        tree.leaf("identifier", identifier.clone());
    }
    let list = |it: &Json, name: &str| get(it, name).as_array().cloned().unwrap_or_default();
    let found = Json::Object(found.clone());
    for scope in list(&found, "scopes") {
        tree.leaf("has an application of scope", scope);
    }
    for application in list(&found, "applications") {
        let part = |name: &str| get(&application, name).clone();
        let mut branch = Tree::new();
        for name in ["kind", "scope", "card"] {
            branch.leaf(name, part(name));
        }
        let versions: Vec<_> =
            list(&application, "key_versions").iter().map(|it| it.to_string()).collect();
        branch.leaf("versions of its keys", versions.join(", "));
        branch.leaf("pass", if part("has_pass") == true { "yes" } else { "no" });
        if let Some(value) = part("counted").get("value") {
            branch.leaf("value", value.clone());
        }
        for batch in list(&application, "batches") {
            let number = |name: &str| get(&batch, name).as_u64().unwrap_or(0);
            let left = number("handles").saturating_sub(number("shown"));
            let text = format!("{left} of {} left, {} taps", number("handles"), number("taps"));
            let day = Date::from_day_number(i64::from(u32::try_from(number("epoch")).unwrap_or(0)));
            branch.leaf(format!("handles of {day}"), text);
        }
        branch.leaf("handles shown for nothing", part("shown_for_nothing"));
        let name = part("application");
        tree.branch(format!("application {}", name.as_str().unwrap_or_default()), branch);
    }
    let mut public = Tree::new();
    for (name, answer) in get(&found, "public").as_object().into_iter().flatten() {
        public.leaf(name.replace('_', " "), answer.clone());
    }
    tree.branch("what it tells everybody", public);
    tree
}
