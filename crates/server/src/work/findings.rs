//! What background work has found and a person must see to: told by `/readyz` until it is over.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vocabulary::code::OperatorCode;

use crate::city::clock::Doubt;
use crate::city::uses::Break;

/// What was found; what is replaced is replaced whole.
#[derive(Default)]
pub(crate) struct Findings(Mutex<Found>);

#[derive(Default)]
struct Found {
    unrenewed: BTreeSet<OperatorCode>,
    clock: Option<Doubt>,
    broken: Option<Break>,
}

impl Findings {
    /// Operators whose document signers could not be renewed the last time.
    pub(crate) fn set_unrenewed(&self, operators: BTreeSet<OperatorCode>) {
        self.found().unrenewed = operators;
    }

    /// Why the clock is not believed, if so; whether that is news.
    pub(crate) fn set_clock(&self, doubt: Option<Doubt>) -> bool {
        let mut found = self.found();
        let noted = |doubt: Option<Doubt>| doubt.map(|doubt| doubt.noted);
        let is_news = noted(found.clock) != noted(doubt);
        found.clock = doubt;
        is_news
    }

    /// How the journal of the key service contradicts what was known of it; whether that is news. It stays
    /// until the server starts anew: that the journal looks well later proves nothing.
    pub(crate) fn add_break(&self, broken: &Break) -> bool {
        let mut found = self.found();
        let is_news = found.broken.as_ref() != Some(broken);
        found.broken = Some(broken.clone());
        is_news
    }

    /// How it does, if so.
    pub(crate) fn broken(&self) -> Option<Break> {
        self.found().broken.clone()
    }

    /// A line for each thing without which the city goes on.
    pub(crate) fn lines(&self) -> String {
        let found = self.found();
        let unrenewed = found.unrenewed.iter();
        let unrenewed = unrenewed.map(|it| format!("document signers of `{it}` are not renewed\n"));
        let clock = found.clock.iter().map(|doubt| format!("{doubt}\n"));
        unrenewed.chain(clock).collect()
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
