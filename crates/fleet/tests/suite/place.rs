//! Places and grants: added within one's own operator alone.

use fleet::change::Change;
use fleet::place::{NewGrant, NewPlace, add_grant, add_place};
use policy::action::Action;
use policy::place::{PLACES_PER_OPERATOR_MAX, PlaceTree};

use crate::city::{NOW, permit, place, tree};

fn check_place(code: &str, expected: &str) {
    let request = NewPlace {
        code: code.parse().unwrap(),
        name: "A place".parse().unwrap(),
        zone: None,
        class: None,
    };
    let added = add_place(&permit(Action::PlaceAdd, "harbour"), &tree(), request, NOW);
    match added {
        Ok(Change::InsertPlace(place)) => {
            assert_eq!((place.operator.as_str(), expected), ("harbour", "added"))
        }
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => assert_eq!(refusal.code(), expected, "{code}"),
    }
}

#[test]
fn place_is_added_where_nobody_else_is() {
    check_place("hall", "added");
    check_place("hall/door/lock", "added");
    check_place("hall/door", "place-exists");
    check_place("yard/gate/lock", "place-foreign");
    check_place("yard", "place-foreign");
}

fn check_grant(place: &str, expected: &str) {
    let request = NewGrant {
        place: place.parse().unwrap(),
        product_operator: "airport".parse().unwrap(),
        product: "visit".parse().unwrap(),
        class: None,
    };
    let added = add_grant(&permit(Action::PlaceAdd, "harbour"), &tree(), request, NOW);
    match added {
        Ok(Change::InsertGrant(grant)) => {
            assert_eq!((grant.operator.as_str(), expected), ("harbour", "added"))
        }
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => assert_eq!(refusal.code(), expected, "{place}"),
    }
}

#[test]
fn grant_is_given_for_own_places_only() {
    check_grant("hall/door", "added");
    check_grant("yard/gate", "place-unknown");
    check_grant("nowhere", "place-unknown");
}

#[test]
fn permit_for_another_deed_adds_nothing() {
    let request = NewPlace {
        code: "hall".parse().unwrap(),
        name: "A place".parse().unwrap(),
        zone: None,
        class: None,
    };
    let refused = add_place(&permit(Action::PlaceList, "harbour"), &tree(), request, NOW);
    assert_eq!(refused.unwrap_err().code(), "wrong-permit");
}

#[test]
fn operator_has_so_many_places_and_not_one_more() {
    let add = |count: usize| {
        let own = (0..count).map(|n| place(&format!("own/{n}"), "harbour"));
        let tree = PlaceTree::new(own.chain([place("yard", "airport")])).unwrap();
        let request = NewPlace {
            code: "hall".parse().unwrap(),
            name: "A place".parse().unwrap(),
            zone: None,
            class: None,
        };
        add_place(&permit(Action::PlaceAdd, "harbour"), &tree, request, NOW).map(drop)
    };
    assert_eq!(add(PLACES_PER_OPERATOR_MAX - 1), Ok(()));
    assert_eq!(add(PLACES_PER_OPERATOR_MAX).unwrap_err().code(), "places-too-many");
}
