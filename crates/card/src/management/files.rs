//! The files of an application: counted state, inbox for handles, standing, pass, message.

use alloc::vec::Vec;

use presentation::express::ScopeId;
use presentation::express::handle::HANDLES_MAX;
use presentation::express::issuing::{ANSWER_BYTES_MAX, Answer};
use zeroize::Zeroizing;

use super::{
    COMMIT, COUNTED_FILE, Hands, INBOX_FILE, MESSAGE_FILE, Management, PASS_FILE, READ_DATA,
    STANDING_FILE, Standing, exactly,
};
use crate::memory::Memory;
use crate::pass::Pass;
use crate::record::{Application, Batch, COUNTED_BYTES, PassRecord, counted_bytes, read_counted};
use crate::status::{Status, StatusError};
use crate::store::{ENTRY_BYTES, EntryPlace};
use crate::{BATCHES_MAX, PASS_BYTES_MAX};

/// Bytes that are written before they are taken.
const INBOX_BYTES_MAX: usize = ANSWER_BYTES_MAX;
/// Bytes that one answer reads: with padding and MAC they fit a short APDU.
const READ_BYTES_MAX: usize = 224;

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
            match self.inbox.0 {
                PASS_FILE => self.keep_pass(hands, slot, &mut application)?,
                _ => self.load(hands, slot, &mut application)?,
            }
            return Ok(Vec::new());
        }
        let [file, a, b, c, d, e, f] = exactly(header)?;
        let number = |low, middle, high| {
            usize::try_from(u32::from_le_bytes([low, middle, high, 0]))
                .map_err(|_| Status::Boundary)
        };
        let (offset, length) = (number(a, b, c)?, number(d, e, f)?);
        if instruction == READ_DATA {
            return read(hands, slot, &application, file, offset, length);
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
            INBOX_FILE | PASS_FILE | MESSAGE_FILE => self.put(file, offset, body)?,
            _ => return Err(Status::File.into()),
        }
        Ok(Vec::new())
    }

    /// What is written is written from its beginning on, without gaps. What was begun anew was broken off.
    fn put(&mut self, file: u8, offset: usize, body: &[u8]) -> Result<(), StatusError> {
        if offset == 0 {
            self.inbox = (file, Zeroizing::new(Vec::with_capacity(INBOX_BYTES_MAX)));
        }
        let (of, bytes) = &mut self.inbox;
        if *of != file || offset != bytes.len() || offset + body.len() > INBOX_BYTES_MAX {
            return Err(Status::Boundary.into());
        }
        bytes.extend_from_slice(body);
        Ok(())
    }

    /// What was written into `file`.
    pub(super) fn take_inbox(&mut self, file: u8) -> Result<Zeroizing<Vec<u8>>, StatusError> {
        let (of, bytes) = core::mem::take(&mut self.inbox);
        if of == file { Ok(bytes) } else { Err(Status::Length.into()) }
    }

    /// Opens the batch that was sealed for the key of this session, which is used up, and puts it into the
    /// pocket.
    fn load<M: Memory>(
        &mut self,
        hands: &mut Hands<'_, M>,
        slot: usize,
        application: &mut Application,
    ) -> Result<(), StatusError> {
        let sealed = self.take_inbox(INBOX_FILE)?;
        let secret = self.agreement.take().ok_or(Status::Key)?;
        let agreement = hands.crypto.p256_agreement(&secret).map_err(|_| Status::Aborted)?;
        let point = agreement.public();
        let answer = Answer::parse(&sealed).map_err(|_| Status::Length)?;
        let agreed = agreement.agree(&answer.ephemeral).map_err(|_| Status::Integrity)?;
        let batch = answer.open(hands.crypto, &agreed, &point).map_err(|_| Status::Integrity)?;
        let scope = ScopeId::new(hands.crypto, &batch.scope.operator, batch.scope.zone.as_ref());
        let epoch = u32::try_from(batch.epoch).map_err(|_| Status::Parameter)?;
        if scope.0 != application.scope {
            return Err(Status::Application.into());
        }
        let mut entries = Zeroizing::new(Vec::with_capacity(batch.handles.len() * ENTRY_BYTES));
        for (handle, key) in &batch.handles {
            entries.extend_from_slice(&handle.0);
            entries.extend_from_slice(key.danger_bytes());
        }
        take(hands, slot, application, (epoch, entries.as_chunks().0))
    }

    /// Keeps the pass that was written, with the keys that were drawn for it. Its operator vouches for
    /// it; the card sees that it is for its keys, and that nobody needs to be asked. Handles of the pass
    /// before stay good for what they are.
    fn keep_pass<M: Memory>(
        &mut self,
        hands: &mut Hands<'_, M>,
        slot: usize,
        application: &mut Application,
    ) -> Result<(), StatusError> {
        let bytes = self.take_inbox(PASS_FILE)?;
        if bytes.len() > PASS_BYTES_MAX {
            return Err(Status::Boundary.into());
        }
        let pass = Pass::parse(&bytes)?;
        let access_key = self.drawn(pass.access_number)?.clone();
        let handle_key = self.drawn(pass.handle_number)?.clone();
        let own = hands.crypto.p256_public(&access_key).map_err(|_| Status::Aborted)?;
        if pass.device_key() != Some(own) {
            return Err(Status::Parameter.into());
        }
        if pass.needs_holder() {
            return Err(Status::Permission.into());
        }
        let held = hands.store.pass_record(hands.crypto, slot)?;
        let put = hands.store.put_pass(hands.crypto, slot, held.as_ref(), &bytes)?;
        let ((area, length, digest), floor) = (put, pass.floor);
        let record = PassRecord { area, length, digest, floor, refused: 0, access_key, handle_key };
        hands.store.save_pass_record(hands.crypto, slot, &record)?;
        let mut batches = application.batches.iter_mut().flatten().peekable();
        if batches.peek().is_none() {
            return Ok(());
        }
        batches.for_each(|batch| batch.is_of_former = true);
        Ok(hands.store.save_application(hands.crypto, slot, application)?)
    }
}

