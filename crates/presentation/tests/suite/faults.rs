//! Every APDU of a tap lost, doubled, cut, swapped or changed. Whatever happens: no panic, both
//! ends close, no response but the genuine one is given out, and the next tap works.

use std::ops::Range;

use credential::crypto::{Crypto, P256Secret};
use credential::rustcrypto::RustCrypto;
use presentation::apdu::{Command, LinkLimits};
use presentation::holder::{self, Holder};
use presentation::verifier::{self, Verifier, VerifierError};
use proptest::prelude::*;
use vocabulary::time::Instant;

use crate::pair::{Pair, REQUEST, RESPONSE, Way};

/// The APDUs of a whole tap.
fn whole() -> Vec<(Way, Vec<u8>)> {
    let mut pair = Pair::short(1);
    pair.run_whole();
    assert_eq!(pair.responses.len(), 1);
    pair.sent
}

/// A tap on which the link makes `fault` of the APDU with the number `at`; says whether the
/// response came through.
fn run(at: usize, mut fault: impl FnMut(&[u8]) -> Vec<Vec<u8>>) -> bool {
    let mut pair = Pair::short(1);
    pair.run(&mut |number, _, bytes| {
        if number == at { fault(bytes) } else { vec![bytes.to_vec()] }
    });
    assert!(pair.requests.iter().all(|(request, _)| request == REQUEST));
    assert!(pair.responses.iter().all(|(response, _)| response == RESPONSE));
    assert!(pair.responses.len() <= 1);
    match pair.responses.is_empty() {
        true => assert!(matches!(pair.verifier_closed, Some(Err(_))), "{at}"),
        false => assert_eq!(pair.verifier_closed, Some(Ok(())), "{at}"),
    }
    !pair.responses.is_empty()
}

fn next_tap_works() {
    let mut pair = Pair::short(2);
    pair.run_whole();
    assert_eq!(pair.responses.len(), 1);
}

/// The number of the last APDU before the verifier gives out the response.
fn last_of_answer(sent: &[(Way, Vec<u8>)]) -> usize {
    // The good-bye and its answer come last.
    sent.len() - 3
}

#[test]
fn a_lost_apdu_yields_no_response() {
    let sent = whole();
    for at in 0..=last_of_answer(&sent) {
        assert!(!run(at, |_| vec![]), "{at}");
    }
    next_tap_works();
}

#[test]
fn a_doubled_apdu_yields_no_response_or_the_genuine_one() {
    let sent = whole();
    // The request is whole with its last command, the answer with its last part: what comes
    // behind them comes too late to matter.
    let last_command = last_of_answer(&sent) - 1;
    for at in 0..sent.len() {
        let got = run(at, |bytes| vec![bytes.to_vec(), bytes.to_vec()]);
        assert_eq!(got, at >= last_command, "{at}");
    }
    next_tap_works();
}

#[test]
fn an_apdu_of_doubled_bytes_yields_no_response() {
    let sent = whole();
    for at in 0..=last_of_answer(&sent) {
        assert!(!run(at, |bytes| vec![[bytes, bytes].concat()]), "{at}");
    }
    next_tap_works();
}

#[test]
fn an_apdu_cut_anywhere_yields_no_response_or_the_genuine_one() {
    let sent = whole();
    for (at, (way, bytes)) in sent.iter().enumerate().take(last_of_answer(&sent) + 1) {
        for length in 0..bytes.len() {
            let got = run(at, |bytes| vec![bytes[..length].to_vec()]);
            // Without its last byte a SELECT still says the same: it asks for no answer data.
            let is_select = *way == Way::ToHolder && bytes[1] == 0xA4 && length + 1 == bytes.len();
            assert!(!got || is_select, "APDU {at} cut to {length}");
        }
    }
    next_tap_works();
}

/// Where the sealed and authenticated part of an APDU lies.
fn message_bytes(way: Way, bytes: &[u8]) -> Range<usize> {
    match way {
        Way::ToVerifier => 0..bytes.len() - 2,
        Way::ToHolder => {
            let command = Command::parse(bytes).unwrap();
            5..5 + command.data.len()
        }
    }
}

