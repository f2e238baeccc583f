//! Taps as they should go, and as the two callers may end them.

use credential::crypto::{Crypto, P256Secret};
use credential::rustcrypto::RustCrypto;
use presentation::apdu::chain::RESPONSE_MESSAGE_BYTES_MAX;
use presentation::apdu::{Command, LinkLimits, Response, StatusWord};
use presentation::holder::{
    self, COMMAND_TIMEOUT, CONSENT_TIMEOUT, ENGAGEMENT_TIMEOUT, ENGAGING_COMMANDS_MAX, Ending,
    Holder, HolderError, MDOC_APPLICATION,
};
use presentation::ndef::tag;
use presentation::session::message::SessionStatus;
use presentation::verifier::{self, REQUEST_TIMEOUT, Verifier, VerifierError};
use std::time::Duration;
use vocabulary::time::Instant;

use crate::pair::{Consent, Pair, REQUEST, RESPONSE, Way};

/// A whole tap with a response of this size over links with these limits.
fn check(holder: LinkLimits, verifier: LinkLimits, response_bytes: usize) {
    let mut pair = Pair::new(1, holder, verifier);
    pair.response = vec![0x5A; response_bytes];
    pair.run_whole();
    let transcript = &pair.transcripts[0];
    assert_eq!(pair.requests, [(REQUEST.to_vec(), transcript.clone())]);
    assert_eq!(pair.responses, [(pair.response.clone(), transcript.clone())]);
    assert_eq!(pair.holder_closed, Some(Ok(Ending::Presented)));
    assert_eq!(pair.verifier_closed, Some(Ok(())));
    let both = holder.both(verifier);
    for (way, bytes) in &pair.sent {
        if *way == Way::ToHolder {
            let command = Command::parse(bytes).unwrap();
            assert!(command.data.len() <= usize::from(both.command_data_bytes()));
            assert!(command.expected_bytes <= both.response_data_bytes());
        } else {
            assert!(bytes.len() - 2 <= both.response_data_bytes() as usize);
        }
    }
}

#[test]
fn a_tap_carries_request_and_response_over_any_link() {
    let odd = LinkLimits::new(300, 1_000).unwrap();
    for response_bytes in [0, 1, 200, 256, 3_562, 70_000] {
        check(LinkLimits::SHORT, LinkLimits::SHORT, response_bytes);
        check(LinkLimits::EXTENDED, LinkLimits::EXTENDED, response_bytes);
        check(odd, LinkLimits::EXTENDED, response_bytes);
        check(LinkLimits::EXTENDED, LinkLimits::SHORT, response_bytes);
    }
}

#[test]
fn a_tap_over_an_extended_link_takes_nine_commands() {
    let mut pair = Pair::new(1, LinkLimits::EXTENDED, LinkLimits::EXTENDED);
    pair.response = vec![0x5A; 3_562];
    pair.run_whole();
    let commands = pair.sent.iter().filter(|(way, _)| *way == Way::ToHolder).count();
    assert_eq!(commands, 9);
}

#[test]
fn nothing_is_disclosed_before_the_caller_answers() {
    let mut pair = Pair::short(1);
    pair.consent = Consent::Silence;
    let begun = pair.now;
    pair.run_whole();
    assert_eq!(pair.requests.len(), 1);
    assert_eq!(pair.holder_closed, Some(Err(HolderError::ConsentTimedOut)));
    // The reader's patience ends a moment before the holder's, whose clock began later.
    assert_eq!(pair.verifier_closed, Some(Err(VerifierError::TimedOut)));
    assert!(pair.now.duration_since(begun) >= CONSENT_TIMEOUT);
    // The holder said nothing but statuses and its tag before its patience ended.
    let (_, last) = pair.sent.iter().rfind(|(way, _)| *way == Way::ToVerifier).unwrap();
    assert_eq!(last, &[&[0x53, 9, 0xA1, 0x66], &b"status\x14\x90\x00"[..]].concat());
}

#[test]
fn a_caller_that_declines_discloses_a_status_alone() {
    for status in [SessionStatus::Termination, SessionStatus::Other(99)] {
        let mut pair = Pair::short(1);
        pair.consent = Consent::Decline(status);
        pair.run_whole();
        assert_eq!(pair.responses, []);
        assert_eq!(pair.holder_closed, Some(Ok(Ending::Declined)));
        assert_eq!(pair.verifier_closed, Some(Err(VerifierError::HolderEnded(status))));
    }
}

