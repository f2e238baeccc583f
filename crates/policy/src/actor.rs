//! Who asks (an actor) and upon what (a resource).
//!
//! Whoever builds an actor vouches for it: the constructors are called by the code that has just
//! authenticated a token, a reader's signature, a one-time code or an offer, and by nothing else.

use vocabulary::code::OperatorCode;
use vocabulary::id::{EnrolmentId, OfferId, PassId, ReaderId, TokenId};

use crate::role::{Role, Roles};

/// The code of the city's own operator, upon which operators are registered.
pub const CITY: &str = "city";

/// Who acts, within which operator, with which roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    operator: OperatorCode,
    subject: Subject,
    roles: Roles,
}

/// How an actor proved who it is. The audit log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A staff token.
    Token(TokenId),
    /// An enrolled reader, by its key.
    Reader(ReaderId),
    /// A one-time code for a reader to come.
    Enrolment(EnrolmentId),
    /// A wallet, by the offer that it redeems.
    Offer(OfferId),
    /// A wallet, by the device key of a pass.
    Pass(PassId),
    /// A background job of the server.
    Worker,
    /// Who sits at the machine that holds the data.
    Host,
}

impl Actor {
    /// Staff, whose token was found, unexpired and not revoked. Machine roles among `roles` are dropped.
    #[must_use]
    pub fn staff(operator: OperatorCode, token: TokenId, roles: Roles) -> Self {
        let roles = roles.iter().filter(|role| role.is_staff()).collect();
        Self { operator, subject: Subject::Token(token), roles }
    }

    /// An enrolled reader whose signature was verified.
    #[must_use]
    pub fn reader(operator: OperatorCode, reader: ReaderId) -> Self {
        Self::machine(operator, Subject::Reader(reader), Role::Reader)
    }

    /// The holder of the one-time code of `enrolment`.
    #[must_use]
    pub fn candidate(operator: OperatorCode, enrolment: EnrolmentId) -> Self {
        Self::machine(operator, Subject::Enrolment(enrolment), Role::Candidate)
    }

    /// A wallet with a valid access token for `offer`.
    #[must_use]
    pub fn wallet(operator: OperatorCode, offer: OfferId) -> Self {
        Self::machine(operator, Subject::Offer(offer), Role::Wallet)
    }

    /// A wallet that has just signed with a device key of `pass`.
    #[must_use]
    pub fn holder(operator: OperatorCode, pass: PassId) -> Self {
        Self::machine(operator, Subject::Pass(pass), Role::Holder)
    }

    /// The server itself, in a job for `operator`.
    #[must_use]
    pub fn worker(operator: OperatorCode) -> Self {
        Self::machine(operator, Subject::Worker, Role::Worker)
    }

    /// Who runs a command on the machine that holds the data, for `operator`; never reachable by network.
    #[must_use]
    pub fn host(operator: OperatorCode) -> Self {
        Self::machine(operator, Subject::Host, Role::Host)
    }

    /// The operator within which the actor acts.
    #[must_use]
    pub const fn operator(&self) -> &OperatorCode {
        &self.operator
    }

    /// How the actor proved who it is.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        self.subject
    }

    /// The roles of the actor.
    #[must_use]
    pub const fn roles(&self) -> Roles {
        self.roles
    }

    fn machine(operator: OperatorCode, subject: Subject, role: Role) -> Self {
        Self { operator, subject, roles: Roles::only(role) }
    }
}

/// What is acted upon. It always belongs to one operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The operator to which it belongs.
    pub operator: OperatorCode,
    /// Which object, where a rule depends on it.
    pub object: Object,
}

/// The part of a resource on which a rule may depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Anything of the operator, where its identity does not matter to any rule.
    Any,
    /// One reader.
    Reader(ReaderId),
    /// One enrolment that waits for a reader.
    Enrolment(EnrolmentId),
    /// One offer.
    Offer(OfferId),
    /// One pass.
    Pass(PassId),
    /// A token to be made, with these roles.
    TokenWith(Roles),
}

impl Resource {
    /// Something of `operator`.
    #[must_use]
    pub const fn of(operator: OperatorCode) -> Self {
        Self { operator, object: Object::Any }
    }

    /// One `reader` of `operator`.
    #[must_use]
    pub const fn reader(operator: OperatorCode, reader: ReaderId) -> Self {
        Self { operator, object: Object::Reader(reader) }
    }

    /// One `enrolment` of `operator`.
    #[must_use]
    pub const fn enrolment(operator: OperatorCode, enrolment: EnrolmentId) -> Self {
        Self { operator, object: Object::Enrolment(enrolment) }
    }

    /// One `offer` of `operator`.
    #[must_use]
    pub const fn offer(operator: OperatorCode, offer: OfferId) -> Self {
        Self { operator, object: Object::Offer(offer) }
    }

    /// One `pass` of `operator`.
    #[must_use]
    pub const fn pass(operator: OperatorCode, pass: PassId) -> Self {
        Self { operator, object: Object::Pass(pass) }
    }

    /// A token of `operator` that shall carry `roles`.
    #[must_use]
    pub const fn token_with(operator: OperatorCode, roles: Roles) -> Self {
        Self { operator, object: Object::TokenWith(roles) }
    }
}
