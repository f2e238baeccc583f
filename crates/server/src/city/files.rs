//! Who holds the keys of a city: the key service, or a sealed file; and the file of the root.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use keys::custody::Custody;
use keys::remote::{Remote, Settings};
use keys::seal::Kind;
use keys::software::Keystore;
use keys::unlock::Unlock;
use keys::wire::pairing::Pairing;

use super::ceremony::CeremonyError;
use crate::config::{CLIENT, Config};
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

/// Who holds the keys of a city.
#[derive(Clone)]
pub struct Keeper {
    /// Whom a server asks.
    pub custody: Arc<dyn Custody>,
    /// The same, where it is the key service.
    pub service: Option<Arc<Remote>>,
}

/// Reaches whoever holds the keys according to `config`: connects to the key service, or opens the
/// sealed keystore.
///
/// # Errors
/// [`StartError`] naming what cannot be reached or opened.
pub async fn open_keeper(config: &Config) -> Result<Keeper, StartError> {
    config.check().map_err(StartError::Config)?;
    let keys = &config.keys;
    let (Some(socket), Some(pairing)) = (&keys.service, &keys.pairing) else {
        return Ok(Keeper { custody: Arc::new(open_keystore(config)?), service: None });
    };
    let name = keys.client.as_deref().unwrap_or(CLIENT);
    let pairing = Pairing::open(name, pairing).map_err(StartError::Pairing)?;
    let settings = Settings { socket: socket.clone(), uid: keys.service_uid, pairing };
    let remote = Remote::connect(settings).await.map_err(StartError::KeyService)?;
    let remote = Arc::new(remote);
    Ok(Keeper { custody: Arc::<Remote>::clone(&remote), service: Some(remote) })
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
