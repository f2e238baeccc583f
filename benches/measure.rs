//! How every benchmark of the house measures and reports; a file to include, not a crate.
//!
//! A figure is always a ratio: the job and its baseline run in turns in one process, so that
//! a busy machine slows both. A benchmark includes this file by
//! `#[path = "../../../benches/measure.rs"] mod measure;`, measures with [`Pair`] and prints
//! with [`Bench::report`]. Where `BENCH_JSON=1` is set it prints one JSON object per line,
//! which `cargo xtask bench` collects:
//! `{"name","value","baseline","ratio","goal","direction"}`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Which side of the goal is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The ratio should be the goal or less: a cost.
    AtMost,
    /// The ratio should be the goal or more: a speed.
    AtLeast,
}

/// One line of the report.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Stable name, words joined by `_`.
    pub name: &'static str,
    /// What was measured of ours, in the unit of the baseline.
    pub value: f64,
    /// What was measured of the baseline in the same run.
    pub baseline: f64,
    /// What the ratio is held against.
    pub goal: f64,
    /// Which side of the goal is good.
    pub direction: Direction,
}

impl Bench {
    /// Ours divided by the baseline.
    pub fn ratio(&self) -> f64 {
        self.value / self.baseline
    }

    /// Prints the line, for a machine where `BENCH_JSON=1` is set, else for a person.
    pub fn report(&self) {
        if std::env::var("BENCH_JSON").is_ok_and(|set| set == "1") {
            println!("{}", self.json());
        } else {
            let word = match self.direction {
                Direction::AtMost => "at most",
                Direction::AtLeast => "at least",
            };
            let (name, goal) = (self.name, self.goal);
            println!(
                "{name}: {:.3} (goal: {word} {goal:.2}; {:.0} to {:.0})",
                self.ratio(),
                self.value,
                self.baseline
            );
        }
    }

    /// The line as JSON; a figure that is no finite number is a fault of the benchmark.
    pub fn json(&self) -> String {
        let direction = match self.direction {
            Direction::AtMost => "at_most",
            Direction::AtLeast => "at_least",
        };
        let mut json = format!(r#"{{"name":"{}""#, self.name);
        let figures = [
            ("value", self.value),
            ("baseline", self.baseline),
            ("ratio", self.ratio()),
            ("goal", self.goal),
        ];
        for (key, figure) in figures {
            assert!(figure.is_finite(), "{}: {key} is {figure}", self.name);
            write!(json, r#","{key}":{figure}"#).ok();
        }
        json + &format!(r#","direction":"{direction}"}}"#)
    }
}

/// Median times of one call of the job and of its baseline, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Ours.
    pub job_ns: f64,
    /// The baseline.
    pub baseline_ns: f64,
}

impl Pair {
    /// Fewest rounds whose median is worth reading.
    pub const ROUNDS: usize = 31;

    /// Runs both in turns, [`Self::ROUNDS`] rounds of about `round` each; which of the two
    /// goes first alternates. Pass results through `std::hint::black_box`.
    pub fn measure(round: Duration, mut job: impl FnMut(), mut baseline: impl FnMut()) -> Self {
        let (job_calls, baseline_calls) =
            (calls_in(round, &mut job), calls_in(round, &mut baseline));
        let (mut job_times, mut baseline_times) = (Vec::new(), Vec::new());
        for index in 0..Self::ROUNDS {
            if index % 2 == 0 {
                job_times.push(time(job_calls, &mut job));
                baseline_times.push(time(baseline_calls, &mut baseline));
            } else {
                baseline_times.push(time(baseline_calls, &mut baseline));
                job_times.push(time(job_calls, &mut job));
            }
        }
        Self { job_ns: median(job_times), baseline_ns: median(baseline_times) }
    }
}

/// How many calls fill `round`, at least one; warms up on the way.
fn calls_in(round: Duration, call: &mut impl FnMut()) -> u32 {
    let mut calls = 1_u32;
    loop {
        let begin = Instant::now();
        (0..calls).for_each(|_| call());
        if begin.elapsed() >= round / 2 || calls >= 1 << 30 {
            return calls;
        }
        calls *= 2;
    }
}

fn time(calls: u32, call: &mut impl FnMut()) -> f64 {
    let begin = Instant::now();
    (0..calls).for_each(|_| call());
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

/// The middle of the figures; 0 for none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}
