//! Every APDU lost, doubled, cut, extended, swapped or changed. Whatever happens: no panic, every
//! command gets one status word, both ends close, nobody but the genuine device is authenticated,
//! and the next tap works.

use credential::rustcrypto::RustCrypto;
use presentation::apdu::LinkLimits;
use presentation::standard::device::{self, Device, Memory};
use presentation::standard::exchange::{Exchange, Operation, Session};
use presentation::standard::mailbox::Mailbox;
use presentation::standard::message::ControlFlow;
use presentation::standard::reader::{self, Phase, Reader};
use proptest::prelude::*;

use super::pair::{
    DEVICE_RESPONSE, DEVICE_SECRET, NOW, Pair, Then, Way, device_setup, public, reader_setup,
    secret,
};

fn script() -> Vec<Then> {
    let operations = vec![
        Operation::Set { offset: 0, length: 4, value: 5 },
        Operation::Read { offset: 0, length: 300 },
    ];
    let exchange = Exchange { session: Session::Last, operations };
    vec![Then::Exchange(exchange), Then::StepUp, Then::Conclude(ControlFlow::SUCCESS)]
}

fn pair() -> Pair {
    let memory = Memory { mailbox: Mailbox::new(vec![0; 300]), ..Memory::default() };
    let mut pair = Pair::new(device_setup(), reader_setup(), memory);
    pair.then = script().into();
    pair
}

fn whole() -> Vec<(Way, Vec<u8>)> {
    let mut pair = pair();
    pair.run_whole();
    assert_eq!((pair.reader_closed, pair.step_ups.len()), (Some(Ok(())), 1));
    pair.sent
}

/// A tap on which the link makes `fault` of the APDU with the number `at`: whether all came through.
/// The next tap of the same device must work.
fn run(at: usize, mut fault: impl FnMut(&[u8]) -> Vec<Vec<u8>>) -> bool {
    let mut pair = pair();
    let mut commands = 0;
    pair.run(&mut |number, way, bytes| {
        let delivered = if number == at { fault(bytes) } else { vec![bytes.to_vec()] };
        commands += if way == Way::ToDevice { delivered.len() } else { 0 };
        delivered
    });
    let answers = pair.sent.iter().filter(|(way, _)| *way == Way::ToReader).count();
    assert_eq!(answers, commands, "every command gets one answer, {at}");
    assert!(pair.authenticated.iter().all(|known| known.device_key == public(DEVICE_SECRET)));
    assert!(pair.step_ups.iter().all(|response| response == DEVICE_RESPONSE));
    let mailbox = pair.device.memory().mailbox.as_bytes().to_vec();
    assert!(matches!(mailbox[..5], [0, 0, 0, 0, 0] | [5, 5, 5, 5, 0]), "half a write, {at}");
    let came_through = pair.reader_closed == Some(Ok(())) && pair.step_ups.len() == 1;
    pair.next_tap(reader_setup(), &[Then::Conclude(ControlFlow::SUCCESS)]);
    pair.run_whole();
    assert_eq!(pair.reader_closed, Some(Ok(())), "the next tap fails, {at}");
    assert_eq!(pair.authenticated[0].phase, Phase::Standard);
    came_through
}

/// The answer to the selection of the step-up application, of which nothing but 9000 counts.
const SELECTED: usize = 11;

/// How many APDUs come before CONTROL FLOW, which nobody waits for.
fn before_the_end(sent: &[(Way, Vec<u8>)]) -> usize {
    sent.len() - 2
}

#[test]
fn a_lost_or_swapped_apdu_ends_the_tap() {
    let sent = whole();
    for at in 0..before_the_end(&sent) {
        assert!(!run(at, |_| vec![]), "{at} lost");
        let other = sent[at + 1].1.clone();
        assert!(!run(at, |_| vec![other.clone()]), "{at} swapped with the next");
        let earlier = sent[at.saturating_sub(2)].1.clone();
        if at >= 2 && at != SELECTED {
            assert!(!run(at, |_| vec![earlier.clone()]), "{at} swapped with the last but one");
        }
    }
}

#[test]
fn a_doubled_apdu_ends_the_tap() {
    let sent = whole();
    // The last request is whole with its command: what comes behind it comes too late to matter.
    let last_command = before_the_end(&sent) - 2;
    for at in 0..before_the_end(&sent) {
        let got = run(at, |bytes| vec![bytes.to_vec(), bytes.to_vec()]);
        assert_eq!(got, at >= last_command, "{at}");
    }
}

