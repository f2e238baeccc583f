//! `limen card inspect`: what a card tells everybody, and what it tells its operators.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use edge::card_host::SoftwareCard;
use edge::vpcd::CardApplication;
use keys::vault::Vault;
use keys::vault::applications::{Desk, DeskError, Place};
use presentation::express::wire::Apdu;
use serde_json::{Map, Value as Json, json};
use vocabulary::code::OperatorCode;

use super::Service;
use super::lines::line;
use super::place::{Held, Owner, root};
use crate::city::runtime;
use crate::failure::{Failure, OrFail};
use crate::output;

#[derive(Args)]
#[command(after_help = "Examples:\n  limen card inspect rider.card\n  \
    limen card inspect rider.card --service run/keys.sock --pairing personaliser.pairing \\\n    \
    --issuer city --owner metro/a --owner town-hall\n\n\
    Without keys a card tells what every card tells. With --service it is authenticated, and tells the\n\
    issuer which applications it has, and each owner what its own holds.")]
pub(crate) struct Inspect {
    /// The file of the card.
    #[arg(value_name = "FILE")]
    card: PathBuf,
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
        let card = SoftwareCard::open(&self.card).or_fail("cannot take the card")?;
        let mut held = Held(card);
        let mut found = Map::new();
        found.insert("is_software".into(), true.into());
        found.insert("public".into(), public(&mut held.0));
        if let Some(service) = self.service() {
            runtime()?.block_on(async {
                let vault = service.vault().await?;
                let told = self.ask(&vault, &mut held, &mut found).await;
                told.or_fail("cannot read the card")
            })?;
        }
        let found = Json::Object(found);
        if self.json {
            output::json(&found)?;
        } else {
            output::text(&told(&found))?;
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
fn public(card: &mut SoftwareCard) -> Json {
    let express = card.command(Apdu::select().as_bytes());
    let select = [0, 0xA4, 4, 0, 7, 0xF0, 0x4C, 0x49, 0x4D, 0x45, 0x4E, 2, 0];
    let management = card.command(&select);
    card.reset();
    json!({
        "historical_bytes": line(card::HISTORICAL),
        "express": line(&express),
        "management": line(&management),
    })
}

async fn application(desk: &mut Desk<'_>, owner: &Owner, place: &Place) -> Result<Json, DeskError> {
    let identifier = desk.identifier(place).await?;
    let held = desk.held(place, &identifier).await?;
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
    }))
}

fn told(found: &Json) -> String {
    let mut lines = String::from("a card in software: its keys are not protected\n");
    for (name, value) in found.as_object().into_iter().flatten() {
        match value {
            Json::Object(parts) => {
                for (part, value) in parts {
                    lines.push_str(&format!("{name} {part}: {}\n", plain(value)));
                }
            }
            Json::Array(entries) => {
                for entry in entries {
                    lines.push_str(&format!("{name}: {}\n", plain(entry)));
                }
            }
            Json::Bool(_) => {}
            value => lines.push_str(&format!("{name}: {}\n", plain(value))),
        }
    }
    lines
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
