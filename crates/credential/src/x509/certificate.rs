//! Reads an X.509 version 3 certificate (RFC 5280) without copying it.
//!
//! Only what this system's trust needs is understood: P-256, P-384, Ed25519 and composite keys, ECDSA
//! with the matching hash, Ed25519 and composite signatures, and five extensions. A critical extension that is not
//! understood makes the certificate unreadable, as RFC 5280, 4.2, demands. Reading proves nothing:
//! signature, dates and purpose are judged by [`crate::x509::trust`].

use core::fmt;

use vocabulary::time::Instant;

use crate::composite::{CompositeKey, ecdsa_from_der};
use crate::crypto::{Algorithm, Crypto, PublicKey};
use crate::x509::der::{self, DerError, Reader};
use crate::x509::oid;

/// Bytes of one certificate.
pub const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;
/// Extensions of one certificate.
pub const EXTENSIONS_MAX: usize = 20;
/// Bytes of a serial number (RFC 5280, 4.1.2.2), without the sign byte.
pub const SERIAL_BYTES_MAX: usize = 20;

/// A certificate that was read from `raw`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Certificate<'a> {
    /// All of its bytes.
    pub raw: &'a [u8],
    /// The bytes that are signed (TBSCertificate).
    pub tbs: &'a [u8],
    /// Serial number, big endian; positive.
    pub serial: &'a [u8],
    /// Who signed it.
    pub issuer: Name<'a>,
    /// Whom it names.
    pub subject: Name<'a>,
    /// First instant of its validity.
    pub not_before: Instant,
    /// Last instant of its validity.
    pub not_after: Instant,
    /// The key of its subject.
    pub public_key: PublicKey,
    /// What its signature is made with.
    pub algorithm: Algorithm,
    /// Whether it may sign certificates, and how many may follow before the leaf.
    pub basic_constraints: Option<BasicConstraints>,
    /// What its key may be used for.
    pub key_usage: Option<KeyUsage>,
    /// For which protocols its key may be used.
    pub extended_key_usage: Option<ExtendedKeyUsage<'a>>,
    /// Subject key identifier.
    pub subject_key_id: Option<&'a [u8]>,
    /// Key identifier of the authority that signed it.
    pub authority_key_id: Option<&'a [u8]>,
    signature: &'a [u8],
}

/// BasicConstraints (RFC 5280, 4.2.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicConstraints {
    /// The subject may sign certificates.
    pub authority: bool,
    /// Authorities that may follow before the leaf; unlimited if absent.
    pub path_length: Option<u8>,
}

/// KeyUsage (RFC 5280, 4.2.1.3): bit 0 of the standard is the highest bit here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage(pub u16);

impl KeyUsage {
    /// The key may sign data.
    pub const DIGITAL_SIGNATURE: Self = Self(0x8000);
    /// The key may sign certificates.
    pub const CERTIFICATE_SIGN: Self = Self(0x0400);
    /// The key may sign revocation lists.
    pub const CRL_SIGN: Self = Self(0x0200);

