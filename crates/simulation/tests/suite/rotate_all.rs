//! The scenario `rotate-all` with few readers: nobody is denied wrongly, every old key dies, and the
//! same seed gives the same report; without leads people stand before closed doors.

use credential::crypto::{Crypto, PublicKey};
use simulation::crypto::{Marks, Remembering, mark};
use simulation::report::Report;
use simulation::run::{Sabotage, run};
use simulation::scenario::{SCENARIOS, Scenario, ScenarioError};

/// A run of so many days, with few wallets and auditors: a debug build signs slowly.
fn report(readers: u32, days: u32, seed: u64, sabotage: Sabotage) -> Report {
    let named = Scenario::named("rotate-all").unwrap();
    let days = days.min(named.days);
    let scenario = Scenario { readers, days, wallets: 100, auditors: 10, ..named };
    run(&scenario, seed, sabotage, &|_| {}).unwrap()
}

/// Until the last old key is dead.
const ALL: u32 = u32::MAX;

#[test]
fn every_level_is_rotated_without_a_wrong_denial() {
    let report = report(100, ALL, 1, Sabotage::Nothing);
    assert_eq!(report.wrong_denials, 0, "{report:#?}");
    assert_eq!(report.levels.len(), 8);
    for level in &report.levels {
        assert!(level.dead_after_hours.is_some(), "`{}` never dies", level.level);
        assert!(level.first_use.is_some(), "`{}` is never used", level.level);
        assert_eq!(level.believed_share_by_day.last(), Some(&0.0), "{}", level.level);
    }
    assert!((0.25..0.35).contains(&report.offline_share), "{}", report.offline_share);
    assert!(report.sampled_crypto_share >= 0.01, "{}", report.sampled_crypto_share);
    assert!(report.refused_expired_bundle > 0, "some outages outlast a bundle");
}

#[test]
fn same_seed_gives_the_same_report_and_another_seed_another() {
    let text = |seed| serde_json::to_string(&report(12, 16, seed, Sabotage::Nothing)).unwrap();
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
}

#[test]
fn without_leads_people_are_denied_wrongly() {
    let report = report(40, 24, 1, Sabotage::NoLead);
    let wrong =
        |name: &str| report.levels.iter().find(|level| level.level == name).unwrap().wrong_denials;
    assert!(wrong("issuing-authority") > 0, "{report:#?}");
    assert!(wrong("reader-authority") > 0, "{report:#?}");
    assert!(wrong("status-list") > 0, "{report:#?}");
    assert!(wrong("checkpoint") == 0, "both keys sign through the overlap");
}

#[test]
fn marks_count_only_where_they_are_believed() {
    let key = PublicKey::P256([4; 65]);
    let mark = mark(&key, b"message");
    assert!(Remembering::new(Marks::Believed).verify(&key, b"message", &mark).is_ok(), "control");
    assert!(Remembering::new(Marks::Believed).verify(&key, b"other", &mark).is_err());
    assert!(Remembering::new(Marks::Refused).verify(&key, b"message", &mark).is_err());
}

#[test]
fn scenario_out_of_its_ranges_is_refused() {
    let (name, text) = SCENARIOS[0];
    assert!(Scenario::parse(text).is_ok());
    assert!(matches!(Scenario::named("none"), Err(ScenarioError::Unknown(_))));
    let check = |from: &str, to: &str| {
        assert!(text.contains(from), "{name}");
        assert!(Scenario::parse(&text.replace(from, to)).is_err(), "{to}");
    };
    check("readers = 10000", "readers = 100001");
    check("readers = 10000", "readers = 0");
    check("days = 155", "days = 401");
    check("sampled_share = 0.02", "sampled_share = 0.009");
    check("wallets = 1000", "unknown = 1");
}
