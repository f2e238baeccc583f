//! The standard tap of a card: which pass it shows to whom, what it knows of the time, and what it does
//! with bytes that are none of a tap.

use card::management::{PASS_FILE, keys};
use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret, PublicKey};
use credential::rights::Rights;
use presentation::standard::reader::Carrier;
use presentation::standard::{CONTROL_FLOW, EXPEDITED_APPLICATION, STEP_UP_APPLICATION};

use crate::bench::{Bench, Image, METRO, TOWN_HALL, batch, none, scope};
use crate::cuts::TEARS;
use crate::desk::{Desk, Fault};
use crate::door::{DAY, Door, LOADED, blob, document, give, give_in, rights};

const CITY: u8 = 0x21;
const OTHER_CITY: u8 = 0x22;

/// A rider's card with a pass of the metro in it.
fn rider() -> Bench {
    let mut bench = Bench::personalised(3);
    give(&mut bench, METRO, CITY, &rights(METRO)).unwrap();
    bench.card.reset();
    bench
}

#[test]
fn a_card_shows_its_pass_to_readers_of_its_city_however_they_bring_their_certificate() {
    let mut bench = rider();
    for carrier in [Carrier::LoadCert, Carrier::Auth1] {
        let door = Door { carrier, ..Door::of(CITY) };
        assert_eq!(door.tap(&mut bench).unwrap(), rights(METRO));
    }
    let mut again = bench.again();
    assert_eq!(Door::of(CITY).tap(&mut again).unwrap(), rights(METRO));
    // The express tap beside it goes on.
    assert!(again.tap(METRO, none).is_ok());
}

#[test]
fn readers_that_do_not_prove_themselves_get_what_a_card_without_a_pass_answers() {
    let mut bench = rider();
    let wrong = [
        Door::of(OTHER_CITY),
        Door { signs_with: P256Secret::from_bytes([1; 32]), ..Door::of(CITY) },
        Door { name: Some("somebody else".into()), ..Door::of(CITY) },
        Door { dates: (LOADED - 9 * DAY, LOADED - DAY), ..Door::of(CITY) },
    ];
    for door in wrong {
        let mut answers = Vec::new();
        for card in [&mut bench, &mut Bench::personalised(3)] {
            let mut heard = Vec::new();
            card.memory.trace();
            let tapped = door.tap_heard(card, &mut |command, answer| {
                heard.push((command[1], answer.len(), answer[answer.len() - 2..].to_vec()));
                answer
            });
            assert!(tapped.is_err());
            // Who has a stop watch sees no writing, either.
            answers.push((heard, card.memory.trace()));
        }
        let [with, without] = <[_; 2]>::try_from(answers).unwrap();
        if door.name.is_none() {
            assert_eq!(with, without);
        }
    }
    assert!(Door::of(CITY).tap(&mut bench).is_ok(), "the control");
}

/// As the chip of a passport does: the latest beginning of a certificate by which a reader proved itself.
#[test]
fn a_card_learns_the_time_from_readers_that_prove_themselves_and_from_no_others() {
    let mut bench = rider();
    let old = Door { dates: (LOADED - 9 * DAY, LOADED + DAY), ..Door::of(CITY) };
    let new = Door { dates: (LOADED + 3 * DAY, LOADED + 9 * DAY), ..Door::of(CITY) };
    assert!(old.tap(&mut bench).is_ok());
    // Who has a certificate and not its key moves nothing.
    let thief = Door {
        dates: (LOADED + 3 * DAY, LOADED + 9 * DAY),
        signs_with: P256Secret::from_bytes([1; 32]),
        ..Door::of(CITY)
    };
    assert!(thief.tap(&mut bench).is_err());
    assert!(old.tap(&mut bench).is_ok());
    assert!(new.tap(&mut bench).is_ok());
    let mut bench = bench.again();
    assert!(old.tap(&mut bench).is_err(), "it ended before the other began");
    assert!(new.tap(&mut bench).is_ok());
    // An operator who comes with a new pass says what the time is.
    give(&mut bench, METRO, CITY, &rights(METRO)).unwrap();
    assert!(old.tap(&mut bench).is_ok());
}

