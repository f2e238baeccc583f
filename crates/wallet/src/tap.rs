//! Answering a tap: the session with a reader, from the first APDU to the log entry. One device
//! answers for all of its applications; the express tap has rules of its own ([`crate::express`]).
//!
//! The order is fixed: the reader proves who it is, then a pass is chosen, then the owner consents,
//! then exactly that is disclosed. A reader without proof is declined and learns nothing, not even
//! whether there is a pass. What has left the wallet stands in the owner's log, however the
//! session ends.

mod error;
mod standard;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use credential::crypto::{BadKey, Crypto, P256Secret};
use credential::mdoc::{self, DeviceRequest, DocumentBytes, ReaderJudgement};
use presentation::apdu::{self, Command, LinkLimits, StatusWord};
use presentation::express::handle::HANDLE_BYTES;
use presentation::express::holder::HolderEnd;
use presentation::express::{self, FRESH_BYTES, Transport};
use presentation::holder::{self, Holder, HolderError};
use presentation::profile::Profile;
use presentation::session::message::SessionStatus;
use presentation::standard::{EXPEDITED_APPLICATION, STEP_UP_APPLICATION, device};
use vocabulary::time::Instant;

pub use self::error::TapError;
use crate::choose::{self, Candidate, Proposal};
use crate::express::Pocket;
use crate::pass::Content;
use crate::secure_element::{Presence, SecureElement, SecureElementError};
use crate::standard::Application as StandardApplication;
use crate::state::State;

/// What may happen during a tap.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A command APDU arrived.
    Command(&'a [u8]),
    /// The owner has decided about the proposal.
    Consent(Consent),
    /// The instant of [`Tap::poll_timeout`] has come.
    Timeout,
    /// The reader has gone.
    LinkLost,
}

/// The owner's decision about a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Show this candidate; how the owner confirmed.
    Show {
        /// Its position in the proposal.
        candidate: usize,
        /// What the owner has just done.
        presence: Presence,
    },
    /// Show nothing.
    Decline,
}

/// What a tap wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this response APDU.
    Response(Vec<u8>),
    /// Ask the owner, or a rule of the owner; then hand in [`Input::Consent`].
    Ask(Proposal),
    /// The tap is over; said once. The state has a new log entry and must be kept.
    Finished(Result<Shown, TapError>),
}

/// What was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// How.
    pub profile: Profile,
    /// To whom.
    pub reader: String,
    /// Which pass.
    pub pass: String,
    /// The elements that left the wallet.
    pub elements: Vec<String>,
    /// What left the wallet, byte for byte: a DeviceResponse; empty where there was none.
    pub device_response: Vec<u8>,
    /// The session for which it was made; empty but for an identity tap.
    pub session_transcript: Vec<u8>,
}

/// What a tap works with, handed in with every input.
pub struct Hands<'h> {
    /// Provider of cryptography.
    pub crypto: &'h dyn Crypto,
    /// The passes, the trust and the log.
    pub state: &'h mut State,
    /// The device keys.
    pub element: &'h dyn SecureElement,
    /// Makes the state durable, and says whether it did: no answer of an express tap leaves before.
    pub keep: &'h mut dyn FnMut(&State) -> bool,
    /// Fresh entropy; nothing where there is none.
    pub entropy: &'h mut dyn FnMut() -> Option<[u8; 32]>,
}

/// Standard taps that one session may begin.
pub const STANDARD_TAPS_MAX: u8 = 8;
/// Commands of the express tap that one session takes.
pub const EXPRESS_COMMANDS_MAX: u16 = 64;

/// The applications of this device. SELECT leads from one to another; a further profile joins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Application {
    /// NDEF and mdoc: [`Holder`].
    Proximity,
    /// The express tap: [`HolderEnd`].
    Express,
    /// The standard tap and the fast one: [`StandardApplication`].
    Standard,
}

/// One tap. Make a new one for the next.
#[derive(Debug)]
pub struct Tap {
    holder: Holder,
    express: HolderEnd,
    express_commands: u16,
    /// What an express tap of this session came to.
    express_shown: Option<Shown>,
    standard: Option<Box<StandardApplication>>,
    standard_taps: u8,
    selected: Application,
    outputs: VecDeque<Output>,
    stage: Stage,
    /// The name of the reader; empty until it has proved one.
    reader: String,
    #[cfg(feature = "danger-sabotage")]
    trusts_anyone: bool,
}

