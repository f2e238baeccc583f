//! Builds certificates as bytes that wait for a signature, in the profile of ISO/IEC 18013-5,
//! Annex B: subject and authority key identifiers, an alternative name of the issuer, and a place
//! for revocation lists, because readers of other makers demand them.
//!
//! Entropy for the serial number and the dates are arguments. The signature is made elsewhere.

use alloc::vec::Vec;
use core::fmt;

use vocabulary::time::Instant;

use crate::composite::ecdsa_to_der;
use crate::crypto::{Algorithm, PublicKey};
use crate::unsigned::Unsigned;
use crate::x509::der::{self, Writer};
use crate::x509::key_id::key_id;
use crate::x509::{Certificate, KeyUsage, oid};

/// Bytes of entropy in a serial number.
pub const SERIAL_ENTROPY_BYTES: usize = 16;
/// Bytes of one attribute of a name (RFC 5280, ub-common-name and ub-organization-name).
pub const NAME_BYTES_MAX: usize = 64;

/// The DER bytes of a signed certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateDer(Vec<u8>);

impl CertificateDer {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without copying.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for CertificateDer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateDer({} bytes)", self.0.len())
    }
}

/// What a new certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The root of a city: signs authorities.
    Root,
    /// An issuing or reader authority (IACA, reader CA): signs leaf certificates, no authorities.
    Authority,
    /// Signs mobile security objects and other credentials of an operator.
    DocumentSigner,
    /// Authenticates a reader.
    Reader,
    /// Signs the trust bundles of readers, and nothing else.
    BundleSigner,
    /// Signs status lists or the like.
    Leaf,
}

/// Whom a certificate names.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s> {
    /// CN: 1 to [`NAME_BYTES_MAX`] bytes.
    pub common_name: &'s str,
    /// O: 1 to [`NAME_BYTES_MAX`] bytes.
    pub organization: Option<&'s str>,
    /// C: two capital letters (ISO 3166-1).
    pub country: &'s str,
}

/// A certificate to be made.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// What it is for.
    pub purpose: Purpose,
    /// Whom it names.
    pub subject: Subject<'r>,
    /// The key of its subject.
    pub key: &'r PublicKey,
    /// First instant of validity, to the second.
    pub not_before: Instant,
    /// Last instant of validity, to the second.
    pub not_after: Instant,
    /// Entropy for the serial number.
    pub serial_entropy: [u8; SERIAL_ENTROPY_BYTES],
    /// Where people find the issuer: a URI (issuerAltName).
    pub issuer_uri: &'r str,
    /// Where its revocation list is published: a URI (cRLDistributionPoints).
    pub crl_uri: &'r str,
}

/// Who signs a new certificate.
#[derive(Clone, Copy, Debug)]
pub enum Signer<'s> {
    /// The subject itself: for a root.
    Subject,
    /// An authority with this certificate.
    Authority(&'s Certificate<'s>),
}

/// Why a certificate is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// A name is empty, too long, or the country is not two capital letters.
    Name,
    /// A URI is empty or not ASCII.
    Uri,
    /// The validity ends before it begins.
    Dates,
    /// The signing certificate is not that of an authority, or does not outlive the new one.
    Authority,
    /// Only a root signs itself.
    SelfSigned,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "certificate needs names of 1 to 64 bytes and a country of two capitals",
            Self::Uri => "certificate needs URIs of ASCII characters",
            Self::Dates => "certificate must not end before it begins",
            Self::Authority => "signing certificate is not an authority over the whole validity",
            Self::SelfSigned => "only a root certificate is signed by its own subject",
        })
    }
}

impl core::error::Error for BuildError {}

