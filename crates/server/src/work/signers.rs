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

/// How long a document signer holds.
pub(crate) const SIGNER_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// How long before its end a document signer is followed by the next.
pub(crate) const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// Makes sure that every operator with an issuing authority has both signers for a while.
///
/// # Errors
/// [`Problem`], which is logged already; signers renewed until then stay.
pub(crate) async fn renew_all(server: &Server, at: Instant) -> Result<(), Problem> {
    let keys = server.custody.keys();
    let authorities = keys.iter().filter(|key| key.purpose == Purpose::IssuingAuthority);
    for operator in authorities.filter_map(|key| key.operator.as_ref()) {
        for purpose in [Purpose::DocumentSignerMdoc, Purpose::DocumentSignerSdJwt] {
            renew(server, operator, purpose, at).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::city::ceremony::{Founding, RootFile, create_city};
    use crate::config::{Config, Http, Keys, Limits, Store};
    use crate::world::now;
    use keys::unlock::Unlock;
    use std::path::Path;

    fn config(folder: &Path) -> Config {
        Config {
            http: Http {
                listen: "127.0.0.1:1".parse().unwrap(),
                public_url: "http://127.0.0.1:1".into(),
                tls_cert: None,
                tls_key: None,
            },
            store: Store { data: folder.join("data") },
            keys: Keys {
                keystore: folder.join("keys/city.keys"),
                key_file: Some(folder.join("keys/city.key")),
                passphrase_file: None,
            },
            limits: Limits::default(),
        }
    }

    async fn city(folder: &Path, at: Instant) -> Server {
        std::fs::create_dir_all(folder).unwrap();
        let config = config(folder);
        Unlock::create_key_file(&folder.join("root.key")).unwrap();
        let unlock = Unlock::key_file(&folder.join("root.key"), &config.store.data).unwrap();
        let root = RootFile { path: &folder.join("root.keys"), unlock: &unlock };
        let operator = identity::operator::NewOperator {
            code: "harbour".parse().unwrap(),
            name: "Harbour".parse().unwrap(),
        };
        let founding = Founding {
            name: "Testhaven".parse().unwrap(),
            country: "UT".into(),
            operators: vec![operator],
        };
        create_city(&config, &root, &founding, at).await.unwrap();
        Server::open(&config).await.unwrap()
    }

    #[tokio::test]
    async fn signers_are_renewed_with_new_keys_a_month_before_they_end() {
        let folder = std::env::temp_dir().join(format!("limen-signers-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let at = now();
        let server = city(&folder, at).await;
        let operator = "harbour".parse().unwrap();
        let count = || {
            let keys = server.custody.keys();
            keys.iter().filter(|key| key.purpose == Purpose::DocumentSignerMdoc).count()
        };
        let due = at.saturating_add(SIGNER_LIFE - RENEW_BEFORE);
        let hour = Duration::from_secs(3_600);
        for (when, expected) in
            [(at, 1), (at, 1), (due.saturating_sub(hour), 1), (due.saturating_add(hour), 2)]
        {
            renew_all(&server, when).await.unwrap();
            assert_eq!(count(), expected, "{when}");
        }
        let late = at.saturating_add(SIGNER_LIFE + hour);
        let signer =
            certified(&*server.custody, Purpose::DocumentSignerMdoc, Some(&operator), late);
        assert!(signer.is_ok(), "the second holds when the first has ended");
        let _ = std::fs::remove_dir_all(&folder);
    }
}
