//! One server per data folder: a lock that the system takes back when its holder ends, however.
//!
//! Two servers would sign the same status lists and publish the same log without knowing of each
//! other's revoked tokens and nonces; a ceremony beside a server would add keys that it never sees.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::start::StartError;

/// The name of the file in the data folder. It stays; what counts is the lock upon it.
const FILE_NAME: &str = "limen.lock";

/// The right to run on a data folder, for as long as this lives.
pub(crate) struct FolderLock(#[expect(dead_code, reason = "held, never read")] File);

impl FolderLock {
    /// Takes the lock of `folder`, which must exist.
    ///
    /// # Errors
    /// [`StartError::Busy`] when another process, or this one, holds it; [`StartError::Io`].
    pub(crate) fn take(folder: &Path) -> Result<Self, StartError> {
        let path = folder.join(FILE_NAME);
        let named = |error: io::Error| {
            let text = format!("lock `{}`: {error}", path.display());
            StartError::Io(io::Error::new(error.kind(), text))
        };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(named)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StartError::Busy),
            Err(TryLockError::Error(error)) => Err(named(error)),
        }
    }
}
