//! Who is calling: a bearer token of the staff or the secret of a reader, checked before anything
//! else of a request is looked at.
//!
//! Tokens that were found are remembered for [`REMEMBERED`]; revoking one in this process forgets
//! it at once, revoking it from another process takes effect when the memory runs out. All
//! failures look alike outside.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use fleet::secret::ReaderSecret;
use identity::token::{PresentedToken, StaffToken};
use policy::action::Action;
use policy::actor::{Actor, Resource};
use policy::authorize::{Permit, authorize};
use vocabulary::id::{ReaderId, TokenId};
use vocabulary::time::Instant;

use crate::problem::Problem;
use crate::rate::{Admission, Origin, RateLimit};
use crate::server::Server;
use crate::world::now;

/// How long a token that was found is believed without asking the store again.
pub const REMEMBERED: Duration = Duration::from_secs(5);
/// Tokens that are remembered at a time.
pub const REMEMBERED_MAX: usize = 4_096;

/// By whom requests are counted once it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Counted {
    Token(TokenId),
    Reader(ReaderId),
}

/// The counts of requests. Each stands alone: no crowd of one kind fills the table of another.
pub(crate) struct Rates {
    known: RateLimit<Counted>,
    anyone: RateLimit<Origin>,
    wrong: RateLimit<Origin>,
}

impl Rates {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            known: RateLimit::new(per_minute),
            anyone: RateLimit::new(per_minute),
            wrong: RateLimit::new(per_minute),
        }
    }

    /// Whether the store may be asked about a token from `origin`: not where too many were wrong.
    /// On this machine stands a proxy, whose callers are not to answer for one another.
    fn may_try(&self, origin: Origin, at: Instant) -> Result<(), Problem> {
        if origin.is_loopback() { Ok(()) } else { within(self.wrong.would_admit(&origin, at)) }
    }
}

/// Whoever is calling, known and within the rate.
pub(crate) struct Caller {
    actor: Actor,
}

impl Caller {
    pub(crate) const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// A permit for `action` upon something of the caller's own operator.
    ///
    /// # Errors
    /// [`Problem`] when policy says no.
    pub(crate) fn permit(&self, action: Action) -> Result<Permit, Problem> {
        let resource = Resource::of(self.actor.operator().clone());
        Ok(authorize(&self.actor, action, resource)?)
    }

    /// A permit for `action` upon one reader of the caller's own operator.
    ///
    /// # Errors
    /// [`Problem`] when policy says no.
    pub(crate) fn permit_reader(&self, action: Action, id: ReaderId) -> Result<Permit, Problem> {
        let resource = Resource::reader(self.actor.operator().clone(), id);
        Ok(authorize(&self.actor, action, resource)?)
    }
}

impl FromRequestParts<Server> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let at = now();
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        let header = match (headers.next(), headers.next()) {
            (Some(value), None) => value.to_str().ok(),
            // Two of them: whoever forwarded this may have judged the other one.
            _ => None,
        };
        let text = header.and_then(|header| {
            let (scheme, text) = header.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(text)
        });
        let origin = origin(parts);
        let found = match text {
            Some(text) => identify(server, text, origin, at).await?,
            None => None,
        };
        let Some((actor, counted)) = found else {
            within(server.rates.wrong.admit(origin, at))?;
            return Err(Problem::unauthorized());
        };
        within(server.rates.known.admit(counted, at))?;
        Ok(Self { actor })
    }
}

/// A caller of whom nothing is known but where it calls from, within the rate.
pub(crate) struct Anyone;

impl FromRequestParts<Server> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        within(server.rates.anyone.admit(origin(parts), now()))?;
        Ok(Self)
    }
}

fn within(admission: Admission) -> Result<(), Problem> {
    match admission {
        Admission::Admitted => Ok(()),
        Admission::Refused => Err(Problem::too_many()),
    }
}

fn origin(parts: &Parts) -> Origin {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    Origin::of(peer.map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(peer)| peer.ip()))
}

async fn identify(
    server: &Server,
    text: &str,
    origin: Origin,
    at: Instant,
) -> Result<Option<(Actor, Counted)>, Problem> {
    if let Ok(secret) = ReaderSecret::parse(text) {
        server.rates.may_try(origin, at)?;
        let stored = server.store.city().reader(secret.reader()).await?;
        let actor = fleet::secret::authenticate(stored.as_ref(), &secret).ok();
        return Ok(actor.map(|actor| (actor, Counted::Reader(secret.reader()))));
    }
    let Ok(presented) = PresentedToken::parse(text) else { return Ok(None) };
    let stored = match server.tokens.recall(presented.id(), at) {
        Some(known) => Some(known),
        None => {
            server.rates.may_try(origin, at)?;
            let stored = server.store.city().token(presented.id()).await?.map(Arc::new);
            if let Some(token) = &stored {
                server.tokens.remember(Arc::clone(token), at);
            }
            stored
        }
    };
    match identity::token::authenticate(stored.as_deref(), &presented, at) {
        Ok(actor) => Ok(Some((actor, Counted::Token(presented.id())))),
        Err(error) => {
            tracing::info!(token = %presented.id(), %error, "a token was not let in");
            Ok(None)
        }
    }
}

/// Tokens that were found lately.
#[derive(Default)]
pub(crate) struct Tokens {
    known: RwLock<HashMap<TokenId, Known>>,
}

struct Known {
    token: Arc<StaffToken>,
    found_at: Instant,
}

impl Tokens {
    fn recall(&self, id: TokenId, at: Instant) -> Option<Arc<StaffToken>> {
        // A panic cannot leave the map half written: entries are replaced whole.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&id)?;
        let is_fresh = found.found_at <= at && at.duration_since(found.found_at) < REMEMBERED;
        is_fresh.then(|| Arc::clone(&found.token))
    }

    fn remember(&self, token: Arc<StaffToken>, at: Instant) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(token.id, Known { token, found_at: at });
    }

    /// Forgets a token that was changed.
    pub(crate) fn forget(&self, id: TokenId) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_wrong_tokens_end_the_questions_of_their_origin_alone() {
        let rates = Rates::new(2);
        let at = Instant::from_unix_seconds(1);
        let origin = |text: &str| Origin::of(text.parse().unwrap());
        let guesser = origin("192.0.2.1");
        for _ in 0..2 {
            assert!(rates.may_try(guesser, at).is_ok());
            rates.wrong.admit(guesser, at);
        }
        assert!(rates.may_try(guesser, at).is_err());
        assert!(rates.may_try(origin("192.0.2.2"), at).is_ok());
        assert!(rates.may_try(guesser, Instant::from_unix_seconds(31)).is_ok(), "time heals");
        let proxy = origin("127.0.0.1");
        for _ in 0..3 {
            rates.wrong.admit(proxy, at);
        }
        assert!(rates.may_try(proxy, at).is_ok());
    }
}