#[test]
fn of_passes_for_one_authority_the_one_that_opened_is_shown_and_of_others_each_at_home() {
    let mut bench = rider();
    give(&mut bench, TOWN_HALL, CITY, &rights(TOWN_HALL)).unwrap();
    let (open, closed) = (Door::of(CITY), Door { opens: false, ..Door::of(CITY) });
    let mut shown = |door: &Door| door.tap(&mut bench).unwrap().operator.to_string();
    assert_eq!(shown(&open), METRO);
    assert_eq!(shown(&closed), METRO);
    assert_eq!(shown(&closed), TOWN_HALL);
    assert_eq!([shown(&open), shown(&open)], [METRO, METRO]);
    assert_eq!(shown(&closed), METRO);
    assert_eq!([shown(&open), shown(&open)], [TOWN_HALL, TOWN_HALL]);
    // Wherever it goes, one tap finds out; also where places have run out.
    for _ in 0..300 {
        let first = shown(&closed);
        let second = shown(&open);
        assert_ne!(first, second);
    }
    // Of another city there is one.
    give(&mut bench, TOWN_HALL, OTHER_CITY, &rights(TOWN_HALL)).unwrap();
    assert_eq!(Door::of(OTHER_CITY).tap(&mut bench).unwrap(), rights(TOWN_HALL));
    assert_eq!(Door::of(CITY).tap(&mut bench).unwrap(), rights(METRO));
}

#[test]
fn a_reader_that_proves_itself_takes_back_the_count_of_handles_that_were_shown_for_nothing() {
    let mut bench = rider();
    bench.load(METRO, &batch(METRO, crate::bench::EPOCH, 10..30)).unwrap();
    bench.command(presentation::express::wire::Apdu::select().as_bytes());
    for _ in 0..9 {
        bench.command(&crate::privacy::open(METRO, crate::bench::EPOCH));
    }
    assert!(bench.tap(METRO, none).is_err());
    assert!(Door::of(OTHER_CITY).tap(&mut bench).is_err());
    assert!(bench.tap(METRO, none).is_err());
    assert!(Door::of(CITY).tap(&mut bench).is_ok());
    assert!(bench.tap(METRO, none).is_ok());
}

#[test]
fn a_pass_is_for_a_key_of_the_card_and_for_who_need_not_be_asked() {
    let mut bench = Bench::personalised(1);
    let holder_only = Rights { holder_only: true, ..rights(METRO) };
    let refused = give(&mut bench, METRO, CITY, &holder_only);
    assert_eq!(refused, Err(Fault::Status([0x91, 0x9D])));
    type Bend = fn(u8, u8, [u8; 65]) -> Vec<u8>;
    let good = |point| document(&rights(METRO), point);
    let stranger = || AwsLc.p256_public(&P256Secret::from_bytes([5; 32])).unwrap();
    let wrong: [(Bend, u8); 8] = [
        (|a, m, _| blob([a, m], &[CITY], &document(&rights(METRO), [4; 65]), b"m"), 0x9E),
        (|_, m, point| blob([9, m], &[CITY], &document(&rights(METRO), point), b"m"), 0x40),
        (|a, _, point| blob([a, 0], &[CITY], &document(&rights(METRO), point), b"m"), 0x40),
        (|a, m, point| blob([a, m], &[], &document(&rights(METRO), point), b"m"), 0x9E),
        (|a, m, point| blob([a, m], &[CITY; 5], &document(&rights(METRO), point), b"m"), 0x9E),
        (|a, m, point| blob([a, m], &[CITY], &document(&rights(METRO), point), b""), 0x7E),
        (|a, m, point| blob([a, m], &[CITY], &document(&rights(METRO), point)[..99], b"m"), 0x9E),
        (|a, m, point| blob([a, m], &[CITY], &document(&rights(METRO), point), &[0; 6_000]), 0xBE),
    ];
    for (number, (bend, status)) in wrong.into_iter().enumerate() {
        let mut desk = bench.update(METRO).unwrap();
        let (access, point) = desk.draw(keys::SIGNS).unwrap();
        let (mdoc, _) = desk.draw(keys::SIGNS).unwrap();
        desk.put(PASS_FILE, &bend(access, mdoc, point)).unwrap();
        assert_eq!(desk.commit(), Err(Fault::Status([0x91, status])), "{number}");
    }
    let mut desk = bench.update(METRO).unwrap();
    let (_, _) = desk.draw(keys::SIGNS).unwrap();
    let (_, _) = desk.draw(keys::SIGNS).unwrap();
    desk.put(PASS_FILE, &blob([1, 2], &[CITY], &good(stranger()), b"m")).unwrap();
    assert_eq!(desk.commit(), Err(Fault::Status([0x91, 0x9E])), "a key of somebody else");
    assert!(Door::of(CITY).tap(&mut bench).is_err());
    give(&mut bench, METRO, CITY, &rights(METRO)).unwrap();
    assert!(Door::of(CITY).tap(&mut bench).is_ok(), "the control");
    assert_eq!(bench.update(METRO).unwrap().read(PASS_FILE, 0, 8).unwrap(), LOADED.to_be_bytes());
}

