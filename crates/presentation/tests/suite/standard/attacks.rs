//! Recorded taps played again, offers and phases changed on the way, false readers and devices; each
//! with its control.

use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use credential::rustcrypto::RustCrypto;
use presentation::apdu::{Command, LinkLimits, Response};
use presentation::session::ChannelError;
use presentation::standard::device::{self, Device, DeviceError, Memory};
use presentation::standard::message::{Auth0, Auth0Answer, ControlFlow, Offer};
use presentation::standard::reader::{self, Phase, Reader, ReaderError};
use presentation::standard::{AUTH0, Version};

use super::pair::{
    DEVICE_SECRET, NOW, Pair, READER_SECRET, Then, Way, device_setup, public, reader_setup, secret,
};

const SUCCESS: [Then; 1] = [Then::Conclude(ControlFlow::SUCCESS)];
const UNDECRYPTABLE: Option<Result<(), ReaderError>> =
    Some(Err(ReaderError::Channel(ChannelError::Undecryptable)));

/// Plays the recorded answers of a device to a reader with this entropy and setup.
fn to_reader(
    sent: &[(Way, Vec<u8>)],
    setup: reader::Setup,
    entropy: &reader::Entropy,
) -> Result<Phase, ReaderError> {
    let mut reader = Reader::new(&AwsLc, NOW, setup.into(), entropy, LinkLimits::SHORT).unwrap();
    let mut answers = sent.iter().filter(|(way, _)| *way == Way::ToReader);
    loop {
        match reader.poll_output().expect("the reader waits for nothing") {
            reader::Output::Command(_) => {
                let Some((_, bytes)) = answers.next() else { continue };
                reader.handle(&AwsLc, NOW, reader::Input::Response(bytes));
            }
            reader::Output::Sign { message } => {
                let signature = AwsLc.p256_sign(&secret(READER_SECRET), &message).unwrap();
                reader.handle(&AwsLc, NOW, reader::Input::Signature(&signature));
            }
            reader::Output::Authenticated(device) => return Ok(device.phase),
            reader::Output::Closed(outcome) => return Err(outcome.unwrap_err()),
            other => panic!("{other:?}"),
        }
    }
}

fn entropy_of_tap(tap: u8) -> reader::Entropy {
    reader::Entropy { ephemeral: secret(0x30 + tap), transaction: [tap; 16] }
}

#[test]
fn a_replayed_device_is_refused_by_a_fresh_reader() {
    let mut pair = Pair::standard();
    pair.run_whole();
    let fresh_key = reader::Entropy { ephemeral: secret(0x99), ..entropy_of_tap(0) };
    let fresh_transaction = reader::Entropy { transaction: [0x99; 16], ..entropy_of_tap(0) };
    for entropy in [fresh_key, fresh_transaction] {
        let played = to_reader(&pair.sent, reader_setup(), &entropy);
        assert_eq!(played, Err(ReaderError::Channel(ChannelError::Undecryptable)));
    }
    // Control: a reader whose entropy repeats takes the replay.
    let played = to_reader(&pair.sent, reader_setup(), &entropy_of_tap(0));
    assert_eq!(played, Ok(Phase::Standard));
}

#[test]
fn a_replayed_fast_proof_opens_under_no_key() {
    let mut pair = Pair::standard();
    pair.run_whole();
    let setup = pair.fast_setup();
    pair.next_tap(setup.clone(), &SUCCESS);
    pair.run_whole();
    assert_eq!(pair.authenticated[0].phase, Phase::Fast);
    // To the reader this is a device without a key; it goes on, and the record has no more to say.
    let fresh = reader::Entropy { ephemeral: secret(0x99), transaction: [0x99; 16] };
    let played = to_reader(&pair.sent, setup.clone(), &fresh);
    assert!(matches!(played, Err(ReaderError::Data(_) | ReaderError::Channel(_))), "{played:?}");
    // Control.
    assert_eq!(to_reader(&pair.sent, setup, &entropy_of_tap(1)), Ok(Phase::Fast));
}

