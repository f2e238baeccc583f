//! The linking game of `specs/express-tap.md` against the real code, and against devices that break it.
//!
//! Each game has two devices of one scope and epoch. The adversary sees taps of both, then taps of the one that a coin
//! chose, and names it. It chooses what it says to them, relays a genuine gate where it likes, and decides by one of
//! [`ADVERSARIES`]. A fair coin strays from no advantage by 0.03 in [`GAMES`] games.

use presentation::express::handle::{Content, Index};
use presentation::express::holder::Standing;
use presentation::express::reader::ReaderError;

use crate::express_session::{Device, Draw, Session, Turn};

const GAMES: u32 = 1_000;
/// Taps of each device, and again of the one that was chosen.
const TAPS: usize = 4;
/// More than four times what a fair coin strays.
const NONE: f64 = 0.14;

/// What is wrong with the devices.
#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    Nothing,
    ShowsHandlesAgain,
    CountsInClear,
    AnswersShortWithoutHandle,
}

/// How far the adversary goes.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    /// It is the reader, without the epoch key.
    Open,
    /// It stands between the device and a genuine gate.
    Relay,
}

struct Game {
    flaw: Flaw,
    reach: Reach,
    /// Whether the second device has handles.
    has_second_handles: bool,
}

const FAIR: Game = Game { flaw: Flaw::Nothing, reach: Reach::Open, has_second_handles: true };

/// All messages of one tap, one after another.
type Tap = Vec<u8>;

struct Player {
    session: Session,
    device: Device,
    taps: u32,
}

impl Player {
    fn new(draw: &mut Draw, base: &Session, index: u32, handles: usize) -> Self {
        let status = Index { index, ..base.content.status };
        let content = Content { status, is_counted: false, ..base.content };
        let standing = Standing { taps: 1 + index % 7, ..base.standing };
        let session = Session { content, standing, next: None, has_handle: false, ..base.clone() };
        let mut device = session.device();
        let keys = session.keys();
        for number in 0..handles {
            let content = Content { number: u16::try_from(number).unwrap(), ..content };
            let crypto = &credential::rustcrypto::RustCrypto;
            device.pocket.fresh.push(keys.seal(crypto, &content, draw.bytes()));
        }
        Self { session, device, taps: index }
    }

    fn tap(&mut self, draw: &mut Draw, game: &Game) -> Tap {
        self.device.entropy = draw.bytes();
        let mut gate = Session { reader_fresh: draw.bytes(), ..self.session.clone() }.gate();
        let mut tap = Vec::new();
        let mut turn = gate.turn(None);
        while let Turn::Command(command) = turn {
            let handle = self.device.pocket.fresh.last().cloned();
            let answer = self.device.answer(&command);
            let answer = self.bend(answer, game.flaw, handle.is_some());
            if game.flaw == Flaw::ShowsHandlesAgain && command[1] == 0x50 {
                self.device.pocket.fresh.extend(handle);
            }
            tap.extend([&command[..], &answer].concat());
            if game.reach == Reach::Open && command[1] == 0x50 {
                // The fresh value is its own: it learns nothing from what it said.
                return answer;
            }
            turn = gate.turn(Some(&answer));
        }
        if let Turn::Over(outcome) = turn {
            assert!(matches!(outcome, Ok(_) | Err(ReaderError::Open(_) | ReaderError::Proof)));
        }
        tap
    }

    /// The answer to OPEN of a device with a flaw.
    fn bend(&mut self, mut answer: Vec<u8>, flaw: Flaw, has_handle: bool) -> Vec<u8> {
        if answer.len() != 78 {
            return answer;
        }
        self.taps += 1;
        match flaw {
            Flaw::CountsInClear => answer[60..64].copy_from_slice(&self.taps.to_be_bytes()),
            Flaw::AnswersShortWithoutHandle if !has_handle => drop(answer.drain(..60)),
            _ => {}
        }
        answer
    }
}

/// How much alike two taps are, in the eyes of an adversary.
type Likeness = fn(&Tap, &Tap) -> f64;

const ADVERSARIES: [(&str, Likeness); 6] = [
    ("equal strings", equal_strings),
    ("lengths", lengths),
    ("repeated bytes", repeated_bytes),
    ("counters", counters),
    ("chi-square", chi_square),
    ("bits", bits),
];

/// Strings of eight bytes that both have, anywhere.
fn equal_strings(left: &Tap, right: &Tap) -> f64 {
    let strings: std::collections::HashSet<&[u8]> = left.windows(8).collect();
    count(right.windows(8).filter(|string| strings.contains(string)).count())
}

fn lengths(left: &Tap, right: &Tap) -> f64 {
    -count(left.len().abs_diff(right.len()))
}

