//! A short story with one whole tap, for tests of the page.

use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret};
use credential::jose::base64url;
use presentation::apdu::chain::{ResponseQueue, envelopes};
use presentation::apdu::{Command, GET_RESPONSE, LinkLimits};
use presentation::engagement::{self, RetrievalMethod};
use presentation::holder::MDOC_APPLICATION;
use presentation::ndef::{handover, tag};
use presentation::session::message::{self, SessionData, SessionStatus};
use serde_json::json;

use crate::demo::story::{Outcome, Step, Story, Tap};

const OK: [u8; 2] = [0x90, 0x00];

/// Engagement, a request in two parts, an answer in two parts, a good-bye without an answer.
pub(super) fn tap() -> Tap {
    let key = AwsLc.p256_public(&P256Secret::from_bytes([7; 32])).unwrap();
    let limits = LinkLimits::SHORT;
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut add = |command: Vec<u8>, response: &[&[u8]]| pairs.push((command, response.concat()));
    let encode = |command: Command<'_>| command.encode().unwrap();
    let engagement = engagement::build(&key, &[RetrievalMethod::Nfc(limits)]);
    let select = handover::build(&engagement, limits).unwrap();
    let file = tag::file(&select).unwrap();
    let (length, content) = file.split_at(2);
    let container = tag::Container { read_bytes: 255, file: tag::NDEF_FILE, file_bytes: 0x7FFF };
    add(encode(tag::select_application(&tag::APPLICATION)), &[&OK]);
    add(encode(tag::select_file(&tag::CONTAINER_FILE.to_be_bytes())), &[&OK]);
    add(encode(tag::read_binary(0, 15)), &[&container.encode(), &OK]);
    add(encode(tag::select_file(&tag::NDEF_FILE.to_be_bytes())), &[&OK]);
    add(encode(tag::read_binary(0, 2)), &[length, &OK]);
    let size = u32::try_from(content.len()).unwrap();
    add(encode(tag::read_binary(2, size)), &[content, &OK]);
    add(encode(tag::select_application(&MDOC_APPLICATION)), &[&OK]);
    let request = message::establishment(&engagement::key_bytes(&key), &[0xAB; 300]);
    let mut answer = ResponseQueue::new(&sealed(&[0xCD; 500], None)).unwrap();
    let [first, last] = <[_; 2]>::try_from(envelopes(&request, limits).unwrap()).unwrap();
    add(first, &[&OK]);
    add(last, &[&answer.take(256)]);
    let rest = tag::read_binary(0, 256);
    add(encode(Command { instruction: GET_RESPONSE, ..rest }), &[&answer.take(65_536)]);
    let end = sealed(&[], Some(SessionStatus::Termination));
    add(envelopes(&end, limits).unwrap().remove(0), &[]);
    let text = |(command, response): (Vec<u8>, Vec<u8>)| {
        [base64url::encode(&command), base64url::encode(&response)]
    };
    Tap { duration_us: 4_321, profile: None, apdus: pairs.into_iter().map(text).collect() }
}

fn sealed(data: &[u8], status: Option<SessionStatus>) -> Vec<u8> {
    SessionData { data: Some(data).filter(|data| !data.is_empty()), status }.encode()
}

/// A step without a tap, one that opened a door, one that was refused, as they should be.
pub(super) fn story() -> Story {
    let step = |name, title, outcome, tap| Step {
        name,
        title,
        expected: outcome,
        outcome,
        reason: format!("why {name}"),
        duration_us: 1_000,
        tap,
    };
    Story {
        steps: vec![
            step("stop-server", "The server stops", Outcome::Done, None),
            step("tap-gate", "The gate", Outcome::Granted, Some(tap())),
            step("replayed", "The recording", Outcome::Refused, Some(tap())),
        ],
        log: json!({ "size": 1_234, "root": "cm9vdA==", "verified": true }),
    }
}
