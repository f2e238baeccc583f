//! Commands one by one, in every state: which status word they get, and whether the tap goes on. And
//! every limit, at it and one past it.

use credential::crypto::Crypto;
use credential::rustcrypto::RustCrypto;
use presentation::apdu::{Command, Response, StatusWord};
use presentation::standard::device::{
    self, CREDENTIALS_MAX, Device, DeviceError, Memory, SELECTING_COMMANDS_MAX,
};
use presentation::standard::message::{
    Auth0, Auth0Answer, Auth1, Auth1Answer, ControlFlow, Naming, Offer, VERSIONS_MAX,
};
use presentation::standard::tlv::TlvError;
use presentation::standard::{
    AUTH0, AUTH1, CLASS, CONTROL_FLOW, Dialect, EXCHANGE, EXPEDITED_APPLICATION, LOAD_CERT,
    STEP_UP_APPLICATION, Version,
};
use proptest::prelude::*;

use super::pair::{NOW, READER, READER_SECRET, credential, device_setup, public, secret};

fn apdu(class: u8, instruction: u8, data: &[u8]) -> Vec<u8> {
    let command = Command { class, instruction, p1: 0, p2: 0, data, expected_bytes: 256 };
    command.encode().unwrap()
}

fn select(application: &[u8]) -> Vec<u8> {
    let command = Command {
        class: 0,
        instruction: 0xA4,
        p1: 4,
        p2: 0,
        data: application,
        expected_bytes: 256,
    };
    command.encode().unwrap()
}

fn auth0() -> Auth0 {
    Auth0 {
        fast: false,
        policy: 1,
        version: Version::V1_0,
        reader_ephemeral: public(0x30),
        transaction: [1; 16],
        reader: READER,
        vendor: None,
    }
}

fn tapped(setup: device::Setup) -> Device {
    let mut device = Device::new(setup, Memory::default());
    let entropy = device::Entropy { ephemeral: secret(0x40), filler: [0; 64] };
    device.handle(&RustCrypto, NOW, device::Input::Tap(entropy));
    device
}

/// The status of the answer to one command, and how the tap ended by it.
fn send(device: &mut Device, bytes: &[u8]) -> (StatusWord, Option<Result<(), DeviceError>>) {
    device.handle(&RustCrypto, NOW, device::Input::Command(bytes));
    let (mut status, mut ended) = (None, None);
    while let Some(output) = device.poll_output() {
        match output {
            device::Output::Response(bytes) => {
                assert_eq!(status, None, "two answers to one command");
                status = Some(Response::parse(&bytes).unwrap().status);
            }
            device::Output::Ended(outcome) => ended = Some(outcome),
            device::Output::Sign { message, .. } => {
                let signature = RustCrypto.p256_sign(&secret(0x22), &message).unwrap();
                device.handle(&RustCrypto, NOW, device::Input::Signature(&signature));
            }
            device::Output::Save => {}
            other => panic!("{other:?}"),
        }
    }
    (status.expect("no answer"), ended)
}

/// A device that took these commands without complaint.
fn after(commands: &[Vec<u8>]) -> Device {
    let mut device = tapped(device_setup());
    for command in commands {
        assert_eq!(send(&mut device, command), (StatusWord::OK, None));
    }
    device
}

fn signed_auth1() -> Vec<u8> {
    let auth0 = auth0();
    let context = presentation::standard::schedule::Context {
        group_key: public(READER_SECRET),
        reader: auth0.reader,
        transport: presentation::standard::Transport::Nfc,
        version: auth0.version,
        reader_ephemeral: auth0.reader_ephemeral,
        device_ephemeral: public(0x40),
        transaction: auth0.transaction,
        flags: auth0.flags(),
        proprietary: Vec::new(),
        vendor: None,
        vendor_answer: None,
    };
    let message = context.signed(presentation::standard::schedule::Usage::Reader);
    let signature = RustCrypto.p256_sign(&secret(READER_SECRET), &message).unwrap();
    let signature = signature.as_bytes().try_into().unwrap();
    Auth1 { naming: Naming::PublicKey, signature, certificate: None }.encode()
}

/// The commands of a tap up to the open channel.
fn stages() -> [Vec<u8>; 3] {
    let auth0 = apdu(CLASS, AUTH0, &auth0().encode());
    [select(&EXPEDITED_APPLICATION), auth0, apdu(CLASS, AUTH1, &signed_auth1())]
}

