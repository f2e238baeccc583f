//! The reader's end of a tap over NFC (ISO/IEC 18013-5 clauses 8.2.2.1, 8.3.3.1.2 and 9.1.1).
//!
//! It reads the phone's engagement, selects the mdoc application, and asks its caller for the
//! DeviceRequest once the session transcript is known, because reader authentication signs over
//! it; meanwhile the phone answers the selection. It gives out one response per tap, and only what
//! was sealed with the keys of this session. Whether the document inside is good is not its business.
//!
//! Whatever is unexpected, malformed or late ends the session for good, without a response.

mod engage;
mod error;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use credential::crypto::{Agreement, BadKey, Crypto, P256Secret};
use vocabulary::time::Instant;

use self::engage::{Engaged, Engaging, Step};
pub use self::error::VerifierError;
use crate::apdu::chain::{self, Answer, ResponseCollector};
use crate::apdu::{EncodeCommandError, LinkLimits, Response, StatusWord};
use crate::engagement::{self, Engagement};
use crate::holder::MDOC_APPLICATION;
use crate::ndef::handover;
use crate::ndef::tag;
use crate::session::message::{self, SessionData, SessionStatus};
use crate::session::{Channel, ChannelError, End, SessionKeys};
use crate::transcript::{Handover, SessionTranscript};

/// How long a phone may take to answer one command.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a phone may take to answer the request: its owner may have to decide.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the caller may take to build and sign the request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a phone may take to answer the good-bye.
pub const TERMINATION_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a session may take from the first command to the response.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(120);

/// What may happen to a verifier.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A response APDU arrived.
    Response(&'a [u8]),
    /// The caller's DeviceRequest, signed over the transcript of [`Output::NeedRequest`].
    Request(&'a [u8]),
    /// The instant of `poll_timeout` has come.
    Timeout,
    /// The phone has gone.
    LinkLost,
}

/// What a verifier wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this command APDU to the phone.
    Command(Vec<u8>),
    /// Build a DeviceRequest, sign it over this transcript, hand it in as [`Input::Request`].
    NeedRequest {
        /// The bytes of the SessionTranscript (the array, without tag).
        session_transcript: Vec<u8>,
    },
    /// The phone's answer, opened; verify it.
    Response {
        /// The bytes of a DeviceResponse.
        device_response: Vec<u8>,
        /// The bytes of the SessionTranscript (the array, without tag).
        session_transcript: Vec<u8>,
        /// The reader's ephemeral secret, from which EMacKey is derived (clause 9.1.3.5).
        reader_secret: P256Secret,
    },
    /// The session is over; said once. A new tap needs a new verifier.
    Closed(Result<(), VerifierError>),
}

/// The reader's end of one tap.
#[derive(Debug)]
pub struct Verifier {
    secret: P256Secret,
    /// The secret, ready for use: reading it costs as much as a signature.
    agreement: Box<dyn Agreement>,
    key_bytes: Vec<u8>,
    limits: LinkLimits,
    stage: Stage,
    outputs: VecDeque<Output>,
    latest: Instant,
    deadline: Option<Instant>,
    session_end: Instant,
}

#[derive(Debug)]
enum Stage {
    /// The phone's tag is selected and read.
    Engaging(Engaging),
    /// The mdoc application is being selected while the caller signs.
    Joining { session: Session, is_selected: bool, request: Option<Vec<u8>> },
    /// The request is on its way in a chain of commands; one is unanswered.
    Sending { session: Session, rest: VecDeque<Vec<u8>> },
    /// The answer is on its way.
    Collecting { session: Session, collector: ResponseCollector },
    /// The response is out; the phone was told that the session is over.
    Terminating,
    /// Over.
    Closed,
}

/// A session whose keys are agreed on.
#[derive(Debug)]
struct Session {
    channel: Channel,
    transcript: SessionTranscript,
    limits: LinkLimits,
}

impl Verifier {
    /// A verifier for the phone that has just come into the field, with the entropy of its
    /// ephemeral key and what its link can carry. Its first command waits in
    /// [`Verifier::poll_output`]. The secret must be fresh for every tap: a session that was
    /// recorded under a secret opens again under the same secret.
    ///
    /// # Errors
    /// [`BadKey`] when the secret is not a scalar; draw another.
    pub fn new(
        crypto: &dyn Crypto,
        now: Instant,
        secret: P256Secret,
        limits: LinkLimits,
    ) -> Result<Self, BadKey> {
        let agreement = crypto.p256_agreement(&secret)?;
        let key_bytes = engagement::key_bytes(&agreement.public());
        let mut verifier = Self {
            secret,
            agreement,
            key_bytes,
            limits,
            stage: Stage::Engaging(Engaging::new()),
            outputs: VecDeque::new(),
            latest: now,
            deadline: None,
            session_end: now.saturating_add(SESSION_TIMEOUT),
        };
        verifier.command(tag::select_application(&tag::APPLICATION).encode());
        Ok(verifier)
    }

