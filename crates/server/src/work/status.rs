//! Publishing status lists: signed when something in them changed and when the copy grows old.
//!
//! The signed tokens are settings of the operator, so that every server on the same database
//! publishes the same bytes, and a restart publishes what was published before.

use std::time::Duration;

use credential::crypto::Crypto;
use credential::jose::{HeaderParts, base64url};
use credential::status::{CwtHeader, JWT_TYP, StatusListClaims};
use issuance::change::Change;
use issuance::status_list::{STATUS_TTL, publish_status_list};
use keys::custody::Key;
use keys::purpose::Purpose;
use policy::action::Action;
use policy::actor::{Actor, Resource};
use policy::authorize::authorize;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::commit::{CommitError, Setting};
use store::store::TenantStore;
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::sign::{certified, sign};
use crate::world::now;

/// The kind of the job that publishes a list.
pub(crate) const KIND: &str = "status-publish";
/// Tries against others who publish the same list.
const TRIES_MAX: usize = 4;
/// The step of the times that lists are signed with.
const SECOND: Duration = Duration::from_secs(1);
/// How far a list may be signed ahead of the clock: readers allow twice as much
/// (`credential::jose::CLOCK_SKEW_MAX`).
const AHEAD_MAX: Duration = Duration::from_secs(30);

/// The forms of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Cwt,
    Jwt,
}

impl Form {
    fn setting(self, number: u32) -> String {
        match self {
            Self::Cwt => format!("status-{number}-cwt"),
            Self::Jwt => format!("status-{number}-jwt"),
        }
    }
}

/// What is known of the published token of a list.
#[derive(Deserialize, Serialize)]
struct Edition {
    issued_at: i64,
    digest: String,
    /// The handle of the key that signed it; empty in editions of older servers.
    #[serde(default)]
    signer: String,
}

impl Edition {
    fn is_fresh(&self, at: Instant) -> bool {
        at.duration_since(Instant::from_unix_seconds(self.issued_at)) < STATUS_TTL
    }
}

/// When the next edition may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// With this time.
    At(Instant),
    /// Only after a while: too many were signed lately.
    After(Duration),
}

/// The time to sign the edition after one of `previous`. No two editions have the same second, or
/// a reader could take the older for the newer.
fn next_edition(previous: Option<Instant>, at: Instant) -> Next {
    let next = previous.map_or(at, |previous| previous.saturating_add(SECOND));
    let ahead = next.duration_since(at);
    match ahead.checked_sub(AHEAD_MAX) {
        None | Some(Duration::ZERO) => Next::At(next.max(at)),
        Some(wait) if wait <= SECOND => Next::After(wait),
        // The clock was set back: no reader has taken an edition from so far ahead.
        Some(_) => Next::At(at),
    }
}

/// The details of a job for list `number`.
pub(crate) fn payload(number: u32) -> Value {
    json!({ "list": number })
}

/// The list in the details of a job.
pub(crate) fn list_of(payload: &Value) -> Option<u32> {
    payload.get("list")?.as_u64()?.try_into().ok()
}

/// The lists in which `changes` change something.
pub(crate) fn lists(changes: &[Change]) -> Vec<u32> {
    let of = |change: &Change| match change {
        Change::Document(document) => Some(document.status_list),
        Change::HandleIndex(index) => Some(index.status_list),
        _ => None,
    };
    let mut lists: Vec<u32> = changes.iter().filter_map(of).collect();
    lists.sort_unstable();
    lists.dedup();
    lists
}

/// The newest token of list `number` of `operator`, signed anew when it has grown old; none when
/// there is no such list.
pub(crate) async fn published(
    server: &Server,
    operator: &OperatorCode,
    number: u32,
    form: Form,
) -> Result<Option<Vec<u8>>, Problem> {
    let tenant = server.store.for_operator(operator);
    let edition = edition(&tenant, number).await?;
    let signer = certified(&*server.custody, Purpose::StatusList, None, now());
    let is_fresh = edition.as_ref().is_some_and(|(edition, _)| {
        // A list by a key that was followed by another is signed anew at once.
        edition.is_fresh(now())
            && signer.as_ref().is_ok_and(|(key, _)| edition.signer == key.handle.to_string())
    });
    if edition.is_none() && tenant.status_list(number).await?.is_none() {
        return Ok(None);
    }
    if !is_fresh {
        let renewed = publish(server, operator, number).await;
        // An older token that still holds is better than none.
        if edition.is_none() {
            renewed?;
        }
    }
    let token = tenant.setting(&form.setting(number)).await?;
    Ok(token.map(|token| token.value))
}

