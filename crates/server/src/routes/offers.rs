//! `/v1/passes/{id}/offers`: offers of a pass to a wallet (OpenID4VCI 1.0, 4.1).

use std::time::Duration;

use api::pass::Offer;
use axum::extract::State;
use axum::response::IntoResponse;
use issuance::offer::{OfferEntropy, link_by_reference, link_by_value, make_offer};
use issuance::paper::formats_of;
use policy::action::Action;
use vocabulary::id::PassId;

use super::wallet::mdoc_signer;
use crate::body::{Created, Path, path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::world::{entropy, now};

/// How long an offer waits for its wallet.
const LIFE: Duration = Duration::from_secs(86_400);

/// Makes an offer. Its code is in the answer and nowhere else.
pub(super) async fn make(
    State(server): State<Server>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let id: PassId = path(&id)?;
    let permit = caller.permit(Action::PassOffer)?;
    let tenant = server.store.for_operator(permit.operator());
    let pass = tenant.pass(id).await?.ok_or_else(Problem::not_found)?;
    let product = tenant.product_version(&pass.product, pass.product_version).await?;
    let product = product.ok_or_else(Problem::internal)?;
    let issuer = server.issuer(permit.operator()).await?.ok_or_else(Problem::internal)?;
    let at = now();
    let entropy = OfferEntropy { id: entropy()?, code: entropy()?, transaction_code: entropy()? };
    let formats = formats_of(&issuer, &product, mdoc_signer(&server, issuer.operator(), at));
    let made = make_offer(&permit, &pass, &product, formats, LIFE, at, &entropy)?;
    let changes = made.changes().into_iter().map(Into::into).collect();
    let deed = Deed::of(&permit, made.offer.id.to_string(), at);
    server.commit(deed, changes, Vec::new()).await?;
    let code = made.code.reveal();
    Ok(Created(Offer {
        id: made.offer.id.to_string(),
        uri: link_by_reference(&issuer, code),
        uri_by_value: link_by_value(&issuer, &made.offer, code),
        transaction_code: made.transaction_code.clone(),
        expires_at: made.offer.expires_at.to_string(),
    }))
}
