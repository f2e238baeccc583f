//! The certificates of a root: its own, and the one by which the root before it vouches for it.
//!
//! A link has the name of both roots as subject and as issuer (`newWithOld`, RFC 4210 section 4.4):
//! readers follow it when they go over to the new root.

use core::fmt;
use core::time::Duration;

use aws_lc_rs::rand;
use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use credential::unsigned::Unsigned;
use credential::x509::Certificate;
use credential::x509::build::{
    self, BuildError, CertificateDer, Purpose as CertificatePurpose, Request, Signer, Subject,
};
use vocabulary::time::Instant;

use super::plan::City;
use crate::custody::{Custody, Key, SignError};
use crate::object::{ObjectType, TypedObject, WrongTypeError};

/// How far a certificate begins before it is made, for clocks that are late.
const BACKDATE: Duration = Duration::from_secs(300);

/// The certificate that the root `key` of `city` signs for itself.
///
/// # Errors
/// [`CertifyError`].
pub async fn certify_root(
    custody: &dyn Custody,
    key: &Key,
    city: &City,
    life: Duration,
    now: Instant,
) -> Result<Vec<u8>, CertifyError> {
    let not_before = now.saturating_sub(BACKDATE).floor_to_second();
    let not_after = now.saturating_add(life).floor_to_second();
    let unsigned = unsigned(city, key, (not_before, not_after), Signer::Subject)?;
    signed(custody, key, unsigned).await
}

/// The certificate of the root `key` of `city` that the root `old` signs.
///
/// # Errors
/// [`CertifyError`]; [`CertifyError::OtherName`] when the old root has another name.
pub async fn link_root(
    custody: &dyn Custody,
    old: &Key,
    key: &Key,
    city: &City,
    now: Instant,
) -> Result<Vec<u8>, CertifyError> {
    let parse = |der: Option<&'_ [u8]>| der.map(<[u8]>::to_vec).ok_or(CertifyError::NoCertificate);
    let (own, old_der) = (parse(key.certificate.as_deref())?, parse(old.certificate.as_deref())?);
    let own = Certificate::parse(&own).map_err(|_| CertifyError::NoCertificate)?;
    let authority = Certificate::parse(&old_der).map_err(|_| CertifyError::NoCertificate)?;
    if own.subject != authority.subject {
        return Err(CertifyError::OtherName);
    }
    if !authority.is_current(now) {
        return Err(CertifyError::Expired { at: authority.not_after });
    }
    let not_before = own.not_before.max(authority.not_before);
    let not_after = own.not_after.min(authority.not_after);
    let unsigned = unsigned(city, key, (not_before, not_after), Signer::Authority(&authority))?;
    signed(custody, old, unsigned).await
}

/// Proves that `custody` holds the private half of the root `key`: it signs a certificate for itself
/// that nobody has seen before, which is thrown away. A root signs nothing but certificates.
///
/// # Errors
/// [`CertifyError`]; [`CertifyError::NoProof`] when the signature does not verify.
pub async fn prove_root(
    custody: &dyn Custody,
    key: &Key,
    city: &City,
    now: Instant,
) -> Result<(), CertifyError> {
    certify_root(custody, key, city, Duration::from_secs(60), now).await.map(drop)
}

fn unsigned(
    city: &City,
    key: &Key,
    (not_before, not_after): (Instant, Instant),
    signer: Signer<'_>,
) -> Result<Unsigned<CertificateDer>, CertifyError> {
    let mut serial_entropy = [0; build::SERIAL_ENTROPY_BYTES];
    rand::fill(&mut serial_entropy).map_err(|_| CertifyError::Random)?;
    let (name, crl_uri) = (format!("{} root", city.name), format!("{}/crl", city.public_url));
    let request = Request {
        purpose: CertificatePurpose::Root,
        subject: Subject { common_name: &name, organization: None, country: &city.country },
        key: &key.public_key,
        not_before,
        not_after,
        serial_entropy,
        issuer_uri: &city.public_url,
        crl_uri: &crl_uri,
    };
    build::certificate(&request, signer).map_err(CertifyError::Build)
}

async fn signed(
    custody: &dyn Custody,
    signer: &Key,
    unsigned: Unsigned<CertificateDer>,
) -> Result<Vec<u8>, CertifyError> {
    let bytes = unsigned.to_be_signed().to_vec();
    let object = TypedObject::parse(ObjectType::CityCertificate, &bytes);
    let object = object.map_err(CertifyError::Type)?;
    let signature = custody.sign(&signer.handle, &object).await.map_err(CertifyError::Sign)?;
    AwsLc
        .verify(&signer.public_key, &bytes, signature.as_bytes())
        .map_err(|_| CertifyError::NoProof)?;
    Ok(unsigned.complete(&signature).into_bytes())
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertifyError {
    /// A root has no certificate that can be read.
    NoCertificate,
    /// The old root has another name than the new one.
    OtherName,
    /// The old root's certificate is not in force.
    Expired {
        /// Its last instant.
        at: Instant,
    },
    /// The random generator failed.
    Random,
    /// The request is not that of a certificate.
    Build(BuildError),
    /// The bytes are not what a root signs.
    Type(WrongTypeError),
    /// The custodian did not sign.
    Sign(SignError),
    /// The custodian signed with another key than it says.
    NoProof,
}

impl fmt::Display for CertifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("certify root: a root has no certificate to read"),
            Self::OtherName => f.write_str(
                "certify root: the old root has another name; give the plan the same city and country",
            ),
            Self::Expired { at } => write!(
                f,
                "certify root: the old root's certificate ended at `{at}`; create a root anew, and \
                 enrol the readers again"
            ),
            Self::Random => f.write_str("certify root: the system gives no random bytes"),
            Self::Build(error) => write!(f, "certify root: {error}"),
            Self::Type(error) => write!(f, "certify root: {error}"),
            Self::Sign(error) => write!(f, "certify root: {error}"),
            Self::NoProof => {
                f.write_str("certify root: the custodian signed with another key than it says")
            }
        }
    }
}

impl core::error::Error for CertifyError {}
