//! Both ends of a standard tap in one place: a link that a test may disturb, and a virtual clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret};
use credential::rustcrypto::RustCrypto;
use presentation::apdu::LinkLimits;
use presentation::standard::device::{self, Credential, Device, DeviceError, Memory, ReaderKey};
use presentation::standard::exchange::{Exchange, ExchangeAnswer};
use presentation::standard::keyring::{StoredKey, StoredKeys};
use presentation::standard::message::{ControlFlow, Naming, Signaling, Timestamps};
use presentation::standard::reader::{self, Authenticated, Reader, ReaderError};
use presentation::standard::{Dialect, ReaderIdentifier, Transport, Version};
use vocabulary::time::Instant;

pub(super) const NOW: Instant = Instant::from_unix_seconds(1_790_000_000);
pub(super) const READER: ReaderIdentifier =
    ReaderIdentifier { group: [0xA1; 16], sub_group: [0xB2; 16] };
pub(super) const DEVICE_RESPONSE: &[u8] = b"a document, which nobody reads here";
pub(super) const DEVICE_REQUEST: &[u8] = b"a request for documents";

pub(super) fn secret(byte: u8) -> P256Secret {
    P256Secret::from_bytes([byte; 32])
}

pub(super) fn public(byte: u8) -> [u8; 65] {
    RustCrypto.p256_public(&secret(byte)).unwrap()
}

/// The reader's key.
pub(super) const READER_SECRET: u8 = 0x11;
/// The device's key.
pub(super) const DEVICE_SECRET: u8 = 0x22;

/// Which way an APDU goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ToDevice,
    ToReader,
}

/// What the reader's caller does once the device is authenticated, one after another.
#[derive(Clone, Debug)]
pub(super) enum Then {
    Exchange(Exchange),
    StepUp,
    Conclude(ControlFlow),
}

/// What a link makes of the APDU with this number: the bytes to deliver, one after another.
pub(super) type Disturb<'a> = dyn FnMut(usize, Way, &[u8]) -> Vec<Vec<u8>> + 'a;

pub(super) fn credential() -> Credential {
    Credential {
        group: READER.group,
        reader_key: ReaderKey::Group(public(READER_SECRET)),
        device_key: public(DEVICE_SECRET),
        key_slot: [7; 8],
        documents: Signaling::ACCESS_DOCUMENT.with(Signaling::STEP_UP_SELECT),
        timestamps: Timestamps { access: *b"2026-01-01T00:00:00Z", revocation: [0; 20] },
    }
}

pub(super) fn device_setup() -> device::Setup {
    device::Setup {
        credentials: vec![credential()],
        versions: vec![Version::V1_0, Version([0, 9])],
        vendor: None,
        transport: Transport::Nfc,
        dialect: Dialect::default(),
    }
}

pub(super) fn reader_setup() -> reader::Setup {
    reader::Setup {
        reader: READER,
        group_key: public(READER_SECRET),
        certificate: None,
        versions: vec![Version::V1_0],
        transport: Transport::Nfc,
        dialect: Dialect::default(),
        policy: 1,
        naming: Naming::PublicKey,
        vendor: None,
        stored: None,
    }
}

pub(super) struct Pair {
    pub now: Instant,
    pub device: Device,
    pub reader: Reader,
    pub reader_secret: P256Secret,
    pub device_secret: P256Secret,
    /// What lies in the slot that a device names.
    pub slot: Option<[u8; 65]>,
    pub then: VecDeque<Then>,
    pub device_request: Vec<u8>,
    pub device_response: Vec<u8>,
    /// Whether the device's owner agrees.
    pub consents: bool,
    /// The key of another credential that the owner chooses.
    pub chooses: Option<P256Secret>,
    pub sent: Vec<(Way, Vec<u8>)>,
    pub authenticated: Vec<Authenticated>,
    pub exchanged: Vec<ExchangeAnswer>,
    pub step_ups: Vec<Vec<u8>>,
    pub statuses: Vec<u16>,
    pub saved: usize,
    /// Proofs of the fast phase that the device gave.
    pub proofs: usize,
    pub device_ended: Vec<Result<(), DeviceError>>,
    pub reader_closed: Option<Result<(), ReaderError>>,
    wire: VecDeque<(Way, Vec<u8>)>,
    tap: u8,
}

