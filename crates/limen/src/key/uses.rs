//! `limen key uses`: the key service's journal, its chain, and whether the city's log agrees with it.

use std::process::ExitCode;

use audit::hash::Hash;
use audit::journal::{Head, verify_run};
use clap::Args;
use keys::remote::Remote;
use keys::service::uses::Use;
use serde::Serialize;
use serde_json::{Value, json};
use server::city::uses::{Anchor, anchors};

use super::City;
use crate::city::runtime;
use crate::failure::{Failure, OrFail};
use crate::output;
use crate::table::{Shown, table};

#[derive(Args)]
#[command(after_help = "Example:\n  limen key uses --config harbour/limen.toml --last 20\n\n\
    Exit status: 0 when the chain is whole and every anchor in the log agrees, otherwise 1.")]
pub(crate) struct Uses {
    #[command(flatten)]
    city: City,
    /// How many of the newest records to show.
    #[arg(long, default_value_t = 50, value_name = "RECORDS")]
    last: usize,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// The journal as it was read.
struct Journal {
    name: String,
    entries: u64,
    rows: Vec<Row>,
    /// What is wrong, first of all.
    fault: Option<String>,
    /// Anchors that agree.
    agreeing: usize,
    /// Number of the record behind the newest anchor.
    anchored: u64,
}

impl Uses {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let config = self.city.config()?;
        let journal = runtime()?.block_on(async {
            let keeper = self.city.keeper().await?;
            let service = keeper.service.ok_or_else(|| {
                Failure::usage("the server opens the keystore itself: no uses are recorded")
            })?;
            let anchors = anchors(&config).await.or_fail("cannot read the log of the city")?;
            read(&service, &anchors, self.last).await
        })?;
        if self.json {
            let rows: Vec<Value> = journal.rows.iter().map(|row| json!(row)).collect();
            output::json(&json!({
                "journal": journal.name, "entries": journal.entries, "uses": rows,
                "is_verified": journal.fault.is_none(), "reason": journal.fault,
                "anchors": journal.agreeing, "anchored": journal.anchored,
            }))?;
        } else {
            output::text(&table(&journal.rows))?;
            let verdict = match &journal.fault {
                None => format!("{} anchors in the log agree", journal.agreeing),
                Some(fault) => format!("NOT VERIFIED: {fault}"),
            };
            output::text(&format!(
                "\n{} records; {verdict}; {} records are not anchored yet\n",
                journal.entries,
                journal.entries.saturating_sub(journal.anchored)
            ))?;
        }
        Ok(if journal.fault.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn read(service: &Remote, anchors: &[Anchor], last: usize) -> Result<Journal, Failure> {
    let attempt = "cannot read the journal of uses";
    let (name, entries, _) = service.uses(u64::MAX).await.or_fail(attempt)?;
    let mut head = Head::start(name);
    let name = format!("{:032x}", u128::from_be_bytes(name));
    let mine: Vec<&Anchor> = anchors.iter().filter(|anchor| anchor.journal == name).collect();
    let anchored = mine.last().map_or(0, |anchor| anchor.last.saturating_add(1));
    let mut journal =
        Journal { name, entries, rows: Vec::new(), fault: None, agreeing: 0, anchored };
    let mut waiting = mine.into_iter().peekable();
    while head.entries() < entries {
        let (_, _, records) = service.uses(head.entries()).await.or_fail(attempt)?;
        if records.is_empty() {
            break;
        }
        // The hash after a record is what the next one follows.
        let mut agree =
            |number: u64, hash: &Hash, fault: &mut Option<String>, count: &mut usize| {
                while let Some(anchor) = waiting.next_if(|it| it.last.saturating_add(1) == number) {
                    if anchor.head().as_ref() == Some(hash) {
                        *count += 1;
                    } else {
                        let text = format!("the log anchors another record `{}`", anchor.last);
                        fault.get_or_insert(text);
                    }
                }
            };
        let mut rows = std::mem::take(&mut journal.rows);
        let read = verify_run(&head, &records, |record| {
            agree(record.sequence, &record.previous, &mut journal.fault, &mut journal.agreeing);
            if let Ok(used) = Use::of_payload(record.at, record.payload) {
                rows.push(Row::of(record.sequence, &used));
            }
        });
        if rows.len() > last {
            rows.drain(..rows.len() - last);
        }
        journal.rows = rows;
        match read {
            Ok(next) => head = next,
            Err(error) => {
                journal.fault.get_or_insert(error.to_string());
                return Ok(journal);
            }
        }
        agree(head.entries(), head.hash(), &mut journal.fault, &mut journal.agreeing);
    }
    if let Some(anchor) = waiting.next() {
        let text = format!("the log anchors record `{}`, which is not there", anchor.last);
        journal.fault.get_or_insert(text);
    }
    Ok(journal)
}

#[derive(Serialize)]
struct Row {
    sequence: u64,
    at: String,
    client: String,
    deed: &'static str,
    purpose: Option<&'static str>,
    object: Option<&'static str>,
    handle: Option<String>,
    sha256: Option<String>,
    outcome: &'static str,
}

impl Row {
    fn of(sequence: u64, used: &Use) -> Self {
        let hex = |bytes: [u8; 32]| bytes.map(|byte| format!("{byte:02x}")).concat();
        Self {
            sequence,
            at: used.at.to_string(),
            client: used.client.clone(),
            deed: used.deed.as_str(),
            purpose: used.purpose.map(|purpose| purpose.as_str()),
            object: used.purpose.map(|purpose| purpose.object_type().as_str()),
            handle: used.handle.map(|handle| handle.to_string()),
            sha256: used.digest.map(hex),
            outcome: used.outcome.as_str(),
        }
    }
}

impl Shown for Row {
    const COLUMNS: &'static [&'static str] =
        &["record", "at", "client", "deed", "purpose", "object sha256", "outcome"];

    fn cells(&self) -> Vec<String> {
        let digest = self.sha256.as_deref().and_then(|digest| digest.get(..16));
        vec![
            self.sequence.to_string(),
            self.at.clone(),
            self.client.clone(),
            self.deed.into(),
            self.purpose.unwrap_or_default().into(),
            digest.unwrap_or_default().into(),
            self.outcome.into(),
        ]
    }
}