#[test]
fn an_apdu_cut_anywhere_ends_the_tap() {
    let sent = whole();
    for (at, (way, bytes)) in sent.iter().enumerate().take(before_the_end(&sent)) {
        for length in 0..bytes.len() {
            let got = run(at, |bytes| vec![bytes[..length].to_vec()]);
            // Without its last byte a command says the same and does not ask for an answer, which the
            // device gives all the same.
            let is_le = *way == Way::ToDevice && length + 1 == bytes.len();
            assert!(!got || is_le, "APDU {at} cut to {length}");
        }
    }
}

#[test]
fn an_extended_apdu_ends_the_tap() {
    let sent = whole();
    for at in 0..before_the_end(&sent) {
        assert!(!run(at, |bytes| vec![[bytes, &[0]].concat()]), "{at}");
        let got = run(at, |bytes| vec![[bytes, bytes].concat()]);
        assert_eq!(got, at == SELECTED, "{at} with itself");
    }
}

#[test]
fn an_apdu_with_any_bit_changed_ends_the_tap_or_changes_nothing() {
    let sent = whole();
    let mut came_through = Vec::new();
    for (at, (_, bytes)) in sent.iter().enumerate().take(before_the_end(&sent)) {
        for position in 0..bytes.len() {
            let bit = 1 << (position % 8);
            let got = run(at, |bytes| {
                let mut bytes = bytes.to_vec();
                bytes[position] ^= bit;
                vec![bytes]
            });
            if got {
                came_through.push((at, position));
            }
        }
    }
    // Le of the commands, the type of the answer to the second SELECT, and what counts the bytes
    // left behind a part of an answer.
    assert!(came_through.len() < 40, "{came_through:?}");
    let matters = |(at, position): &&(usize, usize)| {
        let (way, bytes) = &sent[*at];
        let is_le = *way == Way::ToDevice && position + 1 == bytes.len();
        let is_status = *way == Way::ToReader && position + 2 >= bytes.len();
        !is_le && !is_status && *at != SELECTED
    };
    let unexpected: Vec<_> = came_through.iter().filter(matters).collect();
    assert_eq!(unexpected, Vec::<&(usize, usize)>::new());
}

/// Commands and responses that look right from afar.
fn apdus() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let known = prop::sample::select(
        whole().into_iter().map(|(_, bytes)| bytes).chain([vec![0x90, 0x00]]).collect::<Vec<_>>(),
    );
    prop::collection::vec(prop_oneof![3 => known, 1 => any::<Vec<u8>>()], 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_device_fed_with_anything_answers_each_command_and_never_signs(list in apdus()) {
        let mut device = Device::new(device_setup(), Memory::default());
        // Fresh: none of the recorded commands was made for this key.
        let entropy = device::Entropy { ephemeral: secret(0x99), filler: [1; 64] };
        device.handle(&RustCrypto, NOW, device::Input::Tap(entropy));
        for bytes in list {
            device.handle(&RustCrypto, NOW, device::Input::Command(&bytes));
            let outputs: Vec<_> = std::iter::from_fn(|| device.poll_output()).collect();
            let is_response = |output: &&device::Output| {
                matches!(output, device::Output::Response(_))
            };
            prop_assert_eq!(outputs.iter().filter(is_response).count(), 1);
            let signs = outputs.iter().any(|o| matches!(o, device::Output::Sign { .. }));
            prop_assert!(!signs);
        }
    }

    #[test]
    fn a_reader_fed_with_anything_never_takes_a_device_for_known(list in apdus()) {
        let entropy = reader::Entropy { ephemeral: secret(0x98), transaction: [9; 16] };
        let setup = reader_setup().into();
        let mut reader =
            Reader::new(&RustCrypto, NOW, setup, &entropy, LinkLimits::SHORT).unwrap();
        for bytes in list {
            reader.handle(&RustCrypto, NOW, reader::Input::Response(&bytes));
            while let Some(output) = reader.poll_output() {
                let is_known = matches!(output, reader::Output::Authenticated(_));
                prop_assert!(!is_known);
            }
        }
    }
}
