//! The published transaction, key schedule and cryptogram; vectors `aliro`. Values that are marked
//! there as computed and not published are regression values.

use std::sync::Arc;

use credential::aws_lc::AwsLc;
use credential::crypto::{Algorithm, Crypto, P256Secret, PublicKey, Signature};
use credential::rustcrypto::RustCrypto;
use presentation::apdu::{Command, LinkLimits};
use presentation::session::{Channel, End};
use presentation::standard::device::{self, Credential, Device, Memory, ReaderKey};
use presentation::standard::keyring::{KeptKey, Keyring, StoredKey, StoredKeys};
use presentation::standard::message::{
    Auth0, Auth0Answer, Auth1, Auth1Answer, ControlFlow, Naming, Offer, Signaling, Timestamps,
};
use presentation::standard::reader::{self, Phase, Reader};
use presentation::standard::schedule::{Context, CryptogramKey, PersistentKey, Usage};
use presentation::standard::{Dialect, ReaderIdentifier, SignalingWidth, Transport, Version};
use serde_json::Value;
use vocabulary::time::Instant;

const NOW: Instant = Instant::from_unix_seconds(1_790_000_000);
const PROVIDERS: [&dyn Crypto; 2] = [&RustCrypto, &AwsLc];

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex(value).try_into().unwrap()
}

/// One file of the vectors, where they are there; under `CI=true` they must be.
fn file(name: &str) -> Option<Value> {
    let shared = std::env::var_os("LIMEN_SHARED").map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into(),
        std::path::PathBuf::from,
    );
    let path = shared.join("vectors/aliro").join(name);
    if let Ok(bytes) = std::fs::read(&path) {
        return Some(serde_json::from_slice(&bytes).unwrap());
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "vectors `aliro` are absent");
    eprintln!("NOT RUN: vectors `aliro` are absent; set LIMEN_SHARED to their folder");
    None
}

struct Vectors {
    keys: Value,
    standard: Value,
}

impl Vectors {
    fn load() -> Option<Self> {
        Some(Self { keys: file("keys.json")?, standard: file("standard-transaction-nfc.json")? })
    }

    fn secret(&self, name: &str) -> P256Secret {
        P256Secret::from_bytes(array(&self.keys[name]["d_hex"]))
    }

    fn public(&self, name: &str) -> [u8; 65] {
        array(&self.keys[name]["uncompressed_hex"])
    }

    fn step(&self, at: usize, what: &str) -> Vec<u8> {
        hex(&self.standard["steps"][at][what])
    }

    fn signature(&self, name: &str) -> Signature {
        Signature::new(Algorithm::Es256, &hex(&self.standard[name])).unwrap()
    }

    fn reader(&self) -> ReaderIdentifier {
        ReaderIdentifier::from_bytes(&array(&self.standard["reader_identifier_hex"]))
    }

    fn transaction(&self) -> [u8; 16] {
        array(&self.standard["transaction_identifier_hex"])
    }

    fn context(&self) -> Context {
        Context {
            group_key: self.public("reader_static"),
            reader: self.reader(),
            transport: Transport::Nfc,
            version: Version::V1_0,
            reader_ephemeral: self.public("reader_ephemeral"),
            device_ephemeral: self.public("device_ephemeral"),
            transaction: self.transaction(),
            flags: [0, 1],
            proprietary: Offer::new(&[Version::V1_0], None).proprietary,
            vendor: None,
            vendor_answer: None,
        }
    }

    fn reader_setup(&self, dialect: Dialect) -> reader::Setup {
        reader::Setup {
            reader: self.reader(),
            group_key: self.public("reader_static"),
            certificate: None,
            versions: vec![Version::V1_0],
            transport: Transport::Nfc,
            dialect,
            policy: 1,
            naming: Naming::PublicKey,
            vendor: None,
            stored: None,
        }
    }

    fn device_setup(&self, dialect: Dialect) -> device::Setup {
        let credential = Credential {
            group: self.reader().group,
            reader_key: ReaderKey::Group(self.public("reader_static")),
            device_key: self.public("device_static"),
            key_slot: [0; 8],
            documents: Signaling::default(),
            timestamps: Timestamps::default(),
        };
        device::Setup {
            credentials: vec![credential],
            versions: vec![Version::V1_0],
            vendor: None,
            transport: Transport::Nfc,
            dialect,
        }
    }
}

