//! Handles of the express tap: fetched with passes and news, and switched on or off by their owner.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use credential::aws_lc::AwsLc;
use edge::wallet_host::WalletHost;
use serde_json::json;
use ureq::http::Method;
use vocabulary::time::Date;
use wallet::express::fetch::{Fetch, PATH, Short, shortages};
use wallet::pass::{Content, Pass};

use super::Place;
use crate::client::{Client, Connection};
use crate::failure::{Failure, OrFail};
use crate::{output, world};

/// Requests of one run.
const REQUESTS_MAX: usize = 128;

/// `limen wallet express`.
#[derive(Args)]
#[command(after_help = "Examples:\n  limen wallet express\n  \
    limen wallet express off --pass 'Staff badge'\n\n\
    The express tap is the fast one at gates: nothing is asked and nothing is shown but a handle of\n\
    one use. Passes that only their holder may use, or that ask for a confirmation each time, have\n\
    none. `limen wallet accept` and `limen wallet refresh` fetch handles for today and tomorrow.")]
pub(crate) struct Express {
    /// Switch it on or off; switched off, the handles are destroyed. Without it, what there is is shown.
    #[arg(value_enum)]
    switch: Option<Switch>,
    /// The passes of this name alone.
    #[arg(long, value_name = "NAME", requires = "switch")]
    pass: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Express {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let mut host = self.place.open()?;
        if let Some(switch) = self.switch {
            self.switch(&mut host, switch == Switch::On)?;
            self.place.save(&host)?;
        }
        let express = &host.state.express;
        // A pass is kept in several formats; handles belong to its mdoc.
        let has_handles = |pass: &Pass| {
            let mut contents = pass.documents.iter().map(|document| &document.content);
            contents.any(|content| matches!(content, Content::Mdoc(_)))
        };
        let listed = host.state.passes.iter().enumerate().filter(|(_, pass)| has_handles(pass));
        let passes = listed.clone().map(|(place, pass)| {
            let left = express.left().filter(|left| left.pass == place).map(|left| {
                json!({
                    "operator": left.scope.operator.as_str(),
                    "zone": left.scope.zone.as_ref().map(|zone| zone.as_str()),
                    "epoch": left.epoch,
                    "handles": left.handles,
                    "taps": left.taps,
                })
            });
            let left: Vec<_> = left.collect();
            json!({ "name": pass.name, "express": express.is_on(place), "handles": left })
        });
        let passes: Vec<_> = passes.collect();
        if self.json {
            output::json(&json!({ "passes": passes }))?;
            return Ok(ExitCode::SUCCESS);
        }
        for (place, pass) in listed {
            let word = if express.is_on(place) { "on" } else { "off" };
            output::text(&format!("{}: express {word}\n", pass.name.escape_debug()))?;
            for left in express.left().filter(|left| left.pass == place) {
                let zone = left.scope.zone.as_ref().map_or("", |zone| zone.as_str());
                let day = Date::from_day_number(left.epoch.into());
                output::text(&format!(
                    "  {} {zone}, {day}: {} handles left, {} taps\n",
                    left.scope.operator, left.handles, left.taps
                ))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn switch(&self, host: &mut WalletHost, is_on: bool) -> Result<(), Failure> {
        let Some(name) = &self.pass else {
            host.state.express.switch(None, is_on);
            return Ok(());
        };
        let named = host.state.passes.iter().enumerate().filter(|(_, pass)| pass.name == *name);
        let places: Vec<usize> = named.map(|(place, _)| place).collect();
        if places.is_empty() {
            return Err(Failure::usage(format!("no pass is named `{}`", name.escape_debug()))
                .hint("`limen wallet list` shows them"));
        }
        for place in places {
            host.state.express.switch(Some(place), is_on);
        }
        Ok(())
    }
}

/// Fetches the handles that the wallet is short of, as far as the city gives any, and says how many
/// came. Without them taps are slower; so nothing that goes wrong here is a failure but a wallet that
/// cannot be written.
pub(super) fn fetch(
    place: &Place,
    host: &mut WalletHost,
    ca: Option<PathBuf>,
) -> Result<usize, Failure> {
    host.state.express.prune(world::now());
    let server = host.state.trust.parts().city.clone();
    let shorts = shortages(&host.state, &host.element, world::now());
    if server.is_empty() || shorts.is_empty() {
        return Ok(0);
    }
    let client = Client::new(Connection { server, token: None, ca })?;
    let mut count = 0;
    for short in shorts.into_iter().take(REQUESTS_MAX) {
        match ask(&client, host, short)? {
            Asked::Got(handles) => count += handles,
            Asked::None => continue,
            Asked::Away => break,
        }
        // What was given out is not given again.
        place.save(host)?;
    }
    Ok(count)
}

enum Asked {
    Got(usize),
    /// There are none for this pass, zone and day.
    None,
    /// The city gives none to anybody now.
    Away,
}

fn ask(client: &Client, host: &mut WalletHost, short: Short) -> Result<Asked, Failure> {
    let (state, element) = (&host.state, &mut host.element);
    let entropy = world::entropy()?;
    let begun = Fetch::begin(&AwsLc, element, state, short, entropy, world::now());
    let Ok((fetch, body)) = begun else { return Ok(Asked::None) };
    let url = format!("{}{PATH}", client.base());
    let kind = [("content-type", "application/json"), ("accept", "application/json")];
    let answer = client.send(Method::POST, &url, &kind, &body);
    let (status, body) = match answer {
        Ok(answer) => (answer.status, answer.body),
        Err(_) => (503, Vec::new()),
    };
    if status != 200 {
        fetch.give_up(&mut host.element);
        // A server of before has no such place; one without a key service has no handles.
        return Ok(if matches!(status, 404 | 429 | 500..) { Asked::Away } else { Asked::None });
    }
    let taken = fetch.finish(&AwsLc, &mut host.element, &mut host.state, &body);
    taken.map(Asked::Got).or_fail("cannot take what the city gave for the express tap")
}
