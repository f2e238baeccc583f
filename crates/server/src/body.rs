//! Bodies in and out: JSON of a bounded size, of the right content type, without unknown fields.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::page::{Cursor, Listing, Page, PageSize};

use crate::problem::Problem;
use crate::server::Server;

/// A request body in JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Server> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, server: &Server) -> Result<Self, Problem> {
        require_type(request.headers(), "application/json")?;
        let bytes = read(request, server).await?;
        // A list would be taken for the fields in their order: only an object is a request.
        if bytes.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
            let detail = "the body is no JSON object";
            return Err(Problem::form(StatusCode::BAD_REQUEST, "body-form", detail));
        }
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| {
            // The position alone: the message of the parser may repeat what the client sent.
            let detail = match error.classify() {
                serde_json::error::Category::Data => {
                    "fields are missing, unknown or of a wrong type"
                }
                _ => "the body is no JSON",
            };
            let (line, column) = (error.line(), error.column());
            let detail = format!("{detail}, at line {line}, column {column}");
            Problem::form(StatusCode::BAD_REQUEST, "body-form", detail)
        })
    }
}

/// A request body as it came, of a bounded size.
pub(crate) struct Raw(pub(crate) Bytes);

impl FromRequest<Server> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, server: &Server) -> Result<Self, Problem> {
        read(request, server).await.map(Self)
    }
}

async fn read(request: Request, server: &Server) -> Result<Bytes, Problem> {
    let limit = server.limits.body_bytes_max;
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let too_large = || {
        let detail = format!("a body has at most {limit} bytes here");
        Problem::form(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail)
    };
    if declared.is_some_and(|bytes| usize::try_from(bytes).map_or(true, |bytes| bytes > limit)) {
        return Err(too_large());
    }
    axum::body::to_bytes(request.into_body(), limit).await.map_err(|_| too_large())
}

/// Passes when the body is said to be of `expected` type; parameters such as a charset may follow.
pub(crate) fn require_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split(';').next()).map(str::trim);
    if given.is_some_and(|given| given.eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    let detail = format!("send `Content-Type: {expected}`");
    Err(Problem::form(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", detail))
}

/// What stands in the path of a request; what cannot be read names nothing.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Server> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, server).await;
        path.map(|axum::extract::Path(read)| Self(read)).map_err(|_| Problem::not_found())
    }
}

/// The page that a query asks for.
pub(crate) struct Paged(pub(crate) Page);

impl FromRequestParts<Server> for Paged {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let form = |detail: &str| Problem::form(StatusCode::BAD_REQUEST, "page", detail);
        let query = Query::<api::page::PageQuery>::from_request_parts(parts, server).await;
        let Query(query) = query.map_err(|_| form("`limit` and `after` alone are taken, once"))?;
        let limit = query.limit.unwrap_or(api::page::PAGE_ROWS_DEFAULT);
        let size = u16::try_from(limit).ok().and_then(|limit| PageSize::new(limit).ok());
        let size = size.ok_or_else(|| form("`limit` is 1 to 200"))?;
        let after = query.after.as_deref().map(Cursor::from_str).transpose();
        let after = after.map_err(|_| form("`after` is not the `next` of a page before"))?;
        Ok(Self(Page { size, after }))
    }
}

/// 200 with JSON.
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Shown<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

/// 201 with JSON.
pub(crate) struct Created<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        json(StatusCode::CREATED, &self.0)
    }
}

/// A page of rows, each put on the wire by `wire`.
pub(crate) fn page<T, W>(listing: Listing<T>, wire: impl Fn(T) -> W) -> Shown<api::page::Page<W>> {
    let next = listing.next.map(|cursor| cursor.to_string());
    Shown(api::page::Page { items: listing.items.into_iter().map(wire).collect(), next })
}

/// Bytes of a content type.
pub(crate) fn bytes(kind: &'static str, cache: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let mut response = bytes("application/json", "no-store", body);
            *response.status_mut() = status;
            response
        }
        Err(error) => Problem::fault(&error).into_response(),
    }
}

/// Reads a field of a request as the type that it must have.
pub(crate) fn field<T: FromStr>(name: &str, text: &str) -> Result<T, Problem>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Problem::field(name, error))
}

/// Reads a field of a request that may be absent.
pub(crate) fn optional<T: FromStr>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    text.map(|text| field(name, text)).transpose()
}

/// Reads an identifier in a path: what is not one names nothing.
pub(crate) fn path<T: FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}
