//! The wallet's end of a tap over NFC (ISO/IEC 18013-5 clauses 8.2.2.1, 8.3.3.1.2 and 9.1.1).
//!
//! A phone that plays a Type 4 tag with a Handover Select message, then the mdoc application: it
//! takes one sealed request, hands it to its caller together with the session transcript, and
//! answers only with what the caller hands back. It never sends a document before that, and serves
//! one request per session.
//!
//! Before the session a reader may look around as phones' own software does: unknown applications
//! and files are answered with an error and nothing is lost. From the first ENVELOPE on, whatever
//! is unexpected, malformed or late ends the session for good.

mod error;
mod tag;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use credential::crypto::{BadKey, Crypto, P256Secret};
use vocabulary::time::Instant;

pub use self::error::HolderError;
use self::tag::{Reply, Tag};
use crate::apdu::chain::{Collected, CommandCollector, ResponseQueue};
use crate::apdu::{CLASS_LAST, Command, GET_RESPONSE, LinkLimits, Response, StatusWord};
use crate::engagement;
use crate::ndef::handover;
use crate::session::message::{SessionData, SessionEstablishment, SessionStatus};
use crate::session::{Channel, End, SessionKeys};
use crate::transcript::{Handover, SessionTranscript};

/// How long an engagement waits for its reader.
pub const ENGAGEMENT_TIMEOUT: Duration = Duration::from_secs(300);
/// How long the holder waits for the next command of a reader that has begun.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the caller may take to decide about a request.
pub const CONSENT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a session may take from the selection of the mdoc application to its end.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(120);
/// Commands that a reader may send before it selects the mdoc application.
pub const ENGAGING_COMMANDS_MAX: u32 = 256;

/// The application of mdoc retrieval over NFC.
pub const MDOC_APPLICATION: [u8; 7] = [0xA0, 0x00, 0x00, 0x02, 0x48, 0x04, 0x00];

/// What may happen to a holder.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A command APDU arrived.
    Command(&'a [u8]),
    /// The caller answers the request with these bytes of a DeviceResponse.
    Respond(&'a [u8]),
    /// The caller answers the request with nothing but a status.
    Decline(SessionStatus),
    /// The instant of `poll_timeout` has come.
    Timeout,
    /// The reader has gone.
    LinkLost,
}

/// What a holder wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this response APDU to the reader.
    Response(Vec<u8>),
    /// Decide about this request, then hand in [`Input::Respond`] or [`Input::Decline`].
    Request {
        /// The bytes of a DeviceRequest, as the reader sealed them.
        device_request: Vec<u8>,
        /// The bytes of the SessionTranscript (the array, without tag).
        session_transcript: Vec<u8>,
        /// The reader's ephemeral key, for a device MAC in place of a device signature.
        reader_key: [u8; 65],
    },
    /// The session is over; said once. A new tap needs a new holder.
    Closed(Result<Ending, HolderError>),
}

/// How a session ended that went as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The reader has the whole answer.
    Presented,
    /// The caller declined.
    Declined,
}

/// The wallet's end of one tap.
#[derive(Debug)]
pub struct Holder {
    secret: P256Secret,
    engagement: Vec<u8>,
    select: Vec<u8>,
    stage: Stage,
    outputs: VecDeque<Output>,
    latest: Instant,
    deadline: Option<Instant>,
    session_end: Option<Instant>,
    commands_left: u32,
}

#[derive(Debug)]
enum Stage {
    /// A reader may select and read the tag, then select the mdoc application.
    Engaging(Tag),
    /// The mdoc application is selected; SessionEstablishment is on its way.
    Receiving(CommandCollector),
    /// The caller decides; the reader waits for at most so many bytes.
    Deciding { channel: Channel, expected_bytes: u32 },
    /// The reader fetches the answer; what follows when it has all of it.
    Answering { queue: ResponseQueue, then: Result<Ending, HolderError> },
    /// The reader has the answer; its termination is on its way.
    Finishing(CommandCollector),
    /// Over.
    Closed,
}

