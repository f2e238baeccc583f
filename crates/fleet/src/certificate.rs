//! Certificates of readers: proof of possession in, a certificate to be signed out.
//!
//! The profile is that of reader authentication (ISO/IEC 18013-5:2021, Annex B.1.7). Certificates
//! are short-lived, so that a stolen reader ends by itself.

use core::time::Duration;

use credential::crypto::{Crypto, PublicKey, Signature};
use credential::unsigned::Unsigned;
use credential::x509::Certificate;
use credential::x509::build::{self, Purpose, Request, SERIAL_ENTROPY_BYTES, Signer, Subject};
use credential::x509::compressed;
use policy::action::Action;
use policy::authorize::Permit;
use sha2::{Digest, Sha256};
use vocabulary::code::OperatorCode;
use vocabulary::id::ReaderId;
use vocabulary::text::Line;
use vocabulary::time::Instant;

use crate::change::Change;
use crate::reader::{LABEL_BYTES_MAX, Reader, ReaderCertificate};
use crate::refusal::Refusal;

/// How long a reader's certificate lives where the city does not say otherwise.
pub const LIFE_DEFAULT: Duration = Duration::from_secs(7 * 86_400);
/// The longest life of a reader's certificate.
pub const LIFE_MAX: Duration = Duration::from_secs(90 * 86_400);
/// How far a certificate begins before it is made, for wallets whose clocks are late.
pub const BACKDATE: Duration = Duration::from_secs(300);

/// The issuer that the compressed form leaves out: a wallet goes by the key of the authority.
const STANDARD_ISSUER: &str = "issuer";
const RENEWAL_DOMAIN: &[u8] = b"limen reader renewal 1\0";

/// The reader authority, and what it writes into certificates.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    /// Its own certificate.
    pub certificate: &'a Certificate<'a>,
    /// Two capital letters (ISO 3166-1).
    pub country: &'a str,
    /// Where people find the authority.
    pub issuer_uri: &'a str,
    /// Where its revocation list is published.
    pub crl_uri: &'a str,
    /// How long a certificate lives, at most [`LIFE_MAX`]; more is cut.
    pub life: Duration,
}

/// A public key and the proof that its private half is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenKey {
    /// An uncompressed point of P-256 (SEC 1, 2.3.3).
    pub key: [u8; 65],
    /// ES256 over the challenge.
    pub proof: Signature,
}

impl ProvenKey {
    pub(crate) fn check(&self, crypto: &dyn Crypto, challenge: &[u8]) -> Result<(), Refusal> {
        crypto
            .verify(&PublicKey::P256(self.key), challenge, self.proof.as_bytes())
            .map_err(|_| Refusal::Possession)
    }
}

/// What a reader asks when it renews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The key to be certified.
    pub next: ProvenKey,
    /// ES256 over the same challenge by the key that it has now, where the next is another: whoever
    /// has taken only the secret of a reader cannot put a key of its own in its place.
    pub previous_proof: Option<Signature>,
}

impl Renewal {
    fn check(&self, crypto: &dyn Crypto, reader: &Reader) -> Result<(), Refusal> {
        let key = &self.next.key;
        let challenge = renewal_challenge(reader.id, &reader.certificate.der, key);
        self.next.check(crypto, &challenge)?;
        if *key == reader.key {
            return Ok(());
        }
        let proof = self.previous_proof.clone().ok_or(Refusal::Possession)?;
        ProvenKey { key: reader.key, proof }.check(crypto, &challenge)
    }
}

/// The message that a reader signs with the key to be certified when it renews, and with the one
/// that it has now if that is another: good for this reader, this key and the certificate that it
/// has now, hence once.
#[must_use]
pub fn renewal_challenge(reader: ReaderId, certificate: &[u8], key: &[u8; 65]) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(reader.as_bytes());
    hash.update(Sha256::digest(certificate));
    hash.update(key);
    [RENEWAL_DOMAIN, hash.finalize().as_slice()].concat()
}

/// Certifies `reader` again, with its key or with its next one.
///
/// # Errors
/// [`Refusal::Retired`], [`Refusal::Possession`], [`Refusal::Certificate`], [`Refusal::Permit`].
pub fn renew_reader(
    permit: &Permit,
    reader: &Reader,
    request: &Renewal,
    authority: &Authority<'_>,
    crypto: &dyn Crypto,
    now: Instant,
    serial: [u8; SERIAL_ENTROPY_BYTES],
) -> Result<Unsigned<Change>, Refusal> {
    permit.covers(Action::ReaderRenew, &reader.operator)?;
    reader.is_object_of(permit)?;
    if !reader.is_enrolled() {
        return Err(Refusal::Retired);
    }
    request.check(crypto, reader)?;
    let key = request.next.key;
    let named = Named { operator: &reader.operator, label: &reader.label, key };
    let certificate = certificate(&named, authority, now, serial)?;
    let mut next = Reader { key, ..reader.next() };
    Ok(certificate.map(move |certificate| {
        next.certificate = certificate;
        Change::UpdateReader(next)
    }))
}

/// The certificate by which `reader` proves itself in a standard tap, compressed (profile 0000), with the
/// dates of the one that `authority` has just made for it; none where the authority's key is not on
/// P-256. The city keeps no copy: a reader that lost it renews.
///
/// # Errors
/// [`Refusal::StandardCertificate`].
pub fn standard_certificate(
    reader: &Reader,
    authority: &Authority<'_>,
    serial_entropy: [u8; SERIAL_ENTROPY_BYTES],
) -> Result<Option<Unsigned<Vec<u8>>>, Refusal> {
    let key = &authority.certificate.public_key;
    if !matches!(key, PublicKey::P256(_)) {
        return Ok(None);
    }
    let subject: String = reader.id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut serial = serial_entropy;
    // Positive and without padding, whatever was drawn.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7F | 0x40;
    }
    let request = compressed::Request {
        serial: &serial,
        issuer: STANDARD_ISSUER,
        subject: &subject,
        not_before: reader.certificate.not_before,
        not_after: reader.certificate.not_after,
        key: &reader.key,
    };
    compressed::issue(&request, key).map(Some).map_err(Refusal::StandardCertificate)
}

/// Whom a certificate names.
pub(crate) struct Named<'a> {
    pub(crate) operator: &'a OperatorCode,
    pub(crate) label: &'a Line<LABEL_BYTES_MAX>,
    pub(crate) key: [u8; 65],
}

pub(crate) fn certificate(
    named: &Named<'_>,
    authority: &Authority<'_>,
    now: Instant,
    serial_entropy: [u8; SERIAL_ENTROPY_BYTES],
) -> Result<Unsigned<ReaderCertificate>, Refusal> {
    let own = authority.certificate;
    let not_before = now.saturating_sub(BACKDATE).max(own.not_before).floor_to_second();
    let life = authority.life.min(LIFE_MAX);
    let not_after = now.saturating_add(life).min(own.not_after).floor_to_second();
    let request = Request {
        purpose: Purpose::Reader,
        subject: Subject {
            common_name: named.label.as_str(),
            organization: Some(named.operator.as_str()),
            country: authority.country,
        },
        key: &PublicKey::P256(named.key),
        not_before,
        not_after,
        serial_entropy,
        issuer_uri: authority.issuer_uri,
        crl_uri: authority.crl_uri,
    };
    let unsigned = build::certificate(&request, Signer::Authority(own));
    Ok(unsigned.map_err(Refusal::Certificate)?.map(move |der| ReaderCertificate {
        der: der.into_bytes(),
        not_before,
        not_after,
    }))
}
