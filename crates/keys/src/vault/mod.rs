//! The city's symmetric keys: epoch and zone keys for readers, card masters, transport and wrapping
//! keys (`specs/key-delivery.md`, `specs/card-keys.md`).
//!
//! [`Vault`] is to them what [`crate::custody::Custody`] is to signing keys, and no call of it returns
//! the bytes of a key: a reader gets one wrapped for itself alone, a card is authenticated inside, and
//! the one process that writes keys into cards gets a card key wrapped for its one run.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::rand;
use credential::delivery::recipient::VerifiedRecipient;
use credential::delivery::{Delivery, Kcv, Purpose, Scope};
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use crate::custody::{Pending, State};

pub mod applications;
mod authentications;
pub(crate) mod cipher;
mod contents;
pub mod desk;
pub mod diversify;
mod error;
pub mod ev2;
pub mod exchange;
pub mod express;
pub mod messaging;
mod outer;
pub mod pair;
pub mod personalise;
pub mod rekey;
pub mod remote;
pub mod software;
pub mod token;
mod transport;
mod wire;

use self::diversify::{CardInput, Kdf};
pub use self::error::{CardError, VaultError, WrapError};
use self::ev2::Mode;

/// Secret keys that one vault holds.
pub const SECRETS_MAX: usize = 4096;
/// How many epochs ahead of the one at hand a key may be made: what is made is what can be stolen.
pub const EPOCHS_AHEAD_MAX: u64 = 2;

/// Holds secret keys and works with them.
pub trait Vault: Send + Sync {
    /// Every secret, without its bytes, oldest first.
    fn secrets(&self) -> Arc<[Secret]>;

    /// Brings the list up to date, where others may have changed it.
    ///
    /// Fails with [`VaultError::Unavailable`]; the list is then as it was seen last.
    fn look(&self) -> Pending<'_, (), VaultError> {
        Box::pin(core::future::ready(Ok(())))
    }

    /// Makes a new secret and keeps it durably before it answers. Its version is one more than the
    /// greatest of its kind, scope and epoch.
    fn generate(&self, request: NewSecret) -> Pending<'_, Secret, VaultError>;

    /// Moves the secret on to `state`, never back; kept durably before it answers.
    fn set_state<'a>(
        &'a self,
        handle: &'a SecretHandle,
        state: State,
        at: Instant,
    ) -> Pending<'a, Secret, VaultError>;

    /// Destroys the retired secret `handle`.
    fn destroy<'a>(&'a self, handle: &'a SecretHandle) -> Pending<'a, (), VaultError>;

    /// Wraps an epoch or zone key for one reader.
    fn wrap_for<'a>(
        &'a self,
        handle: &'a SecretHandle,
        recipient: &'a VerifiedRecipient,
    ) -> Pending<'a, Delivery, WrapError>;

    /// First half of an EV2-style authentication with the key of `card` under the master `handle`: the
    /// card's answer to its first command in, what is sent to it next out.
    fn answer_card<'a>(
        &'a self,
        handle: &'a SecretHandle,
        card: &'a CardInput,
        mode: Mode,
        challenge: &'a [u8; 16],
    ) -> Pending<'a, CardAnswer, CardError>;

    /// Second half: the card's last answer in, the keys of the session out. A run is good once.
    fn finish_card<'a>(
        &'a self,
        run: &'a RunId,
        response: &'a [u8],
    ) -> Pending<'a, ev2::Session, CardError>;

    /// The key of `card` under the master `handle`, for the process that writes it into the card. Its
    /// caller answers for that process and has recorded the deed before ([`personalise`]).
    fn wrap_card_key<'a>(
        &'a self,
        handle: &'a SecretHandle,
        card: &'a CardInput,
        process: &'a VerifiedRecipient,
    ) -> Pending<'a, Delivery, WrapError>;

    /// The newest version of the secret of `kind`, `scope` and `epoch` that is in use or to come.
    fn current(&self, kind: SecretKind, scope: &Scope, epoch: u64) -> Option<Secret> {
        let secrets = self.secrets();
        let candidates = secrets.iter().filter(|secret| {
            secret.kind == kind
                && secret.scope.as_ref() == Some(scope)
                && secret.epoch == epoch
                && secret.state != State::Retired
        });
        candidates.max_by_key(|secret| secret.version).cloned()
    }
}

