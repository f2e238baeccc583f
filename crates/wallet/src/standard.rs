//! The standard tap and the fast tap in the wallet (`specs/standard-tap.md`): with which documents, for
//! which readers, and when the owner is asked.
//!
//! The reader proves itself before anything is chosen, by a certificate of one of the city's reader
//! authorities that names it. The owner is asked as at an identity tap, unless it is clear which pass is
//! meant and its express tap is on; never is a pass shown unasked that only its holder may use. A fast tap
//! asks nothing, so that only such passes have one.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use credential::access_document::{self, Kind, pass};
use credential::crypto::{P256Secret, PublicKey};
use credential::rejection::Rejection;
use credential::x509::Certificate;
use presentation::profile::Profile;
use presentation::standard::device::{
    self, CREDENTIALS_MAX, Credential, Device, DeviceError, Memory, ReaderKey, Setup,
};
use presentation::standard::keyring::Keyring;
use presentation::standard::mailbox::Mailbox;
use presentation::standard::message::{Signaling, Timestamps};
use presentation::standard::{Dialect, ReaderIdentifier, Transport, Version, group_of};
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use crate::choose::{Candidate, Element, Proposal};
use crate::pass::{Content, Document};
use crate::secure_element::{Presence, SecureElementError};
use crate::state::State;
use crate::tap::{Consent, Hands, Shown, TapError};

/// The application in one tap, from one SELECT to its end.
#[derive(Debug)]
pub(crate) struct Application {
    device: Device,
    /// The keys of the credentials that it has.
    device_keys: Vec<[u8; 65]>,
    stage: Stage,
    events: VecDeque<Event>,
}

/// How far the two have come.
#[derive(Debug)]
enum Stage {
    /// Nothing has left the wallet.
    Waiting,
    /// A proof of the fast phase has left, for a reader that has proved nothing.
    Proved(Shown),
    /// The reader proved itself; the owner is asked.
    Asking(Box<Asking>),
    /// What was signed and shown.
    Showing { reader: ReaderIdentifier, shown: Shown, place: (usize, usize) },
    /// The wallet will not.
    Refusing(String, TapError),
}

/// What waits for the owner.
#[derive(Debug)]
struct Asking {
    reader: ReaderIdentifier,
    proposal: Proposal,
    message: Vec<u8>,
}

/// What becomes of it.
#[derive(Debug)]
pub(crate) enum Event {
    Response(Vec<u8>),
    Ask(Proposal),
    /// It is over, and nothing was asked or shown: the reader may try another application.
    Nothing,
    /// It is over.
    Over {
        reader: String,
        /// What left the wallet.
        left: Option<Shown>,
        result: Result<(), TapError>,
    },
}

/// A document that can be shown.
struct Own<'s> {
    place: (usize, usize),
    name: &'s str,
    document: &'s Document,
    bytes: &'s [u8],
    device_key: [u8; 65],
    is_unasked: bool,
}

impl Application {
    /// The application of a device that has just been selected; nothing where there is no entropy.
    pub(crate) fn new(hands: &mut Hands<'_>, now: Instant) -> Option<Self> {
        let blocks = [(hands.entropy)()?, (hands.entropy)()?, (hands.entropy)()?];
        let [ephemeral, filler @ ..] = blocks;
        let filler = filler.as_flattened().try_into().ok()?;
        let entropy = device::Entropy { ephemeral: P256Secret::from_bytes(ephemeral), filler };
        let own = own(hands, now);
        let mut keyring = hands.state.keyring.clone();
        keyring.retain(|kept| {
            own.iter().any(|own| own.is_unasked && own.device_key == kept.device_key)
        });
        let credentials = credentials(hands, now, &own, &keyring);
        let device_keys = credentials.iter().map(|known| known.device_key).collect();
        let setup = Setup {
            credentials,
            versions: [Version::V1_0].into(),
            vendor: None,
            transport: Transport::Nfc,
            dialect: Dialect::default(),
        };
        let device = Device::new(setup, Memory { keyring, mailbox: Mailbox::default() });
        let (stage, events) = (Stage::Waiting, VecDeque::new());
        let mut tap = Self { device, device_keys, stage, events };
        tap.device.handle(hands.crypto, now, device::Input::Tap(entropy));
        Some(tap)
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.device.poll_timeout()
    }

    pub(crate) const fn is_asking(&self) -> bool {
        matches!(self.stage, Stage::Asking(_))
    }

    pub(crate) fn handle(&mut self, hands: &mut Hands<'_>, now: Instant, input: device::Input<'_>) {
        self.device.handle(hands.crypto, now, input);
        self.drain(hands, now);
    }

