//! What a standard tap and the fast tap after it cost each end: both run, and each is timed by itself.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use ::credential::access_document::{
    self, Expectation, IssueRequest, Kind, device_request, device_response, pass,
};
use ::credential::aws_lc::AwsLc;
use ::credential::crypto::{Crypto, P256Secret, PublicKey, Signer};
use ::credential::mdoc::{ENTROPY_BYTES_PER_ELEMENT, Validity};
use ::credential::rights::Rights;
use ::credential::x509::compressed;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey as Point, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    ParsedPublicKey, Signature, UnparsedPublicKey,
};
use presentation::apdu::LinkLimits;
use presentation::standard::device::{self, Credential, Device, Memory, ReaderKey};
use presentation::standard::keyring::{StoredKey, StoredKeys};
use presentation::standard::message::{ControlFlow, Naming, Signaling, Timestamps};
use presentation::standard::reader::{self, Authenticated, Carrier, Certificate, Phase, Reader};
use presentation::standard::{Dialect, ReaderIdentifier, Transport, Version, group_of};
use vocabulary::time::Instant;

use super::measure::{Clock, Pair};
use super::profile::Profile;
use crate::failure::{Failure, OrFail};
use crate::world;

const ATTEMPT: &str = "cannot measure the standard tap";
const LIFE: Duration = Duration::from_secs(3600);
/// Taps of one round.
const TAPS: u32 = 16;

/// A standard tap that shows a whole pass, and a fast one at a reader that knows one device.
pub(super) fn measure(clock: Clock) -> Result<[Profile; 2], Failure> {
    let mut city = City::new()?;
    let bare = Bare::new().or_fail(ATTEMPT)?;
    let standard = city.measure(clock, Phase::Standard, || bare.standard())?;
    let (met, memory) = city.tap(clock, Memory::default())?;
    let key = met.met.and_then(|met| met.persistent_key).or_fail_with(ATTEMPT)?;
    let stored = StoredKeys::new(vec![StoredKey { device_key: city.device_key, key }]);
    let setup = reader::Setup {
        stored: Some(Arc::new(stored.or_fail(ATTEMPT)?)),
        ..(*city.reader_setup).clone()
    };
    city.reader_setup = Arc::new(setup);
    city.memory = memory;
    let fast = city.measure(clock, Phase::Fast, || bare.fast())?;
    Ok([fast, standard])
}

/// What one tap took, and what was answered, so that the reader's part can be played again.
struct Tap {
    own: reader::Entropy,
    answers: Vec<Vec<u8>>,
    bytes: usize,
    wallet: Duration,
    met: Option<Box<Authenticated>>,
}

/// A city for one measurement: an authority for readers, a signer of documents, one pass.
struct City {
    now: Instant,
    reader_setup: Arc<reader::Setup>,
    reader_key: Box<dyn Signer>,
    issuers: [PublicKey; 1],
    device_setup: device::Setup,
    device: P256Secret,
    device_key: [u8; 65],
    document: Vec<u8>,
    memory: Memory,
}

impl City {
    fn new() -> Result<Self, Failure> {
        let now = world::now().floor_to_second();
        let (authority, own, issuer, device) = (secret()?, secret()?, secret()?, secret()?);
        let group_key = AwsLc.p256_public(&authority).or_fail(ATTEMPT)?;
        let request = compressed::Request {
            serial: &[7; 16],
            issuer: "Metro",
            subject: "0199c0ffee0000000000000000000001",
            not_before: now,
            not_after: now.saturating_add(LIFE),
            key: &AwsLc.p256_public(&own).or_fail(ATTEMPT)?,
        };
        let certificate = compressed::issue(&request, &PublicKey::P256(group_key));
        let certificate = sign(&authority, certificate.or_fail(ATTEMPT)?)?;
        let group = group_of(&AwsLc, &group_key);
        let device_key = AwsLc.p256_public(&device).or_fail(ATTEMPT)?;
        let reader_setup = Arc::new(reader::Setup {
            reader: ReaderIdentifier { group, sub_group: [1; 16] },
            group_key,
            certificate: Some(Certificate { compressed: certificate, carrier: Carrier::LoadCert }),
            versions: vec![Version::V1_0],
            transport: Transport::Nfc,
            dialect: Dialect::default(),
            policy: 0,
            naming: Naming::PublicKey,
            vendor: None,
            stored: None,
        });
        let credential = Credential {
            group,
            reader_key: ReaderKey::Issuer(group_key),
            device_key,
            key_slot: [0; 8],
            documents: Signaling::ACCESS_DOCUMENT.with(Signaling::STEP_UP_SELECT),
            timestamps: Timestamps::default(),
        };
        let device_setup = device::Setup {
            credentials: vec![credential],
            versions: vec![Version::V1_0],
            vendor: None,
            transport: Transport::Nfc,
            dialect: Dialect::default(),
        };
        Ok(Self {
            now,
            reader_setup,
            reader_key: AwsLc.p256_signer(&own).or_fail(ATTEMPT)?,
            issuers: [PublicKey::P256(AwsLc.p256_public(&issuer).or_fail(ATTEMPT)?)],
            device_setup,
            document: document(&issuer, device_key, now)?,
            device,
            device_key,
            memory: Memory::default(),
        })
    }

