//! Taps of a card that holds the applications of several operators.

use presentation::express::handle::HandleError;
use presentation::express::reader::{Counted, OpenError, ReaderError};

use crate::bench::{
    Bench, EPOCH, METRO, TOWN_HALL, TapError, batch, city_keys, none, operator_keys, ride, scope,
};
use crate::desk::{Desk, Fault};

#[test]
fn one_card_taps_at_the_gates_of_two_operators() {
    let mut bench = Bench::personalised(5);
    for number in 0..3_u16 {
        let (proven, is_written) = bench.tap(METRO, ride).unwrap();
        let left = 20 - u32::from(number);
        assert!(is_written);
        assert_eq!((proven.content.number, proven.taps), (number, u32::from(number) + 1));
        assert_eq!((proven.counted.sequence, proven.counted.value), (21 - left, left));
        let (proven, _) = bench.tap(TOWN_HALL, none).unwrap();
        assert_eq!((proven.content.number, proven.taps), (number, u32::from(number) + 1));
        assert_eq!(proven.counted, Counted::default());
    }
    assert_eq!(
        bench.standing(METRO).unwrap().counted,
        Counted { sequence: 4, value: 17, mark: [0xAB; 4] }
    );
}

#[test]
fn a_badge_has_nothing_to_count_and_a_sequence_cannot_be_skipped() {
    let mut bench = Bench::personalised(5);
    let refused = bench.tap(TOWN_HALL, ride);
    assert!(matches!(refused, Err(TapError::Gate(ReaderError::Status(word))) if word.0 == 0x6984));
    for step in [0, 2] {
        let next =
            |counted: Counted| Some(Counted { sequence: counted.sequence + step, ..counted });
        let refused = bench.tap(METRO, next);
        assert!(
            matches!(refused, Err(TapError::Gate(ReaderError::Status(word))) if word.0 == 0x6985)
        );
    }
    assert_eq!(bench.standing(METRO).unwrap().counted.sequence, 1);
    assert!(bench.tap(METRO, ride).unwrap().1);
}

#[test]
fn a_card_shows_noise_once_its_handles_are_used_up_or_drained_until_its_operator_comes() {
    let sealed = |result| {
        matches!(
            result,
            Err(TapError::Gate(ReaderError::Open(OpenError::Handle(HandleError::Sealed))))
        )
    };
    let mut bench = Bench::personalised(2);
    bench.tap(METRO, none).unwrap();
    bench.tap(METRO, none).unwrap();
    assert!(sealed(bench.tap(METRO, none)));
    bench.load(METRO, &batch(METRO, EPOCH, 2..20)).unwrap();
    // The count of taps goes on within the epoch.
    assert_eq!(bench.tap(METRO, none).unwrap().0.taps, 3);
    // A rogue reader without a key takes handles and proves nothing.
    let open = crate::privacy::open(METRO, EPOCH);
    bench.command(presentation::express::wire::Apdu::select().as_bytes());
    for _ in 0..9 {
        assert_eq!(bench.command(&open).len(), 78);
    }
    assert_eq!(bench.standing(METRO).unwrap().batches[0].2, 1 + 8);
    assert!(sealed(bench.tap(METRO, none)));
    // Who knows the identifying key alone mends nothing; who may update does.
    Desk::open(&mut bench, scope(METRO), 1, &operator_keys(METRO, 1)[1].0).unwrap();
    assert!(sealed(bench.tap(METRO, none)));
    bench.update(METRO).unwrap();
    assert_eq!(bench.tap(METRO, none).unwrap().0.content.number, 2 + 9);
}

#[test]
fn batches_come_and_go_with_their_epochs_and_the_same_one_changes_nothing() {
    let mut bench = Bench::personalised(3);
    let epochs = |bench: &Bench| {
        let batches = bench.standing(METRO).unwrap().batches;
        let mut epochs: Vec<_> = batches.iter().map(|it| it.0).collect();
        epochs.sort_unstable();
        epochs
    };
    bench.tap(METRO, none).unwrap();
    let before = bench.standing(METRO);
    bench.load(METRO, &batch(METRO, EPOCH, 0..3)).unwrap();
    assert_eq!(bench.standing(METRO), before, "no handle is shown twice");
    bench.load(METRO, &batch(METRO, EPOCH + 1, 0..64)).unwrap();
    assert_eq!(epochs(&bench), [EPOCH, EPOCH + 1]);
    assert_eq!(bench.tap(METRO, none).unwrap().0.content.number, 1);
    bench.load(METRO, &batch(METRO, EPOCH + 2, 0..1)).unwrap();
    assert_eq!(epochs(&bench), [EPOCH + 1, EPOCH + 2]);
    let old = bench.load(METRO, &batch(METRO, EPOCH, 5..6));
    assert_eq!(old, Err(Fault::Status([0x91, 0x9E])));
    let none = bench.load(METRO, &batch(METRO, EPOCH + 3, 0..0));
    assert_eq!(none, Err(Fault::Status([0x91, 0x7E])));
    let too_many = bench.load(METRO, &batch(METRO, EPOCH + 3, 0..65));
    assert_eq!(too_many, Err(Fault::Status([0x91, 0x1E])));
    let of_others = bench.load(METRO, &batch(TOWN_HALL, EPOCH + 3, 0..2));
    assert_eq!(of_others, Err(Fault::Status([0x91, 0xA0])));
    assert_eq!(epochs(&bench), [EPOCH + 1, EPOCH + 2]);
}

