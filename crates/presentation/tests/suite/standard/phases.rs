//! What both ends do when nothing disturbs them, and what each refuses of the other.

use std::time::Duration;

use credential::crypto::{Crypto, PublicKey};
use credential::rustcrypto::RustCrypto;
use credential::x509::compressed;
use presentation::standard::device::{self, DeviceError, Memory, ReaderKey};
use presentation::standard::exchange::{
    Exchange, ExchangeAnswer, ExchangeResult, Operation, Session,
};
use presentation::standard::keyring::{READER_KEYS_MAX, StoredKey, StoredKeys};
use presentation::standard::mailbox::Mailbox;
use presentation::standard::message::{ControlFlow, Naming};
use presentation::standard::reader::{self, Carrier, Certificate, Phase, ReaderError};
use presentation::standard::schedule::PersistentKey;
use presentation::standard::{
    Dialect, EnvelopeForm, ExchangeForm, ExpectedLength, SignalingWidth, Transport, Version,
    group_of,
};
use vocabulary::time::Instant;

use super::pair::{
    DEVICE_RESPONSE, DEVICE_SECRET, NOW, Pair, Then, credential, device_setup, public,
    reader_setup, secret,
};

const SUCCESS: [Then; 1] = [Then::Conclude(ControlFlow::SUCCESS)];

fn check_whole(pair: &Pair, phase: Phase) {
    assert_eq!(pair.reader_closed, Some(Ok(())));
    assert_eq!(pair.device_ended, [Ok(())]);
    assert_eq!(pair.authenticated.len(), 1);
    assert_eq!(pair.authenticated[0].phase, phase);
    assert_eq!(pair.authenticated[0].device_key, public(DEVICE_SECRET));
}

#[test]
fn the_first_tap_is_standard_and_the_second_is_fast() {
    let mut pair = Pair::standard();
    pair.run_whole();
    check_whole(&pair, Phase::Standard);
    // SELECT, AUTH0, AUTH1 and CONTROL FLOW with their answers, and one key to keep.
    assert_eq!((pair.sent.len(), pair.saved, pair.proofs), (8, 1, 0));
    let setup = pair.fast_setup();
    pair.next_tap(setup, &SUCCESS);
    pair.run_whole();
    check_whole(&pair, Phase::Fast);
    assert_eq!((pair.sent.len(), pair.saved, pair.proofs), (6, 1, 1));
    assert!(pair.authenticated[0].persistent_key.is_none());
}

#[test]
fn a_fast_tap_that_no_key_fits_goes_on_as_a_standard_one() {
    let strange =
        StoredKey { device_key: public(DEVICE_SECRET), key: PersistentKey::from_bytes([1; 32]) };
    let setup = reader::Setup {
        stored: Some(StoredKeys::new(vec![strange]).unwrap().into()),
        ..reader_setup()
    };
    // A device that knows no key of this reader, then one that knows another.
    let mut pair = Pair::new(device_setup(), setup.clone(), Memory::default());
    pair.run_whole();
    check_whole(&pair, Phase::Standard);
    pair.next_tap(setup, &SUCCESS);
    pair.run_whole();
    check_whole(&pair, Phase::Standard);
}

#[test]
fn the_one_key_of_many_is_found_wherever_it_lies() {
    let mut pair = Pair::standard();
    pair.run_whole();
    let known = pair.fast_setup().stored.unwrap().as_slice()[0].clone();
    for place in [0, READER_KEYS_MAX / 2, READER_KEYS_MAX - 1] {
        let strange = |n: u8| StoredKey {
            device_key: public(DEVICE_SECRET),
            key: PersistentKey::from_bytes([n; 32]),
        };
        let mut keys: Vec<_> = (0..=u8::MAX).map(strange).collect();
        assert_eq!(keys.len(), READER_KEYS_MAX);
        keys[place] = known.clone();
        let stored = Some(StoredKeys::new(keys).unwrap().into());
        pair.next_tap(reader::Setup { stored, ..reader_setup() }, &SUCCESS);
        pair.run_whole();
        check_whole(&pair, Phase::Fast);
    }
}

#[test]
fn a_device_is_known_by_its_slot_or_not_at_all() {
    let by_slot = || reader::Setup { naming: Naming::KeySlot, ..reader_setup() };
    let run = |slot| {
        let mut pair = Pair::new(device_setup(), by_slot(), Memory::default());
        pair.slot = slot;
        pair.run_whole();
        pair
    };
    check_whole(&run(Some(public(DEVICE_SECRET))), Phase::Standard);
    for (slot, error) in [
        (None, ReaderError::UnknownDevice),
        (Some(public(0x77)), ReaderError::DeviceSignature),
        (Some([4; 65]), ReaderError::DeviceSignature),
    ] {
        let pair = run(slot);
        assert_eq!(pair.reader_closed, Some(Err(error)));
        assert!(pair.authenticated.is_empty());
        assert_eq!(pair.device_ended, [Err(DeviceError::ReaderFailed(0))]);
    }
}

