//! `/v1/places`: sites, floors, doors, gates.

use ::reader::table::ZoneClass;
use api::place::Place;
use axum::extract::State;
use axum::response::IntoResponse;
use fleet::change::Change;
use fleet::place::{NewPlace, add_place};
use policy::action::Action;
use policy::place::PlaceTree;

use crate::body::{Created, Json, Paged, field, optional, page};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::world::now;

pub(super) async fn add(
    State(server): State<Server>,
    caller: Caller,
    Json(request): Json<Place>,
) -> Result<impl IntoResponse, Problem> {
    let request = NewPlace {
        code: field("code", &request.code)?,
        name: field("name", &request.name)?,
        zone: optional("zone", request.zone.as_deref())?,
        class: request.zone_class.map(class),
    };
    let permit = caller.permit(Action::PlaceAdd)?;
    let tree = tree(&server).await?;
    let at = now();
    let change = add_place(&permit, &tree, request, at)?;
    let Change::InsertPlace(place) = &change else { return Err(Problem::internal()) };
    let (reply, object) = (wire(place), place.code.to_string());
    server.commit(Deed::of(&permit, object, at), vec![change.into()], Vec::new()).await?;
    Ok(Created(reply))
}

pub(super) async fn list(
    State(server): State<Server>,
    caller: Caller,
    Paged(wanted): Paged,
) -> Result<impl IntoResponse, Problem> {
    let permit = caller.permit(Action::PlaceList)?;
    let listing = server.store.for_operator(permit.operator()).places(&wanted).await?;
    Ok(page(listing, |place| wire(&place)))
}

/// All places of the city.
pub(super) async fn tree(server: &Server) -> Result<PlaceTree, Problem> {
    let places = server.store.city().places().await?;
    PlaceTree::new(places).map_err(|error| Problem::fault(&error))
}

const fn class(class: api::place::ZoneClass) -> ZoneClass {
    match class {
        api::place::ZoneClass::Low => ZoneClass::Low,
        api::place::ZoneClass::Normal => ZoneClass::Normal,
        api::place::ZoneClass::High => ZoneClass::High,
    }
}

fn wire(place: &policy::place::Place) -> Place {
    let class = |class| match class {
        ZoneClass::Low => api::place::ZoneClass::Low,
        ZoneClass::Normal => api::place::ZoneClass::Normal,
        ZoneClass::High => api::place::ZoneClass::High,
    };
    Place {
        code: place.code.to_string(),
        name: place.name.to_string(),
        zone: place.zone.as_ref().map(ToString::to_string),
        zone_class: place.class.map(class),
    }
}
