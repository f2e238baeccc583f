//! The express tap in the engine: whether to try it, what came of it, and values that never repeat.

use credential::crypto::{Crypto, P256Secret};
use presentation::express::reader::{Counted, Proven, Terms};
use presentation::express::{Context, FRESH_BYTES, Transport};
use presentation::profile::Profile;
use vocabulary::code::PlaceCode;
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use super::judge::Verdict;
use super::tap::Tap;
use super::{Engine, ReaderKey, WAITING_MAX};
use crate::decision::{Decision, Reason};
use crate::journal::{HandleTrace, RESERVE, handle_in};

/// What one tap draws.
pub(super) struct Drawn {
    pub(super) secret: P256Secret,
    fresh: [u8; FRESH_BYTES],
    /// The ephemeral key of a standard tap, and its transaction identifier.
    pub(super) ephemeral: P256Secret,
    pub(super) transaction: [u8; 16],
    /// Below 1,000.
    lot: u16,
}

impl Engine {
    /// Values for one tap from `entropy`, from the reader's own key, and from what is never twice the same:
    /// restarts, taps and the head of the journal. So a generator that repeats gives away nothing, and
    /// no recording is good again.
    pub(super) fn draw(&mut self, crypto: &dyn Crypto, entropy: &P256Secret) -> Drawn {
        self.taps = self.taps.wrapping_add(1);
        let own: &[u8] = match &self.config.key {
            ReaderKey::Held(key) => key.danger_bytes(),
            ReaderKey::Elsewhere => &[],
        };
        let secret = Zeroizing::new([entropy.danger_bytes(), own].concat());
        let salt = [
            self.config.reader.as_bytes(),
            &self.config.restarts.to_be_bytes()[..],
            &self.taps.to_be_bytes(),
            &self.head.entries().to_be_bytes(),
            self.head.hash().as_bytes(),
        ];
        let salt = salt.concat();
        let mut drawn = Zeroizing::new([[0; 32]; 4]);
        crypto.hkdf_sha256_blocks(&secret, &salt, b"limen reader tap 2", &mut *drawn);
        let [session, ephemeral, public, transaction] = *drawn;
        let (fresh, rest) = public.split_first_chunk().unwrap_or((&[0; FRESH_BYTES], &[]));
        let lot = rest.first_chunk().map_or(0, |lot| u64::from_be_bytes(*lot) % 1_000);
        Drawn {
            secret: P256Secret::from_bytes(session),
            fresh: *fresh,
            ephemeral: P256Secret::from_bytes(ephemeral),
            transaction: transaction.first_chunk().copied().unwrap_or_default(),
            // INVARIANT: it is below 1,000.
            lot: u16::try_from(lot).unwrap_or(0),
        }
    }

    /// With what the express tap begins at `door`, if it is to be tried: the door accepts it, the secure
    /// element has the key of a scope that the door knows, and the lot does not say otherwise.
    pub(super) fn express_terms(
        &self,
        now: Instant,
        door: &PlaceCode,
        drawn: &Drawn,
    ) -> Option<Terms> {
        let bundle = self.bundle.as_ref()?;
        let policy = self.taps_at(door)?;
        if policy.least > Profile::Express || drawn.lot < policy.stronger_per_mille {
            return None;
        }
        let at = u32::try_from(self.time(now).ok()?.unix_seconds()).ok()?;
        let epoch = at / credential::delivery::EPOCH_SECONDS;
        let held = self.epoch_keys.iter().filter(|context| context.epoch == epoch);
        let express = bundle.express_door(door)?;
        // Keys are delivered for the scopes of the reader's own operator; at a door they are of one zone.
        let scope = held.map(|context| context.scope).find(|scope| express.knows(*scope))?;
        let context = Context { scope, epoch };
        let (reader, fresh) = (self.config.reader, drawn.fresh);
        Some(Terms { transport: Transport::Nfc, context, fresh, reader, at })
    }

    /// Learns from records of its own journal, oldest first, which handles were used here before it woke
    /// up; others are passed over. The newest [`crate::express::SEEN_MAX`] count.
    pub fn recall<'r>(&mut self, records: impl IntoIterator<Item = &'r [u8]>) {
        for HandleTrace { context, status, number, .. } in records.into_iter().filter_map(handle_in)
        {
            self.seen.note(context, status, number);
        }
    }

    /// The holder has proved itself: judge, and have a counted use written. Whether the tap is over.
    pub(super) fn proven(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        tap: &mut Tap,
        (context, proven): (Context, &Proven),
    ) -> bool {
        let is_copied = self.seen.note(context, proven.content.status, proven.content.number);
        let mut verdict = self.bench(crypto, now, tap.door(), |bench, _| {
            bench.judge_express(context, proven, is_copied)
        });
        let Counted { sequence, value, mark } = proven.counted;
        let is_counted =
            proven.content.is_counted && matches!(verdict.decision, Decision::Granted { .. });
        // Nobody pays for a door of which it is known that it cannot open.
        let can_record = self.room() > RESERVE && self.waiting.len() < WAITING_MAX;
        let index = proven.content.status;
        if is_counted && can_record && self.unratified.settle(index, mark) {
            verdict.trace.paid = Some((index, mark));
        } else if is_counted && can_record {
            let next = value.checked_sub(1).zip(sequence.checked_add(1));
            if let Some((value, sequence)) = next {
                let mark = self.mark(crypto, sequence);
                verdict.trace.paid = Some((index, mark));
                tap.commit(crypto, Counted { sequence, value, mark }, verdict);
                return false;
            }
            verdict.decision = Decision::Refused(Reason::UsesSpent);
        }
        self.conclude(now, tap.door().clone(), verdict);
        true
    }

    /// The holder left while it wrote: the gate remembers what it sent, and refuses.
    pub(super) fn torn(&mut self, now: Instant, door: PlaceCode, verdict: Verdict) {
        self.owe(&verdict.trace);
        let decision = Decision::Refused(Reason::Unratified);
        self.conclude(now, door, Verdict { decision, ..verdict });
    }

    /// A mark for the state that is about to be written, by which this gate knows it again.
    fn mark(&self, crypto: &dyn Crypto, sequence: u32) -> [u8; 4] {
        let (restarts, taps) = (self.config.restarts.to_be_bytes(), self.taps.to_be_bytes());
        let parts: [&[u8]; 6] = [
            b"limen reader mark 1",
            self.config.reader.as_bytes(),
            &restarts,
            &taps,
            &sequence.to_be_bytes(),
            self.head.hash().as_bytes(),
        ];
        let digest = crypto.sha256(&parts.concat());
        digest.first_chunk().copied().unwrap_or_default()
    }
}
