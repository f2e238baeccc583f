//! What a client sees when a request is not done: problem details (RFC 9457).
//!
//! Four kinds of no come in here and leave in one form: a denial of policy (403, or 404 where even
//! the existence of a thing is nobody's business), a refusal of the domain (409 or 422), a
//! rejection of the request's form (4xx), a fault of ours (5xx, logged here once, told to nobody).
//! A detail never repeats a token, a name or a body.

use std::fmt::Display;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use issuance::handles::HandlesRefusal;
use issuance::offer::OfferRefusal;
use issuance::pass::PassRefusal;
use issuance::product::ProductRefusal;
use keys::custody::SignError;
use policy::authorize::{Denied, DeniedReason};
use store::commit::{CommitError, Table};
use store::store::ReadError;

use crate::sign::{SignFault, renewal};
use crate::world::NoEntropy;

/// A request that is not done.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    title: &'static str,
    code: &'static str,
    detail: String,
    /// After how many seconds to try again, where that is known.
    retry_s: Option<u32>,
}

/// After how many seconds to try again when the keys cannot be reached.
pub(crate) const KEYS_RETRY_S: u32 = 5;

impl Problem {
    /// A request whose form is not taken.
    pub(crate) fn form(status: StatusCode, code: &'static str, detail: impl Display) -> Self {
        Self {
            status,
            title: "the request is not understood",
            code,
            detail: detail.to_string(),
            retry_s: None,
        }
    }

    /// A field of a request that is not what it should be.
    pub(crate) fn field(name: &str, error: impl Display) -> Self {
        let detail = format!("field `{name}`: {error}");
        Self::form(StatusCode::BAD_REQUEST, "invalid-field", detail)
    }

    /// A refusal of the domain.
    pub(crate) fn refused(code: &'static str, detail: impl Display) -> Self {
        let status = match code {
            "operator-exists" | "reference-exists" | "product-exists" | "place-exists"
            | "token-revoked" | "pass-state" | "pass-expired" | "reader-retired"
            | "handles-exhausted" | "handles-repeated" | "journal-gap" | "journal-fork"
            | "conflict" => StatusCode::CONFLICT,
            "enrolment-code" => StatusCode::FORBIDDEN,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self {
            status,
            title: "the deed is refused",
            code,
            detail: detail.to_string(),
            retry_s: None,
        }
    }

    /// There is no such thing, or it is somebody else's: the answer is the same to the byte.
    pub(crate) fn not_found() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            title: "not found",
            code: "not-found",
            detail: "there is nothing here under that name".into(),
            retry_s: None,
        }
    }

    /// Nobody we know is asking.
    pub(crate) fn unauthorized() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            title: "a token is needed",
            code: "unauthorized",
            detail: "send `Authorization: Bearer` with a token that is in force".into(),
            retry_s: None,
        }
    }

    /// One request too many.
    pub(crate) fn too_many() -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            title: "too many requests",
            code: "rate-limit",
            detail: "wait a minute, then send fewer requests".into(),
            retry_s: Some(60),
        }
    }

    /// Our machinery failed: the log gets the reason, the client does not.
    pub(crate) fn fault(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        tracing::error!(%reason, "a request failed");
        Self::internal()
    }

    /// Our machinery failed, and that is logged already.
    pub(crate) fn internal() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            title: "the server failed",
            code: "fault",
            detail: "nothing was done; try again, then ask the city's operators".into(),
            retry_s: None,
        }
    }

    /// The city has no key in force that this deed needs.
    pub(crate) fn no_key(detail: &str) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "the deed is not possible yet",
            code: "key-missing",
            detail: detail.to_owned(),
            retry_s: None,
        }
    }

    /// The certificate that this deed needs has ended.
    fn issuer_expired(detail: &str) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "the deed is not possible until a certificate is renewed",
            code: "issuer-expired",
            detail: detail.to_owned(),
            retry_s: None,
        }
    }

    /// Whoever holds the keys cannot sign now: it is away, or has been asked too often.
    pub(crate) fn keys_unavailable(retry_s: u32) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "the deed is not possible now",
            code: "keys-unavailable",
            detail: "nothing was done: who holds the city's keys does not sign now; try again"
                .into(),
            retry_s: Some(retry_s),
        }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = api::problem::Problem {
            status: self.status.as_u16(),
            title: self.title.into(),
            code: self.code.into(),
            detail: self.detail,
        };
        // INVARIANT: a struct of texts and a number always serializes.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static(api::problem::CONTENT_TYPE);
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied.reason {
            DeniedReason::OtherOperator | DeniedReason::NotItself => Self::not_found(),
            DeniedReason::SelfGrant | DeniedReason::Role => Self {
                status: StatusCode::FORBIDDEN,
                title: "policy says no",
                code: "denied",
                detail: denied.to_string(),
                retry_s: None,
            },
        }
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        match &error {
            CommitError::Conflict(row) if row.table == Table::Person => {
                Self::refused("reference-exists", "a person of that reference exists")
            }
            CommitError::Conflict(_) => {
                Self::refused("conflict", "somebody else was faster; load again and try again")
            }
            CommitError::TooLarge => {
                Self::form(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "send less at a time")
            }
            CommitError::Full => {
                tracing::error!("the disk is full: a request was not done");
                Self {
                    status: StatusCode::INSUFFICIENT_STORAGE,
                    title: "the disk is full",
                    code: "disk-full",
                    detail: "nothing was written; the city's operators must make space".into(),
                    retry_s: None,
                }
            }
            _ => Self::fault(&error),
        }
    }
}

