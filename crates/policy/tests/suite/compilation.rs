//! The compiled table says the same as a plain reading of places, products and grants.

use policy::compile::{CompileError, Largest, Product, compile};
use policy::place::{Grant, Place, PlaceTree};
use proptest::prelude::*;
use proptest::sample::select;
use reader::table::{Claim, DOORS_MAX, Need, RULES_MAX, TableError};
use vocabulary::code::{ClassCode, OperatorCode, PlaceCode, ProductCode, ZoneCode};
use vocabulary::time::Instant;

use crate::places::place;

const OPERATORS: [&str; 2] = ["transit", "landlord"];
const PRODUCTS: [&str; 3] = ["ticket", "badge", "visit"];
const CLASSES: [&str; 2] = ["first", "second"];
const ZONES: [&str; 3] = ["A", "B", "C"];
const PLACES: [&str; 8] =
    ["hall", "hall/1", "hall/1/door", "hall/2", "hallway", "yard", "yard/gate", "yard/gate/left"];

/// A pass, as the naive reading sees it.
#[derive(Clone, Debug)]
struct Pass {
    operator: OperatorCode,
    product: ProductCode,
    class: Option<ClassCode>,
    zones: Vec<ZoneCode>,
    places: Vec<PlaceCode>,
}

#[derive(Clone, Debug)]
struct City {
    places: Vec<Place>,
    products: Vec<Product>,
    grants: Vec<Grant>,
}

/// The rules of the city, read aloud: no table, no order, no sharing of code with the compiler.
fn opens(city: &City, door: &Place, pass: &Pass) -> bool {
    let segments =
        |place: &PlaceCode| place.as_str().split('/').map(str::to_owned).collect::<Vec<_>>();
    let lies_in =
        |inner: &PlaceCode, outer: &PlaceCode| segments(inner).starts_with(&segments(outer));
    let around = city.places.iter().filter(|place| lies_in(&door.code, &place.code));
    let zoned = around.filter(|place| place.zone.is_some());
    let zone = zoned.max_by_key(|place| segments(&place.code).len()).and_then(|p| p.zone.clone());
    let has_class = |asked: &Option<ClassCode>| asked.is_none() || *asked == pass.class;
    let by_grant = city.grants.iter().any(|grant| {
        grant.operator == door.operator
            && lies_in(&door.code, &grant.place)
            && grant.product_operator == pass.operator
            && grant.product == pass.product
            && has_class(&grant.class)
    });
    let by_product = city.products.iter().any(|product| {
        product.operator == door.operator
            && product.operator == pass.operator
            && product.code == pass.product
            && (zone.as_ref().is_some_and(|zone| pass.zones.contains(zone))
                || pass.places.iter().any(|place| lies_in(&door.code, place)))
    });
    by_grant || by_product
}

fn code<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug>(
    texts: &'static [&'static str],
) -> impl Strategy<Value = T> {
    select(texts).prop_map(|text| text.parse().unwrap())
}

fn several<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug>(
    texts: &'static [&'static str],
) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(code(texts), 0..3)
}

fn any_class() -> impl Strategy<Value = Option<ClassCode>> {
    prop::option::of(code(&CLASSES))
}

fn any_product() -> impl Strategy<Value = Product> {
    (code(&OPERATORS), code(&PRODUCTS)).prop_map(|(operator, code)| Product { operator, code })
}

fn any_pass() -> impl Strategy<Value = Pass> {
    let parts = (code(&OPERATORS), code(&PRODUCTS), any_class(), several(&ZONES), several(&PLACES));
    parts.prop_map(|(operator, product, class, zones, places)| Pass {
        operator,
        product,
        class,
        zones,
        places,
    })
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let parts = (code(&OPERATORS), code(&PLACES), code(&OPERATORS), code(&PRODUCTS), any_class());
    parts.prop_map(|(operator, place, product_operator, product, class)| Grant {
        operator,
        place,
        product_operator,
        product,
        class,
        granted_at: Instant::UNIX_EPOCH,
    })
}

fn any_places() -> impl Strategy<Value = Vec<Place>> {
    let zones = prop::collection::vec(prop::option::of(code(&ZONES)), PLACES.len());
    zones.prop_map(|zones| {
        let places = PLACES.iter().zip(zones).map(|(code, zone)| {
            let operator = if code.starts_with("yard") { "transit" } else { "landlord" };
            Place { zone, ..place(code, operator) }
        });
        places.collect()
    })
}

fn any_city() -> impl Strategy<Value = City> {
    let products = prop::collection::vec(any_product(), 0..6);
    let grants = prop::collection::vec(any_grant(), 0..4);
    (any_places(), products, grants).prop_map(|(places, products, grants)| City {
        places,
        products,
        grants,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn table_agrees_with_the_naive_reading(
        city in any_city(),
        passes in prop::collection::vec(any_pass(), 32),
    ) {
        let tree = PlaceTree::new(city.places.clone()).unwrap();
        for door in &city.places {
            let doors = [door.code.clone()];
            let table = compile(&tree, &city.products, &city.grants, &doors).unwrap();
            for pass in &passes {
                let claim = Claim {
                    operator: &pass.operator,
                    product: &pass.product,
                    class: pass.class.as_ref(),
                    zones: &pass.zones,
                    places: &pass.places,
                };
                let judged = table.judge(&door.code, &claim);
                prop_assert_eq!(judged.is_ok(), opens(&city, door, pass), "{:?} {:?}", door, pass);
            }
        }
    }

    #[test]
    fn table_of_many_doors_answers_as_one_of_each(city in any_city(), pass in any_pass()) {
        let tree = PlaceTree::new(city.places.clone()).unwrap();
        let doors: Vec<PlaceCode> = city.places.iter().map(|place| place.code.clone()).collect();
        let all = compile(&tree, &city.products, &city.grants, &doors).unwrap();
        prop_assert_eq!(all.doors().len(), doors.len());
        for door in &city.places {
            let claim = Claim {
                operator: &pass.operator,
                product: &pass.product,
                class: pass.class.as_ref(),
                zones: &pass.zones,
                places: &pass.places,
            };
            prop_assert_eq!(all.judge(&door.code, &claim).is_ok(), opens(&city, door, &pass));
        }
    }
}

/// The generators must reach both answers often enough for the comparison to mean something.
#[test]
fn random_cities_say_yes_and_no() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut yes, mut all) = (0, 0);
    for _ in 0..400 {
        let (city, pass) = (any_city(), any_pass()).new_tree(&mut runner).unwrap().current();
        all += 8;
        yes += city.places.iter().filter(|door| opens(&city, door, &pass)).count();
    }
    assert!(yes * 50 > all && yes * 2 < all, "{yes} of {all}");
}