    /// Takes one input. Drain [`Verifier::poll_output`] and look at [`Verifier::poll_timeout`]
    /// after every call. After [`Output::Closed`] nothing happens any more.
    pub fn handle(&mut self, crypto: &dyn Crypto, now: Instant, input: Input<'_>) {
        self.latest = self.latest.max(now);
        let is_late = self.deadline.is_some_and(|deadline| self.latest >= deadline);
        if matches!(self.stage, Stage::Closed) {
            return;
        }
        let outcome = match input {
            // The response was given out already; the good-bye is a courtesy.
            _ if matches!(self.stage, Stage::Terminating) => match input {
                Input::Timeout if !is_late => return,
                _ => return self.close(Ok(())),
            },
            Input::LinkLost => Err(VerifierError::LinkLost),
            _ if is_late => Err(VerifierError::TimedOut),
            Input::Timeout => Ok(()),
            Input::Request(request) => self.request(crypto, request),
            Input::Response(bytes) => self.response(crypto, bytes),
        };
        if let Err(error) = outcome {
            self.report(&error);
            self.close(Err(error));
        }
    }

    /// The next thing to do; call again until it gives nothing, after [`Verifier::new`] and every
    /// [`Verifier::handle`].
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in [`Input::Timeout`]; ask again after every [`Verifier::handle`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn response(&mut self, crypto: &dyn Crypto, bytes: &[u8]) -> Result<(), VerifierError> {
        let response = Response::parse(bytes).map_err(VerifierError::Response)?;
        match core::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Engaging(engaging) => self.engage(crypto, engaging, &response),
            Stage::Joining { session, is_selected: false, request } => {
                engage::selected(&response)?;
                match request {
                    Some(request) => self.send(crypto, session, &request),
                    None => {
                        self.stage = Stage::Joining { session, is_selected: true, request };
                        self.wait(REQUEST_TIMEOUT);
                        Ok(())
                    }
                }
            }
            Stage::Sending { session, rest } => self.sent(session, rest, &response),
            Stage::Collecting { session, collector } => {
                self.collect(crypto, session, collector, &response)
            }
            Stage::Joining { .. } | Stage::Terminating | Stage::Closed => {
                Err(VerifierError::Unexpected)
            }
        }
    }

    fn engage(
        &mut self,
        crypto: &dyn Crypto,
        engaging: Engaging,
        response: &Response<'_>,
    ) -> Result<(), VerifierError> {
        let Engaged { select } = match engaging.answer(response)? {
            Step::Send(engaging, command) => {
                self.stage = Stage::Engaging(engaging);
                self.command(command);
                return Ok(());
            }
            Step::Done(engaged) => engaged,
        };
        let handover = handover::parse(&select).map_err(VerifierError::Handover)?;
        let phone = handover.nfc.ok_or(VerifierError::NoCarrier)?;
        let engagement =
            engagement::parse(handover.engagement).map_err(VerifierError::Engagement)?;
        let session = self.agree(crypto, &engagement, &select, phone.both(self.limits))?;
        let session_transcript = session.transcript.as_bytes().to_vec();
        self.outputs.push_back(Output::NeedRequest { session_transcript });
        self.stage = Stage::Joining { session, is_selected: false, request: None };
        self.command(tag::select_application(&MDOC_APPLICATION).encode());
        Ok(())
    }

    fn agree(
        &self,
        crypto: &dyn Crypto,
        engagement: &Engagement<'_>,
        select: &[u8],
        limits: LinkLimits,
    ) -> Result<Session, VerifierError> {
        let handover = Handover::Nfc { select, request: None };
        let transcript = SessionTranscript::new(engagement.raw, &self.key_bytes, handover);
        let shared = self
            .agreement
            .agree(&engagement.device_key)
            .map_err(|BadKey| VerifierError::HolderKey)?;
        let keys = SessionKeys::derive(crypto, &shared, &transcript);
        Ok(Session { channel: Channel::new(End::Reader, keys), transcript, limits })
    }

