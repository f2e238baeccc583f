//! Records that are the old or the new ones, whenever the card loses its power.
//!
//! A record has two slots. Each holds a generation, the payload and a check sum over both; the slot with
//! the greater generation among those that are whole counts. A new record goes into the other slot, so
//! that a write which tears leaves the old one. Handles and passes lie beside the records: they are written
//! first, and count once a record says so.

use alloc::vec::Vec;

use credential::crypto::Crypto;
use presentation::express::handle::{HANDLE_BYTES, HANDLES_MAX, Handle, TapKey};
use zeroize::Zeroizing;

use crate::memory::{Memory, MemoryFault, PAGE_BYTES};
use crate::record::{Application, PassRecord, Root};
use crate::{APPLICATIONS_MAX, BATCH_SLOTS, PASS_BYTES_MAX};

const RECORD_PAGES: usize = 5;
const RECORD_BYTES: usize = RECORD_PAGES * PAGE_BYTES;
const SUM_BYTES: usize = 8;
/// Bytes of a payload.
pub(crate) const PAYLOAD_BYTES: usize = RECORD_BYTES - 4 - SUM_BYTES;
/// Bytes of a handle and its tap key, as they travel and lie.
pub(crate) const ENTRY_BYTES: usize = HANDLE_BYTES + 32;
const ENTRY_PAGES: usize = 3;
const BATCH_PAGES: usize = HANDLES_MAX as usize * ENTRY_PAGES;
const SCRATCH: usize = 2 * RECORD_PAGES * (1 + APPLICATIONS_MAX);
const ENTRIES: usize = SCRATCH + ENTRY_PAGES;
const PASS_RECORDS: usize = ENTRIES + APPLICATIONS_MAX * BATCH_SLOTS * BATCH_PAGES;
const PASSES: usize = PASS_RECORDS + 2 * RECORD_PAGES * APPLICATIONS_MAX;
const PASS_PAGES: usize = PASS_BYTES_MAX / PAGE_BYTES;
/// A pass is written beside the one that counts.
const PASS_AREAS: usize = 2;
/// Pages of a card.
pub(crate) const PAGES: usize = PASSES + APPLICATIONS_MAX * PASS_AREAS * PASS_PAGES;

/// Whose record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The card's.
    Root,
    /// That of the application in this slot of the directory.
    Application(usize),
    /// That of the pass of this application.
    Pass(usize),
}

impl Place {
    const fn number(self) -> usize {
        match self {
            Self::Root => 0,
            Self::Application(slot) => slot + 1,
            Self::Pass(slot) => slot + 1 + APPLICATIONS_MAX,
        }
    }

    /// Part of the check sum, so that no record passes for another.
    fn name(self) -> [u8; 4] {
        name(self.number())
    }

    const fn page(self, slot: usize) -> usize {
        match self {
            Self::Pass(pass) => PASS_RECORDS + (2 * pass + slot) * RECORD_PAGES,
            _ => (2 * self.number() + slot) * RECORD_PAGES,
        }
    }
}

/// Where a handle lies: application, batch, number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryPlace {
    pub(crate) application: usize,
    pub(crate) batch: usize,
    pub(crate) number: u16,
}

impl EntryPlace {
    fn page(self) -> usize {
        let batch = self.application * BATCH_SLOTS + self.batch;
        ENTRIES + batch * BATCH_PAGES + usize::from(self.number) * ENTRY_PAGES
    }
}

type Payload = Zeroizing<[u8; PAYLOAD_BYTES]>;

/// The records of a card in its memory.
pub(crate) struct Store<M>(pub(crate) M);

impl<M: Memory> Store<M> {
    pub(crate) fn root(&self, crypto: &dyn Crypto) -> Result<Root, MemoryFault> {
        let (_, payload) = self.newest(crypto, Place::Root)?.1.ok_or(MemoryFault)?;
        Root::from_payload(&payload)
    }

    pub(crate) fn application(
        &self,
        crypto: &dyn Crypto,
        slot: usize,
    ) -> Result<Application, MemoryFault> {
        let (_, payload) = self.newest(crypto, Place::Application(slot))?.1.ok_or(MemoryFault)?;
        Application::from_payload(&payload)
    }

    pub(crate) fn save_root(
        &mut self,
        crypto: &dyn Crypto,
        root: &Root,
    ) -> Result<(), MemoryFault> {
        self.save(crypto, Place::Root, &root.to_payload())
    }

    pub(crate) fn save_application(
        &mut self,
        crypto: &dyn Crypto,
        slot: usize,
        application: &Application,
    ) -> Result<(), MemoryFault> {
        self.save(crypto, Place::Application(slot), &application.to_payload())
    }

