//! The software vault: one sealed file beside the keystore, for cities without a token and for tests.
//!
//! Whoever can read the memory of the process that opens it has every key. Where that must not be the
//! server, the file is opened by the key service alone.

use core::fmt;
use core::future::ready;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aws_lc_rs::rand;
use credential::delivery::recipient::VerifiedRecipient;
use credential::delivery::{Delivery, Purpose};
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use super::authentications::{Authentications, Run};
use super::cipher::{CardCipher, SoftwareKey};
use super::contents::{self, HELD_BY, Stored};
use super::diversify::{CardInput, derive};
use super::error::{CardError, VaultError, WrapError};
use super::ev2::{self, Mode, Session};
use super::outer::{Parcel, deliver, wrap_inner};
use super::{CardAnswer, NewSecret, RunId, Secret, SecretHandle, Vault};
use crate::custody::{Pending, State};
use crate::file;
use crate::seal::{Header, Kind, SealingKey, UnsealError};
use crate::software::OpenError;
use crate::unlock::Unlock;

/// Secret keys in one sealed file.
pub struct SoftwareVault {
    path: PathBuf,
    sealing_key: SealingKey,
    held: RwLock<Held>,
    /// One writer at a time in this process; the lock file keeps other processes out.
    writer: Mutex<()>,
    runs: Authentications,
}

struct Held {
    header: Header,
    secrets: Vec<Arc<Stored>>,
    listed: Arc<[Secret]>,
}

