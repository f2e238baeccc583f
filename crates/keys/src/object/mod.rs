//! What may be signed: bytes whose type has been found out by reading them.
//!
//! A [`TypedObject`] exists only when its bytes are, to the last byte, of the type named. The types
//! exclude one another: no bytes are two of them, so a key that signs one type can never be led to
//! make a signature that counts for another.

use core::fmt;

use credential::crypto::Algorithm;

pub mod certificate;
pub mod checkpoint;
pub mod cose;
pub mod jose;

/// Bytes of one object to be signed.
pub const OBJECT_BYTES_MAX: usize = 8 << 20;

/// The type of an object, one per [`crate::purpose::Purpose`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectType {
    /// TBSCertificate of an authority of the city, or of its bundle or status signer.
    CityCertificate,
    /// TBSCertificate of a document signer (ISO/IEC 18013-5 B.1.4).
    DocumentSignerCertificate,
    /// TBSCertificate of a reader (ISO/IEC 18013-5 B.1.7, or profile 0000 of the standard tap).
    ReaderCertificate,
    /// Sig_structure over a MobileSecurityObject (ISO/IEC 18013-5 9.1.2.4), of an mdoc or of an access
    /// document.
    MobileSecurityObject,
    /// JWS signing input of an SD-JWT VC (`dc+sd-jwt`).
    SdJwt,
    /// JWS signing input or Sig_structure of a Token Status List.
    StatusList,
    /// Sig_structure of a trust bundle for a reader.
    Bundle,
    /// Text of a checkpoint (C2SP tlog-checkpoint), without signatures.
    Checkpoint,
    /// Sig_structure of the approval of one person.
    Approval,
    /// Sig_structure of a firmware manifest.
    FirmwareManifest,
}

impl ObjectType {
    /// Every type.
    pub const ALL: [Self; 10] = [
        Self::CityCertificate,
        Self::DocumentSignerCertificate,
        Self::ReaderCertificate,
        Self::MobileSecurityObject,
        Self::SdJwt,
        Self::StatusList,
        Self::Bundle,
        Self::Checkpoint,
        Self::Approval,
        Self::FirmwareManifest,
    ];
}

impl ObjectType {
    /// The name, as stored in journals and shown to people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CityCertificate => "certificate of the city",
            Self::DocumentSignerCertificate => "document signer certificate",
            Self::ReaderCertificate => "reader certificate",
            Self::MobileSecurityObject => "mobile security object",
            Self::SdJwt => "SD-JWT VC",
            Self::StatusList => "status list",
            Self::Bundle => "trust bundle",
            Self::Checkpoint => "checkpoint",
            Self::Approval => "approval",
            Self::FirmwareManifest => "firmware manifest",
        }
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bytes to be signed, of a type that was found by reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypedObject<'a> {
    object_type: ObjectType,
    algorithm: Algorithm,
    bytes: &'a [u8],
}

impl<'a> TypedObject<'a> {
    /// Reads `bytes` as an object of `object_type`.
    ///
    /// # Errors
    /// [`WrongTypeError`] when they are not, or exceed [`OBJECT_BYTES_MAX`].
    pub fn parse(object_type: ObjectType, bytes: &'a [u8]) -> Result<Self, WrongTypeError> {
        let is = match object_type {
            _ if bytes.len() > OBJECT_BYTES_MAX => false,
            ObjectType::CityCertificate => certificate::is_of_city(bytes),
            ObjectType::DocumentSignerCertificate => certificate::is_document_signer(bytes),
            ObjectType::ReaderCertificate => certificate::is_reader(bytes),
            ObjectType::MobileSecurityObject => cose::is_mobile_security_object(bytes),
            ObjectType::SdJwt => jose::is_sd_jwt(bytes),
            ObjectType::StatusList => jose::is_status_list(bytes) || cose::is_status_list(bytes),
            ObjectType::Bundle => cose::is_bundle(bytes),
            ObjectType::Checkpoint => checkpoint::is_checkpoint(bytes),
            ObjectType::Approval => cose::is_approval(bytes),
            ObjectType::FirmwareManifest => cose::is_firmware_manifest(bytes),
        };
        // An object names the algorithm that it is to be signed by.
        let algorithm = match object_type {
            _ if !is => None,
            ObjectType::CityCertificate
            | ObjectType::DocumentSignerCertificate
            | ObjectType::ReaderCertificate => certificate::algorithm(bytes),
            ObjectType::SdJwt => jose::algorithm(bytes),
            ObjectType::StatusList => jose::algorithm(bytes).or_else(|| cose::algorithm(bytes)),
            ObjectType::Checkpoint => Some(Algorithm::EdDsa),
            ObjectType::MobileSecurityObject
            | ObjectType::Bundle
            | ObjectType::Approval
            | ObjectType::FirmwareManifest => cose::algorithm(bytes),
        };
        let algorithm = algorithm.ok_or(WrongTypeError { object_type })?;
        Ok(Self { object_type, algorithm, bytes })
    }

    /// The algorithm that the bytes themselves name.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What the bytes are.
    #[must_use]
    pub const fn object_type(&self) -> ObjectType {
        self.object_type
    }

    /// What the half of ES256 of a composite signs for this object: no object, but made from one.
    pub(crate) const fn half<'m>(&self, message: &'m [u8]) -> TypedObject<'m> {
        TypedObject { object_type: self.object_type, algorithm: Algorithm::Es256, bytes: message }
    }

    /// The message to sign, not a digest.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Bytes that are not of the type that they were handed over as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongTypeError {
    /// The type claimed.
    pub object_type: ObjectType,
}

impl fmt::Display for WrongTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prepare for signing: the bytes are no {}", self.object_type)
    }
}

impl core::error::Error for WrongTypeError {}