    /// What the pass of an application has beside its bytes, where there is one.
    pub(crate) fn pass_record(
        &self,
        crypto: &dyn Crypto,
        slot: usize,
    ) -> Result<Option<PassRecord>, MemoryFault> {
        let newest = self.newest(crypto, Place::Pass(slot))?.1;
        newest.map(|(_, payload)| PassRecord::from_payload(&payload)).transpose()
    }

    pub(crate) fn save_pass_record(
        &mut self,
        crypto: &dyn Crypto,
        slot: usize,
        record: &PassRecord,
    ) -> Result<(), MemoryFault> {
        self.save(crypto, Place::Pass(slot), &record.to_payload())
    }

    /// The bytes of a pass.
    pub(crate) fn pass(
        &self,
        crypto: &dyn Crypto,
        slot: usize,
        record: &PassRecord,
    ) -> Result<Vec<u8>, MemoryFault> {
        let first = pass_page(slot, record.area)?;
        let mut bytes = Vec::with_capacity(PASS_BYTES_MAX);
        for page in first..first + usize::from(record.length).div_ceil(PAGE_BYTES).min(PASS_PAGES) {
            bytes.extend_from_slice(&self.0.read(page)?);
        }
        bytes.truncate(record.length.into());
        if pass_digest(crypto, slot, &bytes) == record.digest {
            Ok(bytes)
        } else {
            Err(MemoryFault)
        }
    }

    /// Writes the bytes of a pass where none counts that `held` speaks of, and gives the area, length and
    /// digest by which a record will speak of them.
    pub(crate) fn put_pass(
        &mut self,
        crypto: &dyn Crypto,
        slot: usize,
        held: Option<&PassRecord>,
        bytes: &[u8],
    ) -> Result<(u8, u16, [u8; 8]), MemoryFault> {
        let area = held.map_or(0, |held| 1 - held.area.min(1));
        let first = pass_page(slot, area)?;
        let length = u16::try_from(bytes.len()).map_err(|_| MemoryFault)?;
        if bytes.len() > PASS_BYTES_MAX {
            return Err(MemoryFault);
        }
        for (number, chunk) in bytes.chunks(PAGE_BYTES).enumerate() {
            let mut page = [0; PAGE_BYTES];
            page.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.0.write(first + number, &page)?;
        }
        Ok((area, length, pass_digest(crypto, slot, bytes)))
    }

    /// Does what showing a handle does to the memory, and changes nothing.
    pub(crate) fn pretend(&mut self, crypto: &dyn Crypto, root: &Root) -> Result<(), MemoryFault> {
        self.save_root(crypto, root)?;
        self.zero(SCRATCH, ENTRY_PAGES)
    }

    /// Writes a handle. It is durable once a record is.
    pub(crate) fn put_entry(
        &mut self,
        crypto: &dyn Crypto,
        place: EntryPlace,
        entry: &[u8; ENTRY_BYTES],
    ) -> Result<(), MemoryFault> {
        let sum = entry_sum(crypto, place, entry);
        let mut bytes = Zeroizing::new([0; ENTRY_PAGES * PAGE_BYTES]);
        bytes.iter_mut().zip(entry.iter().chain(&sum)).for_each(|(to, from)| *to = *from);
        self.write(place.page(), bytes.as_slice())
    }

    /// Reads a handle and erases it.
    pub(crate) fn take_entry(
        &mut self,
        crypto: &dyn Crypto,
        place: EntryPlace,
    ) -> Result<(Handle, TapKey), MemoryFault> {
        let bytes = self.read::<{ ENTRY_PAGES * PAGE_BYTES }>(place.page())?;
        let (entry, sum) = bytes.split_first_chunk::<ENTRY_BYTES>().ok_or(MemoryFault)?;
        if entry_sum(crypto, place, entry) != sum {
            return Err(MemoryFault);
        }
        let (handle, key) = entry.split_first_chunk::<HANDLE_BYTES>().ok_or(MemoryFault)?;
        let key = key.try_into().map(TapKey::from_bytes).map_err(|_| MemoryFault)?;
        self.zero(place.page(), ENTRY_PAGES)?;
        Ok((Handle(*handle), key))
    }

    /// Erases the record, the handles and the pass of a slot that the directory gives to nobody.
    pub(crate) fn erase(&mut self, application: usize) -> Result<(), MemoryFault> {
        self.zero(Place::Application(application).page(0), 2 * RECORD_PAGES)?;
        (0..BATCH_SLOTS).try_for_each(|batch| self.erase_batch(application, batch))?;
        self.zero(Place::Pass(application).page(0), 2 * RECORD_PAGES)?;
        self.zero(PASSES + application * PASS_AREAS * PASS_PAGES, PASS_AREAS * PASS_PAGES)?;
        self.0.settle()
    }