/// Plays the recorded commands of a reader to a device with this ephemeral key: whether it signs.
fn to_device(sent: &[(Way, Vec<u8>)], ephemeral: u8) -> Result<(), DeviceError> {
    let mut device = Device::new(device_setup(), Memory::default());
    let entropy = device::Entropy { ephemeral: secret(ephemeral), filler: [0; 64] };
    device.handle(&RustCrypto, NOW, device::Input::Tap(entropy));
    for (_, bytes) in sent.iter().filter(|(way, _)| *way == Way::ToDevice) {
        device.handle(&RustCrypto, NOW, device::Input::Command(bytes));
        while let Some(output) = device.poll_output() {
            match output {
                device::Output::Response(_) => {}
                device::Output::Sign { .. } => return Ok(()),
                device::Output::Ended(outcome) => return outcome,
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("the record ends before the device decides");
}

#[test]
fn a_replayed_reader_is_refused_by_a_fresh_device() {
    let mut pair = Pair::standard();
    pair.run_whole();
    assert_eq!(to_device(&pair.sent, 0x99), Err(DeviceError::ReaderSignature));
    // Control: a device whose ephemeral key repeats would sign.
    assert_eq!(to_device(&pair.sent, 0x40), Ok(()));
}

fn speaks_both() -> reader::Setup {
    reader::Setup { versions: vec![Version::V1_0, Version([0, 9])], ..reader_setup() }
}

#[test]
fn a_changed_offer_leaves_no_common_key() {
    let forged = Offer::new(&[Version([0, 9])], None).encode();
    let mut pair = Pair::new(device_setup(), speaks_both(), Memory::default());
    pair.run(&mut |number, _, bytes| {
        vec![if number == 1 { [&forged[..], &[0x90, 0]].concat() } else { bytes.to_vec() }]
    });
    assert_eq!(pair.reader_closed, UNDECRYPTABLE);
    assert!(pair.authenticated.is_empty());
    // Control: the same offer by the device itself is taken.
    let older = device::Setup { versions: vec![Version([0, 9])], ..device_setup() };
    let mut pair = Pair::new(older, speaks_both(), Memory::default());
    pair.run_whole();
    assert_eq!(pair.authenticated[0].version, Version([0, 9]));
}

/// Makes `change` of the data of AUTH0 on its way.
fn change_auth0(bytes: &[u8], change: impl Fn(&mut Auth0)) -> Vec<u8> {
    let command = Command::parse(bytes).unwrap();
    assert_eq!(command.instruction, AUTH0);
    let mut auth0 = Auth0::parse(command.data).unwrap();
    change(&mut auth0);
    Command { data: &auth0.encode(), ..command }.encode().unwrap()
}

/// A tap on which AUTH0 is changed, and perhaps its answer.
fn with_auth0(
    setup: reader::Setup,
    change: impl Fn(&mut Auth0),
    answer: impl Fn(&mut Auth0Answer),
) -> Pair {
    let asks_fast = setup.stored.is_some();
    let mut pair = Pair::new(device_setup(), setup, Memory::default());
    pair.run(&mut |number, _, bytes| match number {
        2 => vec![change_auth0(bytes, &change)],
        3 => {
            let data = Response::parse(bytes).unwrap().data;
            let is_fast = data.len() > 67;
            assert!(is_fast || !asks_fast || data.len() == 67);
            let mut parsed = Auth0Answer::parse(data, is_fast).unwrap();
            answer(&mut parsed);
            vec![[&parsed.encode()[..], &[0x90, 0]].concat()]
        }
        _ => vec![bytes.to_vec()],
    });
    pair
}

#[test]
fn a_changed_auth0_is_noticed_by_the_device_or_the_reader() {
    let control = with_auth0(speaks_both(), |_| {}, |_| {});
    assert_eq!(control.authenticated.len(), 1);
    let refuses = |pair: &Pair| {
        assert!(pair.authenticated.is_empty());
        assert_eq!(pair.saved, 0);
        assert_eq!(pair.device_ended, [Err(DeviceError::ReaderSignature)]);
    };
    refuses(&with_auth0(speaks_both(), |auth0| auth0.transaction[0] ^= 1, |_| {}));
    refuses(&with_auth0(speaks_both(), |auth0| auth0.reader.sub_group[0] ^= 1, |_| {}));
    refuses(&with_auth0(speaks_both(), |auth0| auth0.reader_ephemeral = public(0x99), |_| {}));
    refuses(&with_auth0(speaks_both(), |_| {}, |answer| answer.device_ephemeral = public(0x98)));
    // What the reader does not sign binds the keys: the device's answer does not open.
    for pair in [
        with_auth0(speaks_both(), |auth0| auth0.version = Version([0, 9]), |_| {}),
        with_auth0(speaks_both(), |auth0| auth0.policy = 0, |_| {}),
        with_auth0(speaks_both(), |auth0| auth0.vendor = Some(vec![1]), |_| {}),
        with_auth0(speaks_both(), |_| {}, |answer| answer.vendor = Some(vec![1])),
    ] {
        assert_eq!(pair.reader_closed, UNDECRYPTABLE);
        assert!(pair.authenticated.is_empty());
    }
}

#[test]
fn a_tap_cannot_be_talked_out_of_or_into_the_fast_phase() {
    let mut first = Pair::standard();
    first.run_whole();
    let out_of = with_auth0(
        first.fast_setup(),
        |auth0| auth0.fast = false,
        |answer| answer.cryptogram = Some([1; 64]),
    );
    assert_eq!(out_of.reader_closed, UNDECRYPTABLE);
    let into =
        with_auth0(reader_setup(), |auth0| auth0.fast = true, |answer| answer.cryptogram = None);
    assert_eq!(into.reader_closed, UNDECRYPTABLE);
    let control = with_auth0(first.fast_setup(), |_| {}, |_| {});
    assert_eq!(control.authenticated[0].phase, Phase::Standard);
}

#[test]
fn a_device_gives_nothing_to_a_reader_with_another_key() {
    let mut pair = Pair::standard();
    pair.reader_secret = secret(0x77);
    pair.run_whole();
    assert_eq!(pair.device_ended, [Err(DeviceError::ReaderSignature)]);
    assert_eq!((pair.saved, pair.sent[5].1.as_slice()), (0, &[0x69, 0x82][..]));
    // Control: the group's key.
    pair.reader_secret = secret(READER_SECRET);
    pair.next_tap(reader_setup(), &SUCCESS);
    pair.run_whole();
    assert_eq!(pair.authenticated.len(), 1);
}

#[test]
fn a_device_that_lacks_the_key_it_names_is_refused() {
    let mut pair = Pair::standard();
    pair.device_secret = secret(0x77);
    pair.run_whole();
    assert_eq!(pair.reader_closed, Some(Err(ReaderError::DeviceSignature)));
    assert!(pair.authenticated.is_empty());
    // Control.
    pair.device_secret = secret(DEVICE_SECRET);
    pair.next_tap(reader_setup(), &SUCCESS);
    pair.run_whole();
    assert_eq!(pair.authenticated.len(), 1);
}

#[test]
fn ephemeral_keys_off_the_curve_and_reflected_ones_are_refused() {
    let mut point = public(0x99);
    point[64] ^= 1;
    let off = with_auth0(reader_setup(), |_| {}, |answer| answer.device_ephemeral = point);
    assert_eq!(off.reader_closed, Some(Err(ReaderError::DeviceEphemeral)));
    // The reader's own key, sent back to it.
    let own = with_auth0(reader_setup(), |_| {}, |answer| answer.device_ephemeral = public(0x30));
    assert_eq!(own.reader_closed, Some(Err(ReaderError::DeviceEphemeral)));
}

#[test]
fn what_was_proved_in_one_group_does_not_serve_another() {
    let mut pair = Pair::standard();
    pair.run_whole();
    let setup = pair.fast_setup();
    // Another reader of the group has not met the device: its keys do not open the proof.
    let mut other = setup.clone();
    other.reader.sub_group = [0xCC; 16];
    pair.next_tap(other, &SUCCESS);
    pair.run_whole();
    assert_eq!(pair.authenticated[0].phase, Phase::Standard);
    // Control: the reader that has.
    pair.next_tap(setup, &SUCCESS);
    pair.run_whole();
    assert_eq!(pair.authenticated[0].phase, Phase::Fast);
}

#[test]
fn spent_entropy_serves_no_second_transaction() {
    let mut pair = Pair::standard();
    pair.run_whole();
    let select = pair.sent[0].1.clone();
    pair.feed_device(device::Input::Command(&select));
    let answer = pair.device.poll_output();
    assert_eq!(answer, Some(device::Output::Response(vec![0x69, 0x85])));
    // Control: a new tap.
    pair.next_tap(reader_setup(), &SUCCESS);
    pair.run_whole();
    assert_eq!(pair.authenticated.len(), 1);
}
