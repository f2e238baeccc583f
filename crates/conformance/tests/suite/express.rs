//! The express tap against an implementation in Python, written from `specs/express-tap.md` alone: its vectors,
//! and 10,000 random taps in each role, one in three with something changed on its way.

use conformance::peer::{Implementation, Peer};
use presentation::express::handle::Content;
use presentation::express::reader::Counted;
use serde_json::{Value, json};

use crate::express_session::{Draw, GateRun, Outcome, Session, Turn, word};

/// Taps in each role.
const TAPS: usize = 10_000;
/// Taps that go side by side, one step of all of them in one job.
const TAPS_AT_ONCE: usize = 1_000;
/// SELECT, OPEN, PROVE, COMMIT.
const STEPS_MAX: usize = 4;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// A tap, and the bit of one of its messages that is changed on its way, if any.
struct Case {
    session: Session,
    bend: Option<(usize, u32)>,
}

impl Case {
    fn draw(draw: &mut Draw) -> Self {
        let mut session = draw.session();
        // One writer in eight does not count right.
        if draw.below(8) == 0 {
            session.next = session.next.map(|next| Counted { sequence: draw.number(), ..next });
        }
        // The first message is left alone: which application a strange SELECT finds is the device's matter.
        let message = 1 + draw.below(7) as usize;
        let bend = (draw.below(3) == 0).then(|| (message, draw.number()));
        Self { session, bend }
    }

    /// What comes of the message with this number.
    fn carry(&self, number: usize, mut message: Vec<u8>) -> Vec<u8> {
        if let Some((_, bit)) = self.bend.filter(|(place, _)| *place == number) {
            let bit = bit as usize % (message.len() * 8);
            message[bit / 8] ^= 1 << (bit % 8);
        }
        message
    }

    /// Both ends by us.
    fn ours(&self) -> (Outcome, Vec<Vec<u8>>) {
        let mut number = 0;
        let mut sent = Vec::new();
        let (outcome, _, _) = self.session.run(|message| {
            sent.push(message.clone());
            *message = self.carry(number, core::mem::take(message));
            number += 1;
        });
        (outcome, sent)
    }

    fn gate_job(&self) -> Value {
        let Session { epoch_key, operator, zone, epoch, reader_fresh, reader, at, .. } =
            &self.session;
        let next = self.session.next.map(
            |next| json!({ "sequence": next.sequence, "value": next.value, "mark": mark(next) }),
        );
        json!({
            "key": hex(epoch_key), "operator": operator, "zone": zone, "epoch": epoch, "n_r": hex(reader_fresh),
            "transport": self.session.transport.byte(), "reader": hex(reader), "at": at, "commit": next,
        })
    }

    fn holder_job(&self) -> Value {
        let Session { standing, holder_fresh, noise, .. } = &self.session;
        let (handle, tap_key) = self.session.handle();
        let context = self.session.context();
        let handle = json!({
            "scope": hex(&context.scope.0), "epoch": context.epoch, "handle": hex(&handle.0),
            "tap_key": hex(tap_key.danger_bytes()),
        });
        let counted = standing.counted;
        json!({
            "transport": self.session.transport.byte(),
            "handles": Some(handle).filter(|_| self.session.has_handle).into_iter().collect::<Vec<_>>(),
            "n_h": hex(holder_fresh), "noise": hex(noise) + &hex(holder_fresh),
            "presence": standing.presence as u8, "mail": u8::from(standing.has_mail), "taps": standing.taps - 1,
            "state": { "sequence": counted.sequence, "value": counted.value, "last": mark(counted) },
        })
    }
}

const fn mark(counted: Counted) -> u32 {
    u32::from_be_bytes(counted.mark)
}

fn cases() -> impl Iterator<Item = Vec<Case>> {
    let mut draw = Draw::new(2);
    (0..TAPS / TAPS_AT_ONCE)
        .map(move |_| (0..TAPS_AT_ONCE).map(|_| Case::draw(&mut draw)).collect())
}

/// What a gate of the peer says at the end, as ours says it.
fn peers_words(outcome: &Outcome) -> Value {
    match outcome {
        Ok((proven, is_written)) => {
            let mut said = json!({
                "taps": proven.taps, "presence": proven.presence as u8, "mail": u8::from(proven.has_mail),
                "sequence": proven.counted.sequence, "value": proven.counted.value,
                "last": mark(proven.counted), "content": content(&proven.content),
            });
            if *is_written {
                said["committed"] = json!(true);
            }
            said
        }
        Err(error) => json!({ "refused": word(*error) }),
    }
}

fn content(content: &Content) -> Value {
    json!({
        "format": 1,
        "conditions": u8::from(content.needs_presence) | u8::from(content.is_counted) << 1,
        "product": hex(&content.product),
        "class": hex(&content.class.unwrap_or_default()),
        "list": hex(&content.status.list),
        "index": content.status.index,
        "from": content.not_before,
        "until": content.not_after,
        "number": content.number,
    })
}

/// The peer tells apart what ours calls malformed, and bits of mail that mean nothing yet.
fn in_our_words(mut said: Value) -> Value {
    if let Some(refused) = said.get("refused").and_then(Value::as_str) {
        let refused = match refused {
            "length" | "answer to SELECT" | "sequence" | "presence" => "malformed",
            "format" => "handle",
            word => word,
        };
        return json!({ "refused": refused });
    }
    if said.get("committed").is_some() {
        said["committed"] = json!(true);
    }
    said
}

