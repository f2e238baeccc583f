//! What a deed of this crate changes, as rows for the store.
//!
//! A deed returns all its changes in one list; the store commits all of them or none. Nothing here
//! must ever be applied in part, and nothing else writes these rows.

use crate::document::Document;
use crate::handles::HandleIndex;
use crate::offer::Offer;
use crate::once::Once;
use crate::pass::Pass;
use crate::product::Product;
use crate::status_list::StatusList;
use crate::token::Grant;

/// One row to be written.
///
/// Every entity carries a `version`, and one rule holds for all of them: version 1 is inserted
/// and must not be there yet; version n + 1 replaces version n and must find exactly that. When it
/// does not, another deed came first: nothing of the list is committed, and the caller loads again
/// and decides again. [`Once`] has no version: it is inserted, and finding it there is a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A product, keyed by operator and code. Earlier versions stay readable, as passes name them.
    Product(Product),
    /// A pass, keyed by its identifier.
    Pass(Pass),
    /// An offer, keyed by its identifier and found by `code_digest`, which is unique.
    Offer(Offer),
    /// An access token, keyed by `token_digest`.
    Grant(Grant),
    /// An issued document, keyed by its identifier; operator, list and index together are unique.
    Document(Document),
    /// The index of the handles of one pass, zone and epoch, keyed by these; operator, list and index
    /// together are unique.
    HandleIndex(HandleIndex),
    /// A status list, keyed by operator and number.
    StatusList(StatusList),
    /// Something that may be used once, keyed by scope and digest.
    Once(Once),
}