/// The published transaction has a signaling bitmap of one byte.
const DIALECT: Dialect = Dialect {
    signaling: SignalingWidth::One,
    expected_length: presentation::standard::ExpectedLength::Present,
    exchange: presentation::standard::ExchangeForm::Container,
    envelope: presentation::standard::EnvelopeForm::Object,
};

#[test]
fn keys_are_derived_as_published() {
    let Some(vectors) = Vectors::load() else { return };
    let published = &vectors.standard["published_intermediates"];
    let computed = &vectors.standard["recomputed_intermediates"];
    let context = vectors.context();
    for crypto in PROVIDERS {
        let (own, peer) = (vectors.secret("reader_ephemeral"), vectors.public("device_ephemeral"));
        let shared = crypto.p256_agree(&own, &peer).unwrap();
        let agreed = context.agreed(crypto, &shared);
        assert_eq!(agreed[..], hex(&published["shared_key_after_x963_hex"])[..]);
        let keys = context.standard_keys(crypto, &agreed);
        let check = |keys: &presentation::session::SessionKeys, source: &Value, name: &str| {
            let [reader, device] = keys.danger_bytes();
            assert_eq!(reader[..], hex(&source[format!("{name}_sk_reader_hex")])[..], "{name}");
            assert_eq!(device[..], hex(&source[format!("{name}_sk_device_hex")])[..], "{name}");
        };
        check(&keys.exchange, published, "exchange");
        check(&keys.step_up(crypto), computed, "step_up");
        check(&keys.ble(crypto), computed, "ble");
        assert_eq!(keys.danger_ranging()[..], hex(&computed["ur_sk_hex"])[..]);
        let device_key = vectors.public("device_static");
        let persistent = context.persistent_key(crypto, &agreed, &device_key);
        assert_eq!(persistent.danger_bytes()[..], hex(&computed["k_persistent_hex"])[..]);
    }
}

#[test]
fn both_signatures_verify_over_the_published_bytes() {
    let Some(vectors) = Vectors::load() else { return };
    let context = vectors.context();
    let published = &vectors.standard["published_intermediates"];
    let computed = &vectors.standard["recomputed_intermediates"];
    let (reader, device) = (context.signed(Usage::Reader), context.signed(Usage::Device));
    assert_eq!(reader, hex(&published["reader_authentication_data_hex"]));
    assert_eq!(device, hex(&computed["device_authentication_data_hex"]));
    for crypto in PROVIDERS {
        for (key, message, signature) in [
            ("reader_static", &reader, "reader_signature_hex"),
            ("device_static", &device, "device_signature_hex"),
        ] {
            let key = PublicKey::P256(vectors.public(key));
            let signature = vectors.signature(signature);
            assert_eq!(crypto.verify(&key, message, signature.as_bytes()), Ok(()));
        }
    }
}

#[test]
fn messages_return_from_the_published_bytes() {
    let Some(vectors) = Vectors::load() else { return };
    let answer = |at: usize| {
        let bytes = vectors.step(at, "response_hex");
        bytes[..bytes.len() - 2].to_vec()
    };
    let data = |at: usize| {
        let bytes = vectors.step(at, "command_hex");
        Command::parse(&bytes).unwrap().data.to_vec()
    };
    assert_eq!(Offer::parse(&answer(0)).unwrap().encode(), answer(0));
    assert_eq!(Auth0::parse(&data(1)).unwrap().encode(), data(1));
    assert_eq!(Auth0Answer::parse(&answer(1), false).unwrap().encode(), answer(1));
    assert_eq!(Auth1::parse(&data(2)).unwrap().encode(), data(2));
    let opened = hex(&vectors.standard["steps"][2]["response_plaintext_hex"]);
    assert_eq!(Auth1Answer::parse(&opened, &DIALECT).unwrap().encode(&DIALECT), opened);
    // The layout of today has two bytes for the bitmap.
    assert!(Auth1Answer::parse(&opened, &Dialect::default()).is_err());
    assert_eq!(ControlFlow::parse(&data(3)), Ok(ControlFlow::SUCCESS));
    assert_eq!(ControlFlow::SUCCESS.encode(), data(3));
}

