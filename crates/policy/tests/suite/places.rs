//! The tree of places: what is inherited, and who may put what where.

use policy::actor::CITY;
use policy::place::{Place, PlaceError, PlaceTree};
use proptest::prelude::*;
use reader::table::ZoneClass;
use vocabulary::time::Instant;

pub(crate) fn place(code: &str, operator: &str) -> Place {
    Place {
        code: code.parse().unwrap(),
        operator: operator.parse().unwrap(),
        name: code.parse().unwrap(),
        zone: None,
        class: None,
        added_at: Instant::UNIX_EPOCH,
        version: 1,
    }
}

fn with_zone(code: &str, operator: &str, zone: &str, class: ZoneClass) -> Place {
    Place { zone: Some(zone.parse().unwrap()), class: Some(class), ..place(code, operator) }
}

#[test]
fn place_takes_zone_and_class_from_the_nearest_around_it() {
    let tree = PlaceTree::new([
        with_zone("harbour", CITY, "A", ZoneClass::Low),
        place("harbour/hall", "landlord"),
        with_zone("harbour/hall/2", "landlord", "B", ZoneClass::High),
        place("harbour/hall/2/door", "landlord"),
        place("park/gate", "landlord"),
    ])
    .unwrap();
    for (code, zone, class) in [
        ("harbour/hall", Some("A"), ZoneClass::Low),
        ("harbour/hall/2/door", Some("B"), ZoneClass::High),
        ("harbour/hall/2/nowhere", Some("B"), ZoneClass::High),
        ("harbour/hallway", Some("A"), ZoneClass::Low),
        ("park/gate", None, ZoneClass::Normal),
    ] {
        let code = code.parse().unwrap();
        assert_eq!(tree.zone(&code).map(|zone| zone.as_str()), zone, "{code}");
        assert_eq!(tree.class(&code), class, "{code}");
    }
}

fn check(existing: &[(&str, &str)], added: (&str, &str), expected: Result<(), PlaceError>) {
    let existing = || existing.iter().map(|(code, operator)| place(code, operator));
    let added = place(added.0, added.1);
    let tree = PlaceTree::new(existing()).unwrap();
    assert_eq!(tree.accepts(&added), expected, "{added:?}");
    let built = PlaceTree::new(existing().chain([added]));
    assert_eq!(built.is_ok(), expected.is_ok());
}

#[test]
fn nobody_puts_a_place_inside_or_around_another_operators() {
    let foreign = |code: &str| Err(PlaceError::Foreign(code.parse().unwrap()));
    check(&[("a", "one")], ("a/b", "one"), Ok(()));
    check(&[("a", "one")], ("a/b", "two"), foreign("a/b"));
    check(&[("a", "one")], ("ab", "two"), Ok(()));
    check(&[("a/b/c", "one")], ("a", "two"), foreign("a"));
    check(&[("a-b", "two"), ("a/b", "one")], ("a", "one"), Ok(()));
    check(&[("a-b", "two"), ("a/b", "one")], ("a", "two"), foreign("a"));
    check(&[("a", CITY)], ("a/b", "two"), Ok(()));
    check(&[("a/b", "two")], ("a", CITY), Ok(()));
    check(&[("a", "two")], ("a/b", CITY), foreign("a/b"));
    let taken = Err(PlaceError::Taken("a".parse().unwrap()));
    check(&[("a", "one")], ("a", "one"), taken);
}

proptest! {
    #[test]
    fn accepting_one_more_is_building_with_one_more(
        existing in prop::collection::vec(("[ab](/[ab-]){0,2}", "one|two|city"), 0..5),
        added in ("[ab](/[ab]){0,2}", "one|two|city"),
    ) {
        let existing: Vec<Place> = existing
            .iter()
            .filter(|(code, _)| code.parse::<vocabulary::code::PlaceCode>().is_ok())
            .map(|(code, operator)| place(code, operator))
            .collect();
        let Ok(tree) = PlaceTree::new(existing.clone()) else { return Ok(()) };
        let added = place(&added.0, &added.1);
        let built = PlaceTree::new(existing.into_iter().chain([added.clone()]));
        prop_assert_eq!(tree.accepts(&added).is_ok(), built.is_ok());
    }
}

#[test]
fn damaged_tree_keeps_the_older_places_and_tells_what_is_left_out() {
    let at =
        |place: Place, seconds| Place { added_at: Instant::from_unix_seconds(seconds), ..place };
    let (outer, inner) = (at(place("a", "one"), 2), at(place("a/b", "two"), 1));
    let apart = at(place("c", "one"), 3);
    let (tree, left_out) = PlaceTree::mended(vec![outer.clone(), inner.clone(), apart.clone()]);
    assert_eq!(tree.iter().collect::<Vec<_>>(), [&inner, &apart]);
    assert_eq!(left_out, [PlaceError::Foreign(outer.code.clone())]);
    let sound = vec![outer.clone(), apart.clone()];
    assert_eq!(PlaceTree::mended(sound.clone()), (PlaceTree::new(sound).unwrap(), vec![]));
}
