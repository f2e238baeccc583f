//! The credential and notification endpoints (OpenID4VCI 1.0, 8 and 11).

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use issuance::access::{Access, AccessRefusal};
use issuance::collect::{
    CollectRefusal, CollectRequest, CollectState, Collected, Desk, collect_documents,
};
use issuance::issuer::{Endpoint, Issuer};
use issuance::notification::{NotificationRefusal, note_delivery};
use issuance::once::OnceScope;
use issuance::product::Format;
use issuance::proof::PROOFS_MAX;
use issuance::status_list::{StatusList, draw_indexes, newest_status_list, next_status_list};
use issuance::wire;
use keys::purpose::Purpose;
use policy::action::Action;
use policy::actor::{Actor, Resource};
use policy::authorize::{Permit, authorize};
use store::commit::{CommitError, Table};
use store::store::TenantStore;
use vocabulary::time::Instant;

use super::{JSON, NO_STORE, WalletError, access, issuer};
use crate::body::{Path, Raw, bytes, require_type};
use crate::caller::Anyone;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::{Server, job, worker_deed};
use crate::sign::{certified, sign_all};
use crate::work::status;
use crate::world::{entropy, now};

/// Tries against others who draw the same status indexes or open the same list.
const TRIES_MAX: usize = 4;

pub(super) async fn collect(
    State(server): State<Server>,
    _anyone: Anyone,
    Path(operator): Path<String>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, WalletError> {
    let issuer = issuer(&server, &operator).await?;
    let at = now();
    let access = access(&server, &issuer, Endpoint::Credential, &headers, at).await?;
    require_type(&headers, JSON)?;
    let request = wire::credential::read(&body).map_err(refused)?;
    for _ in 0..TRIES_MAX {
        let collected = attempt(&server, &issuer, &access, &request, at).await?;
        if let Some((documents, notification)) = collected {
            let body = wire::credential::write(&documents, &notification);
            return Ok(bytes(JSON, NO_STORE, body.into_bytes()));
        }
    }
    Err(Problem::refused("conflict", "others collect the same pass; try again").into())
}

/// One try: the documents and their name in notifications, or nothing when somebody was faster.
async fn attempt(
    server: &Server,
    issuer: &Issuer,
    access: &Access,
    request: &CollectRequest,
    at: Instant,
) -> Result<Option<(Vec<String>, String)>, WalletError> {
    let permit = permit(access, Action::CredentialCollect)?;
    let tenant = server.store.for_operator(issuer.operator());
    let grant = access.grant();
    let pass = tenant.pass(grant.pass).await?.ok_or_else(Problem::internal)?;
    let product = tenant.product_version(&pass.product, pass.product_version).await?;
    let product = product.ok_or_else(Problem::internal)?;
    let list = open_list(server, &tenant, None, at).await?;
    let free_indexes = free_indexes(&tenant, &list).await?;
    let operator = Some(issuer.operator());
    let mdoc = certified(&*server.custody, Purpose::DocumentSignerMdoc, operator, at)?;
    let sd_jwt = certified(&*server.custody, Purpose::DocumentSignerSdJwt, operator, at)?;
    let desk = Desk {
        crypto: &server.crypto,
        issuer,
        nonce_key: &server.nonce_key,
        attesters: &[],
        mdoc_chain: &[&mdoc.1],
        sd_jwt_chain: &[&sd_jwt.1],
    };
    let state = CollectState {
        pass: &pass,
        product: &product,
        status_list: &list,
        free_indexes: &free_indexes,
    };
    let collected = collect_documents(desk, &permit, access, state, request, at, entropy()?);
    let Collected { changes, format, documents, notification } = collected.map_err(refused)?;
    let key = match format {
        Format::Mdoc | Format::AccessDocument => &mdoc.0,
        Format::SdJwt => &sd_jwt.0,
    };
    let signed = sign_all(&*server.custody, key, documents).await?;
    let deed = Deed::of(&permit, pass.id.to_string(), at);
    let changes = changes.into_iter().map(Into::into).collect();
    match server.attempt(deed, changes, Vec::new()).await {
        Ok(_) => Ok(Some((signed, notification.reveal().to_owned()))),
        Err(CommitError::Conflict(row)) if row.table == Table::Once => Err(replayed(&row.key)),
        Err(CommitError::Conflict(row)) if row.table == Table::Grant => {
            // The token was used meanwhile: what is left of it is only known to a new request.
            Err(refused(CollectRefusal::Exhausted))
        }
        Err(CommitError::Conflict(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The list for new documents of the operator, or for handles of `epoch`; opened now if there is none
/// or it is full.
pub(in crate::routes) async fn open_list(
    server: &Server,
    tenant: &TenantStore,
    epoch: Option<u32>,
    at: Instant,
) -> Result<StatusList, Problem> {
    let lists = tenant.status_lists().await?;
    let newest = newest_status_list(&lists, epoch);
    let taken = match (newest, epoch) {
        (None, _) => 0,
        (Some(list), None) => tenant.documents_in_list(list.number).await?,
        (Some(list), Some(_)) => tenant.handle_indexes_in_list(list.number).await?,
    };
    let operator = tenant.operator();
    let Some(next) = next_status_list(operator, &lists, epoch, taken, at) else {
        return newest.cloned().ok_or_else(Problem::internal);
    };
    let deed = worker_deed(operator.clone(), "status.open", format!("status-{}", next.number), at);
    let change = issuance::change::Change::StatusList(next.clone()).into();
    let job = job(status::KIND, &status::payload(next.number), at)?;
    server.commit(deed, vec![change], vec![job]).await?;
    Ok(next)
}

async fn free_indexes(tenant: &TenantStore, list: &StatusList) -> Result<Vec<u32>, Problem> {
    let mut free = Vec::with_capacity(PROOFS_MAX);
    for index in draw_indexes(list, PROOFS_MAX, entropy()?) {
        if free.len() < PROOFS_MAX && !tenant.is_index_taken(list.number, index).await? {
            free.push(index);
        }
    }
    Ok(free)
}

/// The wallet's word on what became of its documents.
pub(super) async fn notify(
    State(server): State<Server>,
    _anyone: Anyone,
    Path(operator): Path<String>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, WalletError> {
    let issuer = issuer(&server, &operator).await?;
    let at = now();
    let access = access(&server, &issuer, Endpoint::Notification, &headers, at).await?;
    require_type(&headers, JSON)?;
    let refused =
        |refusal: NotificationRefusal| WalletError::refused(refusal.oauth_error(), refusal);
    let request = wire::notification::read(&body).map_err(refused)?;
    let tenant = server.store.for_operator(issuer.operator());
    let documents = tenant.documents_by_notification(&request.notification_digest()).await?;
    let permit = permit(&access, Action::CredentialNotify)?;
    let changes = note_delivery(&permit, &access, &request, &documents).map_err(refused)?;
    if changes.is_empty() {
        // Said before: there is nothing to do, and nothing to record.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let lists = status::lists(&changes);
    let jobs: Result<Vec<_>, _> =
        lists.iter().map(|number| job(status::KIND, &status::payload(*number), at)).collect();
    let deed = Deed::of(&permit, access.grant().pass.to_string(), at);
    let changes = changes.into_iter().map(Into::into).collect();
    match server.attempt(deed, changes, jobs?).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(CommitError::Conflict(row)) if row.table == Table::Once => Err(replayed(&row.key)),
        Err(error) => Err(error.into()),
    }
}

fn permit(access: &Access, action: Action) -> Result<Permit, Problem> {
    let grant = access.grant();
    let actor = Actor::wallet(grant.operator.clone(), grant.offer);
    let resource = Resource::offer(grant.operator.clone(), grant.offer);
    Ok(authorize(&actor, action, resource)?)
}

/// Which of the things that are good once was used before, by the name of its row.
fn replayed(row: &str) -> WalletError {
    if row.contains(OnceScope::DpopProof.as_str()) {
        AccessRefusal::DpopReplayed.into()
    } else {
        refused(CollectRefusal::NonceReplayed)
    }
}

fn refused(refusal: CollectRefusal) -> WalletError {
    WalletError::refused(refusal.oauth_error(), refusal)
}
