//! `limen key list`: what keys there are, who holds them, and when the next ones are due.

use std::process::ExitCode;

use clap::Args;
use credential::x509::Certificate;
use keys::custody::Key;
use keys::purpose::Purpose;
use keys::rotation;
use serde::Serialize;
use serde_json::{Value, json};
use server::city::rotation::lives;
use vocabulary::time::Instant;

use super::City;
use crate::city::runtime;
use crate::failure::Failure;
use crate::output;
use crate::table::{Shown, table};

#[derive(Args)]
#[command(after_help = "Example:\n  limen key list --config harbour/limen.toml")]
pub(crate) struct List {
    #[command(flatten)]
    city: City,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let keeper = runtime()?.block_on(self.city.keeper())?;
        let rows: Vec<Row> = keeper.custody.keys().iter().map(Row::of).collect();
        if self.json {
            let rows: Vec<Value> = rows.iter().map(|row| json!(row)).collect();
            output::json(&json!({ "keys": rows }))?;
        } else {
            output::text(&table(&rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One key as it is shown.
#[derive(Serialize)]
struct Row {
    handle: String,
    purpose: &'static str,
    class: &'static str,
    suite: &'static str,
    operator: Option<String>,
    held_by: String,
    state: &'static str,
    state_since: String,
    valid_from: Option<String>,
    valid_until: Option<String>,
    next_rotation: String,
    next_step: &'static str,
}

/// From when until when the certificate of a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    /// The first moment.
    pub(super) from: Instant,
    /// The last moment.
    pub(super) until: Instant,
}

/// The validity of the certificate of `key`, if it has one that can be read.
pub(super) fn validity(key: &Key) -> Option<Validity> {
    let certificate = Certificate::parse(key.certificate.as_deref()?).ok()?;
    Some(Validity { from: certificate.not_before, until: certificate.not_after })
}

/// The class of keys of `purpose`: what may ever be done with the private half.
const fn class(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::CityRoot => "root, offline",
        Purpose::IssuingAuthority | Purpose::ReaderAuthority => "authority, signs only",
        Purpose::Staff => "personal, signs only",
        _ => "online, signs only",
    }
}

impl Row {
    fn of(key: &Key) -> Self {
        let validity = validity(key);
        let (next, step) = rotation::next_rotation(key, &lives());
        Self {
            handle: key.handle.to_string(),
            purpose: key.purpose.as_str(),
            class: class(key.purpose),
            suite: key.suite.as_str(),
            operator: key.operator.as_ref().map(ToString::to_string),
            held_by: key.held_by.to_string(),
            state: key.state.as_str(),
            state_since: key.state_since.floor_to_second().to_string(),
            valid_from: validity.map(|it| it.from.to_string()),
            valid_until: validity.map(|it| it.until.to_string()),
            next_rotation: next.floor_to_second().to_string(),
            next_step: step,
        }
    }
}

impl Shown for Row {
    const COLUMNS: &'static [&'static str] = &[
        "purpose",
        "operator",
        "class",
        "suite",
        "held by",
        "state",
        "valid until",
        "next step",
        "handle",
    ];

    fn cells(&self) -> Vec<String> {
        let day = |at: &str| at.get(..10).unwrap_or(at).to_owned();
        vec![
            self.purpose.into(),
            self.operator.clone().unwrap_or_default(),
            self.class.into(),
            self.suite.into(),
            self.held_by.clone(),
            self.state.into(),
            self.valid_until.as_deref().map(day).unwrap_or_default(),
            format!("{} {}", day(&self.next_rotation), self.next_step),
            self.handle.clone(),
        ]
    }
}