    /// The caller's request: send it, or keep it until the mdoc application is selected.
    fn request(&mut self, crypto: &dyn Crypto, request: &[u8]) -> Result<(), VerifierError> {
        match core::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Joining { session, is_selected: true, request: None } => {
                self.send(crypto, session, request)
            }
            Stage::Joining { session, is_selected: false, request: None } => {
                let request = Some(request.to_vec());
                self.stage = Stage::Joining { session, is_selected: false, request };
                Ok(())
            }
            _ => Err(VerifierError::Unexpected),
        }
    }

    fn send(
        &mut self,
        crypto: &dyn Crypto,
        mut session: Session,
        request: &[u8],
    ) -> Result<(), VerifierError> {
        let sealed = session.channel.seal(crypto, request).map_err(VerifierError::Channel)?;
        let message = message::establishment(&self.key_bytes, &sealed);
        let commands = chain::envelopes(&message, session.limits)
            .map_err(|_| VerifierError::RequestTooLong)?;
        self.send_next(session, commands.into());
        Ok(())
    }

    fn send_next(&mut self, session: Session, mut rest: VecDeque<Vec<u8>>) {
        if let Some(command) = rest.pop_front() {
            self.outputs.push_back(Output::Command(command));
        }
        if rest.is_empty() {
            self.wait(ANSWER_TIMEOUT);
            let collector = ResponseCollector::new(session.limits);
            self.stage = Stage::Collecting { session, collector };
        } else {
            self.wait(RESPONSE_TIMEOUT);
            self.stage = Stage::Sending { session, rest };
        }
    }

    /// The phone took one command of the chain, not the last.
    fn sent(
        &mut self,
        session: Session,
        rest: VecDeque<Vec<u8>>,
        response: &Response<'_>,
    ) -> Result<(), VerifierError> {
        if response.status != StatusWord::OK {
            return Err(VerifierError::Status(response.status));
        }
        if !response.data.is_empty() {
            return Err(VerifierError::Unexpected);
        }
        self.send_next(session, rest);
        Ok(())
    }

    fn collect(
        &mut self,
        crypto: &dyn Crypto,
        session: Session,
        mut collector: ResponseCollector,
        response: &Response<'_>,
    ) -> Result<(), VerifierError> {
        match collector.push(response).map_err(VerifierError::Collect)? {
            Answer::More(command) => {
                self.stage = Stage::Collecting { session, collector };
                self.command(Ok(command));
                Ok(())
            }
            Answer::Whole(message) => self.conclude(crypto, session, &message),
        }
    }

    /// The answer is whole: open it, give it out, say good-bye.
    fn conclude(
        &mut self,
        crypto: &dyn Crypto,
        mut session: Session,
        message: &[u8],
    ) -> Result<(), VerifierError> {
        let answer = SessionData::parse(message).map_err(VerifierError::Answer)?;
        let Some(sealed) = answer.data else {
            let status = answer.status.unwrap_or(SessionStatus::Termination);
            return Err(VerifierError::HolderEnded(status));
        };
        let device_response =
            session.channel.open(crypto, sealed).map_err(VerifierError::Channel)?;
        self.outputs.push_back(Output::Response {
            device_response,
            session_transcript: session.transcript.into_bytes(),
            reader_secret: self.secret.clone(),
        });
        if answer.status.is_some() {
            self.close(Ok(()));
        } else {
            self.say(SessionStatus::Termination);
            self.stage = Stage::Terminating;
            self.wait(TERMINATION_TIMEOUT);
        }
        Ok(())
    }

    /// Tells the phone why its answer was of no use; nobody waits for what it says to that.
    fn report(&mut self, error: &VerifierError) {
        match error {
            VerifierError::Channel(ChannelError::Undecryptable) => {
                self.say(SessionStatus::EncryptionError);
            }
            VerifierError::Answer(_) => self.say(SessionStatus::DecodingError),
            _ => {}
        }
    }

    /// A status message: always one short command.
    fn say(&mut self, status: SessionStatus) {
        let message = SessionData { data: None, status: Some(status) }.encode();
        let commands = chain::envelopes(&message, LinkLimits::SHORT).unwrap_or_default();
        self.outputs.extend(commands.into_iter().map(Output::Command));
    }

    fn command(&mut self, command: Result<Vec<u8>, EncodeCommandError>) {
        // INVARIANT: every command comes from a writer that holds to the extended form.
        self.outputs.push_back(Output::Command(command.unwrap_or_default()));
        self.wait(RESPONSE_TIMEOUT);
    }

    fn close(&mut self, outcome: Result<(), VerifierError>) {
        self.stage = Stage::Closed;
        self.deadline = None;
        self.outputs.push_back(Output::Closed(outcome));
    }

    /// Arms the timer: `span` from now, but not past the end of the session.
    fn wait(&mut self, span: Duration) {
        self.deadline = Some(self.latest.saturating_add(span).min(self.session_end));
    }
}
