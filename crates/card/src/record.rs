//! What the records of a card hold: the card itself, one application, and the pass of one.

use credential::crypto::P256Secret;
use presentation::express::reader::Counted;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::memory::MemoryFault;
use crate::store::PAYLOAD_BYTES;
use crate::{APPLICATIONS_MAX, BATCH_SLOTS, Identifier, KEYS, Kind, Scope};

const FORMAT: u8 = 1;
/// Stands for a batch that was loaded before the pass of now; 1 for another.
const FORMER: u8 = 2;

/// The keys of the card or of an application, each with its version; erased when dropped.
#[derive(Clone, Default, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Keys(pub(crate) [Key; KEYS]);

/// A key and its version; version 0 is that of a card fresh from its maker.
#[derive(Clone, Copy, Default, PartialEq, Eq, Zeroize)]
pub(crate) struct Key {
    pub(crate) bytes: [u8; 16],
    pub(crate) version: u8,
}

impl Keys {
    pub(crate) fn key(&self, number: u8) -> Option<&Key> {
        self.0.get(usize::from(number))
    }

    pub(crate) fn read(bytes: &mut &[u8]) -> Result<Self, MemoryFault> {
        let mut keys = Self::default();
        for key in &mut keys.0 {
            (key.bytes, key.version) = (take(bytes)?, byte(bytes)?);
        }
        Ok(keys)
    }

    fn write(&self, to: &mut Writer) {
        for key in &self.0 {
            to.put(&key.bytes).put(&[key.version]);
        }
    }
}

/// The card itself.
#[derive(Clone)]
pub(crate) struct Root {
    pub(crate) identifier: Identifier,
    pub(crate) keys: Keys,
    /// Authentications in a row that failed with keys of the card.
    pub(crate) failures: u16,
    /// Those for applications that are not here.
    pub(crate) strangers: u16,
    pub(crate) directory: [Option<Scope>; APPLICATIONS_MAX],
}

impl Root {
    pub(crate) fn is_blank(&self) -> bool {
        self.keys.key(0).is_none_or(|key| key.version == 0)
    }

    pub(crate) fn slot_of(&self, scope: &Scope) -> Option<usize> {
        self.directory.iter().position(|held| held.as_ref() == Some(scope))
    }

    pub(crate) fn to_payload(&self) -> Zeroizing<[u8; PAYLOAD_BYTES]> {
        let mut to = Writer::new();
        to.put(&[FORMAT]).put(&self.identifier);
        self.keys.write(&mut to);
        to.put(&self.failures.to_be_bytes()).put(&self.strangers.to_be_bytes());
        for entry in &self.directory {
            to.put(&[u8::from(entry.is_some())]).put(&entry.unwrap_or_default());
        }
        to.payload
    }

    pub(crate) fn from_payload(payload: &[u8; PAYLOAD_BYTES]) -> Result<Self, MemoryFault> {
        let mut bytes = payload.as_slice();
        if byte(&mut bytes)? != FORMAT {
            return Err(MemoryFault);
        }
        let (identifier, keys) = (take(&mut bytes)?, Keys::read(&mut bytes)?);
        let failures = u16::from_be_bytes(take(&mut bytes)?);
        let strangers = u16::from_be_bytes(take(&mut bytes)?);
        let mut directory = [None; APPLICATIONS_MAX];
        for entry in &mut directory {
            let (is_held, scope) = (byte(&mut bytes)? == 1, take(&mut bytes)?);
            *entry = is_held.then_some(scope);
        }
        Ok(Self { identifier, keys, failures, strangers, directory })
    }
}

/// One application: all that a tap changes stands here, so that one write changes it.
#[derive(Clone)]
pub(crate) struct Application {
    pub(crate) scope: Scope,
    pub(crate) kind: Kind,
    pub(crate) keys: Keys,
    /// Authentications in a row that failed.
    pub(crate) failures: u16,
    /// Handles in a row that were shown for nothing.
    pub(crate) for_nothing: u8,
    pub(crate) counted: Counted,
    pub(crate) batches: [Option<Batch>; BATCH_SLOTS],
}