#[test]
fn a_desk_has_signed_what_it_needs_and_cannot_have_the_card_tap_from_afar() {
    let mut bench = rider();
    let mut desk = bench.update(METRO).unwrap();
    let (number, point) = desk.draw(keys::SIGNS).unwrap();
    let message = b"eyJhbGciOiJFUzI1NiJ9.e30";
    let signature = desk.sign(number, message).unwrap();
    assert_eq!(signature.len(), 64);
    AwsLc.verify(&PublicKey::P256(point), message, &signature).unwrap();
    desk.sign(keys::HELD, b"limen express keys 1\0").unwrap();
    // What a device signs at a door begins with the identifier of the reader.
    let refused = desk.sign(number, &[0x4D, 0x20, 1, 2, 3]);
    assert_eq!(refused, Err(Fault::Status([0x91, 0x9D])));
    // Keys are gone with their session, and a message is signed once.
    let mut desk = bench.update(METRO).unwrap();
    assert_eq!(desk.sign(number, message), Err(Fault::Status([0x91, 0x40])));
    let mut desk = bench.update(METRO).unwrap();
    desk.sign(keys::HELD, message).unwrap();
    let again = desk.exchange(0xD3, &[keys::HELD], None, false);
    assert_eq!(again, Err(Fault::Status([0x91, 0x7E])));
    // The identifying key, which is that of all cards, draws and signs nothing.
    let key = crate::bench::operator_keys(METRO, 1)[1].0;
    let mut desk =
        crate::desk::Desk::open(&mut bench, crate::bench::scope(METRO), 1, &key).unwrap();
    assert_eq!(desk.draw(keys::SIGNS), Err(Fault::Status([0x91, 0x9D])));
    let mut desk = bench.update(METRO).unwrap();
    for _ in 0..keys::DRAWN_MAX {
        desk.draw(keys::SIGNS).unwrap();
    }
    assert_eq!(desk.draw(keys::SIGNS), Err(Fault::Status([0x91, 0x0E])));
    // An application without a pass has no key to sign with.
    let mut desk = bench.update(TOWN_HALL).unwrap();
    assert_eq!(desk.sign(keys::HELD, message), Err(Fault::Status([0x91, 0x40])));
}

#[test]
fn a_pass_that_comes_while_the_power_goes_is_the_old_one_or_the_new() {
    let image = rider().memory.image();
    let newer = Rights { product: "newer".parse().unwrap(), ..rights(METRO) };
    let (mut old, mut new) = (0, 0);
    for tear in TEARS {
        for left in 0.. {
            let mut bench = Bench::of(&image);
            bench.memory.cut_after(left, tear);
            let is_done = give(&mut bench, METRO, CITY, &newer).is_ok();
            let was_cut = bench.memory.is_off();
            let mut again = bench.again();
            let shown = Door::of(CITY).tap(&mut again).unwrap();
            assert!(shown == newer || shown == rights(METRO), "{tear:?} {left}: a third");
            assert!(!is_done || shown == newer, "{tear:?} {left}: done, and lost");
            *(if shown == newer { &mut new } else { &mut old }) += 1;
            // What comes next finds a card that works.
            if left % 30 == 0 {
                give(&mut again, METRO, CITY, &newer).unwrap();
                assert_eq!(Door::of(CITY).tap(&mut again).unwrap(), newer);
            }
            if !was_cut {
                break;
            }
        }
    }
    assert!(old > 4 * 900 && new >= 4, "{old} {new}");
}