#[test]
fn an_answer_without_a_request_closes_the_holder() {
    for input in
        [holder::Input::Respond(RESPONSE), holder::Input::Decline(SessionStatus::Termination)]
    {
        let mut pair = Pair::short(1);
        pair.feed_holder(input);
        assert_eq!(
            pair.holder.poll_output(),
            Some(holder::Output::Closed(Err(HolderError::Unexpected)))
        );
        pair.feed_holder(holder::Input::Command(&[0, 0xA4, 4, 0]));
        let refused = Response { data: &[], status: StatusWord::CONDITIONS }.encode();
        assert_eq!(pair.holder.poll_output(), Some(holder::Output::Response(refused)));
        assert_eq!(pair.holder.poll_output(), None);
    }
}

#[test]
fn a_response_longer_than_a_session_carries_ends_it() {
    let mut pair = Pair::new(1, LinkLimits::EXTENDED, LinkLimits::EXTENDED);
    pair.response = vec![0; RESPONSE_MESSAGE_BYTES_MAX];
    pair.run_whole();
    assert_eq!(pair.responses, []);
    assert_eq!(pair.holder_closed, Some(Err(HolderError::ResponseTooLong)));
    let ended = VerifierError::HolderEnded(SessionStatus::Termination);
    assert_eq!(pair.verifier_closed, Some(Err(ended)));
}

fn outputs(holder: &mut Holder) -> Vec<holder::Output> {
    std::iter::from_fn(|| holder.poll_output()).collect()
}

#[test]
fn a_reader_may_look_around_up_to_a_limit() {
    let mut pair = Pair::short(1);
    let other = tag::select_application(b"other").encode().unwrap();
    for _ in 0..ENGAGING_COMMANDS_MAX - 1 {
        pair.feed_holder(holder::Input::Command(&other));
    }
    let refused = Response { data: &[], status: StatusWord::NOT_FOUND }.encode();
    let answers = outputs(&mut pair.holder);
    assert!(answers.iter().all(|output| *output == holder::Output::Response(refused.clone())));
    let select = tag::select_application(&tag::APPLICATION).encode().unwrap();
    pair.feed_holder(holder::Input::Command(&select));
    let accepted = Response { data: &[], status: StatusWord::OK }.encode();
    assert_eq!(outputs(&mut pair.holder), [holder::Output::Response(accepted)]);
    pair.feed_holder(holder::Input::Command(&select));
    let closed = holder::Output::Closed(Err(HolderError::TooManyCommands));
    assert_eq!(outputs(&mut pair.holder).last(), Some(&closed));
}

#[test]
fn an_engagement_ends_at_its_time_and_not_before() {
    for (early_micros, open) in [(1, true), (0, false)] {
        let mut pair = Pair::short(1);
        let micros = Duration::from_micros(early_micros);
        pair.now = pair.now.saturating_add(ENGAGEMENT_TIMEOUT).saturating_sub(micros);
        let select = tag::select_application(&tag::APPLICATION).encode().unwrap();
        pair.feed_holder(holder::Input::Command(&select));
        let closed = holder::Output::Closed(Err(HolderError::TimedOut));
        assert_eq!(outputs(&mut pair.holder).last() != Some(&closed), open);
    }
}

#[test]
fn a_clock_that_steps_back_extends_nothing() {
    let mut pair = Pair::short(1);
    let began = pair.now;
    pair.now = Instant::UNIX_EPOCH;
    let select = tag::select_application(&tag::APPLICATION).encode().unwrap();
    pair.feed_holder(holder::Input::Command(&select));
    assert_eq!(pair.holder.poll_timeout(), Some(began.saturating_add(COMMAND_TIMEOUT)));
}