    /// Whether all uses of `other` are allowed.
    #[must_use]
    pub const fn allows(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// ExtKeyUsageSyntax (RFC 5280, 4.2.1.12), as its list of identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedKeyUsage<'a>(&'a [u8]);

impl ExtendedKeyUsage<'_> {
    /// Whether `purpose`, the contents of an object identifier, is listed.
    #[must_use]
    pub fn contains(&self, purpose: &[u8]) -> bool {
        let mut reader = Reader::new(self.0);
        while let Ok(found) = reader.expect(der::OBJECT_IDENTIFIER) {
            if found == purpose {
                return true;
            }
        }
        false
    }
}

/// A distinguished name; two names are the same when their bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// The DER bytes of the Name.
    #[must_use]
    pub const fn as_der(&self) -> &'a [u8] {
        self.0
    }

    /// The first common name (CN) that is text.
    #[must_use]
    pub fn common_name(&self) -> Option<&'a str> {
        self.attribute(oid::COMMON_NAME)
    }

    /// The first country (C).
    #[must_use]
    pub fn country(&self) -> Option<&'a str> {
        self.attribute(oid::COUNTRY)
    }

    /// The first organization (O).
    #[must_use]
    pub fn organization(&self) -> Option<&'a str> {
        self.attribute(oid::ORGANIZATION)
    }

    fn attribute(&self, kind: &[u8]) -> Option<&'a str> {
        let mut sets = Reader::new(self.0).sequence().ok()?;
        while let Ok(set) = sets.expect(der::SET) {
            let mut attributes = Reader::new(set);
            while let Ok(mut attribute) = attributes.sequence() {
                let found = attribute.expect(der::OBJECT_IDENTIFIER).ok()?;
                let value = attribute.element().ok()?;
                let readable =
                    matches!(value.tag, der::UTF8_STRING | der::PRINTABLE_STRING | der::IA5_STRING);
                if found == kind && readable {
                    return core::str::from_utf8(value.value).ok();
                }
            }
        }
        None
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("CN", self.common_name()), ("O", self.organization()), ("C", self.country())];
        let mut separator = "";
        for (label, value) in parts {
            if let Some(value) = value {
                // A name comes from outside; control characters must not reach a terminal.
                write!(f, "{separator}{label}={}", value.escape_debug())?;
                separator = ", ";
            }
        }
        if separator.is_empty() { f.write_str("(no readable name)") } else { Ok(()) }
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why bytes are not a certificate that this system can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateError {
    /// The bytes break DER or the structure of a certificate.
    Der(DerError),
    /// Longer than [`CERTIFICATE_BYTES_MAX`].
    TooLong,
    /// Not version 3.
    Version,
    /// The serial number is not positive or exceeds [`SERIAL_BYTES_MAX`].
    Serial,
    /// The algorithm inside the signed part differs from the one outside.
    AlgorithmsDiffer,
    /// The signature algorithm is not on the allow-list.
    Algorithm,
    /// The key is of no supported type, or its point is not uncompressed.
    Key,
    /// The validity ends before it begins.
    Dates,
    /// One extension occurs twice.
    DuplicateExtension,
    /// More than [`EXTENSIONS_MAX`] extensions.
    ExtensionsTooMany,
    /// A critical extension is not understood.
    UnknownCriticalExtension,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Der(_) => "certificate does not follow DER",
            Self::TooLong => "certificate is too long",
            Self::Version => "certificate is not of version 3",
            Self::Serial => "certificate serial number is not positive or too long",
            Self::AlgorithmsDiffer => "certificate names two signature algorithms",
            Self::Algorithm => "certificate signature algorithm is not allowed",
            Self::Key => "certificate key type is not supported",
            Self::Dates => "certificate validity ends before it begins",
            Self::DuplicateExtension => "certificate repeats an extension",
            Self::ExtensionsTooMany => "certificate has too many extensions",
            Self::UnknownCriticalExtension => "certificate has an unknown critical extension",
        })
    }
}

impl core::error::Error for CertificateError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Der(source) => Some(source),
            _ => None,
        }
    }
}

impl From<DerError> for CertificateError {
    fn from(source: DerError) -> Self {
        Self::Der(source)
    }
}

