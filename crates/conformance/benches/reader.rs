//! What a whole tap costs a reader above the cryptography that it cannot do without: the engine of
//! `reader` from the phone in the field to the unlocked door, its journal in memory.
//!
//! A phone's answers do not depend on the reader's signature, so they are recorded once and played
//! back; no time of the phone is counted. Each tap in a row shows a pass of another document
//! signer, one more than the reader's cache of signers holds, so that every chain is cold.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    unreachable_pub,
    missing_docs,
    reason = "a benchmark may panic, and uses a part of what all share"
)]

#[path = "../../reader/tests/suite/city.rs"]
mod city;
#[path = "../../reader/tests/suite/gate.rs"]
mod gate;
mod support;

use audit::journal::Head;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto as _, P256Secret};
use credential::mdoc::disclose;
use credential::x509::{Certificate, SIGNER_CACHE_ENTRIES_MAX, build::Purpose};
use reader::engine::{Config, Engine, Input, Memory, Output};

use city::{City, GATE, READER, identity, key, noon, place, public, ticket};
use core::time::Duration;
use gate::{Bent, Gate, Phone, Seen};
use support::bare::{self, Bundle};
use support::cpu;
use support::measure::{Bench, Pair};

/// A round lets every recording have its turn.
const ROUND: Duration = Duration::from_millis(40);

/// What the phone of a person sends in one tap, command by command.
struct Recording {
    responses: Vec<Vec<u8>>,
    phone: Phone,
}

fn main() {
    let city = City::new();
    let recordings: Vec<Recording> =
        (0..=SIGNER_CACHE_ENTRIES_MAX).map(|number| record(&city, number)).collect();
    let mut engine = engine(&city);

    let mut next = recordings.iter().cycle();
    let cold = || tap(&mut engine, next.next().unwrap());
    let mut bare = Bare::of(&city, &recordings[0]);
    let pair = Pair::measure(cpu, ROUND, cold, || bare.run());
    Bench::cost("reader_transaction", pair, 1.15).report();

    let warm = || tap(&mut engine, &recordings[0]);
    let pair = Pair::measure(cpu, ROUND, warm, || bare.run());
    eprintln!("reader_transaction with a cached chain: {:.3}", pair.ratio);
}

/// A first-class ticket of one of many document signers, shown to a gate by hand.
fn record(city: &City, number: usize) -> Recording {
    let signer =
        identity(60 + u8::try_from(number).unwrap(), Purpose::DocumentSigner, Some(&city.transit));
    let device = key(50);
    let issuer_signed = city.pass(&signer, &ticket(), Some(7), &device);
    let phone = Phone { issuer_signed, device, bent: Bent::Not };
    let mut gate = Gate::ready(city);
    assert_eq!(gate.tap(&phone, GATE), Seen::Unlocked);
    Recording { responses: gate.recorded, phone }
}

/// The secret that [`Gate`] used in its first tap: with it the recorded answers open again.
fn session_secret() -> P256Secret {
    key(201)
}

/// A reader at work, whose journal has room for a long day.
fn engine(city: &City) -> Engine {
    let config = Config { journal_records_max: u64::MAX, ..city.config() };
    let head = Head::start(*READER.as_bytes());
    let mut engine = Engine::new(&AwsLc, config, Memory::default(), head, 0);
    let (bundle, list) = (city.signed(&city.bundle(1)), city.status_list(city::hours(1)));
    for input in [Input::Bundle(&bundle), Input::StatusList(&list)] {
        engine.handle(&AwsLc, noon(), input);
        while let Some(output) = engine.poll_output() {
            if let Output::Persist(_) = output {
                engine.handle(&AwsLc, noon(), Input::Persisted);
            }
        }
    }
    assert!(engine.bundle().is_some());
    engine
}

