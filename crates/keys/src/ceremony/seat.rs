//! The seat of a root during a ceremony: a custodian that can wrap the root and take it back.
//!
//! Two implementations: the sealed file here, a token behind PKCS#11. On both the
//! private half leaves only under the wrapping key.

use core::fmt;
use core::future::ready;

use credential::crypto::PublicKey;
use vocabulary::time::Instant;

use super::wrapping::{WrapError, WrappingKey};
use crate::contents::Stored;
use crate::custody::{Custody, KeepError, Key, KeyHandle, NewKey, Pending, State};
use crate::purpose::{Purpose, Suite};
use crate::software::Keystore;
use crate::token::pool::PinRefusal;

/// A custodian of a root that takes part in ceremonies.
pub trait RootSeat: Custody {
    /// Who holds the root, as [`Key::held_by`] will say: `software`, or `token:` and a label.
    fn held_by(&self) -> String;

    /// Whether a security officer makes the wrapping key trusted when the root is wrapped.
    fn trusts_by_officer(&self) -> bool;

    /// Whether a root can be made and wrapped here; asked before anything is made.
    fn check_ready(&self) -> Pending<'_, (), SeatError>;

    /// The private half of the root `handle` under `key`: PKCS#8 in AES key wrap with padding
    /// (RFC 5649). The wrapping key does not stay here.
    fn wrap_root<'a>(
        &'a self,
        handle: &'a KeyHandle,
        key: &'a WrappingKey,
    ) -> Pending<'a, Vec<u8>, SeatError>;

    /// Takes a root that was wrapped by `key`, and keeps it durably. The wrapping key does not stay.
    fn unwrap_root<'a>(
        &'a self,
        root: &'a WrappedRoot<'a>,
        key: &'a WrappingKey,
    ) -> Pending<'a, Key, SeatError>;
}

/// A root that is to be taken back.
#[derive(Clone, Copy, Debug)]
pub struct WrappedRoot<'w> {
    /// The private half under the wrapping key.
    pub wrapped: &'w [u8],
    /// The public half that must belong to it.
    pub public_key: &'w PublicKey,
    /// The algorithm.
    pub suite: Suite,
    /// Now.
    pub at: Instant,
}

impl RootSeat for Keystore {
    fn held_by(&self) -> String {
        String::from("software")
    }

    fn trusts_by_officer(&self) -> bool {
        false
    }

    fn check_ready(&self) -> Pending<'_, (), SeatError> {
        Box::pin(ready(Ok(())))
    }

    fn wrap_root<'a>(
        &'a self,
        handle: &'a KeyHandle,
        key: &'a WrappingKey,
    ) -> Pending<'a, Vec<u8>, SeatError> {
        let wrap = || {
            let stored = self.stored(handle).ok_or(SeatError::NoRoot { handle: *handle })?;
            let private =
                stored.to_pkcs8().map_err(|_| SeatError::Wrap(WrapError::Cryptography))?;
            key.wrap(private.as_ref()).map_err(SeatError::Wrap)
        };
        Box::pin(ready(wrap()))
    }

    fn unwrap_root<'a>(
        &'a self,
        root: &'a WrappedRoot<'a>,
        key: &'a WrappingKey,
    ) -> Pending<'a, Key, SeatError> {
        let unwrap = || {
            let handle = KeyHandle::of(root.public_key.as_bytes());
            if self.stored(&handle).is_some() {
                return Err(SeatError::Present { handle });
            }
            let private = key.unwrap(root.wrapped).map_err(SeatError::Wrap)?;
            let request = NewKey {
                purpose: Purpose::CityRoot,
                operator: None,
                suite: root.suite,
                state: State::Active,
                at: root.at,
            };
            let stored = Stored::from_pkcs8(request, &private).ok_or(SeatError::OtherRoot)?;
            if stored.key.public_key != *root.public_key {
                return Err(SeatError::OtherRoot);
            }
            self.keep(stored).map_err(SeatError::Keep)
        };
        Box::pin(ready(unwrap()))
    }
}

/// Why a root was not wrapped or not taken back.
#[derive(Debug)]
pub enum SeatError {
    /// The custodian holds no such root.
    NoRoot {
        /// The handle asked for.
        handle: KeyHandle,
    },
    /// The root is here already.
    Present {
        /// Its handle.
        handle: KeyHandle,
    },
    /// What was unwrapped is not the private half of the public key.
    OtherRoot,
    /// The cipher refused.
    Wrap(WrapError),
    /// The custodian could not keep the key.
    Keep(KeepError),
    /// The token is open for the city's keys.
    OtherRole {
        /// Its label.
        label: String,
    },
    /// The token cannot wrap an EC private key.
    NoWrapping {
        /// Its label.
        label: String,
    },
    /// The token wraps a root only under a key that its security officer made trusted.
    NeedsOfficer {
        /// Its label.
        label: String,
    },
    /// The token does not take the security officer's PIN.
    Officer {
        /// Its label.
        label: String,
        /// Why.
        refusal: PinRefusal,
    },
    /// The token lets its security officer make no trusted wrapping key, or does not wrap under it.
    CannotTrust {
        /// Its label.
        label: String,
        /// What it answered; nothing where it passed over the attribute.
        source: Option<Box<dyn core::error::Error + Send + Sync>>,
    },
    /// The token cannot be reached.
    Away,
    /// The token refused.
    Token(Box<dyn core::error::Error + Send + Sync>),
}

impl fmt::Display for SeatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoot { handle } => write!(f, "wrap root: there is no root `{handle}` here"),
            Self::Present { handle } => write!(
                f,
                "restore root: `{handle}` is here already; restore onto another token or file"
            ),
            Self::OtherRoot => {
                f.write_str("restore root: what was unwrapped is another key than the backup says")
            }
            Self::Wrap(error) => write!(f, "{error}"),
            Self::OtherRole { label } => {
                write!(f, "wrap root: the token `{label}` is open for the city's keys")
            }
            Self::NoWrapping { label } => write!(
                f,
                "wrap root: the token `{label}` has no `CKM_AES_KEY_WRAP_PAD`; use another token, or \
                 hold the root in a sealed file"
            ),
            Self::NeedsOfficer { label } => write!(
                f,
                "wrap root: the token `{label}` wraps a root only under a key that its security \
                 officer made trusted: write into the plan where the officer's PIN is (`officer_pin`)"
            ),
            Self::Officer { label, refusal } => {
                write!(f, "log in to token `{label}` as its security officer: {refusal}")
            }
            Self::CannotTrust { label, .. } => write!(
                f,
                "wrap root: the token `{label}` does not wrap under a key that its security officer \
                 makes through PKCS#11: with the vendor's tool, allow the officer to set `CKA_TRUSTED` \
                 on a secret key; where the vendor has no such step, use another token"
            ),
            Self::Away => f.write_str("wrap or restore root: the token cannot be reached"),
            Self::Keep(_) => f.write_str("restore root: the custodian could not keep it"),
            Self::Token(_) => f.write_str("wrap or restore root: the token did not do it"),
        }
    }
}

impl core::error::Error for SeatError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Keep(source) => Some(source),
            Self::Token(source) | Self::CannotTrust { source: Some(source), .. } => {
                Some(source.as_ref())
            }
            _ => None,
        }
    }
}
