//! The whole authorization matrix as a golden file, and what must hold of it whatever it says.

use std::fmt::Write;

use expect_test::expect_file;
use policy::action::Action;
use policy::actor::{Actor, CITY, Resource, Subject};
use policy::authorize::{DeniedReason, Permit, WrongPermit, authorize};
use policy::role::{Role, Roles};
use vocabulary::code::OperatorCode;
use vocabulary::id::{EnrolmentId, OfferId, PassId, ReaderId, TokenId};

fn operator(code: &str) -> OperatorCode {
    code.parse().unwrap()
}

fn actor(role: Role, of: &str) -> Actor {
    let of = operator(of);
    match role {
        Role::Reader => Actor::reader(of, ReaderId::from_bytes([1; 16])),
        Role::Candidate => Actor::candidate(of, EnrolmentId::from_bytes([1; 16])),
        Role::Wallet => Actor::wallet(of, OfferId::from_bytes([1; 16])),
        Role::Holder => Actor::holder(of, PassId::from_bytes([1; 16])),
        Role::Worker => Actor::worker(of),
        Role::Host => Actor::host(of),
        staff => Actor::staff(of, TokenId::from_bytes([1; 16]), Roles::only(staff)),
    }
}

/// The resource upon which `role` would most easily be allowed `action`: itself, if it is a
/// machine; `id` tells it from another of its kind.
fn resource(role: Role, action: Action, of: &str, id: u8) -> Resource {
    let of = operator(of);
    match role {
        Role::Reader => Resource::reader(of, ReaderId::from_bytes([id; 16])),
        Role::Candidate => Resource::enrolment(of, EnrolmentId::from_bytes([id; 16])),
        Role::Wallet => Resource::offer(of, OfferId::from_bytes([id; 16])),
        Role::Holder => Resource::pass(of, PassId::from_bytes([id; 16])),
        _ if action == Action::TokenCreate => Resource::token_with(of, Roles::only(Role::HelpDesk)),
        _ => Resource::of(of),
    }
}

fn section(title: &str, allowed: impl Fn(Role, Action) -> bool) -> String {
    let mut text = format!("{title}\n{:19}", "");
    Role::ALL.iter().for_each(|role| write!(text, "{role:>14}").unwrap());
    for action in Action::ALL {
        write!(text, "\n{action:19}").unwrap();
        for role in Role::ALL {
            write!(text, "{:>14}", if allowed(role, action) { "yes" } else { "-" }).unwrap();
        }
    }
    text + "\n\n"
}

fn grants(title: &str, of: &str) -> String {
    let mut text = format!("{title}\n{:19}", "grants");
    Role::ALL.iter().for_each(|role| write!(text, "{role:>14}").unwrap());
    for granted in Role::ALL {
        write!(text, "\n{granted:19}").unwrap();
        for role in Role::ALL {
            let resource = Resource::token_with(operator(of), Roles::only(granted));
            let allowed = authorize(&actor(role, of), Action::TokenCreate, resource).is_ok();
            write!(text, "{:>14}", if allowed { "yes" } else { "-" }).unwrap();
        }
    }
    text + "\n\n"
}

#[test]
fn authorization_matrix_is_the_golden_file() {
    let ask = |actor_of: &'static str, resource_of: &'static str, id: u8| {
        move |role, action| {
            let resource = resource(role, action, resource_of, id);
            authorize(&actor(role, actor_of), action, resource).is_ok()
        }
    };
    let matrix = [
        section("Upon its own operator (a machine: upon itself)", ask("harbour", "harbour", 1)),
        section(
            "Upon another of its kind (machines only differ here)",
            ask("harbour", "harbour", 2),
        ),
        section("Within the city's own operator", ask(CITY, CITY, 1)),
        section("Upon another operator", ask("harbour", "airport", 1)),
        section("From an operator upon the city's own", ask("harbour", CITY, 1)),
        section("From the city's own upon an operator", ask(CITY, "harbour", 1)),
        grants("Tokens: which role (column) may grant which (row), in an operator", "harbour"),
        grants("Tokens: which role (column) may grant which (row), in the city's own", CITY),
    ];
    let matrix = matrix.concat().lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    expect_file!["authorization-matrix.txt"].assert_eq(&(matrix.trim_end().to_owned() + "\n"));
}

#[test]
fn no_role_reaches_another_operator() {
    let everything: Roles = Role::ALL.into_iter().collect();
    let mighty = Actor::staff(operator("harbour"), TokenId::from_bytes([1; 16]), everything);
    let mut own = 0;
    for action in Action::ALL {
        let denied = authorize(&mighty, action, Resource::of(operator("airport"))).unwrap_err();
        assert_eq!(denied.reason, DeniedReason::OtherOperator, "{action}");
        own += usize::from(authorize(&mighty, action, Resource::of(operator("harbour"))).is_ok());
    }
    // The control: the same actor with its own operator is allowed much.
    assert!(own > 20, "{own}");
}