    fn measure(
        &self,
        clock: Clock,
        phase: Phase,
        bare: impl Fn() -> Result<(), Unspecified>,
    ) -> Result<Profile, Failure> {
        let (first, _) = self.tap(clock, self.memory.clone())?;
        if first.met.as_ref().map(|met| met.phase) != Some(phase) {
            return Err(Failure::broken(format!("{ATTEMPT}: it went by another phase")));
        }
        let failed = RefCell::new(None);
        // The reader by itself: a clock that is read at every command would count, too.
        let reader_ns = || {
            let begin = clock();
            for _ in 0..TAPS {
                let mut answers = first.answers.iter();
                let played =
                    self.read(&first.own, |_| answers.next().cloned().or_fail_with(ATTEMPT));
                played.map_err(|failure| failed.replace(Some(failure))).ok();
            }
            clock().saturating_sub(begin).as_secs_f64() * 1e9 / f64::from(TAPS)
        };
        let wallet_ns = || {
            let mut total = Duration::ZERO;
            for _ in 0..TAPS {
                match self.tap(clock, self.memory.clone()) {
                    Ok((tap, _)) => total += tap.wallet,
                    Err(failure) => drop(failed.replace(Some(failure))),
                }
            }
            total.as_secs_f64() * 1e9 / f64::from(TAPS)
        };
        let bare_ns = || {
            let begin = clock();
            (0..TAPS).for_each(|_| {
                let _ = black_box(bare());
            });
            clock().saturating_sub(begin).as_secs_f64() * 1e9 / f64::from(TAPS)
        };
        // One of each to warm up.
        let _ = (reader_ns(), bare_ns());
        let reader = Pair::of_rounds(reader_ns, bare_ns);
        let wallet = Pair::of_rounds(wallet_ns, bare_ns);
        failed.into_inner().map_or(Ok(()), Err)?;
        Ok(Profile {
            profile: if phase == Phase::Fast { "fast" } else { "standard" },
            apdus: first.answers.len(),
            bytes_on_air: first.bytes,
            reader_us: reader.job_ns / 1e3,
            wallet_us: wallet.job_ns / 1e3,
            bare_us: reader.baseline_ns / 1e3,
            reader_ratio: reader.ratio,
        })
    }

    /// Both ends, one command after another.
    fn tap(&self, clock: Clock, memory: Memory) -> Result<(Tap, Memory), Failure> {
        let own = reader::Entropy { ephemeral: secret()?, transaction: world::entropy()? };
        let theirs = device::Entropy { ephemeral: secret()?, filler: [9; 64] };
        let mut tap = Tap { own, answers: Vec::new(), bytes: 0, wallet: Duration::ZERO, met: None };
        let mut device = timed(clock, &mut tap.wallet, || {
            let mut device = Device::new(self.device_setup.clone(), memory);
            device.handle(&AwsLc, self.now, device::Input::Tap(theirs));
            device
        });
        let met = self.read(&tap.own, |command| {
            let answer = timed(clock, &mut tap.wallet, || self.answer(&mut device, command))?;
            tap.bytes += command.len() + answer.len();
            tap.answers.push(answer.clone());
            Ok(answer)
        })?;
        tap.met = Some(met);
        Ok((tap, device.memory().clone()))
    }