fn exchange(session: Session, operations: &[Operation]) -> Then {
    Then::Exchange(Exchange { session, operations: operations.to_vec() })
}

fn with_mailbox(dialect: Dialect) -> Pair {
    let memory = Memory { mailbox: Mailbox::new(vec![0; 600]), ..Memory::default() };
    let device = device::Setup { dialect, ..device_setup() };
    Pair::new(device, reader::Setup { dialect, ..reader_setup() }, memory)
}

#[test]
fn the_mailbox_is_written_and_read_in_both_phases() {
    let mut pair = with_mailbox(Dialect::default());
    let write = Operation::Write { offset: 1, data: vec![7, 8] };
    let set = Operation::Set { offset: 590, length: 10, value: 9 };
    let read = |offset, length| Operation::Read { offset, length };
    let script = [
        exchange(Session::More, &[write, Operation::ReaderStatus(0x0100)]),
        exchange(Session::Last, &[set, read(0, 4)]),
        // Two parts of a response.
        exchange(Session::Last, &[read(0, 300), read(300, 300)]),
        SUCCESS[0].clone(),
    ];
    pair.then = script.into_iter().collect();
    pair.run_whole();
    check_whole(&pair, Phase::Standard);
    assert_eq!(pair.statuses, [0x0100]);
    assert_eq!(pair.saved, 2);
    let answers: Vec<_> = pair.exchanged.iter().map(|answer| answer.result).collect();
    assert_eq!(answers, [ExchangeResult::Done; 3]);
    assert_eq!(pair.exchanged[1].reads, [vec![0, 7, 8, 0]]);
    assert_eq!(pair.exchanged[2].reads.concat(), pair.device.memory().mailbox.as_bytes());

    let setup = pair.fast_setup();
    let clear = Operation::Set { offset: 0, length: 600, value: 0 };
    pair.next_tap(setup, &[exchange(Session::Last, &[clear]), SUCCESS[0].clone()]);
    pair.run_whole();
    check_whole(&pair, Phase::Fast);
    assert_eq!(pair.device.memory().mailbox.as_bytes(), [0; 600]);
}

#[test]
fn operations_past_the_mailbox_change_nothing() {
    let past = Operation::Set { offset: 599, length: 2, value: 1 };
    let mut many = vec![Operation::Read { offset: 0, length: 600 }; 15];
    many.push(Operation::Set { offset: 0, length: 1, value: 1 });
    for (form, result) in [
        (ExchangeForm::Container, ExchangeResult::Range),
        (ExchangeForm::Bare, ExchangeResult::Failed(0xFFFF)),
    ] {
        let dialect = Dialect { exchange: form, ..Dialect::default() };
        for operations in [vec![past.clone()], many.clone()] {
            let mut pair = with_mailbox(dialect);
            pair.then = [exchange(Session::Last, &operations), SUCCESS[0].clone()].into();
            pair.run_whole();
            assert_eq!(pair.exchanged, [ExchangeAnswer { reads: vec![], result }]);
            assert_eq!(pair.device.memory().mailbox.as_bytes(), [0; 600]);
        }
    }
}

#[test]
fn a_session_of_the_mailbox_that_breaks_off_changes_nothing() {
    let mut pair = with_mailbox(Dialect::default());
    let set = Operation::Set { offset: 0, length: 600, value: 9 };
    pair.then = [exchange(Session::More, &[set]), SUCCESS[0].clone()].into();
    pair.run_whole();
    check_whole(&pair, Phase::Standard);
    assert_eq!(pair.device.memory().mailbox.as_bytes(), [0; 600]);
    let setup = reader_setup();
    pair.next_tap(setup, &[exchange(Session::Last, &[]), SUCCESS[0].clone()]);
    pair.run_whole();
    assert_eq!(pair.device.memory().mailbox.as_bytes(), [0; 600]);
}

#[test]
fn documents_are_given_after_a_standard_tap_and_not_after_a_fast_one() {
    let mut pair = Pair::standard();
    pair.then = [Then::StepUp, Then::StepUp, SUCCESS[0].clone()].into();
    pair.run_whole();
    check_whole(&pair, Phase::Standard);
    assert_eq!(pair.step_ups, [DEVICE_RESPONSE, DEVICE_RESPONSE]);
    let setup = pair.fast_setup();
    pair.next_tap(setup, &[Then::StepUp]);
    pair.run_whole();
    assert_eq!(pair.reader_closed, Some(Err(ReaderError::NoStepUp)));
    assert!(pair.step_ups.is_empty());
}

