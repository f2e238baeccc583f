//! Bad input: whatever comes, a status word, a clean state, and a next tap that works.

use std::sync::LazyLock;

use card::management;
use card::management::keys::AGREES;
use credential::aws_lc::AwsLc;
use credential::crypto::P256Secret;
use presentation::express::issuing::Batch;
use presentation::express::wire::Apdu;
use presentation::standard::{EXPEDITED_APPLICATION, STEP_UP_APPLICATION};
use proptest::prelude::*;

use crate::bench::{
    Bench, EPOCH, Image, METRO, TOWN_HALL, batch, none, operator_keys, ride, scope,
};
use crate::desk::{Desk, Fault, SELECT, native};
use crate::door::{Door, give, rights};

/// The APDUs of a whole tap, as they went.
fn tap_commands(bench: &mut Bench) -> Vec<Vec<u8>> {
    let heard = std::cell::RefCell::new(Vec::new());
    bench.heard = Some(heard);
    bench.tap(METRO, ride).unwrap();
    bench.heard.take().unwrap().into_inner()
}

/// A session with the update key, up to its first command.
fn desk_commands(bench: &mut Bench) -> Vec<Vec<u8>> {
    let counter = bench.standing(METRO).unwrap().counted.sequence;
    bench.heard = Some(std::cell::RefCell::new(Vec::new()));
    let mut desk = bench.update(METRO).unwrap();
    let state = [&(counter + 1).to_be_bytes()[..], &[0, 0, 0, 50, 0, 0, 0, 0]].concat();
    desk.write(management::COUNTED_FILE, 0, &state).unwrap();
    desk.exchange(0x51, &[], None, true).unwrap();
    bench.heard.take().unwrap().into_inner()
}

fn is_good(answer: &[u8]) -> bool {
    answer.ends_with(&[0x90, 0]) || answer.ends_with(&[0x91, 0]) || answer.ends_with(&[0x91, 0xAF])
}

/// Every way to spoil one command.
pub(crate) fn spoiled(command: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..command.len()).map(|end| command[..end].to_vec()).collect();
    for more in [1, 2, 300] {
        all.push([command, &vec![0xA5; more]].concat());
    }
    for place in 0..command.len() {
        let mut changed = command.to_vec();
        changed[place] ^= 0x21;
        all.push(changed);
    }
    all
}

#[test]
fn every_apdu_that_is_cut_short_or_long_or_changed_gets_a_status_word_and_the_next_tap_works() {
    let image = Bench::personalised(2).memory.image();
    let flows = [tap_commands(&mut Bench::of(&image)), desk_commands(&mut Bench::of(&image))];
    for commands in flows {
        for (step, command) in commands.iter().enumerate() {
            for bad in spoiled(command) {
                // It draws the same entropy as then, so that what was recorded goes as far as it went.
                let mut bench = Bench::of(&image);
                for good in &commands[..step] {
                    bench.command(good);
                }
                let answer = bench.command(&bad);
                assert!(answer.len() >= 2, "{bad:02x?}");
                // What was cut off is not done, and what was begun is over: the command itself comes
                // too late now.
                if answer.len() == 2 && !is_good(&answer) && step > 1 {
                    let late = bench.command(command);
                    let is_open =
                        command.starts_with(&[0x80, 0x50]) || command.starts_with(&[0x90, 0x5A]);
                    let begins = command.starts_with(&[0x90, 0x71]);
                    assert!(!is_good(&late) || is_open || begins, "{bad:02x?} {late:02x?}");
                }
                bench.tap(METRO, ride).unwrap();
                assert!(bench.update(METRO).is_ok());
            }
        }
    }
}

#[test]
fn commands_that_are_repeated_or_out_of_order_are_refused_and_the_next_tap_works() {
    let image = Bench::personalised(8).memory.image();
    let commands = tap_commands(&mut Bench::of(&image));
    let last = commands.len();
    for first in 0..last {
        for second in 0..last {
            let mut bench = Bench::of(&image);
            for step in [first, second, first, second] {
                let answer = bench.command(&commands[step]);
                assert!(answer.len() >= 2);
                if step >= 2 {
                    assert!(!is_good(&answer), "a proof of another tap: {step}");
                }
            }
            assert_eq!(bench.standing(METRO).unwrap().counted.sequence, 1);
            bench.tap(METRO, ride).unwrap();
        }
    }
}