#[derive(Debug)]
enum Stage {
    /// No request has come yet.
    Waiting,
    /// The owner is asked.
    Asking { proposal: Proposal, transcript: Vec<u8> },
    /// The answer is on its way.
    Answering(Result<Shown, TapError>),
    /// Over.
    Finished,
}

impl Tap {
    /// A phone that is ready to be read. `secret` must be fresh for every tap.
    ///
    /// # Errors
    /// [`BadKey`] when the secret is not a scalar; draw another.
    pub fn new(
        crypto: &dyn Crypto,
        now: Instant,
        secret: P256Secret,
        limits: LinkLimits,
    ) -> Result<Self, BadKey> {
        let holder = Holder::new(crypto, now, secret, limits)?;
        Ok(Self {
            holder,
            express: HolderEnd::new(Transport::Nfc),
            express_commands: 0,
            express_shown: None,
            standard: None,
            standard_taps: 0,
            selected: Application::Proximity,
            outputs: VecDeque::new(),
            stage: Stage::Waiting,
            reader: String::new(),
            #[cfg(feature = "danger-sabotage")]
            trusts_anyone: false,
        })
    }

    /// Skips reader authentication, to show what it is for.
    #[cfg(feature = "danger-sabotage")]
    pub const fn danger_trust_anyone(&mut self) {
        self.trusts_anyone = true;
    }

    /// Takes one input. Drain [`Tap::poll_output`] and look at [`Tap::poll_timeout`] after every call.
    pub fn handle(&mut self, hands: &mut Hands<'_>, now: Instant, input: Input<'_>) {
        match input {
            Input::Command(apdu) => self.command(hands, now, apdu),
            Input::Timeout => {
                self.standard_input(hands, now, device::Input::Timeout);
                self.holder.handle(hands.crypto, now, holder::Input::Timeout);
            }
            Input::LinkLost => {
                self.standard_input(hands, now, device::Input::LinkLost);
                self.holder.handle(hands.crypto, now, holder::Input::LinkLost);
            }
            Input::Consent(consent) => match &mut self.standard {
                Some(application) if application.is_asking() => {
                    application.decide(hands, now, consent);
                    self.drain_standard(hands, now);
                }
                _ => self.decide(hands, now, consent),
            },
        }
        self.drain(hands, now);
    }

    /// The next thing to do; call again until it gives nothing, after every [`Tap::handle`].
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in [`Input::Timeout`]; ask again after every [`Tap::handle`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let standard = self.standard.as_ref().and_then(|it| it.poll_timeout());
        [self.holder.poll_timeout(), standard].into_iter().flatten().min()
    }

    /// Gives a command to the application that is selected.
    fn command(&mut self, hands: &mut Hands<'_>, now: Instant, apdu: &[u8]) {
        if matches!(self.stage, Stage::Finished) {
            let status = StatusWord::CONDITIONS.0.to_be_bytes();
            return self.outputs.push_back(Output::Response(status.to_vec()));
        }
        let command = Command::parse(apdu).ok();
        let is_standard = self.selected == Application::Standard;
        if command.as_ref().is_some_and(HolderEnd::is_selected_by) {
            self.select(hands, now, Application::Express);
        } else if let Some(it) = command
            && (it.instruction, it.p1) == (apdu::SELECT, 0x04)
        {
            let application = match it.data {
                data if data == EXPEDITED_APPLICATION => Application::Standard,
                data if data == STEP_UP_APPLICATION && is_standard => Application::Standard,
                _ => Application::Proximity,
            };
            self.select(hands, now, application);
        }
        match self.selected {
            Application::Proximity => {
                self.holder.handle(hands.crypto, now, holder::Input::Command(apdu));
            }
            Application::Express => self.express_command(hands, now, apdu),
            Application::Standard => self.standard_command(hands, now, apdu),
        }
    }

    /// Leaves the application that was selected for another.
    fn select(&mut self, hands: &mut Hands<'_>, now: Instant, application: Application) {
        if application != Application::Standard {
            self.standard_input(hands, now, device::Input::LinkLost);
        }
        if application != Application::Express {
            self.express.reset();
        }
        self.selected = application;
    }

