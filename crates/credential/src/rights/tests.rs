//! Rights in both formats, their limits, and when they recur.

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(text).unwrap()
}

fn sample() -> Rights {
    let weekdays: Recurrence = "FREQ=WEEKLY;BYDAY=MO,FR;UNTIL=20261231T235959Z".parse().unwrap();
    Rights {
        operator: "harbour-transit".parse().unwrap(),
        product: "month-ticket".parse().unwrap(),
        class: Some("first".parse().unwrap()),
        zones: vec!["A".parse().unwrap(), "B".parse().unwrap()],
        places: vec!["harbour/hall".parse().unwrap()],
        recurrence: Some(weekdays.within(Window::new(360, 1320).unwrap()).with_offset(60).unwrap()),
        valid_from: at("2026-11-01T00:00:00Z"),
        valid_until: at("2026-11-30T23:59:59Z"),
        uses_max: Some(10),
        holder_only: true,
    }
}

fn borrowed(elements: &[(&'static str, Vec<u8>)]) -> Vec<(&'static str, &'static [u8])> {
    elements.iter().map(|(name, value)| (*name, &*value.clone().leak())).collect()
}

#[test]
fn rights_return_from_both_formats() {
    let plain = Rights {
        class: None,
        zones: vec![],
        places: vec![],
        recurrence: None,
        uses_max: None,
        holder_only: false,
        ..sample()
    };
    for rights in [sample(), plain] {
        let elements = rights.to_elements().unwrap();
        assert_eq!(Rights::from_elements(borrowed(&elements)), Ok(rights.clone()));
        let claims = rights.to_claims().unwrap();
        assert_eq!(Rights::from_claims(&claims), Ok(rights));
    }
}

#[test]
fn claims_that_narrow_may_not_be_withheld() {
    let elements = sample().to_elements().unwrap();
    let claims = sample().to_claims().unwrap();
    for (name, _) in &elements {
        let kept: Vec<_> =
            borrowed(&elements).into_iter().filter(|(other, _)| other != name).collect();
        let mut fewer = claims.clone();
        fewer.remove(*name);
        let expected = match *name {
            "class" | "zones" | "places" => None,
            "operator" => Some(RightsError::Missing { claim: "operator" }),
            "product" => Some(RightsError::Missing { claim: "product" }),
            "critical" => Some(RightsError::Missing { claim: "critical" }),
            name => Some(RightsError::WithheldCritical { claim: name.into() }),
        };
        assert_eq!(Rights::from_elements(kept).err(), expected, "{name}");
        assert_eq!(Rights::from_claims(&fewer).err(), expected, "{name}");
    }
}

#[test]
fn unknown_claim_is_passed_over_unless_it_is_critical() {
    let mut claims = sample().to_claims().unwrap();
    claims.insert("colour".into(), "blue".into());
    assert!(Rights::from_claims(&claims).is_ok());
    claims["critical"].as_array_mut().unwrap().push("colour".into());
    let expected = Err(RightsError::UnknownCritical { claim: "colour".into() });
    assert_eq!(Rights::from_claims(&claims), expected);
}

#[test]
fn limits_hold_at_the_limit_and_one_past() {
    let zones = |count| Rights { zones: vec!["A".parse().unwrap(); count], ..sample() };
    let places = |count| Rights { places: vec!["a/b".parse().unwrap(); count], ..sample() };
    for (rights, valid) in [
        (zones(ZONES_MAX), true),
        (zones(ZONES_MAX + 1), false),
        (places(PLACES_MAX), true),
        (places(PLACES_MAX + 1), false),
        (Rights { uses_max: Some(1), ..sample() }, true),
        (Rights { uses_max: Some(0), ..sample() }, false),
        (Rights { valid_until: sample().valid_from, ..sample() }, true),
        (Rights { valid_until: at("2026-10-31T23:59:59Z"), ..sample() }, false),
    ] {
        assert_eq!(rights.to_elements().is_ok(), valid, "{rights:?}");
        assert_eq!(rights.to_claims().is_ok(), valid);
    }
    for (count, valid) in [(ZONES_MAX, true), (ZONES_MAX + 1, false)] {
        let mut claims = sample().to_claims().unwrap();
        claims.insert("zones".into(), vec!["A"; count].into());
        assert_eq!(Rights::from_claims(&claims).is_ok(), valid);
    }
    for (count, valid) in [(CRITICAL_MAX, true), (CRITICAL_MAX + 1, false)] {
        let mut claims = sample().to_claims().unwrap();
        claims.insert("critical".into(), vec!["operator"; count].into());
        assert_eq!(Rights::from_claims(&claims).is_ok(), valid);
    }
}

#[test]
fn claims_of_wrong_type_or_range_are_refused() {
    for (claim, value) in [
        ("operator", json!("Not A Code")),
        ("product", json!(7)),
        ("class", json!([])),
        ("zones", json!("A")),
        ("zones", json!([1])),
        ("places", json!(["a//b"])),
        ("valid_from", json!("2026-13-01T00:00:00Z")),
        ("valid_until", json!(0)),
        ("uses_max", json!(4_294_967_296_u64)),
        ("uses_max", json!(-1)),
        ("holder_only", json!("yes")),
        ("recurrence", json!({"rule": "FREQ=DAILY", "from": 0, "to": 1440})),
        ("recurrence", json!({"rule": "FREQ=DAILY", "from": 0, "to": 1441, "offset": 0})),
        ("recurrence", json!({"rule": "FREQ=DAILY", "from": 0, "to": 60, "offset": 841})),
        ("recurrence", json!({"rule": "FREQ=DAILY", "from": 0, "to": 60, "offset": 0, "x": 1})),
    ] {
        let mut claims = sample().to_claims().unwrap();
        claims.insert(claim.into(), value.clone());
        let found = Rights::from_claims(&claims);
        assert!(matches!(found, Err(RightsError::Malformed { .. })), "{claim} {value} {found:?}");
    }
}

fn check_rule(rule: &str, expected: Result<(), ParseRuleError>) {
    let parsed = rule.parse::<Recurrence>();
    assert_eq!(parsed.map(|_| ()), expected, "{rule}");
    if let Ok(parsed) = parsed {
        assert_eq!(parsed.rule(), rule);
    }
}

#[test]
fn rules_of_the_subset_are_read_and_others_refused() {
    check_rule("FREQ=DAILY", Ok(()));
    check_rule("FREQ=DAILY;BYDAY=SA,SU", Ok(()));
    check_rule("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", Ok(()));
    check_rule("FREQ=DAILY;UNTIL=20261231T235959Z", Ok(()));
    check_rule("FREQ=WEEKLY", Err(ParseRuleError::Days));
    check_rule("BYDAY=MO", Err(ParseRuleError::Frequency));
    check_rule("FREQ=MONTHLY", Err(ParseRuleError::Frequency));
    check_rule("FREQ=DAILY;INTERVAL=2", Err(ParseRuleError::Part));
    check_rule("FREQ=DAILY;COUNT=3", Err(ParseRuleError::Part));
    check_rule("FREQ=DAILY;FREQ=DAILY", Err(ParseRuleError::Part));
    check_rule("FREQ=DAILY;", Err(ParseRuleError::Part));
    check_rule("", Err(ParseRuleError::Part));
    check_rule("FREQ=WEEKLY;BYDAY=1MO", Err(ParseRuleError::Days));
    check_rule("FREQ=WEEKLY;BYDAY=MO,MO", Err(ParseRuleError::Days));
    check_rule("FREQ=DAILY;UNTIL=20261231", Err(ParseRuleError::Until));
    check_rule("FREQ=DAILY;UNTIL=20261231T235959", Err(ParseRuleError::Until));
    check_rule("FREQ=DAILY;UNTIL=20261331T235959Z", Err(ParseRuleError::Until));
    let long = format!("FREQ=DAILY;X={}", "a".repeat(RULE_BYTES_MAX - 13));
    assert_eq!(long.len(), RULE_BYTES_MAX);
    check_rule(&long, Err(ParseRuleError::Part));
    check_rule(&(long + "a"), Err(ParseRuleError::Length));
}

#[test]
fn offset_holds_at_the_limit_and_one_past() {
    let rule: Recurrence = "FREQ=DAILY".parse().unwrap();
    for sign in [-1, 1] {
        assert!(rule.with_offset(sign * OFFSET_MINUTES_MAX).is_ok());
        let past = rule.with_offset(sign * (OFFSET_MINUTES_MAX + 1));
        assert_eq!(past, Err(ParseRuleError::Offset));
    }
}

#[test]
fn right_recurs_on_its_days_in_its_window_in_local_time() {
    let check = |rule: &str, window: (u16, u16), offset: i16, cases: &[(&str, bool)]| {
        let rule: Recurrence = rule.parse().unwrap();
        let rule = rule.within(Window::new(window.0, window.1).unwrap());
        let rule = rule.with_offset(offset).unwrap();
        for (instant, expected) in cases {
            assert_eq!(rule.allows(at(instant)), *expected, "{rule} {window:?} {instant}");
        }
    };
    // 2026-11-22 is a Sunday.
    check(
        "FREQ=WEEKLY;BYDAY=MO",
        (480, 1080),
        0,
        &[
            ("2026-11-23T07:59:59Z", false),
            ("2026-11-23T08:00:00Z", true),
            ("2026-11-23T17:59:59Z", true),
            ("2026-11-23T18:00:00Z", false),
            ("2026-11-22T12:00:00Z", false),
        ],
    );
    // Local time is two hours ahead: Monday begins on Sunday at 22:00 UTC.
    check(
        "FREQ=WEEKLY;BYDAY=MO",
        (0, 1440),
        120,
        &[("2026-11-22T21:59:59Z", false), ("2026-11-22T22:00:00Z", true)],
    );
    // A night belongs to the evening on which it begins.
    check(
        "FREQ=WEEKLY;BYDAY=SU",
        (1320, 360),
        0,
        &[
            ("2026-11-22T05:00:00Z", false),
            ("2026-11-22T22:00:00Z", true),
            ("2026-11-23T05:59:59Z", true),
            ("2026-11-23T06:00:00Z", false),
            ("2026-11-23T22:00:00Z", false),
        ],
    );
    check(
        "FREQ=DAILY;UNTIL=20261123T120000Z",
        (0, 1440),
        0,
        &[("2026-11-23T12:00:00Z", true), ("2026-11-23T12:00:01Z", false)],
    );
}

#[test]
fn rights_hold_inside_their_validity_only() {
    let rights = Rights { recurrence: None, ..sample() };
    assert!(!rights.hold_at(at("2026-10-31T23:59:59Z")));
    assert!(rights.hold_at(at("2026-11-01T00:00:00Z")));
    assert!(rights.hold_at(at("2026-11-30T23:59:59Z")));
    assert!(!rights.hold_at(at("2026-12-01T00:00:00Z")));
    assert!(rights.cover_zone(&"A".parse().unwrap()) && !rights.cover_zone(&"C".parse().unwrap()));
    assert!(rights.cover_place(&"harbour/hall/2".parse().unwrap()));
    assert!(!rights.cover_place(&"harbour".parse().unwrap()));
}

fn badge(rule: &str, window: Option<(u16, u16)>, offset: i16) -> Rights {
    let rule: Recurrence = rule.parse().unwrap();
    let window = window.map_or(Window::WHOLE_DAY, |(from, to)| Window::new(from, to).unwrap());
    let recurrence = Some(rule.within(window).with_offset(offset).unwrap());
    Rights { recurrence, ..sample() }
}

/// Monday, 7 December 2026, in UTC.
const DAY: (i64, i64) = (1_796_601_600, 1_796_687_999);

#[test]
fn a_recurrence_is_one_interval_of_a_day_or_none_is_told() {
    assert_eq!(at("2026-12-07T00:00:00Z").unix_seconds(), DAY.0);
    let whole = Some(DAY);
    for (rule, window, offset, expected) in [
        ("FREQ=DAILY", None, 0, whole),
        ("FREQ=WEEKLY;BYDAY=MO", None, 0, whole),
        ("FREQ=WEEKLY;BYDAY=TU", None, 0, None),
        ("FREQ=WEEKLY;BYDAY=MO", Some((480, 1_080)), 0, Some((DAY.0 + 28_800, DAY.0 + 64_799))),
        // An hour east, the local day begins on Sunday evening: Monday ends an hour early.
        ("FREQ=WEEKLY;BYDAY=MO", None, 60, Some((DAY.0, DAY.1 - 3_600))),
        ("FREQ=WEEKLY;BYDAY=MO,TU", None, 60, whole),
        // Over midnight: the end of Sunday's night and the begin of Monday's are two.
        ("FREQ=DAILY", Some((1_320, 360)), 0, None),
        ("FREQ=WEEKLY;BYDAY=SU", Some((1_320, 360)), 0, Some((DAY.0, DAY.0 + 21_599))),
        ("FREQ=WEEKLY;BYDAY=MO", Some((1_320, 360)), 0, Some((DAY.0 + 79_200, DAY.1))),
        ("FREQ=DAILY;UNTIL=20261207T060000Z", None, 0, Some((DAY.0, DAY.0 + 21_600))),
        ("FREQ=DAILY;UNTIL=20261206T060000Z", None, 0, None),
    ] {
        let rights = badge(rule, window, offset);
        let recurrence = rights.recurrence.unwrap();
        assert_eq!(recurrence.only_interval(DAY.0, DAY.1), expected, "{rule} {window:?} {offset}");
    }
    let extreme = badge("FREQ=DAILY", None, 840).recurrence.unwrap();
    for (first, last) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MAX), (i64::MIN, i64::MIN), (1, 0)]
    {
        assert_eq!(extreme.only_interval(first, last), None);
    }
}

