//! `/v1/trust`: what wallets, readers of others and auditors pin. Public certificates only.

use api::trust::{IssuingAuthority, Trust};
use axum::extract::State;
use axum::response::IntoResponse;
use credential::x509::pem;
use keys::purpose::Purpose;

use super::readers::bundle::certificates;
use crate::body::Shown;
use crate::caller::Anyone;
use crate::problem::Problem;
use crate::server::Server;
use crate::start::log_key;
use crate::work::signers::is_in_force;
use crate::world::now;

pub(super) async fn show(
    State(server): State<Server>,
    _anyone: Anyone,
) -> Result<impl IntoResponse, Problem> {
    let at = now();
    let text = |der: &[u8]| pem::encode("CERTIFICATE", der);
    let of = |purpose| {
        let ders = certificates(&*server.custody, purpose, at);
        ders.iter().map(|der| text(der)).collect()
    };
    let keys = server.custody.keys();
    let authorities = keys.iter().filter(|key| key.purpose == Purpose::IssuingAuthority);
    let issuing_authorities = authorities.filter_map(|key| {
        let certificate = key.certificate.as_deref().filter(|der| is_in_force(der, at))?;
        let operator = key.operator.as_ref()?.to_string();
        Some(IssuingAuthority { operator, certificate: text(certificate) })
    });
    let log = log_key(&*server.custody, &server.city.log_origin);
    let (_, log_key) = log.map_err(|error| Problem::fault(&error))?;
    Ok(Shown(Trust {
        city: server.city.name.to_string(),
        city_root: text(&server.city.root),
        reader_authorities: of(Purpose::ReaderAuthority),
        issuing_authorities: issuing_authorities.collect(),
        status_signers: of(Purpose::StatusList),
        log_key: log_key.to_string(),
    }))
}
