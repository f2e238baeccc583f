//! `/v1/trust`: what wallets, readers of others and auditors pin. Public certificates only.

use api::trust::{CityRoot, IssuingAuthority, Trust};
use axum::extract::State as FromState;
use axum::response::IntoResponse;
use credential::x509::pem;
use keys::custody::State;
use keys::purpose::Purpose;
use reader::bundle::Issuer;

use super::readers::bundle::{authorities, certificates, is_named, signers};
use crate::body::Shown;
use crate::caller::Anyone;
use crate::problem::Problem;
use crate::server::Server;
use crate::start::{StartError, log_keys};
use crate::world::now;

pub(super) async fn show(
    FromState(server): FromState<Server>,
    _anyone: Anyone,
) -> Result<impl IntoResponse, Problem> {
    let at = now();
    let text = |der: &[u8]| pem::encode("CERTIFICATE", der);
    let of = |purpose| {
        let ders = certificates(&*server.custody, purpose, at);
        ders.iter().map(|der| text(der)).collect()
    };
    let of_operators = |issuers: Vec<Issuer>| {
        let shown = issuers.into_iter().map(|issuer| IssuingAuthority {
            operator: issuer.operator.to_string(),
            certificate: text(&issuer.certificate),
        });
        shown.collect()
    };
    let log_keys = |states: &[State]| -> Vec<String> {
        let keys = log_keys(&*server.custody, &server.city.log_origin, states);
        keys.into_iter().map(|(_, key)| key.to_string()).collect()
    };
    // The oldest that signs: who pinned it goes on until it retires.
    let log_key = log_keys(&[State::Active]).into_iter().next();
    let log_key = log_key.ok_or_else(|| Problem::fault(&StartError::NoLogKey))?;
    let facts = server.facts().await?;
    let roots = facts.roots.iter().map(|root| CityRoot {
        certificate: text(&root.certificate),
        link: root.link.as_deref().map(text),
    });
    Ok(Shown(Trust {
        city: facts.name.to_string(),
        city_root: text(&facts.root),
        city_roots: roots.collect(),
        reader_authorities: of(Purpose::ReaderAuthority),
        issuing_authorities: of_operators(authorities(&*server.custody, at)),
        document_signers: of_operators(signers(&*server.custody, at, is_named)),
        status_signers: of(Purpose::StatusList),
        log_key,
        log_keys: log_keys(&[State::Published, State::Active]),
    }))
}
