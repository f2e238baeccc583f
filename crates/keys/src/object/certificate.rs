//! TBSCertificates (RFC 5280 section 4.1.2), told apart by what they allow their subject.
//!
//! The city root certifies authorities (with path length 0, or itself) and the bundle and status
//! signers; of these the bundle signer alone has an extended key usage, its own. Issuing authority
//! and reader authority certify leaves of their one extended key usage and never an authority. A
//! reader has a second certificate, for the standard tap, which has no extended key usage: what tells
//! it apart is its whole form, to the byte.

use credential::crypto::{Algorithm, PublicKey};
use credential::x509::der::{self, Reader};
use credential::x509::{Certificate, KeyUsage, compressed, oid};

/// Hexadecimal digits of the identifier of a reader.
const READER_DIGITS: usize = 32;

/// Whether `tbs` is a certificate that the city root signs.
#[must_use]
pub fn is_of_city(tbs: &[u8]) -> bool {
    with_certificate(tbs, |certificate| {
        if certificate.extended_key_usage.is_some() {
            let bundle_signer = Usage { bundle_signer: true, ..Usage::default() };
            return Usage::of(certificate) == bundle_signer && !claims_authority(certificate);
        }
        if !certificate.is_authority() {
            return !claims_authority(certificate) && compressed::subject_of_tbs(tbs).is_none();
        }
        let path_length = certificate.basic_constraints.and_then(|limits| limits.path_length);
        path_length == Some(0) || certificate.issuer == certificate.subject
    })
}

/// Whether `tbs` is the certificate of a document signer (ISO/IEC 18013-5 B.1.4).
#[must_use]
pub fn is_document_signer(tbs: &[u8]) -> bool {
    with_certificate(tbs, |certificate| {
        Usage::of(certificate) == Usage { document_signer: true, ..Usage::default() }
            && !claims_authority(certificate)
    })
}

/// Whether `tbs` is the certificate of a reader (ISO/IEC 18013-5 B.1.7), or that of the same reader for
/// the standard tap (profile 0000), which names its identifier.
#[must_use]
pub fn is_reader(tbs: &[u8]) -> bool {
    with_certificate(tbs, |certificate| {
        let is_for_mdoc = Usage::of(certificate) == Usage { reader: true, ..Usage::default() };
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_for_standard_tap = compressed::subject_of_tbs(tbs)
            .is_some_and(|subject| subject.len() == READER_DIGITS && subject.bytes().all(is_digit));
        (is_for_mdoc || is_for_standard_tap) && !claims_authority(certificate)
    })
}

/// The signature algorithm that `tbs` names.
#[must_use]
pub fn algorithm(tbs: &[u8]) -> Option<Algorithm> {
    let whole = wrap(tbs)?;
    Certificate::parse(&whole).ok().map(|certificate| certificate.algorithm)
}

/// The key that `tbs` certifies.
#[must_use]
pub fn subject_key(tbs: &[u8]) -> Option<PublicKey> {
    let whole = wrap(tbs)?;
    Certificate::parse(&whole).ok().map(|certificate| certificate.public_key)
}

/// Whether `certificate` (DER, whole) certifies `public_key`.
#[must_use]
pub fn certifies(certificate: &[u8], public_key: &PublicKey) -> bool {
    Certificate::parse(certificate).is_ok_and(|certificate| certificate.public_key == *public_key)
}

#[derive(Default, PartialEq, Eq)]
struct Usage {
    document_signer: bool,
    reader: bool,
    bundle_signer: bool,
}

impl Usage {
    fn of(certificate: &Certificate<'_>) -> Self {
        let lists =
            |purpose| certificate.extended_key_usage.is_some_and(|usage| usage.contains(purpose));
        Self {
            document_signer: lists(oid::MDOC_DOCUMENT_SIGNER),
            reader: lists(oid::MDOC_READER),
            bundle_signer: lists(oid::BUNDLE_SIGNER),
        }
    }
}

/// Either mark of an authority: stricter than having both.
fn claims_authority(certificate: &Certificate<'_>) -> bool {
    certificate.basic_constraints.is_some_and(|constraints| constraints.authority)
        || certificate.key_usage.is_some_and(|usage| {
            usage.allows(KeyUsage::CERTIFICATE_SIGN) || usage.allows(KeyUsage::CRL_SIGN)
        })
}

/// Reads `tbs` by putting an empty signature around it.
fn with_certificate(tbs: &[u8], judge: impl FnOnce(&Certificate<'_>) -> bool) -> bool {
    wrap(tbs).is_some_and(|whole| {
        // What was parsed is what will be signed, and nothing around it.
        Certificate::parse(&whole)
            .is_ok_and(|certificate| certificate.tbs == tbs && judge(&certificate))
    })
}

fn wrap(tbs: &[u8]) -> Option<Vec<u8>> {
    const EMPTY_BIT_STRING: [u8; 3] = [der::BIT_STRING, 1, 0];
    let mut outer = Reader::new(tbs);
    let mut fields = Reader::new(outer.expect(der::SEQUENCE).ok()?);
    outer.finish().ok()?;
    fields.element().ok()?; // version
    fields.element().ok()?; // serial number
    let algorithm = fields.expect_element(der::SEQUENCE).ok()?.raw;
    let length = u16::try_from(tbs.len() + algorithm.len() + EMPTY_BIT_STRING.len()).ok()?;
    let [high, low] = length.to_be_bytes();
    let mut whole = Vec::with_capacity(usize::from(length) + 4);
    whole.push(der::SEQUENCE);
    match (high, low) {
        (0, 0..=0x7F) => whole.push(low),
        (0, _) => whole.extend_from_slice(&[0x81, low]),
        _ => whole.extend_from_slice(&[0x82, high, low]),
    }
    whole.extend_from_slice(tbs);
    whole.extend_from_slice(algorithm);
    whole.extend_from_slice(&EMPTY_BIT_STRING);
    Some(whole)
}
