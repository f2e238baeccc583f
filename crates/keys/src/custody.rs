//! The interface that every custodian of keys implements: the sealed file, and a token behind
//! PKCS#11.
//!
//! Signing is asynchronous because a token may stand behind a socket. No method returns private
//! bytes, and none signs bytes of no type.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest;
use credential::crypto::{PublicKey, Signature};
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use crate::object::{ObjectType, TypedObject};
use crate::purpose::{Purpose, Suite};

/// Bytes in a certificate that is kept beside its key.
pub const CERTIFICATE_BYTES_MAX: usize = credential::x509::CERTIFICATE_BYTES_MAX;
/// Keys that one custodian holds.
pub const KEYS_MAX: usize = 4096;

/// An answer that may take a while.
pub type Pending<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Holds private keys and signs with them.
pub trait Custody: Send + Sync {
    /// Every key, public parts only, oldest first.
    fn keys(&self) -> Arc<[Key]>;

    /// Signs `object` with the key `handle`, in the form of COSE and JOSE: `r || s` for ECDSA, 64
    /// bytes for Ed25519, both halves for the composite.
    ///
    /// Fails with [`SignError`] when [`Key::may_sign`] says so: every custodian asks it first.
    fn sign<'a>(
        &'a self,
        handle: &'a KeyHandle,
        object: &'a TypedObject<'a>,
    ) -> Pending<'a, Signature, SignError>;

    /// Makes a new key and keeps it durably before it answers.
    fn generate(&self, request: NewKey) -> Pending<'_, Key, KeepError>;

    /// Keeps `certificate` (DER) beside the key `handle`, in place of an earlier one. It must
    /// certify this key.
    fn attach_certificate<'a>(
        &'a self,
        handle: &'a KeyHandle,
        certificate: &'a [u8],
    ) -> Pending<'a, Key, KeepError>;

    /// Moves the key `handle` on to `state`, never back; kept durably before it answers.
    fn set_state<'a>(
        &'a self,
        handle: &'a KeyHandle,
        state: State,
        at: Instant,
    ) -> Pending<'a, Key, KeepError>;

    /// Destroys the private half of the retired key `handle`; the key is no longer listed.
    fn destroy<'a>(&'a self, handle: &'a KeyHandle) -> Pending<'a, (), KeepError>;

    /// The newest active key of `purpose` that belongs to `operator` (`None`: to the city).
    ///
    /// "Newest" is by the order of making, not by the clock.
    fn newest(&self, purpose: Purpose, operator: Option<&OperatorCode>) -> Option<Key> {
        let keys = self.keys();
        keys.iter()
            .rev()
            .find(|key| {
                key.purpose == purpose
                    && key.operator.as_ref() == operator
                    && key.state == State::Active
            })
            .cloned()
    }
}

/// What is asked for when a key is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What the key will sign.
    pub purpose: Purpose,
    /// The operator that it belongs to; `None` for the city's own.
    pub operator: Option<OperatorCode>,
    /// The algorithm; the purpose must allow it.
    pub suite: Suite,
    /// [`State::Published`] for a successor that others must learn of first.
    pub state: State,
    /// Now.
    pub at: Instant,
}

impl NewKey {
    /// A key of the usual suite of `purpose`, active at once.
    #[must_use]
    pub const fn active(purpose: Purpose, operator: Option<OperatorCode>, at: Instant) -> Self {
        Self { purpose, operator, suite: purpose.suite(), state: State::Active, at }
    }
}

/// Where a key stands in its life. It moves on only; after the last it is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Others learn to trust it; it signs nothing yet.
    Published,
    /// It signs.
    Active,
    /// It signs no more; what it signed is still believed.
    Retired,
}

impl State {
    /// Every state, in the order of a key's life.
    pub const ALL: [Self; 3] = [Self::Published, Self::Active, Self::Retired];

