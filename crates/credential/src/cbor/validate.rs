//! One pass over the input that finds it well formed and within limits, before anything is read.

use alloc::vec::Vec;

use super::decode::Head;
use super::{CborError, Fault, Lengths};

/// How deep items may nest; the outermost is at depth 1.
pub const DEPTH_MAX: usize = 16;
/// How many items one input may hold, containers and tags counted.
pub const ITEMS_MAX: usize = 65_536;
/// Up to so many keys of a map are compared one by one, without a heap.
const KEYS_INLINE: usize = 24;

/// Checks that `bytes` are exactly one item.
pub(super) fn validate(bytes: &[u8], lengths: Lengths) -> Result<(), CborError> {
    let mut pass = Pass { bytes, position: 0, items: 0, lengths };
    pass.item(1)?;
    if pass.position == bytes.len() { Ok(()) } else { Err(pass.fault(Fault::Trailing)) }
}

struct Pass<'a> {
    bytes: &'a [u8],
    position: usize,
    items: usize,
    lengths: Lengths,
}

/// A map key, compared by meaning so that a longer header does not hide a duplicate.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    major: u8,
    argument: u64,
    content: &'a [u8],
}

impl<'a> Pass<'a> {
    fn fault(&self, fault: Fault) -> CborError {
        CborError { fault, offset: self.position }
    }

    fn item(&mut self, depth: usize) -> Result<Head, CborError> {
        if depth > DEPTH_MAX {
            return Err(self.fault(Fault::Depth));
        }
        self.items += 1;
        if self.items > ITEMS_MAX {
            return Err(self.fault(Fault::Items));
        }
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let head = Head::read(rest).map_err(|fault| self.fault(fault))?;
        if head.is_open() && (self.lengths == Lengths::Definite || !matches!(head.major, 4 | 5)) {
            return Err(self.fault(Fault::OpenLength));
        }
        match head.major {
            2 | 3 => self.string(head)?,
            4 => {
                self.position += head.length;
                self.entries(head, |pass| pass.item(depth + 1).map(|_| ()))?;
            }
            5 => self.map(head, depth)?,
            6 => {
                self.position += head.length;
                self.item(depth + 1)?;
            }
            7 if head.info == 24 || (head.info < 20) => return Err(self.fault(Fault::Reserved)),
            _ => self.position += head.length,
        }
        Ok(head)
    }

    fn string(&mut self, head: Head) -> Result<(), CborError> {
        let content = usize::try_from(head.argument)
            .ok()
            .and_then(|length| self.bytes.get(self.position + head.length..)?.get(..length))
            .ok_or(self.fault(Fault::Truncated))?;
        if head.major == 3 && core::str::from_utf8(content).is_err() {
            return Err(self.fault(Fault::Utf8));
        }
        self.position += head.length + content.len();
        Ok(())
    }

    /// Runs `entry` for each entry of the container whose head was passed.
    fn entries(
        &mut self,
        head: Head,
        mut entry: impl FnMut(&mut Self) -> Result<(), CborError>,
    ) -> Result<(), CborError> {
        if !head.is_open() {
            // Every entry takes at least one byte, so the loop ends with the input.
            for _ in 0..head.argument {
                entry(self)?;
            }
            return Ok(());
        }
        while self.bytes.get(self.position) != Some(&0xff) {
            entry(self)?;
        }
        self.position += 1;
        Ok(())
    }

    fn map(&mut self, head: Head, depth: usize) -> Result<(), CborError> {
        let offset = self.position;
        self.position += head.length;
        let mut inline = [Key::default(); KEYS_INLINE];
        let mut count = 0;
        let mut heap = Vec::new();
        self.entries(head, |pass| {
            let key = pass.key(depth)?;
            if inline.get(..count).is_some_and(|seen| seen.contains(&key)) {
                return Err(CborError { fault: Fault::DuplicateKey, offset });
            }
            match inline.get_mut(count) {
                Some(slot) => {
                    *slot = key;
                    count += 1;
                }
                None => heap.push(key),
            }
            pass.item(depth + 1).map(|_| ())
        })?;
        heap.sort_unstable();
        if heap.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(CborError { fault: Fault::DuplicateKey, offset });
        }
        Ok(())
    }

    fn key(&mut self, depth: usize) -> Result<Key<'a>, CborError> {
        let start = self.position;
        let head = self.item(depth + 1)?;
        let content = match head.major {
            0 | 1 => &[],
            2 | 3 => self.bytes.get(start + head.length..self.position).unwrap_or_default(),
            _ => self.bytes.get(start..self.position).unwrap_or_default(),
        };
        Ok(Key { major: head.major, argument: head.argument, content })
    }
}
