//! The memory of a card: small pages, of which any may tear when the card loses its power.

use core::fmt;

/// Bytes of a page.
pub const PAGE_BYTES: usize = 32;

/// Pages that keep what was written. A page whose write was broken off holds some of the new bytes and
/// some of the old; pages that were written since the last [`Memory::settle`] may be lost in any order.
pub trait Memory {
    /// The page `page`, of which there are at least [`crate::PAGES`].
    ///
    /// # Errors
    /// [`MemoryFault`].
    fn read(&self, page: usize) -> Result<[u8; PAGE_BYTES], MemoryFault>;

    /// Writes the page `page`.
    ///
    /// # Errors
    /// [`MemoryFault`]: the page may be torn.
    fn write(&mut self, page: usize, bytes: &[u8; PAGE_BYTES]) -> Result<(), MemoryFault>;

    /// Returns once all that was written is durable.
    ///
    /// # Errors
    /// [`MemoryFault`]: some of it may be lost.
    fn settle(&mut self) -> Result<(), MemoryFault>;
}

/// The memory failed, or what it holds is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFault;

impl fmt::Display for MemoryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory of the card failed or is damaged")
    }
}

impl core::error::Error for MemoryFault {}
