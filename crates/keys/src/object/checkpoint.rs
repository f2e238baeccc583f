//! The text of a checkpoint (C2SP tlog-checkpoint and signed-note), without its signature lines.

use base64ct::{Base64, Encoding};

/// Bytes of a checkpoint text.
pub const CHECKPOINT_BYTES_MAX: usize = 4096;

/// Whether `bytes` are a checkpoint: origin, tree size, root hash, extension lines, each ended by a
/// line feed.
#[must_use]
pub fn is_checkpoint(bytes: &[u8]) -> bool {
    bytes.len() <= CHECKPOINT_BYTES_MAX
        && core::str::from_utf8(bytes).is_ok_and(|text| lines_fit(text).unwrap_or(false))
}

fn lines_fit(text: &str) -> Option<bool> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
    let readable = |line: &str| !line.is_empty() && !line.chars().any(|c| c.is_control());
    let canonical_size = size.parse::<u64>().is_ok_and(|value| value.to_string() == size);
    let hash = Base64::decode_vec(root).ok()?;
    Some(readable(origin) && canonical_size && hash.len() == 32 && lines.all(readable))
}
