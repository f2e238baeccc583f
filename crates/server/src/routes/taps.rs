//! `/v1/taps`: what taps must prove at the doors of the city, and how fast.

use api::taps::{TapPolicyChange, TapsChange};
use axum::extract::State;
use axum::response::IntoResponse;
use fleet::change::Change;
use fleet::taps::{TapSettings, set_taps};
use policy::action::Action;
use reader::taps::{TapPolicy, Taps, TimeBound};
use serde_json::json;

use crate::body::{Json, Shown, optional};
use crate::caller::Caller;
use crate::city::facts::city;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::world::now;

pub(super) async fn show(
    State(server): State<Server>,
    caller: Caller,
) -> Result<impl IntoResponse, Problem> {
    caller.permit(Action::TapsShow)?;
    Ok(Shown(wire(&taps(&server).await?)))
}

pub(super) async fn set(
    State(server): State<Server>,
    caller: Caller,
    Json(request): Json<TapsChange>,
) -> Result<impl IntoResponse, Problem> {
    let permit = caller.permit(Action::TapsSet)?;
    let stored = stored(&server).await?;
    let before = stored.map(|settings| settings.taps).unwrap_or_default();
    let taps = Taps {
        low: changed("low", before.low, request.low)?,
        normal: changed("normal", before.normal, request.normal)?,
        high: changed("high", before.high, request.high)?,
    };
    let change = set_taps(&permit, stored.as_ref(), taps)?;
    let reply = wire(&taps);
    let mut deed = Deed::of(&permit, String::from("taps"), now());
    deed.more = Some(json!({ "before": wire(&before), "after": reply }));
    server.commit(deed, vec![Change::into(change)], Vec::new()).await?;
    Ok(Shown(reply))
}

/// What every reader of the city is told of taps.
pub(super) async fn taps(server: &Server) -> Result<Taps, Problem> {
    Ok(stored(server).await?.map(|settings| settings.taps).unwrap_or_default())
}

async fn stored(server: &Server) -> Result<Option<TapSettings>, Problem> {
    Ok(server.store.for_operator(&city()).taps().await?)
}

fn changed(
    class: &str,
    before: TapPolicy,
    change: Option<TapPolicyChange>,
) -> Result<TapPolicy, Problem> {
    let Some(TapPolicyChange { least, stronger_per_mille, apdu_ms, total_ms }) = change else {
        return Ok(before);
    };
    let TimeBound { apdu, total } = before.bound;
    let ms = |ms: u32| core::time::Duration::from_millis(ms.into());
    Ok(TapPolicy {
        least: optional(&format!("{class}.least"), least.as_deref())?.unwrap_or(before.least),
        stronger_per_mille: stronger_per_mille.unwrap_or(before.stronger_per_mille),
        bound: TimeBound { apdu: apdu_ms.map_or(apdu, ms), total: total_ms.map_or(total, ms) },
    })
}

fn wire(taps: &Taps) -> api::taps::Taps {
    let policy = |policy: &TapPolicy| {
        // INVARIANT: what is set is below two minutes.
        let ms = |time: core::time::Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        api::taps::TapPolicy {
            least: policy.least.to_string(),
            stronger_per_mille: policy.stronger_per_mille,
            apdu_ms: ms(policy.bound.apdu),
            total_ms: ms(policy.bound.total),
        }
    };
    api::taps::Taps {
        low: policy(&taps.low),
        normal: policy(&taps.normal),
        high: policy(&taps.high),
    }
}
