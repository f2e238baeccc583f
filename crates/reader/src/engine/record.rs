//! The journal of an engine: no record, no deed; and no deed long after it was decided.

use vocabulary::code::PlaceCode;
use vocabulary::time::Instant;

use super::judge::{Measure, Trace, Verdict};
use super::{
    After, EGRESS_UNLOCK_MS, Engine, Grant, Output, RECORD_WAIT_MAX, Refusal, WAITING_MAX,
};
use crate::decision::{Decision, Reason};
use crate::journal::{Event, Outcome, RESERVE};

impl Engine {
    pub(super) fn conclude(&mut self, now: Instant, door: PlaceCode, verdict: Verdict) {
        let Verdict { decision, trace, rejection } = verdict;
        let profile = trace.profile();
        let refusal =
            |reason, rejection| Refusal { door: door.clone(), reason, rejection, profile };
        let (outcome, after) = match decision {
            Decision::Granted { .. } if self.room() <= RESERVE => {
                self.owe(&trace);
                return self.refuse(refusal(Reason::JournalFull, None));
            }
            Decision::Granted { rule, unlock_ms: duration_ms } => {
                if self.breaks(Measure::Journal) {
                    return self.outputs.push_back(Output::Unlock { door, duration_ms, profile });
                }
                let (door, trace) = (door.clone(), trace.clone());
                let grant = Grant { door, duration_ms, granted_at: now, trace };
                (Outcome::Granted { rule }, After::Unlock(grant))
            }
            // Whoever holds a phone to the reader and goes away shall not fill its journal.
            Decision::Refused(Reason::Interrupted) => {
                return self.refuse(refusal(Reason::Interrupted, rejection));
            }
            Decision::Refused(reason) if self.room() <= self.config.journal_records_max / 2 => {
                self.missed = self.missed.saturating_add(1);
                return self.refuse(refusal(reason, rejection));
            }
            Decision::Refused(reason) => {
                (Outcome::Refused(reason), After::Refuse(refusal(reason, rejection)))
            }
        };
        self.record(now, door, outcome, trace, after);
    }

    pub(super) fn egress(&mut self, now: Instant, door: PlaceCode) {
        let duration_ms = self.bundle.as_ref().map_or(0, |bundle| bundle.bundle().unlock_ms);
        let duration_ms = duration_ms.max(EGRESS_UNLOCK_MS);
        let unlock = Output::Unlock { door: door.clone(), duration_ms, profile: None };
        self.outputs.push_back(unlock);
        if self.room() == 0 || self.waiting.len() >= WAITING_MAX {
            self.missed = self.missed.saturating_add(1);
            return;
        }
        self.record(now, door, Outcome::Egress, Trace::default(), After::Nothing);
    }

    /// A use was paid and the door stays closed: at the next tap it opens for that.
    pub(super) fn owe(&mut self, trace: &Trace) {
        if let Some((index, mark)) = trace.paid {
            self.unratified.note(index, mark);
        }
    }

    fn refuse(&mut self, Refusal { door, reason, rejection, profile }: Refusal) {
        self.outputs.push_back(Output::Refused { door, reason, rejection, profile });
    }

    /// Records that the journal still has room for.
    pub(super) fn room(&self) -> u64 {
        let under_way = u64::from(self.recording.is_some()) + self.waiting.len() as u64;
        let used = self.head.entries().saturating_sub(self.acknowledged).saturating_add(under_way);
        self.config.journal_records_max.saturating_sub(used)
    }

    fn record(
        &mut self,
        now: Instant,
        door: PlaceCode,
        outcome: Outcome,
        Trace { pass, tap, .. }: Trace,
        after: After,
    ) {
        let event = Event { door, outcome, pass, watermark: self.watermark(), missed: 0, tap };
        if self.waiting.len() >= WAITING_MAX {
            return self.give_up(after);
        }
        self.waiting.push_back((now, event, after));
        self.record_next();
    }

    fn record_next(&mut self) {
        while self.recording.is_none() {
            let Some((at, mut event, after)) = self.waiting.pop_front() else { return };
            event.missed = self.missed;
            match self.head.append(at, &event.encode()) {
                Ok((record, next)) => {
                    self.outputs.push_back(Output::Record(record));
                    self.recording = Some((next, after));
                }
                // INVARIANT: an event is far shorter than a payload may be.
                Err(_) => self.give_up(after),
            }
        }
    }

    pub(super) fn recorded(&mut self, now: Instant) {
        let Some((next, after)) = self.recording.take() else { return };
        self.head = next;
        self.missed = 0;
        match after {
            After::Unlock(grant) => self.unlock(now, grant),
            After::Refuse(refusal) => self.refuse(refusal),
            After::Nothing => {}
        }
        self.record_next();
    }

    /// Opens the door, unless its record came too late: then the journal gets a second word.
    fn unlock(&mut self, now: Instant, grant: Grant) {
        let Grant { door, duration_ms, granted_at, trace } = grant;
        let profile = trace.profile();
        // A clock that was set back meanwhile says nothing about how long it took.
        let waited = now.duration_since(granted_at).max(granted_at.duration_since(now));
        if waited <= RECORD_WAIT_MAX {
            return self.outputs.push_back(Output::Unlock { door, duration_ms, profile });
        }
        let reason = Reason::RecordLate;
        self.owe(&trace);
        self.refuse(Refusal { door: door.clone(), reason, rejection: None, profile });
        if self.room() == 0 {
            self.missed = self.missed.saturating_add(1);
            return;
        }
        self.record(now, door, Outcome::Refused(Reason::RecordLate), trace, After::Nothing);
    }

    pub(super) fn record_failed(&mut self) {
        let Some((_, after)) = self.recording.take() else { return };
        self.give_up(after);
        self.record_next();
    }

    /// What happens without a record: nothing opens.
    fn give_up(&mut self, after: After) {
        self.missed = self.missed.saturating_add(1);
        match after {
            After::Unlock(Grant { door, trace, .. }) => {
                let (reason, profile) = (Reason::JournalFull, trace.profile());
                self.owe(&trace);
                self.refuse(Refusal { door, reason, rejection: None, profile });
            }
            After::Refuse(refusal) => self.refuse(refusal),
            After::Nothing => {}
        }
    }
}