#[test]
fn a_session_ends_at_the_first_thing_that_is_wrong() {
    let mut bench = Bench::personalised(2);
    let key = operator_keys(METRO, 1)[2].0;
    type Spoil = fn(&mut Desk<'_>) -> Result<Vec<u8>, Fault>;
    let wrong: [(Spoil, [u8; 2]); 9] = [
        (|it| it.send(0x51, &[0; 8], [0x91, 0]), [0x91, 0x1E]),
        (|it| it.send(0x51, &[0; 7], [0x91, 0]), [0x91, 0x7E]),
        (
            |it| {
                it.counter += 1;
                it.exchange(0x51, &[], None, true)
            },
            [0x91, 0x1E],
        ),
        (|it| it.exchange(0x60, &[], None, true), [0x91, 0x1C]),
        (|it| it.read(4, 0, 0), [0x91, 0xF0]),
        (|it| it.read(1, 0, 13), [0x91, 0xBE]),
        (|it| it.read(1, 13, 0), [0x91, 0xBE]),
        (|it| it.write(2, 5, &[1; 5]).map(|()| Vec::new()), [0x91, 0xBE]),
        (|it| it.write(1, 0, &[0; 12]).map(|()| Vec::new()), [0x91, 0x9E]),
    ];
    for (spoil, status) in wrong {
        let mut desk = Desk::open(&mut bench, scope(METRO), 2, &key).unwrap();
        assert_eq!(spoil(&mut desk), Err(Fault::Status(status)));
        assert_eq!(desk.exchange(0x51, &[], None, true), Err(Fault::Status([0x91, 0xAE])));
    }
    for (command, status) in [
        (vec![0x90, 0x51, 1, 0, 0], [0x6A, 0x86]),
        (vec![0x90, 0x51, 0, 1, 0], [0x6A, 0x86]),
        (vec![0x80, 0x51, 0, 0, 0], [0x6E, 0x00]),
        (vec![0x90, 0x51, 0], [0x67, 0x00]),
        (native(0x5A, &[0; 7]), [0x91, 0x7E]),
    ] {
        let mut desk = Desk::open(&mut bench, scope(METRO), 2, &key).unwrap();
        assert_eq!(desk.bench.command(&command), status);
        assert_eq!(desk.exchange(0x51, &[], None, true), Err(Fault::Status([0x91, 0xAE])));
    }
    // The control: without any of that the session goes on.
    let mut desk = Desk::open(&mut bench, scope(METRO), 2, &key).unwrap();
    assert!(desk.read(3, 0, 0).is_ok() && desk.exchange(0x51, &[], None, true).is_ok());
}

#[test]
fn an_application_that_is_not_there_is_politely_refused() {
    let mut bench = Bench::personalised(2);
    let names: [&[u8]; 5] = [
        &[0xA0, 0, 0, 2, 0x48, 4, 0],
        &[0xD2, 0x76, 0, 0, 0x85, 1, 1],
        &[0xF0],
        &[],
        &SELECT[5..11],
    ];
    for select in [&SELECT[..], Apdu::select().as_bytes()] {
        for name in names {
            bench.command(select);
            let length = u8::try_from(name.len()).unwrap();
            let command = match name {
                [] => vec![0, 0xA4, 4, 0, 0],
                _ => [&[0, 0xA4, 4, 0, length], name, &[0]].concat(),
            };
            assert_eq!(bench.command(&command), [0x6A, 0x82]);
        }
        assert_eq!(bench.command(&[0, 0xA4, 0, 0, 2, 0x3F, 0]), [0x6A, 0x86]);
    }
    // What was selected stays selected: the next OPEN works.
    assert_eq!(bench.command(&crate::privacy::open(METRO, EPOCH)).len(), 78);
    bench.card.reset();
    assert_eq!(bench.command(&crate::privacy::open(METRO, EPOCH)), [0x69, 0x85]);
}

/// The bytes of `batch`, sealed for a point.
fn sealed(batch: &Batch, point: &[u8; 65]) -> Vec<u8> {
    batch.seal(&AwsLc, &P256Secret::from_bytes([0x5E; 32]), point).unwrap().encode()
}

#[test]
fn a_sealed_batch_is_for_one_key_of_one_session_of_one_card() {
    let (mut bench, mut other) = (Bench::personalised(1), Bench::personalised(1));
    let before = bench.standing(METRO);
    let next = batch(METRO, EPOCH + 1, 0..3);
    let put = |desk: &mut Desk<'_>, bytes: &[u8]| {
        desk.put(management::INBOX_FILE, bytes).and_then(|()| desk.commit())
    };
    let status = |code| Err(Fault::Status([0x91, code]));
    // Drawn by another card, then in a session that is over, then before another draw.
    let mut elsewhere = other.update(METRO).unwrap();
    // The cards of the bench draw alike, each time something else.
    elsewhere.draw(AGREES).unwrap();
    let stolen = sealed(&next, &elsewhere.draw(AGREES).unwrap().1);
    let mut desk = bench.update(METRO).unwrap();
    let (_, first) = desk.draw(AGREES).unwrap();
    assert_eq!(put(&mut desk, &stolen), status(0x1E));
    let mut desk = bench.update(METRO).unwrap();
    assert_eq!(put(&mut desk, &sealed(&next, &first)), status(0x40), "nothing was drawn");
    let mut desk = bench.update(METRO).unwrap();
    let (_, early) = desk.draw(AGREES).unwrap();
    let (_, _) = desk.draw(AGREES).unwrap();
    assert_eq!(put(&mut desk, &sealed(&next, &early)), status(0x1E));
    // What a good one must not be.
    type Bend = fn(&[u8; 65]) -> Vec<u8>;
    let wrong: [(Bend, u8); 9] = [
        (|point| sealed(&batch(TOWN_HALL, EPOCH + 1, 0..3), point), 0xA0),
        (|point| sealed(&Batch { epoch: 1 << 32, ..batch(METRO, EPOCH, 0..1) }, point), 0x9E),
        (|point| sealed(&Batch { epoch: u64::MAX, ..batch(METRO, EPOCH, 0..1) }, point), 0x9E),
        (|point| sealed(&batch(METRO, EPOCH + 1, 0..0), point), 0x7E),
        (|point| sealed(&batch(METRO, EPOCH + 1, 0..65), point), 0x1E),
        (|point| sealed(&batch(METRO, EPOCH + 1, 0..3), point)[1..].to_vec(), 0x7E),
        (|point| [&sealed(&batch(METRO, EPOCH + 1, 0..3), point)[..], &[0]].concat(), 0x7E),
        (
            |point| {
                let mut bytes = sealed(&batch(METRO, EPOCH + 1, 0..3), point);
                bytes[10] ^= 1;
                bytes
            },
            0x1E,
        ),
        (|_| vec![0; 8_193], 0xBE),
    ];
    for (number, (bend, code)) in wrong.into_iter().enumerate() {
        let mut desk = bench.update(METRO).unwrap();
        let (_, point) = desk.draw(AGREES).unwrap();
        assert_eq!(put(&mut desk, &bend(&point)), status(code), "{number}");
        assert_eq!(bench.standing(METRO), before, "{number}");
    }
    // The control, which counts once.
    let mut desk = bench.update(METRO).unwrap();
    let (_, point) = desk.draw(AGREES).unwrap();
    let good = sealed(&next, &point);
    put(&mut desk, &good).unwrap();
    assert_eq!(put(&mut desk, &good), status(0x40));
    assert_eq!(bench.standing(METRO).unwrap().batches.len(), 2);
}

