//! `vectors/express-tap.json`: every input, every value between and every APDU of some taps.
//!
//! The values between are computed here from HMAC and SHA-256 alone, as the specification says; the APDUs come
//! from both ends at work, and are opened with those values.

use credential::crypto::Crypto;
use credential::rustcrypto::RustCrypto;
use presentation::express::handle::{Content, Index};
use presentation::express::holder::Standing;
use presentation::express::reader::{Counted, Presence};
use presentation::express::{Transport, class_tag, list_tag, product_tag};
use serde_json::{Value, json};

use crate::express_session::{Draw, Exchange, Session, word};

/// The checked-in file; `UPDATE_EXPECT=1 cargo test -p presentation express` writes it anew.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/express-tap.json");

const SOURCE: &str = "Limen's own, computed: crates/presentation/tests/suite/express_vectors.rs writes it and \
    holds the code to it, crates/conformance/peers/express.py computes it again from specs/express-tap.md. \
    Bytes are in hexadecimal, numbers in decimal.";

#[test]
fn the_vectors_are_what_both_ends_say() {
    let sessions: Vec<Value> =
        sessions().into_iter().map(|(name, session)| vector(name, &session)).collect();
    let file = json!({ "source": SOURCE, "specification": "specs/express-tap.md, version 1", "sessions": sessions });
    let computed = serde_json::to_string_pretty(&file).unwrap() + "\n";
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(PATH, &computed).unwrap();
    }
    let checked_in = std::fs::read_to_string(PATH).unwrap();
    assert!(
        checked_in == computed,
        "run `UPDATE_EXPECT=1 cargo test -p presentation express` and read the diff"
    );
}

/// The taps of the file.
fn sessions() -> Vec<(&'static str, Session)> {
    let counted = counted();
    let mut draw = Draw::new(1);
    vec![
        ("a counted ticket of a zone, over NFC", counted.clone()),
        ("a pass without class at the doors of no zone, over Bluetooth", uncounted()),
        ("a device without a handle", Session { has_handle: false, ..uncounted() }),
        (
            "a state that does not follow",
            Session { next: Some(Counted { sequence: 9, value: 8, mark: [1; 4] }), ..counted },
        ),
        ("all numbers at their least", extreme(0)),
        ("all numbers at their greatest", extreme(0xFF)),
        ("drawn at random", draw.session()),
    ]
}

fn counted() -> Session {
    let mut draw = Draw::new(0);
    let epoch = 20_787;
    Session {
        operator: "metro".to_owned(),
        zone: Some("a".to_owned()),
        epoch,
        content: Content {
            needs_presence: true,
            is_counted: true,
            product: product_tag(&RustCrypto, "month-pass"),
            class: Some(class_tag(&RustCrypto, "first")),
            status: Index {
                list: list_tag(&RustCrypto, "https://city.example/status/1"),
                index: 4711,
            },
            not_before: epoch * 86_400 + 18_000,
            not_after: epoch * 86_400 + 86_399,
            number: 3,
        },
        has_handle: true,
        transport: Transport::Nfc,
        at: epoch * 86_400 + 43_200,
        standing: Standing {
            taps: 3,
            presence: Presence::Confirmed,
            has_mail: false,
            counted: Counted { sequence: 17, value: 10, mark: [0xA1, 0xA2, 0xA3, 0xA4] },
        },
        next: Some(Counted { sequence: 18, value: 9, mark: [0xB1, 0xB2, 0xB3, 0xB4] }),
        ..draw.session()
    }
}

fn uncounted() -> Session {
    let pass = counted();
    Session {
        zone: None,
        content: Content { class: None, is_counted: false, needs_presence: false, ..pass.content },
        transport: Transport::Ble,
        standing: Standing {
            taps: 1,
            presence: Presence::None,
            has_mail: true,
            counted: Counted::default(),
        },
        next: None,
        ..pass
    }
}

/// Every byte that may be anything is `byte`.
fn extreme(byte: u8) -> Session {
    let number = u32::from_be_bytes([byte; 4]);
    let counted = Counted { sequence: number.saturating_sub(1), value: number, mark: [byte; 4] };
    Session {
        epoch_key: [byte; 32],
        epoch: number,
        content: Content {
            product: [byte; 8],
            class: Some([byte; 4]).filter(|class| *class != [0; 4]),
            status: Index { list: [byte; 4], index: number },
            not_before: number,
            not_after: number,
            number: u16::from_be_bytes([byte; 2]),
            ..counted_content()
        },
        nonce: [byte; 12],
        reader_fresh: [byte; 16],
        holder_fresh: [byte; 16],
        noise: [byte; 60],
        reader: [byte; 16],
        at: number,
        standing: Standing { taps: number.max(1), counted, ..counted_standing() },
        next: Some(Counted { sequence: counted.sequence + 1, ..counted }),
        ..self::counted()
    }
}

fn counted_content() -> Content {
    counted().content
}

fn counted_standing() -> Standing {
    counted().standing
}

fn vector(name: &str, session: &Session) -> Value {
    let (outcome, _, log) = session.run(|_| {});
    let between = Between::of(session, &log);
    if session.has_handle {
        between.open(session, &log);
    }
    let outcome = match outcome {
        Ok((proven, is_written)) => json!({ "taps": proven.taps, "written": is_written }),
        Err(error) => json!({ "refused": word(error) }),
    };
    json!({
        "name": name,
        "input": input(session),
        "between": between.json(),
        "apdus": log.iter().map(|exchange| json!({
            "command": hex(&exchange.command),
            "answer": hex(&exchange.answer),
        })).collect::<Vec<_>>(),
        "outcome": outcome,
    })
}

