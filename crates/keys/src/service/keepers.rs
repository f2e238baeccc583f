//! Who holds the keys that a service serves: opened as its configuration says.
//!
//! During a move there are two, served as one: [`Pair`] makes keys in the new one alone, and the
//! old one signs with what it has until the named instant.

use std::path::Path;
use std::sync::Arc;

use vocabulary::time::Instant;

use super::config::{Config, Held, Sealed};
use super::lock::Lock;
use super::serve::{StartError, lock};
use super::status::Examined;
use crate::custody::Custody;
use crate::file::read_secret;
use crate::hybrid::Hybrid;
use crate::pair::Pair;
use crate::software::Keystore;
use crate::token::{Role, Token};
use crate::unlock::Unlock;
use crate::vault::Vault;
use crate::vault::pair::VaultPair;
use crate::vault::software::SoftwareVault;
use crate::vault::token::TokenVault;

/// Custodian and vault of a service.
pub(crate) struct Keepers {
    pub(crate) custody: Arc<dyn Custody>,
    pub(crate) vault: Option<Arc<dyn Vault>>,
    pub(crate) examined: Option<Examined>,
    pub(crate) locks: Vec<Lock>,
    pub(crate) leaving: Option<Leaving>,
}

/// The old custodian during a move.
#[derive(Clone)]
pub(crate) struct Leaving {
    pub(crate) pair: Arc<Pair>,
    pub(crate) vault: Option<Arc<dyn Vault>>,
    /// From when on it signs nothing; none where nobody has named it yet.
    pub(crate) at: Option<Instant>,
}

/// One custodian, and the vault on the same token.
struct Opened {
    custody: Arc<dyn Custody>,
    vault: Option<Arc<dyn Vault>>,
    examined: Option<Examined>,
    lock: Option<Lock>,
}

impl Keepers {
    /// Opens everybody that `config` names.
    ///
    /// # Errors
    /// [`StartError`] naming who stands in the way.
    pub(crate) fn open(config: &Config) -> Result<Self, StartError> {
        let held = config.held().ok_or(StartError::NoKeeper)?;
        let new = open(&held, config.halves.as_ref(), &config.journal)?;
        let sealed = config.vault.as_ref().map(|sealed| open_vault(sealed, &config.journal));
        let sealed = sealed.transpose()?.map(|vault| Arc::new(vault) as Arc<dyn Vault>);
        let has_new = if config.token.is_some() { new.vault.is_some() } else { sealed.is_some() };
        // Beside a token, a sealed file holds the secrets of before.
        let mut vault = both(sealed.clone(), new.vault);
        let mut keepers = Self {
            custody: new.custody,
            vault: None,
            examined: new.examined,
            locks: new.lock.into_iter().collect(),
            leaving: None,
        };
        if let Some(retiring) = &config.retiring {
            let held = retiring.held().ok_or(StartError::NoKeeper)?;
            let old = open(&held, retiring.halves.as_ref(), &config.journal)?;
            keepers.locks.extend(old.lock);
            let pair = Arc::new(Pair::new(old.custody, keepers.custody));
            keepers.custody = Arc::<Pair>::clone(&pair);
            vault = both(old.vault.clone(), vault);
            // Without a vault on the new side nothing leaves the old one.
            let left = old.vault.or(sealed.filter(|_| config.token.is_some()));
            let left = left.filter(|_| has_new);
            keepers.leaving = Some(Leaving { pair, vault: left, at: retiring.instant() });
        }
        keepers.vault = vault;
        Ok(keepers)
    }
}

fn both(old: Option<Arc<dyn Vault>>, new: Option<Arc<dyn Vault>>) -> Option<Arc<dyn Vault>> {
    match (old, new) {
        (Some(old), Some(new)) => Some(Arc::new(VaultPair::new(old, new))),
        (old, new) => old.or(new),
    }
}

fn open(held: &Held<'_>, halves: Option<&Sealed>, journal: &Path) -> Result<Opened, StartError> {
    let mut opened = open_alone(held, journal)?;
    if let Some(sealed) = halves {
        let unlock = unlock(sealed, journal)?;
        let hybrid = Hybrid::open(&sealed.path, &unlock, opened.custody);
        opened.custody = Arc::new(hybrid.map_err(StartError::Halves)?);
    }
    Ok(opened)
}

fn open_alone(held: &Held<'_>, journal: &Path) -> Result<Opened, StartError> {
    match held {
        Held::Token(token) => {
            let source = token.pin().ok_or(StartError::NoKeeper)?;
            let pin = source.read(&token.label).map_err(StartError::Pin)?;
            // It keeps a second custodian out by a mark on the token.
            let opened = Token::open(&token.settings(), pin.clone(), Role::City);
            let opened = Arc::new(opened.map_err(StartError::Token)?);
            let vault = vault_beside(&opened);
            let examined = Examined { token: Arc::clone(&opened), settings: token.settings(), pin };
            Ok(Opened { custody: opened, vault, examined: Some(examined), lock: None })
        }
        Held::Sealed(sealed) => {
            let lock = lock(&Lock::beside(&sealed.path), &sealed.path)?;
            let unlock = unlock(sealed, journal)?;
            let custody = Keystore::open_server(&sealed.path, &unlock);
            let custody = Arc::new(custody.map_err(StartError::Keystore)?);
            Ok(Opened { custody, vault: None, examined: None, lock: Some(lock) })
        }
    }
}

/// The vault on the same token, where the token can hold one.
fn vault_beside(token: &Token) -> Option<Arc<dyn Vault>> {
    match TokenVault::over(token.pool().clone()) {
        Ok(vault) => Some(Arc::new(vault)),
        Err(error) => {
            tracing::warn!(%error, "the token holds no symmetric keys: none are served");
            None
        }
    }
}

fn open_vault(sealed: &Sealed, journal: &Path) -> Result<SoftwareVault, StartError> {
    let unlock = unlock(sealed, journal)?;
    SoftwareVault::open(&sealed.path, &unlock).map_err(StartError::Keystore)
}

/// What opens a sealed file; it must not lie in `journal`.
fn unlock(sealed: &Sealed, journal: &Path) -> Result<Unlock, StartError> {
    let unlock = match (&sealed.key_file, &sealed.passphrase_file) {
        (Some(path), _) => Unlock::key_file(path, journal),
        (None, Some(path)) => {
            let text = read_secret(path).map_err(StartError::Secret)?;
            let text = std::str::from_utf8(&text).unwrap_or_default();
            Unlock::passphrase(text.trim_end_matches(['\r', '\n']))
        }
        (None, None) => return Err(StartError::NoKeeper),
    };
    unlock.map_err(StartError::Unlock)
}
