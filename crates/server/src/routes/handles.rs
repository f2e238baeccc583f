//! `/v1/wallet/express-handles`: handles of the express tap for the device of a pass.
//!
//! The signature of the device key is all that a wallet shows. The server draws the index and counts
//! what it gives out; it passes the device's request to the key service, which looks at it once more,
//! and what comes back to the device, for which it is sealed.

use std::time::Duration;

use api::express::{Handles, HandlesRequest};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use credential::crypto::Crypto;
use credential::delivery::Scope;
use credential::jose::{base64url, jwk};
use credential::mdoc::{Expectation, verify_issuer_signed};
use credential::x509::TrustAnchors;
use issuance::handles::{Drawn, HandlesState, draw_handles, may_draw};
use issuance::once::{Once, OnceScope};
use issuance::status_list::{StatusList, draw_indexes};
use keys::purpose::Purpose;
use keys::vault::express::HandlesError;
use keys::vault::remote::RemoteVault;
use policy::action::Action;
use policy::actor::{Actor, Resource};
use policy::authorize::authorize;
use presentation::express::issuing::{Request, STATEMENT_SECONDS_MAX, Statement, Wish};
use store::commit::{CommitError, Table};
use store::store::TenantStore;
use vocabulary::code::{OperatorCode, ZoneCode};
use vocabulary::id::PassId;
use vocabulary::time::Instant;

use super::wallet::open_list;
use crate::body::{Json, Shown, field};
use crate::caller::Anyone;
use crate::problem::{KEYS_RETRY_S, Problem};
use crate::record::Deed;
use crate::server::Server;
use crate::work::secrets;
use crate::world::{entropy, now};

/// Tries against others who draw for the same pass or the same index.
const TRIES_MAX: usize = 4;

/// A request of which everything that can be read is read, and whose device has proved itself.
struct Asked {
    operator: OperatorCode,
    request: issuance::handles::HandlesRequest,
    issuer_signed: Vec<u8>,
    statement: Statement,
    pass: PassId,
}

pub(super) async fn draw(
    State(server): State<Server>,
    _anyone: Anyone,
    Json(request): Json<HandlesRequest>,
) -> Result<impl IntoResponse, Problem> {
    let at = now();
    let asked = ask(&server, &request, at).await?;
    let vault = server.vault.as_deref().ok_or_else(|| {
        Problem::no_key("this city has no key service with a vault, and so no express tap")
    })?;
    for _ in 0..TRIES_MAX {
        if let Some(handles) = attempt(&server, vault, &asked, at).await? {
            return Ok(Shown(handles));
        }
    }
    Err(Problem::refused("conflict", "others draw handles for the same pass; try again"))
}

/// Reads the request, and finds the pass whose device signed it.
async fn ask(server: &Server, request: &HandlesRequest, at: Instant) -> Result<Asked, Problem> {
    let operator: OperatorCode = field("operator", &request.operator)?;
    let zone: ZoneCode = field("zone", &request.zone)?;
    let bytes = |name: &str, text: &str| {
        base64url::decode(text).ok_or_else(|| Problem::field(name, "not base64url"))
    };
    let issuer_signed = bytes("pass", &request.pass)?;
    let statement = bytes("statement", &request.statement)?;
    let statement =
        Statement::parse(&statement).map_err(|error| Problem::field("statement", error))?;
    let refused = || {
        let detail = "the request is not signed by the device key of a pass of this operator that \
                      holds now, or the clock of the device is off";
        Problem::form(StatusCode::FORBIDDEN, "handles-device", detail)
    };
    let key = device_key(server, &operator, &issuer_signed, at).ok_or_else(refused)?;
    let (epoch, crypto) = (request.epoch, &server.crypto);
    let scope = Scope { operator, zone: Some(zone.clone()) };
    let wish = Wish { issuer_signed: &issuer_signed, scope: &scope, epoch: epoch.into() };
    if !statement.holds(crypto, &key, &wish, at.unix_seconds()) {
        return Err(refused());
    }
    let device = jwk::thumbprint(crypto, &key);
    let operator = scope.operator;
    let pass = server.store.for_operator(&operator).pass_of_key(&device).await?;
    let pass = pass.ok_or_else(refused)?;
    // A signature has more than one form, a point is drawn for one statement.
    let once = Once {
        scope: OnceScope::HandlesPoint,
        digest: crypto.sha256(&statement.point),
        expires_at: at.saturating_add(Duration::from_secs(2 * STATEMENT_SECONDS_MAX + 1)),
    };
    let count = statement.count;
    let request = issuance::handles::HandlesRequest { zone, epoch, count, device, once };
    Ok(Asked { operator, request, issuer_signed, statement, pass })
}

