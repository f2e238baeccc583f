//! `limen card change-key`: the one named process in which a card key exists as plain bytes, for the
//! moment that it takes to write it into the card's command (`specs/card-keys.md`).
//!
//! The card is wherever a program carries lines: a command to the card is one line of hexadecimal digits
//! on standard output, its answer with the status word one line on standard input. The last line is
//! JSON and begins with `{`.

use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keys::vault::diversify::{CardInput, INPUT_BYTES_MAX, INPUT_BYTES_MIN};
use keys::vault::exchange::{self, CardKey, ExchangeError, Link, Outcome};
use keys::vault::personalise::Process;
use serde_json::json;

use super::lines::{Bytes, LINE_BYTES_MAX, hexadecimal};
use super::{Service, Where};
use crate::city::runtime;
use crate::failure::{Failure, OrFail, chain};
use crate::{output, world};

#[derive(Args)]
#[command(after_help = "Example:\n  limen card change-key --service run/keys.sock \\\n    \
    --pairing personaliser.pairing --ledger ledger.jsonl --operator harbour \\\n    \
    --uid 04782E21801D80 --aid 3042F5 --system tram --key-number 0\n\n\
    Commands to the card leave on standard output, a line of hexadecimal digits each; the answer of\n\
    the card, with its status word, is awaited on standard input in the same form. The last line is\n\
    JSON. Select the application before. End of input says that the card is gone.")]
pub(crate) struct ChangeKey {
    #[command(flatten)]
    service: Service,
    #[command(flatten)]
    place: Where,
    /// The file to which each deed is appended before any key is asked for.
    #[arg(long, value_name = "FILE")]
    ledger: PathBuf,
    /// The identifier of the card, hexadecimal.
    #[arg(long, value_name = "HEX", value_parser = hexadecimal)]
    uid: Bytes,
    /// The identifier of the application, hexadecimal.
    #[arg(long, value_name = "HEX", value_parser = hexadecimal)]
    aid: Bytes,
    /// The name of the system, the last part of what card keys are derived from.
    #[arg(long, value_name = "TEXT")]
    system: String,
    /// The number of the key on the card.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(0..=13))]
    key_number: u8,
}

impl ChangeKey {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let input = [&self.uid.0, &self.aid.0, &[self.key_number][..], self.system.as_bytes()];
        let input = CardInput::new(&input.concat()).map_err(|error| {
            let hint = format!(
                "identifiers, number and name of the system have {INPUT_BYTES_MIN} to \
                 {INPUT_BYTES_MAX} bytes together"
            );
            Failure::usage(error.to_string()).hint(hint)
        })?;
        let card = CardKey { input, number: self.key_number, scope: self.place.scope() };
        let mut process = Process::begin(&self.ledger).or_fail("cannot begin")?;
        let mut link = Lines { fault: None };
        let done = runtime()?.block_on(async {
            let vault = self.service.vault().await?;
            let at = world::now();
            Ok(exchange::change_key(&vault, &mut process, &card, &mut link, at).await)
        })?;
        match (done, link.fault) {
            (Ok(outcome), _) => tell(outcome),
            (Err(error), fault) => refuse(&error, fault),
        }
    }
}

fn tell(outcome: Outcome) -> Result<ExitCode, Failure> {
    let line = match outcome {
        Outcome::Kept { version } => json!({ "outcome": "kept", "version": version }),
        Outcome::Changed { from, to } => json!({ "outcome": "changed", "from": from, "to": to }),
    };
    output::text(&format!("{line}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The carrier hears that it is over, and the person why.
fn refuse(error: &ExchangeError, fault: Option<String>) -> Result<ExitCode, Failure> {
    let line = json!({ "outcome": "failed", "step": error.step().map(exchange::Step::as_str) });
    // A carrier that went away is told nothing; the reason goes to standard error all the same.
    let _ = output::text(&format!("{line}\n"));
    let message = match fault {
        Some(fault) => format!("{}: {fault}", chain(error)),
        None => chain(error),
    };
    let failure = Failure::broken(message);
    Err(match error.step() {
        Some(step) => failure.hint(format!("of the card: {}", step.card())),
        None => failure,
    })
}

/// The card at the other end of standard output and standard input.
struct Lines {
    /// Why a line was not taken as the card's answer.
    fault: Option<String>,
}

impl Link for Lines {
    fn exchange(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        let mut out = io::stdout().lock();
        let line: String = command.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "{line}").and_then(|()| out.flush()).ok()?;
        let mut answer = String::new();
        let mut input = io::stdin().lock().take(LINE_BYTES_MAX);
        if input.read_line(&mut answer).ok()? == 0 {
            return None;
        }
        let bytes = hexadecimal(answer.trim_end());
        if bytes.is_err() || !answer.ends_with('\n') {
            self.fault = Some("a line of standard input is no answer of a card".into());
            return None;
        }
        bytes.ok().map(|Bytes(bytes)| bytes)
    }
}
