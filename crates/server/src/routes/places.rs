//! `/v1/places`: sites, floors, doors, gates.

use ::reader::table::ZoneClass;
use api::place::Place;
use axum::extract::State;
use axum::response::IntoResponse;
use fleet::change::Change;
use fleet::place::{NewPlace, add_place};
use policy::action::Action;
use policy::place::PlaceTree;
use store::commit::CommitError;

use crate::body::{Created, Json, Paged, field, optional, page};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::world::now;

/// Tries against others who add places at the same time.
const TRIES_MAX: usize = 4;

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
    for _ in 0..TRIES_MAX {
        let tree = tree(&server).await?;
        let at = now();
        let change = add_place(&permit, &tree, request.clone(), at)?;
        let Change::InsertPlace(place) = &change else { return Err(Problem::internal()) };
        let (reply, object) = (wire(place), place.code.to_string());
        match server.attempt(Deed::of(&permit, object, at), vec![change.into()], Vec::new()).await {
            Ok(_) => return Ok(Created(reply)),
            // The tree has grown where this place should go: look again.
            Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Nothing that could be seen is in the way, and yet it does not go in: a place left out.
    Err(Problem::refused("place-foreign", "the place touches one of another operator"))
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

/// All places of the city that make a tree.
pub(crate) async fn tree(server: &Server) -> Result<PlaceTree, Problem> {
    let (tree, left_out) = PlaceTree::mended(server.store.city().places().await?);
    if let Some(reason) = left_out.first() {
        let count = left_out.len();
        tracing::error!(count, %reason, "places do not fit into the tree and have no force");
    }
    Ok(tree)
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
