//! The identity profile: a session by ISO/IEC 18013-5, driven to its answer.

use alloc::vec::Vec;

use credential::crypto::{Algorithm, BadKey, Crypto, P256Secret, Signature, Signer};
use credential::mdoc::{
    DocRequestBytes, ItemsRequest, RequestedNameSpace, device_request, doc_request,
};
use credential::rights::{CLAIMS, DOC_TYPE, NAME_SPACE};
use credential::unsigned::Unsigned;
use presentation::apdu::LinkLimits;
use presentation::verifier::{Input, Output, Verifier};
use vocabulary::time::Instant;

use super::Step;
use crate::decision::Reason;
use crate::engine::judge::Presented;
use crate::engine::{Config, ReaderKey};

/// A session with a phone.
#[derive(Debug)]
pub(super) struct Identity {
    verifier: Verifier,
    /// The request, while its signature is made elsewhere.
    unsigned: Option<Unsigned<DocRequestBytes>>,
    /// Whether the phone has answered: what goes wrong after that is of no interest.
    is_answered: bool,
}

impl Identity {
    pub(super) fn new(
        crypto: &dyn Crypto,
        now: Instant,
        secret: P256Secret,
        link: LinkLimits,
    ) -> Result<Self, BadKey> {
        let verifier = Verifier::new(crypto, now, secret, link)?;
        Ok(Self { verifier, unsigned: None, is_answered: false })
    }

    pub(super) const fn is_answered(&self) -> bool {
        self.is_answered
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.verifier.poll_timeout()
    }

    pub(super) fn handle(&mut self, crypto: &dyn Crypto, now: Instant, input: Input<'_>) {
        self.verifier.handle(crypto, now, input);
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
