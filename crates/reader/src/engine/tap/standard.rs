//! The standard profile and the fast one (`specs/standard-tap.md`), driven to their proof and, after a
//! standard one, to the access document.

use alloc::boxed::Box;
use alloc::sync::Arc;

use credential::access_document::{Kind, device_request, pass};
use credential::crypto::{BadKey, Crypto, Signature, Signer};
use credential::rejection::Rejection;
use presentation::apdu::LinkLimits;
use presentation::standard::message::{ControlFlow, Signaling};
use presentation::standard::reader::{
    Authenticated, Entropy, Input, Output, Phase, Reader, ReaderError, Setup,
};
use vocabulary::time::Instant;

use super::{Next, Step};
use crate::decision::Reason;
use crate::engine::judge::Accessed;
use crate::engine::{Config, ReaderKey};

/// With what a standard tap begins.
#[derive(Debug)]
pub(in crate::engine) struct Start {
    pub(in crate::engine) setup: Arc<Setup>,
    pub(in crate::engine) entropy: Entropy,
}

/// A tap with a device.
#[derive(Debug)]
pub(super) struct Standard {
    reader: Reader,
    /// The device, once it has proved itself and as long as it has not shown its document.
    device: Option<Box<Authenticated>>,
    is_proved: bool,
    /// Whether there is all that a judgement needs: what goes wrong after that is of no interest.
    is_answered: bool,
    /// How it ended, while the device is told.
    ended: Option<ReaderError>,
}

impl Standard {
    pub(super) fn new(
        crypto: &dyn Crypto,
        now: Instant,
        Start { setup, entropy }: Start,
        link: LinkLimits,
    ) -> Result<Self, BadKey> {
        let reader = Reader::new(crypto, now, setup, &entropy, link)?;
        let (is_proved, is_answered) = (false, false);
        Ok(Self { reader, device: None, is_proved, is_answered, ended: None })
    }

    pub(super) const fn is_answered(&self) -> bool {
        self.is_answered
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.reader.poll_timeout()
    }

    pub(super) fn handle(&mut self, crypto: &dyn Crypto, now: Instant, input: Input<'_>) {
        self.reader.handle(crypto, now, input);
    }

    pub(super) fn signed(&mut self, crypto: &dyn Crypto, now: Instant, signature: &Signature) {
        self.handle(crypto, now, Input::Signature(signature));
    }

    /// Tells the device whether the door opens.
    pub(super) fn conclude(&mut self, crypto: &dyn Crypto, now: Instant, is_granted: bool) {
        let flow = if is_granted { ControlFlow::SUCCESS } else { ControlFlow::FAILURE };
        self.handle(crypto, now, Input::Conclude(flow));
    }

    /// The next step, or nothing until more comes in.
    pub(super) fn step(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        config: &Config,
        signer: Option<&dyn Signer>,
    ) -> Option<Next> {
        if let Some(error) = self.ended.take() {
            return Some(self.end(error));
        }
        loop {
            match self.reader.poll_output()? {
                Output::Command(command) => {
                    // Behind a command comes nothing but the error of which it tells the device.
                    if let Some(Output::Closed(Err(error))) = self.reader.poll_output() {
                        if let Next::Stronger = self.end(error) {
                            return Some(Next::Stronger);
                        }
                        self.ended = Some(error);
                    }
                    return Some(Next::Step(Step::Command(command)));
                }
                Output::Sign { message } => match (&config.key, signer) {
                    (ReaderKey::Elsewhere, _) => return Some(Next::Step(Step::Sign(message))),
                    (ReaderKey::Held(_), signer) => {
                        let signed = signer.and_then(|signer| signer.sign(&message).ok());
                        let Some(signature) = signed else {
                            return Some(Next::Step(Step::Ended(Reason::ReaderFault, None)));
                        };
                        self.signed(crypto, now, &signature);
                    }
                },
                // It was asked for its key, and nobody here knows slots.
                Output::NeedDeviceKey { .. } => {
                    self.handle(crypto, now, Input::DeviceKey(None));
                }
                Output::Authenticated(device) => {
                    if let Some(step) = self.authenticated(crypto, now, device) {
                        return Some(Next::Step(step));
                    }
                }
                Output::Exchanged(_) => {}
                Output::StepUp { device_response } => {
                    self.is_answered = true;
                    let device = self.device.take()?;
                    let shown = Accessed { device, device_response };
                    return Some(Next::Step(Step::Accessed(Box::new(shown))));
                }
                Output::Closed(Ok(())) => return Some(Next::Step(Step::Over)),
                Output::Closed(Err(error)) => return Some(self.end(error)),
            }
        }
    }

    /// The device proved itself: by a key that is known, or by its signature. Then its document is asked
    /// for.
    fn authenticated(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        device: Box<Authenticated>,
    ) -> Option<Step> {
        self.is_proved = true;
        if device.phase == Phase::Fast {
            self.is_answered = true;
            return Some(Step::Recognised(Box::new(device.device_key)));
        }
        if !device.signaling.has(Signaling::ACCESS_DOCUMENT) {
            self.is_answered = true;
            let rejection = Rejection::holder("no-document", "device has no access document");
            self.conclude(crypto, now, false);
            return Some(Step::Absent(rejection));
        }
        self.device = Some(device);
        let request = device_request(Kind::Access, &[pass::ELEMENT]);
        self.handle(crypto, now, Input::StepUp(&request));
        None
    }

    fn end(&self, error: ReaderError) -> Next {
        if self.is_answered {
            return Next::Step(Step::Over);
        }
        let is_gone = matches!(error, ReaderError::LinkLost | ReaderError::TimedOut);
        if !self.is_proved && !is_gone {
            return Next::Stronger;
        }
        let rejection = error.rejection();
        Next::Step(Step::Ended(Reason::of(&rejection), Some(rejection)))
    }
}