/// What a secret key is for, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretKind {
    /// AES-256, delivered to readers; one per scope and epoch. Wrap-only.
    Epoch,
    /// AES-256, delivered to readers; one per scope. Wrap-only.
    Zone,
    /// AES-128, from which card keys are derived. Never wrapped.
    CardMaster,
    /// AES-256, under which the city's keys travel between its own custodians. Wrap-only.
    Transport,
    /// AES-256, which wraps keys for backup and nothing else. Never wrapped here.
    Wrapping,
}

impl SecretKind {
    /// Every kind, in the order of their stored numbers.
    pub const ALL: [Self; 5] =
        [Self::Epoch, Self::Zone, Self::CardMaster, Self::Transport, Self::Wrapping];

    /// The name, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Zone => "zone",
            Self::CardMaster => "card-master",
            Self::Transport => "transport",
            Self::Wrapping => "wrapping",
        }
    }

    /// Bytes of a key of this kind.
    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::CardMaster => 16,
            _ => 32,
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Epoch => 1,
            Self::Zone => 2,
            Self::CardMaster => 3,
            Self::Transport => 4,
            Self::Wrapping => 5,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// As what a reader gets it, if readers get it.
    pub(crate) const fn delivered_as(self) -> Option<credential::delivery::Purpose> {
        match self {
            Self::Epoch => Some(credential::delivery::Purpose::Epoch),
            Self::Zone => Some(credential::delivery::Purpose::Zone),
            _ => None,
        }
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SecretKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// What is asked for when a secret is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSecret {
    /// What it is for.
    pub kind: SecretKind,
    /// Where it is good: of epoch, zone and card keys, and of no other.
    pub scope: Option<Scope>,
    /// The epoch of an epoch key, at most [`EPOCHS_AHEAD_MAX`] ahead of the one at hand and none of
    /// the past; 0 for every other.
    pub epoch: u64,
    /// How card keys are derived: of card masters, and of no other.
    pub kdf: Option<Kdf>,
    /// [`State::Published`] for a successor that others must learn of first.
    pub state: State,
    /// The greatest version that another vault gave for this kind, scope and epoch; 0 where there is
    /// no other.
    pub after: u32,
    /// Now.
    pub at: Instant,
}

impl NewSecret {
    /// Whether the fields fit the kind.
    ///
    /// # Errors
    /// [`VaultError::Request`] naming the field.
    pub fn check(&self) -> Result<(), VaultError> {
        let kind = self.kind;
        let has_scope =
            matches!(kind, SecretKind::Epoch | SecretKind::Zone | SecretKind::CardMaster);
        let now = credential::delivery::epoch_at(self.at);
        let epochs = now.max(1)..=now.saturating_add(EPOCHS_AHEAD_MAX);
        let is_epoch_right = match kind {
            SecretKind::Epoch => epochs.contains(&self.epoch),
            _ => self.epoch == 0,
        };
        let wrong = [
            (self.scope.is_some() != has_scope, "scope"),
            (!is_epoch_right, "epoch"),
            (self.kdf.is_some() != (kind == SecretKind::CardMaster), "kdf"),
            (self.state == State::Retired, "state"),
        ];
        match wrong.into_iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, field)) => Err(VaultError::Request { kind, field }),
            None => Ok(()),
        }
    }
}

/// A secret key as all may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Names it.
    pub handle: SecretHandle,
    /// What it is for.
    pub kind: SecretKind,
    /// Where it is good.
    pub scope: Option<Scope>,
    /// The epoch of an epoch key; 0 for every other.
    pub epoch: u64,
    /// Counts those of one kind, scope and epoch, from 1.
    pub version: u32,
    /// How card keys are derived from it.
    pub kdf: Option<Kdf>,
    /// Its check value.
    pub kcv: Kcv,
    /// Where it stands in its life.
    pub state: State,
    /// Since when.
    pub state_since: Instant,
    /// When it was made.
    pub created_at: Instant,
    /// Who holds it: `software`, or `token:` and the label of the token.
    pub held_by: Arc<str>,
}