impl SoftwareVault {
    /// Makes an empty sealed file at `path`, which must not exist.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn create(path: &Path, unlock: &Unlock) -> Result<Self, OpenError> {
        let header = Header::new(Kind::Vault, unlock.kind(), random()?, random()?);
        let sealing_key = SealingKey::derive(unlock.secret(), &header)?;
        let plain = contents::encode(&[]).ok_or(OpenError::Cryptography)?;
        file::create_secret(path, &sealing_key.seal(&header, &plain)?)?;
        Ok(Self::of(path, sealing_key, header, Vec::new()))
    }

    /// Opens the sealed file at `path`.
    ///
    /// # Errors
    /// [`OpenError::HoldsNoSecrets`] for a keystore of signing keys; otherwise [`OpenError`].
    pub fn open(path: &Path, unlock: &Unlock) -> Result<Self, OpenError> {
        let sealed = file::read_secret(path)?;
        let header = Header::parse(&sealed)?;
        if header.kind != Kind::Vault {
            return Err(OpenError::HoldsNoSecrets);
        }
        if header.secret != unlock.kind() {
            return Err(OpenError::OtherSecretKind { expected: header.secret });
        }
        let sealing_key = SealingKey::derive(unlock.secret(), &header)?;
        let plain = sealing_key.open(&header, &sealed)?;
        let secrets = contents::decode(&plain).ok_or(UnsealError::Damaged)?;
        Ok(Self::of(path, sealing_key, header, secrets.into_iter().map(Arc::new).collect()))
    }

    fn of(path: &Path, sealing_key: SealingKey, header: Header, secrets: Vec<Arc<Stored>>) -> Self {
        let held = RwLock::new(Held::new(header, secrets));
        let (writer, runs) = (Mutex::new(()), Authentications::default());
        Self { path: path.into(), sealing_key, held, writer, runs }
    }

    fn generate_now(&self, request: NewSecret) -> Result<Secret, VaultError> {
        request.check()?;
        let mut key = Zeroizing::new(vec![0; request.kind.key_bytes()]);
        rand::fill(&mut key).map_err(|_| VaultError::Cryptography)?;
        self.keep(request, key)
    }

    /// Keeps a key that was made elsewhere, for tests with published values: a key that was outside
    /// once is nobody's secret.
    ///
    /// # Errors
    /// [`VaultError`], [`VaultError::Request`] also for a key of another length.
    pub fn danger_import(&self, request: NewSecret, key: &[u8]) -> Result<Secret, VaultError> {
        request.check()?;
        if key.len() != request.kind.key_bytes() {
            return Err(VaultError::Request { kind: request.kind, field: "key" });
        }
        self.keep(request, Zeroizing::new(key.to_vec()))
    }

    fn keep(&self, request: NewSecret, key: super::Bytes) -> Result<Secret, VaultError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (header, mut secrets) = self.copy();
        let known = secrets.iter().map(|stored| &stored.secret);
        let secret = request.named(known, HELD_BY)?;
        let stored = Stored::new(secret, key)?;
        let secret = stored.secret.clone();
        secrets.push(Arc::new(stored));
        self.write(header, secrets)?;
        Ok(secret)
    }

    fn set_state_now(
        &self,
        handle: &SecretHandle,
        state: State,
        at: Instant,
    ) -> Result<Secret, VaultError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (header, mut secrets) = self.copy();
        let stored = secrets
            .iter_mut()
            .find(|stored| stored.secret.handle == *handle)
            .ok_or(VaultError::Unknown { handle: *handle })?;
        let secret = stored.secret.clone().moved(state, at)?;
        *stored = Arc::new(stored.with(secret.clone()));
        self.write(header, secrets)?;
        Ok(secret)
    }

    fn destroy_now(&self, handle: &SecretHandle) -> Result<(), VaultError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (header, mut secrets) = self.copy();
        let position = secrets.iter().position(|stored| stored.secret.handle == *handle);
        let position = position.ok_or(VaultError::Unknown { handle: *handle })?;
        secrets.remove(position).secret.may_end()?;
        self.write(header, secrets)
    }

    /// Seals `secrets`, puts them on disk and, only then, into memory.
    fn write(&self, mut header: Header, secrets: Vec<Arc<Stored>>) -> Result<(), VaultError> {
        let _lock = file::lock_beside(&self.path).map_err(VaultError::Write)?;
        let on_disk = file::read_secret(&self.path).map_err(VaultError::Write)?;
        if Header::parse(&on_disk).ok().as_ref() != Some(&header) {
            return Err(VaultError::ChangedMeanwhile);
        }
        header.nonce = random().map_err(|_| VaultError::Cryptography)?;
        let plain = contents::encode(&secrets).ok_or(VaultError::Cryptography)?;
        let sealed = self.sealing_key.seal(&header, &plain);
        let sealed = sealed.map_err(|_| VaultError::Cryptography)?;
        file::replace_secret(&self.path, &sealed).map_err(VaultError::Write)?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Held::new(header, secrets);
        Ok(())
    }

    fn wrap_now(
        &self,
        handle: &SecretHandle,
        recipient: &VerifiedRecipient,
    ) -> Result<Delivery, WrapError> {
        let stored = self.find(handle).ok_or(WrapError::Unknown { handle: *handle })?;
        let Secret { epoch, version, kcv, .. } = stored.secret;
        let (purpose, scope) = stored.secret.delivered()?;
        let inner = wrap_inner(stored.danger_key(), recipient.keys())?;
        let subject = Vec::new();
        deliver(recipient, Parcel { purpose, scope, epoch, version, subject, kcv }, &inner)
    }

    fn answer_now(
        &self,
        handle: &SecretHandle,
        card: &CardInput,
        mode: Mode,
        challenge: &[u8; 16],
    ) -> Result<CardAnswer, CardError> {
        let mut rnd_a = [0; 16];
        rand::fill(&mut rnd_a).map_err(|_| CardError::Unavailable)?;
        self.danger_answer_card(handle, card, mode, challenge, rnd_a)
    }

    /// As [`Vault::answer_card`], with a random of the caller's: for published values. One that was
    /// used before gives the session away.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn danger_answer_card(
        &self,
        handle: &SecretHandle,
        card: &CardInput,
        mode: Mode,
        challenge: &[u8; 16],
        rnd_a: [u8; 16],
    ) -> Result<CardAnswer, CardError> {
        let key = self.card_key(handle, card)?;
        let (challenged, answer) = ev2::answer(&key, mode, challenge, rnd_a)?;
        let run = self.runs.begin(Run { master: *handle, card: card.clone(), challenged })?;
        Ok(CardAnswer { run, answer })
    }

    /// AES-CMAC with the key of a card over whatever is asked: for published values.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn danger_card_mac(
        &self,
        handle: &SecretHandle,
        card: &CardInput,
        message: &[u8],
    ) -> Result<[u8; 16], CardError> {
        Ok(self.card_key(handle, card)?.mac(message)?)
    }

    fn finish_now(&self, run: &RunId, response: &[u8]) -> Result<Session, CardError> {
        let Run { master, card, challenged } = self.runs.take(run)?;
        ev2::finish(&self.card_key(&master, &card)?, &challenged, response)
    }

    fn card_key(&self, handle: &SecretHandle, card: &CardInput) -> Result<SoftwareKey, CardError> {
        let stored = self.find(handle).ok_or(CardError::Unknown { handle: *handle })?;
        let wrong = CardError::NotAMaster { handle: *handle };
        let kdf = stored.secret.kdf_in_use()?;
        let master = stored.danger_key().try_into().map(Zeroizing::new).map_err(|_| wrong)?;
        Ok(derive(&SoftwareKey::new(master), kdf, card)?)
    }

    fn wrap_card_now(
        &self,
        handle: &SecretHandle,
        card: &CardInput,
        process: &VerifiedRecipient,
    ) -> Result<Delivery, WrapError> {
        let stored = self.find(handle).ok_or(WrapError::Unknown { handle: *handle })?;
        let (version, (_, scope)) = (stored.secret.version, stored.secret.master()?);
        let key = self.card_key(handle, card).map_err(|_| WrapError::Unavailable)?;
        let inner = wrap_inner(key.danger_bytes(), process.keys())?;
        let kcv = super::cipher::kcv(key.danger_bytes())?;
        let (purpose, subject) = (Purpose::Card, card.as_bytes().to_vec());
        deliver(process, Parcel { purpose, scope, epoch: 0, version, subject, kcv }, &inner)
    }

    fn held(&self) -> std::sync::RwLockReadGuard<'_, Held> {
        // A panic while the lock was held for writing is impossible: the value is replaced whole.
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, handle: &SecretHandle) -> Option<Arc<Stored>> {
        self.held().secrets.iter().find(|stored| stored.secret.handle == *handle).cloned()
    }

    fn copy(&self) -> (Header, Vec<Arc<Stored>>) {
        let held = self.held();
        (held.header.clone(), held.secrets.clone())
    }
}

