//! A card that is held to the desk: a file, or a card in a reader of the system.

use std::path::Path;

use edge::card_host::SoftwareCard;
use edge::vpcd::CardApplication;
use keys::vault::exchange::Link;

use crate::failure::{Failure, OrFail};

/// A card that is held to the desk.
pub(super) enum Held {
    Software(Box<SoftwareCard>),
    #[cfg(feature = "pcsc")]
    Reader(edge::pcsc::CardLink),
}

impl Held {
    /// The card in the file, or in the reader of that name: the only one with a card, if it is empty.
    pub(super) fn take(card: Option<&Path>, reader: Option<&str>) -> Result<Self, Failure> {
        match (card, reader) {
            (Some(card), _) => {
                let card = SoftwareCard::open(card).or_fail("cannot take the card")?;
                Ok(Self::Software(Box::new(card)))
            }
            (None, Some(reader)) => in_reader(reader),
            (None, None) => Err(Failure::usage("no card is named")
                .hint("name the file of a software card, or give `--pcsc [READER]`")),
        }
    }

    pub(super) const fn is_software(&self) -> bool {
        matches!(self, Self::Software(_))
    }
}

impl Link for Held {
    fn exchange(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Software(card) => Some(card.command(command)),
            #[cfg(feature = "pcsc")]
            Self::Reader(link) => {
                use edge::transport::Transport;
                const WAIT: std::time::Duration = std::time::Duration::from_secs(10);
                link.exchange(command, WAIT).ok().map(|exchanged| exchanged.response)
            }
        }
    }
}

#[cfg(feature = "pcsc")]
fn in_reader(wanted: &str) -> Result<Held, Failure> {
    use edge::pcsc::{self, Presence};
    let attempt = "cannot take the card";
    let listed = pcsc::list().or_fail(attempt).map_err(|failure: Failure| {
        failure.hint("`limen reader doctor` says what is wrong with readers")
    })?;
    let is_there = |it: &&pcsc::Listed| matches!(it.card, Presence::Card { .. });
    let names: Vec<&str> = listed
        .iter()
        .filter(|it| !wanted.is_empty() || is_there(it))
        .map(|it| it.name.as_str())
        .collect();
    let name = match (wanted.is_empty(), names.as_slice()) {
        (true, [one]) => (*one).to_owned(),
        (true, []) => return Err(Failure::broken("no reader has a card")),
        (true, several) => {
            let text = format!("several readers have a card: {}", several.join(", "));
            return Err(Failure::usage(text).hint("give one of them to `--pcsc`"));
        }
        (false, _) => {
            let found = pcsc::find(wanted, &names).map_err(|_| {
                let text = format!("`{wanted}` is not the name of one reader");
                Failure::usage(text).hint(format!("there are: {}", names.join(", ")))
            })?;
            found.to_owned()
        }
    };
    let context = pcsc::establish().or_fail(attempt)?;
    let reader = std::ffi::CString::new(name).or_fail(attempt)?;
    pcsc::connect(&context, &reader).map(Held::Reader).or_fail(attempt)
}

#[cfg(not(feature = "pcsc"))]
fn in_reader(_: &str) -> Result<Held, Failure> {
    Err(crate::reader::without_pcsc())
}