/// Whoever may offer a pass again may collect it on a phone of their own.
#[test]
fn help_desk_brings_no_pass_to_any_phone() {
    let may = |role, action| {
        authorize(&actor(role, "harbour"), action, Resource::of(operator("harbour"))).is_ok()
    };
    for action in [Action::PassIssue, Action::PassOffer, Action::PassRevoke] {
        assert!(!may(Role::HelpDesk, action), "{action}");
        assert!(may(Role::IssuerClerk, action), "control: {action}");
    }
    assert!(may(Role::HelpDesk, Action::PassSuspend), "control");
}

#[test]
fn staff_cannot_be_a_machine() {
    let everything: Roles = Role::ALL.into_iter().collect();
    let staff = Actor::staff(operator("harbour"), TokenId::from_bytes([1; 16]), everything);
    assert!(staff.roles().iter().all(Role::is_staff));
    assert!(staff.roles().contains(Role::Owner));
}

fn grant(held: &[Role], asked: &[Role]) -> Result<Permit, DeniedReason> {
    let held = held.iter().copied().collect();
    let actor = Actor::staff(operator("harbour"), TokenId::from_bytes([1; 16]), held);
    let resource = Resource::token_with(operator("harbour"), asked.iter().copied().collect());
    authorize(&actor, Action::TokenCreate, resource).map_err(|denied| denied.reason)
}

#[test]
fn nobody_grants_a_role_that_it_holds() {
    use Role::{Auditor, FleetManager, HelpDesk, Owner};
    assert_eq!(grant(&[Owner], &[Owner]), Err(DeniedReason::SelfGrant));
    assert_eq!(grant(&[Owner], &[HelpDesk, Owner]), Err(DeniedReason::SelfGrant));
    assert_eq!(grant(&[Owner, Auditor], &[Auditor]), Err(DeniedReason::SelfGrant));
    assert_eq!(grant(&[Owner], &[]), Err(DeniedReason::SelfGrant));
    assert_eq!(grant(&[Owner], &[Role::Host]), Err(DeniedReason::SelfGrant));
    assert_eq!(grant(&[FleetManager], &[HelpDesk]), Err(DeniedReason::Role));
    // The control: what lies below an owner is granted.
    assert!(grant(&[Owner], &[HelpDesk, FleetManager]).is_ok());
}

#[test]
fn token_without_named_roles_is_not_made() {
    let host = Actor::host(operator("harbour"));
    let plain = authorize(&host, Action::TokenCreate, Resource::of(operator("harbour")));
    assert_eq!(plain.unwrap_err().reason, DeniedReason::SelfGrant);
}

#[test]
fn machine_acts_for_itself_alone() {
    for role in [Role::Reader, Role::Candidate, Role::Wallet, Role::Holder] {
        for action in Action::ALL {
            let other =
                authorize(&actor(role, "harbour"), action, resource(role, action, "harbour", 2));
            assert_eq!(other.unwrap_err().reason, DeniedReason::NotItself, "{role} {action}");
            let any = authorize(&actor(role, "harbour"), action, Resource::of(operator("harbour")));
            assert_eq!(any.unwrap_err().reason, DeniedReason::NotItself, "{role} {action}");
        }
        let own = Action::ALL.into_iter().filter(|action| {
            let itself = resource(role, *action, "harbour", 1);
            authorize(&actor(role, "harbour"), *action, itself).is_ok()
        });
        // The control: with itself it may do something.
        assert!(own.count() > 0, "{role}");
    }
}

#[test]
fn permit_covers_its_own_deed_and_operator_only() {
    let host = Actor::host(operator("harbour"));
    let permit = authorize(&host, Action::TokenList, Resource::of(operator("harbour"))).unwrap();
    assert_eq!(permit.actor().subject(), Subject::Host);
    assert_eq!(permit.covers(Action::TokenList, &operator("harbour")), Ok(()));
    for (action, of) in [(Action::TokenRevoke, "harbour"), (Action::TokenList, "airport")] {
        let wrong = WrongPermit { given: Action::TokenList, needed: action };
        assert_eq!(permit.covers(action, &operator(of)), Err(wrong));
    }
}

#[test]
fn no_action_is_about_leaving() {
    for action in Action::ALL {
        let name = action.as_str();
        assert!(
            !["exit", "leave", "egress", "out"]
                .iter()
                .any(|word| name.split('.').any(|n| n == *word))
        );
    }
    let names: std::collections::BTreeSet<_> = Action::ALL.iter().map(|a| a.as_str()).collect();
    assert_eq!(names.len(), Action::ALL.len());
}
