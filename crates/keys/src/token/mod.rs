//! Keys on a token behind PKCS#11 (OASIS PKCS #11 2.40 and later; objects: `specs/token.md`).
//!
//! A module of the vendor is loaded at run time; the token is found by its label, never by the number
//! of its slot, which some modules change. [`pool::Pool`] keeps the sessions and finds the way back
//! after the token or its module went away. The PIN comes by reference only ([`pin::PinSource`]).
//!
//! [`Token`] is the custodian. Its keys are made on the token and never leave it; hashes are taken
//! here, the token signs digests. A key that may do more than its class ([`class`]) is not used.

use core::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use credential::crypto::Signature;
use vocabulary::time::Instant;

use crate::custody::{Custody, KeepError, Key, KeyHandle, NewKey, Pending, SignError, State};
use crate::object::TypedObject;
use crate::purpose::Purpose;
use crate::token::keeper::Keeper;
use crate::token::listing::RefusedKey;
use crate::token::pin::Pin;
use crate::token::pool::{Pool, PoolError};
use crate::token::signers::Signers;

mod changes;
pub mod class;
mod desk;
pub mod doctor;
mod error;
mod keeper;
mod label;
pub mod listing;
pub mod lock;
mod mechanism;
mod module;
mod officer;
pub mod pin;
pub mod pool;
pub mod probe;
pub mod quirks;
pub mod signers;
mod wrapping;

/// Which token, through which module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The vendor's PKCS#11 module: the path of a shared library.
    pub module: PathBuf,
    /// The label of the token, without the blanks that pad it.
    pub label: String,
}

/// What a token holds. The root lies on a token of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The keys that a running city signs with.
    City,
    /// The root, for a ceremony.
    Root,
}

impl Role {
    /// Whether keys of `purpose` lie on a token in this role.
    #[must_use]
    pub const fn holds(self, purpose: Purpose) -> bool {
        matches!(purpose, Purpose::CityRoot) == matches!(self, Self::Root)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::City => "city",
            Self::Root => "root",
        })
    }
}

/// The custodian whose keys lie on a token. One for each token and role: see [`lock`].
pub struct Token {
    keeper: Arc<Keeper>,
    /// Gone only while it is dropped.
    signers: Option<Signers>,
}

impl Token {
    /// Opens the token and takes it for this process.
    ///
    /// What a crash left half made is swept away. Blocks until the token has answered.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open(settings: &Settings, pin: Pin, role: Role) -> Result<Self, TokenError> {
        let pool = Pool::open(settings, pin)?;
        Self::begin(Keeper::open(pool, role, None)?, settings)
    }

    /// As [`Token::open`] in the role [`Role::Root`], with the security officer, who makes the wrapping
    /// key of a ceremony trusted. The officer logs in when the root is wrapped, and once before, to try.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open_with_officer(
        settings: &Settings,
        pin: Pin,
        officer: Pin,
    ) -> Result<Self, TokenError> {
        let pool = Pool::open(settings, pin)?;
        Self::begin(Keeper::open(pool, Role::Root, Some(officer))?, settings)
    }

    fn begin(keeper: Keeper, settings: &Settings) -> Result<Self, TokenError> {
        let started = Signers::start(keeper.quirks().signers, &settings.label);
        match started {
            Ok(signers) => Ok(Self { keeper: Arc::new(keeper), signers: Some(signers) }),
            Err(source) => {
                keeper.leave();
                Err(TokenError::Threads { source })
            }
        }
    }

    /// Keys with a label of ours that are not used, and why.
    #[must_use]
    pub fn refused(&self) -> Arc<[RefusedKey]> {
        Arc::clone(&self.keeper.listing().refused)
    }

    /// What kept the token from serving last, until it serves again; for a log.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.keeper.trouble()
    }

    /// The sessions with the token.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        self.keeper.pool()
    }

    /// Has `work` done by a thread that may wait for the token; `None` when it cannot be.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Keeper) -> T + Send + 'static,
    ) -> Option<T> {
        let keeper = Arc::clone(&self.keeper);
        self.signers.as_ref()?.ask(move || work(&keeper))?.await.ok()
    }

    async fn keep<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Keeper) -> Result<T, KeepError> + Send + 'static,
    ) -> Result<T, KeepError> {
        self.ask(work).await.unwrap_or(Err(KeepError::Unavailable))
    }

    /// Reads the list of keys again when it has grown old; does not wait for it.
    fn refresh_if_old(&self) {
        if let Some(signers) = &self.signers
            && self.keeper.begin_refresh_if_old()
        {
            let keeper = Arc::clone(&self.keeper);
            if !signers.tell(move || keeper.refresh_begun()) {
                self.keeper.refresh_not_begun();
            }
        }
    }
}

