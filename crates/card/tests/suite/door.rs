//! Doors of a city at which cards have the standard tap, and passes for them.

use std::sync::Arc;

use credential::access_document::{self, pass};
use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret, PublicKey};
use credential::mdoc::{ENTROPY_BYTES_PER_ELEMENT, Validity};
use credential::rights::Rights;
use credential::unsigned::Unsigned;
use credential::x509::compressed;
use presentation::apdu::LinkLimits;
use presentation::standard::message::{ControlFlow, Naming};
use presentation::standard::reader::{Carrier, Certificate, Entropy, Input, Output, Reader, Setup};
use presentation::standard::{Dialect, ReaderIdentifier, Transport, Version, group_of};
use vocabulary::time::Instant;

use crate::bench::Bench;
use crate::desk::{Desk, Fault};
use card::management::{PASS_FILE, keys};

const SUB_GROUP: [u8; 16] = [0x2D; 16];
const SIGNER: P256Secret = P256Secret::from_bytes([0x51; 32]);
pub(crate) const DAY: i64 = 86_400;
/// When the pass is loaded: the card knows no other time.
pub(crate) const LOADED: i64 = 20_787 * DAY;

pub(crate) fn at(seconds: i64) -> Instant {
    Instant::from_unix_seconds(seconds)
}

fn public(key: &P256Secret) -> [u8; 65] {
    AwsLc.p256_public(key).unwrap()
}

fn sign<T: 'static>(key: &P256Secret, unsigned: Unsigned<T>) -> T {
    let signature = AwsLc.p256_sign(key, unsigned.to_be_signed()).unwrap();
    unsigned.complete(&signature)
}

/// What a wire makes of the answer to a command.
pub(crate) type Wire<'w> = &'w mut dyn FnMut(&[u8], Vec<u8>) -> Vec<u8>;

/// A door whose reader the authority with this number certified.
pub(crate) struct Door {
    pub(crate) authority: P256Secret,
    pub(crate) reader: P256Secret,
    /// First and last instant of its certificate.
    pub(crate) dates: (i64, i64),
    /// The name in the certificate; that of the reader, if it has none.
    pub(crate) name: Option<String>,
    pub(crate) carrier: Carrier,
    pub(crate) opens: bool,
    /// With what the reader signs.
    pub(crate) signs_with: P256Secret,
}

impl Door {
    pub(crate) fn of(authority: u8) -> Self {
        let (authority, reader) =
            (P256Secret::from_bytes([authority; 32]), P256Secret::from_bytes([0x77; 32]));
        let dates = (LOADED - DAY, LOADED + 7 * DAY);
        let (name, carrier, opens) = (None, Carrier::LoadCert, true);
        Self { authority, signs_with: reader.clone(), reader, dates, name, carrier, opens }
    }

    fn setup(&self) -> Setup {
        let group_key = public(&self.authority);
        let own_name = SUB_GROUP.iter().map(|byte| format!("{byte:02x}")).collect();
        let request = compressed::Request {
            serial: &[7; 8],
            issuer: "Test 4",
            subject: self.name.as_ref().unwrap_or(&own_name),
            not_before: at(self.dates.0),
            not_after: at(self.dates.1),
            key: &public(&self.reader),
        };
        let unsigned = compressed::issue(&request, &PublicKey::P256(group_key)).unwrap();
        let compressed = sign(&self.authority, unsigned);
        let group = group_of(&AwsLc, &group_key);
        Setup {
            reader: ReaderIdentifier { group, sub_group: SUB_GROUP },
            group_key,
            certificate: Some(Certificate { compressed, carrier: self.carrier }),
            versions: [Version::V1_0].into(),
            transport: Transport::Nfc,
            dialect: Dialect::default(),
            policy: 0,
            naming: Naming::PublicKey,
            vendor: None,
            stored: None,
        }
    }

    /// A whole tap: the rights that the card showed, or why it came to nothing.
    pub(crate) fn tap(&self, bench: &mut Bench) -> Result<Rights, String> {
        self.tap_heard(bench, &mut |_, answer| answer)
    }

