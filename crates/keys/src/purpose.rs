//! What a key is for, and with which algorithm it signs.
//!
//! A purpose names exactly one [`ObjectType`]; no key ever has two purposes. The names are stored
//! and shown; they never change their meaning.

use core::fmt;
use core::str::FromStr;

use credential::crypto::Algorithm;

use crate::object::ObjectType;

/// What a key signs, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The city's root: certificates of authorities and of the bundle and status signers.
    CityRoot,
    /// An operator's issuing authority (IACA, ISO/IEC 18013-5 Annex B): document signer certificates.
    IssuingAuthority,
    /// Mobile security objects (ISO/IEC 18013-5 clause 9.1.2.4).
    DocumentSignerMdoc,
    /// SD-JWT VCs.
    DocumentSignerSdJwt,
    /// Reader certificates (ISO/IEC 18013-5 Annex B.1.7).
    ReaderAuthority,
    /// Token Status Lists, as JWT and as CWT.
    StatusList,
    /// Trust bundles for readers.
    Bundle,
    /// Checkpoints of the audit log (C2SP tlog-checkpoint), Ed25519.
    Checkpoint,
    /// Approvals of one member of staff or one custodian, for deeds that need two or more.
    Staff,
    /// Manifests of firmware for readers.
    Firmware,
}

impl Purpose {
    /// Every purpose, in the order of their stored numbers.
    pub const ALL: [Self; 10] = [
        Self::CityRoot,
        Self::IssuingAuthority,
        Self::DocumentSignerMdoc,
        Self::DocumentSignerSdJwt,
        Self::ReaderAuthority,
        Self::StatusList,
        Self::Bundle,
        Self::Checkpoint,
        Self::Staff,
        Self::Firmware,
    ];

    /// The name, as stored in files and shown to people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CityRoot => "city-root",
            Self::IssuingAuthority => "issuing-authority",
            Self::DocumentSignerMdoc => "document-signer-mdoc",
            Self::DocumentSignerSdJwt => "document-signer-sd-jwt",
            Self::ReaderAuthority => "reader-authority",
            Self::StatusList => "status-list",
            Self::Bundle => "bundle",
            Self::Checkpoint => "checkpoint",
            Self::Staff => "staff",
            Self::Firmware => "firmware",
        }
    }

    /// The one type of object that a key of this purpose signs.
    #[must_use]
    pub const fn object_type(self) -> ObjectType {
        match self {
            Self::CityRoot => ObjectType::CityCertificate,
            Self::IssuingAuthority => ObjectType::DocumentSignerCertificate,
            Self::DocumentSignerMdoc => ObjectType::MobileSecurityObject,
            Self::DocumentSignerSdJwt => ObjectType::SdJwt,
            Self::ReaderAuthority => ObjectType::ReaderCertificate,
            Self::StatusList => ObjectType::StatusList,
            Self::Bundle => ObjectType::Bundle,
            Self::Checkpoint => ObjectType::Checkpoint,
            Self::Staff => ObjectType::Approval,
            Self::Firmware => ObjectType::FirmwareManifest,
        }
    }

    /// The algorithm of a key of this purpose where the city does not choose another.
    #[must_use]
    pub const fn suite(self) -> Suite {
        match self {
            Self::Checkpoint => Suite::Ed25519,
            _ => Suite::Es256,
        }
    }

    /// Whether a key of this purpose may be of `suite`.
    #[must_use]
    pub const fn allows(self, suite: Suite) -> bool {
        match self {
            Self::Checkpoint => matches!(suite, Suite::Ed25519),
            _ => !matches!(suite, Suite::Ed25519),
        }
    }

    /// The number in the sealed file. Never reused.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::CityRoot => 1,
            Self::IssuingAuthority => 2,
            Self::DocumentSignerMdoc => 3,
            Self::DocumentSignerSdJwt => 4,
            Self::ReaderAuthority => 5,
            Self::StatusList => 6,
            Self::Bundle => 7,
            Self::Checkpoint => 8,
            Self::Staff => 9,
            Self::Firmware => 10,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.number() == number)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Purpose {
    type Err = ParsePurposeError;

    fn from_str(text: &str) -> Result<Self, ParsePurposeError> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text).ok_or(ParsePurposeError)
    }
}