    fn express_command(&mut self, hands: &mut Hands<'_>, now: Instant, apdu: &[u8]) {
        self.express_commands = self.express_commands.saturating_add(1);
        let entropy = [(); 3].map(|()| (hands.entropy)());
        let (Some(entropy), true) =
            (joined(entropy), self.express_commands <= EXPRESS_COMMANDS_MAX)
        else {
            let status = StatusWord::CONDITIONS.0.to_be_bytes();
            self.outputs.push_back(Output::Response(status.to_vec()));
            return self.holder.handle(hands.crypto, now, holder::Input::LinkLost);
        };
        // Nobody was asked, and a wallet on a machine does not know whether that is unlocked.
        let presence = express::reader::Presence::None;
        let (state, keep) = (&mut *hands.state, &mut *hands.keep);
        let mut pocket = Pocket { state, keep, now, presence, used: None };
        let mut own = express::holder::Hands { crypto: hands.crypto, pocket: &mut pocket, entropy };
        let answer = self.express.handle(&mut own, apdu);
        if let Some((reader, pass)) = pocket.used {
            let (elements, device_response, session_transcript) =
                (Vec::new(), Vec::new(), Vec::new());
            let profile = Profile::Express;
            let shown =
                Shown { profile, reader, pass, elements, device_response, session_transcript };
            self.express_shown = Some(shown);
        }
        self.outputs.push_back(Output::Response(answer.as_bytes().to_vec()));
    }

    fn drain(&mut self, hands: &mut Hands<'_>, now: Instant) {
        while let Some(output) = self.holder.poll_output() {
            match output {
                holder::Output::Response(apdu) => self.outputs.push_back(Output::Response(apdu)),
                holder::Output::Request { device_request, session_transcript, .. } => {
                    self.consider(hands, now, &device_request, session_transcript);
                }
                holder::Output::Closed(ending) => self.close(hands, now, ending),
            }
        }
    }

    /// Judges the reader first, and only then looks for a pass.
    fn consider(
        &mut self,
        hands: &mut Hands<'_>,
        now: Instant,
        request: &[u8],
        transcript: Vec<u8>,
    ) {
        match self.propose(hands, now, request, &transcript) {
            Ok(proposal) => {
                self.outputs.push_back(Output::Ask(proposal.clone()));
                self.stage = Stage::Asking { proposal, transcript };
            }
            Err(error) => self.decline(hands, now, error),
        }
    }

    /// The reader's proof, then the passes that fit. Several documents in one request are answered
    /// by the first only: a gate asks for one.
    fn propose(
        &mut self,
        hands: &Hands<'_>,
        now: Instant,
        request: &[u8],
        transcript: &[u8],
    ) -> Result<Proposal, TapError> {
        let request = DeviceRequest::parse(request).map_err(TapError::Request)?;
        // INVARIANT: a request that was parsed has at least one document.
        let doc_request = request.doc_requests.first().ok_or(TapError::Unfinished)?;
        self.reader = self.identify(hands, now, &request, transcript)?;
        let candidates = choose::candidates(&hands.state.passes, doc_request, now);
        let doc_type = String::from(doc_request.doc_type);
        if candidates.is_empty() {
            return Err(TapError::NoPass { doc_type });
        }
        Ok(Proposal { reader: self.reader.clone(), doc_type, candidates })
    }

    /// The name of the reader that makes the first request. Each of its requests must be proved.
    fn identify(
        &self,
        hands: &Hands<'_>,
        now: Instant,
        request: &DeviceRequest<'_>,
        transcript: &[u8],
    ) -> Result<String, TapError> {
        let anchors = hands.state.trust.reader_anchors();
        let judgement = ReaderJudgement { crypto: hands.crypto, anchors, at: now, transcript };
        let mut names = Vec::new();
        for doc_request in &request.doc_requests {
            match doc_request.verify_reader(&judgement, None) {
                Ok(verified) => names.push(verified.signer().certificate().subject.to_string()),
                #[cfg(feature = "danger-sabotage")]
                Err(_) if self.trusts_anyone => names.push(String::from("(nobody knows who)")),
                Err(rejection) => return Err(TapError::Reader(rejection)),
            }
        }
        Ok(names.into_iter().next().unwrap_or_default())
    }

