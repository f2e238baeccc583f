//! The files of an application: counted state, inbox for handles, standing.

use alloc::vec::Vec;

use presentation::express::handle::HANDLES_MAX;
use zeroize::Zeroizing;

use super::{
    COMMIT, COUNTED_FILE, Hands, INBOX_FILE, Management, READ_DATA, STANDING_FILE, Standing,
    exactly,
};
use crate::BATCHES_MAX;
use crate::memory::Memory;
use crate::record::{Application, Batch, COUNTED_BYTES, counted_bytes, read_counted};
use crate::status::{Status, StatusError};
use crate::store::{ENTRY_BYTES, EntryPlace};

/// Epoch and number of handles, before the handles.
const BATCH_HEADER_BYTES: usize = 6;
/// Bytes of the longest batch.
const INBOX_BYTES_MAX: usize = BATCH_HEADER_BYTES + HANDLES_MAX as usize * ENTRY_BYTES;

impl Management {
    pub(super) fn file<M: Memory>(
        &mut self,
        hands: &mut Hands<'_, M>,
        slot: usize,
        instruction: u8,
        header: &[u8],
        body: &[u8],
    ) -> Result<Vec<u8>, StatusError> {
        let mut application = hands.store.application(hands.crypto, slot)?;
        if instruction == COMMIT {
            let inbox = core::mem::take(&mut self.inbox);
            load(hands, slot, &mut application, &inbox)?;
            return Ok(Vec::new());
        }
        let [file, a, b, c, d, e, f] = exactly(header)?;
        let number = |low, middle, high| {
            usize::try_from(u32::from_le_bytes([low, middle, high, 0]))
                .map_err(|_| Status::Boundary)
        };
        let (offset, length) = (number(a, b, c)?, number(d, e, f)?);
        if instruction == READ_DATA {
            return read(&application, file, offset, length);
        }
        if length != body.len() {
            return Err(Status::Length.into());
        }
        match file {
            COUNTED_FILE if application.kind.is_counted() => {
                let next = read_counted(&exactly::<COUNTED_BYTES>(body)?);
                if offset != 0 {
                    return Err(Status::Boundary.into());
                }
                if application.counted.sequence.checked_add(1) != Some(next.sequence) {
                    return Err(Status::Parameter.into());
                }
                application.counted = next;
                hands.store.save_application(hands.crypto, slot, &application)?;
            }
            INBOX_FILE => self.put(offset, body)?,
            _ => return Err(Status::File.into()),
        }
        Ok(Vec::new())
    }

    /// A batch is written from its beginning on, without gaps. What was begun anew was broken off.
    fn put(&mut self, offset: usize, body: &[u8]) -> Result<(), StatusError> {
        if offset == 0 {
            self.inbox = Zeroizing::new(Vec::with_capacity(INBOX_BYTES_MAX));
        }
        if offset != self.inbox.len() || offset + body.len() > INBOX_BYTES_MAX {
            return Err(Status::Boundary.into());
        }
        self.inbox.extend_from_slice(body);
        Ok(())
    }
}

fn read(
    application: &Application,
    file: u8,
    offset: usize,
    length: usize,
) -> Result<Vec<u8>, StatusError> {
    let content = match file {
        COUNTED_FILE if application.kind.is_counted() => {
            counted_bytes(application.counted).to_vec()
        }
        STANDING_FILE => standing_bytes(application),
        _ => return Err(Status::File.into()),
    };
    let rest = content.get(offset..).ok_or(Status::Boundary)?;
    // A length of 0 asks for all that is left.
    let length = if length == 0 { rest.len() } else { length };
    Ok(rest.get(..length).ok_or(Status::Boundary)?.to_vec())
}

/// Kind, handles shown for nothing, then 12 bytes for each batch.
fn standing_bytes(application: &Application) -> Vec<u8> {
    let Standing { kind, for_nothing, batches, .. } = Standing::of(application);
    let mut bytes = alloc::vec![kind.byte(), for_nothing];
    for (epoch, count, shown, taps) in batches {
        bytes.extend(epoch.to_be_bytes().iter().chain(&count.to_be_bytes()));
        bytes.extend(shown.to_be_bytes().iter().chain(&taps.to_be_bytes()));
    }
    bytes
}

/// Puts the batch in the inbox into the pocket. One of an epoch that is there takes its place and goes
/// on with its taps; else, where there is no room, it takes the place of the one of the oldest epoch,
/// unless it is older itself. The same batch once more changes nothing, so that a reader which did not
/// hear that it was taken may say so again, and no handle is shown twice.
fn load<M: Memory>(
    hands: &mut Hands<'_, M>,
    slot: usize,
    application: &mut Application,
    inbox: &[u8],
) -> Result<(), StatusError> {
    let (epoch, rest) = inbox.split_first_chunk::<4>().ok_or(Status::Length)?;
    let (count, handles) = rest.split_first_chunk::<2>().ok_or(Status::Length)?;
    let (epoch, count) = (u32::from_be_bytes(*epoch), u16::from_be_bytes(*count));
    let (entries, []) = handles.as_chunks::<ENTRY_BYTES>() else {
        return Err(Status::Length.into());
    };
    if count == 0 || count > HANDLES_MAX || entries.len() != usize::from(count) {
        return Err(Status::Length.into());
    }
    let digest = hands.crypto.sha256(inbox).first_chunk().copied().unwrap_or_default();
    let held = application.batch_of(epoch).map(|(_, batch)| *batch).unwrap_or_default();
    if held.count > 0 && held.digest == digest {
        return Ok(());
    }
    let replaced = replaced(application, epoch)?;
    let free = application.batches.iter().position(Option::is_none).ok_or(Status::Full)?;
    for (number, entry) in (0..count).zip(entries) {
        let place = EntryPlace { application: slot, batch: free, number };
        hands.store.put_entry(hands.crypto, place, entry)?;
    }
    for (batch, entry) in application.batches.iter_mut().enumerate() {
        if Some(batch) == replaced {
            *entry = None;
        } else if batch == free {
            *entry = Some(Batch { epoch, count, shown: 0, taps: held.taps, digest });
        }
    }
    hands.store.save_application(hands.crypto, slot, application)?;
    Ok(replaced.map_or(Ok(()), |batch| hands.store.erase_batch(slot, batch))?)
}

/// Which batch makes room for one of `epoch`.
fn replaced(application: &mut Application, epoch: u32) -> Result<Option<usize>, StatusError> {
    if let Some((slot, _)) = application.batch_of(epoch) {
        return Ok(Some(slot));
    }
    let held = application.batches.iter().enumerate();
    let held = held.filter_map(|(slot, batch)| batch.map(|batch| (batch.epoch, slot)));
    if held.clone().count() < BATCHES_MAX {
        return Ok(None);
    }
    match held.min() {
        Some((oldest, slot)) if oldest < epoch => Ok(Some(slot)),
        _ => Err(Status::Parameter.into()),
    }
}
