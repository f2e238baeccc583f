//! `/v1/tokens`: access tokens of staff and services. A secret is shown once and never again.

use std::time::Duration;

use api::token::{CreatedToken, NewToken, Token};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use identity::change::Change;
use identity::token::{StaffToken, TokenEntropy, create_token, revoke_token};
use policy::action::Action;
use policy::actor::Resource;
use policy::authorize::authorize;
use policy::role::{Role, Roles};
use vocabulary::id::TokenId;
use vocabulary::time::Instant;

use crate::body::{Created, Json, Paged, Path, field, page, path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::world::{entropy, now};

/// How long a token holds where the request does not say.
const LIFE_DEFAULT: Duration = Duration::from_secs(90 * 86_400);

pub(super) async fn create(
    State(server): State<Server>,
    caller: Caller,
    Json(request): Json<NewToken>,
) -> Result<impl IntoResponse, Problem> {
    let at = now();
    let roles: Result<Vec<Role>, Problem> =
        request.roles.iter().map(|role| field("roles", role)).collect();
    let roles: Roles = roles?.into_iter().collect();
    let expires_at = match &request.expires_at {
        Some(text) => instant("expires_at", text)?,
        None => at.saturating_add(LIFE_DEFAULT),
    };
    let request = identity::token::NewToken { label: field("label", &request.label)?, expires_at };
    let operator = caller.actor().operator().clone();
    let resource = Resource::token_with(operator, roles);
    let permit = authorize(caller.actor(), Action::TokenCreate, resource)?;
    let tenant = server.store.for_operator(permit.operator());
    let in_force = tenant.tokens_in_force(at).await?;
    let entropy = TokenEntropy { id: entropy()?, secret: entropy()? };
    let (change, presented) = create_token(&permit, in_force, request, at, &entropy)?;
    let Change::InsertToken(token) = &change else { return Err(Problem::internal()) };
    let (reply, object) = (wire(token), token.id.to_string());
    server.commit(Deed::of(&permit, object, at), vec![change.into()], Vec::new()).await?;
    Ok(Created(CreatedToken { token: reply, secret: presented.danger_text() }))
}

pub(super) async fn list(
    State(server): State<Server>,
    caller: Caller,
    Paged(wanted): Paged,
) -> Result<impl IntoResponse, Problem> {
    let permit = caller.permit(Action::TokenList)?;
    let listing = server.store.for_operator(permit.operator()).tokens(&wanted).await?;
    Ok(page(listing, |token| wire(&token)))
}

pub(super) async fn revoke(
    State(server): State<Server>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let id: TokenId = path(&id)?;
    let permit = caller.permit(Action::TokenRevoke)?;
    let token = server.store.for_operator(permit.operator()).token(id).await?;
    let token = token.ok_or_else(Problem::not_found)?;
    let at = now();
    let change = revoke_token(&permit, &token, at)?;
    let deed = Deed::of(&permit, id.to_string(), at);
    let done = server.commit(deed, vec![change.into()], Vec::new()).await;
    // Whatever came of it: the store is asked next time.
    server.tokens.forget(id);
    done?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads an instant in a field.
pub(super) fn instant(name: &str, text: &str) -> Result<Instant, Problem> {
    Instant::parse_rfc3339(text).map_err(|error| Problem::field(name, error))
}

fn wire(token: &StaffToken) -> Token {
    Token {
        id: token.id.to_string(),
        label: token.label.to_string(),
        roles: token.roles.iter().map(|role| role.to_string()).collect(),
        expires_at: token.expires_at.to_string(),
        revoked_at: token.revoked_at.map(|at| at.to_string()),
    }
}
