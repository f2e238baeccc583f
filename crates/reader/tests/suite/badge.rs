//! A device that does standard taps, as a reader meets it; and, where it does those as well, identity taps.

use credential::access_document::{Kind, device_response, parse_request};
use credential::crypto::P256Secret;
use credential::rights::Rights;
use presentation::apdu::LinkLimits;
use presentation::holder::{self, Holder};
use presentation::standard::device::{self, Credential, Device, Memory, ReaderKey, Setup};
use presentation::standard::message::{Signaling, Timestamps};
use presentation::standard::{Dialect, EXPEDITED_APPLICATION, Transport, Version, group_of};
use reader::engine::{Input, Output};
use vocabulary::time::Instant;

use crate::city::{CRYPTO, City, GATE, key, noon, place, ticket};
use crate::gate::{Gate, Phone, Seen};

/// A device with one access document.
pub(crate) struct Badge {
    pub(crate) device: Device,
    /// The key that it signs with.
    pub(crate) key: P256Secret,
    pub(crate) document: Vec<u8>,
    /// What it does besides.
    pub(crate) phone: Option<Phone>,
    pub(crate) consents: bool,
    /// Whether it shows what it is asked for.
    pub(crate) withholds: bool,
    /// The instructions of the commands of the last tap.
    pub(crate) commands: Vec<u8>,
    /// Its responses in the last tap.
    pub(crate) sent: Vec<Vec<u8>>,
    pub(crate) taps: u8,
}

/// What a wire makes of a response with this number: nothing where the device is torn away.
pub(crate) type Wire<'w> = &'w mut dyn FnMut(usize, Vec<u8>) -> Option<Vec<u8>>;

impl Badge {
    pub(crate) fn setup(city: &City, secret: &P256Secret) -> Setup {
        let authority = CRYPTO.p256_public(&city.reader_authority.key).unwrap();
        let credential = Credential {
            group: group_of(CRYPTO, &authority),
            reader_key: ReaderKey::Issuer(authority),
            device_key: CRYPTO.p256_public(secret).unwrap(),
            key_slot: [0; 8],
            documents: Signaling::ACCESS_DOCUMENT.with(Signaling::STEP_UP_SELECT),
            timestamps: Timestamps::default(),
        };
        Setup {
            credentials: vec![credential],
            versions: vec![Version::V1_0],
            vendor: None,
            transport: Transport::Nfc,
            dialect: Dialect::default(),
        }
    }

    /// A device with this document, whose key has the number.
    pub(crate) fn new(city: &City, number: u8, document: Vec<u8>) -> Self {
        let secret = key(number);
        Self {
            device: Device::new(Self::setup(city, &secret), Memory::default()),
            key: secret,
            document,
            phone: None,
            consents: true,
            withholds: false,
            commands: Vec::new(),
            sent: Vec::new(),
            taps: 0,
        }
    }

    /// A device with a document of the transit operator.
    pub(crate) fn with(city: &City, rights: &Rights, status: Option<u64>) -> Self {
        let document = city.access_document(&city.transit_signer.key, rights, status, &key(60));
        Self::new(city, 60, document)
    }

    /// A device with a good ticket.
    pub(crate) fn good(city: &City) -> Self {
        Self::with(city, &ticket(), Some(0))
    }

    fn feed(&mut self, now: Instant, input: device::Input<'_>) -> Option<Vec<u8>> {
        self.device.handle(CRYPTO, now, input);
        let mut response = None;
        while let Some(output) = self.device.poll_output() {
            match output {
                device::Output::Response(bytes) => response = Some(bytes),
                device::Output::Sign { message, .. } if self.consents => {
                    let signature = CRYPTO.p256_sign(&self.key, &message).unwrap();
                    self.device.handle(CRYPTO, now, device::Input::Signature(&signature));
                }
                device::Output::Sign { .. } => {
                    self.device.handle(CRYPTO, now, device::Input::Decline);
                }
                device::Output::StepUp { device_request, .. } => {
                    let asked = parse_request(&device_request, Kind::Access).unwrap();
                    let asked = asked.iter().map(|asked| asked.element);
                    let asked: Vec<&str> = asked.filter(|_| !self.withholds).collect();
                    let answer = device_response(Kind::Access, &self.document, &asked).unwrap();
                    self.device.handle(CRYPTO, now, device::Input::Respond(&answer));
                }
                device::Output::FastProof { .. }
                | device::Output::Save
                | device::Output::ReaderStatus(_)
                | device::Output::Ended(_) => {}
            }
        }
        response
    }
}