    fn decide(&mut self, hands: &mut Hands<'_>, now: Instant, consent: Consent) {
        let stage = core::mem::replace(&mut self.stage, Stage::Finished);
        let Stage::Asking { proposal, transcript } = stage else {
            self.stage = stage;
            return;
        };
        let Consent::Show { candidate, presence } = consent else {
            return self.decline(hands, now, TapError::Declined);
        };
        let Some(chosen) = proposal.candidates.get(candidate) else {
            return self.decline(hands, now, TapError::Declined);
        };
        match answer(hands, chosen, &transcript, presence) {
            Ok(response) => {
                let elements = chosen.elements.iter().map(|element| element.name.clone()).collect();
                self.holder.handle(hands.crypto, now, holder::Input::Respond(&response));
                self.stage = Stage::Answering(Ok(Shown {
                    profile: Profile::Identity,
                    reader: proposal.reader.clone(),
                    pass: chosen.name.clone(),
                    elements,
                    device_response: response,
                    session_transcript: transcript,
                }));
            }
            Err(error) => self.decline(hands, now, error),
        }
    }

    fn decline(&mut self, hands: &mut Hands<'_>, now: Instant, error: TapError) {
        self.stage = Stage::Answering(Err(error));
        let status = SessionStatus::Termination;
        self.holder.handle(hands.crypto, now, holder::Input::Decline(status));
    }

    fn close(
        &mut self,
        hands: &mut Hands<'_>,
        now: Instant,
        ending: Result<holder::Ending, HolderError>,
    ) {
        let stage = core::mem::replace(&mut self.stage, Stage::Finished);
        // An express tap stands in the log already.
        if let (Stage::Waiting, Some(shown)) = (&stage, self.express_shown.take()) {
            return self.outputs.push_back(Output::Finished(Ok(shown)));
        }
        let (left, result) = match (stage, ending) {
            (Stage::Finished, _) => return,
            (Stage::Answering(Err(error)), _) => (None, Err(error)),
            (Stage::Answering(Ok(shown)), Ok(holder::Ending::Presented)) => {
                (Some(shown.clone()), Ok(shown))
            }
            // The reader may have all of it, or enough, whatever it says.
            (Stage::Answering(Ok(shown)), Err(error)) if was_sent(error) => {
                (Some(shown), Err(TapError::Session(error)))
            }
            (_, Err(error)) => (None, Err(TapError::Session(error))),
            _ => (None, Err(TapError::Unfinished)),
        };
        if result.is_ok() {
            hands.state.express.other_tap_succeeded();
        }
        self.finish(hands, now, left, result);
    }
}

/// What the express tap draws for one command.
fn joined(blocks: [Option<[u8; 32]>; 3]) -> Option<[u8; HANDLE_BYTES + FRESH_BYTES]> {
    let mut joined = [0; HANDLE_BYTES + FRESH_BYTES];
    let [first, second, third] = blocks;
    let all = [first?, second?, third?];
    joined.iter_mut().zip(all.as_flattened()).for_each(|(to, from)| *to = *from);
    Some(joined)
}

/// Whether a session that ended by `error` after the wallet had its answer ready may have given any
/// of it away.
const fn was_sent(error: HolderError) -> bool {
    use HolderError as E;
    !matches!(error, E::ConsentTimedOut | E::Response(_) | E::ResponseTooLong)
}

/// The DeviceResponse that shows `chosen` and nothing else.
fn answer(
    hands: &mut Hands<'_>,
    chosen: &Candidate,
    transcript: &[u8],
    presence: Presence,
) -> Result<Vec<u8>, TapError> {
    let no_pass = || TapError::NoPass { doc_type: chosen.name.clone() };
    let pass = hands.state.passes.get_mut(chosen.pass).ok_or_else(no_pass)?;
    let document = pass.documents.get_mut(chosen.document).ok_or_else(no_pass)?;
    if presence != Presence::Confirmed && document.is_holder_only() {
        return Err(TapError::Element(SecureElementError::PresenceNeeded));
    }
    let Content::Mdoc(bytes) = &document.content else { return Err(no_pass()) };
    let elements: Vec<(&str, &str)> = chosen
        .elements
        .iter()
        .map(|element| (element.name_space.as_str(), element.name.as_str()))
        .collect();
    let disclosure = mdoc::disclose(bytes, &elements).map_err(TapError::Document)?;
    let unsigned = disclosure.sign(transcript).map_err(TapError::Document)?;
    let signature = hands
        .element
        .sign(hands.crypto, document.key, unsigned.to_be_signed(), presence)
        .map_err(TapError::Element)?;
    let shown: DocumentBytes = unsigned.complete(&signature);
    document.shown = document.shown.saturating_add(1);
    Ok(mdoc::device_response(&[shown], &[]))
}
