//! What a card tells who has no key: nothing that is not the same on every card.

use card::management;
use presentation::express::wire::Apdu;
use presentation::express::{Context, ScopeId};

use crate::bench::{Bench, EPOCH, METRO, TOWN_HALL, none, operator_keys, scope};
use crate::desk::{Desk, Fault, SELECT, native};

/// OPEN of a gate of `operator`.
pub(crate) fn open(operator: &str, epoch: u32) -> Vec<u8> {
    let context = Context { scope: ScopeId(scope(operator)), epoch };
    let data = [&[1, 0][..], &context.to_bytes(), &[0x5F; 16]].concat();
    [&[0x80, 0x50, 0, 0, 30], &data[..], &[0]].concat()
}

/// Status word and length are all that answers without a key may have in common.
fn shape(answer: &[u8]) -> (usize, Vec<u8>) {
    (answer.len(), answer[answer.len() - 2..].to_vec())
}

#[test]
fn cards_with_and_without_an_application_answer_alike_and_take_as_long() {
    let (mut rider, mut stranger) = (Bench::personalised(12), Bench::personalised(12));
    let absent = "library";
    let wrong = native(0xAF, &[0x77; 32]);
    let commands = |operator: &str| {
        vec![
            Apdu::select().as_bytes().to_vec(),
            open(operator, EPOCH),
            open(operator, EPOCH),
            [&[0x80, 0x52, 0, 0, 36], &[0; 36][..], &[0]].concat(),
            open(operator, EPOCH + 1),
            open(operator, EPOCH - 700),
            SELECT.to_vec(),
            native(0x5A, &scope(operator)),
            native(0x64, &[0]),
            native(0x64, &[2]),
            native(0x64, &[3]),
            native(0x71, &[0, 0]),
            wrong.clone(),
            native(0x71, &[2, 0]),
            wrong.clone(),
            native(0x71, &[1, 0]),
            native(0x71, &[3, 0]),
            native(0xCA, &[0; 68]),
            native(0xAD, &[0; 15]),
        ]
    };
    rider.memory.trace();
    stranger.memory.trace();
    for (held, other) in commands(METRO).into_iter().zip(commands(absent)) {
        let (one, two) = (rider.command(&held), stranger.command(&other));
        assert_eq!(shape(&one), shape(&two), "{held:02x?}");
        if one.len() < 16 {
            assert_eq!(one, two, "{held:02x?}");
        }
        assert_eq!(rider.memory.trace(), stranger.memory.trace(), "{held:02x?}");
    }
    // The control: with a key the two are told apart.
    assert!(rider.tap(METRO, none).is_ok());
    assert!(stranger.tap(absent, none).is_err());
}

#[test]
fn the_answers_to_select_and_the_atr_are_those_of_every_card() {
    let (mut blank, mut full) = (Bench::blank(), Bench::personalised(3));
    for select in [&SELECT[..], Apdu::select().as_bytes()] {
        assert_eq!(blank.command(select), full.command(select));
    }
    assert_eq!(card::HISTORICAL, b"Limen");
    // No command without a key tells the identifier.
    for command in [0x51, 0x6A, 0x60, 0xAD, 0xF5] {
        full.command(&SELECT);
        assert_eq!(full.command(&native(command, &[])).len(), 2);
    }
}

/// All that a card ever answers to who has no key is searched for its identifier and its scopes.
#[test]
fn neither_identifier_nor_scopes_are_in_any_answer_without_a_key() {
    let mut bench = Bench::personalised(12);
    let mut heard = Vec::new();
    for instruction in 0..=255_u8 {
        for (class, select) in
            [(0x90, &SELECT[..]), (0x80, Apdu::select().as_bytes()), (0, &SELECT)]
        {
            for data in [&[][..], &[0], &[0; 8], &[0; 30]] {
                heard.extend(bench.command(select));
                let mut command = vec![class, instruction, 0, 0];
                if !data.is_empty() {
                    command.push(u8::try_from(data.len()).unwrap());
                    command.extend(data);
                }
                command.push(0);
                heard.extend(bench.command(&command));
            }
        }
    }
    let is_heard = |secret: &[u8]| heard.windows(secret.len()).any(|bytes| bytes == secret);
    assert!(!is_heard(&crate::bench::IDENTIFIER));
    assert!(!is_heard(&scope(METRO)) && !is_heard(&scope(TOWN_HALL)));
    assert!(is_heard(&management::APPLICATION), "the control: what is said is found");
}

#[test]
fn who_has_but_the_identifying_key_does_not_clear_the_count_of_failures() {
    let mut bench = Bench::personalised(1);
    let [master, identify, update] = operator_keys(METRO, 1).map(|(key, _)| key);
    let mut open = |number, key: &[u8; 16]| Desk::open(&mut bench, scope(METRO), number, key).err();
    for attempt in 1..card::FAILURES_MAX {
        assert_eq!(open(0, &[7; 16]), Some(Fault::Status([0x91, 0xAE])), "{attempt}");
        if attempt % 100 == 0 {
            assert_eq!(open(1, &identify), None);
        }
    }
    // One is left: it may succeed, and counts for nothing then.
    assert_eq!((open(1, &identify), open(1, &identify)), (None, None));
    assert_eq!(open(2, &[7; 16]), Some(Fault::Status([0x91, 0xAE])));
    for (number, key) in [(0, master), (1, identify), (2, update)] {
        assert_eq!(open(number, &key), Some(Fault::Status([0x91, 0xAD])));
    }
}

#[test]
fn failures_are_counted_before_they_are_known_and_end_at_their_limit() {
    let mut bench = Bench::personalised(3);
    let refused = |bench: &mut Bench, scope| Desk::open(bench, scope, 2, &[7; 16]).err();
    for operator in [METRO, "library"] {
        for attempt in 0..card::FAILURES_MAX {
            if attempt % 2 == 0 {
                // Pulled away before it is told that the key is wrong.
                bench.command(&SELECT);
                bench.command(&native(0x5A, &scope(operator)));
                assert_eq!(bench.command(&native(0x71, &[2, 0])).len(), 18);
                bench.card.reset();
            } else {
                let told = refused(&mut bench, scope(operator));
                assert_eq!(told, Some(Fault::Status([0x91, 0xAE])), "{attempt}");
            }
            if (operator, attempt) == (METRO, card::FAILURES_MAX - 2) {
                // At the limit less one the right key still opens, and all is forgotten.
                bench.update(METRO).unwrap();
                for _ in 1..card::FAILURES_MAX {
                    bench.command(&native(0x71, &[2, 0]));
                }
            }
        }
        let told = refused(&mut bench, scope(operator));
        assert_eq!(told, Some(Fault::Status([0x91, 0xAD])));
    }
    assert_eq!(bench.update(METRO).err(), Some(Fault::Status([0x91, 0xAD])));
    // Taps, other operators and the card itself go on.
    assert!(bench.tap(METRO, none).is_ok());
    assert!(bench.update(TOWN_HALL).is_ok());
    assert!(Desk::open(&mut bench, card::ROOT, 0, &crate::bench::city_keys(1)[0].0).is_ok());
}
