//! Errors: problem details for HTTP APIs (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The content type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Problem {
    /// The HTTP status code.
    pub status: u16,
    /// What kind of no this is, in a few words.
    pub title: String,
    /// A stable word for programs, in kebab case.
    pub code: String,
    /// What went wrong with this request and what to do next.
    pub detail: String,
}