fn read<M: Memory>(
    hands: &Hands<'_, M>,
    slot: usize,
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
        PASS_FILE => {
            let record = hands.store.pass_record(hands.crypto, slot)?.ok_or(Status::File)?;
            hands.store.pass(hands.crypto, slot, &record)?
        }
        _ => return Err(Status::File.into()),
    };
    let rest = content.get(offset..).ok_or(Status::Boundary)?;
    // A length of 0 asks for what is left, as much as an answer holds.
    let length = if length == 0 { rest.len().min(READ_BYTES_MAX) } else { length };
    if length > READ_BYTES_MAX {
        return Err(Status::Boundary.into());
    }
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

/// Takes a batch into the pocket. One of an epoch that is there takes its place and, for the same pass,
/// goes on with its taps; else, where there is no room, it takes the place of the one of the oldest epoch,
/// unless it is older itself. The same batch once more changes nothing, so that a reader which did not
/// hear that it was taken may say so again, and no handle is shown twice.
fn take<M: Memory>(
    hands: &mut Hands<'_, M>,
    slot: usize,
    application: &mut Application,
    (epoch, entries): (u32, &[[u8; ENTRY_BYTES]]),
) -> Result<(), StatusError> {
    let count = u16::try_from(entries.len()).map_err(|_| Status::Length)?;
    if count == 0 || count > HANDLES_MAX {
        return Err(Status::Length.into());
    }
    let whole = Zeroizing::new([&epoch.to_be_bytes(), entries.as_flattened()].concat());
    let digest = hands.crypto.sha256(&whole).first_chunk().copied().unwrap_or_default();
    let held = application.batch_of(epoch).map(|(_, batch)| *batch).unwrap_or_default();
    if held.count > 0 && held.digest == digest {
        return Ok(());
    }
    // With the key of a new pass the taps are counted anew, as on another card.
    let taps = if held.is_of_former { 0 } else { held.taps };
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
            let (shown, is_of_former) = (0, false);
            *entry = Some(Batch { epoch, count, shown, taps, digest, is_of_former });
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