impl Holder {
    /// A holder that waits for a reader, with the entropy of its ephemeral key and what its link
    /// can carry. The secret must be fresh for every tap.
    ///
    /// # Errors
    /// [`BadKey`] when the secret is not a scalar; draw another.
    pub fn new(
        crypto: &dyn Crypto,
        now: Instant,
        secret: P256Secret,
        limits: LinkLimits,
    ) -> Result<Self, BadKey> {
        let engagement = engagement::build(&crypto.p256_public(&secret)?, &[]);
        // INVARIANT: an engagement without methods is about a hundred bytes; it fits any tag.
        let select = handover::build(&engagement, limits).unwrap_or_default();
        Ok(Self {
            secret,
            engagement,
            stage: Stage::Engaging(Tag::new(&select)),
            select,
            outputs: VecDeque::new(),
            latest: now,
            deadline: Some(now.saturating_add(ENGAGEMENT_TIMEOUT)),
            session_end: None,
            commands_left: ENGAGING_COMMANDS_MAX,
        })
    }

    /// Takes one input. Drain [`Holder::poll_output`] and look at [`Holder::poll_timeout`] after
    /// every call. After [`Output::Closed`] a command is answered with 6985 and nothing else happens.
    pub fn handle(&mut self, crypto: &dyn Crypto, now: Instant, input: Input<'_>) {
        self.latest = self.latest.max(now);
        let is_late = self.deadline.is_some_and(|deadline| self.latest >= deadline);
        match (input, is_late) {
            (Input::Command(_), _) if matches!(self.stage, Stage::Closed) => {
                self.answer(StatusWord::CONDITIONS);
            }
            (_, _) if matches!(self.stage, Stage::Closed) => {}
            (Input::LinkLost, _) => self.link_lost(),
            (input, true) => self.timed_out(input),
            (Input::Timeout, false) => {}
            (Input::Command(bytes), false) => self.command(crypto, bytes),
            (Input::Respond(response), false) => self.respond(crypto, response),
            (Input::Decline(status), false) => self.decline(status),
        }
    }

    /// The next thing to do; call again until it gives nothing, after every [`Holder::handle`].
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in [`Input::Timeout`]; ask again after every [`Holder::handle`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn command(&mut self, crypto: &dyn Crypto, bytes: &[u8]) {
        let command = match Command::parse(bytes) {
            Ok(command) => command,
            Err(error) => {
                return self.refuse(StatusWord::WRONG_LENGTH, HolderError::Command(error));
            }
        };
        self.wait(COMMAND_TIMEOUT);
        match core::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Engaging(tag) => self.engage(tag, &command),
            Stage::Receiving(collector) => self.receive(crypto, collector, &command),
            Stage::Answering { queue, then } => self.continue_answer(queue, then, &command),
            Stage::Finishing(collector) => self.finish(collector, &command),
            Stage::Deciding { .. } | Stage::Closed => {
                self.refuse(StatusWord::CONDITIONS, HolderError::Unexpected);
            }
        }
    }

    fn engage(&mut self, mut tag: Tag, command: &Command<'_>) {
        if self.commands_left == 0 {
            return self.refuse(StatusWord::CONDITIONS, HolderError::TooManyCommands);
        }
        self.commands_left -= 1;
        let reply = tag.answer(command);
        self.stage = match reply {
            Reply::Mdoc => {
                self.session_end = Some(self.latest.saturating_add(SESSION_TIMEOUT));
                self.answer(StatusWord::OK);
                Stage::Receiving(CommandCollector::default())
            }
            Reply::Data(data) => {
                let response = Response { data: &data, status: StatusWord::OK }.encode();
                self.outputs.push_back(Output::Response(response));
                Stage::Engaging(tag)
            }
            Reply::Status(status) => {
                self.answer(status);
                Stage::Engaging(tag)
            }
        };
    }

