//! The routes: one module per noun, every handler the same six steps.
//!
//! Parse, load, authorize, decide, commit, reply. What is common to all requests happens here: a
//! limit of time, figures, and one form for everything that is not found.

use std::time::Instant;

use api::endpoint::Method;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};

use crate::problem::Problem;
use crate::server::Server;

pub(crate) mod findings;
pub(crate) mod handles;
pub(crate) mod log;
pub(crate) mod offers;
pub(crate) mod operators;
pub(crate) mod passes;
pub(crate) mod people;
pub(crate) mod places;
pub(crate) mod probes;
pub(crate) mod products;
pub(crate) mod readers;
pub(crate) mod status;
pub(crate) mod taps;
pub(crate) mod tokens;
pub(crate) mod trust;
pub(crate) mod wallet;

/// Everything that `server` answers.
pub(crate) fn router(server: Server) -> Router {
    let v1 = v1().router;
    let all = probes::routes(wallet::routes(v1));
    all.fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::form(StatusCode::METHOD_NOT_ALLOWED, "method", "not a method of this path")
        })
        .layer(from_fn_with_state(server.clone(), observe))
        .with_state(server)
}

/// The methods and paths below `/v1` that are served, in the words of `api::endpoint::ENDPOINTS`.
#[must_use]
pub fn served() -> Vec<(Method, &'static str)> {
    v1().served
}

/// Routes, and their names for the comparison with the table of endpoints.
struct Routes {
    router: Router<Server>,
    served: Vec<(Method, &'static str)>,
}

impl Routes {
    fn on<T: 'static>(
        mut self,
        method: Method,
        path: &'static str,
        handler: impl Handler<T, Server>,
    ) -> Self {
        let filter = match method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Patch => MethodFilter::PATCH,
            Method::Delete => MethodFilter::DELETE,
        };
        self.served.push((method, path));
        // The path of a tile has slashes in it.
        let pattern = path.replace("tile/{path}", "tile/{*path}");
        Self { router: self.router.route(&pattern, on(filter, handler)), served: self.served }
    }
}

fn v1() -> Routes {
    use Method::{Delete, Get, Patch, Post};
    Routes { router: Router::new(), served: Vec::new() }
        .on(Post, "/v1/operators", operators::register)
        .on(Get, "/v1/operators", operators::list)
        .on(Get, "/v1/operators/{code}", operators::show)
        .on(Post, "/v1/tokens", tokens::create)
        .on(Get, "/v1/tokens", tokens::list)
        .on(Delete, "/v1/tokens/{id}", tokens::revoke)
        .on(Post, "/v1/places", places::add)
        .on(Get, "/v1/places", places::list)
        .on(Get, "/v1/taps", taps::show)
        .on(Patch, "/v1/taps", taps::set)
        .on(Post, "/v1/products", products::add)
        .on(Get, "/v1/products", products::list)
        .on(Get, "/v1/products/{code}", products::show)
        .on(Post, "/v1/people", people::register)
        .on(Get, "/v1/people", people::list)
        .on(Get, "/v1/people/{id}", people::show)
        .on(Post, "/v1/passes", passes::issue)
        .on(Get, "/v1/passes", passes::list)
        .on(Get, "/v1/passes/{id}", passes::show)
        .on(Post, "/v1/passes/{id}/offers", offers::make)
        .on(Post, "/v1/passes/{id}/suspend", passes::suspend)
        .on(Post, "/v1/passes/{id}/resume", passes::resume)
        .on(Post, "/v1/passes/{id}/revoke", passes::revoke)
        .on(Post, "/v1/readers/enrolments", readers::invite)
        .on(Post, "/v1/readers/enrol", readers::enrol)
        .on(Get, "/v1/readers", readers::list)
        .on(Get, "/v1/readers/{id}", readers::show)
        .on(Post, "/v1/readers/{id}/certificate", readers::renew)
        .on(Post, "/v1/readers/{id}/delivery-keys", readers::delivery::register)
        .on(Get, "/v1/readers/{id}/bundle", readers::bundle::fetch)
        .on(Post, "/v1/readers/{id}/journal", readers::journal::upload)
        .on(Post, "/v1/wallet/express-handles", handles::draw)
        .on(Get, "/v1/status-lists", status::list)
        .on(Get, "/v1/status-lists/{operator}/{number}", status::fetch)
        .on(Get, "/v1/trust", trust::show)
        .on(Get, "/v1/findings", findings::list)
        .on(Get, "/v1/events", log::events)
        .on(Get, "/v1/log/checkpoint", log::checkpoint)
        .on(Get, "/v1/log/tile/{path}", log::tile)
}

/// Bounds the time of a request and counts its answer by the pattern of its path.
async fn observe(State(server): State<Server>, request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let answered = tokio::time::timeout(server.limits.request_timeout(), next.run(request)).await;
    let response = answered.unwrap_or_else(|_| {
        let detail = "the request took too long and was given up";
        Problem::form(StatusCode::REQUEST_TIMEOUT, "timeout", detail).into_response()
    });
    let route = matched.as_ref().map_or("unknown", MatchedPath::as_str);
    // Methods are the client's words: only those that are routed become a label.
    let method = if matched.is_some() { method.as_str() } else { "any" };
    let status = response.status();
    server.metrics.answered(method, route, status.as_u16(), begin.elapsed().as_secs_f64());
    tracing::debug!(method, route, status = status.as_u16(), "answered");
    response
}