/// One tap, which must open the door.
fn tap(engine: &mut Engine, recording: &Recording) {
    let input = Input::Tap { door: place(GATE), secret: session_secret() };
    engine.handle(&AwsLc, noon(), input);
    let mut responses = recording.responses.iter();
    let mut unlocked = false;
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Command(command) => {
                std::hint::black_box(command);
                if let Some(response) = responses.next() {
                    let took = Duration::ZERO;
                    engine.handle(&AwsLc, noon(), Input::Response { bytes: response, took });
                }
            }
            Output::Record(record) => {
                std::hint::black_box(record);
                engine.handle(&AwsLc, noon(), Input::Recorded);
            }
            Output::Unlock { .. } => unlocked = true,
            other => panic!("{other:?}"),
        }
    }
    assert!(unlocked);
}

/// Key generation, agreement, the reader's signature, three verifications, two key derivations, two
/// messages and all digests.
struct Bare {
    bundle: Bundle,
    phone: [u8; 65],
    reader: EcdsaKeyPair,
    request: Vec<u8>,
    transcript: Vec<u8>,
    random: SystemRandom,
}

impl Bare {
    fn of(city: &City, recording: &Recording) -> Self {
        let authority = Certificate::parse(&city.transit.der).unwrap().public_key;
        // A session like the recorded one: the same sizes, over an engagement of the same device.
        let issuer_signed = &recording.phone.issuer_signed;
        let document = credential::mdoc::IssuerSigned::parse(issuer_signed).unwrap();
        let chosen: Vec<(&str, &str)> =
            document.items.iter().map(|item| (item.name_space, item.element)).collect();
        let transcript = transcript();
        let unsigned = disclose(issuer_signed, &chosen).unwrap().sign(&transcript).unwrap();
        let device_signed = unsigned.to_be_signed().to_vec();
        let document = city::sign(&recording.phone.device, unsigned);
        let response = credential::mdoc::device_response(&[document], &[]);
        let device = public(&recording.phone.device);
        Self {
            bundle: Bundle::new(&authority, &device, &response, &device_signed),
            phone: AwsLc.p256_public(&key(101)).unwrap(),
            reader: EcdsaKeyPair::from_private_key_and_public_key(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                city.reader.key.danger_bytes(),
                public(&city.reader.key).as_bytes(),
            )
            .unwrap(),
            request: vec![0x5a; REQUEST_BYTES],
            transcript,
            random: SystemRandom::new(),
        }
    }

    fn run(&mut self) {
        let own = EphemeralPrivateKey::generate(&ECDH_P256, &self.random).unwrap();
        std::hint::black_box(own.compute_public_key().unwrap());
        let peer = UnparsedPublicKey::new(&ECDH_P256, &self.phone);
        let salt = digest(&SHA256, &self.transcript);
        let keys = agree_ephemeral(own, peer, (), |shared| {
            let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt.as_ref()).extract(shared);
            Ok([b"SKReader", b"SKDevice"].map(|info| {
                let mut key = [0; 32];
                prk.expand(&[info], hkdf::HKDF_SHA256).unwrap().fill(&mut key).unwrap();
                key
            }))
        });
        let [key, other] = keys.unwrap();
        std::hint::black_box(other);
        std::hint::black_box(self.reader.sign(&self.random, &self.request).unwrap());
        let tag = bare::cipher(&key).seal_in_place_separate_tag(
            bare::nonce(),
            Aad::empty(),
            &mut self.request,
        );
        let _ = std::hint::black_box(tag.unwrap());
        self.bundle.run();
    }
}

/// About the length of a request of the engine: claims, transcript and two certificates.
const REQUEST_BYTES: usize = 1500;

/// A transcript as of a session over NFC.
fn transcript() -> Vec<u8> {
    use presentation::transcript::{Handover, SessionTranscript};
    let phone = AwsLc.p256_public(&key(101)).unwrap();
    let engagement = presentation::engagement::build(&phone, &[]);
    let reader = AwsLc.p256_public(&session_secret()).unwrap();
    let reader = presentation::engagement::key_bytes(&reader);
    let handover = Handover::Nfc { select: &[0; 180], request: None };
    SessionTranscript::new(&engagement, &reader, handover).into_bytes()
}
