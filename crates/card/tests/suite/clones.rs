//! A card that was copied, as reconciliation sees it.

use std::collections::BTreeMap;

use presentation::express::handle::Index;
use presentation::express::reader::Proven;

use crate::bench::{Bench, METRO, none, ride};

/// What journals of several gates say of one index: numbers that were seen twice, and counts of taps
/// that came twice.
fn doubles(taps: &[Proven]) -> BTreeMap<Index, (Vec<u16>, Vec<u32>)> {
    let mut found: BTreeMap<Index, (Vec<u16>, Vec<u32>)> = BTreeMap::new();
    for (place, tap) in taps.iter().enumerate() {
        let is_same = |other: &&Proven| other.content.status == tap.content.status;
        let before = || taps[..place].iter().filter(is_same);
        let index = found.entry(tap.content.status).or_default();
        if before().any(|other| other.content.number == tap.content.number) {
            index.0.push(tap.content.number);
        }
        if before().any(|other| other.taps >= tap.taps) {
            index.1.push(tap.taps);
        }
    }
    found
}

#[test]
fn both_copies_of_a_card_show_the_numbers_and_counts_of_the_other() {
    let mut original = Bench::personalised(8);
    let mut taps = vec![original.tap(METRO, ride).unwrap().0];
    let mut copy = Bench::of(&original.memory.image());
    for _ in 0..3 {
        taps.push(original.tap(METRO, ride).unwrap().0);
        taps.push(copy.tap(METRO, ride).unwrap().0);
    }
    let (numbers, counts) = doubles(&taps).into_values().next().unwrap();
    assert_eq!((numbers, counts), (vec![1, 2, 3], vec![2, 3, 4]));
    // Each counted state follows the last of its own card alone.
    let sequences: Vec<_> = taps.iter().map(|tap| tap.counted.sequence).collect();
    assert_eq!(sequences, [1, 2, 2, 3, 3, 4, 4]);
}

#[test]
fn one_card_shows_nothing_twice_the_control() {
    let mut card = Bench::personalised(8);
    let taps: Vec<_> = (0..6).map(|_| card.tap(METRO, none).unwrap().0).collect();
    assert_eq!(doubles(&taps).into_values().next().unwrap(), (vec![], vec![]));
}
