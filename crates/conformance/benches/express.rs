//! What an express tap costs a gate: against the bare cryptography, taps a second, with one rider and with ten
//! million, and bytes on the air.
//!
//! A gate keeps nothing per rider, so that ten million are virtual: their handles are sealed as they come, outside the
//! time that is measured.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    unreachable_pub,
    missing_docs,
    reason = "a benchmark may panic, and uses a part of what all share"
)]

#[path = "support/clock.rs"]
mod clock;
#[path = "../../limen/src/tap/express.rs"]
mod express;
#[path = "../../../benches/measure.rs"]
mod measure;
#[path = "../../limen/src/tap/profile.rs"]
mod profile;

use std::hint::black_box;

use clock::cpu;
use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use credential::rustcrypto::RustCrypto;
use express::{City, Recording};
use measure::{Bench, Direction, Pair};

const RIDERS: u32 = 10_000_000;
/// Taps of one round of the comparison of populations.
const TAPS_A_ROUND: u32 = 500;

fn main() {
    let profile = express::measure(&AwsLc, cpu).unwrap();
    Bench {
        name: "express_reader",
        value: profile.reader_us * 1e3,
        baseline: profile.bare_us * 1e3,
        ratio: profile.reader_ratio,
        goal: 1.3,
        direction: Direction::AtMost,
    }
    .report();
    for (name, crypto) in [
        ("express_taps_second", &AwsLc as &dyn Crypto),
        ("express_taps_second_portable", &RustCrypto),
    ] {
        rate(name, crypto);
    }
    riders();
    Bench {
        name: "express_bytes",
        value: f64::from(u32::try_from(profile.bytes_on_air).unwrap()),
        baseline: 350.0,
        ratio: f64::from(u32::try_from(profile.bytes_on_air).unwrap()) / 350.0,
        goal: 1.0,
        direction: Direction::AtMost,
    }
    .report();
    eprintln!(
        "express: {} APDUs, {} bytes, {:.1} ms at 106 kbit/s, {:.1} ms at 424 kbit/s; reader {:.1} us, wallet {:.1} us",
        profile.apdus,
        profile.bytes_on_air,
        profile::air_us(profile.bytes_on_air, 106) / 1e3,
        profile::air_us(profile.bytes_on_air, 424) / 1e3,
        profile.reader_us,
        profile.wallet_us,
    );
}

/// Taps a second of one core at the gate, against 20,000.
fn rate(name: &'static str, crypto: &dyn Crypto) {
    let per_second = 1e6 / express::measure(crypto, cpu).unwrap().reader_us;
    Bench {
        name,
        value: per_second,
        baseline: 20_000.0,
        ratio: per_second / 20_000.0,
        goal: 1.0,
        direction: Direction::AtLeast,
    }
    .report();
}

/// A tap among ten million riders against a tap of the only one.
fn riders() {
    let city = City::new(&AwsLc);
    let mut drawn = 1_u32;
    let mut taps_of = |riders: u32| {
        let recordings: Vec<Recording> = (0..TAPS_A_ROUND)
            .map(|_| {
                drawn = drawn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                city.record(&AwsLc, drawn % riders).unwrap()
            })
            .collect();
        let begin = cpu();
        recordings.iter().for_each(|recording| city.gate(&AwsLc, black_box(recording)));
        (cpu() - begin).as_secs_f64() * 1e9 / f64::from(TAPS_A_ROUND)
    };
    let (mut many, mut one) = (Vec::new(), Vec::new());
    let mut ratios = Vec::new();
    for round in 0..Pair::ROUNDS {
        let first = taps_of(if round % 2 == 0 { RIDERS } else { 1 });
        let second = taps_of(if round % 2 == 0 { 1 } else { RIDERS });
        let (of_many, of_one) = if round % 2 == 0 { (first, second) } else { (second, first) };
        many.push(of_many);
        one.push(of_one);
        ratios.push(of_many / of_one);
    }
    let [job_ns, baseline_ns, ratio] = [many, one, ratios].map(measure::median);
    Bench::cost("express_riders", Pair { job_ns, baseline_ns, ratio }, 1.05).report();
}
