//! What a verification costs above the cryptography that it cannot do without.
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

mod support;

use credential::x509::SignerCache;
use presentation::session::Channel;
use support::bare::Bundle;
use support::city::City;
use support::door::Gate;
use support::licence::{Order, Presentation, SIX, elements};
use support::measure::{Bench, Pair};
use support::{ROUND, cpu};

/// Sessions that are set up before anything is measured; far more than are needed.
const SESSIONS: usize = 12_000;

fn main() {
    let city = City::new();
    let licence = Order::of(elements()).issue(&city);
    let all = elements();
    let all: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let (six, whole) =
        (Presentation::new(&city, &licence, &SIX), Presentation::new(&city, &licence, &all));
    let gate = Gate::new(&city);

    let cold = |presentation| {
        against_bundle(&city, presentation, |channel| gate.judge(presentation, channel, None))
    };
    Bench::cost("verify_cold", cold(&six), 1.15).report();
    Bench::cost("verify_cold_portrait", cold(&whole), 1.15).report();

    let mut cache = SignerCache::new();
    let cached = against_bundle(&city, &six, |channel| gate.judge(&six, channel, Some(&mut cache)));
    Bench::cost("verify_cached", cached, 0.75).report();
    assert_eq!(cache.len(), 1, "the chain was cached");
}

fn against_bundle(city: &City, presentation: &Presentation, mut job: impl FnMut(Channel)) -> Pair {
    let mut bundle = Bundle::of(city, presentation);
    let mut channels = presentation.channels(SESSIONS);
    let job = || job(channels.pop().expect("enough sessions"));
    Pair::measure(cpu, ROUND, job, || bundle.run())
}