fn input(session: &Session) -> Value {
    let Session { content, standing, .. } = session;
    let state = |counted: Counted| json!({ "sequence": counted.sequence, "value": counted.value, "mark": hex(&counted.mark) });
    json!({
        "epoch_key": hex(&session.epoch_key),
        "operator": session.operator,
        "zone": session.zone,
        "epoch": session.epoch,
        "content": {
            "conditions": u8::from(content.needs_presence) | u8::from(content.is_counted) << 1,
            "product": hex(&content.product),
            "class": hex(&content.class.unwrap_or_default()),
            "list": hex(&content.status.list),
            "index": content.status.index,
            "from": content.not_before,
            "until": content.not_after,
            "number": content.number,
        },
        "nonce": hex(&session.nonce),
        "has_handle": session.has_handle,
        "noise": hex(&session.noise),
        "transport": hex(&[session.transport.byte()]),
        "reader_fresh": hex(&session.reader_fresh),
        "holder_fresh": hex(&session.holder_fresh),
        "reader": hex(&session.reader),
        "at": session.at,
        "standing": {
            "taps": standing.taps,
            "presence": standing.presence as u8,
            "mail": u8::from(standing.has_mail),
            "state": state(standing.counted),
        },
        "commit": session.next.filter(|_| content.is_counted).map(state),
    })
}

/// The values between, by the words of the specification.
struct Between {
    context: Vec<u8>,
    seal: [u8; 32],
    hold: [u8; 32],
    handle: Vec<u8>,
    tap: [u8; 32],
    proprietary: Vec<u8>,
    transcript: [u8; 32],
    reader: [u8; 32],
    holder: [u8; 32],
}

fn expand(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    RustCrypto.hmac_sha256(key, &[&parts.concat()[..], &[1]].concat())
}

impl Between {
    fn of(session: &Session, log: &[Exchange]) -> Self {
        let zone = session.zone.as_deref().unwrap_or_default();
        let scope = format!("limen express scope 1\0{}\0{zone}", session.operator);
        let scope = RustCrypto.sha256(scope.as_bytes());
        let context = [&scope[..8], &session.epoch.to_be_bytes()].concat();
        let seal = expand(&session.epoch_key, &[b"limen express 1 seal", &context]);
        let hold = expand(&session.epoch_key, &[b"limen express 1 hold", &context]);
        let handle = session.handle().0.0.to_vec();
        let tap = expand(&hold, &[b"limen express 1 tap", &handle]);
        let select = &log[0].answer;
        let proprietary = select[13..select.len() - 2].to_vec();
        let length = u8::try_from(proprietary.len()).unwrap();
        let transcript = [
            b"limen express 1",
            &[session.transport.byte(), length][..],
            &proprietary,
            &[1, 0],
            &context,
            &session.reader_fresh,
            &handle,
            &session.holder_fresh,
        ];
        let transcript = RustCrypto.sha256(&transcript.concat());
        let reader = expand(&tap, &[b"limen express 1 reader", &transcript]);
        let holder = expand(&tap, &[b"limen express 1 holder", &transcript]);
        Self { context, seal, hold, handle, tap, proprietary, transcript, reader, holder }
    }

    /// Opens the handle and every message with these values, and sees that they say what was put in.
    fn open(&self, session: &Session, log: &[Exchange]) {
        let handle = &log[1].answer[..60];
        assert_eq!(handle, self.handle);
        let aad = [&b"limen express 1 handle"[..], &self.context].concat();
        let nonce = handle[..12].try_into().unwrap();
        let content = gcm(&self.seal, nonce, &aad, &handle[12..]);
        assert_eq!(content[18..22], session.content.status.index.to_be_bytes());
        let counter = |count: u8| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, count];
        let opened =
            |key, count, sealed: &[u8]| gcm(key, &counter(count), &self.transcript, sealed);
        let data = |command: &[u8]| command[5..command.len() - 1].to_vec();
        let body = |answer: &[u8]| answer[..answer.len() - 2].to_vec();
        let prove = opened(&self.reader, 1, &data(&log[2].command));
        assert_eq!(prove, [&session.reader[..], &session.at.to_be_bytes()].concat());
        let proven = opened(&self.holder, 1, &body(&log[2].answer));
        assert_eq!(proven[..4], session.standing.taps.to_be_bytes());
        if let (Some(commit), Some(next)) = (log.get(3), session.next) {
            let text = opened(&self.reader, 2, &data(&commit.command));
            let parts = [next.sequence.to_be_bytes(), next.value.to_be_bytes(), next.mark];
            assert_eq!(text, parts.concat());
            if commit.answer.len() > 2 {
                let text = opened(&self.holder, 2, &body(&commit.answer));
                assert_eq!(text, next.sequence.to_be_bytes());
            }
        }
    }

    fn json(&self) -> Value {
        json!({
            "scope": hex(&self.context[..8]),
            "context": hex(&self.context),
            "K_seal": hex(&self.seal),
            "K_hold": hex(&self.hold),
            "handle": hex(&self.handle),
            "K_tap": hex(&self.tap),
            "proprietary": hex(&self.proprietary),
            "T": hex(&self.transcript),
            "K_R": hex(&self.reader),
            "K_H": hex(&self.holder),
        })
    }
}

fn gcm(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], sealed: &[u8]) -> Vec<u8> {
    let mut buffer = sealed.to_vec();
    RustCrypto.open_aes256_gcm(key, nonce, aad, &mut buffer).unwrap();
    buffer
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
