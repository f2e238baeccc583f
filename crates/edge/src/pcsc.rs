//! Readers of the system, through PC/SC (`pcscd`).
//!
//! [`attend`] serves one reader for as long as it is wanted: it waits for cards by the service's own
//! notices, hands each to its caller, and outlives a reader that is unplugged and a service that is
//! restarted. Each reader has a thread and a context of its own, so that none waits for another.

mod attend;
mod card;

use std::ffi::CString;

pub use pcsc::{Context, Error, State};
use pcsc::{ReaderState, Scope};

pub use self::attend::{Attendant, Event, attend};
pub use self::card::{CardLink, connect};

/// A reader that the service knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub card: Presence,
}

/// What is in a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Empty,
    /// A card with this ATR.
    Card {
        /// As PC/SC shows it.
        atr: Vec<u8>,
    },
    /// A card that does not answer when it is powered.
    Mute,
    /// A card that another program uses for itself alone.
    Taken,
}

/// Why the name in a configuration does not lead to one reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfound {
    /// No reader has it.
    Missing,
    /// Several have: these.
    Ambiguous(Vec<String>),
}

/// A connection to the service.
///
/// # Errors
/// [`Error::NoService`] where `pcscd` does not run.
pub fn establish() -> Result<Context, Error> {
    Context::establish(Scope::System)
}

/// The readers of the system and what is in them.
///
/// # Errors
/// [`Error`]: [`Error::NoService`] where `pcscd` does not run.
pub fn list() -> Result<Vec<Listed>, Error> {
    let context = establish()?;
    let names = names(&context)?;
    let unaware = |name: CString| ReaderState::new(name, State::UNAWARE);
    let mut states: Vec<ReaderState> = names.into_iter().map(unaware).collect();
    if states.is_empty() {
        return Ok(Vec::new());
    }
    // Unaware of everything: the answer comes at once.
    context.get_status_change(ANSWER, &mut states)?;
    let listed = states.iter().map(|state| Listed {
        name: state.name().to_string_lossy().into_owned(),
        card: presence(state),
    });
    Ok(listed.collect())
}

/// How long the service may take to say what it knows.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(5);

fn presence(state: &ReaderState) -> Presence {
    let seen = state.event_state();
    if !seen.contains(State::PRESENT) {
        Presence::Empty
    } else if seen.contains(State::MUTE) {
        Presence::Mute
    } else if seen.contains(State::EXCLUSIVE) {
        Presence::Taken
    } else {
        Presence::Card { atr: state.atr().to_vec() }
    }
}

/// The names of all readers.
fn names(context: &Context) -> Result<Vec<CString>, Error> {
    match context.list_readers_owned() {
        Err(Error::NoReadersAvailable) => Ok(Vec::new()),
        listed => listed,
    }
}

/// The one of `listed` that `wanted` means: its name as a whole, or without the numbers that PC/SC
/// puts behind it, which change from one socket to another.
///
/// # Errors
/// [`Unfound`].
pub fn find<'n, N: AsRef<str>>(wanted: &str, listed: &'n [N]) -> Result<&'n str, Unfound> {
    let listed = listed.iter().map(AsRef::as_ref);
    if let Some(same) = listed.clone().find(|name| *name == wanted) {
        return Ok(same);
    }
    let found: Vec<&str> = listed.filter(|name| without_numbers(name) == wanted).collect();
    match found.as_slice() {
        [] => Err(Unfound::Missing),
        [one] => Ok(one),
        several => Err(Unfound::Ambiguous(several.iter().map(|&name| name.into()).collect())),
    }
}

/// `Brand Model 00 01` as `Brand Model`.
fn without_numbers(name: &str) -> &str {
    let is_number = |word: &str| word.len() == 2 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let cut = |name| match str::rsplit_once(name, ' ') {
        Some((rest, word)) if is_number(word) => Some(rest),
        _ => None,
    };
    cut(name).and_then(cut).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_meant_by_its_name_with_or_without_numbers() {
        let listed = ["Gate A 00 00", "Gate A 00 01", "Gate B 01 00", "Gate"];
        let ambiguous = vec![String::from("Gate A 00 00"), String::from("Gate A 00 01")];
        for (wanted, expected) in [
            ("Gate A 00 01", Ok("Gate A 00 01")),
            ("Gate B", Ok("Gate B 01 00")),
            ("Gate", Ok("Gate")),
            ("Gate A", Err(Unfound::Ambiguous(ambiguous))),
            ("Gate C", Err(Unfound::Missing)),
            ("Gate B 01", Err(Unfound::Missing)),
            ("", Err(Unfound::Missing)),
        ] {
            assert_eq!(find(wanted, &listed), expected, "{wanted}");
        }
    }
}