impl Pair {
    pub(super) fn new(device: device::Setup, reader: reader::Setup, memory: Memory) -> Self {
        let mut pair = Self {
            now: NOW,
            device: Device::new(device, memory),
            reader: new_reader(0, NOW, reader),
            reader_secret: secret(READER_SECRET),
            device_secret: secret(DEVICE_SECRET),
            slot: None,
            then: VecDeque::from([Then::Conclude(ControlFlow::SUCCESS)]),
            device_request: DEVICE_REQUEST.to_vec(),
            device_response: DEVICE_RESPONSE.to_vec(),
            consents: true,
            chooses: None,
            sent: Vec::new(),
            authenticated: Vec::new(),
            exchanged: Vec::new(),
            step_ups: Vec::new(),
            statuses: Vec::new(),
            saved: 0,
            proofs: 0,
            device_ended: Vec::new(),
            reader_closed: None,
            wire: VecDeque::new(),
            tap: 0,
        };
        pair.feed_device(device::Input::Tap(entropy(0)));
        pair
    }

    pub(super) fn standard() -> Self {
        Self::new(device_setup(), reader_setup(), Memory::default())
    }

    /// The next tap of the same device at a reader with this setup.
    pub(super) fn next_tap(&mut self, setup: reader::Setup, then: &[Then]) {
        self.tap += 1;
        self.then = then.iter().cloned().collect();
        (self.reader_closed, self.device_ended) = (None, Vec::new());
        (self.sent, self.authenticated) = (Vec::new(), Vec::new());
        (self.exchanged, self.step_ups) = (Vec::new(), Vec::new());
        self.wire.clear();
        self.now = self.now.saturating_add(Duration::from_secs(200));
        self.reader = new_reader(self.tap, self.now, setup);
        let entropy = entropy(self.tap);
        self.feed_device(device::Input::Tap(entropy));
        // What a tap that was left open had to say.
        self.device_ended.clear();
        while let Some(output) = self.device.poll_output() {
            assert!(matches!(output, device::Output::Ended(Err(_))), "{output:?}");
        }
    }

    /// A setup that knows the device from its first tap.
    pub(super) fn fast_setup(&self) -> reader::Setup {
        let known = self.authenticated.iter().filter_map(|device| {
            let key = device.persistent_key.clone()?;
            Some(StoredKey { device_key: device.device_key, key })
        });
        let stored = StoredKeys::new(known.collect()).unwrap();
        reader::Setup { stored: Some(Arc::new(stored)), ..reader_setup() }
    }

    /// Runs until both ends have closed.
    pub(super) fn run(&mut self, disturb: &mut Disturb<'_>) {
        for _ in 0..5_000 {
            self.drain(disturb);
            if let Some((way, bytes)) = self.wire.pop_front() {
                self.now = self.now.saturating_add(Duration::from_millis(5));
                match way {
                    Way::ToDevice => self.feed_device(device::Input::Command(&bytes)),
                    Way::ToReader => self.feed_reader(reader::Input::Response(&bytes)),
                }
                continue;
            }
            let timeouts = [self.device.poll_timeout(), self.reader.poll_timeout()];
            let Some(next) = timeouts.into_iter().flatten().min() else {
                assert!(self.reader_closed.is_some());
                assert_eq!(self.device_ended.len(), 1);
                return;
            };
            self.now = self.now.max(next);
            self.feed_device(device::Input::Timeout);
            self.feed_reader(reader::Input::Timeout);
        }
        panic!("the tap never ends");
    }

    pub(super) fn run_whole(&mut self) {
        self.run(&mut |_, _, bytes| vec![bytes.to_vec()]);
    }

    pub(super) fn feed_device(&mut self, input: device::Input<'_>) {
        self.device.handle(&RustCrypto, self.now, input);
    }

    pub(super) fn feed_reader(&mut self, input: reader::Input<'_>) {
        self.reader.handle(&AwsLc, self.now, input);
    }

