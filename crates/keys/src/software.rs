//! The software keystore: one sealed file, opened once, held by the cryptographic module.
//!
//! The server opens [`Kind::Server`] files only; the root lies in a [`Kind::Root`] file that
//! [`Keystore::open_root`] alone opens, for a ceremony. Signing in software takes some 14 us, so it
//! happens inline; making a key writes the whole file anew and flushes it.

use core::fmt;
use core::future::ready;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aws_lc_rs::rand;
use credential::crypto::Signature;
use vocabulary::time::Instant;

use crate::contents::{self, Stored};
use crate::custody::{
    CERTIFICATE_BYTES_MAX, Custody, KEYS_MAX, KeepError, Key, KeyHandle, NewKey, Pending,
    SignError, State,
};
use crate::file::{self, FileError};
use crate::object::{TypedObject, certificate};
use crate::purpose::Purpose;
use crate::seal::{Header, Kind, SealingKey, UnsealError};
use crate::unlock::Unlock;

/// Keys in one sealed file.
pub struct Keystore {
    path: PathBuf,
    sealing_key: SealingKey,
    held: RwLock<Held>,
    /// One writer at a time in this process; the lock file keeps other processes out.
    writer: Mutex<()>,
}

struct Held {
    header: Header,
    keys: Vec<Arc<Stored>>,
    listed: Arc<[Key]>,
}