    fn drain(&mut self, hands: &mut Hands<'_>, now: Instant) {
        while let Some(output) = self.device.poll_output() {
            match output {
                device::Output::Response(bytes) => self.events.push_back(Event::Response(bytes)),
                device::Output::FastProof { reader, device_key } => {
                    self.proved(hands, now, reader, &device_key);
                }
                device::Output::Sign { message, reader, name, .. } => {
                    self.consider(hands, now, (reader, name), message);
                }
                device::Output::StepUp { device_request, .. } => {
                    self.step_up(hands, now, &device_request);
                }
                device::Output::Save => self.keep(hands.state),
                device::Output::ReaderStatus(_) => {}
                device::Output::Ended(outcome) => self.end(hands.state, outcome),
            }
        }
    }

    /// The owner has decided.
    pub(crate) fn decide(&mut self, hands: &mut Hands<'_>, now: Instant, consent: Consent) {
        if self.device.poll_timeout().is_some_and(|deadline| now >= deadline) {
            return self.handle(hands, now, device::Input::Timeout);
        }
        let Stage::Asking(asking) = core::mem::replace(&mut self.stage, Stage::Waiting) else {
            return;
        };
        let chosen = match consent {
            Consent::Show { candidate, presence } => {
                asking.proposal.candidates.get(candidate).cloned().zip(Some(presence))
            }
            Consent::Decline => None,
        };
        match chosen {
            Some((chosen, presence)) => self.sign(hands, now, *asking, &chosen, presence),
            None => self.refuse(hands, now, asking.proposal.reader, TapError::Declined),
        }
        self.drain(hands, now);
    }

    /// The reader's proof, then the passes; then the owner, where it needs one.
    fn consider(
        &mut self,
        hands: &mut Hands<'_>,
        now: Instant,
        (reader, name): (ReaderIdentifier, Option<String>),
        message: Vec<u8>,
    ) {
        let said = named(&reader);
        // A certificate vouches for its group; that it is this reader's, its name says.
        let own_name: String = reader.sub_group.iter().map(|byte| format!("{byte:02x}")).collect();
        if name.as_deref() != Some(&own_name) {
            let message = "reader certificate names another reader";
            let rejection = Rejection::reader("reader-certificate-name", message);
            return self.refuse(hands, now, String::new(), TapError::Reader(rejection));
        }
        let own = own(hands, now);
        let mut fresh = freshest(&own);
        fresh.retain(|own| self.device_keys.contains(&own.device_key));
        let doc_type = String::from(Kind::Access.doc_type());
        let candidates = fresh.iter().map(|own| own.candidate()).collect();
        let known = hands.state.keyring.find(&reader).and_then(|kept| {
            let met = own.iter().find(|own| own.device_key == kept.device_key)?;
            fresh.iter().position(|own| own.place.0 == met.place.0)
        });
        // Of passes with one name the newest counts: it was collected in place of the others.
        let last = fresh.last().filter(|last| fresh.iter().all(|own| own.name == last.name));
        let only = last.map(|_| fresh.len().saturating_sub(1));
        let is_unasked = |place: &usize| fresh.get(*place).is_some_and(|own| own.is_unasked);
        let unasked = known.or(only).filter(is_unasked);
        let proposal = Proposal { reader: said, doc_type, candidates };
        let asking = Asking { reader, proposal, message };
        match unasked.and_then(|place| asking.proposal.candidates.get(place).cloned()) {
            Some(chosen) => self.sign(hands, now, asking, &chosen, Presence::Unknown),
            None if asking.proposal.candidates.is_empty() => {
                let Proposal { reader, doc_type, .. } = asking.proposal;
                self.refuse(hands, now, reader, TapError::NoPass { doc_type });
            }
            None => {
                self.events.push_back(Event::Ask(asking.proposal.clone()));
                self.stage = Stage::Asking(Box::new(asking));
            }
        }
    }

    /// Signs with the key of the document that was chosen.
    fn sign(
        &mut self,
        hands: &mut Hands<'_>,
        now: Instant,
        asking: Asking,
        chosen: &Candidate,
        presence: Presence,
    ) {
        let Asking { reader, proposal, message } = asking;
        match signed(hands, chosen, &message, presence) {
            Ok((device_key, signature)) => {
                // The reader has proved itself by its certificate.
                hands.state.express.other_tap_succeeded();
                let elements = chosen.elements.iter().map(|element| element.name.clone()).collect();
                let shown = Shown {
                    profile: Profile::Standard,
                    reader: proposal.reader,
                    pass: chosen.name.clone(),
                    elements,
                    device_response: Vec::new(),
                    session_transcript: Vec::new(),
                };
                let place = (chosen.pass, chosen.document);
                self.stage = Stage::Showing { reader, shown, place };
                self.device.handle(hands.crypto, now, device::Input::Choose(&device_key));
                self.device.handle(hands.crypto, now, device::Input::Signature(&signature));
            }
            Err(error) => self.refuse(hands, now, proposal.reader, error),
        }
    }