macro_rules! faults {
    ($($error:ty)*) => {$(
        impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Self::fault(&error)
            }
        }
    )*};
}

faults! { ReadError NoEntropy }

impl From<SignFault> for Problem {
    fn from(fault: SignFault) -> Self {
        match fault {
            SignFault::NoKey { .. } => {
                tracing::error!(reason = %fault, "a request failed");
                Self::no_key("the city has no key for this yet, or its certificate has ended")
            }
            SignFault::Ended { purpose, ref operator, ended } => {
                tracing::error!(reason = %fault, "a request failed");
                let command = renewal(purpose, operator.as_ref());
                Self::issuer_expired(&format!(
                    "the certificate for `{purpose}` ended at {ended}: who holds the root of the \
                     city renews it with `{command}`"
                ))
            }
            // Somebody else moved the key on or destroyed it, and this server is about to hear of it.
            SignFault::Custody(
                SignError::Unavailable | SignError::NotActive { .. } | SignError::UnknownKey { .. },
            ) => {
                tracing::warn!(reason = %fault, "a request was not done");
                Self::keys_unavailable(KEYS_RETRY_S)
            }
            SignFault::Custody(SignError::TooMany { retry_s }) => {
                tracing::warn!(reason = %fault, retry_s, "a request was not done");
                Self::keys_unavailable(retry_s)
            }
            _ => Self::fault(&fault),
        }
    }
}

macro_rules! refusals {
    ($($wrong:pat => $refusal:ty;)*) => {$(
        impl From<$refusal> for Problem {
            fn from(refusal: $refusal) -> Self {
                match &refusal {
                    // A mistake of ours, not of the client.
                    $wrong => Self::fault(&refusal),
                    other => Self::refused(other.code(), other),
                }
            }
        }
    )*};
}

refusals! {
    identity::refusal::Refusal::Permit(_) => identity::refusal::Refusal;
    fleet::refusal::Refusal::Permit(_)
        | fleet::refusal::Refusal::Certificate(_)
        | fleet::refusal::Refusal::StandardCertificate(_)
        => fleet::refusal::Refusal;
    PassRefusal::Permit(_) => PassRefusal;
    ProductRefusal::Permit(_) => ProductRefusal;
    OfferRefusal::Permit(_) | OfferRefusal::Product => OfferRefusal;
    HandlesRefusal::Permit(_) | HandlesRefusal::State | HandlesRefusal::StatusIndexes => HandlesRefusal;
}
