//! The pocket of the express tap: handles and counted states of the applications.

use credential::crypto::Crypto;
use presentation::express::holder::{Gate, Pocket, PocketError, Shown, Standing};
use presentation::express::reader::{Counted, Presence};
use presentation::express::{Context, SHOWN_FOR_NOTHING_MAX};

use crate::memory::{Memory, MemoryFault};
use crate::record::Application;
use crate::store::{EntryPlace, Store};

pub(crate) struct CardPocket<'c, M> {
    pub(crate) store: &'c mut Store<M>,
    pub(crate) crypto: &'c dyn Crypto,
}

impl<M: Memory> CardPocket<'_, M> {
    /// The application that has a handle to show, with the slot of its batch.
    fn fresh(
        &self,
        slot: usize,
        context: Context,
    ) -> Result<Option<(Application, EntryPlace)>, MemoryFault> {
        let mut application = self.store.application(self.crypto, slot)?;
        if application.for_nothing >= SHOWN_FOR_NOTHING_MAX {
            return Ok(None);
        }
        let Some((batch, found)) = application.batch_of(context.epoch) else { return Ok(None) };
        if found.shown >= found.count {
            return Ok(None);
        }
        let number = found.shown;
        found.shown += 1;
        application.for_nothing += 1;
        Ok(Some((application, EntryPlace { application: slot, batch, number })))
    }

    fn of(&self, shown: &Shown) -> Result<(usize, Application), MemoryFault> {
        let slot = usize::try_from(shown.pass).map_err(|_| MemoryFault)?;
        Ok((slot, self.store.application(self.crypto, slot)?))
    }

    fn take(&mut self, context: Context) -> Result<Option<Shown>, MemoryFault> {
        let root = self.store.root(self.crypto)?;
        let slot = root.slot_of(&context.scope.0);
        let fresh = slot.map(|slot| self.fresh(slot, context)).transpose()?.flatten();
        let Some((application, place)) = fresh else {
            // Who measures how long it takes shall not learn which applications there are.
            self.store.pretend(self.crypto, &root)?;
            return Ok(None);
        };
        self.store.save_application(self.crypto, place.application, &application)?;
        let (handle, tap_key) = self.store.take_entry(self.crypto, place)?;
        // INVARIANT: there are fewer than 2^32 applications.
        let pass = u32::try_from(place.application).unwrap_or(u32::MAX);
        Ok(Some(Shown { handle, tap_key, pass }))
    }

    fn count(&mut self, shown: &Shown, gate: Gate) -> Result<Standing, MemoryFault> {
        let (slot, mut application) = self.of(shown)?;
        let (_, batch) = application.batch_of(gate.context.epoch).ok_or(MemoryFault)?;
        batch.taps = batch.taps.checked_add(1).ok_or(MemoryFault)?;
        let taps = batch.taps;
        application.for_nothing = 0;
        self.store.save_application(self.crypto, slot, &application)?;
        let counted = application.counted;
        Ok(Standing { taps, presence: Presence::None, has_mail: false, counted })
    }
}

impl<M: Memory> Pocket for CardPocket<'_, M> {
    fn show(&mut self, context: Context) -> Result<Option<Shown>, PocketError> {
        self.take(context).map_err(storage)
    }

    fn used(&mut self, shown: &Shown, gate: Gate) -> Result<Standing, PocketError> {
        self.count(shown, gate).map_err(storage)
    }

    fn write(&mut self, shown: &Shown, next: Counted) -> Result<(), PocketError> {
        let (slot, mut application) = self.of(shown).map_err(storage)?;
        if !application.kind.is_counted() {
            return Err(PocketError::Uncounted);
        }
        if application.counted.sequence.checked_add(1) != Some(next.sequence) {
            return Err(PocketError::Sequence);
        }
        application.counted = next;
        self.store.save_application(self.crypto, slot, &application).map_err(storage)
    }
}

const fn storage(_: MemoryFault) -> PocketError {
    PocketError::Storage
}