#[test]
fn the_vectors_are_computed_by_another_from_the_specification() {
    let file = include_str!("../../../../vectors/express-tap.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let sessions = &file["sessions"];
    let mut peer = Peer::start(Implementation::Express).unwrap();
    let answer = peer.ask(&json!({ "job": "vectors", "sessions": sessions })).unwrap();
    let computed = answer["computed"].as_array().unwrap();
    assert_eq!(computed.len(), sessions.as_array().unwrap().len());
    for (computed, ours) in computed.iter().zip(sessions.as_array().unwrap()) {
        assert_eq!(computed["between"], ours["between"], "{}", ours["name"]);
        assert_eq!(computed["apdus"], ours["apdus"], "{}", ours["name"]);
    }
}

#[test]
fn our_gates_meet_devices_written_by_another() {
    let mut peer = Peer::start(Implementation::Express).unwrap();
    let (mut proven, mut refused) = (0, 0);
    for cases in cases() {
        let jobs: Vec<Value> = cases.iter().map(Case::holder_job).collect();
        peer.ask(&json!({ "job": "holders", "sessions": jobs })).unwrap();
        let mut gates: Vec<GateRun> = cases.iter().map(|case| case.session.gate()).collect();
        let mut turns: Vec<Turn> = gates.iter_mut().map(|gate| gate.turn(None)).collect();
        for step in 0..STEPS_MAX {
            let carried = |(case, turn): (&Case, &Turn)| match turn {
                Turn::Command(command) => json!(hex(&case.carry(2 * step, command.clone()))),
                Turn::Over(_) => Value::Null,
            };
            let commands: Vec<Value> = cases.iter().zip(&turns).map(carried).collect();
            let said = peer.ask(&json!({ "job": "hear_commands", "commands": commands })).unwrap();
            for (index, answer) in said["said"].as_array().unwrap().iter().enumerate() {
                if matches!(turns[index], Turn::Command(_)) {
                    let answer = cases[index].carry(2 * step + 1, unhex(answer));
                    turns[index] = gates[index].turn(Some(&answer));
                }
            }
        }
        let states = peer.ask(&json!({ "job": "states" })).unwrap();
        for ((case, turn), state) in
            cases.iter().zip(turns).zip(states["states"].as_array().unwrap())
        {
            let Turn::Over(outcome) = turn else { panic!("a tap that does not end") };
            assert_eq!(outcome, case.ours().0);
            proven += usize::from(outcome.is_ok());
            refused += usize::from(outcome.is_err());
            if let Ok((said, is_written)) = outcome {
                let next = case.session.next.filter(|_| is_written).unwrap_or(said.counted);
                assert_eq!(state["state"], json!([next.sequence, next.value, mark(next)]));
            }
        }
    }
    assert_eq!(proven + refused, TAPS);
    assert!(proven > TAPS / 2 && refused > TAPS / 4, "{proven} proven, {refused} refused");
}

#[test]
fn our_devices_meet_gates_written_by_another() {
    let mut peer = Peer::start(Implementation::Express).unwrap();
    let (mut proven, mut refused) = (0, 0);
    for cases in cases() {
        let jobs: Vec<Value> = cases.iter().map(Case::gate_job).collect();
        let mut devices: Vec<_> = cases.iter().map(|case| case.session.device()).collect();
        let mut said = peer.ask(&json!({ "job": "gates", "sessions": jobs })).unwrap();
        let mut ends = vec![Value::Null; cases.len()];
        for step in 0..=STEPS_MAX {
            let mut answers = vec![Value::Null; cases.len()];
            for (index, turn) in said["said"].as_array().unwrap().iter().enumerate() {
                if turn.is_string() {
                    let command = cases[index].carry(2 * step, unhex(turn));
                    let answer = devices[index].answer(&command);
                    answers[index] = json!(hex(&cases[index].carry(2 * step + 1, answer)));
                } else if !turn.is_null() {
                    ends[index] = turn.clone();
                }
            }
            said = peer.ask(&json!({ "job": "hear_answers", "answers": answers })).unwrap();
        }
        for (case, end) in cases.iter().zip(ends) {
            let (outcome, _) = case.ours();
            assert_eq!(in_our_words(end), peers_words(&outcome));
            proven += usize::from(outcome.is_ok());
            refused += usize::from(outcome.is_err());
        }
    }
    assert_eq!(proven + refused, TAPS);
    assert!(proven > TAPS / 2 && refused > TAPS / 4, "{proven} proven, {refused} refused");
}

#[test]
fn handles_made_by_another_open() {
    let mut draw = Draw::new(3);
    let sessions: Vec<Session> = (0..TAPS_AT_ONCE).map(|_| draw.session()).collect();
    let job = |session: &Session| {
        json!({
            "key": hex(&session.epoch_key), "operator": session.operator, "zone": session.zone,
            "epoch": session.epoch, "nonce": hex(&session.nonce), "content": content(&session.content),
        })
    };
    let requests: Vec<Value> = sessions.iter().map(job).collect();
    let mut peer = Peer::start(Implementation::Express).unwrap();
    let answer = peer.ask(&json!({ "job": "make", "requests": requests })).unwrap();
    for (session, made) in sessions.iter().zip(answer["made"].as_array().unwrap()) {
        let (handle, tap_key) = session.handle();
        assert_eq!(unhex(&made["handle"]), handle.0);
        assert_eq!(unhex(&made["tap_key"]), tap_key.danger_bytes());
        assert_eq!(unhex(&made["scope"]), session.context().scope.0);
    }
}
