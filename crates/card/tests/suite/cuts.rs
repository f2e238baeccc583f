//! Power cut at every byte of every write: the old state or the new one, never a third.

use std::collections::HashSet;

use card::{Scope, management};
use credential::aws_lc::AwsLc;
use presentation::express::handle::HANDLE_BYTES;
use presentation::express::reader::{Counted, KeysInMemory, ReaderEnd, Step};
use presentation::express::wire::Apdu;

use crate::bench::{
    Bench, EPOCH, Image, METRO, TOWN_HALL, Tear, TestMemory, batch, city_keys, keys, none,
    operator_keys, ride, scope, terms,
};
use crate::desk::{Desk, Fault};

const ERASING_STEP: usize = 13;
pub(crate) const TEARS: [Tear; 4] = [Tear::Prefix, Tear::Garbage, Tear::Lost(0), Tear::Lost(1)];

type View = Vec<Option<management::Standing>>;

fn view(bench: &Bench) -> View {
    let scopes: [Scope; 3] = [scope(METRO), scope(TOWN_HALL), [5; 8]];
    let standing = |scope| bench.card.danger_standing(&AwsLc, &scope).unwrap();
    scopes.into_iter().map(standing).collect()
}

/// Cuts the power at every byte that `deed` writes after `before`, and has `after` look at each card
/// that comes back, with what was said to be done. Gives the number of cuts.
fn cut(
    image: &Image,
    before: impl Fn(&mut Bench) -> Vec<u8>,
    deed: impl Fn(&mut Bench, &[u8]) -> bool,
    after: impl Fn(&mut Bench, bool),
) -> usize {
    let mut bench = Bench::of(image);
    let prepared = before(&mut bench);
    let old = view(&bench);
    assert!(deed(&mut bench, &prepared), "the control: without a cut it is done");
    let new = view(&bench.again());
    let mut cuts = 0;
    for tear in TEARS {
        let mut seen = (false, false);
        let mut left = 0;
        loop {
            let mut bench = Bench::of(image);
            let prepared = before(&mut bench);
            bench.memory.cut_after(left, tear);
            let is_done = deed(&mut bench, &prepared);
            let was_cut = bench.memory.is_off();
            let mut again = bench.again();
            let found = view(&again);
            assert!(found == old || found == new, "{tear:?} after {left}: {found:?}");
            assert!(!is_done || found == new, "{tear:?} after {left}: done, and lost");
            seen = (seen.0 || found == old, seen.1 || found == new);
            after(&mut again, found == new);
            if !was_cut {
                break;
            }
            cuts += 1;
            // Once the new state stands, all that is written is what erases the old.
            left += if found == new && new != old { ERASING_STEP } else { 1 };
        }
        assert!(seen.1 && (seen.0 || old == new));
    }
    cuts
}

/// A gate that has come to the given command of a counted tap: the command, and the handle that was
/// shown before it.
fn tap_until(bench: &mut Bench, commands: usize) -> Vec<u8> {
    let keys = [keys(METRO, EPOCH)];
    let opener = KeysInMemory { crypto: &AwsLc, keys: &keys };
    let mut gate = ReaderEnd::new(terms(METRO));
    let mut command = Apdu::select();
    for _ in 0..commands {
        let answer = bench.command(command.as_bytes());
        command = match gate.handle(&AwsLc, &opener, &answer).unwrap() {
            Step::Command(command) => command,
            Step::Opened(_) => gate.prove(&AwsLc).unwrap(),
            Step::Proven(proven) => gate.commit(&AwsLc, ride(proven.counted).unwrap()).unwrap(),
            Step::Committed => panic!("the tap is over"),
        };
    }
    command.as_bytes().to_vec()
}

fn is_ok(bench: &mut Bench, command: &[u8]) -> bool {
    bench.command(command).ends_with(&[0x90, 0])
}

#[test]
fn a_show_that_is_cut_shows_no_handle_twice() {
    let image = Bench::personalised(3).memory.image();
    let seen = std::cell::RefCell::new(HashSet::new());
    let before = |bench: &mut Bench| {
        seen.borrow_mut().clear();
        tap_until(bench, 1)
    };
    let deed = |bench: &mut Bench, open: &[u8]| {
        let answer = bench.command(open);
        if answer.len() > 2 {
            seen.borrow_mut().insert(answer[..HANDLE_BYTES].to_vec());
        }
        answer.len() > 2
    };
    let cuts = cut(&image, before, deed, |bench, is_new| {
        // The next gate sees the next handle; it has left the card for the first time.
        bench.command(Apdu::select().as_bytes());
        let answer = bench.command(&crate::privacy::open(METRO, EPOCH));
        assert!(seen.borrow_mut().insert(answer[..HANDLE_BYTES].to_vec()), "shown twice");
        let number = bench.tap(METRO, none).unwrap().0.content.number;
        assert_eq!(number, 1 + u16::from(is_new));
    });
    assert!(cuts > 4 * 160, "{cuts}");
}

