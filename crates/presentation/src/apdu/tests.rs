//! Commands and responses: forms, limits, and what is refused (ISO/IEC 7816-4).

use super::*;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

fn command(data: &[u8], expected_bytes: u32) -> Command<'_> {
    Command { class: 0, instruction: ENVELOPE, p1: 0, p2: 0, data, expected_bytes }
}

/// The head (up to the data) and the tail (after it) of an encoded command.
fn check(data_bytes: usize, expected_bytes: u32, head: &[u8], tail: &[u8]) {
    let data = vec![0xAB; data_bytes];
    let bytes = command(&data, expected_bytes).encode().unwrap();
    let wanted = [&[0, ENVELOPE, 0, 0], head, &data, tail].concat();
    assert_eq!(bytes, wanted, "{data_bytes} bytes of data, {expected_bytes} expected");
    assert_eq!(Command::parse(&bytes), Ok(command(&data, expected_bytes)));
}

#[test]
fn the_four_cases_take_their_short_and_extended_forms() {
    check(0, 0, &[], &[]);
    check(0, 1, &[], &[1]);
    check(0, 256, &[], &[0]);
    check(0, 257, &[0], &[1, 1]);
    check(0, 65_536, &[0], &[0, 0]);
    check(1, 0, &[1], &[]);
    check(255, 256, &[255], &[0]);
    check(255, 257, &[0, 0, 255], &[1, 1]);
    check(256, 0, &[0, 1, 0], &[]);
    check(256, 10, &[0, 1, 0], &[0, 10]);
    check(COMMAND_DATA_BYTES_MAX, 65_536, &[0, 255, 255], &[0, 0]);
}

#[test]
fn more_than_the_extended_form_carries_is_refused() {
    let data = vec![0; COMMAND_DATA_BYTES_MAX + 1];
    assert_eq!(command(&data, 0).encode(), Err(EncodeCommandError::Data));
    assert_eq!(command(&[], 65_537).encode(), Err(EncodeCommandError::Expected));
    assert_eq!(command(&[], u32::MAX).encode(), Err(EncodeCommandError::Expected));
}

#[test]
fn commands_with_wrong_lengths_are_refused() {
    for bytes in [
        &[0, 0xC3, 0, 0, 0, 1][..],
        &[0, 0xC3, 0, 0, 2, 1],
        &[0, 0xC3, 0, 0, 1, 1, 0, 0],
        &[0, 0xC3, 0, 0, 0, 0, 0, 1],
        &[0, 0xC3, 0, 0, 0, 0, 1, 7, 0],
        &[0, 0xC3, 0, 0, 0, 0, 1, 7, 0, 0, 0],
    ] {
        assert_eq!(Command::parse(bytes), Err(ParseCommandError::Length), "{bytes:02x?}");
    }
    assert_eq!(Command::parse(&[0, 0xC3, 0]), Err(ParseCommandError::Header));
}

#[test]
fn responses_hold_to_their_limits() {
    let longest = vec![0x90; RESPONSE_DATA_BYTES_MAX + 2];
    assert_eq!(Response::parse(&longest).unwrap().data.len(), RESPONSE_DATA_BYTES_MAX);
    let longer = vec![0x90; RESPONSE_DATA_BYTES_MAX + 3];
    assert_eq!(Response::parse(&longer), Err(ParseResponseError::TooLong));
    assert_eq!(Response::parse(&[0x90]), Err(ParseResponseError::Truncated));
    assert_eq!(Response::parse(&[0x61, 7]).unwrap().status.more(), Some(7));
    assert_eq!(StatusWord::OK.more(), None);
}

#[test]
fn link_limits_hold_to_the_ranges_of_the_standard() {
    for (command, response, valid) in [
        (255, 256, true),
        (254, 256, false),
        (255, 255, false),
        (65_535, 65_536, true),
        (65_536, 65_536, false),
        (65_535, 65_537, false),
    ] {
        assert_eq!(LinkLimits::new(command, response).is_some(), valid, "{command} {response}");
    }
    assert_eq!(LinkLimits::SHORT.both(LinkLimits::EXTENDED), LinkLimits::SHORT);
}

proptest! {
    #[test]
    fn a_command_returns_from_its_bytes(
        header: [u8; 4],
        data in proptest::collection::vec(any::<u8>(), 0..600),
        expected_bytes in 0..=65_536_u32,
    ) {
        let [class, instruction, p1, p2] = header;
        let command = Command { class, instruction, p1, p2, data: &data, expected_bytes };
        let bytes = command.encode().unwrap();
        prop_assert_eq!(Command::parse(&bytes), Ok(command));
    }

    #[test]
    fn a_command_read_from_arbitrary_bytes_says_the_same_again(bytes: Vec<u8>) {
        if let Ok(command) = Command::parse(&bytes) {
            let again = command.encode().unwrap();
            prop_assert_eq!(Command::parse(&again), Ok(command));
        }
        let _ = Response::parse(&bytes);
    }
}