#[test]
fn the_reader_runs_the_published_transaction() {
    let Some(vectors) = Vectors::load() else { return };
    for crypto in PROVIDERS {
        let entropy = reader::Entropy {
            ephemeral: vectors.secret("reader_ephemeral"),
            transaction: vectors.transaction(),
        };
        let setup = Arc::new(vectors.reader_setup(DIALECT));
        let mut reader = Reader::new(crypto, NOW, setup, &entropy, LinkLimits::SHORT).unwrap();
        let (mut step, mut authenticated) = (0, None);
        while let Some(output) = reader.poll_output() {
            match output {
                reader::Output::Command(bytes) => {
                    assert_eq!(bytes, vectors.step(step, "command_hex"), "{step}");
                    let response = vectors.step(step, "response_hex");
                    step += 1;
                    reader.handle(crypto, NOW, reader::Input::Response(&response));
                }
                reader::Output::Sign { message } => {
                    assert_eq!(message, vectors.context().signed(Usage::Reader));
                    let signature = vectors.signature("reader_signature_hex");
                    reader.handle(crypto, NOW, reader::Input::Signature(&signature));
                }
                reader::Output::Authenticated(device) => {
                    authenticated = Some(device);
                    let success = reader::Input::Conclude(ControlFlow::SUCCESS);
                    reader.handle(crypto, NOW, success);
                }
                reader::Output::Closed(outcome) => assert_eq!(outcome, Ok(())),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(step, 4);
        let device = authenticated.unwrap();
        assert_eq!((device.phase, device.version), (Phase::Standard, Version::V1_0));
        assert_eq!(device.device_key, vectors.public("device_static"));
        let computed = &vectors.standard["recomputed_intermediates"]["k_persistent_hex"];
        assert_eq!(device.persistent_key.unwrap().danger_bytes()[..], hex(computed)[..]);
    }
}

#[test]
fn the_device_runs_the_published_transaction() {
    let Some(vectors) = Vectors::load() else { return };
    for crypto in PROVIDERS {
        let mut device = Device::new(vectors.device_setup(DIALECT), Memory::default());
        let ephemeral = vectors.secret("device_ephemeral");
        let entropy = device::Entropy { ephemeral, filler: [0; 64] };
        device.handle(crypto, NOW, device::Input::Tap(entropy));
        for step in 0..4 {
            let command = vectors.step(step, "command_hex");
            device.handle(crypto, NOW, device::Input::Command(&command));
            let mut answered = false;
            while let Some(output) = device.poll_output() {
                match output {
                    device::Output::Response(bytes) => {
                        assert_eq!(bytes, vectors.step(step, "response_hex"), "{step}");
                        answered = true;
                    }
                    device::Output::Sign { message, .. } => {
                        assert_eq!(message, vectors.context().signed(Usage::Device));
                        let signature = vectors.signature("device_signature_hex");
                        device.handle(crypto, NOW, device::Input::Signature(&signature));
                    }
                    device::Output::Save => assert_eq!(step, 2),
                    device::Output::Ended(outcome) => assert_eq!((step, outcome), (3, Ok(()))),
                    other => panic!("{other:?}"),
                }
            }
            assert!(answered, "{step}");
        }
        let kept = device.memory().keyring.find(&vectors.reader()).unwrap();
        let computed = &vectors.standard["recomputed_intermediates"]["k_persistent_hex"];
        assert_eq!(kept.key.danger_bytes()[..], hex(computed)[..]);
    }
}

#[test]
fn the_published_answer_opens_with_its_counter_and_no_other() {
    let Some(vectors) = Vectors::load() else { return };
    let published = &vectors.standard["published_intermediates"];
    let keys = || {
        presentation::session::SessionKeys::from_bytes(
            array(&published["exchange_sk_reader_hex"]),
            array(&published["exchange_sk_device_hex"]),
        )
    };
    let sealed = vectors.step(2, "response_hex");
    let sealed = &sealed[..sealed.len() - 2];
    let mut channel = Channel::new(End::Reader, keys());
    let opened = channel.open(&AwsLc, sealed).unwrap();
    assert_eq!(opened, hex(&vectors.standard["steps"][2]["response_plaintext_hex"]));
    assert!(channel.open(&AwsLc, sealed).is_err());
    assert!(Channel::new(End::Holder, keys()).open(&AwsLc, sealed).is_err());
}

#[test]
fn the_published_cryptogram_is_sealed_and_opened() {
    let Some(vector) = file("fast-cryptogram.json") else { return };
    let signaling = Signaling(u16::from_be_bytes(array(&vector["signaling_bitmap_hex"])));
    let timestamps = Timestamps {
        access: array(&vector["credential_signed_timestamp_hex"]),
        revocation: array(&vector["revocation_signed_timestamp_hex"]),
    };
    let expected: [u8; 64] = array(&vector["cryptogram_64_bytes_hex"]);
    for crypto in PROVIDERS {
        let key = || CryptogramKey::from_bytes(array(&vector["cryptogram_sk_hex"]));
        assert_eq!(key().seal(crypto, signaling, &timestamps), expected);
        let mut buffer = Vec::new();
        let opened = key().open(crypto, &expected, &mut buffer);
        assert_eq!(opened, Some((signaling, timestamps)));
        for position in 0..64 {
            let mut changed = expected;
            changed[position] ^= 1;
            assert_eq!(key().open(crypto, &changed, &mut buffer), None, "{position}");
        }
    }
}

#[test]
fn both_ends_run_the_computed_fast_transaction() {
    let (Some(vectors), Some(fast)) = (Vectors::load(), file("fast-transaction-computed.json"))
    else {
        return;
    };
    let secret = |name: &str| P256Secret::from_bytes(array(&fast[name]["d_hex"]));
    let persistent = || PersistentKey::from_bytes(array(&fast["k_persistent_hex"]));
    let device_key = vectors.public("device_static");
    for crypto in PROVIDERS {
        let stored = StoredKeys::new(vec![StoredKey { device_key, key: persistent() }]).unwrap();
        let setup = reader::Setup {
            stored: Some(Arc::new(stored)),
            ..vectors.reader_setup(Dialect::default())
        };
        let transaction = array(&fast["transaction_identifier_hex"]);
        let entropy = reader::Entropy { ephemeral: secret("reader_ephemeral"), transaction };
        let reader = Reader::new(crypto, NOW, Arc::new(setup), &entropy, LinkLimits::SHORT);
        let mut reader = reader.unwrap();
        let mut setup = vectors.device_setup(Dialect::default());
        setup.credentials[0].documents = Signaling::ACCESS_DOCUMENT;
        setup.credentials[0].timestamps.access = *b"2026-01-01T00:00:00Z";
        let mut keyring = Keyring::default();
        keyring.keep(KeptKey { reader: vectors.reader(), device_key, key: persistent() });
        let mut device = Device::new(setup, Memory { keyring, ..Memory::default() });
        let entropy = device::Entropy { ephemeral: secret("device_ephemeral"), filler: [0; 64] };
        device.handle(crypto, NOW, device::Input::Tap(entropy));

        let (mut sent, mut authenticated) = (Vec::new(), None);
        while let Some(output) = reader.poll_output() {
            match output {
                reader::Output::Command(command) => {
                    device.handle(crypto, NOW, device::Input::Command(&command));
                    let outputs = core::iter::from_fn(|| device.poll_output());
                    let responses = outputs.filter_map(|output| match output {
                        device::Output::Response(response) => Some(response),
                        device::Output::FastProof { .. } => None,
                        other => panic!("{other:?}"),
                    });
                    let [response] = &responses.collect::<Vec<_>>()[..] else {
                        panic!("no response");
                    };
                    let response = response.clone();
                    reader.handle(crypto, NOW, reader::Input::Response(&response));
                    sent.push((command, response));
                }
                reader::Output::Authenticated(device) => authenticated = Some(device),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[1].0, hex(&fast["auth0_command_hex"]));
        assert_eq!(sent[1].1, hex(&fast["auth0_response_hex"]));
        let device = authenticated.unwrap();
        assert_eq!((device.phase, device.device_key), (Phase::Fast, device_key));
        assert_eq!(device.signaling, Signaling::ACCESS_DOCUMENT);
        assert_eq!(device.timestamps.unwrap().access, *b"2026-01-01T00:00:00Z");
        let context = Context {
            reader_ephemeral: array(&fast["reader_ephemeral"]["uncompressed_hex"]),
            device_ephemeral: array(&fast["device_ephemeral"]["uncompressed_hex"]),
            transaction,
            flags: [1, 1],
            ..vectors.context()
        };
        let keys = context.fast_keys(crypto, &persistent(), &device_key);
        let [own, peer] = keys.exchange.danger_bytes();
        assert_eq!(*own, array(&fast["exchange_sk_reader_hex"]));
        assert_eq!(peer[..], hex(&fast["exchange_sk_device_hex"])[..]);
        assert_eq!(keys.danger_ranging()[..], hex(&fast["ur_sk_hex"])[..]);
    }
}