    /// As [`Door::tap`], over a wire that may change what the card answers to a command.
    pub(crate) fn tap_heard(&self, bench: &mut Bench, wire: Wire<'_>) -> Result<Rights, String> {
        let now = at(LOADED);
        let entropy =
            Entropy { ephemeral: P256Secret::from_bytes([0x3C; 32]), transaction: [0x42; 16] };
        let setup = Arc::new(self.setup());
        let mut reader = Reader::new(&AwsLc, now, setup, &entropy, LinkLimits::EXTENDED).unwrap();
        let (mut device, mut shown) = (None, None);
        while let Some(output) = reader.poll_output() {
            match output {
                Output::Command(command) => {
                    let answer = wire(&command, bench.command(&command));
                    reader.handle(&AwsLc, now, Input::Response(&answer));
                }
                Output::Sign { message } => {
                    let signature = AwsLc.p256_sign(&self.signs_with, &message).unwrap();
                    reader.handle(&AwsLc, now, Input::Signature(&signature));
                }
                Output::Authenticated(found) => {
                    device = Some(PublicKey::P256(found.device_key));
                    let request = access_document::device_request(
                        access_document::Kind::Access,
                        &[pass::ELEMENT],
                    );
                    reader.handle(&AwsLc, now, Input::StepUp(&request));
                }
                Output::StepUp { device_response } => {
                    let issuers = [PublicKey::P256(public(&SIGNER))];
                    let expectation = access_document::Expectation {
                        crypto: &AwsLc,
                        issuers: &issuers,
                        at: now,
                        device_key: device.as_ref(),
                    };
                    let found = access_document::verify_response(&device_response, &expectation);
                    let found = found.map_err(|error| error.to_string())?;
                    shown = Some(pass::read(&found).unwrap().0);
                    let flow = if self.opens { ControlFlow::SUCCESS } else { ControlFlow::FAILURE };
                    reader.handle(&AwsLc, now, Input::Conclude(flow));
                }
                Output::Closed(closed) => closed.map_err(|error| error.to_string())?,
                other => panic!("{other:?}"),
            }
        }
        shown.ok_or_else(|| "nothing was shown".into())
    }
}

pub(crate) fn rights(operator: &str) -> Rights {
    Rights {
        operator: operator.parse().unwrap(),
        product: "badge".parse().unwrap(),
        class: None,
        zones: Vec::new(),
        places: Vec::new(),
        recurrence: None,
        valid_from: at(LOADED - DAY),
        valid_until: at(LOADED + 20 * DAY),
        uses_max: None,
        holder_only: false,
    }
}

/// An access document with these rights, for the device with this key.
pub(crate) fn document(rights: &Rights, device: [u8; 65]) -> Vec<u8> {
    let value = pass::value(rights, None).unwrap();
    let request = access_document::IssueRequest {
        device_key: Some(&PublicKey::P256(device)),
        elements: &[(pass::ELEMENT, &value)],
        validity: Validity {
            signed: at(LOADED - DAY),
            valid_from: at(LOADED - DAY),
            valid_until: at(LOADED + 20 * DAY),
            expected_update: None,
        },
        needs_clock: true,
    };
    let entropy = [9; ENTROPY_BYTES_PER_ELEMENT];
    let issuer = PublicKey::P256(public(&SIGNER));
    let unsigned = access_document::issue(&AwsLc, &request, &issuer, &entropy).unwrap();
    sign(&SIGNER, unsigned).into_bytes()
}

/// A pass as a card takes it.
pub(crate) fn blob(numbers: [u8; 2], authorities: &[u8], access: &[u8], mdoc: &[u8]) -> Vec<u8> {
    let mut blob = LOADED.to_be_bytes().to_vec();
    blob.extend(numbers);
    blob.push(u8::try_from(authorities.len()).unwrap());
    for authority in authorities {
        blob.extend(public(&P256Secret::from_bytes([*authority; 32])));
    }
    blob.extend(u16::try_from(access.len()).unwrap().to_be_bytes());
    blob.extend(access);
    blob.extend(mdoc);
    blob
}

/// Gives the application of `operator` a pass with these rights, shown to readers of this authority.
pub(crate) fn give(
    bench: &mut Bench,
    operator: &str,
    authority: u8,
    rights: &Rights,
) -> Result<(), Fault> {
    let mut desk = bench.update(operator)?;
    give_in(&mut desk, authority, rights)
}

pub(crate) fn give_in(desk: &mut Desk<'_>, authority: u8, rights: &Rights) -> Result<(), Fault> {
    let (access_key, point) = desk.draw(keys::SIGNS)?;
    let (mdoc_key, _) = desk.draw(keys::SIGNS)?;
    let access = document(rights, point);
    desk.put(PASS_FILE, &blob([access_key, mdoc_key], &[authority], &access, b"mdoc"))?;
    desk.commit()
}