#[test]
fn a_caller_that_signs_late_ends_the_tap() {
    // The selection of the mdoc application is the eighth command; nobody hands in a request.
    for (extra, expected) in [(Duration::ZERO, false), (REQUEST_TIMEOUT, true)] {
        let (mut holder, mut verifier, now) = engaged();
        let now = now.saturating_add(extra);
        verifier.handle(&RustCrypto, now, verifier::Input::Request(REQUEST));
        let output = verifier.poll_output().unwrap();
        let is_late = matches!(output, verifier::Output::Closed(Err(VerifierError::TimedOut)));
        assert_eq!(is_late, expected);
        holder.handle(&RustCrypto, now, holder::Input::LinkLost);
        let lost = holder::Output::Closed(Err(HolderError::LinkLost));
        assert_eq!(outputs(&mut holder), [lost]);
    }
}

/// Both ends after the selection of the mdoc application; the verifier waits for its request.
fn engaged() -> (Holder, Verifier, Instant) {
    let now = Instant::from_unix_seconds(1_790_000_000);
    let secret = |byte| P256Secret::from_bytes([byte; 32]);
    let crypto = &RustCrypto as &dyn Crypto;
    let mut holder = Holder::new(crypto, now, secret(1), LinkLimits::SHORT).unwrap();
    let mut verifier = Verifier::new(crypto, now, secret(2), LinkLimits::SHORT).unwrap();
    while let Some(output) = verifier.poll_output() {
        if let verifier::Output::Command(bytes) = output {
            holder.handle(crypto, now, holder::Input::Command(&bytes));
            let Some(holder::Output::Response(bytes)) = holder.poll_output() else { panic!() };
            verifier.handle(crypto, now, verifier::Input::Response(&bytes));
        }
    }
    (holder, verifier, now)
}

#[test]
fn a_second_request_from_the_caller_ends_the_tap() {
    let (_, mut verifier, now) = engaged();
    verifier.handle(&RustCrypto, now, verifier::Input::Request(REQUEST));
    verifier.handle(&RustCrypto, now, verifier::Input::Request(REQUEST));
    let outputs: Vec<_> = std::iter::from_fn(|| verifier.poll_output()).collect();
    let unexpected = verifier::Output::Closed(Err(VerifierError::Unexpected));
    assert_eq!(format!("{:?}", outputs.last().unwrap()), format!("{unexpected:?}"));
}

#[test]
fn a_phone_that_leaves_after_its_answer_has_presented() {
    let mut pair = Pair::short(1);
    // Everything after the response is lost: the good-bye never arrives.
    let mut sealed = false;
    pair.run(&mut |_, way, bytes| {
        let is_end =
            way == Way::ToHolder && Command::parse(bytes).is_ok_and(|c| c.data.len() == 11);
        sealed |= is_end;
        if sealed { vec![] } else { vec![bytes.to_vec()] }
    });
    assert!(sealed);
    assert_eq!(pair.responses.len(), 1);
    assert_eq!(pair.holder_closed, Some(Ok(Ending::Presented)));
    assert_eq!(pair.verifier_closed, Some(Ok(())));
}

#[test]
fn the_first_command_selects_the_tag_and_the_mdoc_application_follows_it() {
    let mut pair = Pair::short(1);
    pair.run_whole();
    assert_eq!(pair.sent[0].1, [&[0, 0xA4, 4, 0, 7][..], &tag::APPLICATION, &[0]].concat());
    let select = [&[0, 0xA4, 4, 0, 7][..], &MDOC_APPLICATION, &[0]].concat();
    assert!(pair.sent.iter().any(|(_, bytes)| *bytes == select));
}

#[test]
fn a_session_ends_at_its_time_however_busy_it_is() {
    let mut pair = Pair::short(1);
    pair.response = vec![0; 70_000];
    pair.hop = Duration::from_millis(1_000);
    let began = pair.now;
    pair.run_whole();
    assert_eq!(pair.responses, []);
    assert_eq!(pair.verifier_closed, Some(Err(VerifierError::TimedOut)));
    assert_eq!(pair.holder_closed, Some(Err(HolderError::TimedOut)));
    let lasted = pair.now.duration_since(began);
    assert!(lasted >= verifier::SESSION_TIMEOUT.max(holder::SESSION_TIMEOUT));
    // The holder's time begins with the selection of the mdoc application, fourteen hops later.
    assert!(lasted < holder::SESSION_TIMEOUT + Duration::from_secs(18), "{lasted:?}");
}