#[test]
fn every_dialect_works_with_itself_and_none_with_another() {
    let older = Dialect {
        signaling: SignalingWidth::One,
        expected_length: ExpectedLength::Absent,
        exchange: ExchangeForm::Bare,
        envelope: EnvelopeForm::Bare,
    };
    let script = || {
        let read = exchange(Session::Last, &[Operation::Read { offset: 0, length: 3 }]);
        [read, Then::StepUp, SUCCESS[0].clone()].into()
    };
    let mut pair = with_mailbox(older);
    pair.then = script();
    pair.run_whole();
    check_whole(&pair, Phase::Standard);
    assert_eq!((pair.exchanged.len(), pair.step_ups.len()), (1, 1));
    let only = Dialect { expected_length: ExpectedLength::Present, ..Dialect::default() };
    for other in [
        Dialect { signaling: SignalingWidth::One, ..only },
        Dialect { exchange: ExchangeForm::Bare, ..only },
        Dialect { envelope: EnvelopeForm::Bare, ..only },
    ] {
        let memory = Memory { mailbox: Mailbox::new(vec![0; 600]), ..Memory::default() };
        let device = device::Setup { dialect: other, ..device_setup() };
        let mut pair = Pair::new(device, reader_setup(), memory);
        pair.then = script();
        pair.run_whole();
        let failed = |answer: &ExchangeAnswer| answer.result != ExchangeResult::Done;
        let is_refused = pair.reader_closed.is_some_and(|outcome| outcome.is_err());
        assert!(is_refused || pair.exchanged.iter().any(failed), "{other:?}");
    }
}

#[test]
fn vendor_extensions_are_bound_into_the_keys() {
    let reader = reader::Setup { vendor: Some(vec![3; 127]), ..reader_setup() };
    let device = device::Setup { vendor: Some(vec![4; 127]), ..device_setup() };
    let mut pair = Pair::new(device, reader, Memory::default());
    pair.run_whole();
    check_whole(&pair, Phase::Standard);
    // AUTH0 does not fit one short command.
    assert_eq!(pair.sent.len(), 10);
}

const ISSUER: u8 = 0x66;

fn certificate(issuer: u8, not_after: Instant) -> Vec<u8> {
    let request = compressed::Request {
        serial: &[1],
        issuer: "issuer",
        subject: "door",
        not_before: Instant::from_unix_seconds(1_700_000_000),
        not_after,
        key: &public(super::pair::READER_SECRET),
    };
    let key = PublicKey::P256(public(issuer));
    let unsigned = compressed::issue(&request, &key).unwrap();
    let signature = RustCrypto.p256_sign(&secret(issuer), unsigned.to_be_signed()).unwrap();
    unsigned.complete(&signature)
}

fn run_certified(reader_key: ReaderKey, compressed: Option<Vec<u8>>, carrier: Carrier) -> Pair {
    let mut device = device_setup();
    device.credentials[0].reader_key = reader_key;
    let reader = reader::Setup {
        group_key: *reader_key.as_bytes(),
        certificate: compressed.map(|compressed| Certificate { compressed, carrier }),
        ..reader_setup()
    };
    let mut pair = Pair::new(device, reader, Memory::default());
    pair.run_whole();
    pair
}

#[test]
fn a_reader_with_a_certificate_is_known_by_its_issuer() {
    let later = NOW.saturating_add(Duration::from_secs(1_000));
    for carrier in [Carrier::LoadCert, Carrier::Auth1] {
        let issuer = ReaderKey::Issuer(public(ISSUER));
        let pair = run_certified(issuer, Some(certificate(ISSUER, later)), carrier);
        check_whole(&pair, Phase::Standard);
        let refused = |reader_key, compressed, code: Option<&str>| {
            let pair = run_certified(reader_key, compressed, carrier);
            assert!(pair.authenticated.is_empty());
            match (&pair.device_ended[..], code) {
                ([Err(DeviceError::CertificateRejected(rejection))], Some(code)) => {
                    assert_eq!(rejection.code, code);
                }
                ([Err(DeviceError::Certificate)], None) => {}
                other => panic!("{other:?}"),
            }
        };
        let expired = certificate(ISSUER, Instant::from_unix_seconds(1_789_999_999));
        refused(issuer, Some(expired), Some("reader-certificate-dates"));
        let strange = certificate(0x67, later);
        refused(issuer, Some(strange), Some("reader-certificate-signature"));
        refused(issuer, None, None);
        let group = ReaderKey::Group(public(super::pair::READER_SECRET));
        refused(group, Some(certificate(ISSUER, later)), None);
    }
}

