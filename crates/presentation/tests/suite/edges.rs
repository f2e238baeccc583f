//! One APDU of a tap replaced by another of its kind: the error that names what was wrong.

use presentation::apdu::chain::CollectResponseError;
use presentation::apdu::{LinkLimits, ParseCommandError, ParseResponseError, StatusWord, chain};
use presentation::engagement;
use presentation::holder::{Ending, HolderError, Input, Output};
use presentation::ndef::handover::{self, ParseHandoverError};
use presentation::ndef::tag::ParseContainerError;
use presentation::session::ChannelError;
use presentation::session::message::{ParseSessionError, SessionData, SessionStatus};
use presentation::verifier::VerifierError;

use crate::pair::{Pair, Way};

/// The number of the answer to each command of a tap with one ENVELOPE.
const CONTAINER: usize = 5;
const LENGTH: usize = 9;
const MESSAGE: usize = 11;
const ESTABLISHMENT: usize = 14;
const ANSWER: usize = 15;
const GOODBYE: usize = 16;

fn replaced(at: usize, make: impl Fn(&[u8]) -> Vec<u8>) -> Pair {
    let mut pair = Pair::short(1);
    pair.run(&mut |number, _, bytes| vec![if number == at { make(bytes) } else { bytes.to_vec() }]);
    pair
}

/// What the verifier says when the answer with this number is replaced.
fn check_verifier(at: usize, make: impl Fn(&[u8]) -> Vec<u8>, error: VerifierError) {
    let pair = replaced(at, make);
    assert_eq!(pair.sent[at].0, Way::ToVerifier, "{at}");
    assert_eq!(pair.verifier_closed, Some(Err(error)), "{at}");
    assert_eq!(pair.responses, []);
}

/// What the holder says when the command with this number is replaced.
fn check_holder(at: usize, make: impl Fn(&[u8]) -> Vec<u8>, error: HolderError) {
    let pair = replaced(at, make);
    assert_eq!(pair.sent[at].0, Way::ToHolder, "{at}");
    assert_eq!(pair.holder_closed, Some(Err(error)), "{at}");
}

fn without_last_data_byte(bytes: &[u8]) -> Vec<u8> {
    let (data, status) = bytes.split_at(bytes.len() - 2);
    [&data[..data.len() - 1], status].concat()
}

fn answer(message: &SessionData<'_>) -> Vec<u8> {
    chain::ResponseQueue::new(&message.encode()).unwrap().take(256)
}

#[test]
fn wrong_answers_to_the_engagement_are_named() {
    let status = StatusWord::NOT_FOUND;
    for at in (1..=13).step_by(2) {
        check_verifier(at, |_| vec![0x6A, 0x82], VerifierError::Status(status));
        check_verifier(at, |_| vec![0x90], VerifierError::Response(ParseResponseError::Truncated));
    }
    let error = VerifierError::Container(ParseContainerError::Length);
    check_verifier(CONTAINER, without_last_data_byte, error);
    check_verifier(LENGTH, without_last_data_byte, VerifierError::ReadLength);
    check_verifier(LENGTH, |_| vec![0, 0, 0x90, 0], VerifierError::MessageLength);
    check_verifier(LENGTH, |_| vec![0x7F, 0, 0x90, 0], VerifierError::MessageLength);
    check_verifier(MESSAGE, without_last_data_byte, VerifierError::ReadLength);
    check_verifier(MESSAGE, |bytes| [&[0], bytes].concat(), VerifierError::ReadLength);
}

#[test]
fn a_phone_that_offers_no_nfc_is_named() {
    let engagement = engagement::build(&[4; 65], &[]);
    let select = handover::build(&engagement, LinkLimits::SHORT).unwrap();
    // The reference of the alternative carrier now names a record that does not exist.
    let select: Vec<_> = select.iter().enumerate().map(|(i, b)| b ^ u8::from(i == 13)).collect();
    let select = &select;
    let error = VerifierError::NoCarrier;
    check_verifier(MESSAGE, |_| [&select[..], &[0x90, 0]].concat(), error);
    let error = VerifierError::Handover(ParseHandoverError::NotSelect);
    check_verifier(MESSAGE, |bytes| [&[bytes[0], 2, bytes[2], b'X'], &bytes[4..]].concat(), error);
}

#[test]
fn wrong_answers_to_the_request_are_named() {
    let error = VerifierError::Collect(CollectResponseError::Status(StatusWord::CONDITIONS));
    check_verifier(ANSWER, |_| vec![0x69, 0x85], error);
    let error = VerifierError::Collect(CollectResponseError::Empty);
    check_verifier(ANSWER, |_| vec![0x90, 0], error);
    let error = VerifierError::Answer(ParseSessionError::Missing);
    check_verifier(ANSWER, |_| vec![0x53, 1, 0xA0, 0x90, 0], error);
    let ended = SessionData { data: None, status: Some(SessionStatus::EncryptionError) };
    let error = VerifierError::HolderEnded(SessionStatus::EncryptionError);
    check_verifier(ANSWER, |_| answer(&ended), error);
    let short = SessionData { data: Some(&[1, 2, 3]), status: None };
    let error = VerifierError::Channel(ChannelError::Undecryptable);
    check_verifier(ANSWER, |_| answer(&short), error);
}