/// One move of a reader that does what it likes.
#[derive(Clone, Debug)]
enum Move {
    Raw(Vec<u8>),
    Native(u8, Vec<u8>),
    Open(u32),
    SelectExpress,
    SelectManagement,
    Application(bool),
    Begin(u8),
    Reset,
    Tap,
    Session(u8),
    SelectStandard(bool),
    /// A command of a tap at a door, as it went or spoiled.
    Standard(usize, Option<(usize, u8)>),
    Door(bool),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Move::Raw),
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..80))
            .prop_map(|(command, data)| Move::Native(command, data)),
        (
            prop::sample::select(vec![
                0x51_u8, 0x5A, 0x64, 0x6A, 0x71, 0x77, 0x8D, 0xAD, 0xAF, 0xC4, 0xC7, 0xCA, 0xD2,
                0xD3, 0xDA
            ]),
            prop::collection::vec(any::<u8>(), 0..80)
        )
            .prop_map(|(command, data)| Move::Native(command, data)),
        (0..3_u32).prop_map(|ahead| Move::Open(EPOCH + ahead)),
        Just(Move::SelectExpress),
        Just(Move::SelectManagement),
        any::<bool>().prop_map(Move::Application),
        (0..5_u8).prop_map(Move::Begin),
        Just(Move::Reset),
        Just(Move::Tap),
        (0..3_u8).prop_map(Move::Session),
        any::<bool>().prop_map(Move::SelectStandard),
        (any::<usize>(), proptest::option::of((any::<usize>(), any::<u8>())))
            .prop_map(|(step, spoil)| Move::Standard(step, spoil)),
        any::<bool>().prop_map(Move::Door),
    ];
    prop::collection::vec(one, 1..60)
}

