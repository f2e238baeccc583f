//! Handles of the express tap: one index for a pass, zone and epoch, and never more than allowed.

use credential::status::Status;
use issuance::change::Change;
use issuance::document::Standing;
use issuance::handles::{
    Drawn, HandleIndex, HandlesRefusal, HandlesRequest, HandlesState, draw_handles, epoch_at,
};
use issuance::once::{Once, OnceScope};
use issuance::pass::{
    Carried, Pass, PassRefusal, PassState, resume_pass, revoke_pass, suspend_pass,
};
use issuance::product::{Bearer, Product, Terms};
use issuance::status_list::{StatusList, next_status_list, publish_status_list};
use policy::action::Action;
use policy::actor::{Actor, Resource};
use policy::authorize::{Permit, authorize};
use vocabulary::time::Instant;

use crate::city::{City, DAY, NOW, at, operator, staff, ticket, worker};

type Deed = fn(&Permit, &Pass, Carried<'_>, Instant) -> Result<Vec<Change>, PassRefusal>;

struct Desk {
    pass: Pass,
    product: Product,
    list: StatusList,
}

impl Desk {
    fn with(change: impl FnOnce(&mut Terms)) -> Self {
        let mut terms = ticket();
        change(&mut terms);
        let rows = City::with(terms).rows;
        let pass = Pass { state: PassState::Active, ..rows.passes[0].clone() };
        let epoch = Some(epoch_at(at(NOW)));
        let list = next_status_list(&operator(), &rows.status_lists, epoch, 0, at(NOW)).unwrap();
        Self { pass, product: rows.products[0].clone(), list }
    }

    fn permit(&self) -> Permit {
        let actor = Actor::holder(operator(), self.pass.id);
        authorize(&actor, Action::HandlesDraw, Resource::pass(operator(), self.pass.id)).unwrap()
    }

    fn draw(
        &self,
        drawn: Option<&HandleIndex>,
        request: &HandlesRequest,
    ) -> Result<Drawn, HandlesRefusal> {
        let state = HandlesState {
            pass: &self.pass,
            product: &self.product,
            drawn,
            status_list: &self.list,
            free_index: Some(4_711),
        };
        draw_handles(&self.permit(), state, request, at(NOW))
    }
}

fn request(count: u16) -> HandlesRequest {
    let once = Once { scope: OnceScope::HandlesPoint, digest: [7; 32], expires_at: at(NOW) };
    let (zone, epoch) = ("B".parse().unwrap(), epoch_at(at(NOW)));
    HandlesRequest { zone, epoch, count, device: [6; 32], once }
}

fn index(drawn: &Drawn) -> HandleIndex {
    let [Change::Once(_), Change::Pass(_), Change::HandleIndex(index)] = &drawn.changes[..] else {
        panic!("{:?}", drawn.changes)
    };
    index.clone()
}

#[test]
fn all_handles_of_a_pass_zone_and_epoch_share_an_index_and_are_counted() {
    let desk = Desk::with(|terms| terms.handles_max = 40);
    let first = desk.draw(None, &request(16)).unwrap();
    assert_eq!((first.first, first.count, first.status_index), (0, 16, 4_711));
    assert_eq!(first.status_list, desk.list.number);
    let second = desk.draw(Some(&index(&first)), &request(16)).unwrap();
    assert_eq!((second.first, second.count), (16, 16));
    assert_eq!(index(&second).status_index, 4_711);
    assert_eq!((index(&second).given, index(&second).version), (32, 2));
    // What is left, and then nothing.
    let third = desk.draw(Some(&index(&second)), &request(64)).unwrap();
    assert_eq!((third.first, third.count), (32, 8));
    let fourth = desk.draw(Some(&index(&third)), &request(1));
    assert_eq!(fourth, Err(HandlesRefusal::Exhausted));
    let (Change::Once(once), Change::Pass(pass)) = (&first.changes[0], &first.changes[1]) else {
        panic!()
    };
    assert_eq!(*once, request(16).once, "a request counts once");
    assert_eq!(pass.version, desk.pass.version + 1, "a suspension meanwhile is seen");
}

#[test]
fn what_may_not_have_handles_is_refused() {
    let desk = Desk::with(|_| {});
    assert!(desk.draw(None, &request(1)).is_ok(), "control");
    let zone = HandlesRequest { zone: "C".parse().unwrap(), ..request(1) };
    assert_eq!(desk.draw(None, &zone), Err(HandlesRefusal::Zone));
    for epoch in [epoch_at(at(NOW)) - 1, epoch_at(at(NOW)) + 2] {
        let other = HandlesRequest { epoch, ..request(1) };
        assert_eq!(desk.draw(None, &other), Err(HandlesRefusal::Epoch));
    }
    // The list is of another epoch: the caller's mistake.
    let tomorrow = HandlesRequest { epoch: epoch_at(at(NOW)) + 1, ..request(1) };
    assert_eq!(desk.draw(None, &tomorrow), Err(HandlesRefusal::State));
    assert_eq!(desk.draw(None, &request(0)), Err(HandlesRefusal::Exhausted));
    let own = Desk::with(|terms| terms.rights.bearer = Bearer::HolderOnly);
    assert_eq!(own.draw(None, &request(1)), Err(HandlesRefusal::HolderOnly));
    let none = Desk::with(|terms| terms.handles_max = 0);
    assert_eq!(none.draw(None, &request(1)), Err(HandlesRefusal::Exhausted));
    for state in [PassState::Suspended, PassState::Revoked, PassState::Expired] {
        let desk = Desk { pass: Pass { state, ..desk.pass.clone() }, ..Desk::with(|_| {}) };
        let refusal = desk.draw(None, &request(1)).unwrap_err();
        assert_eq!(refusal.code(), "pass-state", "{state:?}");
    }
    let desk = Desk::with(|_| {});
    let other = Actor::holder(operator(), vocabulary::id::PassId::from_bytes([9; 16]));
    let resource = Resource::pass(operator(), vocabulary::id::PassId::from_bytes([9; 16]));
    let permit = authorize(&other, Action::HandlesDraw, resource).unwrap();
    let state = HandlesState {
        pass: &desk.pass,
        product: &desk.product,
        drawn: None,
        status_list: &desk.list,
        free_index: Some(1),
    };
    let refused = draw_handles(&permit, state, &request(1), at(NOW)).unwrap_err();
    assert_eq!(refused.code(), "wrong-permit");
    let refused = draw_handles(&staff(Action::PassIssue), state, &request(1), at(NOW));
    assert_eq!(refused.unwrap_err().code(), "wrong-permit");
    let full = HandlesState { free_index: None, ..state };
    let refused = draw_handles(&desk.permit(), full, &request(1), at(NOW));
    assert_eq!(refused, Err(HandlesRefusal::StatusIndexes));
}

#[test]
fn an_index_moves_with_its_pass_and_shows_in_its_list() {
    let desk = Desk::with(|_| {});
    let mut handles = vec![index(&desk.draw(None, &request(16)).unwrap())];
    let mut pass = desk.pass.clone();
    let city = City::with(ticket());
    let publish = |handles: &[HandleIndex]| {
        let permit = worker(Action::StatusPublish);
        let claims = publish_status_list(&permit, &city.issuer, &desk.list, handles, at(NOW));
        claims.unwrap().list.status(4_711).unwrap()
    };
    assert_eq!(publish(&handles), Status::Valid);
    for (deed, action, expected) in [
        (suspend_pass as Deed, Action::PassSuspend, Status::Suspended),
        (resume_pass, Action::PassResume, Status::Valid),
        (revoke_pass, Action::PassRevoke, Status::Invalid),
    ] {
        let carried = Carried { documents: &[], handles: &handles };
        let changes = deed(&staff(action), &pass, carried, at(NOW)).unwrap();
        let [Change::Pass(next), Change::HandleIndex(index)] = &changes[..] else {
            panic!("{changes:?}")
        };
        (pass, handles) = (next.clone(), vec![index.clone()]);
        assert_eq!(publish(&handles), expected);
    }
    assert_eq!(handles[0].with_standing(Standing::Valid), None, "what is invalid stays so");
    // The index of another pass is left alone.
    let other =
        HandleIndex { pass: vocabulary::id::PassId::from_bytes([9; 16]), ..handles[0].clone() };
    let carried = Carried { documents: &[], handles: &[other] };
    let changes = suspend_pass(&staff(Action::PassSuspend), &desk.pass, carried, at(NOW)).unwrap();
    assert_eq!(changes.len(), 1);
}

#[test]
fn epochs_are_days() {
    let midnight = i64::from(epoch_at(at(NOW))) * 86_400;
    assert_eq!(epoch_at(at(midnight)), epoch_at(at(midnight + DAY - 1)));
    assert_eq!(epoch_at(at(midnight - 1)) + 1, epoch_at(at(midnight)));
    assert_eq!(epoch_at(at(-1)), 0);
}
