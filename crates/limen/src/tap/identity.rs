//! What an identity tap (ISO/IEC 18013-5 over NFC) costs each end: both run, and each is timed by itself.

use std::hint::black_box;
use std::time::Duration;

use ::credential::aws_lc::AwsLc;
use ::credential::cbor::Encoder;
use ::credential::crypto::{Algorithm, Crypto, P256Secret, PublicKey};
use ::credential::mdoc::{
    self, DeviceRequest, ENTROPY_BYTES_PER_ELEMENT, Expectation, IssueRequest, ItemsRequest,
    NameSpace, ReaderJudgement, RequestedNameSpace, Session, Validity, device_request, doc_request,
};
use ::credential::rights::{DOC_TYPE, NAME_SPACE};
use ::credential::unsigned::Unsigned;
use ::credential::x509::build::{self, Purpose, Request, Signer, Subject};
use ::credential::x509::{Certificate, TrustAnchors};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    ParsedPublicKey, Signature,
};
use presentation::apdu::LinkLimits;
use presentation::holder::{self, Holder};
use presentation::verifier::{self, Verifier};
use vocabulary::time::Instant;

use super::measure::{Clock, Pair};
use super::profile::Profile;
use crate::failure::{Failure, OrFail};
use crate::world;

const ATTEMPT: &str = "cannot measure the identity tap";
const LIFE: Duration = Duration::from_secs(3600);
/// What a gate asks for.
const ELEMENTS: [(&str, &str); 4] =
    [("operator", "metro"), ("product", "month-pass"), ("class", "first"), ("zones", "a")];

/// A tap that shows four elements of a pass, with nothing remembered from taps before.
pub(super) fn measure(clock: Clock) -> Result<Profile, Failure> {
    let city = City::new()?;
    let first = city.tap(clock)?;
    let bare = Bare::new().or_fail(ATTEMPT)?;
    let mut failed = None;
    let mut nanoseconds = |of: fn(&Tap) -> Duration| match city.tap(clock) {
        Ok(tap) => of(&tap).as_secs_f64() * 1e9,
        Err(failure) => {
            failed = Some(failure);
            1.0
        }
    };
    let bare_ns = || {
        let begin = clock();
        let done = bare.run().is_ok();
        black_box(done);
        clock().saturating_sub(begin).as_secs_f64() * 1e9
    };
    // One of each to warm up.
    let _ = (nanoseconds(|tap| tap.reader), bare_ns());
    let reader = Pair::of_rounds(|| nanoseconds(|tap| tap.reader), bare_ns);
    let wallet = Pair::of_rounds(|| nanoseconds(|tap| tap.wallet), bare_ns);
    failed.map_or(Ok(()), Err)?;
    Ok(Profile {
        profile: "identity",
        apdus: first.apdus,
        bytes_on_air: first.bytes,
        reader_us: reader.job_ns / 1e3,
        wallet_us: wallet.job_ns / 1e3,
        bare_us: reader.baseline_ns / 1e3,
        reader_ratio: reader.ratio,
    })
}

/// What one tap took.
#[derive(Default)]
struct Tap {
    apdus: usize,
    bytes: usize,
    reader: Duration,
    wallet: Duration,
}

/// A city for one measurement: one authority for documents and readers, one pass.
struct City {
    now: Instant,
    reader: P256Secret,
    reader_certificate: Vec<u8>,
    anchors: TrustAnchors,
    device: P256Secret,
    issuer_signed: Vec<u8>,
}

impl City {
    fn new() -> Result<Self, Failure> {
        let now = world::now();
        let root_key = secret()?;
        let root = certificate(Purpose::Root, &root_key, &root_key, None, now)?;
        let root = Certificate::parse(&root).or_fail(ATTEMPT)?;
        let authority_key = secret()?;
        let authority =
            certificate(Purpose::Authority, &authority_key, &root_key, Some(&root), now)?;
        let anchors = TrustAnchors::from_ders([&authority[..]]).or_fail(ATTEMPT)?;
        let authority = Certificate::parse(&authority).or_fail(ATTEMPT)?;
        let below = |purpose, key| certificate(purpose, key, &authority_key, Some(&authority), now);
        let (signer, reader, device) = (secret()?, secret()?, secret()?);
        let signer_certificate = below(Purpose::DocumentSigner, &signer)?;
        let reader_certificate = below(Purpose::Reader, &reader)?;
        let issuer_signed = pass(&signer, &signer_certificate, &device, now)?;
        Ok(Self { now, reader, reader_certificate, anchors, device, issuer_signed })
    }

