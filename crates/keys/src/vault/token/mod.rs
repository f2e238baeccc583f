//! The vault on a token behind PKCS#11: the keys never are in this process.
//!
//! Epoch and zone keys are made on the token for wrapping and for nothing else; a card master derives.
//! What is agreed or derived is a session object, sensitive, destroyed after its one use. The token's
//! mechanisms are looked at when it is opened: a master whose policy names one that is missing is
//! refused, never served by another.

use core::fmt;
use core::future::ready;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::rand;
use credential::delivery::recipient::VerifiedRecipient;
use credential::delivery::{Delivery, Kcv, Purpose};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::Attribute;
use vocabulary::time::Instant;

use self::object::TokenKey;
use super::authentications::{Authentications, Run};
use super::cipher::CardCipher;
use super::diversify::{CardInput, Kdf};
use super::error::{CardError, VaultError, WrapError};
use super::ev2::{self, Mode};
use super::outer::{Parcel, check_point, deliver};
use super::{CardAnswer, NewSecret, RunId, Secret, SecretHandle, Vault};
use crate::custody::{Pending, State};
use crate::token::Settings;
use crate::token::pin::Pin;
use crate::token::pool::{Pool, PoolError};

mod label;
mod object;

/// Without these nothing works here.
const NEEDED: [(MechanismType, &str); 6] = [
    (MechanismType::AES_KEY_GEN, "CKM_AES_KEY_GEN"),
    (MechanismType::ECC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN"),
    (MechanismType::ECDH1_DERIVE, "CKM_ECDH1_DERIVE"),
    (MechanismType::AES_KEY_WRAP, "CKM_AES_KEY_WRAP"),
    (MechanismType::AES_CMAC, "CKM_AES_CMAC"),
    (MechanismType::AES_CBC, "CKM_AES_CBC"),
];

const fn of_kdf(kdf: Kdf) -> &'static [(MechanismType, &'static str)] {
    match kdf {
        Kdf::Sp800108Cmac => &[(MechanismType::SP800_108_COUNTER_KDF, "CKM_SP800_108_COUNTER_KDF")],
        Kdf::An10922CbcFallback => &[
            (MechanismType::AES_CBC_ENCRYPT_DATA, "CKM_AES_CBC_ENCRYPT_DATA"),
            (MechanismType::AES_ECB, "CKM_AES_ECB"),
        ],
    }
}

/// Secret keys on one token.
pub struct TokenVault {
    pool: Pool,
    mechanisms: Vec<MechanismType>,
    listed: RwLock<Arc<[Secret]>>,
    runs: Authentications,
}

impl TokenVault {
    /// Opens the token that `settings` name.
    ///
    /// # Errors
    /// [`OpenVaultError`]: among them a mechanism that is missing, and a key with a wider usage than
    /// its kind has.
    pub fn open(settings: &Settings, pin: Pin) -> Result<Self, OpenVaultError> {
        Self::over(Pool::open(settings, pin).map_err(OpenVaultError::Pool)?)
    }

    /// Opens the token of `pool`.
    ///
    /// # Errors
    /// As [`TokenVault::open`].
    pub fn over(pool: Pool) -> Result<Self, OpenVaultError> {
        let mechanisms = pool.with_slot(|library, slot| library.get_mechanism_list(slot));
        let mechanisms = mechanisms.map_err(OpenVaultError::Pool)?;
        if let Some((_, name)) = NEEDED.iter().find(|(needed, _)| !mechanisms.contains(needed)) {
            return Err(OpenVaultError::Mechanism { name });
        }
        let listed = list(&pool)?;
        let runs = Authentications::default();
        Ok(Self { pool, mechanisms, listed: RwLock::new(listed), runs })
    }

