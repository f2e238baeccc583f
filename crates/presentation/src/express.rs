//! The express tap: symmetric, offline, two APDUs after SELECT (`specs/express-tap.md`).
//!
//! The holder shows a [`handle`], which only gates of its scope and epoch can open; both ends then
//! prove that they know the tap key that belongs to it, each with a fresh value of its own. The
//! reader's end is [`reader::ReaderEnd`], the holder's [`holder::HolderEnd`]. Neither allocates, and
//! neither knows what a pass is worth: the caller judges what the handle says.
//!
//! It authenticates a scope and not a reader, and whoever holds the key of a scope and an epoch can
//! forge inside them. What follows from that stands in the specification.

pub mod handle;
pub mod holder;
pub mod issuing;
pub mod reader;
pub mod schedule;
pub mod wire;

use credential::crypto::Crypto;
use vocabulary::code::{OperatorCode, ZoneCode};

pub use crate::apdu::Transport;

/// The application (category F of ISO/IEC 7816-5, unregistered).
pub const APPLICATION: [u8; 7] = [0xF0, 0x4C, 0x49, 0x4D, 0x45, 0x4E, 0x01];
/// The version of this tap.
pub const VERSION: u16 = 0x0100;
/// Handles in a row that a holder shows without a proof in return.
pub const SHOWN_FOR_NOTHING_MAX: u8 = 8;
/// Bytes of the fresh value of either end.
pub const FRESH_BYTES: usize = 16;

/// Names a scope without its words: the leftmost bytes of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(pub [u8; 8]);

impl ScopeId {
    /// The identifier of the doors of `operator` in `zone`, or of those in no zone.
    #[must_use]
    pub fn new(crypto: &dyn Crypto, operator: &OperatorCode, zone: Option<&ZoneCode>) -> Self {
        let zone = zone.map_or("", ZoneCode::as_str);
        let parts: [&[u8]; 5] =
            [b"limen express scope 1", &[0], operator.as_str().as_bytes(), &[0], zone.as_bytes()];
        Self(leftmost(crypto, &parts))
    }
}

/// Where and when a handle is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context {
    /// The scope.
    pub scope: ScopeId,
    /// The epoch: whole days since 1970 UTC.
    pub epoch: u32,
}

/// Bytes of a [`Context`] on the wire.
pub const CONTEXT_BYTES: usize = 12;

impl Context {
    /// Scope, then epoch.
    #[must_use]
    pub fn to_bytes(self) -> [u8; CONTEXT_BYTES] {
        let ([a, b, c, d, e, f, g, h], [i, j, k, l]) = (self.scope.0, self.epoch.to_be_bytes());
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// Reads what [`Context::to_bytes`] wrote.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; CONTEXT_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        let scope = ScopeId([a, b, c, d, e, f, g, h]);
        Self { scope, epoch: u32::from_be_bytes([i, j, k, l]) }
    }
}

/// The tag of a product's code.
#[must_use]
pub fn product_tag(crypto: &dyn Crypto, product: &str) -> [u8; 8] {
    leftmost(crypto, &[b"product", &[0], product.as_bytes()])
}

/// The tag of a class's code; never zero, which says that a pass has none.
#[must_use]
pub fn class_tag(crypto: &dyn Crypto, class: &str) -> [u8; 4] {
    match leftmost(crypto, &[b"class", &[0], class.as_bytes()]) {
        [0, 0, 0, 0] => [0, 0, 0, 1],
        tag => tag,
    }
}

/// The tag of the address of a status list.
#[must_use]
pub fn list_tag(crypto: &dyn Crypto, uri: &str) -> [u8; 4] {
    leftmost(crypto, &[b"status list", &[0], uri.as_bytes()])
}

fn leftmost<const N: usize>(crypto: &dyn Crypto, parts: &[&[u8]]) -> [u8; N] {
    let digest = crypto.sha256(&parts.concat());
    // INVARIANT: N is at most 8, and a digest has 32 bytes.
    digest.first_chunk::<N>().copied().unwrap_or([0; N])
}
