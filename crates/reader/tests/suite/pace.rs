//! Time bounds: what takes too long is refused, what takes half of it never is.

use core::time::Duration;
use std::time::Instant as Clock;

use credential::aws_lc::AwsLc;
use reader::bundle::Bundle;
use reader::decision::Reason;
use reader::engine::sabotage::DangerSabotage;
use reader::engine::{Config, Engine, Input, Output};
use reader::journal::Outcome;
use reader::taps::{TapPolicy, Taps, TimeBound, TimeBounds};

use crate::city::{City, GATE, VAULT, hours, key, noon, place};
use crate::gate::{Gate, Seen};
use crate::taps::phone;

const TAPS: u64 = 100_000;
const SESSION: u8 = 201;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A phone that answers response number `slow` after so long, and the others at once.
fn slow_at(slow: usize, took: Duration) -> Box<dyn FnMut() -> Duration> {
    let mut number = 0;
    Box::new(move || {
        number += 1;
        if number - 1 == slow { took } else { Duration::ZERO }
    })
}

#[test]
fn each_response_counts_up_to_the_answer() {
    let city = City::new();
    let phone = phone(&city);
    let mut gate = Gate::ready(&city);
    assert_eq!(gate.tap(&phone, VAULT), Seen::Unlocked, "control");
    let (responses, bound) = (gate.recorded.len(), Taps::default().high.bound.apdu);
    for number in 0..responses {
        gate.took = slow_at(number, bound);
        assert_eq!(gate.tap(&phone, VAULT), Seen::Unlocked, "response {number} within the bound");
        gate.took = slow_at(number, bound + Duration::from_nanos(1));
        // The last response is that to the good-bye.
        let is_answered = number == responses - 1;
        let expected = if is_answered { Seen::Unlocked } else { Seen::Refused(Reason::TooSlow) };
        assert_eq!(gate.tap(&phone, VAULT), expected, "response {number}");
        assert_eq!(gate.recorded.len(), number + 1, "nothing more is asked");
    }
    gate.took = Box::new(|| Duration::ZERO);
    assert_eq!(gate.tap(&phone, VAULT), Seen::Unlocked, "the next tap works");
    let late = Outcome::Refused(Reason::TooSlow);
    let late = gate.events().iter().filter(|event| event.outcome == late).count();
    assert_eq!(late, responses - 1, "and each stands in the journal");
}

#[test]
fn all_responses_count_together_and_the_class_of_the_door_decides() {
    let city = City::new();
    let phone = phone(&city);
    let mut gate = Gate::ready(&city);
    gate.tap(&phone, VAULT);
    let counted = u32::try_from(gate.recorded.len() - 1).unwrap();
    let TimeBound { apdu, total } = Taps::default().high.bound;
    assert!(total / counted < apdu, "control: no response by itself is too slow");
    gate.took = Box::new(move || total / counted);
    assert_eq!(gate.tap(&phone, VAULT), Seen::Unlocked);
    gate.took = Box::new(move || total / counted + ms(1));
    assert_eq!(gate.tap(&phone, VAULT), Seen::Refused(Reason::TooSlow));
    assert_eq!(gate.tap(&phone, GATE), Seen::Unlocked, "a door of low class waits");
    gate.took = Box::new(|| Duration::MAX);
    assert_eq!(gate.tap(&phone, GATE), Seen::Refused(Reason::TooSlow));
}