/// The handles of one epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) epoch: u32,
    pub(crate) count: u16,
    /// How many were shown: the number of the next.
    pub(crate) shown: u16,
    /// Taps in this epoch.
    pub(crate) taps: u32,
    /// Tells this batch from others of its epoch.
    pub(crate) digest: [u8; 8],
    /// Whether it was loaded before the pass of now: its taps are those of another device key, and of
    /// another index, it may be.
    pub(crate) is_of_former: bool,
}

impl Application {
    pub(crate) fn new(scope: Scope, kind: Kind, keys: Keys) -> Self {
        let (counted, batches) = (Counted::default(), [None; BATCH_SLOTS]);
        Self { scope, kind, keys, failures: 0, for_nothing: 0, counted, batches }
    }

    /// The batch of `epoch`, and where its handles lie.
    pub(crate) fn batch_of(&mut self, epoch: u32) -> Option<(usize, &mut Batch)> {
        let batches = self.batches.iter_mut().enumerate();
        batches
            .filter_map(|(slot, it)| it.as_mut().map(|it| (slot, it)))
            .find(|it| it.1.epoch == epoch)
    }

    pub(crate) fn to_payload(&self) -> Zeroizing<[u8; PAYLOAD_BYTES]> {
        let mut to = Writer::new();
        to.put(&[FORMAT]).put(&self.scope).put(&[self.kind.byte()]);
        self.keys.write(&mut to);
        to.put(&self.failures.to_be_bytes()).put(&[self.for_nothing]);
        to.put(&counted_bytes(self.counted));
        for batch in &self.batches {
            let Batch { epoch, count, shown, taps, digest, is_of_former } =
                batch.unwrap_or_default();
            let state = if is_of_former { FORMER } else { u8::from(batch.is_some()) };
            to.put(&[state]).put(&epoch.to_be_bytes());
            to.put(&count.to_be_bytes()).put(&shown.to_be_bytes()).put(&taps.to_be_bytes());
            to.put(&digest);
        }
        to.payload
    }

    pub(crate) fn from_payload(payload: &[u8; PAYLOAD_BYTES]) -> Result<Self, MemoryFault> {
        let mut bytes = payload.as_slice();
        if byte(&mut bytes)? != FORMAT {
            return Err(MemoryFault);
        }
        let scope = take(&mut bytes)?;
        let kind = Kind::from_byte(byte(&mut bytes)?).ok_or(MemoryFault)?;
        let keys = Keys::read(&mut bytes)?;
        let failures = u16::from_be_bytes(take(&mut bytes)?);
        let for_nothing = byte(&mut bytes)?;
        let counted = read_counted(&take(&mut bytes)?);
        let mut batches = [None; BATCH_SLOTS];
        for batch in &mut batches {
            let state = byte(&mut bytes)?;
            let held = Batch {
                epoch: u32::from_be_bytes(take(&mut bytes)?),
                count: u16::from_be_bytes(take(&mut bytes)?),
                shown: u16::from_be_bytes(take(&mut bytes)?),
                taps: u32::from_be_bytes(take(&mut bytes)?),
                digest: take(&mut bytes)?,
                is_of_former: state == FORMER,
            };
            *batch = matches!(state, 1 | FORMER).then_some(held);
        }
        Ok(Self { scope, kind, keys, failures, for_nothing, counted, batches })
    }
}

/// The pass of an application, beside its bytes: what must change with them at once, and what taps change.
#[derive(Clone)]
pub(crate) struct PassRecord {
    /// Where its bytes lie, how many they are, and their check sum.
    pub(crate) area: u8,
    pub(crate) length: u16,
    pub(crate) digest: [u8; 8],
    /// What the time is not before, in Unix seconds.
    pub(crate) floor: i64,
    /// Its place behind others, once a door stayed closed for it; zero once one opened.
    pub(crate) refused: u8,
    /// The device key of the access document.
    pub(crate) access_key: P256Secret,
    /// The device key of the mdoc, by which handles are asked for.
    pub(crate) handle_key: P256Secret,
}

impl PassRecord {
    pub(crate) fn to_payload(&self) -> Zeroizing<[u8; PAYLOAD_BYTES]> {
        let mut to = Writer::new();
        to.put(&[FORMAT, self.area]).put(&self.length.to_be_bytes()).put(&self.digest);
        to.put(&self.floor.to_be_bytes()).put(&[self.refused]);
        to.put(self.access_key.danger_bytes()).put(self.handle_key.danger_bytes());
        to.payload
    }

