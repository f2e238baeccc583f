//! `/v1/passes`: a pass from issue to revocation. What becomes of a pass becomes of its documents
//! and handles in the same transaction, and of the status list before the answer leaves.

use api::pass::{NewPass, Pass, PassDeed};
use axum::extract::State;
use axum::response::IntoResponse;
use issuance::change::Change;
use issuance::handles::epoch_at;
use issuance::pass::{
    Carried, IssueRequest, PassRefusal, Registered, issue_pass, resume_pass, revoke_pass,
    suspend_pass,
};
use policy::action::Action;
use policy::authorize::Permit;
use store::commit::CommitError;
use vocabulary::code::{OperatorCode, ProductCode};
use vocabulary::id::{PassId, PersonId};
use vocabulary::time::Instant;

use super::tokens::instant;
use crate::body::{Created, Json, Paged, Path, Shown, field, page, path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::{Server, job};
use crate::work::status;
use crate::world::{entropy, now};

/// Bytes in the reason of a deed upon a pass.
const REASON_BYTES_MAX: usize = 500;
/// Tries against whoever changes the same pass at the same time.
const TRIES_MAX: usize = 8;

pub(super) async fn issue(
    State(server): State<Server>,
    caller: Caller,
    Json(request): Json<NewPass>,
) -> Result<impl IntoResponse, Problem> {
    let at = now();
    let person: PersonId = field("person", &request.person)?;
    let product: ProductCode = field("product", &request.product)?;
    let valid_from = request.valid_from.as_deref().map(|text| instant("valid_from", text));
    let valid_until = request.valid_until.as_deref().map(|text| instant("valid_until", text));
    let (valid_from, valid_until) =
        (valid_from.transpose()?.unwrap_or(at), valid_until.transpose()?);
    let permit = caller.permit(Action::PassIssue)?;
    let tenant = server.store.for_operator(permit.operator());
    let unknown = |what: &str| Problem::refused("reference-unknown", format!("no such {what}"));
    let person = tenant.person(person).await?.ok_or_else(|| unknown("person"))?;
    let product = tenant.product(&product).await?.ok_or_else(|| unknown("product"))?;
    let until_end = || valid_from.saturating_add(product.terms.pass_period_max);
    let request = IssueRequest {
        person: Registered { operator: person.operator, id: person.id },
        valid_from,
        valid_until: valid_until.unwrap_or_else(until_end),
    };
    let pass = issue_pass(&permit, &product, &request, at, entropy()?)?;
    let (reply, deed) = (wire(&pass), Deed::of(&permit, pass.id.to_string(), at));
    server.commit(deed, vec![Change::Pass(pass).into()], Vec::new()).await?;
    Ok(Created(reply))
}

pub(super) async fn list(
    State(server): State<Server>,
    caller: Caller,
    Paged(wanted): Paged,
) -> Result<impl IntoResponse, Problem> {
    let permit = caller.permit(Action::PassList)?;
    let listing = server.store.for_operator(permit.operator()).passes(&wanted).await?;
    Ok(page(listing, |pass| wire(&pass)))
}

pub(super) async fn show(
    State(server): State<Server>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let id: PassId = path(&id)?;
    let permit = caller.permit(Action::PassShow)?;
    let tenant = server.store.for_operator(permit.operator());
    let pass = tenant.pass(id).await?.ok_or_else(Problem::not_found)?;
    let findings = u64::try_from(tenant.findings_of_pass(id).await?).ok();
    Ok(Shown(Pass { findings, ..wire(&pass) }))
}

pub(super) async fn suspend(
    State(server): State<Server>,
    caller: Caller,
    Path(id): Path<String>,
    Json(request): Json<PassDeed>,
) -> Result<impl IntoResponse, Problem> {
    change(&server, &caller, Action::PassSuspend, suspend_pass, &id, request).await
}

pub(super) async fn resume(
    State(server): State<Server>,
    caller: Caller,
    Path(id): Path<String>,
    Json(request): Json<PassDeed>,
) -> Result<impl IntoResponse, Problem> {
    change(&server, &caller, Action::PassResume, resume_pass, &id, request).await
}

pub(super) async fn revoke(
    State(server): State<Server>,
    caller: Caller,
    Path(id): Path<String>,
    Json(request): Json<PassDeed>,
) -> Result<impl IntoResponse, Problem> {
    change(&server, &caller, Action::PassRevoke, revoke_pass, &id, request).await
}

/// What decides upon a change of a pass.
type Decide =
    fn(&Permit, &issuance::pass::Pass, Carried<'_>, Instant) -> Result<Vec<Change>, PassRefusal>;

async fn change(
    server: &Server,
    caller: &Caller,
    action: Action,
    decide: Decide,
    id: &str,
    request: PassDeed,
) -> Result<Shown<Pass>, Problem> {
    let id: PassId = path(id)?;
    if request.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return Err(Problem::field("reason", format!("longer than {REASON_BYTES_MAX} bytes")));
    }
    let permit = caller.permit(action)?;
    let tenant = server.store.for_operator(permit.operator());
    let more = request.reason.map(|reason| serde_json::json!({ "reason": reason }));
    for _ in 0..TRIES_MAX {
        let pass = tenant.pass(id).await?.ok_or_else(Problem::not_found)?;
        let documents = tenant.documents_of_pass(id).await?;
        let at = now();
        let handles = tenant.handle_indexes_of_pass(id, epoch_at(at)).await?;
        let carried = Carried { documents: &documents, handles: &handles };
        let changes = decide(&permit, &pass, carried, at)?;
        let reply = changes.iter().find_map(|change| match change {
            Change::Pass(pass) => Some(wire(pass)),
            _ => None,
        });
        let lists = status::lists(&changes);
        let jobs: Result<Vec<_>, _> =
            lists.iter().map(|number| job(status::KIND, &status::payload(*number), at)).collect();
        let deed = Deed { more: more.clone(), ..Deed::of(&permit, id.to_string(), at) };
        let changes = changes.into_iter().map(Into::into).collect();
        match server.attempt(deed, changes, jobs?).await {
            Ok(_) => publish(server, permit.operator(), lists).await,
            // Its wallet collected documents meanwhile: those must be revoked as well.
            Err(CommitError::Conflict(_)) => continue,
            Err(error) => return Err(error.into()),
        }
        return Ok(Shown(reply.ok_or_else(Problem::internal)?));
    }
    Err(Problem::refused("conflict", "others change the same pass all the time; try again"))
}

async fn publish(server: &Server, operator: &OperatorCode, lists: Vec<u32>) {
    for number in lists {
        // The job does it again if this fails: what was decided stands either way.
        if let Err(problem) = status::publish(server, operator, number).await {
            tracing::warn!(list = number, status = %problem.status(), "status list is late");
        }
    }
}

fn wire(pass: &issuance::pass::Pass) -> Pass {
    Pass {
        id: pass.id.to_string(),
        person: pass.person.to_string(),
        product: pass.product.to_string(),
        state: pass.state.as_str().into(),
        valid_from: pass.valid_from.to_string(),
        valid_until: pass.valid_until.to_string(),
        version: pass.version,
        findings: None,
    }
}