    /// The mechanism of `kdf` that this token lacks, if it lacks one.
    #[must_use]
    pub fn missing(&self, kdf: Kdf) -> Option<&'static str> {
        let has = |mechanism: &MechanismType| self.mechanisms.contains(mechanism);
        of_kdf(kdf).iter().find(|(needed, _)| !has(needed)).map(|(_, name)| *name)
    }

    fn generate_now(&self, request: NewSecret) -> Result<Secret, VaultError> {
        request.check()?;
        if let Some(kdf) = request.kdf
            && let Some(mechanism) = self.missing(kdf)
        {
            return Err(VaultError::KdfNotHere { kdf, mechanism });
        }
        let mut listed = self.listed.write().unwrap_or_else(PoisonError::into_inner);
        let secret = request.named(listed.iter(), &self.held_by())?;
        let made = self.pool.once(|session| object::generate(session, secret.clone()));
        let made = made.map_err(|_| VaultError::Unavailable)?;
        *listed = listed.iter().cloned().chain([made.clone()]).collect();
        Ok(made)
    }

    fn set_state_now(
        &self,
        handle: &SecretHandle,
        state: State,
        at: Instant,
    ) -> Result<Secret, VaultError> {
        let mut listed = self.listed.write().unwrap_or_else(PoisonError::into_inner);
        let before = listed.iter().find(|secret| secret.handle == *handle).cloned();
        let before = before.ok_or(VaultError::Unknown { handle: *handle })?;
        let secret = before.moved(state, at)?;
        let written = self.pool.with(|session| {
            let Some(object) = object::find(session, handle)? else { return Ok(false) };
            let text = label::write(&secret);
            session.update_attributes(object, &[Attribute::Label(text.into_bytes())])?;
            Ok(true)
        });
        match written {
            Ok(true) => {}
            Ok(false) => return Err(VaultError::Unknown { handle: *handle }),
            Err(_) => return Err(VaultError::Unavailable),
        }
        let replace =
            |known: &Secret| if known.handle == *handle { &secret } else { known }.clone();
        *listed = listed.iter().map(replace).collect();
        Ok(secret)
    }

    fn destroy_now(&self, handle: &SecretHandle) -> Result<(), VaultError> {
        let mut listed = self.listed.write().unwrap_or_else(PoisonError::into_inner);
        let before = listed.iter().find(|secret| secret.handle == *handle);
        before.ok_or(VaultError::Unknown { handle: *handle })?.may_end()?;
        let destroyed = self.pool.with(|session| match object::find(session, handle)? {
            Some(object) => session.destroy_object(object),
            None => Ok(()),
        });
        destroyed.map_err(|_| VaultError::Unavailable)?;
        *listed = listed.iter().filter(|secret| secret.handle != *handle).cloned().collect();
        Ok(())
    }

    fn wrap_now(
        &self,
        handle: &SecretHandle,
        recipient: &VerifiedRecipient,
    ) -> Result<Delivery, WrapError> {
        let secret = self.secret(handle).ok_or(WrapError::Unknown { handle: *handle })?;
        let (purpose, scope) = secret.delivered()?;
        let Secret { epoch, version, kcv, .. } = secret;
        check_point(recipient.keys())?;
        let point = recipient.keys().p256();
        let inner = self.pool.with(|session| match object::find(session, handle)? {
            Some(object) => object::wrap(session, object, point).map(Some),
            None => Ok(None),
        });
        let inner = inner.map_err(|_| WrapError::Unavailable)?;
        let inner = inner.ok_or(WrapError::Unknown { handle: *handle })?;
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
        let answered =
            self.with_card_key(handle, card, |key| Ok(ev2::answer(key, mode, challenge, rnd_a)?));
        let (challenged, answer) = answered?;
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
        self.with_card_key(handle, card, |key| Ok(key.mac(message)?))
    }

    fn finish_now(&self, run: &RunId, response: &[u8]) -> Result<ev2::Session, CardError> {
        let Run { master, card, challenged } = self.runs.take(run)?;
        self.with_card_key(&master, &card, |key| ev2::finish(key, &challenged, response))
    }

    /// Derives the key of `card`, lets `work` use it, and destroys it.
    fn with_card_key<T>(
        &self,
        handle: &SecretHandle,
        card: &CardInput,
        work: impl Fn(&dyn CardCipher) -> Result<T, CardError>,
    ) -> Result<T, CardError> {
        let secret = self.secret(handle).ok_or(CardError::Unknown { handle: *handle })?;
        let kdf = secret.kdf_in_use()?;
        if let Some(mechanism) = self.missing(kdf) {
            return Err(CardError::KdfNotHere { kdf, mechanism });
        }
        let done = self.pool.with(|session| {
            let Some(master) = object::find(session, handle)? else {
                return Ok(Err(CardError::Unknown { handle: *handle }));
            };
            let derived = object::derive(session, master, kdf, card, &object::card_key())?;
            let key = TokenKey::new(session, derived.handle());
            let answer = work(&key);
            match key.fault() {
                Some(fault) => Err(fault),
                None => Ok(answer),
            }
        });
        done.map_err(|_| CardError::Unavailable)?
    }

    fn wrap_card_now(
        &self,
        handle: &SecretHandle,
        card: &CardInput,
        process: &VerifiedRecipient,
    ) -> Result<Delivery, WrapError> {
        let secret = self.secret(handle).ok_or(WrapError::Unknown { handle: *handle })?;
        let (kdf, scope) = secret.master()?;
        if let Some(mechanism) = self.missing(kdf) {
            return Err(WrapError::KdfNotHere { kdf, mechanism });
        }
        let mac = self.with_card_key(handle, card, |key| Ok(key.mac(&[0; 16])?));
        let kcv = Kcv::of_mac(&mac.map_err(|_| WrapError::Unavailable)?);
        check_point(process.keys())?;
        let point = process.keys().p256();
        let inner = self.pool.with(|session| {
            let Some(master) = object::find(session, handle)? else { return Ok(None) };
            let derived = object::derive(session, master, kdf, card, &object::card_key_to_wrap())?;
            object::wrap(session, derived.handle(), point).map(Some)
        });
        let inner = inner.map_err(|_| WrapError::Unavailable)?;
        let inner = inner.ok_or(WrapError::Unknown { handle: *handle })?;
        let (purpose, subject) = (Purpose::Card, card.as_bytes().to_vec());
        let version = secret.version;
        deliver(process, Parcel { purpose, scope, epoch: 0, version, subject, kcv }, &inner)
    }

    fn held_by(&self) -> String {
        format!("token:{}", self.pool.label())
    }

    fn secret(&self, handle: &SecretHandle) -> Option<Secret> {
        self.secrets().iter().find(|secret| secret.handle == *handle).cloned()
    }

    /// Puts a card master with a known value on the token, for tests with published values.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn danger_import(&self, request: NewSecret, key: &[u8; 16]) -> Result<Secret, VaultError> {
        request.check()?;
        let wrong = VaultError::Request { kind: request.kind, field: "kdf" };
        let kdf = request.kdf.ok_or(wrong)?;
        if let Some(mechanism) = self.missing(kdf) {
            return Err(VaultError::KdfNotHere { kdf, mechanism });
        }
        let kcv = super::cipher::kcv(key)?;
        let secret = Secret { kcv, ..request.named([].iter(), &self.held_by())? };
        let made = self.pool.once(|session| object::import(session, &secret, key));
        made.map_err(|_| VaultError::Unavailable)?;
        let mut listed = self.listed.write().unwrap_or_else(PoisonError::into_inner);
        *listed = listed.iter().cloned().chain([secret.clone()]).collect();
        Ok(secret)
    }
}