impl Keystore {
    /// Makes an empty sealed file of `kind` at `path`, which must not exist.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn create(path: &Path, kind: Kind, unlock: &Unlock) -> Result<Self, OpenError> {
        let header = Header::new(kind, unlock.kind(), random()?, random()?);
        let sealing_key = SealingKey::derive(unlock.secret(), &header)?;
        let plain = contents::encode(&[]).map_err(|_| OpenError::Cryptography)?;
        file::create_secret(path, &sealing_key.seal(&header, &plain)?)?;
        Ok(Self::of(path, sealing_key, header, Vec::new()))
    }

    /// Opens the keys that a running server signs with.
    ///
    /// # Errors
    /// [`OpenError::HoldsRoot`] for the file of the root, whatever the secret; otherwise
    /// [`OpenError`].
    pub fn open_server(path: &Path, unlock: &Unlock) -> Result<Self, OpenError> {
        Self::open(path, Kind::Server, unlock)
    }

    /// Opens the city root. For a ceremony only: no server calls this.
    ///
    /// # Errors
    /// [`OpenError::HoldsNoRoot`] for another file; otherwise [`OpenError`].
    pub fn open_root(path: &Path, unlock: &Unlock) -> Result<Self, OpenError> {
        Self::open(path, Kind::Root, unlock)
    }

    fn open(path: &Path, kind: Kind, unlock: &Unlock) -> Result<Self, OpenError> {
        let sealed = file::read_secret(path)?;
        let header = Header::parse(&sealed)?;
        match (header.kind, kind) {
            (Kind::Root, Kind::Server) => return Err(OpenError::HoldsRoot),
            (_, Kind::Root) if header.kind != kind => return Err(OpenError::HoldsNoRoot),
            (Kind::Vault, _) => return Err(OpenError::HoldsSecrets),
            (found, wanted) if found != wanted => {
                return Err(OpenError::Unseal(UnsealError::Damaged));
            }
            _ => {}
        }
        if header.secret != unlock.kind() {
            return Err(OpenError::OtherSecretKind { expected: header.secret });
        }
        let sealing_key = SealingKey::derive(unlock.secret(), &header)?;
        let plain = sealing_key.open(&header, &sealed)?;
        let keys = contents::decode(&plain).ok_or(UnsealError::Damaged)?;
        if keys.iter().any(|stored| !belongs(stored.key.purpose, kind)) {
            return Err(OpenError::Unseal(UnsealError::Damaged));
        }
        Ok(Self::of(path, sealing_key, header, keys.into_iter().map(Arc::new).collect()))
    }

    fn of(path: &Path, sealing_key: SealingKey, header: Header, keys: Vec<Arc<Stored>>) -> Self {
        let held = RwLock::new(Held::new(header, keys));
        Self { path: path.into(), sealing_key, held, writer: Mutex::new(()) }
    }

    fn sign_now(
        &self,
        handle: &KeyHandle,
        object: &TypedObject<'_>,
    ) -> Result<Signature, SignError> {
        let stored = self.held().find(handle).ok_or(SignError::UnknownKey { handle: *handle })?;
        stored.key.may_sign(object)?;
        stored.sign(object.bytes()).ok_or(SignError::Unavailable)
    }

    fn generate_now(&self, request: NewKey) -> Result<Key, KeepError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (header, mut keys) = self.copy();
        if !belongs(request.purpose, header.kind) {
            return Err(KeepError::PurposeNotHere { purpose: request.purpose });
        }
        if !request.purpose.allows(request.suite) {
            let NewKey { purpose, suite, .. } = request;
            return Err(KeepError::SuiteNotHere { purpose, suite });
        }
        if keys.len() >= KEYS_MAX {
            return Err(KeepError::Full);
        }
        let stored = Stored::generate(request).map_err(|_| KeepError::Cryptography)?;
        let key = stored.key.clone();
        keys.push(Arc::new(stored));
        self.write(header, keys)?;
        Ok(key)
    }

    /// The key `handle` with its private half, for a ceremony.
    pub(crate) fn stored(&self, handle: &KeyHandle) -> Option<Arc<Stored>> {
        self.held().find(handle)
    }

    /// Keeps a key that a ceremony brought back; the file must be of its kind and not hold it yet.
    pub(crate) fn keep(&self, stored: Stored) -> Result<Key, KeepError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (header, mut keys) = self.copy();
        if !belongs(stored.key.purpose, header.kind) {
            return Err(KeepError::PurposeNotHere { purpose: stored.key.purpose });
        }
        if keys.len() >= KEYS_MAX || keys.iter().any(|kept| kept.key.handle == stored.key.handle) {
            return Err(KeepError::Full);
        }
        let key = stored.key.clone();
        keys.push(Arc::new(stored));
        self.write(header, keys)?;
        Ok(key)
    }

    fn attach_now(&self, handle: &KeyHandle, certificate: &[u8]) -> Result<Key, KeepError> {
        self.describe(handle, |key| {
            if certificate.len() > CERTIFICATE_BYTES_MAX
                || !certificate::certifies(certificate, &key.public_key)
            {
                return Err(KeepError::Certificate);
            }
            Ok(Key { certificate: Some(Arc::from(certificate)), ..key })
        })
    }

    fn set_state_now(
        &self,
        handle: &KeyHandle,
        state: State,
        at: Instant,
    ) -> Result<Key, KeepError> {
        self.describe(handle, |key| {
            if state < key.state {
                return Err(KeepError::Backwards { state: key.state });
            }
            let state_since = if state == key.state { key.state_since } else { at };
            Ok(Key { state, state_since, ..key })
        })
    }

    /// Keeps the key `handle` as `change` describes it.
    fn describe(
        &self,
        handle: &KeyHandle,
        change: impl FnOnce(Key) -> Result<Key, KeepError>,
    ) -> Result<Key, KeepError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (header, mut keys) = self.copy();
        let stored = keys
            .iter_mut()
            .find(|stored| stored.key.handle == *handle)
            .ok_or(KeepError::UnknownKey { handle: *handle })?;
        let key = change(stored.key.clone())?;
        *stored = Arc::new(stored.with(key.clone()).ok_or(KeepError::Cryptography)?);
        self.write(header, keys)?;
        Ok(key)
    }

    fn destroy_now(&self, handle: &KeyHandle) -> Result<(), KeepError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (header, mut keys) = self.copy();
        let position = keys.iter().position(|stored| stored.key.handle == *handle);
        let position = position.ok_or(KeepError::UnknownKey { handle: *handle })?;
        let destroyed = keys.remove(position);
        if destroyed.key.state != State::Retired {
            return Err(KeepError::Backwards { state: destroyed.key.state });
        }
        self.write(header, keys)
    }

    /// Seals `keys`, puts them on disk and, only then, into memory.
    fn write(&self, mut header: Header, keys: Vec<Arc<Stored>>) -> Result<(), KeepError> {
        let _lock = file::lock_beside(&self.path).map_err(KeepError::Write)?;
        let on_disk = file::read_secret(&self.path).map_err(KeepError::Write)?;
        if Header::parse(&on_disk).ok().as_ref() != Some(&header) {
            return Err(KeepError::ChangedMeanwhile);
        }
        header.nonce = random().map_err(|_| KeepError::Cryptography)?;
        let plain = contents::encode(&keys).map_err(|_| KeepError::Cryptography)?;
        let sealed = self.sealing_key.seal(&header, &plain).map_err(|_| KeepError::Cryptography)?;
        file::replace_secret(&self.path, &sealed).map_err(KeepError::Write)?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Held::new(header, keys);
        Ok(())
    }

    fn held(&self) -> std::sync::RwLockReadGuard<'_, Held> {
        // A panic while the lock was held for writing is impossible: the value is replaced whole.
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn copy(&self) -> (Header, Vec<Arc<Stored>>) {
        let held = self.held();
        (held.header.clone(), held.keys.clone())
    }
}