#[test]
fn an_apdu_with_any_bit_changed_yields_no_response_or_the_genuine_one() {
    let sent = whole();
    let first_envelope = sent.iter().position(|(_, bytes)| bytes.get(1) == Some(&0xC3)).unwrap();
    let mut came_through = 0;
    for (at, (way, bytes)) in sent.iter().enumerate().take(last_of_answer(&sent) + 1) {
        for position in 0..bytes.len() {
            let bit = 1 << (position % 8);
            let got = run(at, |bytes| {
                let mut bytes = bytes.to_vec();
                bytes[position] ^= bit;
                vec![bytes]
            });
            let is_sealed = at >= first_envelope && message_bytes(*way, bytes).contains(&position);
            assert!(!got || !is_sealed, "bit {bit} of byte {position} of APDU {at}");
            came_through += usize::from(got);
        }
    }
    // What came through is the length a command asks for, and what a tag says of itself.
    assert!(came_through < 20, "{came_through}");
    next_tap_works();
}

#[test]
fn swapped_apdus_yield_no_response() {
    let sent = whole();
    for at in 0..=last_of_answer(&sent) {
        // The link delivers the next APDU of this tap's script in place of this one.
        let next = sent[at + 1].1.clone();
        assert!(!run(at, |_| vec![next.clone()]), "{at}");
    }
    next_tap_works();
}

#[test]
fn parts_of_an_answer_in_another_order_yield_no_response() {
    let mut pair = Pair::short(1);
    pair.response = vec![7; 1_000];
    // Hold the first part of the answer back and deliver it in place of the second.
    let mut held: Option<Vec<u8>> = None;
    let mut parts = 0;
    pair.run(&mut |_, way, bytes| {
        if way == Way::ToVerifier && bytes.len() == 258 && bytes[256] == 0x61 {
            parts += 1;
            if let Some(first) = held.take() {
                return vec![first];
            }
            if parts == 1 {
                held = Some(bytes.to_vec());
            }
        }
        vec![bytes.to_vec()]
    });
    assert!(parts >= 2);
    assert_eq!(pair.responses, []);
    assert!(
        matches!(pair.verifier_closed, Some(Err(VerifierError::Collect(_))))
            || matches!(pair.verifier_closed, Some(Err(VerifierError::Channel(_))))
    );
}

fn machines() -> (Holder, Verifier, Instant) {
    let now = Instant::from_unix_seconds(1_790_000_000);
    let secret = |byte| P256Secret::from_bytes([byte; 32]);
    let crypto = &RustCrypto as &dyn Crypto;
    let holder = Holder::new(crypto, now, secret(1), LinkLimits::EXTENDED).unwrap();
    (holder, Verifier::new(crypto, now, secret(2), LinkLimits::EXTENDED).unwrap(), now)
}

/// Commands and responses that look right from afar.
fn apdus() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let known = prop::sample::select(
        whole().into_iter().map(|(_, bytes)| bytes).chain([vec![0x90, 0x00]]).collect::<Vec<_>>(),
    );
    prop::collection::vec(prop_oneof![3 => known, 1 => any::<Vec<u8>>()], 0..24)
}

proptest! {
    #[test]
    fn a_holder_fed_with_anything_never_asks_for_a_request_it_cannot_open(list in apdus()) {
        let (mut holder, _, now) = machines();
        for bytes in list {
            holder.handle(&RustCrypto, now, holder::Input::Command(&bytes));
            let outputs: Vec<_> = std::iter::from_fn(|| holder.poll_output()).collect();
            let asks = outputs.iter().any(|o| matches!(o, holder::Output::Request { .. }));
            prop_assert!(!asks);
            let answers = outputs.iter().filter(|o| matches!(o, holder::Output::Response(_))).count();
            prop_assert_eq!(answers, 1);
        }
    }

    #[test]
    fn a_verifier_fed_with_anything_never_gives_out_a_response(list in apdus()) {
        let (_, mut verifier, now) = machines();
        for bytes in list {
            verifier.handle(&RustCrypto, now, verifier::Input::Response(&bytes));
            while let Some(output) = verifier.poll_output() {
                if matches!(output, verifier::Output::NeedRequest { .. }) {
                    verifier.handle(&RustCrypto, now, verifier::Input::Request(REQUEST));
                }
                let is_response = matches!(output, verifier::Output::Response { .. });
                prop_assert!(!is_response);
            }
        }
    }
}
