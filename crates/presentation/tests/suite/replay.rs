//! A recorded session played again, and a key put in between; each with its control.

use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret};
use credential::rustcrypto::RustCrypto;
use presentation::apdu::LinkLimits;
use presentation::engagement;
use presentation::holder::{self, Holder, HolderError};
use presentation::ndef::handover;
use presentation::ndef::tag::file;
use presentation::session::ChannelError;
use presentation::verifier::{self, Verifier, VerifierError};
use vocabulary::time::Instant;

use crate::pair::{Pair, REQUEST, RESPONSE, Way};

const NOW: Instant = Instant::from_unix_seconds(1_790_000_000);

/// A recorded session and the secrets it was made with.
struct Recording {
    sent: Vec<(Way, Vec<u8>)>,
    holder: P256Secret,
    verifier: P256Secret,
}

impl Recording {
    fn make() -> Self {
        let secrets = [[1, 1], [1, 2]]
            .map(|pattern| P256Secret::from_bytes(pattern.repeat(16).try_into().unwrap()));
        let mut pair = Pair::short(1);
        pair.run_whole();
        assert_eq!(pair.responses.len(), 1);
        let [holder, verifier] = secrets;
        Self { sent: pair.sent, holder, verifier }
    }

    fn apdus(&self, way: Way) -> impl Iterator<Item = &Vec<u8>> {
        self.sent.iter().filter(move |(w, _)| *w == way).map(|(_, bytes)| bytes)
    }

    /// Plays the holder's side to a verifier with this secret: the response it gives out, if any.
    fn to_verifier(&self, secret: P256Secret) -> Result<Vec<u8>, VerifierError> {
        let mut verifier = Verifier::new(&AwsLc, NOW, secret, LinkLimits::SHORT).unwrap();
        let mut responses = self.apdus(Way::ToVerifier);
        loop {
            match verifier.poll_output().expect("the verifier waits for nothing") {
                verifier::Output::Command(_) => {
                    let bytes = responses.next().unwrap();
                    verifier.handle(&AwsLc, NOW, verifier::Input::Response(bytes));
                }
                verifier::Output::NeedRequest { .. } => {
                    verifier.handle(&AwsLc, NOW, verifier::Input::Request(REQUEST));
                }
                verifier::Output::Response { device_response, .. } => return Ok(device_response),
                verifier::Output::Closed(outcome) => return Err(outcome.unwrap_err()),
            }
        }
    }

    /// Plays the reader's side to a holder with this secret: the request it asks about, if any.
    fn to_holder(&self, secret: P256Secret) -> Result<Vec<u8>, HolderError> {
        let mut holder = Holder::new(&RustCrypto, NOW, secret, LinkLimits::SHORT).unwrap();
        for bytes in self.apdus(Way::ToHolder) {
            holder.handle(&RustCrypto, NOW, holder::Input::Command(bytes));
            while let Some(output) = holder.poll_output() {
                match output {
                    holder::Output::Response(_) => {}
                    holder::Output::Request { device_request, .. } => return Ok(device_request),
                    holder::Output::Closed(ending) => return Err(ending.unwrap_err()),
                }
            }
        }
        panic!("the recording ends before the holder decides");
    }
}

#[test]
fn a_replayed_holder_is_refused_by_a_fresh_verifier() {
    let recording = Recording::make();
    let fresh = P256Secret::from_bytes([9; 32]);
    let refused = VerifierError::Channel(ChannelError::Undecryptable);
    assert_eq!(recording.to_verifier(fresh), Err(refused));
}

#[test]
fn control_a_verifier_that_keeps_its_secret_takes_the_replay() {
    let recording = Recording::make();
    let kept = recording.verifier.clone();
    assert_eq!(recording.to_verifier(kept), Ok(RESPONSE.to_vec()));
}

#[test]
fn a_replayed_reader_is_refused_by_a_fresh_holder() {
    let recording = Recording::make();
    let fresh = P256Secret::from_bytes([9; 32]);
    let refused = HolderError::Request(ChannelError::Undecryptable);
    assert_eq!(recording.to_holder(fresh), Err(refused));
}

#[test]
fn control_a_holder_that_keeps_its_secret_takes_the_replay() {
    let recording = Recording::make();
    let kept = recording.holder.clone();
    assert_eq!(recording.to_holder(kept), Ok(REQUEST.to_vec()));
}

/// A tap through a link that shows the verifier an engagement with `key` in place of the holder's.
fn with_engagement(key: &[u8; 65]) -> Pair {
    let engagement = engagement::build(key, &[]);
    let forged = file(&handover::build(&engagement, LinkLimits::SHORT).unwrap()).unwrap();
    let mut pair = Pair::short(1);
    // The message of the tag is the one answer of its length before the session.
    pair.run(&mut |number, way, bytes| {
        let is_tag = number < 14 && way == Way::ToVerifier && bytes.len() == forged.len();
        vec![if is_tag { [&forged[2..], &[0x90, 0]].concat() } else { bytes.to_vec() }]
    });
    pair
}

#[test]
fn a_key_put_in_between_is_noticed_by_the_holder() {
    let attacker = P256Secret::from_bytes([9; 32]);
    let pair = with_engagement(&RustCrypto.p256_public(&attacker).unwrap());
    assert_eq!((pair.requests.len(), pair.responses.len()), (0, 0));
    let noticed = HolderError::Request(ChannelError::Undecryptable);
    assert_eq!(pair.holder_closed, Some(Err(noticed)));
}

#[test]
fn control_the_same_engagement_put_in_between_changes_nothing() {
    let holder = Recording::make().holder;
    let pair = with_engagement(&RustCrypto.p256_public(&holder).unwrap());
    assert_eq!(pair.responses.len(), 1);
}

#[test]
fn a_holder_key_off_the_curve_is_refused() {
    let mut point = RustCrypto.p256_public(&P256Secret::from_bytes([9; 32])).unwrap();
    point[64] ^= 1;
    let pair = with_engagement(&point);
    assert_eq!(pair.verifier_closed, Some(Err(VerifierError::HolderKey)));
}
