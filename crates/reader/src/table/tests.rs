//! Tests of the access table: its answers, its limits, its encoded form.

use super::*;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use credential::cbor::Decoder;
use proptest::prelude::*;

fn rule(product: &str, class: Option<&str>, need: Need) -> Rule {
    Rule {
        operator: "harbour".parse().unwrap(),
        product: product.parse().unwrap(),
        class: class.map(|class| class.parse().unwrap()),
        need,
    }
}

fn gate(rules: Vec<Rule>) -> Door {
    let zone = Some("B".parse().unwrap());
    Door::new("harbour/gate-1".parse().unwrap(), zone, ZoneClass::Normal, rules).unwrap()
}

fn check(rules: &[Rule], zones: &[&str], places: &[&str], expected: Result<(), Closed>) {
    let table = AccessTable::new(vec![gate(rules.to_vec())]).unwrap();
    let zones: Vec<ZoneCode> = zones.iter().map(|zone| zone.parse().unwrap()).collect();
    let places: Vec<PlaceCode> = places.iter().map(|place| place.parse().unwrap()).collect();
    let claim = Claim {
        operator: &"harbour".parse().unwrap(),
        product: &"ticket".parse().unwrap(),
        class: Some(&"first".parse().unwrap()),
        zones: &zones,
        places: &places,
    };
    let judged = table.judge(&"harbour/gate-1".parse().unwrap(), &claim);
    assert_eq!(judged.map(|_| ()), expected, "{rules:?}");
    let elsewhere = table.judge(&"harbour/gate-2".parse().unwrap(), &claim);
    assert_eq!(elsewhere, Err(Closed::Door));
}

#[test]
fn door_opens_when_rule_and_pass_agree() {
    let zone = rule("ticket", None, Need::Zone);
    check(core::slice::from_ref(&zone), &["A", "B"], &[], Ok(()));
    check(core::slice::from_ref(&zone), &["A", "C"], &[], Err(Closed::Zone));
    check(&[rule("ticket", None, Need::Place)], &[], &["harbour"], Ok(()));
    check(&[rule("ticket", None, Need::Place)], &[], &["harbour/gate"], Err(Closed::Place));
    check(&[rule("ticket", Some("first"), Need::Nothing)], &[], &[], Ok(()));
    check(&[rule("ticket", Some("second"), Need::Nothing)], &[], &[], Err(Closed::Class));
    check(&[rule("badge", None, Need::Nothing)], &[], &[], Err(Closed::Product));
    check(&[], &["B"], &["harbour"], Err(Closed::Product));
    let second = rule("ticket", Some("second"), Need::Nothing);
    check(&[second.clone(), zone.clone()], &["B"], &[], Ok(()));
    check(&[second, zone], &["C"], &[], Err(Closed::Zone));
}

#[test]
fn rules_and_doors_hold_to_their_limits() {
    let rules = |count: usize| (0..count).map(|n| rule(&format!("p{n}"), None, Need::Nothing));
    let door =
        |count| Door::new("a".parse().unwrap(), None, ZoneClass::Low, rules(count).collect());
    assert!(door(RULES_MAX).is_ok());
    assert_eq!(door(RULES_MAX + 1), Err(TableError::Rules));
    let doors = |count: usize| {
        let door = |n| {
            let place = format!("d{n}").parse().unwrap();
            Door::new(place, None, ZoneClass::Low, Vec::new()).unwrap()
        };
        AccessTable::new((0..count).map(door).collect())
    };
    assert_eq!(doors(0), Err(TableError::Doors));
    assert!(doors(DOORS_MAX).is_ok());
    assert_eq!(doors(DOORS_MAX + 1), Err(TableError::Doors));
}

#[test]
fn table_over_its_size_is_refused() {
    let rules = |n: usize| {
        let name = |n: usize| format!("{n:0>32}");
        (0..n).map(|n| rule(&name(n), None, Need::Nothing)).collect::<Vec<_>>()
    };
    let table = |per_door: usize| {
        let door = |n| {
            let place = format!("d{n}").parse().unwrap();
            Door::new(place, None, ZoneClass::Low, rules(per_door)).unwrap()
        };
        AccessTable::new((0..2).map(door).collect()).map(|_| ())
    };
    assert_eq!(table(700), Ok(()));
    assert_eq!(table(RULES_MAX), Err(TableError::Size));
}

#[test]
fn zone_rule_at_a_door_without_zone_is_refused() {
    let door = Door::new(
        "a".parse().unwrap(),
        None,
        ZoneClass::Low,
        vec![rule("ticket", None, Need::Zone)],
    );
    assert_eq!(door, Err(TableError::Zone));
}

#[test]
fn repeated_door_is_refused() {
    assert_eq!(AccessTable::new(vec![gate(vec![]), gate(vec![])]), Err(TableError::Order));
}

fn code_text() -> impl Strategy<Value = String> {
    "[a-d][a-d0-9-]{0,3}"
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let class = proptest::option::of(code_text());
    let need = proptest::sample::select(&Need::ALL[..]);
    (code_text(), code_text(), class, need).prop_map(|(operator, product, class, need)| Rule {
        operator: operator.parse().unwrap(),
        product: product.parse().unwrap(),
        class: class.map(|class| class.parse().unwrap()),
        need,
    })
}

fn any_table() -> impl Strategy<Value = AccessTable> {
    let class = proptest::sample::select(&ZoneClass::ALL[..]);
    let door = (code_text(), class, proptest::collection::vec(any_rule(), 0..6));
    proptest::collection::vec(door, 1..4).prop_filter_map("doors differ", |doors| {
        let zone: ZoneCode = "B".parse().unwrap();
        let doors = doors.into_iter().map(|(place, class, rules)| {
            Door::new(place.parse().unwrap(), Some(zone.clone()), class, rules).unwrap()
        });
        AccessTable::new(doors.collect()).ok()
    })
}

proptest! {
    #[test]
    fn written_table_reads_as_itself(table in any_table()) {
        let mut encoder = Encoder::new();
        table.write(&mut encoder);
        let bytes = encoder.into_bytes();
        let mut decoder = Decoder::new(&bytes).unwrap();
        prop_assert_eq!(AccessTable::read(&mut decoder), Ok(table));
        prop_assert!(decoder.finish().is_ok());
    }

    #[test]
    fn altered_table_never_panics(table in any_table(), at: prop::sample::Index, value: u8) {
        let mut encoder = Encoder::new();
        table.write(&mut encoder);
        let mut bytes = encoder.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(mut decoder) = Decoder::new(&bytes)
            && let Ok(read) = AccessTable::read(&mut decoder)
        {
            prop_assert_eq!(read.check(), Ok(()));
        }
    }
}
