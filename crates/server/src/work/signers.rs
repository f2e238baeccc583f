//! Document signers: each operator has one per format, certified by its own issuing authority,
//! short-lived and renewed with a new key long before it ends (ISO/IEC 18013-5 B.1.4).

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use credential::x509::{Certificate, build};
use keys::custody::{Key, NewKey};
use keys::purpose::Purpose;
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use crate::city::certificate::{Wanted, certificate};
use crate::server::{Server, worker_deed};
use crate::sign::{certified, sign};

/// How long a document signer holds.
pub(crate) const SIGNER_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// How long before its end a document signer is followed by the next.
pub(crate) const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// Why a signer was not renewed, for the log.
type RenewFault = Box<dyn Error + Send + Sync>;

/// Makes sure that every operator whose issuing authority is in force has both signers for a while.
///
/// What fails for one operator is logged, told to whoever asks for readiness, and tried again with
/// the next chores; it stops no other operator.
pub(crate) async fn renew_all(server: &Server, at: Instant) {
    let keys = server.custody.keys();
    let authorities = keys.iter().filter(|key| key.purpose == Purpose::IssuingAuthority);
    let operators: BTreeSet<_> = authorities.filter_map(|key| key.operator.as_ref()).collect();
    let mut unrenewed = BTreeSet::new();
    for operator in operators {
        let authority = certified(&*server.custody, Purpose::IssuingAuthority, Some(operator), at);
        // An operator without one in force issues nothing; its signers end with it.
        let Ok(authority) = authority else { continue };
        for purpose in [Purpose::DocumentSignerMdoc, Purpose::DocumentSignerSdJwt] {
            if let Err(error) = renew(server, operator, &authority, purpose, at).await {
                tracing::error!(%operator, %purpose, %error, "a document signer is not renewed");
                unrenewed.insert(operator.clone());
            }
        }
    }
    // A set is replaced whole.
    *server.unrenewed.lock().unwrap_or_else(PoisonError::into_inner) = unrenewed;
}

async fn renew(
    server: &Server,
    operator: &OperatorCode,
    authority: &(Key, Arc<[u8]>),
    purpose: Purpose,
    at: Instant,
) -> Result<(), RenewFault> {
    let custody = &*server.custody;
    // A certificate that holds by then needs no successor yet.
    let by_then = at.saturating_add(RENEW_BEFORE);
    let holds = certified(custody, purpose, Some(operator), at)
        .is_ok_and(|(_, certificate)| is_in_force(&certificate, by_then));
    if holds {
        return Ok(());
    }
    let usual = NewKey::active(purpose, Some(operator.clone()), at);
    let request = NewKey { suite: server.suites.of(purpose), ..usual };
    let key = custody.generate(request).await?;
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
    let unsigned = certificate(&wanted, Some(authority_certificate), at)?;
    let signed = sign(custody, authority_key, unsigned).await?;
    custody.attach_certificate(&key.handle, signed.as_bytes()).await?;
    let deed = worker_deed(operator.clone(), "signer.renew", key.handle.to_string(), at);
    server.attempt(deed, Vec::new(), Vec::new()).await?;
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
    use crate::city::ceremony::{Custodians, Founding, create_city};
    use crate::city::files::{RootFile, create_keystore};
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
                suites: Default::default(),
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
        let (root, keys) = (root.create().unwrap(), create_keystore(&config).unwrap());
        let custodians = Custodians { root: &root, city: &keys };
        create_city(&config, custodians, &founding, at).await.unwrap();
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
            renew_all(&server, when).await;
            assert_eq!(count(), expected, "{when}");
        }
        let late = at.saturating_add(SIGNER_LIFE + hour);
        let signer =
            certified(&*server.custody, Purpose::DocumentSignerMdoc, Some(&operator), late);
        assert!(signer.is_ok(), "the second holds when the first has ended");
        let _ = std::fs::remove_dir_all(&folder);
    }
}
