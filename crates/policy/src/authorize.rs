//! The one gate of the city's deeds: actor, action and resource in, a permit or a reasoned no out.
//!
//! Rules, in this order: an actor touches only its own operator; a machine touches only itself;
//! nobody grants a role that it holds; then some role of the actor must carry the action. What no
//! rule allows is denied. The whole matrix is a golden file of the tests.

use std::fmt;

use vocabulary::code::OperatorCode;

use crate::action::Action;
use crate::actor::{Actor, CITY, Object, Resource, Subject};
use crate::deeds::deeds;
use crate::role::{Role, Roles};

/// The proof that `authorize` said yes to one deed. Only [`authorize`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    actor: Actor,
    action: Action,
    resource: Resource,
}

impl Permit {
    /// Who may do the deed.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The deed.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// The operator upon which the deed is done, which is also the actor's.
    #[must_use]
    pub const fn operator(&self) -> &OperatorCode {
        &self.resource.operator
    }

    /// The object for which the permit was asked.
    #[must_use]
    pub const fn object(&self) -> Object {
        self.resource.object
    }

    /// Passes when this permit is for `action` upon something of `operator`; every decide function
    /// asks this first.
    ///
    /// # Errors
    /// [`WrongPermit`] when the permit was given for another deed or another operator.
    pub fn covers(&self, action: Action, operator: &OperatorCode) -> Result<(), WrongPermit> {
        if self.action == action && self.resource.operator == *operator {
            Ok(())
        } else {
            Err(WrongPermit { given: self.action, needed: action })
        }
    }
}

/// A permit that was given for another deed or another operator: a mistake of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongPermit {
    /// The deed for which the permit was given.
    pub given: Action,
    /// The deed that was tried.
    pub needed: Action,
}

impl fmt::Display for WrongPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "permit for `{}` does not cover this `{}`", self.given, self.needed)
    }
}

impl std::error::Error for WrongPermit {}

/// Policy said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The deed that was asked for.
    pub action: Action,
    /// The rule that said no.
    pub reason: DeniedReason,
}

/// Why policy said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeniedReason {
    /// The resource belongs to another operator. The caller must answer as if it did not exist.
    OtherOperator,
    /// A machine asked for something other than itself. The caller must answer as if it did not exist.
    NotItself,
    /// The actor would grant a role that it holds, or one that no token carries.
    SelfGrant,
    /// No role of the actor carries the deed.
    Role,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.reason {
            DeniedReason::OtherOperator => "it belongs to another operator",
            DeniedReason::NotItself => "a machine acts for itself alone",
            DeniedReason::SelfGrant => "the roles asked for cannot be granted by this actor",
            DeniedReason::Role => "no role of the actor allows it",
        };
        write!(f, "`{}` denied: {why}", self.action)
    }
}

impl std::error::Error for Denied {}

/// Asks whether `actor` may do `action` upon `resource`.
///
/// # Errors
/// [`Denied`] with the first rule that said no.
pub fn authorize(actor: &Actor, action: Action, resource: Resource) -> Result<Permit, Denied> {
    match refusal(actor, action, &resource) {
        Some(reason) => Err(Denied { action, reason }),
        None => Ok(Permit { actor: actor.clone(), action, resource }),
    }
}

fn refusal(actor: &Actor, action: Action, resource: &Resource) -> Option<DeniedReason> {
    if *actor.operator() != resource.operator {
        return Some(DeniedReason::OtherOperator);
    }
    if !acts_for_itself(actor.subject(), resource.object) {
        return Some(DeniedReason::NotItself);
    }
    if !actor.roles().iter().any(|role| deeds(role).contains(&action)) {
        return Some(DeniedReason::Role);
    }
    if is_of_the_city(action) && resource.operator.as_str() != CITY {
        return Some(DeniedReason::Role);
    }
    if action == Action::TokenCreate && !may_grant(actor.roles(), resource) {
        return Some(DeniedReason::SelfGrant);
    }
    None
}

/// Deeds upon what is the city's own: the register of operators, and what holds at every door.
const fn is_of_the_city(action: Action) -> bool {
    matches!(action, Action::OperatorRegister | Action::OperatorList | Action::TapsSet)
}

fn acts_for_itself(subject: Subject, object: Object) -> bool {
    match subject {
        Subject::Reader(own) => object == Object::Reader(own),
        Subject::Enrolment(own) => object == Object::Enrolment(own),
        Subject::Offer(own) => object == Object::Offer(own),
        Subject::Pass(own) => object == Object::Pass(own),
        Subject::Token(_) | Subject::Worker | Subject::Host => true,
    }
}

/// Nobody grants what it holds, so no token can copy itself, and two owners never come from one:
/// an owner's token is made at the machine that holds the data.
fn may_grant(held: Roles, resource: &Resource) -> bool {
    let Object::TokenWith(asked) = resource.object else { return false };
    !asked.is_empty()
        && asked.iter().all(|role| {
            let of_the_city = role == Role::Registrar;
            role.is_staff()
                && !held.contains(role)
                && (!of_the_city || resource.operator.as_str() == CITY)
        })
        // An owner grants what lies below it; a registrar's token comes from the host alone.
        && (held.contains(Role::Host) || !asked.contains(Role::Registrar))
}