    fn receive(
        &mut self,
        crypto: &dyn Crypto,
        mut collector: CommandCollector,
        command: &Command<'_>,
    ) {
        match collector.push(command) {
            Ok(Collected::More) => {
                self.stage = Stage::Receiving(collector);
                self.answer(StatusWord::OK);
            }
            Ok(Collected::Whole { message, expected_bytes }) => {
                self.establish(crypto, &message, expected_bytes);
            }
            Err(error) => self.refuse(StatusWord::WRONG_LENGTH, HolderError::Chain(error)),
        }
    }

    /// SessionEstablishment is whole: agree on keys, open the request, ask the caller.
    fn establish(&mut self, crypto: &dyn Crypto, message: &[u8], expected_bytes: u32) {
        let opened = SessionEstablishment::parse(message)
            .map_err(|error| (SessionStatus::DecodingError, HolderError::Establishment(error)))
            .and_then(|message| {
                self.open(crypto, &message).map_err(|error| (SessionStatus::EncryptionError, error))
            });
        match opened {
            Ok((channel, request)) => {
                self.stage = Stage::Deciding { channel, expected_bytes };
                self.wait(CONSENT_TIMEOUT);
                self.outputs.push_back(request);
            }
            Err((status, error)) => self.answer_status(status, expected_bytes, Err(error)),
        }
    }

    fn open(
        &self,
        crypto: &dyn Crypto,
        message: &SessionEstablishment<'_>,
    ) -> Result<(Channel, Output), HolderError> {
        let handover = Handover::Nfc { select: &self.select, request: None };
        let transcript =
            SessionTranscript::new(&self.engagement, message.reader_key_bytes, handover);
        let keys = SessionKeys::agree(crypto, &self.secret, &message.reader_key, &transcript)
            .map_err(|BadKey| HolderError::ReaderKey)?;
        let mut channel = Channel::new(End::Holder, keys);
        let device_request = channel.open(crypto, message.data).map_err(HolderError::Request)?;
        let session_transcript = transcript.into_bytes();
        let reader_key = message.reader_key;
        Ok((channel, Output::Request { device_request, session_transcript, reader_key }))
    }

    fn respond(&mut self, crypto: &dyn Crypto, response: &[u8]) {
        let stage = core::mem::replace(&mut self.stage, Stage::Closed);
        let Stage::Deciding { mut channel, expected_bytes } = stage else {
            return self.close(Err(HolderError::Unexpected));
        };
        let sealed = match channel.seal(crypto, response) {
            Ok(sealed) => sealed,
            Err(error) => {
                let error = Err(HolderError::Response(error));
                return self.answer_status(SessionStatus::Termination, expected_bytes, error);
            }
        };
        let message = SessionData { data: Some(&sealed), status: None };
        self.begin_answer(message, expected_bytes, Ok(Ending::Presented));
    }