#[test]
fn the_verifier_tells_the_phone_what_was_wrong_with_its_answer() {
    for (message, status) in [
        (answer(&SessionData { data: Some(&[1]), status: None }), SessionStatus::EncryptionError),
        (vec![0x53, 1, 0xA0, 0x90, 0], SessionStatus::DecodingError),
    ] {
        let pair = replaced(ANSWER, |_| message.clone());
        let told = SessionData { data: None, status: Some(status) }.encode();
        let told = chain::envelopes(&told, LinkLimits::SHORT).unwrap().remove(0);
        assert_eq!(pair.sent[GOODBYE], (Way::ToHolder, told));
        assert_eq!(pair.holder_closed, Some(Err(HolderError::Reported(status))));
    }
}

#[test]
fn an_answer_that_also_ends_the_session_needs_no_goodbye() {
    let mut pair = Pair::short(1);
    pair.run(&mut |number, _, bytes| {
        if number != ANSWER {
            return vec![bytes.to_vec()];
        }
        // 53 LL A1 .. becomes 53 LL A2 .. status 20.
        let message = presentation::apdu::object::unwrap(&bytes[..bytes.len() - 2]).unwrap();
        let data = SessionData::parse(message).unwrap().data;
        vec![answer(&SessionData { data, status: Some(SessionStatus::Termination) })]
    });
    assert_eq!((pair.responses.len(), pair.verifier_closed), (1, Some(Ok(()))));
    assert_eq!(pair.sent.len(), GOODBYE);
    assert_eq!(pair.holder_closed, Some(Ok(Ending::Presented)));
}

#[test]
fn data_behind_a_command_that_asked_for_none_is_named() {
    let mut pair = Pair::short(1);
    pair.request = vec![7; 600];
    pair.run(&mut |number, _, bytes| match number {
        ANSWER => vec![[&[7], bytes].concat()],
        _ => vec![bytes.to_vec()],
    });
    assert_eq!(pair.verifier_closed, Some(Err(VerifierError::Unexpected)));
}

#[test]
fn a_request_longer_than_a_session_carries_is_named() {
    let mut pair = Pair::short(1);
    pair.request = vec![7; chain::COMMAND_MESSAGE_BYTES_MAX];
    pair.run_whole();
    assert_eq!(pair.verifier_closed, Some(Err(VerifierError::RequestTooLong)));
    assert_eq!(pair.requests, []);
}

#[test]
fn wrong_commands_to_the_session_are_named() {
    let at = ESTABLISHMENT;
    check_holder(at, |_| vec![0], HolderError::Command(ParseCommandError::Header));
    let chain = |error| HolderError::Chain(error);
    let error = chain(chain::CollectCommandError::NotEnvelope);
    check_holder(at, |_| vec![0, 0xA4, 4, 0], error);
    let error = HolderError::Establishment(ParseSessionError::Missing);
    check_holder(at, |_| vec![0, 0xC3, 0, 0, 3, 0x53, 1, 0xA0, 0], error);
    let error = chain(chain::CollectCommandError::NotEnvelope);
    check_holder(GOODBYE, |_| vec![0, 0xC0, 0, 0, 0], error);
    check_holder(GOODBYE, |_| vec![0, 0xC3, 0, 0, 3, 0x53, 1, 0xA0, 0], HolderError::Unexpected);
}

#[test]
fn only_get_response_fetches_the_rest_of_an_answer() {
    for (command, takes) in [
        (&[0, 0xC0, 0, 0, 0][..], true),
        (&[0, 0xC0, 0, 1, 0], false),
        (&[0x10, 0xC0, 0, 0, 0], false),
        (&[0, 0xC0, 0, 0, 1, 7, 0], false),
        (&[0, 0xC0, 0, 0], false),
        (&[0, 0xC3, 0, 0, 0], false),
    ] {
        let mut pair = Pair::short(1);
        pair.response = vec![7; 1_000];
        pair.run(&mut |number, _, bytes| {
            vec![if number == GOODBYE { command.to_vec() } else { bytes.to_vec() }]
        });
        assert_eq!(pair.responses.len(), usize::from(takes), "{command:02x?}");
        if !takes {
            assert_eq!(pair.holder_closed, Some(Err(HolderError::Unexpected)));
        }
    }
}

#[test]
fn a_link_that_breaks_before_the_answer_is_whole_is_named_by_the_holder() {
    for (response_bytes, ending) in
        [(10, Ok(Ending::Presented)), (1_000, Err(HolderError::LinkLost))]
    {
        let mut pair = Pair::short(1);
        pair.response = vec![7; response_bytes];
        pair.run(&mut |number, _, bytes| {
            if number <= ESTABLISHMENT { vec![bytes.to_vec()] } else { vec![] }
        });
        // Time ended this one; the same stage ends at once when the link says so.
        let timed_out = if ending.is_ok() { ending } else { Err(HolderError::TimedOut) };
        assert_eq!(pair.holder_closed, Some(timed_out));

        let mut pair = Pair::short(1);
        pair.response = vec![7; response_bytes];
        let commands = {
            let mut other = Pair::short(1);
            other.response = vec![7; response_bytes];
            other.run_whole();
            other.sent
        };
        let mut ended = None;
        for (way, bytes) in commands.iter().take(ESTABLISHMENT + 1) {
            if *way == Way::ToHolder {
                pair.feed_holder(Input::Command(bytes));
            }
            while let Some(output) = pair.holder.poll_output() {
                if matches!(output, Output::Request { .. }) {
                    let response = pair.response.clone();
                    pair.feed_holder(Input::Respond(&response));
                }
            }
        }
        pair.feed_holder(Input::LinkLost);
        while let Some(output) = pair.holder.poll_output() {
            if let Output::Closed(ending) = output {
                ended = Some(ending);
            }
        }
        assert_eq!(ended, Some(ending));
    }
}