/// The certificate that `request` describes, waiting for the signature of `signer`.
///
/// # Errors
/// [`BuildError`] when the request or the signer cannot give a valid certificate.
pub fn certificate(
    request: &Request<'_>,
    signer: Signer<'_>,
) -> Result<Unsigned<CertificateDer>, BuildError> {
    check(request, signer)?;
    let subject = name(&request.subject);
    let (issuer, key) = match signer {
        Signer::Subject => (&subject[..], request.key),
        Signer::Authority(authority) => (authority.subject.as_der(), &authority.public_key),
    };
    let authority_key_id = match signer {
        Signer::Subject => None,
        Signer::Authority(authority) => {
            let own = authority.subject_key_id.map(Vec::from);
            Some(own.unwrap_or_else(|| key_id(authority.public_key.as_bytes()).to_vec()))
        }
    };
    let algorithm = key.algorithm();
    let mut tbs = Writer::new();
    tbs.nested(der::SEQUENCE, |tbs| {
        tbs.nested(der::context_constructed(0), |version| {
            version.unsigned(&[2]);
        });
        // A leading 01 keeps the number positive and its length fixed.
        let mut serial = [1; SERIAL_ENTROPY_BYTES + 1];
        serial.iter_mut().skip(1).zip(request.serial_entropy).for_each(|(to, from)| *to = from);
        tbs.unsigned(&serial);
        write_algorithm(tbs, algorithm);
        tbs.raw(issuer);
        tbs.nested(der::SEQUENCE, |validity| {
            validity.time(request.not_before).time(request.not_after);
        });
        tbs.raw(&subject);
        write_public_key(tbs, request.key);
        tbs.nested(der::context_constructed(3), |explicit| {
            explicit.nested(der::SEQUENCE, |list| {
                write_extensions(list, request, authority_key_id.as_deref());
            });
        });
    });
    let tbs = tbs.into_bytes();
    Ok(Unsigned::new(algorithm, tbs.clone(), move |signature| {
        assemble(&tbs, algorithm, signature.as_bytes())
    }))
}

/// SubjectPublicKeyInfo in DER, as a PEM block `PUBLIC KEY` holds it.
#[must_use]
pub fn public_key_info(key: &PublicKey) -> Vec<u8> {
    let mut writer = Writer::new();
    write_public_key(&mut writer, key);
    writer.into_bytes()
}

/// Joins a signed part, the algorithm and a signature in fixed form to a certificate.
#[must_use]
pub fn assemble(tbs: &[u8], algorithm: Algorithm, signature: &[u8]) -> CertificateDer {
    let mut certificate = Writer::new();
    certificate.nested(der::SEQUENCE, |certificate| {
        certificate.raw(tbs);
        write_algorithm(certificate, algorithm);
        certificate.whole_bits(&der_signature(algorithm, signature));
    });
    CertificateDer(certificate.into_bytes())
}

fn check(request: &Request<'_>, signer: Signer<'_>) -> Result<(), BuildError> {
    let Subject { common_name, organization, country } = request.subject;
    let fits = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len());
    let is_country = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
    if !fits(common_name) || !organization.is_none_or(fits) || !is_country {
        return Err(BuildError::Name);
    }
    let is_uri = |uri: &str| !uri.is_empty() && uri.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_uri(request.issuer_uri) || !is_uri(request.crl_uri) {
        return Err(BuildError::Uri);
    }
    if request.not_after < request.not_before {
        return Err(BuildError::Dates);
    }
    match signer {
        Signer::Subject if request.purpose == Purpose::Root => Ok(()),
        Signer::Subject => Err(BuildError::SelfSigned),
        Signer::Authority(authority) => {
            let covers = authority.not_before <= request.not_before.floor_to_second()
                && request.not_after.floor_to_second() <= authority.not_after;
            if authority.is_authority() && covers { Ok(()) } else { Err(BuildError::Authority) }
        }
    }
}

fn name(subject: &Subject<'_>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(der::SEQUENCE, |sets| {
        let mut attribute = |id: &[u8], tag: u8, value: &str| {
            sets.nested(der::SET, |set| {
                set.nested(der::SEQUENCE, |pair| {
                    pair.primitive(der::OBJECT_IDENTIFIER, id).primitive(tag, value.as_bytes());
                });
            });
        };
        attribute(oid::COUNTRY, der::PRINTABLE_STRING, subject.country);
        if let Some(organization) = subject.organization {
            attribute(oid::ORGANIZATION, der::UTF8_STRING, organization);
        }
        attribute(oid::COMMON_NAME, der::UTF8_STRING, subject.common_name);
    });
    writer.into_bytes()
}

fn write_algorithm(writer: &mut Writer, algorithm: Algorithm) {
    let id = match algorithm {
        Algorithm::Es256 => oid::ECDSA_SHA256,
        Algorithm::Es384 => oid::ECDSA_SHA384,
        Algorithm::EdDsa => oid::ED25519,
        Algorithm::MlDsa44Es256 => oid::ML_DSA_44_ECDSA_P256,
    };
    writer.nested(der::SEQUENCE, |identifier| {
        identifier.primitive(der::OBJECT_IDENTIFIER, id);
    });
}