    /// Erases the handles of a batch that counts no more.
    pub(crate) fn erase_batch(
        &mut self,
        application: usize,
        batch: usize,
    ) -> Result<(), MemoryFault> {
        let first = EntryPlace { application, batch, number: 0 }.page();
        self.zero(first, BATCH_PAGES)
    }

    /// Settles what stands before it, too.
    fn save(
        &mut self,
        crypto: &dyn Crypto,
        place: Place,
        payload: &[u8; PAYLOAD_BYTES],
    ) -> Result<(), MemoryFault> {
        // A record must not count before the handles that it speaks of are durable.
        self.0.settle()?;
        let (slot, generation) = match self.newest(crypto, place)? {
            (slot, Some((generation, _))) => {
                (1 - slot, generation.checked_add(1).ok_or(MemoryFault)?)
            }
            (_, None) => (0, 1),
        };
        let generation = generation.to_be_bytes();
        let sum = sum(crypto, place, &generation, payload);
        let mut record = Zeroizing::new([0; RECORD_BYTES]);
        let bytes = generation.iter().chain(payload).chain(&sum);
        record.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.write(place.page(slot), record.as_slice())?;
        self.0.settle()
    }

    /// The slot that counts, and what it holds, if any is whole.
    fn newest(
        &self,
        crypto: &dyn Crypto,
        place: Place,
    ) -> Result<(usize, Option<(u32, Payload)>), MemoryFault> {
        let (first, second) = (self.slot(crypto, place, 0)?, self.slot(crypto, place, 1)?);
        Ok(match (&first, &second) {
            (Some((one, _)), Some((other, _))) if other > one => (1, second),
            (None, Some(_)) => (1, second),
            _ => (0, first),
        })
    }

    fn slot(
        &self,
        crypto: &dyn Crypto,
        place: Place,
        slot: usize,
    ) -> Result<Option<(u32, Payload)>, MemoryFault> {
        let record = self.read::<RECORD_BYTES>(place.page(slot))?;
        let (generation, rest) = record.split_first_chunk::<4>().ok_or(MemoryFault)?;
        let (payload, written) = rest.split_first_chunk().ok_or(MemoryFault)?;
        let is_whole = sum(crypto, place, generation, payload) == written;
        let payload = Zeroizing::new(*payload);
        Ok(is_whole.then(|| (u32::from_be_bytes(*generation), payload)))
    }

    fn read<const N: usize>(&self, page: usize) -> Result<Zeroizing<[u8; N]>, MemoryFault> {
        let mut bytes = Zeroizing::new([0; N]);
        for (number, to) in bytes.chunks_exact_mut(PAGE_BYTES).enumerate() {
            to.copy_from_slice(&self.0.read(page + number)?);
        }
        Ok(bytes)
    }

    fn write(&mut self, page: usize, bytes: &[u8]) -> Result<(), MemoryFault> {
        let pages = bytes.as_chunks::<PAGE_BYTES>().0;
        pages.iter().enumerate().try_for_each(|(number, bytes)| self.0.write(page + number, bytes))
    }

    fn zero(&mut self, page: usize, pages: usize) -> Result<(), MemoryFault> {
        (page..page + pages).try_for_each(|page| self.0.write(page, &[0; PAGE_BYTES]))
    }
}

fn pass_page(slot: usize, area: u8) -> Result<usize, MemoryFault> {
    let area = usize::from(area);
    if area >= PASS_AREAS {
        return Err(MemoryFault);
    }
    Ok(PASSES + (slot * PASS_AREAS + area) * PASS_PAGES)
}

fn pass_digest(crypto: &dyn Crypto, slot: usize, bytes: &[u8]) -> [u8; SUM_BYTES] {
    leftmost(crypto, &[b"limen card pass 1", &name(slot), bytes])
}

fn sum(
    crypto: &dyn Crypto,
    place: Place,
    generation: &[u8; 4],
    payload: &[u8; PAYLOAD_BYTES],
) -> [u8; SUM_BYTES] {
    leftmost(crypto, &[b"limen card record 1", &place.name(), generation, payload])
}

fn entry_sum(crypto: &dyn Crypto, place: EntryPlace, entry: &[u8; ENTRY_BYTES]) -> [u8; 4] {
    leftmost(crypto, &[b"limen card handle 1", &name(place.page()), entry])
}

/// A number of a record or a page; all are below [`PAGES`].
fn name(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

fn leftmost<const N: usize>(crypto: &dyn Crypto, parts: &[&[u8]]) -> [u8; N] {
    let digest = crypto.sha256(&Zeroizing::new(parts.concat()));
    // INVARIANT: N is at most 8, and a digest has 32 bytes.
    digest.first_chunk::<N>().copied().unwrap_or([0; N])
}