    /// Both ends, one command after another.
    fn tap(&self, clock: Clock) -> Result<Tap, Failure> {
        let mut tap = Tap::default();
        let (own, theirs) = (secret()?, secret()?);
        let mut phone = timed(clock, &mut tap.wallet, || {
            Holder::new(&AwsLc, self.now, own, LinkLimits::EXTENDED)
        })
        .or_fail(ATTEMPT)?;
        let mut gate = timed(clock, &mut tap.reader, || {
            Verifier::new(&AwsLc, self.now, theirs, LinkLimits::EXTENDED)
        })
        .or_fail(ATTEMPT)?;
        let mut is_accepted = false;
        while let Some(output) = gate.poll_output() {
            match output {
                verifier::Output::Command(command) => {
                    let mut wallet = tap.wallet;
                    let answer = timed(clock, &mut wallet, || self.phone(&mut phone, &command))?;
                    tap.wallet = wallet;
                    tap.apdus += 1;
                    tap.bytes += command.len() + answer.len();
                    timed(clock, &mut tap.reader, || {
                        gate.handle(&AwsLc, self.now, verifier::Input::Response(&answer));
                    });
                }
                verifier::Output::NeedRequest { session_transcript } => {
                    timed(clock, &mut tap.reader, || {
                        let request = self.request(&session_transcript)?;
                        gate.handle(&AwsLc, self.now, verifier::Input::Request(&request));
                        Ok(())
                    })?;
                }
                verifier::Output::Response { device_response, session_transcript, .. } => {
                    timed(clock, &mut tap.reader, || {
                        self.judge(&device_response, &session_transcript)
                    })?;
                    is_accepted = true;
                }
                verifier::Output::Closed(outcome) => outcome.or_fail(ATTEMPT)?,
            }
        }
        if is_accepted { Ok(tap) } else { Err(Failure::broken(format!("{ATTEMPT}: no answer"))) }
    }

    /// The gate's request, signed over the session.
    fn request(&self, transcript: &[u8]) -> Result<Vec<u8>, Failure> {
        let elements = ELEMENTS.map(|(name, _)| (name, false));
        let name_spaces = [RequestedNameSpace { name: NAME_SPACE, elements: &elements }];
        let items = ItemsRequest { doc_type: DOC_TYPE, name_spaces: &name_spaces };
        let chain: [&[u8]; 1] = [&self.reader_certificate];
        let unsigned = doc_request(&items, transcript, Algorithm::Es256, &chain);
        let signed = sign(&self.reader, unsigned.or_fail(ATTEMPT)?)?;
        Ok(device_request(&[signed]))
    }

    fn judge(&self, response: &[u8], transcript: &[u8]) -> Result<(), Failure> {
        let expectation = Expectation {
            crypto: &AwsLc,
            anchors: &self.anchors,
            at: self.now,
            doc_type: Some(DOC_TYPE),
            session: Some(Session { transcript, reader_secret: None }),
        };
        let verified = mdoc::verify_response(response, &expectation, None).or_fail(ATTEMPT)?;
        black_box(verified);
        Ok(())
    }

    /// The phone's answer to one command.
    fn phone(&self, phone: &mut Holder, command: &[u8]) -> Result<Vec<u8>, Failure> {
        phone.handle(&AwsLc, self.now, holder::Input::Command(command));
        let mut answer = None;
        while let Some(output) = phone.poll_output() {
            match output {
                holder::Output::Response(response) => answer = Some(response),
                holder::Output::Request { device_request, session_transcript, .. } => {
                    let response = self.respond(&device_request, &session_transcript)?;
                    phone.handle(&AwsLc, self.now, holder::Input::Respond(&response));
                }
                holder::Output::Closed(outcome) => {
                    outcome.or_fail(ATTEMPT)?;
                }
            }
        }
        answer.ok_or_else(|| Failure::broken(format!("{ATTEMPT}: the phone says nothing")))
    }

