//! Keys of the hybrid suite whose halves lie apart: that of ES256 with any custodian, such as a token,
//! that of ML-DSA-44 in a sealed file beside it (layout: `specs/keystore.md`).
//!
//! [`Hybrid`] shows such a pair as one key; other keys of the custodian pass through. A half is never
//! shown and never signs alone. What the custodian signs is the short message of the composite, which
//! no longer is the object: put this in front of the custodian itself, not before a remote service,
//! which could not read what it signs.

use core::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aws_lc_rs::{digest, rand};
use credential::aws_lc::MlDsa44Key;
use credential::composite::{self, CompositeKey, ML_DSA_SEED_BYTES};
use credential::crypto::{PublicKey, Signature};
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use crate::custody::{
    BESIDE, CERTIFICATE_BYTES_MAX, Custody, KEYS_MAX, KeepError, Key, KeyHandle, NewKey, Pending,
    SignError, State,
};
use crate::file;
use crate::object::{TypedObject, certificate};
use crate::purpose::Suite;
use crate::seal::{Header, Kind, SealingKey, UnsealError, take};
use crate::software::OpenError;
use crate::unlock::Unlock;

/// A custodian with a sealed file of ML-DSA halves beside it.
pub struct Hybrid {
    classic: Arc<dyn Custody>,
    path: PathBuf,
    sealing_key: SealingKey,
    held: RwLock<Held>,
    /// One change at a time.
    writer: Mutex<()>,
}

struct Held {
    header: Header,
    halves: Vec<Arc<Half>>,
}

/// The half of ML-DSA, by the handle of its other half.
struct Half {
    classic: KeyHandle,
    ml_dsa: MlDsa44Key,
    certificate: Option<Arc<[u8]>>,
}