const CITY: u8 = 0x21;

static IMAGE: LazyLock<Image> = LazyLock::new(|| {
    let mut bench = Bench::personalised(64);
    give(&mut bench, METRO, CITY, &rights(METRO)).unwrap();
    bench.memory.image()
});

/// The APDUs of a tap at a door, which a stranger has listened to.
static HEARD: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut bench = Bench::of(&IMAGE);
    bench.heard = Some(std::cell::RefCell::new(Vec::new()));
    Door::of(CITY).tap(&mut bench).unwrap();
    bench.heard.take().unwrap().into_inner()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn no_run_of_commands_without_a_key_breaks_what_always_holds(moves in moves()) {
        let mut bench = Bench::of(&IMAGE);
        let mut before = bench.standing(METRO).unwrap();
        for step in moves {
            match step {
                Move::Raw(bytes) => { prop_assert!(bench.command(&bytes).len() >= 2); }
                Move::Native(command, data) => {
                    prop_assert!(bench.command(&native(command, &data)).len() >= 2);
                }
                Move::Open(epoch) => {
                    bench.command(&crate::privacy::open(METRO, epoch));
                }
                Move::SelectExpress => { bench.command(Apdu::select().as_bytes()); }
                Move::SelectManagement => { bench.command(&SELECT); }
                Move::Application(is_held) => {
                    bench.command(&native(0x5A, &scope(if is_held { METRO } else { "none" })));
                }
                Move::Begin(number) => { bench.command(&native(0x71, &[number, 0])); }
                Move::Reset => bench.card.reset(),
                Move::Tap => {
                    let drained = before.for_nothing >= 8;
                    let used_up = before.batches[0].2 >= 64;
                    prop_assert_eq!(bench.tap(METRO, none).is_ok(), !drained && !used_up);
                }
                Move::SelectStandard(is_first) => {
                    let name = if is_first { EXPEDITED_APPLICATION } else { STEP_UP_APPLICATION };
                    let length = u8::try_from(name.len()).unwrap();
                    bench.command(&[&[0, 0xA4, 4, 0, length], &name[..], &[0]].concat());
                }
                Move::Standard(step, spoil) => {
                    let mut command = HEARD[step % HEARD.len()].clone();
                    if let Some((place, by)) = spoil {
                        let place = place % command.len();
                        command[place] ^= by;
                    }
                    prop_assert!(bench.command(&command).len() >= 2);
                }
                Move::Door(is_home) => {
                    let door = Door::of(if is_home { CITY } else { CITY + 1 });
                    prop_assert_eq!(door.tap(&mut bench).is_ok(), is_home);
                }
                Move::Session(number) => {
                    let key = operator_keys(METRO, 1)[usize::from(number)].0;
                    prop_assert!(Desk::open(&mut bench, scope(METRO), number, &key).is_ok());
                }
            }
            let after = bench.standing(METRO).unwrap();
            // Shown and taps grow and never more than is there; without a gate or a key nothing else
            // changes.
            let ((_, count, shown, taps), (_, _, shown_before, taps_before)) =
                (after.batches[0], before.batches[0]);
            prop_assert!(shown >= shown_before && shown <= count && taps >= taps_before);
            prop_assert!(u32::from(shown) >= taps && after.for_nothing <= 8);
            prop_assert_eq!(after.counted, before.counted);
            prop_assert_eq!(&after.versions, &before.versions);
            before = after;
        }
        // What is in memory is a card, the same one.
        prop_assert_eq!(bench.again().standing(METRO), Some(before));
        bench.update(METRO).unwrap();
        prop_assert!(bench.standing(METRO).unwrap().batches[0].2 >= 64 || bench.tap(METRO, ride).is_ok());
    }
}