impl Custody for Keystore {
    fn keys(&self) -> Arc<[Key]> {
        Arc::clone(&self.held().listed)
    }

    fn sign<'a>(
        &'a self,
        handle: &'a KeyHandle,
        object: &'a TypedObject<'a>,
    ) -> Pending<'a, Signature, SignError> {
        Box::pin(ready(self.sign_now(handle, object)))
    }

    fn generate(&self, request: NewKey) -> Pending<'_, Key, KeepError> {
        Box::pin(ready(self.generate_now(request)))
    }

    fn attach_certificate<'a>(
        &'a self,
        handle: &'a KeyHandle,
        certificate: &'a [u8],
    ) -> Pending<'a, Key, KeepError> {
        Box::pin(ready(self.attach_now(handle, certificate)))
    }

    fn set_state<'a>(
        &'a self,
        handle: &'a KeyHandle,
        state: State,
        at: Instant,
    ) -> Pending<'a, Key, KeepError> {
        Box::pin(ready(self.set_state_now(handle, state, at)))
    }

    fn destroy<'a>(&'a self, handle: &'a KeyHandle) -> Pending<'a, (), KeepError> {
        Box::pin(ready(self.destroy_now(handle)))
    }
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Held {
    fn new(header: Header, keys: Vec<Arc<Stored>>) -> Self {
        let listed = keys.iter().map(|stored| stored.key.clone()).collect();
        Self { header, keys, listed }
    }

    fn find(&self, handle: &KeyHandle) -> Option<Arc<Stored>> {
        self.keys.iter().find(|stored| stored.key.handle == *handle).cloned()
    }
}

const fn belongs(purpose: Purpose, kind: Kind) -> bool {
    matches!(purpose, Purpose::CityRoot) == matches!(kind, Kind::Root)
}

fn random<const N: usize>() -> Result<[u8; N], OpenError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| OpenError::Cryptography)?;
    Ok(bytes)
}

/// Why a keystore was not opened or made.
#[derive(Debug)]
pub enum OpenError {
    /// A server asked for the file of the root.
    HoldsRoot,
    /// A ceremony asked for a file that is not the root's.
    HoldsNoRoot,
    /// A server asked for the file of a vault, which is another file than its keystore.
    HoldsSecrets,
    /// A vault was asked for, and the file holds signing keys.
    HoldsNoSecrets,
    /// The file opens with the other kind of secret.
    OtherSecretKind {
        /// The kind that opens it.
        expected: crate::seal::SecretKind,
    },
    /// The random generator or the cipher failed.
    Cryptography,
    /// Wrong secret, or damaged.
    Unseal(UnsealError),
    /// The file could not be read, or its permissions are loose.
    File(FileError),
}

impl From<UnsealError> for OpenError {
    fn from(error: UnsealError) -> Self {
        Self::Unseal(error)
    }
}

impl From<FileError> for OpenError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::seal::SecretKind;
        match self {
            Self::HoldsRoot => f.write_str(
                "open keystore: this file holds the city root, which only a ceremony may open",
            ),
            Self::HoldsNoRoot => f.write_str("open city root: this file holds other keys"),
            Self::HoldsSecrets => f.write_str("open keystore: this file holds a vault's keys"),
            Self::HoldsNoSecrets => f.write_str("open vault: this file holds signing keys"),
            Self::OtherSecretKind { expected: SecretKind::Passphrase } => {
                f.write_str("open keystore: it is sealed with a passphrase, not with a key file")
            }
            Self::OtherSecretKind { expected: SecretKind::KeyFile } => {
                f.write_str("open keystore: it is sealed with a key file, not with a passphrase")
            }
            Self::Cryptography => f.write_str("open keystore: the cryptographic module failed"),
            Self::Unseal(error) => write!(f, "open keystore: {error}"),
            Self::File(error) => write!(f, "open keystore: {error}"),
        }
    }
}

impl core::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::File(source) => source.source(),
            _ => None,
        }
    }
}