#[test]
fn keys_move_on_and_never_back_and_only_the_master_moves_them() {
    let mut bench = Bench::personalised(2);
    let (old, new) = (operator_keys(METRO, 1), operator_keys(METRO, 2));
    let mut desk = Desk::open(&mut bench, scope(METRO), 2, &old[2].0).unwrap();
    assert_eq!(desk.change_own(2, new[2]), Err(Fault::Status([0x91, 0x9D])));
    let mut desk = Desk::open(&mut bench, scope(METRO), 0, &old[0].0).unwrap();
    desk.change_other(1, &old[1].0, new[1]).unwrap();
    desk.change_other(2, &old[2].0, new[2]).unwrap();
    let wrong = desk.change_other(2, &[0; 16], operator_keys(METRO, 3)[2]);
    assert_eq!(wrong, Err(Fault::Status([0x91, 0x1E])), "the old key is another");
    let mut desk = Desk::open(&mut bench, scope(METRO), 0, &old[0].0).unwrap();
    desk.change_own(0, new[0]).unwrap();
    for number in 0..3 {
        let index = usize::from(number);
        assert!(Desk::open(&mut bench, scope(METRO), number, &new[index].0).is_ok());
        let refused = Desk::open(&mut bench, scope(METRO), number, &old[index].0);
        assert_eq!(refused.err(), Some(Fault::Status([0x91, 0xAE])));
        for back in [1, 2] {
            let mut desk = Desk::open(&mut bench, scope(METRO), 0, &new[0].0).unwrap();
            let key = ([7; 16], back);
            let done = match number {
                0 => desk.change_own(0, key),
                _ => desk.change_other(number, &new[index].0, key),
            };
            assert_eq!(done, Err(Fault::Status([0x91, 0x9E])));
        }
    }
    // The other operator's keys, and the pocket, are as they were.
    bench.load(TOWN_HALL, &batch(TOWN_HALL, EPOCH, 9..12)).unwrap();
    assert_eq!(bench.standing(METRO).unwrap().versions, [2, 2, 2]);
    bench.tap(METRO, ride).unwrap();
}

fn master(bench: &mut Bench) -> Desk<'_> {
    Desk::open(bench, card::ROOT, 0, &city_keys(1)[0].0).unwrap()
}

#[test]
fn applications_are_made_by_the_card_s_master_alone_to_their_number_and_deleted_whole() {
    let mut bench = Bench::personalised(1);
    let city = city_keys(1);
    for number in [1, 2] {
        let key = city[usize::from(number)].0;
        let mut desk = Desk::open(&mut bench, card::ROOT, number, &key).unwrap();
        let refused = desk.create([1; 8], 1, &operator_keys("a", 1));
        assert_eq!(refused, Err(Fault::Status([0x91, 0x9D])));
    }
    let mut desk = Desk::open(&mut bench, scope(METRO), 0, &operator_keys(METRO, 1)[0].0).unwrap();
    assert_eq!(desk.create([1; 8], 1, &operator_keys("a", 1)), Err(Fault::Status([0x91, 0x9D])));
    let try_one = |bench: &mut Bench, scope, kind, version| {
        master(bench).create(scope, kind, &operator_keys("a", version))
    };
    assert_eq!(try_one(&mut bench, scope(METRO), 1, 1), Err(Fault::Status([0x91, 0xDE])));
    assert_eq!(try_one(&mut bench, [1; 8], 9, 1), Err(Fault::Status([0x91, 0x9E])), "no such kind");
    assert_eq!(try_one(&mut bench, [1; 8], 1, 0), Err(Fault::Status([0x91, 0x9E])), "version 0");
    assert_eq!(
        try_one(&mut bench, card::ROOT, 0, 1),
        Err(Fault::Status([0x91, 0x9D])),
        "not blank"
    );
    for number in 2..8_u8 {
        assert_eq!(try_one(&mut bench, [number; 8], 3, 1), Ok(()));
    }
    assert_eq!(try_one(&mut bench, [8; 8], 3, 1), Err(Fault::Status([0x91, 0x0E])));
    let mut desk = Desk::open(&mut bench, card::ROOT, 2, &city[2].0).unwrap();
    assert_eq!(desk.exchange(0x6A, &[], None, true).unwrap().len(), 8 * 8);
    assert_eq!(desk.exchange(0x51, &[], None, true).unwrap(), crate::bench::IDENTIFIER);
    master(&mut bench).exchange(0xDA, &scope(METRO), None, false).unwrap();
    let gone = master(&mut bench).exchange(0xDA, &scope(METRO), None, false);
    assert_eq!(gone, Err(Fault::Status([0x91, 0xA0])));
    assert_eq!(bench.standing(METRO), None);
    // Nothing of it is left in the memory: neither its keys nor a tap key.
    let image = bench.memory.image().concat();
    let secret = |secret: &[u8]| image.windows(16).any(|bytes| bytes == &secret[..16]);
    assert!(!secret(&operator_keys(METRO, 1)[0].0) && secret(&operator_keys(TOWN_HALL, 1)[0].0));
    assert!(
        !secret(batch(METRO, EPOCH, 0..1).handles[0].1.danger_bytes())
            && secret(batch(TOWN_HALL, EPOCH, 0..1).handles[0].1.danger_bytes())
    );
    assert_eq!(try_one(&mut bench, scope(METRO), 1, 1), Ok(()));
    assert!(bench.standing(METRO).unwrap().batches.is_empty());
}
