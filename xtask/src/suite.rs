//! `cargo xtask test`: every step that a commit must pass, with its time, and a closing table.
//!
//! A failed step does not stop the later ones: one run tells everything that is wrong. Only
//! without what [`setup`] installs nothing else makes sense. Three profiles are compiled: `dev` for
//! lints and tests, the probe's own, and `release` for the one command that the README promises.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::house::House;
use crate::process::{self, Failure};
use crate::{probe, second_token, setup, table, tidy};

type Action = fn(&House) -> Result<(), Failure>;

/// Without this step the others are not even begun.
const FIRST: &str = "setup";

const STEPS: &[(&str, Action)] = &[
    (FIRST, setup::run),
    ("tidy", tidy::run),
    ("format", format),
    ("lints", lints),
    ("probe", probe::run),
    ("tests", tests),
    ("demo", demo),
];

const SLOW_STEPS: &[(&str, Action)] = &[
    (FIRST, setup::run_slow),
    ("forgeries", forgeries),
    ("second token", second_token::build),
    ("slow tests", slow_tests),
];

/// Names the folder of forged documents to the tests that write it and those that read it.
const FORGERIES: (&str, &str) = ("LIMEN_MUTANTS_DIR", "target/mutants");

/// What every commit must pass.
pub(crate) fn run(house: &House) -> Result<(), Failure> {
    run_steps(house, STEPS)
}

/// What takes too long for every commit.
pub(crate) fn run_slow(house: &House) -> Result<(), Failure> {
    run_steps(house, SLOW_STEPS)
}

fn run_steps(house: &House, steps: &[(&str, Action)]) -> Result<(), Failure> {
    let begin = Instant::now();
    let mut rows = Vec::new();
    let mut failed = 0;
    for (index, (name, action)) in steps.iter().enumerate() {
        println!("\n=== {} of {}: {name}", index + 1, steps.len());
        let step_begin = Instant::now();
        let outcome = action(house);
        if let Err(failure) = &outcome {
            eprintln!("{name}: {failure}");
            failed += 1;
        }
        let word = if outcome.is_ok() { "passed" } else { "FAILED" };
        rows.push(vec![(*name).to_owned(), word.to_owned(), seconds(step_begin.elapsed())]);
        if outcome.is_err() && *name == FIRST {
            break;
        }
    }
    let run = rows.len();
    rows.push(vec!["together".to_owned(), String::new(), seconds(begin.elapsed())]);
    println!("\n{}", table::lines(&rows).join("\n"));
    println!("steps: {} passed, {failed} failed", run - failed);
    if failed == 0 { Ok(()) } else { Err(Failure::new("not every step passed")) }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn format(house: &House) -> Result<(), Failure> {
    process::show(process::cargo(house, &["fmt", "--all", "--check"]))?;
    process::show(process::cargo(house, &["fmt", "--check", "--manifest-path", probe::MANIFEST]))
}

/// What links libraries of the system, which a default build does without.
const SYSTEM: [&str; 2] = ["--features", "limen/pcsc"];

fn lints(house: &House) -> Result<(), Failure> {
    let lints = ["clippy", "--workspace", "--all-targets", "--keep-going"];
    let deny = ["--", "--deny", "warnings"];
    process::show(process::cargo(house, &[&lints[..], &deny].concat()))?;
    process::show(process::cargo(house, &[&lints[..], &SYSTEM, &deny].concat()))
}

fn tests(house: &House) -> Result<(), Failure> {
    let tests = ["test", "--workspace", "--no-fail-fast"];
    process::show(process::cargo(house, &[&tests[..], &SYSTEM].concat()))
}

/// The first command of the README, as a newcomer runs it.
fn demo(house: &House) -> Result<(), Failure> {
    process::show(process::cargo(house, &["run", "--release", "--", "demo"]))
}

/// Writes the forged documents of `credential`, for foreign verifiers to judge.
fn forgeries(house: &House) -> Result<(), Failure> {
    let arguments = ["test", "--package", "credential", "--test", "suite", "mutations"];
    let mut command = process::cargo(house, &arguments);
    command.env(FORGERIES.0, house.path(FORGERIES.1));
    process::show(command)
}

/// Runs every test target named `slow`, each behind its crate's feature of the same name, and
/// closes with a table of the lines `figure: NAME = VALUE` that the tests print.
fn slow_tests(house: &House) -> Result<(), Failure> {
    let crates = crates_with_slow_tests(house)?;
    if crates.is_empty() {
        return Err(Failure::new("no crate has a test target named `slow`"));
    }
    let features: Vec<String> = crates.iter().map(|name| format!("{name}/slow")).collect();
    let features = features.join(",");
    let mut arguments =
        vec!["test", "--release", "--no-fail-fast", "--test", "slow", "--features", &features];
    for name in &crates {
        arguments.extend(["--package", name]);
    }
    arguments.extend(["--", "--nocapture", "--test-threads", "1"]);
    let mut figures = Vec::new();
    let mut command = process::cargo(house, &arguments);
    command.env(FORGERIES.0, house.path(FORGERIES.1));
    command.env(second_token::MODULE, second_token::module(house)?);
    let outcome = process::follow(command, |line| {
        println!("{line}");
        let figure = line.split_once("figure: ").and_then(|(_, figure)| figure.split_once(" = "));
        if let Some((name, value)) = figure {
            figures.push(vec![name.to_owned(), value.to_owned()]);
        }
    });
    println!("\n{}", table::lines(&figures).join("\n"));
    outcome
}

fn crates_with_slow_tests(house: &House) -> Result<Vec<String>, Failure> {
    let has_slow = |package: &Value| {
        let targets = package.get("targets").and_then(Value::as_array);
        targets.into_iter().flatten().any(|target| {
            let is_test = target.get("kind").and_then(Value::as_array);
            let is_test = is_test.is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"));
            is_test && target.get("name").is_some_and(|name| name == "slow")
        })
    };
    let packages = house.packages()?;
    let names = packages.iter().filter(|package| has_slow(package));
    Ok(names.filter_map(|package| package.get("name")?.as_str().map(str::to_owned)).collect())
}