fn product(operator: &str, code: &str) -> Product {
    Product { operator: operator.parse().unwrap(), code: code.parse().unwrap() }
}

fn grant(operator: &str, place: &str, product: &str) -> Grant {
    Grant {
        operator: operator.parse().unwrap(),
        place: place.parse().unwrap(),
        product_operator: "transit".parse().unwrap(),
        product: product.parse().unwrap(),
        class: None,
        granted_at: Instant::UNIX_EPOCH,
    }
}

#[test]
fn table_holds_nothing_of_other_doors() {
    let zoned =
        |code: &str, of: &str| Place { zone: Some("B".parse().unwrap()), ..place(code, of) };
    let tree = PlaceTree::new([zoned("gate", "transit"), place("door", "landlord")]).unwrap();
    let products = [product("transit", "ticket"), product("landlord", "key")];
    let grants = [grant("landlord", "door", "visit")];
    let seen = |code: &str| {
        let table = compile(&tree, &products, &grants, &[code.parse().unwrap()]).unwrap();
        let [door] = table.doors() else { panic!("{table:?}") };
        let rules = door.rules().iter().map(|rule| (rule.product.to_string(), rule.need));
        rules.collect::<Vec<_>>()
    };
    let named = |code: &str, need| (code.to_owned(), need);
    assert_eq!(seen("gate"), [named("ticket", Need::Zone), named("ticket", Need::Place)]);
    assert_eq!(seen("door"), [named("key", Need::Place), named("visit", Need::Nothing)]);
}

#[test]
fn grant_of_another_operator_opens_nothing() {
    let tree = PlaceTree::new([place("door", "landlord")]).unwrap();
    let rules = |granted_by: &str| {
        let grants = [grant(granted_by, "door", "visit")];
        compile(&tree, &[], &grants, &["door".parse().unwrap()]).unwrap().doors()[0].rules().len()
    };
    assert_eq!(rules("transit"), 0);
    // The control: the operator of the door may give it.
    assert_eq!(rules("landlord"), 1);
}

#[test]
fn door_that_is_no_place_is_named() {
    let door: PlaceCode = "gate-z".parse().unwrap();
    let compiled = compile(&PlaceTree::default(), &[], &[], std::slice::from_ref(&door));
    assert_eq!(compiled, Err(CompileError::Door(door)));
}

#[test]
fn table_over_a_limit_names_the_door_that_costs_most() {
    let doors: Vec<PlaceCode> =
        (0..=DOORS_MAX).map(|n| format!("door-{n}").parse().unwrap()).collect();
    let tree = PlaceTree::new(doors.iter().map(|door| place(door.as_str(), "transit"))).unwrap();
    let grants: Vec<Grant> =
        (0..=RULES_MAX).map(|n| grant("transit", "door-1", &format!("p-{n}"))).collect();
    let check = |grants: &[Grant], doors: &[PlaceCode], expected: Option<TableError>| {
        let compiled = compile(&tree, &[], grants, doors);
        let largest = Largest {
            door: "door-1".parse().unwrap(),
            rules: grants.len(),
            operator: "transit".parse().unwrap(),
            products: 0,
            grants: grants.len(),
        };
        let largest = Some(Box::new(largest));
        let expected = expected.map(|error| CompileError::Table { error, largest });
        assert_eq!(compiled.err(), expected);
    };
    check(&grants[..RULES_MAX], &doors[..2], None);
    check(&grants, &doors[..2], Some(TableError::Rules));
    check(&grants[..1], &doors[..DOORS_MAX], None);
    check(&grants[..1], &doors, Some(TableError::Doors));
}

#[test]
fn operator_with_too_many_products_is_told_how_many() {
    let zoned = Place { zone: Some("A".parse().unwrap()), ..place("door-1", "transit") };
    let tree = PlaceTree::new([zoned]).unwrap();
    let product = |operator: &str, n: usize| Product {
        operator: operator.parse().unwrap(),
        code: format!("p-{n}").parse().unwrap(),
    };
    // Another operator's products make no rules here.
    let mut products: Vec<Product> = (0..RULES_MAX).map(|n| product("landlord", n)).collect();
    products.extend((0..=RULES_MAX / 2).map(|n| product("transit", n)));
    let doors = ["door-1".parse().unwrap()];
    let refused = compile(&tree, &products, &[], &doors).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "compiling an access table: door of an access table has more than 1024 rules; door \
         `door-1` has the most rules, 1026, from 513 products of operator `transit` and 0 grants"
    );
    products.pop();
    assert!(compile(&tree, &products, &[], &doors).is_ok(), "at the limit");
}
