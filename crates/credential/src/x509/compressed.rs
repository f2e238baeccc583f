//! Reader certificates in the compressed form of profile 0000, as a standard tap carries them.
//!
//! What every such certificate has in common is left out, and put back before anything is judged:
//! names of one common name, a key on P-256, a signature by ES256 and three extensions. The
//! signature covers the certificate in full, so that a compressed form says nothing that its
//! issuer did not sign.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use vocabulary::time::Instant;

use crate::composite::ecdsa_to_der;
use crate::crypto::{Algorithm, Crypto, PublicKey};
use crate::rejection::Rejection;
use crate::unsigned::Unsigned;
use crate::x509::der::{self, DerError, Reader, Writer};
use crate::x509::key_id::{KEY_ID_BYTES, key_id};
use crate::x509::{Certificate, KeyUsage, oid};

/// Bytes of a compressed certificate.
pub const COMPRESSED_BYTES_MAX: usize = 512;
/// Bytes of a serial number, its sign byte included.
pub const SERIAL_BYTES_MAX: usize = 20;
/// Bytes of a common name.
pub const NAME_BYTES_MAX: usize = 32;

const PROFILE: &[u8] = &[0, 0];
const UTC_TIME_BYTES: usize = 13;
const GENERALIZED_TIME_BYTES: usize = 15;

/// The fields of a certificate that the compressed form carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields<'a> {
    serial: &'a [u8],
    issuer: &'a [u8],
    not_before: &'a [u8],
    not_after: &'a [u8],
    subject: &'a [u8],
    key: &'a [u8],
    signature: &'a [u8],
}

/// What a field is where the compressed form leaves it out.
const DEFAULTS: Fields<'static> = Fields {
    serial: &[1],
    issuer: b"issuer",
    not_before: b"200101000000Z",
    not_after: b"490101000000Z",
    subject: b"subject",
    key: &[],
    signature: &[],
};

/// Why a certificate is not of profile 0000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressedError {
    /// The bytes break DER or the structure of the form.
    Der(DerError),
    /// Longer than [`COMPRESSED_BYTES_MAX`].
    TooLong,
    /// Of another profile.
    Profile,
    /// A field is longer or shorter than the profile allows.
    Field,
    /// The issuer's key is not on P-256.
    IssuerKey,
    /// The certificate says more, or other, than the profile can.
    Differs,
}

impl fmt::Display for CompressedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Der(_) => "compressed certificate does not follow DER",
            Self::TooLong => "compressed certificate is longer than 512 bytes",
            Self::Profile => "compressed certificate is not of profile `0000`",
            Self::Field => "compressed certificate has a field of a wrong length",
            Self::IssuerKey => "compressed certificate needs an issuer key on P-256",
            Self::Differs => "certificate says what profile `0000` cannot carry",
        })
    }
}

impl core::error::Error for CompressedError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Der(source) => Some(source),
            _ => None,
        }
    }
}

impl From<DerError> for CompressedError {
    fn from(source: DerError) -> Self {
        Self::Der(source)
    }
}

/// A certificate of a reader that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// Serial number, big endian: 1 to [`SERIAL_BYTES_MAX`] bytes, positive and without padding.
    pub serial: &'r [u8],
    /// Common name of the issuer: 1 to [`NAME_BYTES_MAX`] bytes.
    pub issuer: &'r str,
    /// Common name of the reader: 1 to [`NAME_BYTES_MAX`] bytes.
    pub subject: &'r str,
    /// First instant of validity, to the second.
    pub not_before: Instant,
    /// Last instant of validity, to the second.
    pub not_after: Instant,
    /// The reader's key, uncompressed.
    pub key: &'r [u8; 65],
}

/// The compressed certificate that `request` describes, waiting for the signature of `issuer`.
///
/// # Errors
/// [`CompressedError`] when a field does not fit the profile.
pub fn issue(
    request: &Request<'_>,
    issuer: &PublicKey,
) -> Result<Unsigned<Vec<u8>>, CompressedError> {
    let time = |at: Instant| {
        let mut text = Writer::new();
        text.time(at);
        // Tag and length are not carried.
        text.into_bytes().split_off(2)
    };
    let (not_before, not_after) = (time(request.not_before), time(request.not_after));
    let fields = Fields {
        serial: request.serial,
        issuer: request.issuer.as_bytes(),
        not_before: &not_before,
        not_after: &not_after,
        subject: request.subject.as_bytes(),
        key: request.key,
        signature: &[],
    };
    fields.check()?;
    if request.not_after < request.not_before || !is_positive(request.serial) {
        return Err(CompressedError::Field);
    }
    let tbs = fields.tbs(&key_id_of(issuer)?);
    let mut list = Writer::new();
    fields.write(&mut list);
    let list = list.into_bytes();
    Ok(Unsigned::new(Algorithm::Es256, tbs, move |signature| {
        let signature = ecdsa_to_der(signature.as_bytes());
        wrap(|out| {
            out.raw(&list).primitive(der::context(6), &[&[0], &signature[..]].concat());
        })
    }))
}

