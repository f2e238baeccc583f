//! `limen key list`: what keys there are, who holds them, and when the next ones are due.

use std::process::ExitCode;

use clap::Args;
use keys::custody::Key;
use serde::Serialize;
use serde_json::{Value, json};

use super::{City, life};
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
    next_rotation: Option<String>,
}

impl Row {
    fn of(key: &Key) -> Self {
        let validity = life::validity(key);
        Self {
            handle: key.handle.to_string(),
            purpose: key.purpose.as_str(),
            class: life::class(key.purpose),
            suite: key.suite.as_str(),
            operator: key.operator.as_ref().map(ToString::to_string),
            held_by: key.held_by.to_string(),
            state: key.state.as_str(),
            state_since: key.state_since.floor_to_second().to_string(),
            valid_from: validity.map(|it| it.from.to_string()),
            valid_until: validity.map(|it| it.until.to_string()),
            next_rotation: life::next_rotation(key).map(|at| at.to_string()),
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
        "next rotation",
        "handle",
    ];

    fn cells(&self) -> Vec<String> {
        let day = |at: &Option<String>| {
            at.as_ref().map_or("", |at| at.get(..10).unwrap_or(at)).to_owned()
        };
        vec![
            self.purpose.into(),
            self.operator.clone().unwrap_or_default(),
            self.class.into(),
            self.suite.into(),
            self.held_by.clone(),
            self.state.into(),
            day(&self.valid_until),
            day(&self.next_rotation),
            self.handle.clone(),
        ]
    }
}
