//! The sealed files of a city: the keys that its server signs with, and the root's own.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use keys::seal::Kind;
use keys::software::Keystore;
use keys::unlock::Unlock;

use super::ceremony::CeremonyError;
use crate::config::Config;
use crate::server::unlock;
use crate::start::StartError;

/// The file of the root key, and what opens it.
#[derive(Debug)]
pub struct RootFile<'r> {
    /// Where it lies: best on a medium that is taken away afterwards.
    pub path: &'r Path,
    /// What opens it; best not what opens the server's keystore.
    pub unlock: &'r Unlock,
}

impl RootFile<'_> {
    /// Makes the file, without a key in it.
    ///
    /// # Errors
    /// [`CeremonyError::Exists`] where there is one already, [`CeremonyError::Start`].
    pub fn create(&self) -> Result<Keystore, CeremonyError> {
        if self.path.exists() {
            return Err(CeremonyError::Exists);
        }
        make_folder_of(self.path)?;
        let made = Keystore::create(self.path, Kind::Root, self.unlock);
        Ok(made.map_err(StartError::Keystore)?)
    }

    /// Opens the file, for a ceremony.
    ///
    /// # Errors
    /// [`CeremonyError::Start`].
    pub fn open(&self) -> Result<Keystore, CeremonyError> {
        Ok(Keystore::open_root(self.path, self.unlock).map_err(StartError::Keystore)?)
    }
}

/// Makes the sealed keystore that `config` names, without a key in it, and the file that opens it
/// where that is a key file that does not exist yet.
///
/// # Errors
/// [`CeremonyError::Exists`] where there is one already, [`CeremonyError::Start`].
pub fn create_keystore(config: &Config) -> Result<Keystore, CeremonyError> {
    config.check().map_err(StartError::Config)?;
    let path = &config.keys.keystore;
    if path.exists() {
        return Err(CeremonyError::Exists);
    }
    make_folder_of(path)?;
    if let Some(path) = config.keys.key_file.as_deref().filter(|path| !path.exists()) {
        make_folder_of(path)?;
        Unlock::create_key_file(path).map_err(StartError::Unlock)?;
    }
    let made = Keystore::create(path, Kind::Server, &unlock(config)?);
    Ok(made.map_err(StartError::Keystore)?)
}

/// Opens the sealed keystore that `config` names.
///
/// # Errors
/// [`StartError`] naming what cannot be opened.
pub fn open_keystore(config: &Config) -> Result<Keystore, StartError> {
    let unlock = unlock(config)?;
    Keystore::open_server(&config.keys.keystore, &unlock).map_err(StartError::Keystore)
}

pub(super) fn make_folder_of(path: &Path) -> Result<(), CeremonyError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Some(folder) = folder else { return Ok(()) };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error: io::Error| CeremonyError::Start(StartError::Io(error)))
}
