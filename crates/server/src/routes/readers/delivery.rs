//! `/v1/readers/{id}/delivery-keys`, and the keys that go into a reader's bundle.
//!
//! The server never sees a key: it hands a reader's statement and certificate to the vault and puts
//! what comes back into the bundle as it is.

use axum::extract::State;
use axum::response::IntoResponse;
use credential::delivery::recipient::{Statement, VerifiedRecipient};
use credential::delivery::{Scope, epoch_at};
use credential::x509::TrustAnchors;
use fleet::bundle::scopes_of;
use fleet::delivery::register_delivery_keys;
use fleet::reader::Reader;
use keys::custody::State as KeyState;
use keys::purpose::Purpose;
use keys::vault::{Secret, SecretKind, Vault};
use policy::action::Action;
use policy::place::PlaceTree;
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use super::decode;
use crate::body::{Json, Path, Shown, path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::work::secrets::ensure;
use crate::world::now;

/// Keeps the delivery keys of a reader.
pub(in crate::routes) async fn register(
    State(server): State<Server>,
    caller: Caller,
    Path(id): Path<String>,
    Json(request): Json<api::reader::DeliveryKeys>,
) -> Result<impl IntoResponse, Problem> {
    let id: ReaderId = path(&id)?;
    let permit = caller.permit_reader(Action::ReaderRenew, id)?;
    let statement = decode("statement", &request.statement)?;
    let reader = server.store.for_operator(permit.operator()).reader(id).await?;
    let reader = reader.ok_or_else(Problem::not_found)?;
    let change = register_delivery_keys(&permit, &reader, &statement, &server.crypto)?;
    let suite = Statement::parse(&statement).map_err(|_| Problem::internal())?.recipient.suite();
    let deed = Deed::of(&permit, id.to_string(), now());
    server.commit(deed, vec![change.into()], Vec::new()).await?;
    Ok(Shown(api::reader::DeliveryKeysKept { suite: suite.as_str().into() }))
}

/// The keys of the scopes of `reader`, wrapped for it. What cannot be wrapped now is left out and
/// logged: the reader keeps what it has, and its doors do not depend on it.
pub(super) async fn deliveries(
    server: &Server,
    reader: &Reader,
    tree: &PlaceTree,
    at: Instant,
) -> Vec<Vec<u8>> {
    let Some(vault) = &server.vault else { return Vec::new() };
    let Some(recipient) = recipient(server, reader, at) else { return Vec::new() };
    let scopes = scopes_of(reader, tree);
    ensure(server, &scopes, at).await;
    let mut deliveries = Vec::new();
    let secrets: Vec<Secret> =
        scopes.iter().flat_map(|scope| wanted(&**vault, scope, at)).collect();
    for secret in secrets {
        match vault.wrap_for(&secret.handle, &recipient).await {
            Ok(delivery) => deliveries.push(delivery.encode()),
            Err(error) => {
                tracing::warn!(%error, reader = %reader.id, "a key is not delivered");
            }
        }
    }
    deliveries
}

fn recipient(server: &Server, reader: &Reader, at: Instant) -> Option<VerifiedRecipient> {
    let statement = Statement::parse(reader.delivery_keys.as_deref()?).ok()?;
    if statement.reader != reader.id {
        tracing::warn!(reader = %reader.id, "no keys are delivered: its statement is another's");
        return None;
    }
    let keys = server.custody.keys();
    let authorities = keys.iter().filter(|key| key.purpose == Purpose::ReaderAuthority);
    let ders = authorities.filter_map(|key| key.certificate.as_deref());
    let anchors = TrustAnchors::from_ders(ders).ok()?;
    let verified = statement.verify(&server.crypto, &reader.certificate.der, &anchors, at);
    verified
        .inspect_err(|rejection| {
            tracing::warn!(%rejection, reader = %reader.id, "no keys are delivered");
        })
        .ok()
}

/// The epoch keys of the epoch at hand and of the next, and the newest zone keys in use and to come.
fn wanted(vault: &dyn Vault, scope: &Scope, at: Instant) -> Vec<Secret> {
    let now = epoch_at(at);
    let epochs = [now, now.saturating_add(1)];
    let epochs = epochs.into_iter().filter_map(|it| vault.current(SecretKind::Epoch, scope, it));
    let secrets = vault.secrets();
    let newest = |state| {
        let zone = secrets.iter().filter(move |secret| {
            secret.kind == SecretKind::Zone
                && secret.scope.as_ref() == Some(scope)
                && secret.state == state
        });
        zone.max_by_key(|secret| secret.version).cloned()
    };
    let zones = [newest(KeyState::Active), newest(KeyState::Published)];
    epochs.chain(zones.into_iter().flatten()).collect()
}
