//! `cargo xtask bench`: every benchmark of the workspace in one table, or as JSON.
//!
//! A benchmark is a `[[bench]]` target with `harness = false` that prints one JSON object per
//! line where `BENCH_JSON=1` is set (see `benches/measure.rs`). A goal that is missed is
//! reported as missed and is no error; a benchmark that fails or prints nothing is one.

use serde_json::{Value, json};

use crate::house::House;
use crate::process::{self, Failure};
use crate::table;

const FIGURES: [&str; 4] = ["value", "baseline", "ratio", "goal"];

/// Runs the benchmarks: all, or those of which the name contains the given word.
pub(crate) fn run(house: &House, arguments: &[&str]) -> Result<(), Failure> {
    let as_json = arguments.contains(&"--json");
    let words: Vec<&str> = arguments.iter().copied().filter(|word| *word != "--json").collect();
    if let Some(flag) = words.iter().find(|word| word.starts_with('-')) {
        return Err(Failure::new(format!("bench does not know `{flag}`")));
    }
    let mut benches = Vec::new();
    for (package, target) in targets(house)? {
        eprintln!("bench: {package}/{target}");
        let before = benches.len();
        run_target(house, &package, &target, &mut benches)?;
        if benches.len() == before {
            return Err(Failure::new(format!("`{package}/{target}` printed no figure")));
        }
    }
    benches.retain(|bench| words.is_empty() || words.iter().any(|word| name(bench).contains(word)));
    if benches.is_empty() {
        return Err(Failure::new("there is no such benchmark"));
    }
    if as_json {
        println!("{}", json!({ "benches": benches }));
    } else {
        println!("{}", table::lines(&rows(&benches)).join("\n"));
    }
    Ok(())
}

/// Package and target of every benchmark, in the order of `cargo metadata`.
fn targets(house: &House) -> Result<Vec<(String, String)>, Failure> {
    let mut found = Vec::new();
    for package in house.packages()? {
        let targets = package.get("targets").and_then(Value::as_array);
        for target in targets.into_iter().flatten() {
            let kinds = target.get("kind").and_then(Value::as_array);
            if kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "bench")) {
                found.push((name(&package).to_owned(), name(target).to_owned()));
            }
        }
    }
    Ok(found)
}

fn name(value: &Value) -> &str {
    value.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn run_target(
    house: &House,
    package: &str,
    target: &str,
    benches: &mut Vec<Value>,
) -> Result<(), Failure> {
    let arguments = ["bench", "--quiet", "--all-features", "--package", package, "--bench", target];
    let mut command = process::cargo(house, &arguments);
    command.env("BENCH_JSON", "1");
    let mut faults = Vec::new();
    process::follow(command, |line| match parse(line) {
        Some(Ok(bench)) => benches.push(bench),
        Some(Err(fault)) => faults.push(fault),
        None => eprintln!("{line}"),
    })?;
    faults.pop().map_or(Ok(()), Err)
}

/// Reads a line of a benchmark; `None` for a line that is no JSON object.
fn parse(line: &str) -> Option<Result<Value, Failure>> {
    let bench: Value = serde_json::from_str(line).ok().filter(Value::is_object)?;
    let has_figures = FIGURES.iter().all(|key| bench.get(key).is_some_and(Value::is_number));
    let direction = bench.get("direction").and_then(Value::as_str);
    if name(&bench).is_empty() || !has_figures || !matches!(direction, Some("at_most" | "at_least"))
    {
        return Some(Err(Failure::new(format!("read a benchmark's line: `{line}`"))));
    }
    Some(Ok(bench))
}

fn rows(benches: &[Value]) -> Vec<Vec<String>> {
    let mut rows =
        vec![["name", "value", "baseline", "ratio", "goal", ""].map(str::to_owned).to_vec()];
    for bench in benches {
        let figure = |key: &str| bench.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let (ratio, goal) = (figure("ratio"), figure("goal"));
        let at_most = bench.get("direction").is_some_and(|direction| direction == "at_most");
        let is_met = if at_most { ratio <= goal } else { ratio >= goal };
        rows.push(vec![
            name(bench).to_owned(),
            format!("{:.0}", figure("value")),
            format!("{:.0}", figure("baseline")),
            format!("{ratio:.3}"),
            format!("{} {goal:.2}", if at_most { "at most " } else { "at least" }),
            if is_met { "met" } else { "MISSED" }.to_owned(),
        ]);
    }
    rows
}

#[cfg(test)]
#[path = "../../benches/measure.rs"]
#[allow(dead_code, unreachable_pub, reason = "a file that benchmarks include; tested here")]
mod measure;

#[cfg(test)]
mod tests {
    use super::*;

    use super::measure::{Bench, Direction, Pair};

    #[test]
    fn what_a_benchmark_prints_is_what_is_read() {
        let bench = Bench {
            name: "x",
            value: 3.5,
            baseline: 2.5,
            ratio: 1.4,
            goal: 1.25,
            direction: Direction::AtMost,
        };
        let read = parse(&bench.json()).unwrap().unwrap();
        let expected = json!({"name": "x", "value": 3.5, "baseline": 2.5, "ratio": 1.4, "goal": 1.25, "direction": "at_most"});
        assert_eq!(read, serde_json::from_str::<Value>(&expected.to_string()).unwrap());
    }

    #[test]
    fn a_line_that_lacks_a_figure_is_a_fault() {
        assert!(parse("running 1 test").is_none());
        assert!(parse(r#"{"name":"x","value":1}"#).unwrap().is_err());
        let null =
            r#"{"name":"x","value":1,"baseline":1,"ratio":null,"goal":1,"direction":"at_most"}"#;
        assert!(parse(null).unwrap().is_err());
    }

    #[test]
    fn a_missed_goal_is_called_missed() {
        let bench = |ratio: f64, direction: &str| json!({"name": "x", "ratio": ratio, "goal": 1.0, "direction": direction});
        let rows = rows(&[
            bench(1.0, "at_most"),
            bench(1.1, "at_most"),
            bench(1.0, "at_least"),
            bench(0.9, "at_least"),
        ]);
        let words: Vec<_> = rows.iter().skip(1).filter_map(|row| row.last()).collect();
        assert_eq!(words, ["met", "MISSED", "met", "MISSED"]);
    }

    #[test]
    fn twice_the_work_takes_about_twice_the_time() {
        let work = |turns: u64| {
            move || {
                std::hint::black_box(
                    (0..turns).fold(0_u64, |sum, n| std::hint::black_box(sum ^ n)),
                );
            }
        };
        let round = std::time::Duration::from_micros(200);
        let pair = Pair::measure(measure::wall, round, work(4_000), work(1_000));
        assert!(pair.ratio > 1.0 && pair.job_ns > pair.baseline_ns, "{pair:?}");
    }
}
