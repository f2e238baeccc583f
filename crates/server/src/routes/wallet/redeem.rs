//! The token endpoint (OpenID4VCI 1.0, 6): a pre-authorized code becomes an access token.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use issuance::dpop::{BoundRequest, DpopProof, verify_dpop};
use issuance::issuer::{Endpoint, Issuer};
use issuance::offer::Offer;
use issuance::product::Format;
use issuance::token::{OfferedPass, Redeemed, TokenRefusal, TokenRefused, redeem_offer};
use issuance::wire;
use keys::custody::SignError;
use keys::purpose::Purpose;
use policy::actor::Actor;
use store::commit::{CommitError, Table};
use vocabulary::time::Instant;

use super::{DPOP, JSON, NO_STORE, WalletError, issuer};
use crate::body::{Path, Raw, bytes, require_type};
use crate::caller::Anyone;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::sign::{SignFault, certified};
use crate::world::{entropy, now};

pub(super) async fn redeem(
    State(server): State<Server>,
    _anyone: Anyone,
    Path(operator): Path<String>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, WalletError> {
    require_type(&headers, "application/x-www-form-urlencoded")?;
    let issuer = issuer(&server, &operator).await?;
    let request = wire::token::read(&body).map_err(refused)?;
    let at = now();
    let dpop = proof(&server, &issuer, &headers, at)?;
    let tenant = server.store.for_operator(issuer.operator());
    let offer = tenant.offer_by_code(&request.code_digest()).await?;
    let offer = offer.ok_or_else(|| refused(TokenRefusal::Code))?;
    let pass = tenant.pass(offer.pass).await?.ok_or_else(Problem::internal)?;
    let product = tenant.product_version(&pass.product, pass.product_version).await?;
    let product = product.ok_or_else(Problem::internal)?;
    // A code is good once, and of no use without who signs the documents.
    signs(&server, &offer, at)?;
    let found = OfferedPass { offer: &offer, pass: &pass, product: &product };
    match redeem_offer(&request, Some(found), dpop.as_ref(), at, entropy()?) {
        Ok(Redeemed { changes, grant, token }) => {
            commit(&server, "offer.redeem", &offer, changes, at).await?;
            let body = wire::token::write(&Redeemed { changes: Vec::new(), grant, token });
            Ok(bytes(JSON, NO_STORE, body.into_bytes()))
        }
        Err(TokenRefused { refusal, changes }) => {
            if !changes.is_empty() {
                commit(&server, "offer.wrong-code", &offer, changes, at).await?;
            }
            Err(refused(refusal))
        }
    }
}

/// Whether there is who signs what `offer` offers.
fn signs(server: &Server, offer: &Offer, at: Instant) -> Result<(), SignFault> {
    if server.key_service.as_ref().is_some_and(|service| !service.is_connected()) {
        return Err(SignFault::Custody(SignError::Unavailable));
    }
    let operator = Some(&offer.operator);
    offer.formats.iter().try_for_each(|format| {
        let purpose = match format {
            Format::Mdoc | Format::AccessDocument => Purpose::DocumentSignerMdoc,
            Format::SdJwt => Purpose::DocumentSignerSdJwt,
        };
        certified(&*server.custody, purpose, operator, at).map(drop)
    })
}

fn proof(
    server: &Server,
    issuer: &Issuer,
    headers: &HeaderMap,
    at: Instant,
) -> Result<Option<DpopProof>, WalletError> {
    let mut values = headers.get_all(DPOP).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let text = text.ok_or_else(|| refused(TokenRefusal::Dpop))?;
    let url = issuer.url(Endpoint::Token);
    let request = BoundRequest { method: "POST", url: &url, access_token: None };
    let proof = verify_dpop(&server.crypto, text, request, at);
    proof.map(Some).map_err(|error| refused(error.into()))
}

async fn commit(
    server: &Server,
    what: &'static str,
    offer: &Offer,
    changes: Vec<issuance::change::Change>,
    at: Instant,
) -> Result<(), WalletError> {
    let deed = Deed {
        operator: offer.operator.clone(),
        subject: Actor::wallet(offer.operator.clone(), offer.id).subject(),
        what,
        object: offer.pass.to_string(),
        at,
        more: None,
    };
    let changes = changes.into_iter().map(Into::into).collect();
    match server.attempt(deed, changes, Vec::new()).await {
        Ok(_) => Ok(()),
        Err(CommitError::Conflict(row)) if row.table == Table::Once => {
            Err(refused(TokenRefusal::DpopReplayed))
        }
        // Another request with this code came first.
        Err(CommitError::Conflict(_)) => Err(refused(TokenRefusal::Code)),
        Err(error) => Err(error.into()),
    }
}

fn refused(refusal: TokenRefusal) -> WalletError {
    WalletError::refused(refusal.oauth_error(), refusal)
}
