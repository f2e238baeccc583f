//! What the service answers in place of what it was asked for: a word, and up to three details.

use credential::cbor::{CborError, Decoder, Encoder, Kind};

use crate::custody::{KeepError, KeyHandle, SignError, State};
use crate::object::ObjectType;
use crate::purpose::{Purpose, Suite};

/// Why a request is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The verb or its arguments are not known to this version.
    Unknown,
    /// The client may not do this, or not with keys of this purpose.
    NotAllowed {
        /// The verb.
        deed: String,
        /// What the key is for, where that is the reason.
        purpose: Option<Purpose>,
    },
    /// The client has used up its signatures.
    TooMany {
        /// After how many seconds there is another.
        retry_s: u32,
    },
    /// There is no such key.
    UnknownKey,
    /// The bytes are not what the key signs.
    WrongType {
        /// What the key is for.
        purpose: Purpose,
        /// What the bytes are instead: the name of a type, or nothing that is known.
        found: Option<String>,
    },
    /// The object names another algorithm than that of the key.
    WrongSuite {
        /// The suite of the key.
        suite: Suite,
        /// The suite that the object names.
        named: Suite,
    },
    /// The key signs nothing now.
    NotActive {
        /// Where it stands.
        state: State,
    },
    /// Custodian or journal are out of order; the deed was not done, or cannot be told of.
    Unavailable,
    /// The custodian holds no keys of this purpose.
    PurposeNotHere {
        /// Which.
        purpose: Purpose,
    },
    /// The custodian makes no keys of this suite for this purpose.
    SuiteNotHere {
        /// For what.
        purpose: Purpose,
        /// Which.
        suite: Suite,
    },
    /// The token has not what keys for this purpose need.
    MechanismMissing {
        /// For what.
        purpose: Purpose,
        /// The mechanism, by its name in PKCS#11.
        mechanism: String,
    },
    /// A key's life goes one way.
    Backwards {
        /// Where it stands.
        state: State,
    },
    /// The custodian holds as many keys as it can.
    Full,
    /// The certificate is none of this key.
    Certificate,
    /// The cryptographic module failed.
    Cryptography,
}

impl Refusal {
    /// What a key is not kept for.
    #[must_use]
    pub fn of_keeping(error: &KeepError) -> Self {
        match error {
            KeepError::UnknownKey { .. } => Self::UnknownKey,
            KeepError::PurposeNotHere { purpose } => Self::PurposeNotHere { purpose: *purpose },
            KeepError::SuiteNotHere { purpose, suite } => {
                Self::SuiteNotHere { purpose: *purpose, suite: *suite }
            }
            KeepError::MechanismMissing { purpose, mechanism } => {
                Self::MechanismMissing { purpose: *purpose, mechanism: mechanism.clone() }
            }
            KeepError::Backwards { state } => Self::Backwards { state: *state },
            KeepError::NotAllowed { deed } => {
                Self::NotAllowed { deed: (*deed).into(), purpose: None }
            }
            KeepError::Full => Self::Full,
            KeepError::Certificate => Self::Certificate,
            KeepError::Cryptography => Self::Cryptography,
            _ => Self::Unavailable,
        }
    }

    /// What a custodian does not sign for.
    #[must_use]
    pub fn of_signing(error: &SignError) -> Self {
        match error {
            SignError::UnknownKey { .. } => Self::UnknownKey,
            SignError::NotActive { state, .. } => Self::NotActive { state: *state },
            SignError::WrongSuite { suite, named, .. } => {
                Self::WrongSuite { suite: *suite, named: *named }
            }
            SignError::WrongType { purpose, .. } => {
                Self::WrongType { purpose: *purpose, found: None }
            }
            _ => Self::Unavailable,
        }
    }

    /// The same for who asked to have something signed as an `object`.
    #[must_use]
    pub fn into_sign_error(self, handle: KeyHandle, object: ObjectType) -> SignError {
        match self {
            Self::UnknownKey => SignError::UnknownKey { handle },
            Self::WrongType { purpose, .. } => SignError::WrongType { purpose, object },
            Self::WrongSuite { suite, named } => SignError::WrongSuite { handle, suite, named },
            Self::NotActive { state } => SignError::NotActive { handle, state },
            Self::NotAllowed { purpose: Some(purpose), .. } => SignError::NotAllowed { purpose },
            Self::TooMany { retry_s } => SignError::TooMany { retry_s },
            _ => SignError::Unavailable,
        }
    }