#[test]
fn a_proof_that_is_cut_never_takes_the_count_of_taps_back() {
    let mut bench = Bench::personalised(4);
    bench.tap(METRO, none).unwrap();
    let image = bench.memory.image();
    let deed = |bench: &mut Bench, prove: &[u8]| is_ok(bench, prove);
    let cuts = cut(
        &image,
        |bench| tap_until(bench, 2),
        deed,
        |bench, is_new| {
            assert_eq!(bench.tap(METRO, none).unwrap().0.taps, 2 + u32::from(is_new));
        },
    );
    assert!(cuts > 4 * 150, "{cuts}");
}

/// What the gate needs for ratification: `last` is its mark if and only if the new state is there.
#[test]
fn a_counted_use_that_is_cut_is_the_old_state_or_the_new_and_the_mark_says_which() {
    let image = Bench::personalised(4).memory.image();
    let deed = |bench: &mut Bench, commit: &[u8]| is_ok(bench, commit);
    let cuts = cut(
        &image,
        |bench| tap_until(bench, 3),
        deed,
        |bench, is_new| {
            let (proven, is_written) = bench
                .tap(METRO, |counted| {
                    // Ratification (specs/express-tap.md): who has my mark has paid.
                    if counted.mark == [0xAB; 4] { None } else { ride(counted) }
                })
                .unwrap();
            let Counted { sequence, value, mark } = proven.counted;
            let expected = if is_new { (2, 19, [0xAB; 4]) } else { (1, 20, [0; 4]) };
            assert_eq!((sequence, value, mark), expected);
            assert_eq!(is_written, !is_new);
            let left = bench.standing(METRO).unwrap().counted;
            assert_eq!((left.sequence, left.value), (2, 19), "paid once");
        },
    );
    assert!(cuts > 4 * 150, "{cuts}");
}

#[test]
fn personalisation_that_is_cut_leaves_the_card_that_was_or_the_one_to_be() {
    let blank = Bench::blank();
    let image = blank.memory.image();
    let give_keys = |bench: &mut Bench, _: &[u8]| {
        Desk::maker(bench).and_then(|mut desk| desk.create(card::ROOT, 0, &city_keys(1))).is_ok()
    };
    cut(
        &image,
        |_| Vec::new(),
        give_keys,
        |bench, _| {
            // Either the maker's key opens the card or the city's does, not both; then all can be done.
            let is_blank = Desk::maker(bench).is_ok();
            let is_taken = Desk::open(bench, card::ROOT, 0, &city_keys(1)[0].0).is_ok();
            assert!(is_blank != is_taken);
            assert!(is_taken || give_keys(bench, &[]));
        },
    );

    let image = Bench::personalised(2).memory.image();
    let create = |bench: &mut Bench, _: &[u8]| {
        let desk = Desk::open(bench, card::ROOT, 0, &city_keys(1)[0].0);
        desk.and_then(|mut desk| desk.create([5; 8], 4, &operator_keys("a", 1))).is_ok()
    };
    cut(
        &image,
        |_| Vec::new(),
        create,
        |bench, is_new| {
            assert_eq!(create(bench, &[]), !is_new, "what is there is not made again");
            assert!(Desk::open(bench, [5; 8], 0, &operator_keys("a", 1)[0].0).is_ok());
        },
    );

    let delete = |bench: &mut Bench, _: &[u8]| {
        let desk = Desk::open(bench, card::ROOT, 0, &city_keys(1)[0].0);
        desk.and_then(|mut desk| desk.exchange(0xDA, &scope(METRO), None, false)).is_ok()
    };
    // Erasing takes 18 KB; the deed is decided in the first 300 bytes. Every byte of those is cut.
    for tear in TEARS {
        for left in (0..700).chain((700..18_000).step_by(1_009)) {
            let mut bench = Bench::of(&image);
            bench.memory.cut_after(left, tear);
            assert!(!delete(&mut bench, &[]));
            let mut again = bench.again();
            assert!(again.tap(TOWN_HALL, none).is_ok());
            if again.standing(METRO).is_some() {
                assert!(again.tap(METRO, ride).is_ok(), "{left}");
            } else {
                let mut desk = Desk::open(&mut again, card::ROOT, 0, &city_keys(1)[0].0).unwrap();
                desk.create(scope(METRO), 1, &operator_keys(METRO, 1)).unwrap();
                again.load(METRO, &batch(METRO, EPOCH, 5..6)).unwrap();
                assert_eq!(again.tap(METRO, none).unwrap().0.content.number, 5);
            }
        }
    }
}

