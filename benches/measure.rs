//! How every benchmark of the house measures and reports; a file to include, not a crate.
//!
//! A figure is always a ratio: the job and its baseline run in turns in one process, round by
//! round, and the median over the rounds of their ratio is what counts, so that a machine that is
//! busy for a while slows both. Work of a processor is measured by the time of its thread, disks
//! and networks by the clock on the wall: see [`Clock`].
//!
//! A benchmark includes this file by `#[path = "../../../benches/measure.rs"] mod measure;`,
//! measures with [`Pair`] and prints with [`Bench::report`]. Where `BENCH_JSON=1` is set it prints
//! one JSON object per line, which `cargo xtask bench` collects:
//! `{"name","value","baseline","ratio","goal","direction"}`.

use std::fmt::Write as _;
use std::sync::LazyLock;
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
    /// Ours to the baseline. Where rounds were measured it is the median of their ratios, which
    /// need not be the ratio of the two medians.
    pub ratio: f64,
    /// What the ratio is held against.
    pub goal: f64,
    /// Which side of the goal is good.
    pub direction: Direction,
}

impl Bench {
    /// What a job costs, in nanoseconds, against the least that it could cost.
    pub fn cost(name: &'static str, pair: Pair, goal: f64) -> Self {
        let Pair { job_ns, baseline_ns, ratio } = pair;
        let direction = Direction::AtMost;
        Self { name, value: job_ns, baseline: baseline_ns, ratio, goal, direction }
    }

    /// How many times a second a job is done that does `each` of something, against another's.
    pub fn rate(name: &'static str, pair: Pair, each: f64, goal: f64) -> Self {
        let per_second = |ns: f64| each * 1e9 / ns;
        let (value, baseline) = (per_second(pair.job_ns), per_second(pair.baseline_ns));
        let direction = Direction::AtLeast;
        Self { name, value, baseline, ratio: 1.0 / pair.ratio, goal, direction }
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
            let Self { name, value, baseline, ratio, goal, .. } = self;
            println!("{name}: {ratio:.3} (goal: {word} {goal:.2}; {value:.0} to {baseline:.0})");
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
            ("ratio", self.ratio),
            ("goal", self.goal),
        ];
        for (key, figure) in figures {
            assert!(figure.is_finite(), "{}: {key} is {figure}", self.name);
            write!(json, r#","{key}":{figure}"#).ok();
        }
        json + &format!(r#","direction":"{direction}"}}"#)
    }
}

/// A clock that only grows.
pub type Clock = fn() -> Duration;

/// The time that passed, for disks and networks.
pub fn wall() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGIN.elapsed()
}

/// Median times of one call of the job and of its baseline, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Ours.
    pub job_ns: f64,
    /// The baseline.
    pub baseline_ns: f64,
    /// The median over all rounds of ours to the baseline.
    pub ratio: f64,
}

impl Pair {
    /// Rounds of a measurement.
    pub const ROUNDS: usize = 41;

    /// Runs both in turns, [`Self::ROUNDS`] rounds of about `round` each; which of the two
    /// goes first alternates. Pass results through `std::hint::black_box`.
    pub fn measure(
        clock: Clock,
        round: Duration,
        mut job: impl FnMut(),
        mut baseline: impl FnMut(),
    ) -> Self {
        let calls = (calls_in(clock, round, &mut job), calls_in(clock, round, &mut baseline));
        Self::measure_calls(clock, calls, job, baseline)
    }

    /// As [`Pair::measure`], with so many calls of the job and of the baseline in each round.
    pub fn measure_calls(
        clock: Clock,
        (job_calls, baseline_calls): (u32, u32),
        mut job: impl FnMut(),
        mut baseline: impl FnMut(),
    ) -> Self {
        Self::of_rounds(
            || time(clock, job_calls, &mut job),
            || time(clock, baseline_calls, &mut baseline),
        )
    }

    /// Runs [`Self::ROUNDS`] rounds of what tells by itself how many nanoseconds one call took.
    pub fn of_rounds(mut job: impl FnMut() -> f64, mut baseline: impl FnMut() -> f64) -> Self {
        let (mut jobs, mut baselines, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..Self::ROUNDS {
            let (job_ns, baseline_ns) = if index % 2 == 0 {
                let job_ns = job();
                (job_ns, baseline())
            } else {
                let baseline_ns = baseline();
                (job(), baseline_ns)
            };
            jobs.push(job_ns);
            baselines.push(baseline_ns);
            ratios.push(job_ns / baseline_ns);
        }
        Self { job_ns: median(jobs), baseline_ns: median(baselines), ratio: median(ratios) }
    }
}

/// How many calls fill `round`, at least one; warms up on the way.
fn calls_in(clock: Clock, round: Duration, call: &mut impl FnMut()) -> u32 {
    // The first call of all may gather entropy or open files for longer than a round.
    call();
    let mut calls = 1_u32;
    loop {
        let begin = clock();
        (0..calls).for_each(|_| call());
        if clock().saturating_sub(begin) >= round / 2 || calls >= 1 << 30 {
            return calls;
        }
        calls *= 2;
    }
}

/// Nanoseconds of one of so many calls.
pub fn time(clock: Clock, calls: u32, call: &mut impl FnMut()) -> f64 {
    let begin = clock();
    (0..calls).for_each(|_| call());
    clock().saturating_sub(begin).as_secs_f64() * 1e9 / f64::from(calls)
}

/// The middle of the figures; 0 for none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}
