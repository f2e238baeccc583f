//! Judgements that are the same for many readers, made once.
//!
//! What a reader holds is that of one moment of the city, and what it is shown was made on one day or
//! in one hour: so ten thousand readers ask the same few thousand questions. One question in
//! [`JUDGED_ANEW_EVERY`] is judged anew all the same, and an answer that differs ends the run.

use std::collections::HashMap;
use std::hash::Hash;

use crate::record::Level;
use crate::run::Fault;
use crate::scenario::Minute;

/// One question in so many is judged without the memory.
const JUDGED_ANEW_EVERY: u64 = 32;

/// Answers that are remembered, each by all that it depends on.
#[derive(Default)]
pub(crate) struct Memory {
    /// About a document: trust of which moment, of which operator's reader, document of which operator
    /// and day, on which day. The level to which the refusal is due, if it is refused.
    pub(crate) documents: Answers<(usize, usize, usize, Minute, Minute), Option<Level>>,
    /// About a status list: trust of which moment, list of which day, on which day.
    pub(crate) lists: Answers<(usize, Minute, Minute), bool>,
    /// About an old document signer: trust of which moment, of which operator's reader, which signer,
    /// and whether at the end of its certificate.
    pub(crate) signers: Answers<(usize, usize, usize, bool), bool>,
    /// About a reader's certificate while it holds: trust of which moment, certificate of which hour.
    pub(crate) certificates: Answers<(usize, Minute), Option<Level>>,
}

/// The answers to one kind of question.
pub(crate) struct Answers<K, V> {
    known: HashMap<K, V>,
    asked: u64,
}

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self { known: HashMap::new(), asked: 0 }
    }
}

impl<K: Eq + Hash, V: Copy + PartialEq> Answers<K, V> {
    /// The answer to `question`, from memory or by `judge`.
    pub(crate) fn to(
        &mut self,
        question: K,
        judge: impl FnOnce() -> Result<V, Fault>,
    ) -> Result<V, Fault> {
        self.asked += 1;
        let known = self.known.get(&question).copied();
        if let Some(known) = known.filter(|_| !self.asked.is_multiple_of(JUDGED_ANEW_EVERY)) {
            return Ok(known);
        }
        let answer = judge()?;
        if known.is_some_and(|known| known != answer) {
            return Err(Fault("judge the same twice alike"));
        }
        self.known.insert(question, answer);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_again_now_and_then_and_must_agree() {
        let mut answers: Answers<u8, u8> = Answers::default();
        assert_eq!(answers.to(1, || Ok(7)), Ok(7));
        for _ in 2..JUDGED_ANEW_EVERY {
            assert_eq!(answers.to(1, || Err(Fault("be asked"))), Ok(7), "from memory");
        }
        assert_eq!(answers.to(1, || Ok(7)), Ok(7), "judged anew");
        for _ in 1..JUDGED_ANEW_EVERY {
            assert_eq!(answers.to(1, || Ok(8)), Ok(7));
        }
        assert!(answers.to(1, || Ok(8)).is_err(), "it differs");
    }
}
