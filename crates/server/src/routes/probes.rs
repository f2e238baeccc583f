//! Probes for whoever runs the server: `/healthz`, `/readyz`, `/metrics`. They tell no secrets and
//! nothing about people.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use keys::purpose::Purpose;

use crate::body::bytes;
use crate::problem::Problem;
use crate::server::Server;
use crate::sign::certified;
use crate::world::now;

pub(super) fn routes(router: Router<Server>) -> Router<Server> {
    router
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready when the store answers and the keys that every deed may need are there. What only one
/// operator lacks, or what waits for a person, is told in lines of their own: the city goes on.
async fn ready(State(server): State<Server>) -> Response {
    let reason = match unready(&server).await {
        None => return format!("ready\n{}", server.findings.lines()).into_response(),
        Some(reason) => reason,
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
}

async fn unready(server: &Server) -> Option<String> {
    if server.store.city().leaves_count().await.is_err() {
        return Some("the store does not answer".into());
    }
    if let Some(broken) = server.findings.broken() {
        return Some(broken.to_string());
    }
    let purposes = [Purpose::ReaderAuthority, Purpose::StatusList, Purpose::Bundle];
    let at = now();
    let lacks = |purpose| certified(&*server.custody, purpose, None, at).is_err();
    let is_lacking = purposes.into_iter().any(lacks);
    is_lacking.then(|| "a key of the city has no certificate in force".into())
}

async fn metrics(State(server): State<Server>) -> Result<Response, Problem> {
    let text = server.metrics.render().map_err(|error| Problem::fault(&error))?;
    Ok(bytes("text/plain; version=0.0.4", "no-store", text))
}