/// The runs of minutes of the day in which `rights` hold.
fn runs(rights: &Rights) -> Vec<(i64, i64)> {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for minute in 0..1_440 {
        let begin = DAY.0 + minute * 60;
        if !rights.hold_at(Instant::from_unix_seconds(begin)) {
            continue;
        }
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == begin => *end = begin + 59,
            _ => runs.push((begin, begin + 59)),
        }
    }
    runs
}

proptest! {
    #[test]
    fn arbitrary_input_never_panics(
        name in prop::sample::select(&CLAIMS[..]), bytes: Vec<u8>, text: String, seconds: i64
    ) {
        let _ = Rights::from_elements([(name, &bytes[..])]);
        let mut claims = sample().to_claims().unwrap();
        claims.insert(name.into(), Value::String(text.clone()));
        let _ = Rights::from_claims(&claims);
        if let Ok(rule) = text.parse::<Recurrence>() {
            let _ = rule.allows(Instant::from_unix_seconds(seconds));
        }
        let _ = sample().hold_at(Instant::from_unix_seconds(seconds));
    }

    #[test]
    fn the_only_interval_of_a_day_is_what_holds_at_each_of_its_minutes(
        days in 1_u8..128, daily: bool, from in 0_u16..1_440, to in 1_u16..=1_440, offset in -840_i16..=840,
        begins in -2_000_i64..2_000, lasts in 0_i64..4_000,
    ) {
        prop_assume!(from != to);
        let names = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"].into_iter().enumerate();
        let named: Vec<&str> =
            names.filter(|(bit, _)| days & (1 << bit) != 0).map(|(_, name)| name).collect();
        let frequency = if daily { "DAILY" } else { "WEEKLY" };
        let rule = format!("FREQ={frequency};BYDAY={}", named.join(","));
        let rights = badge(&rule, Some((from, to)), offset);
        let first = DAY.0 + begins * 60;
        let rights = Rights {
            valid_from: Instant::from_unix_seconds(first),
            valid_until: Instant::from_unix_seconds(first + lasts * 60 + 59),
            ..rights
        };
        let expected = match runs(&rights)[..] {
            [only] => Some(only),
            _ => None,
        };
        prop_assert_eq!(rights.only_interval(DAY.0, DAY.1), expected);
    }
}