    pub(crate) fn from_payload(payload: &[u8; PAYLOAD_BYTES]) -> Result<Self, MemoryFault> {
        let mut bytes = payload.as_slice();
        if byte(&mut bytes)? != FORMAT {
            return Err(MemoryFault);
        }
        Ok(Self {
            area: byte(&mut bytes)?,
            length: u16::from_be_bytes(take(&mut bytes)?),
            digest: take(&mut bytes)?,
            floor: i64::from_be_bytes(take(&mut bytes)?),
            refused: byte(&mut bytes)?,
            access_key: P256Secret::from_bytes(take(&mut bytes)?),
            handle_key: P256Secret::from_bytes(take(&mut bytes)?),
        })
    }
}

/// Bytes of a counted state.
pub(crate) const COUNTED_BYTES: usize = 12;

/// Sequence, value, mark.
pub(crate) fn counted_bytes(counted: Counted) -> [u8; COUNTED_BYTES] {
    let ([a, b, c, d], [e, f, g, h]) =
        (counted.sequence.to_be_bytes(), counted.value.to_be_bytes());
    let [i, j, k, l] = counted.mark;
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

pub(crate) const fn read_counted(bytes: &[u8; COUNTED_BYTES]) -> Counted {
    let [a, b, c, d, e, f, g, h, mark @ ..] = *bytes;
    let (sequence, value) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    Counted { sequence, value, mark }
}

fn byte(bytes: &mut &[u8]) -> Result<u8, MemoryFault> {
    take::<1>(bytes).map(|[byte]| byte)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], MemoryFault> {
    let (taken, rest) = bytes.split_first_chunk::<N>().ok_or(MemoryFault)?;
    *bytes = rest;
    Ok(*taken)
}

struct Writer {
    payload: Zeroizing<[u8; PAYLOAD_BYTES]>,
    length: usize,
}

impl Writer {
    fn new() -> Self {
        Self { payload: Zeroizing::new([0; PAYLOAD_BYTES]), length: 0 }
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        // INVARIANT: both kinds of record fit, which the tests below check.
        debug_assert!(self.length + bytes.len() <= PAYLOAD_BYTES);
        let to = self.payload.iter_mut().skip(self.length);
        to.zip(bytes).for_each(|(to, from)| *to = *from);
        self.length += bytes.len();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(seed: u8) -> Keys {
        Keys([0, 1, 2].map(|number| Key { bytes: [seed + number; 16], version: number + 1 }))
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let mut root = Root {
            identifier: [7; 7],
            keys: keys(1),
            failures: 2,
            strangers: 999,
            directory: [Some([9; 8]); APPLICATIONS_MAX],
        };
        root.directory[3] = None;
        let payload = root.to_payload();
        let again = Root::from_payload(&payload).unwrap();
        assert_eq!(again.to_payload(), payload);
        assert_eq!((again.slot_of(&[9; 8]), again.slot_of(&[0; 8])), (Some(0), None));
        for kind in Kind::ALL {
            let mut application = Application::new([8; 8], kind, keys(40));
            application.counted = Counted { sequence: 1, value: u32::MAX, mark: [3; 4] };
            let batch = Batch {
                epoch: 20_000,
                count: 64,
                shown: 3,
                taps: u32::MAX,
                digest: [5; 8],
                is_of_former: true,
            };
            application.batches = [Some(batch); BATCH_SLOTS];
            application.batches[1] = None;
            let payload = application.to_payload();
            assert_eq!(Application::from_payload(&payload).unwrap().to_payload(), payload);
        }
        let [access_key, handle_key] = [1, 2].map(|byte| P256Secret::from_bytes([byte; 32]));
        let (area, length, digest, floor, refused) = (1, 6_144, [9; 8], i64::MAX, 255);
        let pass = PassRecord { area, length, digest, floor, refused, access_key, handle_key };
        let payload = pass.to_payload();
        assert_eq!(PassRecord::from_payload(&payload).unwrap().to_payload(), payload);
        assert!(PassRecord::from_payload(&[0; PAYLOAD_BYTES]).is_err());
        assert!(Root::from_payload(&[0; PAYLOAD_BYTES]).is_err());
        assert!(Application::from_payload(&[0; PAYLOAD_BYTES]).is_err());
    }
}
