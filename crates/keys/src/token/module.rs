//! One PKCS#11 module, loaded and initialised once for the whole process.
//!
//! `C_Initialize`, `C_Finalize` and the login belong to the process, not to a caller: two pools on one
//! module share the context, and when it is initialised anew every session of every pool is gone.
//! The generation tells them. Calls into the module hold the read half of a lock; finalising takes the
//! write half, because a call that is under way meanwhile has no defined outcome.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::slot::{Slot, TokenInfo};

use crate::token::pin::Pin;
use crate::token::pool::{Inner, PoolError};

/// Modules that this process has loaded, by their resolved path. A module stays loaded.
static LOADED: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// Initialised as long as `context` is there.
pub(crate) struct Module {
    pub(crate) path: PathBuf,
    library: Pkcs11,
    state: RwLock<State>,
    /// The pools that are open, one for each token of the module.
    pub(crate) pools: Mutex<BTreeMap<String, Weak<Inner>>>,
    /// The PIN that each token refused last, so that a program that opens in a loop does not lock it.
    refused: Mutex<BTreeMap<String, Pin>>,
}

/// Which initialisation this is, and whether it holds.
pub(crate) struct State {
    pub(crate) generation: u64,
    pub(crate) is_initialised: bool,
}

impl Module {
    /// The module at `path`, loaded and initialised at the first call.
    pub(crate) fn load(path: &Path) -> Result<Arc<Self>, PoolError> {
        let missing = |source| PoolError::ModuleFile { path: path.into(), source };
        let path = std::fs::canonicalize(path).map_err(missing)?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded.get(&path) {
            return Ok(Arc::clone(module));
        }
        let refused = |source| PoolError::Module { path: path.clone(), source };
        let library = Pkcs11::new(&path).map_err(refused)?;
        initialise(&library).map_err(refused)?;
        let state = RwLock::new(State { generation: 1, is_initialised: true });
        let module = Arc::new(Self {
            path: path.clone(),
            library,
            state,
            pools: Mutex::default(),
            refused: Mutex::default(),
        });
        loaded.insert(path, Arc::clone(&module));
        Ok(module)
    }

    /// Whether the token refused this PIN last.
    pub(crate) fn has_refused(&self, label: &str, pin: &Pin) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(label).is_some_and(|refused| refused.is_same_as(pin))
    }

    /// Remembers the PIN that the token refused, or forgets it with `None`.
    pub(crate) fn remember_refused(&self, label: &str, pin: Option<Pin>) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match pin {
            Some(pin) => drop(refused.insert(label.to_owned(), pin)),
            None => drop(refused.remove(label)),
        }
    }

    /// Keeps the module initialised while the answer lives. Not to be taken twice by one thread.
    pub(crate) fn hold(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls of the module; only while [`Module::hold`] is held and says that it is initialised.
    pub(crate) const fn library(&self) -> &Pkcs11 {
        &self.library
    }

    /// Finalises and initialises the module, unless somebody did so since `generation`.
    pub(crate) fn restart(&self, generation: u64) -> Result<(), PoolError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.generation != generation {
            return Ok(());
        }
        state.generation += 1;
        // A module that is not initialised, or fails here, is initialised all the same.
        let _ = self.library.clone().finalize();
        let begun = initialise(&self.library);
        state.is_initialised = begun.is_ok();
        begun.map_err(|source| PoolError::Module { path: self.path.clone(), source })
    }

    /// What the token with `label` says of itself; starts the module anew if it is not found at first.
    pub(crate) fn find_anew(&self, label: &str) -> Result<TokenInfo, PoolError> {
        let hold = self.hold();
        let generation = hold.generation;
        if hold.is_initialised
            && let Ok((_, token)) = self.find(label)
        {
            return Ok(token);
        }
        drop(hold);
        self.restart(generation)?;
        let _hold = self.hold();
        self.find(label).map(|(_, token)| token)
    }

    /// The slot whose token has `label`, and what the token says of itself.
    pub(crate) fn find(&self, label: &str) -> Result<(Slot, TokenInfo), PoolError> {
        let mut present = Vec::new();
        let mut found = Vec::new();
        for slot in self.library.get_slots_with_token().map_err(PoolError::of)? {
            // One token that cannot be asked does not hide the others.
            let Ok(token) = self.library.get_token_info(slot) else { continue };
            match token.token_initialized() {
                true if token.label() == label => found.push((slot, token)),
                true => present.push(token.label().to_owned()),
                false => {}
            }
        }
        present.sort();
        let only = found.pop();
        match only {
            Some(_) if !found.is_empty() => Err(PoolError::SameLabel { label: label.to_owned() }),
            Some(only) => Ok(only),
            None => Err(PoolError::NoToken { label: label.to_owned(), present }),
        }
    }
}

fn initialise(library: &Pkcs11) -> Result<(), Error> {
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}
