//! Products, passes, offers, grants, documents, status lists, and what may be used once.

use issuance::change::Change;

use crate::commit::{CommitError, Plan};

mod document;
mod handles;
mod offer;
mod pass;
mod product;

pub(crate) fn plan(plan: &mut Plan<'_>, change: &Change) -> Result<(), CommitError> {
    match change {
        Change::Product(product) => product::plan(plan, product),
        Change::Pass(pass) => pass::plan(plan, pass),
        Change::Offer(offer) => offer::plan(plan, offer),
        Change::Grant(grant) => offer::plan_grant(plan, grant),
        Change::Document(document) => document::plan(plan, document),
        Change::HandleIndex(index) => handles::plan(plan, index),
        Change::StatusList(list) => document::plan_list(plan, list),
        Change::Once(once) => {
            offer::plan_once(plan, once);
            Ok(())
        }
    }
}
