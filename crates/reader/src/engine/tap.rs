//! One tap: the session with a phone (ISO/IEC 18013-5), driven to its answer.

use alloc::vec::Vec;
use core::time::Duration;

use credential::crypto::{Algorithm, BadKey, Crypto, P256Secret, Signature, Signer};
use credential::mdoc::{
    DocRequestBytes, ItemsRequest, RequestedNameSpace, device_request, doc_request,
};
use credential::rejection::Rejection;
use credential::rights::{CLAIMS, DOC_TYPE, NAME_SPACE};
use credential::unsigned::Unsigned;
use presentation::apdu::LinkLimits;
use presentation::verifier::{Input, Output, Verifier};
use vocabulary::code::PlaceCode;
use vocabulary::time::Instant;

use super::judge::Presented;
use super::pace::Pace;
use super::{Config, ReaderKey};
use crate::decision::Reason;

/// A phone at a door.
#[derive(Debug)]
pub(super) struct Tap {
    door: PlaceCode,
    pace: Pace,
    verifier: Verifier,
    /// The request, while its signature is made elsewhere.
    unsigned: Option<Unsigned<DocRequestBytes>>,
    /// Whether the phone has answered: what goes wrong after that is of no interest.
    is_answered: bool,
    failure: Option<(Reason, Option<Rejection>)>,
}

/// What the tap wants its engine to do.
pub(super) enum Step {
    Command(Vec<u8>),
    Sign(Vec<u8>),
    Answer(Presented),
    /// It ended without an answer.
    Ended(Reason, Option<Rejection>),
    /// It ended after its answer.
    Over,
}

impl Tap {
    pub(super) fn new(
        crypto: &dyn Crypto,
        now: Instant,
        (door, pace): (PlaceCode, Pace),
        secret: P256Secret,
        link: LinkLimits,
    ) -> Result<Self, BadKey> {
        let verifier = Verifier::new(crypto, now, secret, link)?;
        Ok(Self { door, pace, verifier, unsigned: None, is_answered: false, failure: None })
    }

    pub(super) const fn door(&self) -> &PlaceCode {
        &self.door
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.verifier.poll_timeout()
    }

    pub(super) fn handle(&mut self, crypto: &dyn Crypto, now: Instant, input: Input<'_>) {
        self.verifier.handle(crypto, now, input);
    }

    /// A response, unless it came too late to be from here.
    pub(super) fn response(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        bytes: &[u8],
        took: Duration,
    ) {
        let kept = if self.is_answered { Ok(()) } else { self.pace.count(took) };
        match kept {
            Ok(()) => self.handle(crypto, now, Input::Response(bytes)),
            Err(rejection) => self.fail(Reason::of(&rejection), Some(rejection)),
        }
    }

    /// The tap ends without an answer.
    pub(super) fn fail(&mut self, reason: Reason, rejection: Option<Rejection>) {
        self.failure = Some((reason, rejection));
    }

    /// The signature over the request is there.
    pub(super) fn signed(&mut self, crypto: &dyn Crypto, now: Instant, signature: &Signature) {
        if let Some(unsigned) = self.unsigned.take() {
            let request = device_request(&[unsigned.complete(signature)]);
            self.verifier.handle(crypto, now, Input::Request(&request));
        }
    }

    /// The next step, or nothing until more comes in.
    pub(super) fn step(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        config: &Config,
        signer: Option<&dyn Signer>,
    ) -> Option<Step> {
        loop {
            if let Some((reason, rejection)) = self.failure.take() {
                return Some(Step::Ended(reason, rejection));
            }
            match self.verifier.poll_output()? {
                Output::Command(command) => return Some(Step::Command(command)),
                Output::NeedRequest { session_transcript } => {
                    if let Some(step) =
                        self.request(crypto, now, (config, signer), &session_transcript)
                    {
                        return Some(step);
                    }
                }
                Output::Response { device_response, session_transcript, reader_secret } => {
                    self.is_answered = true;
                    let presented =
                        Presented { device_response, session_transcript, reader_secret };
                    return Some(Step::Answer(presented));
                }
                Output::Closed(_) if self.is_answered => return Some(Step::Over),
                Output::Closed(outcome) => {
                    let rejection = outcome.err().map(|error| error.rejection());
                    let reason = rejection.as_ref().map_or(Reason::Interrupted, Reason::of);
                    return Some(Step::Ended(reason, rejection));
                }
            }
        }
    }

    /// Builds the request for a city pass and proves who asks (ISO/IEC 18013-5, 9.1.4).
    fn request(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        (config, signer): (&Config, Option<&dyn Signer>),
        transcript: &[u8],
    ) -> Option<Step> {
        // The journal keeps of a pass who issued it and of which product it is.
        let elements = CLAIMS.map(|claim| (claim, matches!(claim, "operator" | "product")));
        let name_spaces = [RequestedNameSpace { name: NAME_SPACE, elements: &elements }];
        let items = ItemsRequest { doc_type: DOC_TYPE, name_spaces: &name_spaces };
        let chain: Vec<&[u8]> = config.chain.iter().map(Vec::as_slice).collect();
        let unsigned = match doc_request(&items, transcript, Algorithm::Es256, &chain) {
            Ok(unsigned) => unsigned,
            Err(rejection) => return Some(Step::Ended(Reason::ReaderFault, Some(rejection))),
        };
        match &config.key {
            ReaderKey::Held(_) => match signer.map(|signer| signer.sign(unsigned.to_be_signed())) {
                Some(Ok(signature)) => {
                    self.unsigned = Some(unsigned);
                    self.signed(crypto, now, &signature);
                    None
                }
                Some(Err(BadKey)) | None => Some(Step::Ended(Reason::ReaderFault, None)),
            },
            ReaderKey::Elsewhere => {
                let bytes = unsigned.to_be_signed().to_vec();
                self.unsigned = Some(unsigned);
                Some(Step::Sign(bytes))
            }
        }
    }
}