impl Hybrid {
    /// Makes an empty sealed file at `path`, which must not exist.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn create(
        path: &Path,
        unlock: &Unlock,
        classic: Arc<dyn Custody>,
    ) -> Result<Self, OpenError> {
        let (sealing_key, header) = create_sealed(path, unlock)?;
        Ok(Self::of(path, sealing_key, Held { header, halves: Vec::new() }, classic))
    }

    /// Makes an empty sealed file at `path`, which must not exist, for a custodian that opens it later.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn create_file(path: &Path, unlock: &Unlock) -> Result<(), OpenError> {
        create_sealed(path, unlock).map(|_| ())
    }

    /// Opens the sealed file at `path`.
    ///
    /// # Errors
    /// [`OpenError`]; [`UnsealError::Damaged`] for a keystore of another kind.
    pub fn open(
        path: &Path,
        unlock: &Unlock,
        classic: Arc<dyn Custody>,
    ) -> Result<Self, OpenError> {
        let sealed = file::read_secret(path)?;
        let header = Header::parse(&sealed)?;
        if header.kind != Kind::Halves {
            return Err(OpenError::Unseal(UnsealError::Damaged));
        }
        if header.secret != unlock.kind() {
            return Err(OpenError::OtherSecretKind { expected: header.secret });
        }
        let sealing_key = SealingKey::derive(unlock.secret(), &header)?;
        let plain = sealing_key.open(&header, &sealed)?;
        let halves = decode(&plain).ok_or(UnsealError::Damaged)?;
        Ok(Self::of(path, sealing_key, Held { header, halves }, classic))
    }

    fn of(path: &Path, sealing_key: SealingKey, held: Held, classic: Arc<dyn Custody>) -> Self {
        let held = RwLock::new(held);
        Self { classic, path: path.into(), sealing_key, held, writer: Mutex::new(()) }
    }

    fn halves(&self) -> Vec<Arc<Half>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).halves.clone()
    }

    /// The key as it is shown, and its half of ML-DSA if it has one.
    fn find(&self, handle: &KeyHandle) -> Option<(Key, Option<Arc<Half>>)> {
        let halves = self.halves();
        let shown = self.classic.keys();
        let mut shown = shown.iter().map(|key| show(key, &halves));
        shown.find(|(key, _)| key.handle == *handle)
    }

    /// Keeps what `change` makes of the halves: on disk first, then in memory.
    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Half>>)) -> Result<(), KeepError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut header, mut halves) = {
            let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
            (held.header.clone(), held.halves.clone())
        };
        change(&mut halves);
        let on_disk = file::read_secret(&self.path).map_err(KeepError::Write)?;
        if Header::parse(&on_disk).ok().as_ref() != Some(&header) {
            return Err(KeepError::ChangedMeanwhile);
        }
        rand::fill(&mut header.nonce).map_err(|_| KeepError::Cryptography)?;
        let sealed = self.sealing_key.seal(&header, &encode(&halves));
        let sealed = sealed.map_err(|_| KeepError::Cryptography)?;
        file::replace_secret(&self.path, &sealed).map_err(KeepError::Write)?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Held { header, halves };
        Ok(())
    }

    async fn sign_now(
        &self,
        handle: &KeyHandle,
        object: &TypedObject<'_>,
    ) -> Result<Signature, SignError> {
        let (key, half) = self.find(handle).ok_or(SignError::UnknownKey { handle: *handle })?;
        let Some(half) = half else { return self.classic.sign(handle, object).await };
        key.may_sign(object)?;
        let digest = digest::digest(&digest::SHA256, object.bytes());
        let digest = digest.as_ref().try_into().map_err(|_| SignError::Unavailable)?;
        let message = composite::message(digest);
        let es256 = self.classic.sign(&half.classic, &object.half(&message)).await?;
        let mut entropy = [0; 32];
        rand::fill(&mut entropy).map_err(|_| SignError::Unavailable)?;
        let ml_dsa = half.ml_dsa.sign(&message, composite::LABEL, entropy);
        let ml_dsa = ml_dsa.map_err(|_| SignError::Unavailable)?;
        composite::join(&ml_dsa, &es256).map_err(|_| SignError::Unavailable)
    }

    async fn generate_now(&self, request: NewKey) -> Result<Key, KeepError> {
        if request.suite != Suite::Es256MlDsa44 {
            return self.classic.generate(request).await;
        }
        if self.halves().len() >= KEYS_MAX {
            return Err(KeepError::Full);
        }
        // Without its other half, should this end here, it has no certificate and signs nothing.
        let (state, at) = (request.state, request.at);
        let asked = NewKey { suite: Suite::Es256, state: State::Published, ..request };
        let classic = self.classic.generate(asked).await?;
        let mut seed = Zeroizing::new([0; ML_DSA_SEED_BYTES]);
        rand::fill(&mut *seed).map_err(|_| KeepError::Cryptography)?;
        let ml_dsa = MlDsa44Key::from_seed(&seed);
        let half = Half { classic: classic.handle, ml_dsa, certificate: None };
        self.change(|halves| halves.push(Arc::new(half)))?;
        let classic = self.classic.set_state(&classic.handle, state, at).await?;
        Ok(show(&classic, &self.halves()).0)
    }

    async fn attach_now(&self, handle: &KeyHandle, der: &[u8]) -> Result<Key, KeepError> {
        let (key, half) = self.find(handle).ok_or(KeepError::UnknownKey { handle: *handle })?;
        let Some(half) = half else { return self.classic.attach_certificate(handle, der).await };
        if der.len() > CERTIFICATE_BYTES_MAX || !certificate::certifies(der, &key.public_key) {
            return Err(KeepError::Certificate);
        }
        let kept: Arc<[u8]> = Arc::from(der);
        self.change(|halves| {
            for slot in halves.iter_mut().filter(|it| it.classic == half.classic) {
                let ml_dsa = MlDsa44Key::from_seed(half.ml_dsa.danger_seed());
                let certificate = Some(Arc::clone(&kept));
                *slot = Arc::new(Half { classic: half.classic, ml_dsa, certificate });
            }
        })?;
        Ok(Key { certificate: Some(kept), ..key })
    }

    async fn set_state_now(
        &self,
        handle: &KeyHandle,
        state: State,
        at: Instant,
    ) -> Result<Key, KeepError> {
        let (_, half) = self.find(handle).ok_or(KeepError::UnknownKey { handle: *handle })?;
        let classic = half.map_or(*handle, |half| half.classic);
        let key = self.classic.set_state(&classic, state, at).await?;
        Ok(show(&key, &self.halves()).0)
    }

    async fn destroy_now(&self, handle: &KeyHandle) -> Result<(), KeepError> {
        let (_, half) = self.find(handle).ok_or(KeepError::UnknownKey { handle: *handle })?;
        let classic = half.as_ref().map_or(*handle, |half| half.classic);
        self.classic.destroy(&classic).await?;
        match half {
            Some(half) => self.change(|halves| halves.retain(|it| it.classic != half.classic)),
            None => Ok(()),
        }
    }
}

impl Custody for Hybrid {
    fn keys(&self) -> Arc<[Key]> {
        let halves = self.halves();
        if halves.is_empty() {
            return self.classic.keys();
        }
        self.classic.keys().iter().map(|key| show(key, &halves).0).collect()
    }

