//! Recorded express taps played again: to a gate, mixed with one another, and to the device.

use presentation::express::Transport;
use presentation::express::reader::ReaderError;

use crate::express_session::{Draw, Exchange, Outcome, Session, Turn};

/// Taps that are recorded before they are played again.
const RECORDINGS: usize = 1_000;

/// The answers, given to a gate with another fresh value.
fn play(session: &Session, answers: &[&[u8]], reader_fresh: [u8; 16]) -> Outcome {
    let mut gate = Session { reader_fresh, ..session.clone() }.gate();
    let mut answers = answers.iter();
    let mut turn = gate.turn(None);
    loop {
        match turn {
            Turn::Over(outcome) => return outcome,
            Turn::Command(_) => match answers.next() {
                Some(answer) => turn = gate.turn(Some(answer)),
                None => return Err(ReaderError::Unexpected),
            },
        }
    }
}

/// Plays `count` recorded taps, all of one scope and epoch, each in four ways; none may be accepted.
pub(crate) fn check_recordings(count: usize) {
    let mut draw = Draw::new(5);
    let city = draw.session();
    for _ in 0..count.div_ceil(RECORDINGS) {
        let sessions: Vec<Session> = (0..RECORDINGS).map(|_| tap_of(&city, &mut draw)).collect();
        let recordings: Vec<Vec<Exchange>> = sessions.iter().map(record).collect();
        for (at, session) in sessions.iter().enumerate() {
            let own = answers(&recordings[at]);
            let other = answers(&recordings[(at + 1) % RECORDINGS]);
            let again = play(session, &own, draw.bytes());
            assert_eq!(again, Err(ReaderError::Proof), "a recording");
            let mixed: Vec<&[u8]> = [&own[..2], &other[2..]].concat();
            let mixed = play(session, &mixed, session.reader_fresh);
            assert_eq!(mixed, Err(ReaderError::Proof), "the answer to PROVE of another tap");
            check_device(session, &recordings[at]);
            // Control: a gate whose fresh value repeats takes the recording.
            if at % 100 == 0 {
                assert!(play(session, &own, session.reader_fresh).is_ok());
            }
        }
    }
}

/// What the gate said, said again to the device: it shows no handle twice, so that PROVE is of no use.
fn check_device(session: &Session, recording: &[Exchange]) {
    let mut device = session.device();
    for exchange in recording {
        assert_eq!(device.answer(&exchange.command), exchange.answer, "control: the first time");
    }
    device.pocket.fresh.push(Session { nonce: [1; 12], ..session.clone() }.handle());
    let again: Vec<Vec<u8>> =
        recording.iter().map(|exchange| device.answer(&exchange.command)).collect();
    assert_eq!(again[1].len(), 78, "another handle");
    assert!(again[2..].iter().all(|answer| answer.len() == 2), "and no proof");
}

fn tap_of(city: &Session, draw: &mut Draw) -> Session {
    let Session { epoch_key, operator, zone, epoch, .. } = city.clone();
    let tap = draw.session();
    let transport = Transport::Nfc;
    Session { epoch_key, operator, zone, epoch, transport, has_handle: true, ..tap }
}

fn record(session: &Session) -> Vec<Exchange> {
    let (outcome, _, log) = session.run(|_| {});
    assert!(outcome.is_ok());
    log
}

fn answers(recording: &[Exchange]) -> Vec<&[u8]> {
    recording.iter().map(|exchange| &exchange.answer[..]).collect()
}