/// What a tap writes: the time that it learns, and whether the door opened.
#[test]
fn a_tap_that_is_cut_leaves_a_card_that_taps() {
    let image = rider().memory.image();
    let later = Door { dates: (LOADED + DAY, LOADED + 9 * DAY), opens: false, ..Door::of(CITY) };
    for tear in TEARS {
        for left in 0..700 {
            let mut bench = Bench::of(&image);
            bench.memory.cut_after(left, tear);
            let tapped = later.tap(&mut bench);
            assert!(tapped.is_ok() || bench.memory.is_off(), "{tapped:?}");
            assert!(Door::of(CITY).tap(&mut bench.again()).is_ok(), "{tear:?} {left}");
        }
    }
}

/// The bytes of a tap, and what the card does where one is not as it was.
#[test]
fn every_apdu_that_is_spoiled_gets_a_status_word_and_the_next_tap_works() {
    let image = rider().memory.image();
    let commands = commands(&image);
    assert!(commands.len() >= 7, "{}", commands.len());
    for (step, command) in commands.iter().enumerate() {
        for bad in crate::input::spoiled(command).into_iter().step_by(3) {
            let mut bench = Bench::of(&image);
            commands[..step].iter().for_each(|good| drop(bench.command(good)));
            let answer = bench.command(&bad);
            assert!(answer.len() >= 2, "{bad:02x?}");
            let late = bench.command(command);
            assert!(late.len() >= 2);
            assert!(Door::of(CITY).tap(&mut bench).is_ok(), "{step} {bad:02x?}");
        }
    }
    for first in 0..commands.len() {
        for second in 0..commands.len() {
            let mut bench = Bench::of(&image);
            for step in [first, second, first] {
                assert!(bench.command(&commands[step]).len() >= 2);
            }
            assert!(Door::of(CITY).tap(&mut bench).is_ok(), "{first} {second}");
        }
    }
}

fn commands(image: &Image) -> Vec<Vec<u8>> {
    let mut bench = Bench::of(image);
    bench.heard = Some(std::cell::RefCell::new(Vec::new()));
    Door::of(CITY).tap(&mut bench).unwrap();
    bench.heard.take().unwrap().into_inner()
}

#[test]
fn applications_are_left_and_found_again() {
    let mut bench = rider();
    let select = |name: &[u8]| {
        let length = u8::try_from(name.len()).unwrap();
        [&[0, 0xA4, 4, 0, length], name, &[0]].concat()
    };
    assert_eq!(bench.command(&select(&STEP_UP_APPLICATION)), [0x6A, 0x82], "it belongs to a tap");
    let offered = bench.command(&select(&EXPEDITED_APPLICATION));
    assert!(offered.ends_with(&[0x90, 0]));
    let blank = Bench::blank().command(&select(&EXPEDITED_APPLICATION));
    assert_eq!(offered, blank, "every card offers the same");
    // A tap that goes to the express application is over.
    let commands = commands(&bench.memory.image());
    commands[..3].iter().for_each(|good| drop(bench.command(good)));
    bench.command(presentation::express::wire::Apdu::select().as_bytes());
    assert_eq!(bench.command(&commands[3]), [0x6D, 0x00]);
    bench.command(&[0x80, CONTROL_FLOW, 0, 0, 6, 0x41, 1, 1, 0x42, 1, 0]);
    assert!(Door::of(CITY).tap(&mut bench).is_ok());
    // Deleting the application takes the pass with it.
    let key = crate::bench::city_keys(1)[0].0;
    let mut desk = crate::desk::Desk::open(&mut bench, card::ROOT, 0, &key).unwrap();
    desk.exchange(0xDA, &crate::bench::scope(METRO), None, false).unwrap();
    let keys = crate::bench::operator_keys(METRO, 1);
    desk.create(crate::bench::scope(METRO), 1, &keys).unwrap();
    assert!(Door::of(CITY).tap(&mut bench).is_err());
    let mut desk = bench.update(METRO).unwrap();
    assert_eq!(desk.read(PASS_FILE, 0, 0), Err(Fault::Status([0x91, 0xF0])));
    let mut desk = bench.update(METRO).unwrap();
    give_in(&mut desk, CITY, &rights(METRO)).unwrap();
    assert!(Door::of(CITY).tap(&mut bench).is_ok());
}