#[test]
fn the_tighter_bound_of_bundle_and_reader_counts() {
    let city = City::new();
    let phone = phone(&city);
    let bound = |apdu, total| TimeBound { apdu: ms(apdu), total: ms(total) };
    let wide = TimeBound::WIDEST;
    for (told, own, took, expected) in [
        (wide, wide, 900, Seen::Unlocked),
        (bound(800, 120_000), wide, 900, Seen::Refused(Reason::TooSlow)),
        (bound(800, 120_000), wide, 800, Seen::Unlocked),
        (wide, bound(800, 120_000), 900, Seen::Refused(Reason::TooSlow)),
        (bound(800, 120_000), bound(1_000, 120_000), 900, Seen::Refused(Reason::TooSlow)),
        (bound(1_000, 120_000), bound(800, 120_000), 900, Seen::Refused(Reason::TooSlow)),
        (bound(1_000, 1_000), wide, 900, Seen::Refused(Reason::TooSlow)),
        (wide, bound(1_000, 1_000), 900, Seen::Refused(Reason::TooSlow)),
    ] {
        let bounds = TimeBounds { high: own, ..TimeBounds::default() };
        let mut gate = Gate::with(Config { bounds, ..city.config() });
        let high = TapPolicy { bound: told, ..Taps::default().high };
        let taps = Taps { high, ..Taps::default() };
        gate.give(Input::Bundle(&city.signed(&Bundle { taps, ..city.bundle(1) })));
        gate.give(Input::StatusList(&city.status_list(hours(1))));
        gate.took = Box::new(move || ms(took));
        assert_eq!(gate.tap(&phone, VAULT), expected, "{told:?} {own:?} {took}");
    }
}

/// A recorded tap, held to an engine again with other times. The secret of its session comes again,
/// too, which no reader does: so that the phone has to be computed only once.
struct Recording {
    responses: Vec<Vec<u8>>,
}

impl Recording {
    fn new(gate: &mut Gate, city: &City) -> Self {
        assert_eq!(gate.tap(&phone(city), VAULT), Seen::Unlocked);
        Self { responses: gate.recorded.clone() }
    }

    fn play(&self, engine: &mut Engine, mut took: impl FnMut() -> Duration) -> Result<(), Reason> {
        let tap = Input::Tap { door: place(VAULT), secret: key(SESSION) };
        engine.handle(&AwsLc, noon(), tap);
        let (mut responses, mut deed) = (self.responses.iter(), None);
        while let Some(output) = engine.poll_output() {
            match output {
                Output::Command(_) => {
                    let bytes = responses.next().unwrap();
                    engine.handle(&AwsLc, noon(), Input::Response { bytes, took: took() });
                }
                Output::Record(_) => {
                    engine.handle(&AwsLc, noon(), Input::Recorded);
                    let records = engine.journal_head().entries();
                    engine.handle(&AwsLc, noon(), Input::Acknowledged { records });
                }
                Output::Unlock { .. } => deed = Some(Ok(())),
                Output::Refused { reason, .. } => deed = Some(Err(reason)),
                other => panic!("{other:?}"),
            }
        }
        deed.unwrap()
    }
}

/// Numbers that look random and are the same in each run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    fn part_of(&mut self, whole: Duration) -> Duration {
        Duration::from_nanos(self.below(u64::try_from(whole.as_nanos()).unwrap()))
    }
}

#[test]
fn of_many_taps_on_virtual_time_all_past_the_bound_are_refused_and_none_below_half() {
    let begin = Clock::now();
    let city = City::new();
    let mut gate = Gate::ready(&city);
    // Else no recording would open again.
    gate.engine.danger_sabotage(DangerSabotage::named("nonce-reused").unwrap());
    let recording = Recording::new(&mut gate, &city);
    let counted = recording.responses.len() as u64 - 1;
    let TimeBound { apdu, total } = Taps::default().high.bound;
    let mut numbers = Numbers(4);
    for number in 0..TAPS {
        if number % 8 == 0 {
            // Below half of both bounds, however it is spread.
            let mut left = total / 2;
            let took = || {
                let took = numbers.part_of(left.min(apdu / 2) + Duration::from_nanos(1));
                left -= took;
                took
            };
            assert_eq!(recording.play(&mut gate.engine, took), Ok(()), "tap {number}");
            continue;
        }
        let slow = numbers.below(counted);
        let late = apdu + Duration::from_nanos(1) + numbers.part_of(apdu);
        let mut at = 0;
        let took = || {
            at += 1;
            if at - 1 == slow { late } else { Duration::ZERO }
        };
        assert_eq!(recording.play(&mut gate.engine, took), Err(Reason::TooSlow), "tap {number}");
    }
    println!("figure: taps_on_virtual_time_s = {:.1}", begin.elapsed().as_secs_f64());
}
