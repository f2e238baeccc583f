//! Words of code that some floors, or all of them, do without.
//!
//! Below the rim there is no clock, no randomness, no input or output and nothing async:
//! what is needed comes in as an argument. Tests are free to use what they like, except that
//! nothing in the house is left unfinished or switched off.

use super::Finding;
use crate::house::{self, House};
use crate::process::Failure;
use crate::source;

/// What is banned, and what to use in its place.
struct Ban {
    word: &'static str,
    instead: &'static str,
}

const CLOCK: &str = "take a `vocabulary::time::Instant` as an argument";
const SPAN: &str = "a span is a `core::time::Duration`, a moment a `vocabulary::time::Instant`";
const ENTROPY: &str = "take entropy as a byte array argument";
const WORLD: &str = "take the bytes as an argument and return a value; the rim does the rest";
const WAITING: &str = "return what should happen next; nothing below the rim waits";

const BELOW_THE_RIM: &[Ban] = &[
    Ban { word: "SystemTime", instead: CLOCK },
    Ban { word: "Instant::now", instead: CLOCK },
    Ban { word: "std::time", instead: SPAN },
    Ban { word: "rand::", instead: ENTROPY },
    Ban { word: "rand_core::", instead: ENTROPY },
    Ban { word: "getrandom", instead: ENTROPY },
    Ban { word: "thread_rng", instead: ENTROPY },
    Ban { word: "OsRng", instead: ENTROPY },
    Ban { word: "SystemRandom", instead: ENTROPY },
    Ban { word: "std::fs", instead: WORLD },
    Ban { word: "std::io", instead: WORLD },
    Ban { word: "std::net", instead: WORLD },
    Ban { word: "std::env", instead: WORLD },
    Ban { word: "std::process", instead: WORLD },
    Ban { word: "std::thread", instead: WAITING },
    Ban { word: "async", instead: WAITING },
    Ban { word: "await", instead: WAITING },
    Ban { word: "println!", instead: WORLD },
    Ban { word: "eprintln!", instead: WORLD },
];

const FINISH: &str = "finish it or leave it out";
const EVERYWHERE: &[Ban] = &[
    Ban { word: "todo!(", instead: FINISH },
    Ban { word: "unimplemented!(", instead: FINISH },
    Ban { word: "#[ignore", instead: "a test runs always, or in the `slow` target" },
    Ban { word: "assert!(true)", instead: "assert what the test is about" },
];

/// A ban that one file is free of, because there is no other way.
struct Exemption {
    path: &'static str,
    word: &'static str,
}

/// AWS-LC draws the nonce of an ECDSA signature itself and asks for this token.
const EXEMPTIONS: &[Exemption] = &[
    Exemption { path: "crates/credential/src/aws_lc.rs", word: "rand::" },
    Exemption { path: "crates/credential/src/aws_lc.rs", word: "SystemRandom" },
];

/// Checks every source file.
pub(super) fn check(house: &House) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for path in house.files()? {
        if path.ends_with(".rs") {
            let is_test = !path.contains("/src/") || is_test_module(house, &path);
            check_file(&path, &house.read(&path)?, is_test, &mut findings);
        }
    }
    Ok(findings)
}

fn check_file(path: &str, text: &str, is_test: bool, findings: &mut Vec<Finding>) {
    let code = source::code_only(text);
    report(path, &code, EVERYWHERE, findings);
    let is_below = house::room_of(path).is_some_and(|room| room.floor.is_below_the_rim());
    if is_below && !is_test {
        report(path, &source::without_tests(&code), BELOW_THE_RIM, findings);
    }
}

/// Whether the module above, or one above that, declares this file's module for tests alone.
fn is_test_module(house: &House, path: &str) -> bool {
    let Some(module) = path.strip_suffix(".rs").map(|module| module.trim_end_matches("/mod"))
    else {
        return false;
    };
    let Some((folder, name)) = module.rsplit_once('/') else { return false };
    let above = [".rs", "/mod.rs", "/lib.rs", "/main.rs"].map(|end| format!("{folder}{end}"));
    let Some(above) = above.iter().find(|file| *file != path && house.path(file).is_file()) else {
        return false;
    };
    let declares = |text: String| {
        let code = source::code_only(&text);
        let is_declared = !source::lines_with(&code, &format!("mod {name};")).is_empty();
        let stays =
            !source::lines_with(&source::without_tests(&code), &format!("mod {name};")).is_empty();
        is_declared && !stays
    };
    house.read(above).is_ok_and(declares) || is_test_module(house, above)
}

fn report(path: &str, code: &str, bans: &[Ban], findings: &mut Vec<Finding>) {
    for ban in bans {
        if EXEMPTIONS.iter().any(|exempt| exempt.path == path && exempt.word == ban.word) {
            continue;
        }
        for line in source::lines_with(code, ban.word) {
            findings.push(Finding::at(
                path,
                line,
                format!("no `{}` here: {}", ban.word, ban.instead),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[usize]) {
        let mut findings = Vec::new();
        check_file(path, text, path.contains("/tests/"), &mut findings);
        let places: Vec<_> = findings.into_iter().map(|finding| finding.place).collect();
        let expected: Vec<_> = expected.iter().map(|line| format!("{path}:{line}")).collect();
        assert_eq!(places, expected, "{text}");
    }

    #[test]
    fn clocks_and_randomness_stay_above_the_rim() {
        check("crates/policy/src/a.rs", "fn a() {\n  Instant::now();\n}", &[2]);
        check("crates/server/src/a.rs", "fn a() {\n  Instant::now();\n}", &[]);
        check("crates/policy/src/a.rs", "// Instant::now\nlet a = \"rand::\"; operand::b()", &[]);
        check("crates/policy/tests/suite/main.rs", "std::fs::read()", &[]);
        check("crates/policy/src/a.rs", "#[cfg(test)]\nmod tests { use std::fs; }", &[]);
    }

    #[test]
    fn nothing_is_left_unfinished_anywhere() {
        check("crates/limen/src/a.rs", "fn a() { todo!() }", &[1]);
        check("crates/limen/tests/a.rs", "#[ignore]\nfn a() {}", &[1]);
        check("xtask/src/a.rs", "#[cfg(test)]\nmod tests { fn a() { unimplemented!() } }", &[2]);
    }
}