    fn send(&mut self, way: Way, bytes: Vec<u8>, disturb: &mut Disturb<'_>) {
        let delivered = disturb(self.sent.len(), way, &bytes);
        self.wire.extend(delivered.into_iter().map(|bytes| (way, bytes)));
        self.sent.push((way, bytes));
    }

    fn drain(&mut self, disturb: &mut Disturb<'_>) {
        loop {
            if let Some(output) = self.reader.poll_output() {
                self.reader_says(output, disturb);
            } else if let Some(output) = self.device.poll_output() {
                self.device_says(output, disturb);
            } else {
                return;
            }
        }
    }

    fn go_on(&mut self) {
        match self.then.pop_front() {
            Some(Then::Exchange(exchange)) => {
                self.feed_reader(reader::Input::Exchange(&exchange));
            }
            Some(Then::StepUp) => {
                let request = self.device_request.clone();
                self.feed_reader(reader::Input::StepUp(&request));
            }
            Some(Then::Conclude(flow)) => self.feed_reader(reader::Input::Conclude(flow)),
            None => {}
        }
    }

    fn reader_says(&mut self, output: reader::Output, disturb: &mut Disturb<'_>) {
        match output {
            reader::Output::Command(bytes) => self.send(Way::ToDevice, bytes, disturb),
            reader::Output::Sign { message } => {
                let signature = RustCrypto.p256_sign(&self.reader_secret, &message).unwrap();
                self.feed_reader(reader::Input::Signature(&signature));
            }
            reader::Output::NeedDeviceKey { key_slot } => {
                assert_eq!(key_slot, [7; 8]);
                let key = self.slot;
                self.feed_reader(reader::Input::DeviceKey(key.as_ref()));
            }
            reader::Output::Authenticated(device) => {
                self.authenticated.push(*device);
                self.go_on();
            }
            reader::Output::Exchanged(answer) => {
                self.exchanged.push(answer);
                self.go_on();
            }
            reader::Output::StepUp { device_response } => {
                self.step_ups.push(device_response);
                self.go_on();
            }
            reader::Output::Closed(outcome) => {
                assert_eq!(self.reader_closed, None, "closed twice");
                self.reader_closed = Some(outcome);
            }
        }
    }

    fn device_says(&mut self, output: device::Output, disturb: &mut Disturb<'_>) {
        match output {
            device::Output::Response(bytes) => self.send(Way::ToReader, bytes, disturb),
            device::Output::Sign { device_key, message, .. } => {
                assert_eq!(device_key, public(DEVICE_SECRET));
                if !self.consents {
                    return self.feed_device(device::Input::Decline);
                }
                if let Some(chosen) = self.chooses.clone() {
                    let public = RustCrypto.p256_public(&chosen).unwrap();
                    self.feed_device(device::Input::Choose(&public));
                    self.device_secret = chosen;
                }
                let signature = RustCrypto.p256_sign(&self.device_secret, &message).unwrap();
                self.feed_device(device::Input::Signature(&signature));
            }
            device::Output::StepUp { device_request, device_key } => {
                assert_eq!(device_request, self.device_request);
                assert_eq!(device_key, public(DEVICE_SECRET));
                let response = self.device_response.clone();
                self.feed_device(device::Input::Respond(&response));
            }
            device::Output::FastProof { reader, .. } => {
                assert_eq!(reader.sub_group, READER.sub_group);
                self.proofs += 1;
            }
            device::Output::Save => self.saved += 1,
            device::Output::ReaderStatus(status) => self.statuses.push(status),
            device::Output::Ended(outcome) => self.device_ended.push(outcome),
        }
    }
}

fn entropy(tap: u8) -> device::Entropy {
    device::Entropy { ephemeral: secret(0x40 + tap), filler: [0x50 + tap; 64] }
}

fn new_reader(tap: u8, now: Instant, setup: reader::Setup) -> Reader {
    let entropy = reader::Entropy { ephemeral: secret(0x30 + tap), transaction: [tap; 16] };
    Reader::new(&AwsLc, now, Arc::new(setup), &entropy, LinkLimits::SHORT).unwrap()
}