    fn refuse(&mut self, hands: &Hands<'_>, now: Instant, reader: String, error: TapError) {
        self.stage = Stage::Refusing(reader, error);
        self.device.handle(hands.crypto, now, device::Input::Decline);
    }

    /// The access document of the key that was used, if that is what is asked for.
    fn step_up(&mut self, hands: &mut Hands<'_>, now: Instant, request: &[u8]) {
        let asked = access_document::parse_request(request, Kind::Access);
        let is_asked = asked.is_ok_and(|asked| asked.iter().any(|it| it.element == pass::ELEMENT));
        let answer = match &mut self.stage {
            Stage::Showing { shown, place, .. } if is_asked => {
                let answer = document(hands.state, *place).and_then(|bytes| {
                    access_document::device_response(Kind::Access, bytes, &[pass::ELEMENT]).ok()
                });
                shown.device_response.clone_from(answer.as_ref().unwrap_or(&Vec::new()));
                answer
            }
            _ => None,
        };
        let input = answer.as_deref().map_or(device::Input::Decline, device::Input::Respond);
        self.device.handle(hands.crypto, now, input);
    }

    fn proved(
        &mut self,
        hands: &Hands<'_>,
        now: Instant,
        reader: ReaderIdentifier,
        device_key: &[u8; 65],
    ) {
        let own = own(hands, now);
        let met = own.iter().find(|own| own.device_key == *device_key);
        self.stage = Stage::Proved(Shown {
            profile: Profile::Fast,
            reader: named(&reader),
            pass: met.map(|own| own.name.to_string()).unwrap_or_default(),
            elements: Vec::new(),
            device_response: Vec::new(),
            session_transcript: Vec::new(),
        });
    }

    /// Keeps the key that this tap has left.
    fn keep(&self, state: &mut State) {
        if let Stage::Showing { reader, .. } = &self.stage {
            let kept = self.device.memory().keyring.find(reader).cloned();
            kept.into_iter().for_each(|kept| state.keyring.keep(kept));
        }
    }

    fn end(&mut self, state: &mut State, outcome: Result<(), DeviceError>) {
        let stage = core::mem::replace(&mut self.stage, Stage::Waiting);
        // A door that did not open is one for which the owner may choose another pass.
        if let (Stage::Showing { reader, .. }, Err(DeviceError::ReaderFailed(_))) =
            (&stage, &outcome)
        {
            state.keyring.retain(|kept| kept.reader != *reader);
        }
        // What a reader makes of it is its own matter.
        let result = match outcome {
            Ok(()) | Err(DeviceError::ReaderFailed(_)) => Ok(()),
            Err(error) => Err(error),
        };
        let (reader, left, result) = match (stage, result) {
            (Stage::Waiting, _) => return self.events.push_back(Event::Nothing),
            // A reader whom the proof told nothing may try another application, as any may.
            (Stage::Proved(_), Err(error))
                if !matches!(error, DeviceError::LinkLost | DeviceError::TimedOut) =>
            {
                return self.events.push_back(Event::Nothing);
            }
            (Stage::Proved(shown) | Stage::Showing { shown, .. }, result) => {
                (shown.reader.clone(), Some(shown), result.map_err(TapError::Standard))
            }
            (Stage::Asking(asking), result) => {
                let result = result.and(Err(DeviceError::Unexpected));
                (asking.proposal.reader, None, result.map_err(TapError::Standard))
            }
            (Stage::Refusing(reader, error), _) => (reader, None, Err(error)),
        };
        self.events.push_back(Event::Over { reader, left, result });
    }
}

impl Own<'_> {
    /// What would be disclosed: all of the pass, since it is one element.
    fn candidate(&self) -> Candidate {
        let rights = pass::danger_unverified_rights(self.bytes).ok();
        let claims = rights.and_then(|rights| rights.to_elements().ok()).unwrap_or_default();
        let elements = claims.iter().map(|(name, _)| Element {
            name_space: pass::ELEMENT.into(),
            name: (*name).into(),
            // The journal keeps of a pass who issued it and of which product it is.
            is_retained: matches!(*name, "operator" | "product"),
        });
        let (pass, document) = self.place;
        Candidate { pass, name: self.name.into(), document, elements: elements.collect() }
    }
}