impl Vault for SoftwareVault {
    fn secrets(&self) -> Arc<[Secret]> {
        Arc::clone(&self.held().listed)
    }

    fn generate(&self, request: NewSecret) -> Pending<'_, Secret, VaultError> {
        Box::pin(ready(self.generate_now(request)))
    }

    fn set_state<'a>(
        &'a self,
        handle: &'a SecretHandle,
        state: State,
        at: Instant,
    ) -> Pending<'a, Secret, VaultError> {
        Box::pin(ready(self.set_state_now(handle, state, at)))
    }

    fn destroy<'a>(&'a self, handle: &'a SecretHandle) -> Pending<'a, (), VaultError> {
        Box::pin(ready(self.destroy_now(handle)))
    }

    fn wrap_for<'a>(
        &'a self,
        handle: &'a SecretHandle,
        recipient: &'a VerifiedRecipient,
    ) -> Pending<'a, Delivery, WrapError> {
        Box::pin(ready(self.wrap_now(handle, recipient)))
    }

    fn answer_card<'a>(
        &'a self,
        handle: &'a SecretHandle,
        card: &'a CardInput,
        mode: Mode,
        challenge: &'a [u8; 16],
    ) -> Pending<'a, CardAnswer, CardError> {
        Box::pin(ready(self.answer_now(handle, card, mode, challenge)))
    }

    fn finish_card<'a>(
        &'a self,
        run: &'a RunId,
        response: &'a [u8],
    ) -> Pending<'a, Session, CardError> {
        Box::pin(ready(self.finish_now(run, response)))
    }

    fn wrap_card_key<'a>(
        &'a self,
        handle: &'a SecretHandle,
        card: &'a CardInput,
        process: &'a VerifiedRecipient,
    ) -> Pending<'a, Delivery, WrapError> {
        Box::pin(ready(self.wrap_card_now(handle, card, process)))
    }
}

impl fmt::Debug for SoftwareVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareVault").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Held {
    fn new(header: Header, secrets: Vec<Arc<Stored>>) -> Self {
        let listed = secrets.iter().map(|stored| stored.secret.clone()).collect();
        Self { header, secrets, listed }
    }
}

fn random<const N: usize>() -> Result<[u8; N], OpenError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| OpenError::Cryptography)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{SECRETS_MAX, SecretKind};
    use credential::delivery::Scope;

    #[test]
    fn one_secret_past_the_limit_is_refused() {
        let folder = std::env::temp_dir().join(format!("limen-vault-full-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("data")).unwrap();
        Unlock::create_key_file(&folder.join("key")).unwrap();
        let unlock = Unlock::key_file(&folder.join("key"), &folder.join("data")).unwrap();
        let vault = SoftwareVault::create(&folder.join("vault"), &unlock).unwrap();
        let request = NewSecret {
            kind: SecretKind::Zone,
            scope: Some(Scope { operator: "tram".parse().unwrap(), zone: None }),
            epoch: 0,
            kdf: None,
            state: State::Active,
            after: 0,
            at: Instant::from_unix_seconds(1_800_000_000),
        };
        vault.generate_now(request.clone()).unwrap();
        let (header, secrets) = vault.copy();
        let many = secrets.iter().cycle().take(SECRETS_MAX - 1).cloned().collect();
        vault.write(header, many).unwrap();
        assert!(vault.generate_now(request.clone()).is_ok());
        assert!(matches!(vault.generate_now(request), Err(VaultError::Full)));
        drop(vault);
        let opened = SoftwareVault::open(&folder.join("vault"), &unlock).unwrap();
        assert_eq!(opened.secrets().len(), SECRETS_MAX);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
