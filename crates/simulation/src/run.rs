//! A run: the city's history first, then every reader through all of its time, on all processors.
//!
//! The result does not depend on how many there are: a reader touches nothing of another's.

use core::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use keys::rotation::lives::Lives;

use crate::city::{History, Snapshot};
use crate::crypto::{Marks, Remembering};
use crate::doors::doors;
use crate::field::{World, live};
use crate::memory::Memory;
use crate::outage::last_fetch;
use crate::papers::{Papers, believes};
use crate::record::{Level, Tally};
use crate::report::Report;
use crate::scenario::{DAY, HOUR, Minute, Scenario};

/// Readers between two calls for progress.
const PROGRESS_EVERY: u32 = 64;

/// What is broken on purpose, to show that it carries weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    #[default]
    Nothing,
    /// Keys sign as soon as they are made, before anybody learnt of them.
    NoLead,
}

/// Runs `scenario` from `seed`; `progress` is told how many readers are done, from any thread.
///
/// # Errors
/// [`Fault`] when the simulation itself fails.
pub fn run(
    scenario: &Scenario,
    seed: u64,
    sabotage: Sabotage,
    progress: &(dyn Fn(u32) + Sync),
) -> Result<Report, Fault> {
    let bundle_life = core::time::Duration::from_secs(86_400) * scenario.bundle_life_days;
    let mut lives = Lives::new(bundle_life);
    if sabotage == Sabotage::NoLead {
        lives = lives.danger_without_leads();
    }
    let history = History::of(scenario, lives, seed)?;
    let papers = Papers::of(scenario, &history)?;
    let mut tally = fleet(scenario, &history, &papers, seed, progress)?;
    bystanders(scenario, &history, &papers, seed, &mut tally)?;
    Ok(Report::of(scenario, seed, &history, &tally))
}

fn fleet(
    scenario: &Scenario,
    history: &History,
    papers: &Papers,
    seed: u64,
    progress: &(dyn Fn(u32) + Sync),
) -> Result<Tally, Fault> {
    let (tree, products, grants) = doors(history)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let threads = u32::try_from(threads).unwrap_or(1).min(scenario.readers);
    let done = AtomicU32::new(0);
    let part = |number: u32| {
        let (real, marking) = (Remembering::default(), Remembering::new(Marks::Believed));
        let world = World {
            scenario,
            history,
            papers,
            tree: &tree,
            products: &products,
            grants: &grants,
            seed,
            real: &real,
            marking: &marking,
        };
        let (mut tally, mut memory) = (Tally::default(), Memory::default());
        let from = u64::from(scenario.readers) * u64::from(number) / u64::from(threads);
        let until = u64::from(scenario.readers) * u64::from(number + 1) / u64::from(threads);
        for reader in from..until {
            let reader = u32::try_from(reader).map_err(|_| Fault("number a reader"))?;
            live(&world, reader, &mut memory, &mut tally)?;
            let count = done.fetch_add(1, Ordering::Relaxed) + 1;
            if count.is_multiple_of(PROGRESS_EVERY) {
                progress(count);
            }
        }
        Ok(tally)
    };
    let part = &part;
    let parts: Vec<Result<Tally, Fault>> = thread::scope(|scope| {
        let begun: Vec<_> = (0..threads).map(|number| scope.spawn(move || part(number))).collect();
        begun
            .into_iter()
            .map(|thread| thread.join().unwrap_or(Err(Fault("end a thread"))))
            .collect()
    });
    let mut tally = Tally::default();
    for part in parts {
        tally.merge(part?);
    }
    Ok(tally)
}

/// Wallets, auditors, and the certificates of readers: until when they believed, and whom not.
fn bystanders(
    scenario: &Scenario,
    history: &History,
    papers: &Papers,
    seed: u64,
    tally: &mut Tally,
) -> Result<(), Fault> {
    let (began, end) = (scenario.rotation_at(), scenario.end());
    let first_without = |label: &str, number: u64, knows: &dyn Fn(&Snapshot) -> bool| {
        for day in scenario.warm_up_days..scenario.days {
            let fetched = last_fetch(scenario, seed, label, number, day * DAY);
            if fetched >= began && !knows(history.at(fetched)?) {
                return Ok(Some(fetched));
            }
        }
        Ok(None)
    };
    let old = &history.old;
    for wallet in 0..u64::from(scenario.wallets) {
        let knows =
            |city: &Snapshot| city.reader_authorities.certificates().any(|der| old.holds(der));
        let until = first_without("wallet", wallet, &knows)?;
        tally.at(Level::ReaderAuthority).note(Some(until));
    }
    for auditor in 0..u64::from(scenario.auditors) {
        let knows = |city: &Snapshot| city.log_keys.iter().any(|key| old.log_keys.contains(key));
        let until = first_without("auditor", auditor, &knows)?;
        tally.at(Level::Checkpoint).note(Some(until));
        for (day, note) in (0..).zip(&papers.checkpoints) {
            let fetched = last_fetch(scenario, seed, "auditor", auditor, day * DAY);
            if !believes(note, &history.at(fetched)?.log_keys) {
                tally.at(Level::Checkpoint).wrong_denials += 1;
            }
        }
    }
    // A reader's key is believed until the last certificate from before has ended.
    let last: Minute = papers.certificates.get((began / HOUR) as usize).map_or(0, |it| it.until);
    tally.at(Level::ReaderCertificate).note(Some((last < end).then_some(last)));
    Ok(())
}

/// Why a simulation cannot be carried out: what it could not do. A fault of the program or of a
/// scenario without sense, never of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(pub(crate) &'static str);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulate: could not {}", self.0)
    }
}

impl core::error::Error for Fault {}
