//! Status lists (IETF Token Status List), public and signed: as CWT, or as JWT to who accepts it.

use api::status::StatusLists;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use issuance::handles::epoch_at;
use issuance::status_list::StatusList;
use store::page::Page;
use vocabulary::code::OperatorCode;

use crate::body::{Path, Shown, bytes, path};
use crate::caller::Anyone;
use crate::problem::Problem;
use crate::server::Server;
use crate::work::status::{Form, published};
use crate::world::now;

const CWT: &str = "application/statuslist+cwt";
const JWT: &str = "application/statuslist+jwt";
/// Copies may be kept for a while, but not for long: the list says so itself (`ttl`).
const CACHE: &str = "public, max-age=60";

pub(super) async fn fetch(
    State(server): State<Server>,
    _anyone: Anyone,
    Path((operator, number)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let operator: OperatorCode = path(&operator)?;
    let number: u32 = path(&number)?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let wants_jwt = accept.is_some_and(|accept| accept.contains(JWT) && !accept.contains(CWT));
    let (form, kind) = if wants_jwt { (Form::Jwt, JWT) } else { (Form::Cwt, CWT) };
    let token = published(&server, &operator, number, form).await?;
    let mut response = bytes(kind, CACHE, token.ok_or_else(Problem::not_found)?);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// The addresses of all lists, as documents name them (Token Status List, aggregation).
pub(super) async fn list(
    State(server): State<Server>,
    _anyone: Anyone,
) -> Result<impl IntoResponse, Problem> {
    // A reader may have no room for all: lists of passes come before those of handles of one day.
    let (mut status_lists, mut of_handles) = (Vec::new(), Vec::new());
    let mut wanted = Page::FIRST;
    loop {
        let operators = server.store.city().operators(&wanted).await?;
        for operator in operators.items {
            let lists = server.store.for_operator(&operator.code).status_lists().await?;
            if let (false, Some(issuer)) = (lists.is_empty(), server.issuer(&operator.code).await?)
            {
                let now = epoch_at(now());
                // Of handles that are over nobody asks any more.
                let is_of_use = |list: &&StatusList| list.epoch.is_none_or(|it| it + 1 >= now);
                for list in lists.iter().filter(is_of_use) {
                    let ours =
                        if list.epoch.is_some() { &mut of_handles } else { &mut status_lists };
                    ours.push(issuer.status_uri(list.number));
                }
            }
        }
        match operators.next {
            Some(next) => wanted.after = Some(next),
            None => {
                status_lists.append(&mut of_handles);
                return Ok(Shown(StatusLists { status_lists }));
            }
        }
    }
}