    /// The name, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Published => 1,
            Self::Active => 2,
            Self::Retired => 3,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The public side of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Names the key; made from its public half.
    pub handle: KeyHandle,
    /// What it signs.
    pub purpose: Purpose,
    /// The algorithm, as `Suite::as_str`.
    pub suite: Suite,
    /// The operator that it belongs to; `None` for the city's own.
    pub operator: Option<OperatorCode>,
    /// When it was made.
    pub created_at: Instant,
    /// The public half.
    pub public_key: PublicKey,
    /// The certificate of the key, DER, once attached.
    pub certificate: Option<Arc<[u8]>>,
    /// Where it stands in its life.
    pub state: State,
    /// Since when.
    pub state_since: Instant,
    /// Who holds the private half: `software`, or `token:` and the label of the token; of a
    /// composite whose halves lie apart both, joined by ` + `, the half of ES256 first.
    pub held_by: Arc<str>,
}

/// Follows the custodian of one half in [`Key::held_by`] where the other lies in a sealed file beside it.
pub(crate) const BESIDE: &str = " + software";

impl Key {
    /// Whether `custodian` holds the private half, or the half of ES256.
    #[must_use]
    pub fn is_held_by(&self, custodian: &str) -> bool {
        let rest = self.held_by.strip_prefix(custodian);
        rest.is_some_and(|rest| rest.is_empty() || rest == BESIDE)
    }

    /// Whether this key signs `object`: its purpose is for that type, its suite is the algorithm that
    /// the object names, and it is active.
    ///
    /// # Errors
    /// [`SignError::WrongType`], [`SignError::WrongSuite`] or [`SignError::NotActive`].
    pub fn may_sign(&self, object: &TypedObject<'_>) -> Result<(), SignError> {
        let (handle, purpose) = (self.handle, self.purpose);
        if purpose.object_type() != object.object_type() {
            return Err(SignError::WrongType { purpose, object: object.object_type() });
        }
        if self.suite.algorithm() != object.algorithm() {
            let named = Suite::of(object.algorithm());
            return Err(SignError::WrongSuite { handle, suite: self.suite, named });
        }
        match self.state {
            State::Active => Ok(()),
            state => Err(SignError::NotActive { handle, state }),
        }
    }
}

/// Names a key: the first 16 bytes of the SHA-256 of its public half (uncompressed
/// point, 32 bytes of Ed25519, or 1377 of the composite). Text form `key_` and 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHandle([u8; 16]);

impl KeyHandle {
    /// The handle of the key with this public half.
    #[must_use]
    pub fn of(public_key: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, public_key);
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }

    /// From the sixteen bytes.
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

impl fmt::Display for KeyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key_{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyHandle {
    type Err = ParseKeyHandleError;

    fn from_str(text: &str) -> Result<Self, ParseKeyHandleError> {
        let digits = text.strip_prefix("key_").ok_or(ParseKeyHandleError)?;
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if digits.len() != 32 || !digits.bytes().all(lower) {
            return Err(ParseKeyHandleError);
        }
        let value = u128::from_str_radix(digits, 16).map_err(|_| ParseKeyHandleError)?;
        Ok(Self(value.to_be_bytes()))
    }
}

/// A text that is not a key handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseKeyHandleError;

impl fmt::Display for ParseKeyHandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a key handle: expected `key_` and 32 lower-case hexadecimal digits")
    }
}

impl core::error::Error for ParseKeyHandleError {}

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignError {
    /// No key has this handle here.
    UnknownKey {
        /// The handle asked for.
        handle: KeyHandle,
    },
    /// The key signs another type of object.
    WrongType {
        /// What the key is for.
        purpose: Purpose,
        /// What was handed over.
        object: ObjectType,
    },
    /// The object names another algorithm than that of the key.
    WrongSuite {
        /// The handle asked for.
        handle: KeyHandle,
        /// The suite of the key.
        suite: Suite,
        /// The suite that the object names.
        named: Suite,
    },
    /// The key is not, or no longer, one that signs.
    NotActive {
        /// The handle asked for.
        handle: KeyHandle,
        /// Where it stands.
        state: State,
    },
    /// The custodian does not let who asks use keys of this purpose.
    NotAllowed {
        /// What the key is for.
        purpose: Purpose,
    },
    /// Who asks has used up its signatures for now.
    TooMany {
        /// After how many seconds there is another.
        retry_s: u32,
    },
    /// The custodian could not sign now; it may be able to later.
    Unavailable,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { handle } => write!(f, "sign: no key `{handle}` in this keystore"),
            Self::WrongType { purpose, object } => {
                write!(f, "sign: a key for `{purpose}` does not sign a {object}")
            }
            Self::WrongSuite { handle, suite, named } => {
                write!(f, "sign: the key `{handle}` is of `{suite}`, the object names `{named}`")
            }
            Self::NotActive { handle, state } => {
                write!(f, "sign: the key `{handle}` is {state} and signs nothing")
            }
            Self::NotAllowed { purpose } => write!(
                f,
                "sign: this client may not use keys for `{purpose}`: see `sign` of its entry in \
                 the configuration of the key service"
            ),
            Self::TooMany { retry_s } => {
                write!(f, "sign: this client has used up its signatures, retry in `{retry_s}` s")
            }
            Self::Unavailable => f.write_str("sign: the keystore cannot sign at present"),
        }
    }
}

