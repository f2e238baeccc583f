//! What wallets speak to: OpenID4VCI 1.0 below the identifier of each operator's issuer, with
//! metadata where the standards look for it (OpenID4VCI 1.0, 12.2.2; RFC 8414, 3).
//!
//! The rules stand in `issuance`; here is the order: read, load, decide, sign, commit, answer.
//! Nothing leaves before it is committed, and no answer with a secret may be kept by anybody on
//! the way.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use credential::crypto::Algorithm;
use issuance::access::{Access, AccessRefusal, Authorization, ProtectedRequest, check_access};
use issuance::issuer::{Endpoint, Issuer};
use issuance::nonce::mint;
use issuance::offer::show_offer;
use issuance::secret::{SecretUse, digest};
use issuance::wire;
use keys::purpose::Purpose;
use store::page::Page;
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use crate::body::{Path, bytes, path};
use crate::caller::Anyone;
use crate::problem::Problem;
use crate::server::Server;
use crate::sign::certified;
use crate::world::{entropy, now};

mod collect;
mod redeem;

pub(super) use collect::open_list;

const JSON: &str = "application/json";
const NO_STORE: &str = "no-store";

pub(super) fn routes(router: Router<Server>) -> Router<Server> {
    router
        .route("/.well-known/openid-credential-issuer/issuers/{operator}", get(issuer_metadata))
        .route("/.well-known/oauth-authorization-server/issuers/{operator}", get(server_metadata))
        .route("/issuers/{operator}/token", post(redeem::redeem))
        .route("/issuers/{operator}/nonce", post(nonce))
        .route("/issuers/{operator}/credential", post(collect::collect))
        .route("/issuers/{operator}/notification", post(collect::notify))
        .route("/issuers/{operator}/offers/{code}", get(offer))
        .route("/issuers/{operator}/status/{number}", get(super::status::fetch))
}

async fn issuer_metadata(
    State(server): State<Server>,
    _anyone: Anyone,
    Path(operator): Path<String>,
) -> Result<Response, Problem> {
    let issuer = issuer(&server, &operator).await?;
    let tenant = server.store.for_operator(issuer.operator());
    let mut products = Vec::new();
    let mut wanted = Page::FIRST;
    loop {
        let mut listing = tenant.products(&wanted).await?;
        products.append(&mut listing.items);
        match listing.next {
            Some(next) => wanted.after = Some(next),
            None => break,
        }
    }
    let signer = mdoc_signer(&server, issuer.operator(), now());
    let metadata = wire::metadata::issuer_metadata(&issuer, &products, signer);
    Ok(bytes(JSON, "public, max-age=60", metadata.into_bytes()))
}

async fn server_metadata(
    State(server): State<Server>,
    _anyone: Anyone,
    Path(operator): Path<String>,
) -> Result<Response, Problem> {
    let issuer = issuer(&server, &operator).await?;
    let metadata = wire::metadata::server_metadata(&issuer);
    Ok(bytes(JSON, "public, max-age=60", metadata.into_bytes()))
}

async fn nonce(
    State(server): State<Server>,
    _anyone: Anyone,
    Path(operator): Path<String>,
) -> Result<Response, Problem> {
    let issuer = issuer(&server, &operator).await?;
    let nonce = mint(&server.crypto, &server.nonce_key, issuer.operator(), now(), entropy()?);
    Ok(bytes(JSON, NO_STORE, wire::credential::write_nonce(&nonce).into_bytes()))
}

async fn offer(
    State(server): State<Server>,
    _anyone: Anyone,
    Path((operator, code)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let issuer = issuer(&server, &operator).await?;
    let tenant = server.store.for_operator(issuer.operator());
    let offer = tenant.offer_by_code(&digest(SecretUse::OfferCode, &code)).await?;
    let text = show_offer(&issuer, offer.as_ref(), &code, now());
    let text = text.map_err(|_| Problem::not_found())?;
    Ok(bytes(JSON, NO_STORE, text.into_bytes()))
}

/// The algorithm of who signs mdocs and access documents of `operator`, if somebody does.
pub(super) fn mdoc_signer(
    server: &Server,
    operator: &OperatorCode,
    at: Instant,
) -> Option<Algorithm> {
    let signer = certified(&*server.custody, Purpose::DocumentSignerMdoc, Some(operator), at);
    signer.ok().map(|(key, _)| key.suite.algorithm())
}

/// The issuer of the operator in a path.
async fn issuer(server: &Server, operator: &str) -> Result<Issuer, Problem> {
    let operator: OperatorCode = path(operator)?;
    server.issuer(&operator).await?.ok_or_else(Problem::not_found)
}

/// Checks the access token of a request to `endpoint`.
async fn access(
    server: &Server,
    issuer: &Issuer,
    endpoint: Endpoint,
    headers: &HeaderMap,
    at: Instant,
) -> Result<Access, WalletError> {
    let text = |name: header::HeaderName| -> Result<Option<&str>, WalletError> {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Ok(value.to_str().ok()),
            // Two of them: whoever forwarded this may have judged the other one.
            (Some(_), Some(_)) => Err(AccessRefusal::Missing.into()),
        }
    };
    let header = text(header::AUTHORIZATION)?.ok_or(AccessRefusal::Missing)?;
    let authorization = Authorization::parse(header)?;
    let tenant = server.store.for_operator(issuer.operator());
    let grant = tenant.grant(&authorization.token_digest()).await.map_err(Problem::from)?;
    let dpop = text(DPOP)?;
    let url = issuer.url(endpoint);
    let request = ProtectedRequest { authorization, dpop, method: "POST", url: &url };
    Ok(check_access(&server.crypto, request, grant.as_ref(), at)?)
}

/// The header that carries a proof (RFC 9449, 4.1).
const DPOP: header::HeaderName = header::HeaderName::from_static("dpop");

/// A no to a wallet: an OAuth error, or a problem where OAuth has no word.
enum WalletError {
    OAuth { status: StatusCode, error: &'static str, detail: String },
    Access(AccessRefusal),
    Problem(Problem),
}

impl WalletError {
    fn refused(error: &'static str, detail: impl std::fmt::Display) -> Self {
        match error {
            "server_error" => {
                tracing::error!(reason = %detail, "a wallet was not served");
                Self::Problem(Problem::internal())
            }
            error => {
                Self::OAuth { status: StatusCode::BAD_REQUEST, error, detail: detail.to_string() }
            }
        }
    }
}

impl From<AccessRefusal> for WalletError {
    fn from(refusal: AccessRefusal) -> Self {
        Self::Access(refusal)
    }
}

impl<E: Into<Problem>> From<E> for WalletError {
    fn from(error: E) -> Self {
        Self::Problem(error.into())
    }
}

impl IntoResponse for WalletError {
    fn into_response(self) -> Response {
        let (status, error, detail, challenge) = match self {
            Self::Problem(problem) => return problem.into_response(),
            Self::OAuth { status, error, detail } => (status, error, detail, None),
            Self::Access(refusal) => {
                let error = refusal.oauth_error().unwrap_or("invalid_token");
                let challenge = HeaderValue::from_str(&refusal.challenge()).ok();
                (StatusCode::UNAUTHORIZED, error, refusal.to_string(), challenge)
            }
        };
        let body = wire::error::write(error, &detail);
        let mut response = bytes(JSON, NO_STORE, body.into_bytes());
        *response.status_mut() = status;
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