    fn decline(&mut self, status: SessionStatus) {
        match core::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Deciding { expected_bytes, .. } => {
                self.answer_status(status, expected_bytes, Ok(Ending::Declined));
            }
            _ => self.close(Err(HolderError::Unexpected)),
        }
    }

    fn answer_status(
        &mut self,
        status: SessionStatus,
        expected_bytes: u32,
        then: Result<Ending, HolderError>,
    ) {
        let message = SessionData { data: None, status: Some(status) };
        self.begin_answer(message, expected_bytes, then);
    }

    /// The first response of an answer, up to what the reader asked for.
    fn begin_answer(
        &mut self,
        message: SessionData<'_>,
        expected_bytes: u32,
        then: Result<Ending, HolderError>,
    ) {
        self.wait(COMMAND_TIMEOUT);
        match ResponseQueue::new(&message.encode()) {
            Ok(queue) => self.hand_out(queue, expected_bytes, then),
            Err(_) => {
                let error = Err(HolderError::ResponseTooLong);
                self.answer_status(SessionStatus::Termination, expected_bytes, error);
            }
        }
    }

    fn hand_out(
        &mut self,
        mut queue: ResponseQueue,
        expected_bytes: u32,
        then: Result<Ending, HolderError>,
    ) {
        self.outputs.push_back(Output::Response(queue.take(expected_bytes)));
        match then {
            _ if !queue.is_empty() => self.stage = Stage::Answering { queue, then },
            Ok(Ending::Presented) => self.stage = Stage::Finishing(CommandCollector::default()),
            _ => self.close(then),
        }
    }

    fn continue_answer(
        &mut self,
        queue: ResponseQueue,
        then: Result<Ending, HolderError>,
        command: &Command<'_>,
    ) {
        let head = [command.class, command.instruction, command.p1, command.p2];
        let is_next = head == [CLASS_LAST, GET_RESPONSE, 0, 0] && command.data.is_empty();
        if is_next && command.expected_bytes > 0 {
            self.hand_out(queue, command.expected_bytes, then);
        } else {
            self.refuse(StatusWord::CONDITIONS, HolderError::Unexpected);
        }
    }

    /// The reader has the answer: it may say that it is done, and nothing else.
    fn finish(&mut self, mut collector: CommandCollector, command: &Command<'_>) {
        match collector.push(command) {
            Ok(Collected::More) => {
                self.stage = Stage::Finishing(collector);
                self.answer(StatusWord::OK);
            }
            Ok(Collected::Whole { message, .. }) => match SessionData::parse(&message) {
                Ok(SessionData { data: None, status: Some(SessionStatus::Termination) }) => {
                    self.answer(StatusWord::OK);
                    self.close(Ok(Ending::Presented));
                }
                Ok(SessionData { data: None, status: Some(status) }) => {
                    self.refuse(StatusWord::OK, HolderError::Reported(status));
                }
                _ => self.refuse(StatusWord::CONDITIONS, HolderError::Unexpected),
            },
            Err(error) => self.refuse(StatusWord::CONDITIONS, HolderError::Chain(error)),
        }
    }

    fn timed_out(&mut self, input: Input<'_>) {
        match core::mem::replace(&mut self.stage, Stage::Closed) {
            // The reader still waits for an answer: give it one.
            Stage::Deciding { expected_bytes, .. } => {
                let error = Err(HolderError::ConsentTimedOut);
                self.answer_status(SessionStatus::Termination, expected_bytes, error);
            }
            // The reader has everything; that it said no good-bye loses nothing.
            Stage::Finishing(_) => {
                self.close(Ok(Ending::Presented));
                if matches!(input, Input::Command(_)) {
                    self.answer(StatusWord::CONDITIONS);
                }
            }
            _ if matches!(input, Input::Command(_)) => {
                self.refuse(StatusWord::CONDITIONS, HolderError::TimedOut);
            }
            _ => self.close(Err(HolderError::TimedOut)),
        }
    }

    fn link_lost(&mut self) {
        let ending = match &self.stage {
            Stage::Finishing(_) => Ok(Ending::Presented),
            _ => Err(HolderError::LinkLost),
        };
        self.close(ending);
    }

    fn answer(&mut self, status: StatusWord) {
        self.outputs.push_back(Output::Response(Response { data: &[], status }.encode()));
    }

    fn refuse(&mut self, status: StatusWord, error: HolderError) {
        self.answer(status);
        self.close(Err(error));
    }

    fn close(&mut self, ending: Result<Ending, HolderError>) {
        self.stage = Stage::Closed;
        self.deadline = None;
        self.outputs.push_back(Output::Closed(ending));
    }

    /// Arms the timer: `span` from now, but not past the end of the session.
    fn wait(&mut self, span: Duration) {
        let deadline = self.latest.saturating_add(span);
        self.deadline = Some(self.session_end.map_or(deadline, |end| end.min(deadline)));
    }
}