#[test]
fn a_reader_of_an_unknown_group_learns_nothing_before_it_proves_itself() {
    let mut device = device_setup();
    device.credentials[0].group = [0; 16];
    let setup = Pair::standard().fast_setup();
    let mut pair = Pair::new(device, setup, Memory::default());
    pair.run_whole();
    assert_eq!(pair.device_ended, [Err(DeviceError::UnknownReader)]);
    // AUTH0 was answered as to a friend: a key, and a proof that none can open.
    let known = credential();
    assert_eq!(known.group, super::pair::READER.group);
    assert_eq!(pair.sent[3].1.len(), 67 + 66 + 2);
    assert_eq!(pair.sent[5].1, [0x69, 0x82]);
}

#[test]
fn an_owner_may_decline() {
    let mut pair = Pair::standard();
    pair.consents = false;
    pair.run_whole();
    assert_eq!(pair.device_ended, [Err(DeviceError::Declined)]);
    assert!(pair.authenticated.is_empty());
    assert_eq!(pair.saved, 0);
}

#[test]
fn an_owner_may_choose_another_credential_for_the_group_and_no_other() {
    let second = |group| device::Credential { group, device_key: public(0x23), ..credential() };
    let device = |group| {
        let credentials = vec![credential(), second(group)];
        device::Setup { credentials, ..device_setup() }
    };
    let group = super::pair::READER.group;
    let mut pair = Pair::new(device(group), reader_setup(), Memory::default());
    pair.chooses = Some(secret(0x23));
    pair.run_whole();
    assert_eq!(pair.authenticated[0].device_key, public(0x23));
    // The fast tap is with the credential that was chosen.
    let setup = pair.fast_setup();
    pair.next_tap(setup, &SUCCESS);
    pair.run_whole();
    assert_eq!(pair.authenticated[0].phase, Phase::Fast);
    assert_eq!(pair.authenticated[0].device_key, public(0x23));

    let mut pair = Pair::new(device([1; 16]), reader_setup(), Memory::default());
    pair.chooses = Some(secret(0x23));
    pair.run_whole();
    assert_eq!(pair.device_ended, [Err(DeviceError::Unexpected)]);
    assert!(pair.authenticated.is_empty());
}

#[test]
fn an_authority_has_one_group() {
    let group = group_of(&RustCrypto, &public(ISSUER));
    let input = [&b"limen reader group 1\0"[..], &public(ISSUER)].concat();
    assert_eq!(group, RustCrypto.sha256(&input)[..16]);
    assert_ne!(group, group_of(&RustCrypto, &public(0x67)));
}

#[test]
fn a_failure_is_told_with_its_reason() {
    let mut pair = Pair::standard();
    pair.then = [Then::Conclude(ControlFlow { s1: 0, s2: 5 })].into();
    pair.run_whole();
    assert_eq!(pair.reader_closed, Some(Ok(())));
    assert_eq!(pair.device_ended, [Err(DeviceError::ReaderFailed(5))]);
}

#[test]
fn ends_without_a_common_version_part() {
    let device = device::Setup { versions: vec![Version([0, 9])], ..device_setup() };
    let mut pair = Pair::new(device, reader_setup(), Memory::default());
    pair.run_whole();
    assert_eq!(pair.reader_closed, Some(Err(ReaderError::NoVersion)));
    // 41 01 00, 42 01 27.
    assert_eq!(pair.sent[2].1, [0x80, 0x3C, 0, 0, 6, 0x41, 1, 0, 0x42, 1, 0x27]);
}

#[test]
fn ends_on_two_transports_have_no_common_key() {
    let device = device::Setup { transport: Transport::Ble, ..device_setup() };
    let mut pair = Pair::new(device, reader_setup(), Memory::default());
    pair.run_whole();
    assert!(matches!(pair.reader_closed, Some(Err(ReaderError::Channel(_)))));
}

#[test]
fn whoever_falls_silent_is_left_in_time() {
    let mut pair = Pair::standard();
    pair.then.clear();
    pair.run_whole();
    assert_eq!(pair.authenticated.len(), 1);
    assert_eq!(pair.reader_closed, Some(Err(ReaderError::TimedOut)));
    assert_eq!(pair.device_ended, [Err(DeviceError::TimedOut)]);
    assert!(pair.now.duration_since(NOW) < Duration::from_secs(20));
}
