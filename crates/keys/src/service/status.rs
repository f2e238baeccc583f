//! What the service says of itself: who it is, and what its token can and cannot do.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::keepers::Leaving;
use crate::custody::State;
use crate::token::doctor::{Report, examine};
use crate::token::pin::Pin;
use crate::token::{Settings, Token};

/// How long what a token said of itself is told again: each examination takes a session and a login.
const EXAMINATION_LIFE: Duration = Duration::from_secs(5);

/// What is told to who asks.
pub(crate) struct Status {
    /// What never changes while the service runs.
    pub(crate) service: Value,
    /// The token, if one holds the keys.
    pub(crate) token: Option<Examined>,
    /// The old custodian, during a move.
    pub(crate) leaving: Option<Leaving>,
    /// The last examination of the token.
    pub(crate) examination: Recent,
}

/// What was found out last, and when. Whoever asks meanwhile waits for the same answer.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Option<(Instant, Value)>>);

impl Recent {
    async fn or(&self, find_out: impl AsyncFnOnce() -> Option<Value>) -> Option<Value> {
        let mut found = self.0.lock().await;
        if let Some((at, value)) = &*found
            && at.elapsed() < EXAMINATION_LIFE
        {
            return Some(value.clone());
        }
        *found = find_out().await.map(|value| (Instant::now(), value));
        found.as_ref().map(|(_, value)| value.clone())
    }
}

/// A token that is examined when somebody asks.
#[derive(Clone)]
pub(crate) struct Examined {
    pub(crate) token: Arc<Token>,
    pub(crate) settings: Settings,
    pub(crate) pin: Pin,
}

impl Status {
    /// All that there is to say, as JSON. It waits for the token without holding up others.
    pub(crate) async fn tell(&self) -> String {
        let mut told = self.service.clone();
        if let (Some(leaving), Some(told)) = (&self.leaving, told.as_object_mut()) {
            told.insert("retiring".into(), retiring(leaving));
        }
        if let Some(token) = self.token.clone() {
            let examine = async || tokio::task::spawn_blocking(move || token.examine()).await.ok();
            let examined = self.examination.or(examine).await;
            if let (Some(told), Some(examined)) = (told.as_object_mut(), examined) {
                told.insert("token".into(), examined);
            }
        }
        told.to_string()
    }
}

impl Examined {
    fn examine(&self) -> Value {
        let trouble = self.token.trouble();
        // A PIN that was refused is not shown again: the token would be locked in the end.
        let pin = trouble.is_none().then(|| self.pin.clone());
        match examine(&self.settings, pin) {
            Ok(report) => describe(&report, trouble.as_deref()),
            Err(error) => json!({ "label": self.settings.label, "trouble": error.to_string() }),
        }
    }
}

fn retiring(leaving: &Leaving) -> Value {
    let keys = leaving.pair.old().keys();
    let secrets = leaving.vault.as_ref().map(|vault| vault.secrets());
    let unready = leaving.pair.unready();
    json!({
        "held_by": keys.first().map(|key| &*key.held_by),
        "at": leaving.at.map(|at| at.to_string()),
        "keys": keys.len(),
        "active": keys.iter().filter(|key| key.state == State::Active).count(),
        "unready": unready.iter().map(|key| key.purpose.as_str()).collect::<Vec<_>>(),
        "secrets": secrets.map_or(0, |secrets| {
            secrets.iter().filter(|secret| secret.state != State::Retired).count()
        }),
    })
}

fn describe(report: &Report, trouble: Option<&str>) -> Value {
    let identity = &report.identity;
    let inside = report.inside.as_ref().map(|inside| {
        let mechanisms = inside.mechanisms.iter();
        let mechanisms: serde_json::Map<String, Value> = mechanisms
            .map(|(name, outcome)| ((*name).to_owned(), outcome.is_usable().into()))
            .collect();
        let purposes: Vec<Value> = inside
            .purposes
            .iter()
            .map(|it| {
                let (purpose, suite) = (it.purpose.as_str(), it.suite.as_str());
                json!({ "purpose": purpose, "suite": suite, "missing": it.missing })
            })
            .collect();
        let deeds: Vec<Value> = inside
            .deeds
            .iter()
            .map(|deed| json!({ "deed": deed.name, "missing": deed.missing }))
            .collect();
        let refused = inside.refused.iter().map(|refused| format!("{refused:?}"));
        json!({
            "mechanisms": mechanisms, "purposes": purposes, "deeds": deeds, "keys": inside.keys,
            "refused": refused.collect::<Vec<_>>(),
        })
    });
    json!({
        "label": identity.label, "module": identity.module, "manufacturer": identity.manufacturer,
        "model": identity.model, "serial": identity.serial, "trouble": trouble, "inside": inside,
        "pin": {
            "is_count_low": report.pin.is_count_low, "is_final_try": report.pin.is_final_try,
            "is_locked": report.pin.is_locked,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn token_is_examined_once_in_a_while_however_often_somebody_asks() {
        let (recent, count) = (Recent::default(), Cell::new(0));
        let ask = async || {
            let find_out = async || {
                count.set(count.get() + 1);
                Some(Value::from(count.get()))
            };
            recent.or(find_out).await
        };
        for _ in 0..1_000 {
            assert_eq!(ask().await, Some(1.into()));
        }
        tokio::time::advance(EXAMINATION_LIFE).await;
        assert_eq!(ask().await, Some(2.into()), "the control: it is not kept for good");
    }
}