    /// The reader's part of a tap.
    fn read(
        &self,
        own: &reader::Entropy,
        mut answer: impl FnMut(&[u8]) -> Result<Vec<u8>, Failure>,
    ) -> Result<Box<Authenticated>, Failure> {
        let setup = Arc::clone(&self.reader_setup);
        let reader = Reader::new(&AwsLc, self.now, setup, own, LinkLimits::EXTENDED);
        let mut reader = reader.or_fail(ATTEMPT)?;
        let (mut met, mut outcome) = (None, None);
        while let Some(output) = reader.poll_output() {
            let mut handle = |input: reader::Input<'_>| reader.handle(&AwsLc, self.now, input);
            match output {
                reader::Output::Command(command) => {
                    handle(reader::Input::Response(&answer(&command)?));
                }
                reader::Output::Sign { message } => {
                    let signature = self.reader_key.sign(&message).or_fail(ATTEMPT)?;
                    handle(reader::Input::Signature(&signature));
                }
                reader::Output::Authenticated(known) => {
                    if known.phase == Phase::Fast {
                        handle(reader::Input::Conclude(ControlFlow::SUCCESS));
                    } else {
                        let request = device_request(Kind::Access, &[pass::ELEMENT]);
                        handle(reader::Input::StepUp(&request));
                    }
                    met = Some(known);
                }
                reader::Output::StepUp { device_response } => {
                    self.judge(&device_response)?;
                    handle(reader::Input::Conclude(ControlFlow::SUCCESS));
                }
                reader::Output::Closed(closed) => outcome = Some(closed),
                reader::Output::NeedDeviceKey { .. } | reader::Output::Exchanged(_) => {}
            }
        }
        outcome.or_fail_with(ATTEMPT)?.or_fail(ATTEMPT)?;
        met.or_fail_with(ATTEMPT)
    }

    fn judge(&self, response: &[u8]) -> Result<(), Failure> {
        let expectation = Expectation {
            crypto: &AwsLc,
            issuers: &self.issuers,
            at: self.now,
            device_key: Some(&PublicKey::P256(self.device_key)),
        };
        let verified = access_document::verify_response(response, &expectation);
        black_box(pass::read(&verified.or_fail(ATTEMPT)?).or_fail(ATTEMPT)?);
        Ok(())
    }

    /// The device's answer to one command.
    fn answer(&self, device: &mut Device, command: &[u8]) -> Result<Vec<u8>, Failure> {
        device.handle(&AwsLc, self.now, device::Input::Command(command));
        let mut answer = None;
        while let Some(output) = device.poll_output() {
            match output {
                device::Output::Response(response) => answer = Some(response),
                device::Output::Sign { message, .. } => {
                    let signature = AwsLc.p256_sign(&self.device, &message).or_fail(ATTEMPT)?;
                    device.handle(&AwsLc, self.now, device::Input::Signature(&signature));
                }
                device::Output::StepUp { .. } => {
                    let shown = device_response(Kind::Access, &self.document, &[pass::ELEMENT]);
                    let shown = shown.or_fail(ATTEMPT)?;
                    device.handle(&AwsLc, self.now, device::Input::Respond(&shown));
                }
                device::Output::FastProof { .. }
                | device::Output::Save
                | device::Output::ReaderStatus(_)
                | device::Output::Ended(_) => {}
            }
        }
        answer.or_fail_with(ATTEMPT)
    }
}

/// What must be there.
trait Present<T> {
    fn or_fail_with(self, attempt: &str) -> Result<T, Failure>;
}

impl<T> Present<T> for Option<T> {
    fn or_fail_with(self, attempt: &str) -> Result<T, Failure> {
        self.ok_or_else(|| Failure::broken(format!("{attempt}: it came to no end")))
    }
}

fn timed<T>(clock: Clock, total: &mut Duration, work: impl FnOnce() -> T) -> T {
    let begin = clock();
    let done = work();
    *total += clock().saturating_sub(begin);
    done
}

fn secret() -> Result<P256Secret, Failure> {
    Ok(P256Secret::from_bytes(world::entropy()?))
}

fn sign<T>(key: &P256Secret, unsigned: ::credential::unsigned::Unsigned<T>) -> Result<T, Failure> {
    let signature = AwsLc.p256_sign(key, unsigned.to_be_signed()).or_fail(ATTEMPT)?;
    Ok(unsigned.complete(&signature))
}