fn write_public_key(writer: &mut Writer, key: &PublicKey) {
    writer.nested(der::SEQUENCE, |info| {
        info.nested(der::SEQUENCE, |identifier| {
            let curve = match key {
                PublicKey::P256(_) => oid::SECP256R1,
                PublicKey::P384(_) => oid::SECP384R1,
                PublicKey::Ed25519(_) => {
                    identifier.primitive(der::OBJECT_IDENTIFIER, oid::ED25519);
                    return;
                }
                PublicKey::Composite(_) => {
                    identifier.primitive(der::OBJECT_IDENTIFIER, oid::ML_DSA_44_ECDSA_P256);
                    return;
                }
            };
            identifier
                .primitive(der::OBJECT_IDENTIFIER, oid::EC_PUBLIC_KEY)
                .primitive(der::OBJECT_IDENTIFIER, curve);
        });
        info.whole_bits(key.as_bytes());
    });
}

fn write_extensions(list: &mut Writer, request: &Request<'_>, authority_key_id: Option<&[u8]>) {
    let own_key_id = key_id(request.key.as_bytes());
    extension(list, oid::SUBJECT_KEY_IDENTIFIER, false, |value| {
        value.primitive(der::OCTET_STRING, &own_key_id);
    });
    if let Some(id) = authority_key_id {
        extension(list, oid::AUTHORITY_KEY_IDENTIFIER, false, |value| {
            value.nested(der::SEQUENCE, |fields| {
                fields.primitive(der::context(0), id);
            });
        });
    }
    let path_length = match request.purpose {
        Purpose::Root => Some(1),
        Purpose::Authority => Some(0),
        _ => None,
    };
    let usage = match path_length {
        Some(_) => KeyUsage::CERTIFICATE_SIGN.0 | KeyUsage::CRL_SIGN.0,
        None => KeyUsage::DIGITAL_SIGNATURE.0,
    };
    extension(list, oid::KEY_USAGE, true, |value| {
        // INVARIANT: no use beyond bit 7 is written, so that one byte holds all.
        let [bits, _] = usage.to_be_bytes();
        let unused = bits.trailing_zeros().to_le_bytes();
        value.primitive(der::BIT_STRING, &[unused[0], bits]);
    });
    if let Some(path_length) = path_length {
        extension(list, oid::BASIC_CONSTRAINTS, true, |value| {
            value.nested(der::SEQUENCE, |fields| {
                fields.primitive(der::BOOLEAN, &[0xFF]).unsigned(&[path_length]);
            });
        });
    }
    let extended = match request.purpose {
        Purpose::DocumentSigner => Some(oid::MDOC_DOCUMENT_SIGNER),
        Purpose::Reader => Some(oid::MDOC_READER),
        Purpose::BundleSigner => Some(oid::BUNDLE_SIGNER),
        _ => None,
    };
    if let Some(id) = extended {
        extension(list, oid::EXTENDED_KEY_USAGE, true, |value| {
            value.nested(der::SEQUENCE, |purposes| {
                purposes.primitive(der::OBJECT_IDENTIFIER, id);
            });
        });
    }
    // GeneralName [6]: a URI.
    let uri = |value: &mut Writer, uri: &str| {
        value.primitive(der::context(6), uri.as_bytes());
    };
    extension(list, oid::ISSUER_ALT_NAME, false, |value| {
        value.nested(der::SEQUENCE, |names| uri(names, request.issuer_uri));
    });
    extension(list, oid::CRL_DISTRIBUTION_POINTS, false, |value| {
        value.nested(der::SEQUENCE, |points| {
            points.nested(der::SEQUENCE, |point| {
                point.nested(der::context_constructed(0), |name| {
                    name.nested(der::context_constructed(0), |full| uri(full, request.crl_uri));
                });
            });
        });
    });
}

fn extension(list: &mut Writer, id: &[u8], critical: bool, write: impl FnOnce(&mut Writer)) {
    list.nested(der::SEQUENCE, |extension| {
        extension.primitive(der::OBJECT_IDENTIFIER, id);
        if critical {
            extension.primitive(der::BOOLEAN, &[0xFF]);
        }
        extension.nested(der::OCTET_STRING, write);
    });
}

fn der_signature(algorithm: Algorithm, signature: &[u8]) -> Vec<u8> {
    match algorithm {
        Algorithm::Es256 | Algorithm::Es384 => ecdsa_to_der(signature),
        Algorithm::EdDsa | Algorithm::MlDsa44Es256 => signature.to_vec(),
    }
}
