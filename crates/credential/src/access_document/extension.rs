//! Extensions of access data: what a vendor adds, critical or not.

use alloc::vec::Vec;

use crate::cbor::Decoder;
use crate::rejection::Rejection;

use super::data::{unreadable, unsigned};

/// Extensions of one list of access data.
pub const EXTENSIONS_MAX: usize = 16;
/// Bytes of one extension.
pub const EXTENSION_BYTES_MAX: usize = 1_024;
/// The largest vendor identifier, of three bytes.
pub const VENDOR_ID_MAX: u32 = 0xFF_FFFF;

/// An extension that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Whose it is: 1 to [`VENDOR_ID_MAX`].
    pub vendor: u32,
    /// Which of the vendor's.
    pub id: u16,
    /// Its version.
    pub version: u16,
    /// Whether whoever does not understand it must refuse.
    pub is_critical: bool,
    /// What it says.
    pub data: &'a [u8],
}

/// An extension that the caller understands, and will heed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownExtension {
    /// Whose it is.
    pub vendor: u32,
    /// Which of the vendor's.
    pub id: u16,
    /// In this version.
    pub version: u16,
}

/// Reads a map from vendors to lists of extensions. A critical one that is not known refuses.
pub(super) fn read<'a>(
    decoder: &mut Decoder<'a>,
    known: &[KnownExtension],
) -> Result<Vec<Extension<'a>>, Rejection> {
    let mut extensions = Vec::new();
    let mut vendors = decoder.map()?;
    while decoder.more(&mut vendors)? {
        let vendor = unsigned(decoder, u64::from(VENDOR_ID_MAX), "vendor")?;
        if vendor == 0 {
            return Err(unreadable("an extension of vendor 0"));
        }
        let mut list = decoder.array()?;
        while decoder.more(&mut list)? {
            if extensions.len() == EXTENSIONS_MAX {
                return Err(unreadable("more than 16 extensions"));
            }
            let extension = read_one(decoder, vendor)?;
            let Extension { vendor, id, version, is_critical, .. } = extension;
            if is_critical && !known.contains(&KnownExtension { vendor, id, version }) {
                let message = alloc::format!(
                    "critical extension {id} of vendor `{vendor:06x}`, version {version}, is unknown"
                );
                return Err(Rejection::issuer("critical-extension", message));
            }
            extensions.push(extension);
        }
    }
    Ok(extensions)
}

fn read_one<'a>(decoder: &mut Decoder<'a>, vendor: u32) -> Result<Extension<'a>, Rejection> {
    decoder.array_of(4)?;
    let criticality: u32 = unsigned(decoder, 0xFF, "criticality")?;
    let id = unsigned(decoder, 0xFFFF, "identifier of an extension")?;
    let version = unsigned(decoder, 0xFFFF, "version of an extension")?;
    let data = decoder.bytes()?;
    if data.len() > EXTENSION_BYTES_MAX {
        return Err(unreadable("an extension of more than 1,024 bytes"));
    }
    // The bit is set for an extension that may be passed over.
    Ok(Extension { vendor, id, version, is_critical: criticality & 1 == 0, data })
}
