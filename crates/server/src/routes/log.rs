//! `/v1/log`: the audit log as files (C2SP tlog-tiles), and `/v1/events`: an operator's own deeds.

use api::event::Event;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use policy::action::Action;
use serde::Deserialize;

use crate::body::{Paged, Path, bytes, page};
use crate::caller::{Anyone, Caller};
use crate::problem::Problem;
use crate::server::Server;

pub(super) async fn checkpoint(
    State(server): State<Server>,
    _anyone: Anyone,
) -> Result<Response, Problem> {
    let note = read(&server, audit::folder::CHECKPOINT_PATH.into()).await?;
    Ok(bytes("text/plain; charset=utf-8", "no-cache", note))
}

pub(super) async fn tile(
    State(server): State<Server>,
    _anyone: Anyone,
    Path(path): Path<String>,
) -> Result<Response, Problem> {
    let tile = read(&server, format!("tile/{path}")).await?;
    // A tile of a given width never changes (C2SP tlog-tiles).
    Ok(bytes("application/octet-stream", "public, max-age=31536000, immutable", tile))
}

async fn read(server: &Server, path: String) -> Result<Vec<u8>, Problem> {
    let folder = server.log.clone();
    let file = tokio::task::spawn_blocking(move || folder.read(&path)).await;
    let file = file.map_err(|error| Problem::fault(&error))?;
    file.map_err(|error| Problem::fault(&error))?.ok_or_else(Problem::not_found)
}

/// What the details of an event name.
#[derive(Deserialize)]
struct Names {
    actor: String,
    object: String,
}

pub(super) async fn events(
    State(server): State<Server>,
    caller: Caller,
    Paged(wanted): Paged,
) -> Result<impl IntoResponse, Problem> {
    let permit = caller.permit(Action::LogRead)?;
    let listing = server.store.for_operator(permit.operator()).events(&wanted).await?;
    Ok(page(listing, |event| wire(&event)))
}

fn wire(event: &store::event::Event) -> Event {
    let payload = event.detail.as_ref().map(|detail| detail.payload.as_str());
    let names: Option<Names> = payload.and_then(|payload| serde_json::from_str(payload).ok());
    let (actor, object) = names.map(|names| (names.actor, names.object)).unzip();
    Event {
        id: event.entry.event.to_string(),
        sequence: event.sequence,
        kind: event.entry.kind.to_string(),
        at: event.entry.at.to_string(),
        actor,
        object,
    }
}