/// The device key of a pass that a document signer of `operator` signed, if the pass holds now.
fn device_key(
    server: &Server,
    operator: &OperatorCode,
    issuer_signed: &[u8],
    at: Instant,
) -> Option<credential::crypto::PublicKey> {
    let keys = server.custody.keys();
    let signers = keys.iter().filter(|key| {
        key.purpose == Purpose::DocumentSignerMdoc && key.operator.as_ref() == Some(operator)
    });
    let ders = signers.filter_map(|key| key.certificate.as_deref());
    let anchors = TrustAnchors::from_ders(ders).ok()?;
    let crypto = &server.crypto;
    let expectation = Expectation { crypto, anchors: &anchors, at, doc_type: None, session: None };
    let document = verify_issuer_signed(issuer_signed, &expectation, None).ok()?;
    Some(document.device_key().clone())
}

/// One try; nothing when somebody was faster.
async fn attempt(
    server: &Server,
    vault: &RemoteVault,
    asked: &Asked,
    at: Instant,
) -> Result<Option<Handles>, Problem> {
    let Asked { operator, request, .. } = asked;
    let actor = Actor::holder(operator.clone(), asked.pass);
    let resource = Resource::pass(operator.clone(), asked.pass);
    let permit = authorize(&actor, Action::HandlesDraw, resource)?;
    let tenant = server.store.for_operator(operator);
    let pass = tenant.pass(asked.pass).await?.ok_or_else(Problem::internal)?;
    let product = tenant.product_version(&pass.product, pass.product_version).await?;
    let product = product.ok_or_else(Problem::internal)?;
    may_draw(&permit, &pass, &product, request, at)?;
    let drawn = tenant.handle_index(pass.id, &request.zone, request.epoch).await?;
    let list = open_list(server, &tenant, Some(request.epoch), at).await?;
    let free_index = free_index(&tenant, &list).await?;
    let state = HandlesState {
        pass: &pass,
        product: &product,
        drawn: drawn.as_ref(),
        status_list: &list,
        free_index,
    };
    let drawn = draw_handles(&permit, state, request, at)?;
    let answer = make(server, vault, asked, &drawn, at).await?;
    let more = serde_json::json!({
        "zone": request.zone.as_str(),
        "epoch": request.epoch,
        "count": drawn.count,
    });
    let deed = Deed { more: Some(more), ..Deed::of(&permit, pass.id.to_string(), at) };
    let changes = drawn.changes.into_iter().map(Into::into).collect();
    match server.attempt(deed, changes, Vec::new()).await {
        Ok(_) => {
            let answer = base64url::encode(&answer);
            Ok(Some(Handles { count: drawn.count, answer }))
        }
        // What was made for this try leaves nowhere.
        Err(CommitError::Conflict(row)) if row.table == Table::Once => {
            let text = "the statement was used before; sign a new one, with another point";
            Err(Problem::refused("handles-repeated", text))
        }
        Err(CommitError::Conflict(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn free_index(tenant: &TenantStore, list: &StatusList) -> Result<Option<u32>, Problem> {
    for index in draw_indexes(list, 1, entropy()?) {
        if !tenant.is_handle_index_taken(list.number, index).await? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// The batch from the key service.
async fn make(
    server: &Server,
    vault: &RemoteVault,
    asked: &Asked,
    drawn: &Drawn,
    at: Instant,
) -> Result<Vec<u8>, Problem> {
    let Asked { operator, request, .. } = asked;
    let issuer = server.issuer(operator).await?.ok_or_else(Problem::internal)?;
    let scope = Scope { operator: operator.clone(), zone: Some(request.zone.clone()) };
    // Of a zone that was just named there may be no key yet.
    secrets::ensure_known(server, &scope, at).await;
    let request = Request {
        issuer_signed: asked.issuer_signed.clone(),
        statement: asked.statement.clone(),
        scope,
        epoch: request.epoch.into(),
        first: drawn.first,
        count: drawn.count,
        list: issuer.status_uri(drawn.status_list),
        index: drawn.status_index,
    };
    vault.handles(&request.encode()).await.map_err(|error| match error {
        HandlesError::Unavailable => Problem::keys_unavailable(KEYS_RETRY_S),
        HandlesError::NotAllowed => {
            tracing::error!(%error, "a wallet was not served");
            Problem::no_key("the key service makes no express handles for this server")
        }
        HandlesError::Device => Problem::form(StatusCode::FORBIDDEN, "handles-device", error),
        HandlesError::Scope => Problem::refused("handles-scope", error),
        HandlesError::HolderOnly => Problem::refused("handles-holder-only", error),
        HandlesError::Epoch => Problem::refused("handles-epoch", error),
        HandlesError::Hours => Problem::refused("handles-hours", error),
        HandlesError::Pass { .. } => Problem::refused("handles-pass", error),
        HandlesError::Form | HandlesError::Count => Problem::fault(&error),
    })
}