/// Where a badge lies in the field.
struct Field<'b> {
    badge: &'b mut Badge,
    holder: Holder,
    /// Whether the application of the standard tap was selected last.
    is_standard: bool,
}

impl Field<'_> {
    fn answer(&mut self, now: Instant, command: &[u8]) -> Vec<u8> {
        let [_, instruction, p1, ..] = *command else { panic!("{command:?}") };
        if (instruction, p1) == (0xA4, 4) {
            self.is_standard = command.get(5..13) == EXPEDITED_APPLICATION.get(..8);
        }
        if self.is_standard {
            return self.badge.feed(now, device::Input::Command(command)).unwrap();
        }
        let Some(phone) = self.badge.phone.clone() else { return vec![0x6A, 0x82] };
        self.holder.handle(CRYPTO, now, holder::Input::Command(command));
        let mut response = vec![0x6A, 0x82];
        while let Some(output) = self.holder.poll_output() {
            match output {
                holder::Output::Response(bytes) => response = bytes,
                holder::Output::Request { device_request, session_transcript, .. } => {
                    let answer = phone.answer(&device_request, &session_transcript).unwrap();
                    self.holder.handle(CRYPTO, now, holder::Input::Respond(&answer));
                }
                holder::Output::Closed(_) => {}
            }
        }
        response
    }
}

/// A tap over a good wire at noon.
pub(crate) fn tap(gate: &mut Gate, badge: &mut Badge) -> Vec<Seen> {
    tap_at(gate, badge, GATE, noon())
}

pub(crate) fn tap_at(gate: &mut Gate, badge: &mut Badge, door: &str, now: Instant) -> Vec<Seen> {
    tap_over(gate, badge, (door, now), &mut |_, response| Some(response))
}

pub(crate) fn tap_over(
    gate: &mut Gate,
    badge: &mut Badge,
    (door, now): (&str, Instant),
    wire: Wire<'_>,
) -> Vec<Seen> {
    gate.taps = gate.taps.wrapping_add(1);
    badge.taps = badge.taps.wrapping_add(1);
    (badge.commands, badge.sent) = (Vec::new(), Vec::new());
    let ephemeral = P256Secret::from_bytes([badge.taps | 1; 32]);
    let entropy = device::Entropy { ephemeral, filler: [badge.taps; 64] };
    badge.feed(now, device::Input::Tap(entropy));
    let holder = Holder::new(CRYPTO, now, key(100), LinkLimits::EXTENDED).unwrap();
    let mut field = Field { badge, holder, is_standard: true };
    gate.seen.clear();
    let secret = key(200 + gate.taps % 50);
    gate.engine.handle(CRYPTO, now, Input::Tap { door: place(door), secret });
    while let Some(output) = gate.engine.poll_output() {
        match output {
            Output::Command(command) => {
                let response = field.answer(now, &command);
                field.badge.commands.push(command[1]);
                let response = wire(field.badge.sent.len(), response);
                field.badge.sent.extend(response.clone());
                let input = match &response {
                    Some(bytes) => Input::Response { bytes, took: (gate.took)() },
                    None => Input::LinkLost,
                };
                gate.engine.handle(CRYPTO, now, input);
                if response.is_none() {
                    field.badge.feed(now, device::Input::LinkLost);
                }
            }
            Output::Sign(message) => {
                let signature = CRYPTO.p256_sign(&key(7), &message).unwrap();
                gate.engine.handle(CRYPTO, now, Input::Signature(signature.as_bytes()));
            }
            Output::Record(record) => {
                gate.journal.push(record);
                gate.engine.handle(CRYPTO, now, Input::Recorded);
            }
            Output::Unlock { .. } => gate.seen.push(Seen::Unlocked),
            Output::Refused { reason, .. } => gate.seen.push(Seen::Refused(reason)),
            other => panic!("{other:?}"),
        }
    }
    field.badge.feed(now, device::Input::LinkLost);
    // Whoever is there once the tap is over.
    gate.engine.handle(CRYPTO, now, Input::LinkLost);
    gate.drain(now, None);
    gate.seen.clone()
}