#[test]
fn commands_out_of_order_are_answered_and_end_what_has_begun() {
    let stages = stages();
    let all = [
        ("select", stages[0].clone()),
        ("auth0", stages[1].clone()),
        ("auth1", stages[2].clone()),
        ("load-cert", apdu(CLASS, LOAD_CERT, &[1; 9])),
        ("exchange", apdu(CLASS, EXCHANGE, &[0; 32])),
        ("envelope", apdu(0, 0xC3, &[0x53, 0])),
        ("get-response", apdu(0, 0xC0, &[])),
        ("step-up", select(&STEP_UP_APPLICATION)),
        ("control-flow", apdu(CLASS, CONTROL_FLOW, &ControlFlow::SUCCESS.encode())),
    ];
    // What is taken, after none, one, two and three of the commands of a tap.
    let allowed: [&[&str]; 4] =
        [&["select"], &["select", "auth0"], &["auth1", "load-cert"], &["step-up", "control-flow"]];
    for (count, allowed) in allowed.into_iter().enumerate() {
        for (name, command) in &all {
            let mut device = after(&stages[..count]);
            let (status, ended) = send(&mut device, command);
            let is_allowed = allowed.contains(name);
            assert_eq!(status == StatusWord::OK, is_allowed, "{name} after {count}: {status}");
            if !is_allowed {
                // Before AUTH0 was taken a reader may look around.
                assert_eq!(ended.is_some(), count >= 2, "{name} after {count}");
            }
            // The next tap works.
            let entropy = device::Entropy { ephemeral: secret(0x40), filler: [0; 64] };
            device.handle(&RustCrypto, NOW, device::Input::Tap(entropy));
            while device.poll_output().is_some() {}
            for command in &stages {
                assert_eq!(send(&mut device, command), (StatusWord::OK, None), "{name}");
            }
        }
    }
}

#[test]
fn wrong_headers_and_data_get_the_status_that_tells_why() {
    let data = auth0().encode();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = apdu(CLASS, AUTH0, &data);
        change(&mut bytes);
        bytes
    };
    let auth0_of = |auth0: Auth0| apdu(CLASS, AUTH0, &auth0.encode());
    for (name, bytes, status) in [
        ("nothing", vec![], StatusWord::WRONG_LENGTH),
        ("short", vec![0x80, 0x80, 0], StatusWord::WRONG_LENGTH),
        ("length", with(&|bytes| bytes[4] += 2), StatusWord::WRONG_LENGTH),
        ("class", with(&|bytes| bytes[0] = 0x81), StatusWord::WRONG_CLASS),
        ("instruction", with(&|bytes| bytes[1] = 0x99), StatusWord::WRONG_INSTRUCTION),
        ("class of another", with(&|bytes| bytes[0] = 0), StatusWord::WRONG_INSTRUCTION),
        ("p1", with(&|bytes| bytes[2] = 1), StatusWord::WRONG_PARAMETERS),
        ("p2", with(&|bytes| bytes[3] = 1), StatusWord::WRONG_PARAMETERS),
        ("tag", with(&|bytes| bytes[5] = 0x43), StatusWord::WRONG_DATA),
        ("twice", with(&|bytes| bytes[8] = 0x41), StatusWord::WRONG_DATA),
        ("parameters", with(&|bytes| bytes[7] = 2), StatusWord::WRONG_DATA),
        ("empty", apdu(CLASS, AUTH0, &[]), StatusWord::WRONG_DATA),
        (
            "version",
            auth0_of(Auth0 { version: Version([2, 0]), ..auth0() }),
            StatusWord::CONDITIONS,
        ),
        (
            "vendor",
            auth0_of(Auth0 { vendor: Some(vec![0; 128]), ..auth0() })[..].to_vec(),
            StatusWord::WRONG_DATA,
        ),
        ("application", select(&[1; 5]), StatusWord::NOT_FOUND),
    ] {
        let mut device = after(&stages()[..1]);
        assert_eq!(send(&mut device, &bytes), (status, None), "{name}");
        // Control: the right one, after another selection where that was spoilt.
        if name == "application" {
            assert_eq!(send(&mut device, &stages()[0]).0, StatusWord::OK);
        }
        assert_eq!(send(&mut device, &stages()[1]).0, StatusWord::OK, "{name}");
    }
}

#[test]
fn a_reader_that_only_looks_around_is_left() {
    let mut device = tapped(device_setup());
    for _ in 0..SELECTING_COMMANDS_MAX {
        assert_eq!(send(&mut device, &select(&[1; 5])), (StatusWord::NOT_FOUND, None));
    }
    let (status, ended) = send(&mut device, &select(&[1; 5]));
    assert_eq!(status, StatusWord::CONDITIONS);
    assert_eq!(ended, Some(Err(DeviceError::TooManyCommands)));
}

