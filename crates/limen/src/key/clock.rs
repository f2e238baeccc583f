//! `limen key confirm-clock`: a person says what day it is, where the city does not believe its clock.

use std::process::ExitCode;

use clap::Args;
use server::city::clock;
use vocabulary::time::Date;

use super::City;
use crate::city::runtime;
use crate::failure::{Failure, OrFail};
use crate::{output, world};

#[derive(Args)]
#[command(
    after_help = "Example:\n  limen key confirm-clock 2027-03-01 --config harbour/limen.toml\n\n\
    Look at another clock for the date: keys that a wrong one destroys are gone."
)]
pub(crate) struct ConfirmClock {
    /// Today, in UTC, as YYYY-MM-DD.
    #[arg(value_parser = parse_date)]
    date: Date,
    #[command(flatten)]
    city: City,
}

fn parse_date(text: &str) -> Result<Date, String> {
    Date::parse(text).map_err(|_| format!("`{text}` is no date such as 2027-03-01"))
}

impl ConfirmClock {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let config = self.city.config()?;
        let now = world::now();
        let machine = now.civil().date;
        if machine != self.date {
            let text = format!("it is {machine} by the clock of this machine");
            return Err(Failure::usage(text).hint("set the clock right, and confirm it then"));
        }
        let confirmed = runtime()?.block_on(clock::confirm(&config, now));
        confirmed.or_fail("cannot confirm the clock")?;
        output::text("confirmed: keys move on within the hour, or when the server starts\n")?;
        Ok(ExitCode::SUCCESS)
    }
}