/// A text that is not the name of a purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsePurposeError;

impl fmt::Display for ParsePurposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a purpose of a key: expected one of ")?;
        for (position, purpose) in Purpose::ALL.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}`{purpose}`")?;
        }
        Ok(())
    }
}

impl core::error::Error for ParsePurposeError {}

/// The signature algorithm of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// ECDSA on P-256 with SHA-256 (COSE -7).
    Es256,
    /// EdDSA on Curve25519 (RFC 8032).
    Ed25519,
    /// ECDSA on P-384 with SHA-384 (COSE -35).
    Es384,
    /// The composite of ML-DSA-44 and ES256 (COSE -54, requested); its ML-DSA half is always in
    /// software.
    Es256MlDsa44,
}

impl Suite {
    /// Every suite, in the order of their stored numbers.
    pub const ALL: [Self; 4] = [Self::Es256, Self::Ed25519, Self::Es384, Self::Es256MlDsa44];

    /// The identifier that stands in files and certificates' records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Ed25519 => "Ed25519",
            Self::Es384 => "ES384",
            Self::Es256MlDsa44 => "ES256+ML-DSA-44",
        }
    }

    /// The algorithm of its signatures.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::Es256,
            Self::Ed25519 => Algorithm::EdDsa,
            Self::Es384 => Algorithm::Es384,
            Self::Es256MlDsa44 => Algorithm::MlDsa44Es256,
        }
    }

    /// The suite of an algorithm.
    #[must_use]
    pub const fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Es256 => Self::Es256,
            Algorithm::EdDsa => Self::Ed25519,
            Algorithm::Es384 => Self::Es384,
            Algorithm::MlDsa44Es256 => Self::Es256MlDsa44,
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Es256 => 1,
            Self::Ed25519 => 2,
            Self::Es384 => 3,
            Self::Es256MlDsa44 => 4,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Es256),
            2 => Some(Self::Ed25519),
            3 => Some(Self::Es384),
            4 => Some(Self::Es256MlDsa44),
            _ => None,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Suite {
    type Err = ParseSuiteError;

    fn from_str(text: &str) -> Result<Self, ParseSuiteError> {
        Self::ALL.into_iter().find(|suite| suite.as_str() == text).ok_or(ParseSuiteError)
    }
}

/// A text that is not the name of a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseSuiteError;

impl fmt::Display for ParseSuiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a suite of a key: expected one of ")?;
        for (position, suite) in Suite::ALL.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}`{suite}`")?;
        }
        Ok(())
    }
}

impl core::error::Error for ParseSuiteError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_return_from_their_names_and_numbers() {
        for purpose in Purpose::ALL {
            assert_eq!(purpose.as_str().parse(), Ok(purpose));
            assert_eq!(Purpose::from_number(purpose.number()), Some(purpose));
        }
        assert_eq!("root".parse::<Purpose>(), Err(ParsePurposeError));
        assert_eq!(Purpose::from_number(11), None);
        for suite in Suite::ALL {
            assert_eq!(suite.as_str().parse(), Ok(suite));
            assert_eq!(Suite::from_number(suite.number()), Some(suite));
            assert_eq!(Suite::of(suite.algorithm()), suite);
        }
        assert_eq!("es256".parse::<Suite>(), Err(ParseSuiteError));
        assert_eq!(Suite::from_number(5), None);
    }

    #[test]
    fn no_two_purposes_sign_the_same_type() {
        for one in Purpose::ALL {
            for other in Purpose::ALL {
                assert_eq!(one.object_type() == other.object_type(), one == other);
            }
        }
    }
}
