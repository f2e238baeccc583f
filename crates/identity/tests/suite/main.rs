//! Tests of the identity crate: registering, tokens, and what never shows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

use policy::action::Action;
use policy::actor::{Actor, CITY, Resource};
use policy::authorize::{Permit, authorize};
use policy::role::Roles;
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

mod register;
mod token;

const NOW: Instant = Instant::from_unix_seconds(1_795_356_000);

fn operator(code: &str) -> OperatorCode {
    code.parse().unwrap()
}

/// A permit for `action` within `of`, from an actor who may.
fn permit(action: Action, of: &str) -> Permit {
    let of = operator(of);
    let token = vocabulary::id::TokenId::from_bytes([9; 16]);
    let staff = policy::role::Role::ALL.into_iter().collect();
    let actors = [Actor::host(of.clone()), Actor::staff(of.clone(), token, staff)];
    let permits = actors.iter().map(|actor| authorize(actor, action, Resource::of(of.clone())));
    permits.flatten().next().unwrap()
}

fn token_permit(of: &str, roles: Roles) -> Permit {
    let resource = Resource::token_with(operator(of), roles);
    authorize(&Actor::host(operator(of)), Action::TokenCreate, resource).unwrap()
}

#[test]
fn city_can_be_written_as_a_code() {
    assert_eq!(operator(CITY).as_str(), CITY);
}