impl<'a> Certificate<'a> {
    /// Reads one certificate that fills `raw`.
    ///
    /// # Errors
    /// [`CertificateError`] with what is wrong first.
    pub fn parse(raw: &'a [u8]) -> Result<Self, CertificateError> {
        if raw.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::TooLong);
        }
        let mut outer = Reader::new(raw);
        let mut parts = outer.sequence()?;
        outer.finish()?;
        let tbs = parts.expect_element(der::SEQUENCE)?;
        let outer_algorithm = parts.expect_element(der::SEQUENCE)?;
        let signature = parts.whole_bits()?;
        parts.finish()?;

        let mut fields = Reader::new(tbs.value);
        version(&mut fields)?;
        let serial = serial(&mut fields)?;
        let inner_algorithm = fields.expect_element(der::SEQUENCE)?;
        if inner_algorithm.raw != outer_algorithm.raw {
            return Err(CertificateError::AlgorithmsDiffer);
        }
        let issuer = name(&mut fields)?;
        let mut validity = fields.sequence()?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        validity.finish()?;
        if not_after < not_before {
            return Err(CertificateError::Dates);
        }
        let subject = name(&mut fields)?;
        let public_key = public_key(fields.sequence()?)?;
        let mut certificate = Self {
            raw,
            tbs: tbs.raw,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            public_key,
            algorithm: algorithm(outer_algorithm.value)?,
            basic_constraints: None,
            key_usage: None,
            extended_key_usage: None,
            subject_key_id: None,
            authority_key_id: None,
            signature,
        };
        if let Some(extensions) = fields.optional(der::context_constructed(3))? {
            certificate.read_extensions(extensions)?;
        }
        fields.finish()?;
        Ok(certificate)
    }

    /// The signature as the provider takes it: for ECDSA `r || s` of fixed length, in `buffer`.
    ///
    /// # Errors
    /// [`DerError`] when the signature is not of the form of its algorithm.
    pub fn signature<'b>(&'b self, buffer: &'b mut [u8; 96]) -> Result<&'b [u8], DerError> {
        let fixed = match self.algorithm {
            // These stand in a certificate as they stand elsewhere.
            Algorithm::EdDsa | Algorithm::MlDsa44Es256 => return Ok(self.signature),
            Algorithm::Es256 | Algorithm::Es384 => self.algorithm.signature_bytes_max(),
        };
        let out = buffer.get_mut(..fixed).ok_or(DerError::Truncated)?;
        ecdsa_from_der(self.signature, out)?;
        Ok(out)
    }

    /// Whether the key `authority` made the signature. It says nothing of names, dates or purposes.
    #[must_use]
    pub fn is_signed_by(&self, crypto: &dyn Crypto, authority: &PublicKey) -> bool {
        let mut buffer = [0; 96];
        self.algorithm == authority.algorithm()
            && self
                .signature(&mut buffer)
                .is_ok_and(|signature| crypto.verify(authority, self.tbs, signature).is_ok())
    }

    /// Whether this certificate may sign certificates: CA, and keyCertSign in its key usage.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.basic_constraints.is_some_and(|constraints| constraints.authority)
            && self.key_usage.is_some_and(|usage| usage.allows(KeyUsage::CERTIFICATE_SIGN))
    }

    /// Whether `at` lies inside its validity, both ends included.
    #[must_use]
    pub fn is_current(&self, at: Instant) -> bool {
        self.not_before <= at && at.floor_to_second() <= self.not_after
    }

    fn read_extensions(&mut self, explicit: &'a [u8]) -> Result<(), CertificateError> {
        let mut wrapper = Reader::new(explicit);
        let mut list = wrapper.sequence()?;
        wrapper.finish()?;
        let mut seen: [&[u8]; EXTENSIONS_MAX] = [&[]; EXTENSIONS_MAX];
        let mut count = 0;
        while !list.is_empty() {
            let mut extension = list.sequence()?;
            let id = extension.expect(der::OBJECT_IDENTIFIER)?;
            let critical = extension.default_false()?;
            let value = extension.expect(der::OCTET_STRING)?;
            extension.finish()?;
            if seen.iter().take(count).any(|&other| other == id) {
                return Err(CertificateError::DuplicateExtension);
            }
            *seen.get_mut(count).ok_or(CertificateError::ExtensionsTooMany)? = id;
            count += 1;
            let known = self.read_extension(id, value)?;
            if critical && !known {
                return Err(CertificateError::UnknownCriticalExtension);
            }
        }
        Ok(())
    }

    /// Keeps what is understood; says whether it was.
    fn read_extension(&mut self, id: &[u8], value: &'a [u8]) -> Result<bool, DerError> {
        let mut reader = Reader::new(value);
        if id == oid::BASIC_CONSTRAINTS {
            let mut fields = reader.sequence()?;
            let authority = fields.default_false()?;
            let limited = !fields.is_empty();
            let path_length = if limited { Some(fields.small_integer()?) } else { None };
            fields.finish()?;
            self.basic_constraints = Some(BasicConstraints { authority, path_length });
        } else if id == oid::KEY_USAGE {
            self.key_usage = Some(key_usage(reader.expect(der::BIT_STRING)?)?);
        } else if id == oid::EXTENDED_KEY_USAGE {
            let list = reader.expect(der::SEQUENCE)?;
            let mut purposes = Reader::new(list);
            while !purposes.is_empty() {
                purposes.expect(der::OBJECT_IDENTIFIER)?;
            }
            self.extended_key_usage = Some(ExtendedKeyUsage(list));
        } else if id == oid::SUBJECT_KEY_IDENTIFIER {
            self.subject_key_id = Some(reader.expect(der::OCTET_STRING)?);
        } else if id == oid::AUTHORITY_KEY_IDENTIFIER {
            let mut fields = reader.sequence()?;
            self.authority_key_id = fields.optional(der::context(0))?;
        } else {
            return Ok(false);
        }
        reader.finish()?;
        Ok(true)
    }
}

