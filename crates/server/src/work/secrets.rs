//! Keys of readers, made ahead of their time and destroyed after it.
//!
//! A key of an epoch is made while the epoch before it lasts, so that readers have it when it begins,
//! and is destroyed once no reader holds it any more. The vault does both; the server only says when.

use std::collections::BTreeSet;

use credential::delivery::{Scope, epoch_at};
use keys::custody::State;
use keys::vault::{NewSecret, Secret, SecretKind, Vault, VaultError};
use policy::place::{Place, PlaceTree};
use reader::delivery::GENERATIONS_HELD;
use vocabulary::time::Instant;

use crate::city::clock::is_believed;
use crate::routes::places::tree;
use crate::server::Server;

/// Makes what is missing for every scope of the city, and clears away what is over.
pub(super) async fn keep(server: &Server, at: Instant) {
    let Some(vault) = &server.vault else { return };
    let Ok(tree) = tree(server).await else { return };
    ensure(server, &scopes(&tree), at).await;
    if let Err(error) = clear(&**vault, at).await {
        tracing::warn!(%error, "keys of past epochs are not destroyed; it is tried again");
    }
}

/// Makes what is missing for `scopes`: the keys of the epoch at hand and of the next, and a zone key.
/// What cannot be made is logged; the next round tries again.
pub(crate) async fn ensure(server: &Server, scopes: &[Scope], at: Instant) {
    let Some(vault) = &server.vault else { return };
    // Two that find the same key missing would make two.
    let _turn = server.making.lock().await;
    if let Err(error) = vault.look().await {
        tracing::warn!(%error, "the vault cannot be reached");
        return;
    }
    let now = epoch_at(at);
    for scope in scopes {
        for (kind, epoch) in [
            (SecretKind::Epoch, now),
            (SecretKind::Epoch, now.saturating_add(1)),
            (SecretKind::Zone, 0),
        ] {
            if vault.current(kind, scope, epoch).is_some() {
                continue;
            }
            let scope = Some(scope.clone());
            let state = State::Active;
            let request = NewSecret { kind, scope, epoch, kdf: None, state, after: 0, at };
            if let Err(error) = vault.generate(request).await {
                tracing::warn!(%error, %kind, "a key for readers is not made");
            }
        }
    }
}

/// As [`ensure`], for one scope, if a place of this city lies in it.
pub(crate) async fn ensure_known(server: &Server, scope: &Scope, at: Instant) {
    let Ok(tree) = tree(server).await else { return };
    if scopes(&tree).contains(scope) && is_believed(server, at).await {
        ensure(server, std::slice::from_ref(scope), at).await;
    }
}

async fn clear(vault: &dyn Vault, at: Instant) -> Result<(), VaultError> {
    let oldest = epoch_at(at).saturating_sub(GENERATIONS_HELD - 1);
    let is_over = |secret: &&Secret| secret.kind == SecretKind::Epoch && secret.epoch < oldest;
    let over: Vec<Secret> = vault.secrets().iter().filter(is_over).cloned().collect();
    for secret in over {
        vault.set_state(&secret.handle, State::Retired, at).await?;
        vault.destroy(&secret.handle).await?;
    }
    Ok(())
}

fn scopes(tree: &PlaceTree) -> Vec<Scope> {
    let scope = |place: &Place| Scope {
        operator: place.operator.clone(),
        zone: tree.zone(&place.code).cloned(),
    };
    tree.iter().map(scope).collect::<BTreeSet<Scope>>().into_iter().collect()
}
