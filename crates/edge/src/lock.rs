//! One process at a time works in the folder of a reader or a wallet: an advisory lock on the file
//! `lock` in it. The system lifts it when the process ends, however it ends; the file stays.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::file::named;

/// A folder that is this process's alone, until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Takes the folder, or nothing if another has it.
    ///
    /// # Errors
    /// [`io::Error`] that names the lock file.
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join("lock");
        let failed = |error: io::Error| named(&error, "cannot lock", &path);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A child that was just forked may hold the same open file: closing it is not enough.
        let _ = self.0.unlock();
    }
}
