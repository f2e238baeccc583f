//! Both ends of a tap in one place: a link that a test may disturb, and a virtual clock.

use std::collections::VecDeque;
use std::time::Duration;

use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret};
use credential::rustcrypto::RustCrypto;
use presentation::apdu::LinkLimits;
use presentation::holder::{self, Ending, Holder, HolderError};
use presentation::session::message::SessionStatus;
use presentation::verifier::{self, Verifier, VerifierError};
use vocabulary::time::Instant;

pub(crate) const REQUEST: &[u8] = b"a signed request";
pub(crate) const RESPONSE: &[u8] = b"a document of some length, with a signature";

/// Which way an APDU goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToHolder,
    ToVerifier,
}

/// What the holder's caller says to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Consent {
    Respond,
    Decline(SessionStatus),
    Silence,
}

/// What a link makes of the APDU with this number: the bytes to deliver, one after another.
pub(crate) type Disturb<'a> = dyn FnMut(usize, Way, &[u8]) -> Vec<Vec<u8>> + 'a;

pub(crate) struct Pair {
    pub now: Instant,
    pub holder: Holder,
    pub verifier: Verifier,
    pub consent: Consent,
    pub request: Vec<u8>,
    pub response: Vec<u8>,
    /// What one APDU takes on the link.
    pub hop: Duration,
    /// Every APDU that was sent, before the link disturbed it.
    pub sent: Vec<(Way, Vec<u8>)>,
    /// Requests that reached the holder's caller, with the transcript.
    pub requests: Vec<(Vec<u8>, Vec<u8>)>,
    /// Responses that the verifier gave out, with the transcript.
    pub responses: Vec<(Vec<u8>, Vec<u8>)>,
    pub transcripts: Vec<Vec<u8>>,
    pub holder_closed: Option<Result<Ending, HolderError>>,
    pub verifier_closed: Option<Result<(), VerifierError>>,
    wire: VecDeque<(Way, Vec<u8>)>,
}

impl Pair {
    /// A pair with fresh secrets for the tap of this number; the two ends use different providers.
    pub(crate) fn new(tap: u8, holder: LinkLimits, verifier: LinkLimits) -> Self {
        let now = Instant::from_unix_seconds(1_790_000_000);
        let secret =
            |end: u8| P256Secret::from_bytes([tap.max(1), end].repeat(16).try_into().unwrap());
        Self {
            now,
            holder: Holder::new(&RustCrypto, now, secret(1), holder).unwrap(),
            verifier: Verifier::new(&AwsLc, now, secret(2), verifier).unwrap(),
            consent: Consent::Respond,
            request: REQUEST.to_vec(),
            response: RESPONSE.to_vec(),
            hop: Duration::from_millis(5),
            sent: Vec::new(),
            requests: Vec::new(),
            responses: Vec::new(),
            transcripts: Vec::new(),
            holder_closed: None,
            verifier_closed: None,
            wire: VecDeque::new(),
        }
    }

    pub(crate) fn short(tap: u8) -> Self {
        Self::new(tap, LinkLimits::SHORT, LinkLimits::SHORT)
    }

    /// Runs until both ends have closed; the link delivers what `disturb` makes of each APDU.
    pub(crate) fn run(&mut self, disturb: &mut Disturb<'_>) {
        for _ in 0..20_000 {
            self.drain(disturb);
            if let Some((way, bytes)) = self.wire.pop_front() {
                self.now = self.now.saturating_add(self.hop);
                match way {
                    Way::ToHolder => self.feed_holder(holder::Input::Command(&bytes)),
                    Way::ToVerifier => self.feed_verifier(verifier::Input::Response(&bytes)),
                }
                continue;
            }
            let timeouts = [self.holder.poll_timeout(), self.verifier.poll_timeout()];
            let Some(next) = timeouts.into_iter().flatten().min() else {
                assert!(self.holder_closed.is_some() && self.verifier_closed.is_some());
                return;
            };
            self.now = self.now.max(next);
            self.feed_holder(holder::Input::Timeout);
            self.feed_verifier(verifier::Input::Timeout);
        }
        panic!("the session never ends");
    }

    /// Runs on a perfect link.
    pub(crate) fn run_whole(&mut self) {
        self.run(&mut |_, _, bytes| vec![bytes.to_vec()]);
    }

    pub(crate) fn feed_holder(&mut self, input: holder::Input<'_>) {
        self.holder.handle(&RustCrypto as &dyn Crypto, self.now, input);
    }

    pub(crate) fn feed_verifier(&mut self, input: verifier::Input<'_>) {
        self.verifier.handle(&AwsLc as &dyn Crypto, self.now, input);
    }

    fn send(&mut self, way: Way, bytes: Vec<u8>, disturb: &mut Disturb<'_>) {
        let delivered = disturb(self.sent.len(), way, &bytes);
        self.wire.extend(delivered.into_iter().map(|bytes| (way, bytes)));
        self.sent.push((way, bytes));
    }

    fn drain(&mut self, disturb: &mut Disturb<'_>) {
        loop {
            if let Some(output) = self.verifier.poll_output() {
                self.verifier_says(output, disturb);
            } else if let Some(output) = self.holder.poll_output() {
                self.holder_says(output, disturb);
            } else {
                return;
            }
        }
    }

    fn verifier_says(&mut self, output: verifier::Output, disturb: &mut Disturb<'_>) {
        match output {
            verifier::Output::Command(bytes) => self.send(Way::ToHolder, bytes, disturb),
            verifier::Output::NeedRequest { session_transcript } => {
                self.transcripts.push(session_transcript);
                let request = self.request.clone();
                self.feed_verifier(verifier::Input::Request(&request));
            }
            verifier::Output::Response { device_response, session_transcript, .. } => {
                self.responses.push((device_response, session_transcript));
            }
            verifier::Output::Closed(outcome) => {
                assert_eq!(self.verifier_closed, None, "closed twice");
                self.verifier_closed = Some(outcome);
            }
        }
    }

    fn holder_says(&mut self, output: holder::Output, disturb: &mut Disturb<'_>) {
        match output {
            holder::Output::Response(bytes) => self.send(Way::ToVerifier, bytes, disturb),
            holder::Output::Request { device_request, session_transcript, .. } => {
                self.requests.push((device_request, session_transcript));
                match self.consent {
                    Consent::Respond => {
                        let response = self.response.clone();
                        self.feed_holder(holder::Input::Respond(&response));
                    }
                    Consent::Decline(status) => self.feed_holder(holder::Input::Decline(status)),
                    Consent::Silence => {}
                }
            }
            holder::Output::Closed(ending) => {
                assert_eq!(self.holder_closed, None, "closed twice");
                self.holder_closed = Some(ending);
            }
        }
    }
}
