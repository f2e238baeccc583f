//! Document signers: each operator has one per format, certified by its own issuing authority,
//! short-lived and renewed with a new key long before it ends (ISO/IEC 18013-5 B.1.4).

use std::time::Duration;

use credential::x509::{Certificate, build};
use keys::custody::NewKey;
use keys::purpose::Purpose;
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use crate::city::certificate::{Wanted, certificate};
use crate::problem::Problem;
use crate::server::{Server, worker_deed};
use crate::sign::{certified, sign};
use crate::world::now;

/// How long a document signer holds.
pub(crate) const SIGNER_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// How long before its end a document signer is followed by the next.
pub(crate) const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// Makes sure that every operator with an issuing authority has both signers for a while.
///
/// # Errors
/// [`Problem`], which is logged already; signers renewed until then stay.
pub(crate) async fn renew_all(server: &Server) -> Result<(), Problem> {
    let keys = server.custody.keys();
    let authorities = keys.iter().filter(|key| key.purpose == Purpose::IssuingAuthority);
    for operator in authorities.filter_map(|key| key.operator.as_ref()) {
        for purpose in [Purpose::DocumentSignerMdoc, Purpose::DocumentSignerSdJwt] {
            renew(server, operator, purpose, now()).await?;
        }
    }
    Ok(())
}

async fn renew(
    server: &Server,
    operator: &OperatorCode,
    purpose: Purpose,
    at: Instant,
) -> Result<(), Problem> {
    let custody = &*server.custody;
    // A certificate that holds by then needs no successor yet.
    let by_then = at.saturating_add(RENEW_BEFORE);
    let holds = certified(custody, purpose, Some(operator), at)
        .is_ok_and(|(_, certificate)| is_in_force(&certificate, by_then));
    if holds {
        return Ok(());
    }
    let authority = certified(custody, Purpose::IssuingAuthority, Some(operator), at)?;
    let request = NewKey { purpose, operator: Some(operator.clone()), at };
    let key = custody.generate(request).await.map_err(|error| Problem::fault(&error))?;
    let name = format!("{operator} {purpose}");
    let wanted = Wanted {
        purpose: build::Purpose::DocumentSigner,
        common_name: &name,
        organization: Some(operator.as_str()),
        country: &server.city.country,
        public_url: &server.public_url,
        key: &key.public_key,
        life: SIGNER_LIFE,
    };
    let (authority_key, authority_certificate) = authority;
    let unsigned = certificate(&wanted, Some(&authority_certificate), at);
    let unsigned = unsigned.map_err(|error| Problem::fault(&error))?;
    let signed = sign(custody, &authority_key, unsigned).await?;
    let kept = custody.attach_certificate(&key.handle, signed.as_bytes()).await;
    kept.map_err(|error| Problem::fault(&error))?;
    let deed = worker_deed(operator.clone(), "signer.renew", key.handle.to_string(), at);
    server.commit(deed, Vec::new(), Vec::new()).await?;
    tracing::info!(%operator, %purpose, key = %key.handle, "a document signer was renewed");
    Ok(())
}

/// Whether the certificate `der` is in force at `at`.
pub(crate) fn is_in_force(der: &[u8], at: Instant) -> bool {
    Certificate::parse(der).is_ok_and(|certificate| certificate.is_current(at))
}