fn document(issuer: &P256Secret, device: [u8; 65], now: Instant) -> Result<Vec<u8>, Failure> {
    let word = |text: &str| Failure::broken(format!("{ATTEMPT}: `{text}`"));
    let rights = Rights {
        operator: "metro".parse().map_err(|_| word("metro"))?,
        product: "month-pass".parse().map_err(|_| word("month-pass"))?,
        class: Some("first".parse().map_err(|_| word("first"))?),
        zones: vec!["a".parse().map_err(|_| word("a"))?],
        places: Vec::new(),
        recurrence: None,
        valid_from: now,
        valid_until: now.saturating_add(LIFE),
        uses_max: None,
        holder_only: false,
    };
    let value = pass::value(&rights, None).or_fail(ATTEMPT)?;
    let (valid_from, valid_until) = (now, now.saturating_add(LIFE));
    let request = IssueRequest {
        device_key: Some(&PublicKey::P256(device)),
        elements: &[(pass::ELEMENT, &value)],
        validity: Validity { signed: now, valid_from, valid_until, expected_update: None },
        needs_clock: true,
    };
    let entropy: [u8; ENTROPY_BYTES_PER_ELEMENT] = world::entropy()?;
    let public = PublicKey::P256(AwsLc.p256_public(issuer).or_fail(ATTEMPT)?);
    let unsigned = access_document::issue(&AwsLc, &request, &public, &entropy);
    Ok(sign(issuer, unsigned.or_fail(ATTEMPT)?)?.into_bytes())
}

/// What a reader must compute on P-256, straight in AWS-LC: its ephemeral key from a scalar, agreement, a
/// signature, a verification by a key that came a moment ago and one by a key that was read beforehand. Hashes
/// and ciphers of a standard tap are not in it. Of a fast tap they are: a derived key and a proof to open.
struct Bare {
    random: SystemRandom,
    secret: [u8; 32],
    peer: Vec<u8>,
    signer: EcdsaKeyPair,
    key: Vec<u8>,
    verifier: ParsedPublicKey,
    signature: Signature,
    proof: Vec<u8>,
}

const MESSAGE: [u8; 130] = [0x5a; 130];

impl Bare {
    fn new() -> Result<Self, Unspecified> {
        let random = SystemRandom::new();
        let secret = [0x31; 32];
        let own = PrivateKey::from_private_key(&ECDH_P256, &secret)?;
        let peer = own.compute_public_key()?.as_ref().to_vec();
        let signer = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let key = signer.public_key().as_ref().to_vec();
        let verifier = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key);
        let verifier = verifier.map_err(|_| Unspecified)?;
        let signature = signer.sign(&random, &MESSAGE)?;
        let mut proof = vec![0; 48];
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &derived(&secret)?)?)
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut proof)?;
        Ok(Self { random, secret, peer, signer, key, verifier, signature, proof })
    }

    fn standard(&self) -> Result<(), Unspecified> {
        let own = PrivateKey::from_private_key(&ECDH_P256, black_box(&self.secret))?;
        black_box(own.compute_public_key()?);
        let peer = Point::new(&ECDH_P256, &self.peer);
        agree(&own, peer, Unspecified, |shared| {
            black_box(shared);
            Ok(())
        })?;
        black_box(self.signer.sign(&self.random, &MESSAGE)?);
        let theirs = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.key);
        theirs.verify(&MESSAGE, self.signature.as_ref())?;
        self.verifier.verify_sig(&MESSAGE, self.signature.as_ref())
    }

    fn fast(&self) -> Result<(), Unspecified> {
        let own = PrivateKey::from_private_key(&ECDH_P256, black_box(&self.secret))?;
        black_box(own.compute_public_key()?);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &derived(&self.secret)?)?);
        let mut proof = self.proof.clone();
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        black_box(key.open_in_place(nonce, Aad::empty(), &mut proof)?);
        Ok(())
    }
}

fn derived(secret: &[u8; 32]) -> Result<[u8; 32], Unspecified> {
    let mut key = [0; 32];
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &[1; 170]).extract(secret);
    prk.expand(&[&[2; 32]], hkdf::HKDF_SHA256)?.fill(&mut key)?;
    Ok(key)
}