/// The common name of the subject of `tbs`, a TBSCertificate, if that is one of profile 0000 to the
/// last byte: whoever signs asks this before, and reads no certificate into another.
#[must_use]
pub fn subject_of_tbs(tbs: &[u8]) -> Option<&str> {
    let mut outer = Reader::new(tbs);
    let (fields, authority_key_id) = Fields::of_tbs(outer.sequence().ok()?).ok()?;
    fields.check().ok()?;
    let is_of_profile = is_positive(fields.serial) && fields.tbs(&authority_key_id) == tbs;
    core::str::from_utf8(fields.subject).ok().filter(|_| is_of_profile)
}

/// The compressed form of a certificate in DER that `issuer` signed.
///
/// # Errors
/// [`CompressedError`] where the certificate cannot be rebuilt byte for byte from that form.
pub fn compress(certificate: &[u8], issuer: &PublicKey) -> Result<Vec<u8>, CompressedError> {
    let fields = Fields::of_certificate(certificate)?;
    fields.check()?;
    if fields.certificate(issuer)? != certificate {
        return Err(CompressedError::Differs);
    }
    Ok(wrap(|list| {
        fields.write(list);
        list.primitive(der::context(6), &[&[0], fields.signature].concat());
    }))
}

/// The certificate in DER that a compressed form stands for, if `issuer` signed it.
/// Whether it did is not judged here.
///
/// # Errors
/// [`CompressedError`] where the form cannot be read.
pub fn rebuild(compressed: &[u8], issuer: &PublicKey) -> Result<Vec<u8>, CompressedError> {
    if compressed.len() > COMPRESSED_BYTES_MAX {
        return Err(CompressedError::TooLong);
    }
    let fields = Fields::of_compressed(compressed)?;
    fields.check()?;
    fields.certificate(issuer)
}

/// A reader whose certificate was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReader {
    /// Its key.
    pub key: PublicKey,
    /// Its common name.
    pub name: String,
    /// The first instant of its validity.
    pub not_before: Instant,
}

/// The reader that a compressed certificate names, after it was rebuilt and its
/// signature by `issuer`, its dates at the instant `at` and its purpose were checked.
///
/// # Errors
/// [`Rejection`] that blames the reader, or the time.
pub fn verify(
    crypto: &dyn Crypto,
    compressed: &[u8],
    issuer: &PublicKey,
    at: Instant,
) -> Result<VerifiedReader, Rejection> {
    verified(crypto, compressed, issuer, |_| at)
}

/// As [`verify`], for who has no clock and knows only that it is not before `floor`: a certificate that
/// begins later proves that it is later, and one that ended before has ended.
///
/// # Errors
/// [`Rejection`] that blames the reader, or the time.
pub fn verify_without_clock(
    crypto: &dyn Crypto,
    compressed: &[u8],
    issuer: &PublicKey,
    floor: Instant,
) -> Result<VerifiedReader, Rejection> {
    verified(crypto, compressed, issuer, |certificate| floor.max(certificate.not_before))
}

