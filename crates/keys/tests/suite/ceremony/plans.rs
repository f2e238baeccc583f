//! Plans: what is taken, and how mistakes are named.

use std::path::Path;

use keys::ceremony::plan::{PLAN_BYTES_MAX, Plan, YEARS_MAX};

use super::hall::PLAN;

fn outcome(text: &str) -> String {
    match Plan::parse(text, Path::new("/ceremony")) {
        Ok(_) => String::from("taken"),
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error} {}", source.unwrap_or_default())
        }
    }
}

#[track_caller]
fn check(replace: (&str, &str), expected: &str) {
    let text = PLAN.replace(replace.0, replace.1);
    assert_ne!(text, PLAN);
    let outcome = outcome(&text);
    assert!(outcome.contains(expected), "{outcome}");
}

#[test]
fn mistakes_in_a_plan_are_named() {
    assert_eq!(outcome(PLAN), "taken");
    check(("threshold = 2", "treshold = 2"), "treshold");
    check(("threshold = 2", "threshold = 1"), "`1` of `3`");
    check(("threshold = 2", "threshold = 3"), "taken");
    check(("threshold = 2", "threshold = 4"), "`4` of `3`");
    check(("\"create\"", "\"burn\""), "burn");
    check(("\"create\"", "\"renew\""), "old_root");
    check(("threshold = 2", "threshold = 2\nsuite = \"ES384\""), "taken");
    check(("threshold = 2", "threshold = 2\nsuite = \"Ed25519\""), "ceremony.suite");
    check(("threshold = 2", "threshold = 2\nsuite = \"RS256\""), "ceremony.suite");
    check(("threshold = 2", "threshold = 2\nyears = 0"), "ceremony.years");
    check(("threshold = 2", &format!("threshold = 2\nyears = {YEARS_MAX}")), "taken");
    check(("threshold = 2", &format!("threshold = 2\nyears = {}", YEARS_MAX + 1)), "years");
    check(("Bo Quay", "ADA FERRY"), "called `ADA FERRY`");
    check(("Bo Quay", "Bo\\nQuay"), "custodian.name");
    check(("bo/share.txt", "ada/share.txt"), "ada/share.txt");
    check(("\"screen\"", "\"\""), "custodian.share");
    check(("\"UT\"", "\"Utopia\""), "city.country");
    check(("harbour.example", "harbour.example/"), "city.public_url");
    check(("\"Harbour City\"", "\"\""), "city.name");
    check(("[root.file]", "[root.paper]"), "paper");
    let token =
        "[root.token]\nmodule = \"m\"\nlabel = \"l\"\nofficer_pin = \"env:SO\"\n[old_root.file]";
    check(("[root.file]", token), "only a renewal");
    let token =
        "[old_root.token]\nmodule = \"m\"\nlabel = \"l\"\nofficer_pin = \"env:SO\"\n[root.file]";
    check(("[root.file]", token), "old_root.token.officer_pin");
    check(("name = \"Bo Quay\"", "name = \"Bo Quay\"\nstaff_key = \"key_1\""), "staff_key");
}

#[test]
fn names_and_numbers_are_held_at_their_limits() {
    let custodian = |i: usize| {
        format!(
            "[[custodian]]\nname = \"C{i}\"\nshare = \"screen\"\nstaff = {{ path = \"c{i}\" }}\n"
        )
    };
    let (head, _) = PLAN.split_once("[[custodian]]").unwrap();
    for (count, expected) in [(2, "taken"), (16, "taken"), (17, "`2` of `17`"), (1, "`2` of `1`")] {
        let custodians: String = (0..count).map(custodian).collect();
        let outcome = outcome(&format!("{head}{custodians}"));
        assert!(outcome.contains(expected), "{count}: {outcome}");
    }
    for (length, expected) in [(59, "taken"), (60, "city.name")] {
        check(("Harbour City", &"x".repeat(length)), expected);
    }
    let filled = |length: usize| format!("{PLAN}#{}", "x".repeat(length - PLAN.len() - 1));
    assert_eq!(outcome(&filled(PLAN_BYTES_MAX)), "taken");
    assert!(outcome(&filled(PLAN_BYTES_MAX + 1)).contains("larger"));
}

#[test]
fn paths_start_at_the_folder_of_the_plan() {
    let plan = Plan::parse(PLAN, Path::new("/ceremony")).unwrap();
    assert_eq!(plan.transcript, Path::new("/ceremony/root/transcript.json"));
    assert_eq!(plan.custodians[0].staff.path, Path::new("/ceremony/ada/staff.keys"));
}