    /// The same for who asked to do `deed` with the key `handle`.
    #[must_use]
    pub fn into_keep_error(self, handle: Option<KeyHandle>, deed: &'static str) -> KeepError {
        match (self, handle) {
            (Self::UnknownKey, Some(handle)) => KeepError::UnknownKey { handle },
            (Self::NotAllowed { .. }, _) => KeepError::NotAllowed { deed },
            (Self::PurposeNotHere { purpose }, _) => KeepError::PurposeNotHere { purpose },
            (Self::SuiteNotHere { purpose, suite }, _) => {
                KeepError::SuiteNotHere { purpose, suite }
            }
            (Self::MechanismMissing { purpose, mechanism }, _) => {
                KeepError::MechanismMissing { purpose, mechanism }
            }
            (Self::Backwards { state }, _) => KeepError::Backwards { state },
            (Self::Full, _) => KeepError::Full,
            (Self::Certificate, _) => KeepError::Certificate,
            (Self::Cryptography, _) => KeepError::Cryptography,
            _ => KeepError::Unavailable,
        }
    }

    /// Word, purpose, other text, number.
    fn parts(&self) -> (&'static str, Option<Purpose>, Option<&str>, u32) {
        match self {
            Self::Unknown => ("unknown", None, None, 0),
            Self::NotAllowed { deed, purpose } => ("not-allowed", *purpose, Some(deed), 0),
            Self::TooMany { retry_s } => ("too-many", None, None, *retry_s),
            Self::UnknownKey => ("unknown-key", None, None, 0),
            Self::WrongType { purpose, found } => {
                ("wrong-type", Some(*purpose), found.as_deref(), 0)
            }
            Self::WrongSuite { suite, named } => {
                ("wrong-suite", None, Some(named.as_str()), suite.number().into())
            }
            Self::NotActive { state } => ("not-active", None, Some(state.as_str()), 0),
            Self::Unavailable => ("unavailable", None, None, 0),
            Self::PurposeNotHere { purpose } => ("purpose-not-here", Some(*purpose), None, 0),
            Self::SuiteNotHere { purpose, suite } => {
                ("suite-not-here", Some(*purpose), Some(suite.as_str()), 0)
            }
            Self::MechanismMissing { purpose, mechanism } => {
                ("mechanism-missing", Some(*purpose), Some(mechanism), 0)
            }
            Self::Backwards { state } => ("backwards", None, Some(state.as_str()), 0),
            Self::Full => ("full", None, None, 0),
            Self::Certificate => ("certificate", None, None, 0),
            Self::Cryptography => ("cryptography", None, None, 0),
        }
    }

    pub(super) fn write(&self, out: &mut Encoder) {
        let (word, purpose, text, number) = self.parts();
        out.text(word);
        for text in [purpose.map(Purpose::as_str), text] {
            match text {
                Some(text) => out.text(text),
                None => out.null(),
            };
        }
        out.unsigned(number.into());
    }

    pub(super) fn read(reader: &mut Decoder<'_>) -> Result<Self, CborError> {
        let word = reader.text()?;
        let purpose: Option<Purpose> = optional(reader)?.and_then(|text| text.parse().ok());
        let text = optional(reader)?;
        let number = u32::try_from(reader.unsigned()?).unwrap_or(u32::MAX);
        let state = || State::ALL.into_iter().find(|state| Some(state.as_str()) == text);
        let suite = || text.and_then(|text| text.parse().ok());
        let refusal = match word {
            "unknown" => Some(Self::Unknown),
            "not-allowed" => {
                Some(Self::NotAllowed { deed: text.unwrap_or_default().into(), purpose })
            }
            "too-many" => Some(Self::TooMany { retry_s: number }),
            "unknown-key" => Some(Self::UnknownKey),
            "wrong-type" => {
                purpose.map(|purpose| Self::WrongType { purpose, found: text.map(Into::into) })
            }
            "wrong-suite" => {
                let own = u8::try_from(number).ok().and_then(Suite::from_number);
                own.zip(suite()).map(|(suite, named)| Self::WrongSuite { suite, named })
            }
            "not-active" => state().map(|state| Self::NotActive { state }),
            "unavailable" => Some(Self::Unavailable),
            "purpose-not-here" => purpose.map(|purpose| Self::PurposeNotHere { purpose }),
            "suite-not-here" => {
                purpose.zip(suite()).map(|(purpose, suite)| Self::SuiteNotHere { purpose, suite })
            }
            "mechanism-missing" => purpose.map(|purpose| {
                let mechanism = text.unwrap_or_default().into();
                Self::MechanismMissing { purpose, mechanism }
            }),
            "backwards" => state().map(|state| Self::Backwards { state }),
            "full" => Some(Self::Full),
            "certificate" => Some(Self::Certificate),
            "cryptography" => Some(Self::Cryptography),
            _ => None,
        };
        refusal.ok_or_else(|| reader.unexpected("a refusal"))
    }
}

fn optional<'a>(reader: &mut Decoder<'a>) -> Result<Option<&'a str>, CborError> {
    match reader.kind() {
        Kind::Null => reader.null().map(|()| None),
        _ => reader.text().map(Some),
    }
}
