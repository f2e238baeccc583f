//! What the benchmarks of the house share: the interleaved runner, a clock of the thread's own
//! time, and the document that is verified, with the bare cryptography that verifying it needs.

#[path = "../../../../benches/measure.rs"]
pub mod measure;

pub mod bare;
#[path = "../../tests/suite/city.rs"]
pub mod city;
mod clock;
pub mod door;
pub mod licence;

use std::time::Duration;

pub use clock::cpu;

/// The length of a round where processors are measured: some 50 to 150 calls, so that the caches are
/// warm for most of them.
pub const ROUND: Duration = Duration::from_millis(20);