/// Signs list `number` of `operator`, unless what is published says the same and is fresh.
pub(crate) async fn publish(
    server: &Server,
    operator: &OperatorCode,
    number: u32,
) -> Result<(), Problem> {
    let _turn = server.publishing.lock().await;
    let tenant = server.store.for_operator(operator);
    for _ in 0..TRIES_MAX {
        let at = now();
        let before = edition(&tenant, number).await?;
        let previous = before.as_ref().map(|(it, _)| Instant::from_unix_seconds(it.issued_at));
        let signed_at = match next_edition(previous, at) {
            Next::At(signed_at) => signed_at,
            Next::After(wait) => {
                tokio::time::sleep(wait).await;
                continue;
            }
        };
        let claims = claims(server, &tenant, number, signed_at).await?;
        let digest = base64url::encode(&server.crypto.sha256(claims.list.as_bytes()));
        let (key, certificate) = certified(&*server.custody, Purpose::StatusList, None, at)?;
        let signer = key.handle.to_string();
        let is_same =
            |(edition, _): &(Edition, u32)| edition.digest == digest && edition.signer == signer;
        if before.as_ref().is_some_and(|it| is_same(it) && it.0.is_fresh(at)) {
            return Ok(());
        }
        let version = before.map_or(1, |(_, version)| version.saturating_add(1));
        let edition = Edition { issued_at: claims.issued_at.unix_seconds(), digest, signer };
        let by = (&key, &*certificate);
        let settings = settings(server, &claims, number, &edition, version, by).await?;
        let changes = settings.into_iter().map(store::commit::Change::Setting).collect();
        let permit = permit(operator)?;
        let deed = Deed::of(&permit, format!("status-{number}"), at);
        match server.attempt(deed, changes, Vec::new()).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    tracing::warn!(%operator, list = number, "others publish the same status list all the time");
    Err(Problem::internal())
}

async fn edition(tenant: &TenantStore, number: u32) -> Result<Option<(Edition, u32)>, Problem> {
    let setting = tenant.setting(&format!("status-{number}")).await?;
    // What cannot be read is written anew.
    Ok(setting.and_then(|setting| {
        serde_json::from_slice(&setting.value).ok().map(|edition| (edition, setting.version))
    }))
}

fn permit(operator: &OperatorCode) -> Result<policy::authorize::Permit, Problem> {
    let actor = Actor::worker(operator.clone());
    Ok(authorize(&actor, Action::StatusPublish, Resource::of(operator.clone()))?)
}

async fn claims(
    server: &Server,
    tenant: &TenantStore,
    number: u32,
    at: Instant,
) -> Result<StatusListClaims, Problem> {
    let operator = tenant.operator();
    let issuer = server.issuer(operator).await?.ok_or_else(Problem::not_found)?;
    let list = tenant.status_list(number).await?.ok_or_else(Problem::not_found)?;
    let permit = permit(operator)?;
    let claims = if list.epoch.is_some() {
        let handles = tenant.handle_indexes_not_valid(number).await?;
        publish_status_list(&permit, &issuer, &list, &handles, at)
    } else {
        let documents = tenant.documents_not_valid(number).await?;
        publish_status_list(&permit, &issuer, &list, &documents, at)
    };
    claims.map_err(|refusal| Problem::fault(&refusal))
}

/// Both tokens and what is known of them, as settings of one version.
async fn settings(
    server: &Server,
    claims: &StatusListClaims,
    number: u32,
    edition: &Edition,
    version: u32,
    (key, certificate): (&Key, &[u8]),
) -> Result<[Setting; 3], Problem> {
    let chain = [certificate];
    let algorithm = key.suite.algorithm();
    let cwt = claims.cwt(CwtHeader { algorithm, kid: None, x5chain: &chain });
    let jwt = claims.jwt(HeaderParts { x5c: &chain, ..HeaderParts::new(algorithm, JWT_TYP) });
    let (cwt, jwt) =
        tokio::join!(sign(&*server.custody, key, cwt), sign(&*server.custody, key, jwt));
    let (cwt, jwt) = (cwt?, jwt?);
    // INVARIANT: a struct of a number and a text always serializes.
    let known = serde_json::to_vec(edition).unwrap_or_default();
    let setting = |name, value| Setting { name, value, version };
    Ok([
        setting(format!("status-{number}"), known),
        setting(Form::Cwt.setting(number), cwt),
        setting(Form::Jwt.setting(number), jwt.into_string().into_bytes()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edition_has_a_second_of_its_own_near_the_clock() {
        let at = Instant::from_unix_micros(1_000_500_000);
        let seconds = Instant::from_unix_seconds;
        let half = Duration::from_millis(500);
        for (previous, expected) in [
            (None, Next::At(at)),
            (Some(seconds(900)), Next::At(at)),
            (Some(seconds(999)), Next::At(at)),
            (Some(seconds(1_000)), Next::At(seconds(1_001))),
            (Some(seconds(1_029)), Next::At(seconds(1_030))),
            (Some(seconds(1_030)), Next::After(half)),
            (Some(seconds(1_031)), Next::At(at)),
        ] {
            assert_eq!(next_edition(previous, at), expected, "{previous:?}");
        }
    }
}