/// The secrets of the token, oldest first, each with the usage of its kind and no more.
fn list(pool: &Pool) -> Result<Arc<[Secret]>, OpenVaultError> {
    let found = pool.with(object::list).map_err(OpenVaultError::Pool)?;
    let mut secrets = Vec::with_capacity(found.len());
    for (text, wide) in found {
        let Some(text) = text.filter(|text| text.starts_with(label::PREFIX)) else { continue };
        let held_by = Arc::from(format!("token:{}", pool.label()));
        let secret = label::read(&text, held_by).ok_or(OpenVaultError::Label { text })?;
        if let Some(usage) = wide(&secret) {
            return Err(OpenVaultError::TooWide { handle: secret.handle, usage });
        }
        secrets.push(secret);
    }
    secrets.sort_by_key(|secret| (secret.created_at, secret.version));
    Ok(secrets.into())
}

impl Vault for TokenVault {
    fn secrets(&self) -> Arc<[Secret]> {
        Arc::clone(&self.listed.read().unwrap_or_else(PoisonError::into_inner))
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
    ) -> Pending<'a, ev2::Session, CardError> {
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

impl fmt::Debug for TokenVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVault").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// Why a token does not serve as a vault.
#[derive(Debug)]
pub enum OpenVaultError {
    /// The token cannot be reached.
    Pool(PoolError),
    /// It lacks a mechanism without which nothing works.
    Mechanism {
        /// Its name in PKCS#11.
        name: &'static str,
    },
    /// A key may be used for more than its kind: somebody made or changed it by other means.
    TooWide {
        /// Which.
        handle: SecretHandle,
        /// The attribute that should be false.
        usage: &'static str,
    },
    /// A key is labelled like one of ours and cannot be read as one.
    Label {
        /// The label.
        text: String,
    },
}

impl fmt::Display for OpenVaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool(error) => write!(f, "open vault: {error}"),
            Self::Mechanism { name } => write!(f, "open vault: the token lacks `{name}`"),
            Self::TooWide { handle, usage } => write!(
                f,
                "open vault: `{handle}` has `{usage}`, which its kind does not; destroy it with the \
                 vendor's tool and make another"
            ),
            Self::Label { text } => {
                write!(f, "open vault: the key labelled `{}` is none of ours", text.escape_debug())
            }
        }
    }
}

impl core::error::Error for OpenVaultError {}