impl NewSecret {
    /// The secret that is to be made, with a name and the next version among those that are `known`, and
    /// without a check value yet.
    pub(crate) fn named<'s>(
        self,
        known: impl Iterator<Item = &'s Secret> + Clone,
        held_by: &str,
    ) -> Result<Secret, VaultError> {
        if known.clone().count() >= SECRETS_MAX {
            return Err(VaultError::Full);
        }
        let Self { kind, scope, epoch, kdf, state, after, at } = self;
        let like = known.filter(|it| it.kind == kind && it.scope == scope && it.epoch == epoch);
        let last = like.map(|secret| secret.version).max().unwrap_or(0).max(after);
        let version = last.checked_add(1).ok_or(VaultError::Full)?;
        let mut handle = [0; 16];
        rand::fill(&mut handle).map_err(|_| VaultError::Cryptography)?;
        Ok(Secret {
            handle: SecretHandle::from_bytes(handle),
            kind,
            scope,
            epoch,
            version,
            kdf,
            kcv: Kcv([0; 5]),
            state,
            state_since: at,
            created_at: at,
            held_by: Arc::from(held_by),
        })
    }
}

impl Secret {
    /// The same, moved on to `state`.
    pub(crate) fn moved(self, state: State, at: Instant) -> Result<Self, VaultError> {
        if state < self.state {
            return Err(VaultError::Backwards { state: self.state });
        }
        let state_since = if state == self.state { self.state_since } else { at };
        Ok(Self { state, state_since, ..self })
    }

    /// Whether it may be destroyed.
    pub(crate) fn may_end(&self) -> Result<(), VaultError> {
        match self.state {
            State::Retired => Ok(()),
            state => Err(VaultError::Backwards { state }),
        }
    }

    /// As what and where it is delivered to a reader, if it is.
    pub(crate) fn delivered(&self) -> Result<(Purpose, Scope), WrapError> {
        let purpose = self.kind.delivered_as().ok_or(WrapError::Kind { kind: self.kind })?;
        Ok((purpose, self.in_use()?))
    }

    /// How keys of cards are derived from it and where they are good, if it is a master.
    pub(crate) fn master(&self) -> Result<(Kdf, Scope), WrapError> {
        let kdf = self.kdf.filter(|_| self.kind == SecretKind::CardMaster);
        Ok((kdf.ok_or(WrapError::Kind { kind: self.kind })?, self.in_use()?))
    }

    /// How keys of cards are derived from it, if it is a master that is in use.
    pub(crate) fn kdf_in_use(&self) -> Result<Kdf, CardError> {
        let kdf = self.kdf.filter(|_| self.state != State::Retired);
        kdf.ok_or(CardError::NotAMaster { handle: self.handle })
    }

    fn in_use(&self) -> Result<Scope, WrapError> {
        let scope = self.scope.clone().ok_or(WrapError::Kind { kind: self.kind })?;
        match self.state {
            State::Retired => Err(WrapError::Retired { handle: self.handle }),
            _ => Ok(scope),
        }
    }
}

/// Names a secret: sixteen random bytes, which tell nothing of it. Text form `secret_` and 32
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretHandle(pub(crate) [u8; 16]);

impl SecretHandle {
    /// From the bytes that were drawn when the secret was made.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SecretHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret_{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SecretHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SecretHandle {
    type Err = ParseSecretHandleError;

    fn from_str(text: &str) -> Result<Self, ParseSecretHandleError> {
        let digits = text.strip_prefix("secret_").ok_or(ParseSecretHandleError)?;
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if digits.len() != 32 || !digits.bytes().all(lower) {
            return Err(ParseSecretHandleError);
        }
        let value = u128::from_str_radix(digits, 16).map_err(|_| ParseSecretHandleError)?;
        Ok(Self(value.to_be_bytes()))
    }
}

/// A text that is not the handle of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseSecretHandleError;

impl fmt::Display for ParseSecretHandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not the handle of a secret: expected `secret_` and 32 lower-case hexadecimal digits",
        )
    }
}

impl core::error::Error for ParseSecretHandleError {}

/// Names one authentication under way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RunId(pub [u8; 16]);

/// What is sent to the card, and the run by which its answer is known again.
#[derive(Clone, Debug)]
pub struct CardAnswer {
    /// Names the run.
    pub run: RunId,
    /// For the card: 32 bytes.
    pub answer: [u8; 32],
}

/// Bytes of a key in this process, erased when dropped.
pub(crate) type Bytes = Zeroizing<Vec<u8>>;
