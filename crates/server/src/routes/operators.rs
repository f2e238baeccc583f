//! `/v1/operators`: the register of operators, which is the city's own.

use api::operator::{NewOperator, Operator};
use axum::extract::State;
use axum::response::IntoResponse;
use identity::change::Change;
use identity::operator::register_operator;
use policy::action::Action;
use policy::actor::{CITY, Resource};
use policy::authorize::authorize;
use vocabulary::code::OperatorCode;

use crate::body::{Created, Json, Paged, Path, Shown, field, page, path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::world::now;

/// Registers an operator. It issues nothing until a ceremony has certified its authority.
pub(super) async fn register(
    State(server): State<Server>,
    caller: Caller,
    Json(request): Json<NewOperator>,
) -> Result<impl IntoResponse, Problem> {
    let request = identity::operator::NewOperator {
        code: field("code", &request.code)?,
        name: field("name", &request.name)?,
    };
    let permit = caller.permit(Action::OperatorRegister)?;
    let existing = server.store.city().operator(&request.code).await?;
    let at = now();
    let change = register_operator(&permit, existing.as_ref(), request, at)?;
    let Change::InsertOperator(operator) = &change else { return Err(Problem::internal()) };
    let (reply, object) = (wire(operator), operator.code.to_string());
    server.commit(Deed::of(&permit, object, at), vec![change.into()], Vec::new()).await?;
    Ok(Created(reply))
}

pub(super) async fn list(
    State(server): State<Server>,
    caller: Caller,
    Paged(wanted): Paged,
) -> Result<impl IntoResponse, Problem> {
    caller.permit(Action::OperatorList)?;
    let listing = server.store.city().operators(&wanted).await?;
    Ok(page(listing, |operator| wire(&operator)))
}

/// Shows an operator to its own staff, and every operator to whoever may list them.
pub(super) async fn show(
    State(server): State<Server>,
    caller: Caller,
    Path(code): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let code: OperatorCode = path(&code)?;
    if caller.actor().operator().as_str() == CITY && code.as_str() != CITY {
        caller.permit(Action::OperatorList)?;
    } else {
        authorize(caller.actor(), Action::OperatorShow, Resource::of(code.clone()))?;
    }
    let operator = server.store.city().operator(&code).await?.ok_or_else(Problem::not_found)?;
    Ok(Shown(wire(&operator)))
}

fn wire(operator: &identity::operator::Operator) -> Operator {
    Operator {
        code: operator.code.to_string(),
        name: operator.name.to_string(),
        registered_at: operator.registered_at.to_string(),
    }
}
