//! `/v1/findings`: the taps that should not have been, as reconciliation found them.

use api::pass::{Finding, Found};
use axum::extract::State;
use axum::response::IntoResponse;
use policy::action::Action;
use serde::Deserialize;

use crate::body::{Paged, page};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::server::Server;

/// What the details of the event of a finding hold.
#[derive(Deserialize)]
struct Details {
    more: Found,
}

pub(super) async fn list(
    State(server): State<Server>,
    caller: Caller,
    Paged(wanted): Paged,
) -> Result<impl IntoResponse, Problem> {
    let permit = caller.permit(Action::PassList)?;
    let listing = server.store.for_operator(permit.operator()).findings(&wanted).await?;
    Ok(page(listing, |event| wire(&event)))
}

fn wire(event: &store::event::Event) -> Finding {
    let payload = event.detail.as_ref().map(|detail| detail.payload.as_str());
    let details: Option<Details> = payload.and_then(|payload| serde_json::from_str(payload).ok());
    let kind = event.entry.kind.to_string();
    Finding {
        event: event.entry.event.to_string(),
        sequence: event.sequence,
        found_at: event.entry.at.to_string(),
        kind: kind.strip_prefix("handles-").unwrap_or(&kind).into(),
        found: details.map(|details| details.more),
    }
}
