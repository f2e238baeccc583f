//! Lists come in pages; a cursor leads from one to the next.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Rows in one page, unless the caller asks for fewer.
pub const PAGE_ROWS_DEFAULT: u32 = 50;
/// Rows in one page at the most; more is refused.
pub const PAGE_ROWS_MAX: u32 = 200;

/// What part of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows at the most, 1 to 200.
    pub limit: Option<u32>,
    /// The `next` of the page before; from the beginning where absent.
    pub after: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Page<T> {
    /// The rows, in the order of the list.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