    /// Verifies the reader, discloses what it asks for, signs.
    fn respond(&self, request: &[u8], transcript: &[u8]) -> Result<Vec<u8>, Failure> {
        let request = DeviceRequest::parse(request).or_fail(ATTEMPT)?;
        let judgement =
            ReaderJudgement { crypto: &AwsLc, anchors: &self.anchors, at: self.now, transcript };
        for doc_request in &request.doc_requests {
            doc_request.verify_reader(&judgement, None).or_fail(ATTEMPT)?;
        }
        let chosen = ELEMENTS.map(|(name, _)| (NAME_SPACE, name));
        let disclosure = mdoc::disclose(&self.issuer_signed, &chosen).or_fail(ATTEMPT)?;
        let document = sign(&self.device, disclosure.sign(transcript).or_fail(ATTEMPT)?)?;
        Ok(mdoc::device_response(&[document], &[]))
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

fn public(secret: &P256Secret) -> Result<PublicKey, Failure> {
    Ok(PublicKey::P256(AwsLc.p256_public(secret).or_fail(ATTEMPT)?))
}

fn sign<T>(key: &P256Secret, unsigned: Unsigned<T>) -> Result<T, Failure> {
    let signature = AwsLc.p256_sign(key, unsigned.to_be_signed()).or_fail(ATTEMPT)?;
    Ok(unsigned.complete(&signature))
}

fn certificate(
    purpose: Purpose,
    subject: &P256Secret,
    signer: &P256Secret,
    authority: Option<&Certificate<'_>>,
    now: Instant,
) -> Result<Vec<u8>, Failure> {
    let request = Request {
        purpose,
        subject: Subject { common_name: "Bench", organization: Some("Metro"), country: "UT" },
        key: &public(subject)?,
        not_before: now.floor_to_second(),
        not_after: now.saturating_add(LIFE).floor_to_second(),
        serial_entropy: world::entropy()?,
        issuer_uri: "https://city.example",
        crl_uri: "https://city.example/crl",
    };
    let signed_by = authority.map_or(Signer::Subject, Signer::Authority);
    let unsigned = build::certificate(&request, signed_by).or_fail(ATTEMPT)?;
    Ok(sign(signer, unsigned)?.into_bytes())
}

fn pass(
    signer: &P256Secret,
    certificate: &[u8],
    device: &P256Secret,
    now: Instant,
) -> Result<Vec<u8>, Failure> {
    let values = ELEMENTS.map(|(_, value)| {
        let mut encoder = Encoder::new();
        encoder.text(value);
        encoder.into_bytes()
    });
    let pairs = ELEMENTS.iter().zip(&values);
    let elements: Vec<(&str, &[u8])> =
        pairs.map(|((name, _), value)| (*name, &value[..])).collect();
    let from = now.floor_to_second();
    let request = IssueRequest {
        doc_type: DOC_TYPE,
        name_spaces: &[NameSpace { name: NAME_SPACE, elements: &elements }],
        device_key: &public(device)?,
        authorized_name_spaces: &[],
        validity: Validity {
            signed: from,
            valid_from: from,
            valid_until: now.saturating_add(LIFE).floor_to_second(),
            expected_update: None,
        },
        status: None,
    };
    let entropy: [u8; ENTROPY_BYTES_PER_ELEMENT * ELEMENTS.len()] = world::entropy()?;
    let unsigned = mdoc::issue(&AwsLc, &request, &[certificate], &entropy).or_fail(ATTEMPT)?;
    Ok(sign(signer, unsigned)?.into_bytes())
}

/// What a reader must compute, straight in AWS-LC: key generation, agreement, two derived keys, a signature, three
/// verifications with keys read beforehand, a message each way. Digests are too small to count.
struct Bare {
    random: SystemRandom,
    peer: Vec<u8>,
    signer: EcdsaKeyPair,
    verifier: ParsedPublicKey,
    signature: Signature,
}

const MESSAGE: [u8; 600] = [0x5a; 600];

impl Bare {
    fn new() -> Result<Self, Unspecified> {
        let random = SystemRandom::new();
        let peer = EphemeralPrivateKey::generate(&ECDH_P256, &random)?;
        let peer = peer.compute_public_key()?.as_ref().to_vec();
        let signer = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let key = signer.public_key().as_ref();
        let verifier =
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).map_err(|_| Unspecified)?;
        let signature = signer.sign(&random, &MESSAGE)?;
        Ok(Self { random, peer, signer, verifier, signature })
    }

    fn run(&self) -> Result<(), Unspecified> {
        let own = EphemeralPrivateKey::generate(&ECDH_P256, &self.random)?;
        black_box(own.compute_public_key()?);
        let peer = UnparsedPublicKey::new(&ECDH_P256, &self.peer);
        let [sealing, opening] = agree_ephemeral(own, peer, Unspecified, |shared| {
            let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &[1; 32]).extract(shared);
            Ok([expand(&prk, b"SKReader")?, expand(&prk, b"SKDevice")?])
        })?;
        black_box(self.signer.sign(&self.random, &MESSAGE)?);
        for _ in 0..3 {
            self.verifier.verify_sig(&MESSAGE, self.signature.as_ref())?;
        }
        let mut request = MESSAGE.to_vec();
        for key in [sealing, opening] {
            let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key)?);
            let nonce = Nonce::assume_unique_for_key([0; 12]);
            let _ = black_box(key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut request)?);
        }
        Ok(())
    }
}

fn expand(prk: &hkdf::Prk, info: &[u8]) -> Result<[u8; 32], Unspecified> {
    let mut key = [0; 32];
    prk.expand(&[info], hkdf::HKDF_SHA256)?.fill(&mut key)?;
    Ok(key)
}
