//! Certificates of a city, in the profile of ISO/IEC 18013-5 Annex B.

use std::time::Duration;

use credential::crypto::PublicKey;
use credential::unsigned::Unsigned;
use credential::x509::Certificate;
use credential::x509::build::{
    self, BuildError, CertificateDer, Purpose, Request, Signer, Subject,
};
use vocabulary::time::Instant;

use crate::world::{NoEntropy, entropy};

/// How far a certificate begins before it is made, for clocks that are late.
const BACKDATE: Duration = Duration::from_secs(300);

/// What is to be certified.
pub(crate) struct Wanted<'w> {
    pub(crate) purpose: Purpose,
    pub(crate) common_name: &'w str,
    pub(crate) organization: Option<&'w str>,
    pub(crate) country: &'w str,
    pub(crate) public_url: &'w str,
    pub(crate) key: &'w PublicKey,
    pub(crate) life: Duration,
}

/// The certificate that waits for its signature; `authority` is the DER of who signs, none for a
/// root that signs itself.
pub(crate) fn certificate(
    wanted: &Wanted<'_>,
    authority: Option<&[u8]>,
    now: Instant,
) -> Result<Unsigned<CertificateDer>, CertificateFault> {
    let authority = authority.map(Certificate::parse).transpose();
    let authority = authority.map_err(|_| CertificateFault::Authority)?;
    let mut not_before = now.saturating_sub(BACKDATE).floor_to_second();
    let mut not_after = now.saturating_add(wanted.life).floor_to_second();
    if let Some(authority) = &authority {
        not_before = not_before.max(authority.not_before);
        not_after = not_after.min(authority.not_after);
    }
    let crl_uri = format!("{}/crl", wanted.public_url);
    let request = Request {
        purpose: wanted.purpose,
        subject: Subject {
            common_name: shortened(wanted.common_name),
            organization: wanted.organization.map(shortened),
            country: wanted.country,
        },
        key: wanted.key,
        not_before,
        not_after,
        serial_entropy: entropy().map_err(CertificateFault::Entropy)?,
        issuer_uri: wanted.public_url,
        crl_uri: &crl_uri,
    };
    let signer = authority.as_ref().map_or(Signer::Subject, Signer::Authority);
    build::certificate(&request, signer).map_err(CertificateFault::Build)
}

/// As much of a name as a certificate takes.
fn shortened(name: &str) -> &str {
    name.get(..name.floor_char_boundary(build::NAME_BYTES_MAX)).unwrap_or(name).trim_end()
}

/// Why there is no certificate.
#[derive(Debug)]
pub(crate) enum CertificateFault {
    Authority,
    Entropy(NoEntropy),
    Build(BuildError),
}

impl std::fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Authority => f.write_str("make certificate: its authority has none that is read"),
            Self::Entropy(error) => write!(f, "make certificate: {error}"),
            Self::Build(error) => write!(f, "make certificate: {error}"),
        }
    }
}

impl std::error::Error for CertificateFault {}