/// A deletion that is cut leaves the pass and its keys in memory: who comes next must not have them.
#[test]
fn a_pass_whose_deletion_was_cut_goes_to_nobody() {
    let image = rider().memory.image();
    let city = crate::bench::city_keys(1)[0].0;
    let (next, own) = ([5; 8], crate::bench::operator_keys("a", 1));
    let mut deleted = 0;
    for tear in TEARS {
        for left in (150..700).step_by(7).chain((700..30_000).step_by(1_009)) {
            let mut bench = Bench::of(&image);
            bench.memory.cut_after(left, tear);
            let desk = Desk::open(&mut bench, card::ROOT, 0, &city);
            let _ = desk.and_then(|mut it| it.exchange(0xDA, &scope(METRO), None, false));
            let mut again = bench.again();
            if again.standing(METRO).is_some() {
                continue;
            }
            deleted += 1;
            let mut desk = Desk::open(&mut again, card::ROOT, 0, &city).unwrap();
            desk.create(next, 1, &own).unwrap();
            assert!(Door::of(CITY).tap(&mut again).is_err(), "{tear:?} {left}");
            for signs in [false, true] {
                let mut desk = Desk::open(&mut again, next, 2, &own[2].0).unwrap();
                let (answer, status) = if signs {
                    (desk.sign(keys::HELD, b"limen express keys 1\0"), 0x40)
                } else {
                    (desk.read(PASS_FILE, 0, 0), 0xF0)
                };
                assert_eq!(answer, Err(Fault::Status([0x91, status])), "{tear:?} {left}");
            }
        }
    }
    assert!(deleted > 4 * 30, "{deleted}");
}

/// The operator vouches for what it loads: what it says of time and authorities locks no other out.
#[test]
fn a_pass_with_hostile_times_and_authorities_shuts_nobody_else_out() {
    for floor in [i64::MAX, i64::MAX / 1_000_000 + 1] {
        let mut bench = rider();
        let mut desk = bench.update(TOWN_HALL).unwrap();
        let (access, point) = desk.draw(keys::SIGNS).unwrap();
        let (mdoc, _) = desk.draw(keys::SIGNS).unwrap();
        let document = document(&rights(TOWN_HALL), point);
        let mut pass = blob([access, mdoc], &[OTHER_CITY, CITY], &document, b"m");
        pass[..8].copy_from_slice(&floor.to_be_bytes());
        // The first authority is no point of the curve.
        pass[11..76].fill(4);
        desk.put(PASS_FILE, &pass).unwrap();
        desk.commit().unwrap();
        assert_eq!(Door::of(CITY).tap(&mut bench).unwrap(), rights(METRO), "{floor}");
        let mut again = bench.again();
        assert_eq!(Door::of(CITY).tap(&mut again).unwrap(), rights(METRO), "{floor}");
        assert!(Door::of(OTHER_CITY).tap(&mut again).is_err());
    }
}

/// A count that went on would be greater than the handles of the new pass's index, and accuse its owner
/// (specs/express-tap.md, "Reconciliation").
#[test]
fn taps_are_counted_anew_with_a_new_pass_and_go_on_with_more_handles_of_the_same() {
    let mut bench = rider();
    let epoch = crate::bench::EPOCH;
    let taps = |bench: &mut Bench| bench.tap(METRO, none).unwrap().0.taps;
    bench.load(METRO, &batch(METRO, epoch, 3..6)).unwrap();
    assert_eq!([taps(&mut bench), taps(&mut bench)], [1, 2]);
    bench.load(METRO, &batch(METRO, epoch, 10..12)).unwrap();
    assert_eq!(taps(&mut bench), 3, "the same pass");
    give(&mut bench, METRO, CITY, &rights(METRO)).unwrap();
    let mut bench = bench.again();
    assert_eq!(taps(&mut bench), 4, "a handle of the pass before");
    bench.load(METRO, &batch(METRO, epoch, 20..23)).unwrap();
    assert_eq!([taps(&mut bench), taps(&mut bench)], [1, 2]);
    bench.load(METRO, &batch(METRO, epoch, 30..33)).unwrap();
    assert_eq!(taps(&mut bench), 3);
}