/// Bytes that are the same at the same place.
fn repeated_bytes(left: &Tap, right: &Tap) -> f64 {
    count(left.iter().zip(right).filter(|(left, right)| left == right).count())
}

/// Numbers of four bytes at the same place that lie less than 1,000 apart.
fn counters(left: &Tap, right: &Tap) -> f64 {
    let numbers = |tap: &Tap| -> Vec<u32> {
        tap.windows(4).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap())).collect()
    };
    let near = |(left, right): &(u32, u32)| left.abs_diff(*right) < 1_000;
    count(numbers(left).into_iter().zip(numbers(right)).filter(near).count())
}

/// How well the bytes of both are of one distribution.
fn chi_square(left: &Tap, right: &Tap) -> f64 {
    let mut counts = [[0.0; 256]; 2];
    for (counts, tap) in counts.iter_mut().zip([left, right]) {
        tap.iter().for_each(|byte| counts[usize::from(*byte)] += 1.0);
    }
    let pairs = counts[0].iter().zip(&counts[1]).filter(|(left, right)| **left + **right > 0.0);
    -pairs.map(|(left, right): (&f64, &f64)| (left - right).powi(2) / (left + right)).sum::<f64>()
}

/// Bits that are the same at the same place.
fn bits(left: &Tap, right: &Tap) -> f64 {
    left.iter().zip(right).map(|(left, right)| f64::from((!(left ^ right)).count_ones())).sum()
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}

/// What each adversary has over tossing a coin: 0 for nothing, 1 for always right.
fn advantages(game: &Game) -> Vec<(&'static str, f64)> {
    let mut draw = Draw::new(4);
    let mut wins = [0_u32; ADVERSARIES.len()];
    for _ in 0..GAMES {
        let base = draw.session();
        let second = if game.has_second_handles { 2 * TAPS } else { 0 };
        let mut players = [
            Player::new(&mut draw, &base, 10_000, 2 * TAPS),
            Player::new(&mut draw, &base, 90_000, second),
        ];
        let bit = draw.below(2) as usize;
        let mut taps = |player: &mut Player| -> Vec<Tap> {
            (0..TAPS).map(|_| player.tap(&mut draw, game)).collect()
        };
        let (first, second) = (taps(&mut players[0]), taps(&mut players[1]));
        let chosen = taps(&mut players[bit]);
        for ((_, likeness), wins) in ADVERSARIES.iter().zip(&mut wins) {
            let like = |known: &[Tap]| -> f64 {
                let pairs = known.iter().flat_map(|one| chosen.iter().map(move |two| (one, two)));
                pairs.map(|(one, two)| likeness(one, two)).sum()
            };
            let (first, second) = (like(&first), like(&second));
            let guess = if first == second { draw.below(2) } else { u32::from(second > first) };
            *wins += u32::from(guess as usize == bit);
        }
    }
    let advantage = |wins: &u32| (2.0 * f64::from(*wins) / f64::from(GAMES) - 1.0).abs();
    ADVERSARIES.iter().zip(&wins).map(|((name, _), wins)| (*name, advantage(wins))).collect()
}

fn check_nobody_wins(game: &Game) {
    for (name, advantage) in advantages(game) {
        assert!(advantage < NONE, "{name} has {advantage}");
    }
}

fn check_is_won(game: &Game, by: &str) {
    let all = advantages(game);
    let (_, advantage) = all.iter().find(|(name, _)| *name == by).unwrap();
    assert!(*advantage > 0.9, "{by} has {advantage} only, all: {all:?}");
}

#[test]
fn nobody_links_the_answers_to_open() {
    check_nobody_wins(&FAIR);
}

#[test]
fn nobody_links_taps_at_a_genuine_gate() {
    check_nobody_wins(&Game { reach: Reach::Relay, ..FAIR });
}

#[test]
fn nobody_tells_a_device_without_handles_by_its_answer() {
    check_nobody_wins(&Game { has_second_handles: false, ..FAIR });
}

#[test]
fn devices_that_break_the_rules_are_linked() {
    let flawed = |flaw| Game { flaw, ..FAIR };
    check_is_won(&flawed(Flaw::ShowsHandlesAgain), "equal strings");
    check_is_won(&flawed(Flaw::CountsInClear), "counters");
    let short = Game { has_second_handles: false, ..flawed(Flaw::AnswersShortWithoutHandle) };
    check_is_won(&short, "lengths");
}

/// The limit that the specification names: a gate falls through to another profile, and that is seen.
#[test]
fn a_device_without_handles_is_known_at_a_genuine_gate() {
    check_is_won(&Game { reach: Reach::Relay, has_second_handles: false, ..FAIR }, "lengths");
}