fn version(fields: &mut Reader<'_>) -> Result<(), CertificateError> {
    let explicit =
        fields.optional(der::context_constructed(0))?.ok_or(CertificateError::Version)?;
    let mut reader = Reader::new(explicit);
    let version = reader.small_integer()?;
    reader.finish()?;
    if version == 2 { Ok(()) } else { Err(CertificateError::Version) }
}

fn serial<'a>(fields: &mut Reader<'a>) -> Result<&'a [u8], CertificateError> {
    let serial = fields.integer()?;
    let digits = match serial {
        [0] | [0x80..=0xFF, ..] => return Err(CertificateError::Serial),
        [0, digits @ ..] => digits,
        digits => digits,
    };
    if digits.len() > SERIAL_BYTES_MAX { Err(CertificateError::Serial) } else { Ok(digits) }
}

fn name<'a>(fields: &mut Reader<'a>) -> Result<Name<'a>, DerError> {
    fields.expect_element(der::SEQUENCE).map(|element| Name(element.raw))
}

fn algorithm(identifier: &[u8]) -> Result<Algorithm, CertificateError> {
    let mut reader = Reader::new(identifier);
    let id = reader.expect(der::OBJECT_IDENTIFIER)?;
    // All have absent parameters (RFC 5758, 3.2; RFC 8410, 3; the draft of the composite, 5.3).
    reader.finish()?;
    match id {
        oid::ECDSA_SHA256 => Ok(Algorithm::Es256),
        oid::ECDSA_SHA384 => Ok(Algorithm::Es384),
        oid::ED25519 => Ok(Algorithm::EdDsa),
        oid::ML_DSA_44_ECDSA_P256 => Ok(Algorithm::MlDsa44Es256),
        _ => Err(CertificateError::Algorithm),
    }
}

fn public_key(mut info: Reader<'_>) -> Result<PublicKey, CertificateError> {
    let mut identifier = info.sequence()?;
    let point = info.whole_bits()?;
    info.finish()?;
    let kind = identifier.expect(der::OBJECT_IDENTIFIER)?;
    if kind == oid::ED25519 {
        identifier.finish()?;
        let key = point.try_into().map_err(|_| CertificateError::Key)?;
        return Ok(PublicKey::Ed25519(key));
    }
    if kind == oid::ML_DSA_44_ECDSA_P256 {
        identifier.finish()?;
        return CompositeKey::from_bytes(point).map(PublicKey::from).ok_or(CertificateError::Key);
    }
    if kind != oid::EC_PUBLIC_KEY {
        return Err(CertificateError::Key);
    }
    let curve = identifier.expect(der::OBJECT_IDENTIFIER)?;
    identifier.finish()?;
    if point.first() != Some(&0x04) {
        return Err(CertificateError::Key);
    }
    match curve {
        oid::SECP256R1 => point.try_into().map(PublicKey::P256).map_err(|_| CertificateError::Key),
        oid::SECP384R1 => point.try_into().map(PublicKey::P384).map_err(|_| CertificateError::Key),
        _ => Err(CertificateError::Key),
    }
}

fn key_usage(bits: &[u8]) -> Result<KeyUsage, DerError> {
    match bits {
        [unused @ 0..=7, first] => Ok(KeyUsage(u16::from(first >> unused << unused) << 8)),
        [_, first, second] => Ok(KeyUsage(u16::from_be_bytes([*first, *second]))),
        _ => Err(DerError::Value { what: "key usage" }),
    }
}
