//! The authentications under way: what the first half must remember for the second.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand;

use super::diversify::CardInput;
use super::error::CardError;
use super::ev2::Challenged;
use super::{RunId, SecretHandle};

/// Authentications that wait for their second half; one more takes the place of the oldest.
pub(super) const AUTHENTICATIONS_MAX: usize = 64;

/// What a run remembers.
pub(crate) struct Run {
    pub(crate) master: SecretHandle,
    pub(crate) card: CardInput,
    pub(crate) challenged: Challenged,
}

/// The runs, oldest first.
#[derive(Default)]
pub(crate) struct Authentications(Mutex<VecDeque<(RunId, Run)>>);

impl Authentications {
    /// Remembers `run` under a name that is drawn for it.
    pub(crate) fn begin(&self, run: Run) -> Result<RunId, CardError> {
        let mut id = [0; 16];
        rand::fill(&mut id).map_err(|_| CardError::Unavailable)?;
        let id = RunId(id);
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() >= AUTHENTICATIONS_MAX {
            runs.pop_front();
        }
        runs.push_back((id, run));
        Ok(id)
    }

    /// The run `id`, which is over with this.
    pub(crate) fn take(&self, id: &RunId) -> Result<Run, CardError> {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let position = runs.iter().position(|(known, _)| known == id);
        let run = position.and_then(|position| runs.remove(position));
        run.map(|(_, run)| run).ok_or(CardError::NoRun { run: *id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::cipher::SoftwareKey;
    use crate::vault::ev2::{self, Mode};
    use zeroize::Zeroizing;

    #[test]
    fn one_run_past_the_limit_takes_the_place_of_the_oldest_and_a_run_is_good_once() {
        let runs = Authentications::default();
        let key = SoftwareKey::new(Zeroizing::new([7; 16]));
        let run = || Run {
            master: SecretHandle([0; 16]),
            card: CardInput::new(&[1; 16]).unwrap(),
            challenged: ev2::answer(&key, Mode::First, &[2; 16], [3; 16]).unwrap().0,
        };
        let begin = || runs.begin(run()).unwrap();
        let first: Vec<RunId> = (0..AUTHENTICATIONS_MAX).map(|_| begin()).collect();
        assert!(runs.take(&first[1]).is_ok());
        assert_eq!(runs.take(&first[1]).err(), Some(CardError::NoRun { run: first[1] }));
        begin();
        // At the limit all are there; one past it the oldest is not.
        begin();
        assert!(runs.take(&first[0]).is_err());
        assert!(runs.take(&first[2]).is_ok());
    }
}