impl Custody for Token {
    fn keys(&self) -> Arc<[Key]> {
        self.refresh_if_old();
        Arc::clone(&self.keeper.listing().keys)
    }

    fn sign<'a>(
        &'a self,
        handle: &'a KeyHandle,
        object: &'a TypedObject<'a>,
    ) -> Pending<'a, Signature, SignError> {
        self.refresh_if_old();
        Box::pin(async move {
            let mut order = self.keeper.prepare(handle, object);
            // Another process may have made the key since the list was read.
            if matches!(order, Err(SignError::UnknownKey { .. })) {
                self.ask(Keeper::refresh_for_unknown).await.ok_or(SignError::Unavailable)?;
                order = self.keeper.prepare(handle, object);
            }
            let order = order?;
            let keeper = Arc::clone(&self.keeper);
            let asked = self.signers.as_ref().and_then(|s| s.sign(move || keeper.sign(&order)));
            asked.ok_or(SignError::Unavailable)?.await.unwrap_or(Err(SignError::Unavailable))
        })
    }

    fn generate(&self, request: NewKey) -> Pending<'_, Key, KeepError> {
        Box::pin(self.keep(move |keeper| keeper.generate(request)))
    }

    fn attach_certificate<'a>(
        &'a self,
        handle: &'a KeyHandle,
        certificate: &'a [u8],
    ) -> Pending<'a, Key, KeepError> {
        let (handle, certificate) = (*handle, certificate.to_vec());
        Box::pin(self.keep(move |keeper| keeper.attach(&handle, &certificate)))
    }

    fn set_state<'a>(
        &'a self,
        handle: &'a KeyHandle,
        state: State,
        at: Instant,
    ) -> Pending<'a, Key, KeepError> {
        let handle = *handle;
        Box::pin(self.keep(move |keeper| keeper.set_state(&handle, state, at)))
    }

    fn destroy<'a>(&'a self, handle: &'a KeyHandle) -> Pending<'a, (), KeepError> {
        let handle = *handle;
        Box::pin(self.keep(move |keeper| keeper.destroy(&handle)))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("pool", self.pool()).finish_non_exhaustive()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // First what is under way, then the mark that keeps others out.
        self.signers = None;
        self.keeper.leave();
    }
}

/// Why a token does not serve as a custodian.
#[derive(Debug)]
pub enum TokenError {
    /// It was not opened.
    Pool(PoolError),
    /// Another custodian has it, or a process that crashed on another machine had it.
    InUse {
        /// The label of the token.
        label: String,
        /// The mark of that process.
        holder: String,
    },
    /// The running city was to use a token that holds the root.
    HoldsRoot {
        /// The label of the token.
        label: String,
    },
    /// A ceremony was to use a token that holds other keys than the root.
    HoldsOthers {
        /// The label of the token.
        label: String,
    },
    /// The system gave no threads.
    Threads {
        /// What it said.
        source: io::Error,
    },
}

impl From<PoolError> for TokenError {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool(error) => write!(f, "open token: {error}"),
            Self::InUse { label, holder } => write!(
                f,
                "open token `{label}`: another custodian uses it (`{holder}`); stop that one, or \
                 remove its mark if its machine is gone"
            ),
            Self::HoldsRoot { label } => write!(
                f,
                "open token `{label}`: it holds the city root, which only a ceremony may use"
            ),
            Self::HoldsOthers { label } => write!(
                f,
                "open token `{label}`: it holds other keys than the root; give the root its own"
            ),
            Self::Threads { .. } => f.write_str("open token: the system gives no more threads"),
        }
    }
}

impl core::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Pool(error) => error.source(),
            Self::Threads { source } => Some(source),
            _ => None,
        }
    }
}
