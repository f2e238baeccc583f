//! `limen card make`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use edge::card_host::SoftwareCard;

use crate::failure::{Failure, OrFail};
use crate::output;

#[derive(Args)]
#[command(after_help = "Example:\n  limen card make rider.card\n\n\
    The file is a card fresh from its maker, whose keys everybody knows. It is software: its keys stand\n\
    in the file as they are, and who copies the file has a second card. For tests and trials only.")]
pub(crate) struct Make {
    /// The file to make; there must be none.
    #[arg(value_name = "FILE")]
    card: PathBuf,
}

impl Make {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        SoftwareCard::make(&self.card).or_fail("cannot make the card")?;
        output::text(&format!(
            "{}: a blank card, in software: its keys are not protected\n",
            self.card.display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