    fn sign<'a>(
        &'a self,
        handle: &'a KeyHandle,
        object: &'a TypedObject<'a>,
    ) -> Pending<'a, Signature, SignError> {
        Box::pin(self.sign_now(handle, object))
    }

    fn generate(&self, request: NewKey) -> Pending<'_, Key, KeepError> {
        Box::pin(self.generate_now(request))
    }

    fn attach_certificate<'a>(
        &'a self,
        handle: &'a KeyHandle,
        certificate: &'a [u8],
    ) -> Pending<'a, Key, KeepError> {
        Box::pin(self.attach_now(handle, certificate))
    }

    fn set_state<'a>(
        &'a self,
        handle: &'a KeyHandle,
        state: State,
        at: Instant,
    ) -> Pending<'a, Key, KeepError> {
        Box::pin(self.set_state_now(handle, state, at))
    }

    fn destroy<'a>(&'a self, handle: &'a KeyHandle) -> Pending<'a, (), KeepError> {
        Box::pin(self.destroy_now(handle))
    }
}

impl fmt::Debug for Hybrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hybrid").field("path", &self.path).finish_non_exhaustive()
    }
}

fn create_sealed(path: &Path, unlock: &Unlock) -> Result<(SealingKey, Header), OpenError> {
    let (mut salt, mut nonce) = ([0; 16], [0; 12]);
    rand::fill(&mut salt).map_err(|_| OpenError::Cryptography)?;
    rand::fill(&mut nonce).map_err(|_| OpenError::Cryptography)?;
    let header = Header::new(Kind::Halves, unlock.kind(), salt, nonce);
    let sealing_key = SealingKey::derive(unlock.secret(), &header)?;
    file::create_secret(path, &sealing_key.seal(&header, &encode(&[]))?)?;
    Ok((sealing_key, header))
}

/// A key of the custodian as it is shown: with its half of ML-DSA, if there is one.
fn show(key: &Key, halves: &[Arc<Half>]) -> (Key, Option<Arc<Half>>) {
    let half = halves.iter().find(|half| half.classic == key.handle);
    let (Some(half), PublicKey::P256(point)) = (half, &key.public_key) else {
        return (key.clone(), None);
    };
    let public_key = PublicKey::from(CompositeKey::new(half.ml_dsa.public(), point));
    let shown = Key {
        handle: KeyHandle::of(public_key.as_bytes()),
        suite: Suite::Es256MlDsa44,
        public_key,
        certificate: half.certificate.clone(),
        held_by: Arc::from(format!("{}{BESIDE}", key.held_by)),
        ..key.clone()
    };
    (shown, Some(Arc::clone(half)))
}

/// Count of 4 bytes; for each the handle of 16, the seed of 32, length of 4 and certificate.
fn encode(halves: &[Arc<Half>]) -> Zeroizing<Vec<u8>> {
    let certificate = |half: &Half| half.certificate.as_ref().map_or(0, |der| der.len());
    let bytes: usize = halves.iter().map(|half| 16 + 32 + 4 + certificate(half)).sum();
    // Reserved at its exact size, so that no copy stays behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(4 + bytes));
    // INVARIANT: there are at most `KEYS_MAX` halves, and certificates have their limit.
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
    plain.extend_from_slice(&number(halves.len()));
    for half in halves {
        plain.extend_from_slice(half.classic.as_bytes());
        plain.extend_from_slice(half.ml_dsa.danger_seed());
        plain.extend_from_slice(&number(certificate(half)));
        plain.extend_from_slice(half.certificate.as_deref().unwrap_or_default());
    }
    plain
}

fn decode(plain: &[u8]) -> Option<Vec<Arc<Half>>> {
    let (count, mut rest) = take::<4>(plain)?;
    let count = usize::try_from(u32::from_be_bytes(count)).ok().filter(|it| *it <= KEYS_MAX)?;
    let mut halves = Vec::with_capacity(count);
    for _ in 0..count {
        let (handle, after) = take::<16>(rest)?;
        let (seed, after) = after.split_first_chunk()?;
        let (length, after) = take::<4>(after)?;
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
        let (der, after) = after.split_at_checked(length)?;
        if length > CERTIFICATE_BYTES_MAX {
            return None;
        }
        let certificate = (!der.is_empty()).then(|| Arc::from(der));
        let ml_dsa = MlDsa44Key::from_seed(seed);
        halves.push(Arc::new(Half { classic: KeyHandle::from_bytes(handle), ml_dsa, certificate }));
        rest = after;
    }
    rest.is_empty().then_some(halves)
}