/// The access documents that hold now.
fn own<'s>(hands: &'s Hands<'_>, now: Instant) -> Vec<Own<'s>> {
    let mut own = Vec::new();
    for (place, held) in hands.state.passes.iter().enumerate() {
        for (position, document) in held.documents.iter().enumerate() {
            let Content::AccessDocument(bytes) = &document.content else { continue };
            let Ok(PublicKey::P256(device_key)) = hands.element.public_key(document.key) else {
                continue;
            };
            if !document.is_current(now) {
                continue;
            }
            let is_unasked = hands.state.express.is_on(place)
                && !document.is_holder_only()
                && hands.element.needs_presence(document.key) == Ok(false);
            let place = (place, position);
            own.push(Own { place, name: &held.name, document, bytes, device_key, is_unasked });
        }
    }
    own
}

/// Of each pass the document that was shown least, so that shows cannot be linked.
fn freshest<'o, 's>(own: &'o [Own<'s>]) -> Vec<&'o Own<'s>> {
    let mut fresh: Vec<&Own<'_>> = Vec::new();
    for candidate in own {
        match fresh.iter_mut().find(|other| other.place.0 == candidate.place.0) {
            Some(other) if candidate.document.shown < other.document.shown => *other = candidate,
            Some(_) => {}
            None => fresh.push(candidate),
        }
    }
    fresh
}

/// One for each document that may be shown and each reader authority of the city, at most
/// [`CREDENTIALS_MAX`]: first those that are known somewhere, then those of the newest passes.
fn credentials(
    hands: &Hands<'_>,
    now: Instant,
    own: &[Own<'_>],
    keyring: &Keyring,
) -> Vec<Credential> {
    let is_known =
        |own: &&Own<'_>| keyring.entries().iter().any(|kept| kept.device_key == own.device_key);
    let known = own.iter().filter(is_known);
    let fresh = freshest(own).into_iter().rev().filter(|own| !is_known(own));
    let mut authorities: Vec<[u8; 65]> = Vec::new();
    for der in &hands.state.trust.parts().readers {
        match Certificate::parse(der) {
            Ok(authority) if authority.is_current(now) => {
                if let PublicKey::P256(key) = authority.public_key {
                    authorities.push(key);
                }
            }
            _ => {}
        }
    }
    let pairs = known.chain(fresh).flat_map(|own| authorities.iter().map(move |key| (own, key)));
    let credential = |(own, authority): (&Own<'_>, &[u8; 65])| Credential {
        group: group_of(hands.crypto, authority),
        reader_key: ReaderKey::Issuer(*authority),
        device_key: own.device_key,
        key_slot: access_document::key_id(hands.crypto, &PublicKey::P256(own.device_key)),
        documents: Signaling::ACCESS_DOCUMENT.with(Signaling::STEP_UP_SELECT),
        timestamps: Timestamps::default(),
    };
    pairs.take(CREDENTIALS_MAX).map(credential).collect()
}

/// The key of the document that was chosen, and its signature.
fn signed(
    hands: &mut Hands<'_>,
    chosen: &Candidate,
    message: &[u8],
    presence: Presence,
) -> Result<([u8; 65], credential::crypto::Signature), TapError> {
    let no_pass = || TapError::NoPass { doc_type: Kind::Access.doc_type().into() };
    let pass = hands.state.passes.get_mut(chosen.pass).ok_or_else(no_pass)?;
    let document = pass.documents.get_mut(chosen.document).ok_or_else(no_pass)?;
    if presence != Presence::Confirmed && document.is_holder_only() {
        return Err(TapError::Element(SecureElementError::PresenceNeeded));
    }
    let public = hands.element.public_key(document.key).map_err(TapError::Element)?;
    let PublicKey::P256(device_key) = public else { return Err(no_pass()) };
    let signature = hands.element.sign(hands.crypto, document.key, message, presence);
    let signature = signature.map_err(TapError::Element)?;
    document.shown = document.shown.saturating_add(1);
    Ok((device_key, signature))
}

fn document(state: &State, (pass, document): (usize, usize)) -> Option<&[u8]> {
    match &state.passes.get(pass)?.documents.get(document)?.content {
        Content::AccessDocument(bytes) => Some(bytes),
        Content::Mdoc(_) | Content::SdJwt(_) => None,
    }
}

/// The name of a reader in the owner's log, as at an express tap.
fn named(reader: &ReaderIdentifier) -> String {
    ReaderId::from_bytes(reader.sub_group).to_string()
}
