//! `/v1/people`: personal data, shown to staff who may see it and written into no log.

use api::person::{NewPerson, Person};
use axum::extract::State;
use axum::response::IntoResponse;
use identity::change::Change;
use identity::person::register_person;
use policy::action::Action;
use vocabulary::id::PersonId;

use crate::body::{Created, Json, Paged, Path, Shown, field, optional, page, path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::world::{entropy, now};

pub(super) async fn register(
    State(server): State<Server>,
    caller: Caller,
    Json(request): Json<NewPerson>,
) -> Result<impl IntoResponse, Problem> {
    let request = identity::person::NewPerson {
        name: field("name", &request.name)?,
        contact: optional("contact", request.contact.as_deref())?,
        reference: optional("reference", request.reference.as_deref())?,
    };
    let permit = caller.permit(Action::PersonRegister)?;
    let same = match &request.reference {
        Some(reference) => {
            let tenant = server.store.for_operator(permit.operator());
            tenant.person_by_reference(reference.expose()).await?
        }
        None => None,
    };
    let at = now();
    let change = register_person(&permit, same.as_ref(), request, at, entropy()?)?;
    let Change::InsertPerson(person) = &change else { return Err(Problem::internal()) };
    let (reply, object) = (wire(person), person.id.to_string());
    server.commit(Deed::of(&permit, object, at), vec![change.into()], Vec::new()).await?;
    Ok(Created(reply))
}

pub(super) async fn list(
    State(server): State<Server>,
    caller: Caller,
    Paged(wanted): Paged,
) -> Result<impl IntoResponse, Problem> {
    let permit = caller.permit(Action::PersonList)?;
    let listing = server.store.for_operator(permit.operator()).people(&wanted).await?;
    Ok(page(listing, |person| wire(&person)))
}

pub(super) async fn show(
    State(server): State<Server>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let id: PersonId = path(&id)?;
    let permit = caller.permit(Action::PersonShow)?;
    let person = server.store.for_operator(permit.operator()).person(id).await?;
    Ok(Shown(wire(&person.ok_or_else(Problem::not_found)?)))
}

fn wire(person: &identity::person::Person) -> Person {
    Person {
        id: person.id.to_string(),
        name: person.name.expose().into(),
        contact: person.contact.as_ref().map(|contact| contact.expose().into()),
        reference: person.reference.as_ref().map(|reference| reference.expose().into()),
        registered_at: person.registered_at.to_string(),
    }
}
