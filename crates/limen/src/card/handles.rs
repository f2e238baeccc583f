//! Batches of handles in files, as the key service makes them (`specs/express-tap.md`, issuing).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use credential::cbor::{CborError, Decoder, Kind};
use credential::delivery::Scope;
use edge::file;
use presentation::express::handle::{HANDLE_BYTES, HANDLES_MAX};
use zeroize::Zeroizing;

use super::place::Owner;
use crate::failure::{Failure, OrFail};

const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Handles of one application and epoch.
pub(super) struct Batch {
    pub(super) owner: Owner,
    pub(super) epoch: u32,
    /// As a card takes them: epoch, count, handles with their tap keys.
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

impl Batch {
    /// Reads the file at `path`, which nobody else may read: whoever does can tap with it.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let attempt = || format!("cannot read the handles in `{}`", path.display());
        let mode = std::fs::metadata(path).or_fail(attempt())?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let failure = Failure::broken(format!("{}: others may read it", attempt()));
            return Err(failure.hint("`chmod 600` it; who reads a handle's key can tap with it"));
        }
        let bytes = file::read(path, FILE_BYTES_MAX).or_fail(attempt())?.unwrap_or_default();
        let bytes = Zeroizing::new(bytes);
        match Self::parse(&bytes) {
            Ok(Some(batch)) => Ok(batch),
            Ok(None) => Err(Failure::broken(format!("{}: it is no batch of handles", attempt()))),
            Err(error) => Err(error).or_fail(attempt()),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Option<Self>, CborError> {
        let mut decoder = Decoder::new(bytes)?;
        decoder.array_of(5)?;
        let version = decoder.unsigned()?;
        let operator = decoder.text()?.parse().ok();
        let zone = match decoder.kind() {
            Kind::Null => decoder.null().map(|()| Some(None))?,
            _ => decoder.text()?.parse().ok().map(Some),
        };
        let epoch = u32::try_from(decoder.unsigned()?).ok();
        let (mut entries, mut count) = (Zeroizing::new(Vec::new()), 0_u16);
        // Room for all, so that no key is left behind in memory that was outgrown.
        entries.reserve_exact(usize::from(HANDLES_MAX) * (HANDLE_BYTES + 32));
        let mut array = decoder.array()?;
        while decoder.more(&mut array)? {
            decoder.array_of(2)?;
            if count >= HANDLES_MAX {
                return Ok(None);
            }
            entries.extend_from_slice(&decoder.byte_array::<HANDLE_BYTES>()?);
            entries.extend_from_slice(&decoder.byte_array::<32>()?);
            count += 1;
        }
        decoder.finish()?;
        let (1, Some(operator), Some(zone), Some(epoch)) = (version, operator, zone, epoch) else {
            return Ok(None);
        };
        let mut whole = Zeroizing::new(Vec::with_capacity(6 + entries.len()));
        whole.extend_from_slice(&epoch.to_be_bytes());
        whole.extend_from_slice(&count.to_be_bytes());
        whole.extend_from_slice(&entries);
        let owner = Owner(Scope { operator, zone });
        Ok((count > 0).then_some(Self { owner, epoch, bytes: whole }))
    }
}