impl core::error::Error for SignError {}

/// Why a key or its certificate was not kept. Nothing has changed on disk or in memory.
#[derive(Debug)]
pub enum KeepError {
    /// No key has this handle here.
    UnknownKey {
        /// The handle asked for.
        handle: KeyHandle,
    },
    /// Root keys live in the root file only, all others outside of it.
    PurposeNotHere {
        /// What was asked for.
        purpose: Purpose,
    },
    /// The purpose does not allow this suite, or the custodian cannot make keys of it.
    SuiteNotHere {
        /// What the key was to be for.
        purpose: Purpose,
        /// What was asked for.
        suite: Suite,
    },
    /// The token has not what keys for this purpose need.
    MechanismMissing {
        /// What the key was to be for.
        purpose: Purpose,
        /// The mechanism, by its name in PKCS#11.
        mechanism: String,
    },
    /// A key's life goes one way: from published to active to retired, and then to its end.
    Backwards {
        /// Where the key stands.
        state: State,
    },
    /// The custodian does not let who asks do this.
    NotAllowed {
        /// `generate`, `attach`, `set-state` or `destroy`.
        deed: &'static str,
    },
    /// The custodian cannot be reached now; it may be later.
    Unavailable,
    /// [`KEYS_MAX`] keys are held already.
    Full,
    /// The bytes are no certificate, exceed [`CERTIFICATE_BYTES_MAX`] or certify another key.
    Certificate,
    /// The random generator or the cipher failed.
    Cryptography,
    /// Another process wrote the file since it was read: open it again.
    ChangedMeanwhile,
    /// The file could not be written.
    Write(crate::file::FileError),
}

impl fmt::Display for KeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { handle } => write!(f, "keep certificate: no key `{handle}` here"),
            Self::PurposeNotHere { purpose } => {
                write!(f, "make key: this keystore does not hold keys for `{purpose}`")
            }
            Self::SuiteNotHere { purpose, suite } => {
                write!(f, "make key: no keys of suite `{suite}` for `{purpose}` here")
            }
            Self::MechanismMissing { purpose, mechanism } => write!(
                f,
                "make key: the token has no mechanism `{mechanism}`, which `{purpose}` needs"
            ),
            Self::Backwards { state } => {
                write!(f, "move key on: it is {state}, and a key's life goes one way")
            }
            Self::NotAllowed { deed } => write!(
                f,
                "keep key: this client may not `{deed}`: see its entry in the configuration of \
                 the key service"
            ),
            Self::Unavailable => f.write_str("keep key: the keystore cannot be reached at present"),
            Self::Full => write!(f, "make key: the keystore holds its limit of `{KEYS_MAX}` keys"),
            Self::Certificate => f.write_str("keep certificate: it does not certify this key"),
            Self::Cryptography => f.write_str("make key: the cryptographic module failed"),
            Self::ChangedMeanwhile => {
                f.write_str("write keystore: another process changed it; open it again")
            }
            Self::Write(_) => f.write_str("write keystore"),
        }
    }
}

impl core::error::Error for KeepError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Write(source) => Some(source),
            _ => None,
        }
    }
}
