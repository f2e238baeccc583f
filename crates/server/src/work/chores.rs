//! Chores: what must happen because time has passed.

use issuance::handles::{EPOCHS_KEPT, epoch_at};
use issuance::pass::expire_pass;
use store::page::Page;
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use super::{rotation, secrets};
use crate::city::clock::is_believed;
use crate::problem::Problem;
use crate::server::{Server, worker_deed};

/// What must be done before anything is served.
pub(crate) async fn first(server: &Server, at: Instant) {
    if is_believed(server, at).await {
        rotation::turn_all(server, at).await;
    }
}

/// All chores, each for itself: one that fails is logged and tried again next time. None can be taken
/// back, so all wait for a clock that is believed.
pub(crate) async fn all(server: &Server, at: Instant) {
    if !is_believed(server, at).await {
        return;
    }
    // Failures are logged where they happen.
    rotation::turn_all(server, at).await;
    secrets::keep(server, at).await;
    let _ = expire_passes(server, at).await;
    let epoch = epoch_at(at).saturating_sub(EPOCHS_KEPT);
    if let Err(error) = server.store.city().forget_handles(epoch).await {
        tracing::error!(%error, "indexes of past handles are not forgotten");
    }
    if let Err(error) = server.store.city().forget_used(at).await {
        tracing::error!(%error, "marks of used things are not forgotten");
    }
}

/// Notes of every pass whose date has come that it has expired.
async fn expire_passes(server: &Server, at: Instant) -> Result<(), Problem> {
    let mut wanted = Page::FIRST;
    loop {
        let operators = server.store.city().operators(&wanted).await?;
        for operator in operators.items {
            expire_passes_of(server, &operator.code, at).await?;
        }
        match operators.next {
            Some(next) => wanted.after = Some(next),
            None => return Ok(()),
        }
    }
}

async fn expire_passes_of(
    server: &Server,
    operator: &OperatorCode,
    at: Instant,
) -> Result<(), Problem> {
    let tenant = server.store.for_operator(operator);
    let mut wanted = Page::FIRST;
    loop {
        let passes = tenant.passes_to_expire(at, &wanted).await?;
        for pass in passes.items {
            let Ok(changes) = expire_pass(&pass, at) else { continue };
            let deed = worker_deed(operator.clone(), "pass.expire", pass.id.to_string(), at);
            let changes = changes.into_iter().map(Into::into).collect();
            // Somebody may have changed the pass meanwhile; the next round sees what it is then.
            let _ = server.commit(deed, changes, Vec::new()).await;
        }
        match passes.next {
            Some(next) => wanted.after = Some(next),
            None => return Ok(()),
        }
    }
}