#[test]
fn a_caller_that_decides_too_late_or_twice_sends_no_stray_answer() {
    let outputs =
        |device: &mut Device| -> Vec<_> { std::iter::from_fn(|| device.poll_output()).collect() };
    let signature = RustCrypto.p256_sign(&secret(0x22), b"").unwrap();
    // The command that waits is answered when time is up.
    let mut device = after(&stages()[..2]);
    device.handle(&RustCrypto, NOW, device::Input::Command(&stages()[2]));
    assert!(matches!(outputs(&mut device)[..], [device::Output::Sign { .. }]));
    let late = device.poll_timeout().unwrap();
    device.handle(&RustCrypto, late, device::Input::Timeout);
    let ended = device::Output::Ended(Err(DeviceError::TimedOut));
    assert_eq!(outputs(&mut device), [device::Output::Response(vec![0x69, 0x85]), ended]);
    device.handle(&RustCrypto, late, device::Input::Signature(&signature));
    assert_eq!(outputs(&mut device), []);
    // One that nobody asked for ends the tap, and no command is there to answer.
    let mut device = after(&stages());
    device.handle(&RustCrypto, NOW, device::Input::Signature(&signature));
    let ended = device::Output::Ended(Err(DeviceError::Unexpected));
    assert_eq!(outputs(&mut device), [ended]);
}

#[test]
fn chains_hold_to_their_limit() {
    let part = |last: bool| {
        let class = if last { CLASS } else { CLASS | 0x10 };
        let command = Command {
            class,
            instruction: LOAD_CERT,
            p1: 0,
            p2: 0,
            data: &[0; 128],
            expected_bytes: u32::from(last),
        };
        command.encode().unwrap()
    };
    // A certificate of 512 bytes, and one of more.
    for (parts, status) in [(3, StatusWord::OK), (4, StatusWord::SECURITY)] {
        let mut device = after(&stages()[..2]);
        for _ in 0..parts {
            assert_eq!(send(&mut device, &part(false)), (StatusWord::OK, None));
        }
        assert_eq!(send(&mut device, &part(true)).0, status);
    }
    let mut device = after(&stages()[..2]);
    for _ in 0..device::CHAIN_BYTES_MAX / 128 {
        assert_eq!(send(&mut device, &part(false)), (StatusWord::OK, None));
    }
    let (status, ended) = send(&mut device, &part(false));
    assert_eq!(status, StatusWord::WRONG_LENGTH);
    assert!(matches!(ended, Some(Err(DeviceError::Chain(_)))));
}

#[test]
fn offers_and_credentials_hold_to_their_limits() {
    let versions = |count: usize| vec![Version::V1_0; count];
    let eight = Offer::new(&versions(VERSIONS_MAX), Some(&[1; 127]));
    assert_eq!(Offer::parse(&eight.encode()), Ok(eight));
    assert_eq!(Offer::new(&versions(9), None).versions.len(), VERSIONS_MAX);
    let none = Offer::new(&[], None).encode();
    assert_eq!(Offer::parse(&none), Err(TlvError::Value(0x5C)));
    let vendor = Offer::new(&versions(1), Some(&[1; 128])).encode();
    assert_eq!(Offer::parse(&vendor), Err(TlvError::Value(0xB3)));

    for (before, known) in [(CREDENTIALS_MAX - 1, true), (CREDENTIALS_MAX, false)] {
        let other = device::Credential { group: [0; 16], ..credential() };
        let mut credentials = vec![other; before];
        credentials.push(credential());
        let mut device = tapped(device::Setup { credentials, ..device_setup() });
        let [first, second, third] = stages();
        for command in [first, second] {
            assert_eq!(send(&mut device, &command).0, StatusWord::OK);
        }
        assert_eq!(send(&mut device, &third).0 == StatusWord::OK, known, "{before}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, fast: bool) {
        let _ = Offer::parse(&bytes);
        let _ = Auth0::parse(&bytes);
        let _ = Auth0Answer::parse(&bytes, fast);
        let _ = Auth1::parse(&bytes);
        let _ = Auth1Answer::parse(&bytes, &Dialect::default());
        let _ = ControlFlow::parse(&bytes);
    }

    #[test]
    fn messages_return_from_their_bytes(
        fast: bool,
        policy: u8,
        transaction: [u8; 16],
        vendor in prop::option::of(prop::collection::vec(any::<u8>(), 0..=127)),
        cryptogram: [u8; 32],
    ) {
        let command = Auth0 { fast, policy, transaction, vendor: vendor.clone(), ..auth0() };
        prop_assert_eq!(Auth0::parse(&command.encode()), Ok(command));
        let cryptogram = [cryptogram; 2].concat().try_into().unwrap();
        let answer = Auth0Answer {
            device_ephemeral: [4; 65],
            cryptogram: fast.then_some(cryptogram),
            vendor,
        };
        prop_assert_eq!(Auth0Answer::parse(&answer.encode(), fast), Ok(answer.clone()));
        prop_assert!(Auth0Answer::parse(&answer.encode(), !fast).is_err());
    }
}