#[test]
fn handles_that_are_loaded_while_the_power_goes_are_all_there_or_none() {
    let mut bench = Bench::personalised(2);
    bench.load(METRO, &batch(METRO, EPOCH + 1, 0..1)).unwrap();
    let image = bench.memory.image();
    // A new batch for today takes the place of the one that is there.
    let next = batch(METRO, EPOCH, 10..13);
    let deed = |bench: &mut Bench, _: &[u8]| bench.load(METRO, &next).is_ok();
    let cuts = cut(
        &image,
        |_| Vec::new(),
        deed,
        |bench, is_new| {
            let first = if is_new { 10 } else { 0 };
            assert_eq!(bench.tap(METRO, none).unwrap().0.content.number, first);
            // The desk says it again, as it does when it did not hear; nothing is shown twice.
            bench.load(METRO, &next).unwrap();
            assert_eq!(bench.tap(METRO, none).unwrap().0.content.number, 10 + u16::from(is_new));
        },
    );
    assert!(cuts > 4 * 700, "{cuts}");
}

#[test]
fn a_top_up_that_is_cut_is_done_once_or_not() {
    let image = Bench::personalised(2).memory.image();
    let top_up = |bench: &mut Bench, _: &[u8]| {
        let state = [0, 0, 0, 2, 0, 0, 0, 90, 7, 7, 7, 7];
        bench.update(METRO).and_then(|mut desk| desk.write(1, 0, &state)).is_ok()
    };
    cut(
        &image,
        |_| Vec::new(),
        top_up,
        |bench, is_new| {
            assert_eq!(top_up(bench, &[]), !is_new, "the sequence tells");
            assert_eq!(bench.standing(METRO).unwrap().counted.value, 90);
        },
    );
}

#[test]
fn a_card_whose_new_key_was_cut_has_the_old_one_or_the_new_and_tells_which() {
    let image = Bench::personalised(1).memory.image();
    let (old, new) = (operator_keys(METRO, 1), operator_keys(METRO, 2));
    for number in 0..3_u8 {
        let index = usize::from(number);
        let deed = |bench: &mut Bench, _: &[u8]| {
            let desk = Desk::open(bench, scope(METRO), 0, &old[0].0);
            desk.and_then(|mut desk| match number {
                0 => desk.change_own(0, new[0]),
                _ => desk.change_other(number, &old[index].0, new[index]),
            })
            .is_ok()
        };
        cut(
            &image,
            |_| Vec::new(),
            deed,
            |bench, is_new| {
                let (right, wrong) = if is_new { (&new, &old) } else { (&old, &new) };
                let desk = Desk::open(bench, scope(METRO), number, &right[index].0);
                let told = desk.and_then(|mut desk| desk.exchange(0x64, &[number], None, false));
                assert_eq!(told, Ok(vec![right[index].1]));
                let refused = Desk::open(bench, scope(METRO), number, &wrong[index].0).err();
                assert_eq!(refused, Some(Fault::Status([0x91, 0xAE])));
                assert!(bench.tap(METRO, ride).is_ok());
            },
        );
    }
}

/// The control: on a memory that has but one slot for each record, this very test finds a third state.
#[test]
fn a_card_that_wrote_in_place_would_be_caught() {
    let image = Bench::personalised(4).memory.image();
    let run = |is_in_place| {
        let mut damaged = 0;
        for left in 0..200 {
            let memory = TestMemory::of(image.clone());
            memory.set_in_place(is_in_place);
            let mut bench = Bench::on(&memory);
            let commit = tap_until(&mut bench, 3);
            memory.cut_after(left, Tear::Prefix);
            bench.command(&commit);
            let again = TestMemory::of(memory.image());
            again.set_in_place(is_in_place);
            damaged += usize::from(card::Card::open(again, &AwsLc).is_err());
        }
        damaged
    };
    assert_eq!(run(false), 0);
    assert!(run(true) > 100);
}

#[test]
fn every_changed_byte_of_a_record_that_counts_is_noticed_or_the_other_slot_is_it() {
    let bench = Bench::personalised(2);
    let image = bench.memory.image();
    let whole = view(&bench);
    for page in 0..30 {
        for byte in 0..32 {
            let mut image = image.clone();
            image[page][byte] ^= 0x10;
            let memory = TestMemory::of(image);
            if let Ok(card) = card::Card::open(memory.clone(), &AwsLc) {
                let found = view(&Bench { card, memory, drawn: 0, heard: None });
                // The state before the last write is the only other one.
                assert!(found == whole || found[2].is_none());
            }
        }
    }
}