fn verified(
    crypto: &dyn Crypto,
    compressed: &[u8],
    issuer: &PublicKey,
    clock: impl Fn(&Certificate<'_>) -> Instant,
) -> Result<VerifiedReader, Rejection> {
    let unreadable = |error: &dyn fmt::Display| {
        Rejection::reader("reader-certificate", alloc::format!("{error}"))
    };
    let rebuilt = rebuild(compressed, issuer).map_err(|error| unreadable(&error))?;
    let certificate = Certificate::parse(&rebuilt).map_err(|error| unreadable(&error))?;
    if !certificate.is_signed_by(crypto, issuer) {
        let message = "reader certificate is not signed by the issuer of its group";
        return Err(Rejection::reader("reader-certificate-signature", message));
    }
    let at = clock(&certificate);
    if !certificate.is_current(at) {
        let Certificate { not_before, not_after, .. } = certificate;
        let message =
            alloc::format!("reader certificate is valid {not_before} to {not_after}, not at {at}");
        return Err(Rejection::time("reader-certificate-dates", message));
    }
    let signs = |usage: KeyUsage| usage.allows(KeyUsage::DIGITAL_SIGNATURE);
    if certificate.is_authority() || !certificate.key_usage.is_some_and(signs) {
        let message = "reader certificate is not for digital signatures";
        return Err(Rejection::reader("reader-certificate", message));
    }
    // INVARIANT: the form was read a moment ago, and its names are text.
    let name = Fields::of_compressed(compressed).map_err(|error| unreadable(&error))?.subject;
    let name = String::from_utf8_lossy(name).into_owned();
    let Certificate { not_before, public_key: key, .. } = certificate;
    Ok(VerifiedReader { key, name, not_before })
}

impl<'a> Fields<'a> {
    fn of_compressed(bytes: &'a [u8]) -> Result<Self, CompressedError> {
        let mut outer = Reader::new(bytes);
        let mut parts = outer.sequence()?;
        outer.finish()?;
        if parts.expect(der::OCTET_STRING)? != PROFILE {
            return Err(CompressedError::Profile);
        }
        let mut list = parts.sequence()?;
        parts.finish()?;
        let mut or = |number, default| {
            list.optional(der::context(number)).map(|found| found.unwrap_or(default))
        };
        let (serial, issuer) = (or(0, DEFAULTS.serial)?, or(1, DEFAULTS.issuer)?);
        let (not_before, not_after) = (or(2, DEFAULTS.not_before)?, or(3, DEFAULTS.not_after)?);
        let subject = or(4, DEFAULTS.subject)?;
        let key = whole_bits(list.expect(der::context(5))?)?;
        let signature = whole_bits(list.expect(der::context(6))?)?;
        list.finish()?;
        Ok(Self { serial, issuer, not_before, not_after, subject, key, signature })
    }

    fn of_certificate(bytes: &'a [u8]) -> Result<Self, CompressedError> {
        let mut outer = Reader::new(bytes);
        let mut parts = outer.sequence()?;
        outer.finish()?;
        let (fields, _) = Self::of_tbs(parts.sequence()?)?;
        parts.sequence()?;
        let signature = parts.whole_bits()?;
        parts.finish()?;
        Ok(Self { signature, ..fields })
    }

    /// The fields of a TBSCertificate, whose signature they lack, and the key identifier of its issuer.
    fn of_tbs(mut tbs: Reader<'a>) -> Result<(Self, [u8; KEY_ID_BYTES]), CompressedError> {
        tbs.expect(der::context_constructed(0))?;
        let serial = tbs.integer()?;
        tbs.sequence()?;
        let issuer = common_name(tbs.sequence()?)?;
        let mut validity = tbs.sequence()?;
        let (not_before, not_after) = (validity.element()?.value, validity.element()?.value);
        let subject = common_name(tbs.sequence()?)?;
        let mut info = tbs.sequence()?;
        info.sequence()?;
        let key = info.whole_bits()?;
        let mut extensions = Reader::new(tbs.expect(der::context_constructed(3))?).sequence()?;
        let mut first = extensions.sequence()?;
        first.expect(der::OBJECT_IDENTIFIER)?;
        let mut value = Reader::new(first.expect(der::OCTET_STRING)?).sequence()?;
        let id = value.expect(der::context(0))?.try_into();
        let id = id.map_err(|_| CompressedError::Differs)?;
        let fields = Self {
            serial,
            issuer,
            not_before,
            not_after,
            subject,
            key,
            signature: DEFAULTS.signature,
        };
        Ok((fields, id))
    }

    fn check(&self) -> Result<(), CompressedError> {
        let is_time = |time: &[u8]| matches!(time.len(), UTC_TIME_BYTES | GENERALIZED_TIME_BYTES);
        let is_name = |name: &[u8]| {
            (1..=NAME_BYTES_MAX).contains(&name.len()) && core::str::from_utf8(name).is_ok()
        };
        let fits = (1..=SERIAL_BYTES_MAX).contains(&self.serial.len())
            && [self.issuer, self.subject].into_iter().all(is_name)
            && [self.not_before, self.not_after].into_iter().all(is_time)
            && self.key.len() == 65;
        if fits { Ok(()) } else { Err(CompressedError::Field) }
    }

    fn write(&self, list: &mut Writer) {
        let pairs = [
            (0, self.serial, DEFAULTS.serial),
            (1, self.issuer, DEFAULTS.issuer),
            (2, self.not_before, DEFAULTS.not_before),
            (3, self.not_after, DEFAULTS.not_after),
            (4, self.subject, DEFAULTS.subject),
        ];
        for (number, value, _) in pairs.into_iter().filter(|(_, value, default)| value != default) {
            list.primitive(der::context(number), value);
        }
        list.primitive(der::context(5), &[&[0], self.key].concat());
    }

    fn certificate(&self, issuer: &PublicKey) -> Result<Vec<u8>, CompressedError> {
        let tbs = self.tbs(&key_id_of(issuer)?);
        let mut out = Writer::new();
        out.nested(der::SEQUENCE, |out| {
            out.raw(&tbs);
            write_algorithm(out);
            out.whole_bits(self.signature);
        });
        Ok(out.into_bytes())
    }

    /// What is signed, with the extensions in their order: authority key identifier, basic
    /// constraints (critical, empty), key usage (critical, digitalSignature).
    fn tbs(&self, issuer: &[u8; KEY_ID_BYTES]) -> Vec<u8> {
        let mut out = Writer::new();
        out.nested(der::SEQUENCE, |tbs| {
            tbs.nested(der::context_constructed(0), |version| {
                version.unsigned(&[2]);
            });
            tbs.primitive(der::INTEGER, self.serial);
            write_algorithm(tbs);
            write_name(tbs, self.issuer);
            tbs.nested(der::SEQUENCE, |validity| {
                write_time(validity, self.not_before);
                write_time(validity, self.not_after);
            });
            write_name(tbs, self.subject);
            tbs.nested(der::SEQUENCE, |info| {
                info.nested(der::SEQUENCE, |kind| {
                    kind.primitive(der::OBJECT_IDENTIFIER, oid::EC_PUBLIC_KEY)
                        .primitive(der::OBJECT_IDENTIFIER, oid::SECP256R1);
                });
                info.whole_bits(self.key);
            });
            tbs.nested(der::context_constructed(3), |explicit| {
                explicit.nested(der::SEQUENCE, |list| write_extensions(list, issuer));
            });
        });
        out.into_bytes()
    }
}

/// The profile and the list of fields.
fn wrap(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::new();
    out.nested(der::SEQUENCE, |out| {
        out.primitive(der::OCTET_STRING, PROFILE);
        out.nested(der::SEQUENCE, write);
    });
    out.into_bytes()
}

/// Whether these are the contents of a positive INTEGER.
fn is_positive(serial: &[u8]) -> bool {
    !matches!(serial, [] | [0] | [0x80..=0xFF, ..] | [0, 0..=0x7F, ..])
}

fn write_algorithm(out: &mut Writer) {
    out.nested(der::SEQUENCE, |identifier| {
        identifier.primitive(der::OBJECT_IDENTIFIER, oid::ECDSA_SHA256);
    });
}

fn write_name(out: &mut Writer, name: &[u8]) {
    out.nested(der::SEQUENCE, |sets| {
        sets.nested(der::SET, |set| {
            set.nested(der::SEQUENCE, |pair| {
                pair.primitive(der::OBJECT_IDENTIFIER, oid::COMMON_NAME)
                    .primitive(der::UTF8_STRING, name);
            });
        });
    });
}

fn write_time(out: &mut Writer, text: &[u8]) {
    let tag = if text.len() == UTC_TIME_BYTES { der::UTC_TIME } else { der::GENERALIZED_TIME };
    out.primitive(tag, text);
}

fn key_id_of(issuer: &PublicKey) -> Result<[u8; KEY_ID_BYTES], CompressedError> {
    match issuer {
        PublicKey::P256(key) => Ok(key_id(key)),
        _ => Err(CompressedError::IssuerKey),
    }
}

fn write_extensions(list: &mut Writer, issuer: &[u8; KEY_ID_BYTES]) {
    let mut extension = |id: &[u8], critical: bool, write: &dyn Fn(&mut Writer)| {
        list.nested(der::SEQUENCE, |extension| {
            extension.primitive(der::OBJECT_IDENTIFIER, id);
            if critical {
                extension.primitive(der::BOOLEAN, &[0xFF]);
            }
            extension.nested(der::OCTET_STRING, |value| write(value));
        });
    };
    extension(oid::AUTHORITY_KEY_IDENTIFIER, false, &|value| {
        value.nested(der::SEQUENCE, |fields| {
            fields.primitive(der::context(0), issuer);
        });
    });
    extension(oid::BASIC_CONSTRAINTS, true, &|value| {
        value.nested(der::SEQUENCE, |_| {});
    });
    extension(oid::KEY_USAGE, true, &|value| {
        value.primitive(der::BIT_STRING, &[7, 0x80]);
    });
}

/// The common name of a Name that holds nothing else.
fn common_name(mut name: Reader<'_>) -> Result<&[u8], DerError> {
    let mut attributes = Reader::new(name.expect(der::SET)?);
    name.finish()?;
    let mut pair = attributes.sequence()?;
    attributes.finish()?;
    pair.expect(der::OBJECT_IDENTIFIER)?;
    let value = pair.expect(der::UTF8_STRING)?;
    pair.finish()?;
    Ok(value)
}

/// The contents of a BIT STRING without unused bits.
fn whole_bits(contents: &[u8]) -> Result<&[u8], DerError> {
    match contents {
        [0, bytes @ ..] => Ok(bytes),
        _ => Err(DerError::Value { what: "bit string of whole bytes" }),
    }
}
