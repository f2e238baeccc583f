//! A reader that asks for what it likes and proves what it likes, with the session of a real one.

use credential::crypto::{Algorithm, P256Secret};
use credential::mdoc::{
    DeviceResponse, DocRequestBytes, ItemsRequest, RequestedNameSpace, device_request, doc_request,
    doc_request_unauthenticated,
};
use credential::rights::{DOC_TYPE, NAME_SPACE};
use presentation::apdu::LinkLimits;
use presentation::verifier::{Input, Output, Verifier};
use vocabulary::time::Instant;

use crate::city::{CRYPTO, City, Identity, key, noon, sign};
use crate::phone::Reader;

/// Builds a DeviceRequest for a session, whose transcript is given.
pub(crate) type Ask = Box<dyn FnMut(&[u8]) -> Vec<u8>>;

pub(crate) struct Rogue {
    pub(crate) verifier: Verifier,
    pub(crate) ask: Ask,
    /// It goes away after so many commands.
    pub(crate) commands_max: usize,
    /// It says this in place of good-bye.
    pub(crate) last_words: Option<Vec<u8>>,
    /// What it got, opened.
    pub(crate) harvest: Option<Vec<u8>>,
    /// The transcript of its session.
    pub(crate) transcript: Vec<u8>,
    pub(crate) commands: usize,
}

impl Rogue {
    pub(crate) fn new(number: u8, ask: impl FnMut(&[u8]) -> Vec<u8> + 'static) -> Self {
        let verifier = Verifier::new(CRYPTO, noon(), key(number), LinkLimits::EXTENDED).unwrap();
        Self {
            verifier,
            ask: Box::new(ask),
            commands_max: usize::MAX,
            last_words: None,
            harvest: None,
            transcript: Vec::new(),
            commands: 0,
        }
    }

    /// A reader that proves itself as `prover` and asks for `asked` of a document type.
    pub(crate) fn proving(number: u8, prover: &Identity, question: Question) -> Self {
        let prover = prover.clone();
        Self::new(number, move |transcript| {
            device_request(&[question.signed(&prover.key, &prover.der, transcript)])
        })
    }

    /// A reader of the city that may do what it does.
    pub(crate) fn honest(city: &City) -> Self {
        Self::proving(90, &city.reader, Question::default())
    }

    /// The names of the elements that it got.
    pub(crate) fn harvested(&self) -> Vec<String> {
        let Some(harvest) = &self.harvest else { return Vec::new() };
        let response = DeviceResponse::parse(harvest).unwrap();
        let items = response.documents.iter().flat_map(|d| &d.issuer_signed.items);
        items.map(|item| item.element.to_owned()).collect()
    }
}

/// What a reader asks for.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) doc_type: &'static str,
    pub(crate) elements: Vec<(&'static str, bool)>,
}

impl Default for Question {
    fn default() -> Self {
        Self { doc_type: DOC_TYPE, elements: vec![("operator", true), ("zones", false)] }
    }
}

impl Question {
    pub(crate) fn signed(
        &self,
        key: &P256Secret,
        certificate: &[u8],
        transcript: &[u8],
    ) -> DocRequestBytes {
        let name_spaces = [RequestedNameSpace { name: NAME_SPACE, elements: &self.elements }];
        let items = ItemsRequest { doc_type: self.doc_type, name_spaces: &name_spaces };
        let unsigned = doc_request(&items, transcript, Algorithm::Es256, &[certificate]);
        sign(key, unsigned.unwrap())
    }

    pub(crate) fn unsigned(&self) -> DocRequestBytes {
        let name_spaces = [RequestedNameSpace { name: NAME_SPACE, elements: &self.elements }];
        let items = ItemsRequest { doc_type: self.doc_type, name_spaces: &name_spaces };
        doc_request_unauthenticated(&items)
    }
}

impl Reader for Rogue {
    fn next(&mut self, now: Instant, response: Option<&[u8]>) -> Option<Vec<u8>> {
        if let Some(response) = response {
            self.verifier.handle(CRYPTO, now, Input::Response(response));
        }
        if self.commands == self.commands_max {
            return None;
        }
        while let Some(output) = self.verifier.poll_output() {
            match output {
                Output::Command(command) => {
                    self.commands += 1;
                    let is_last = self.harvest.is_some();
                    return Some(self.last_words.clone().filter(|_| is_last).unwrap_or(command));
                }
                Output::NeedRequest { session_transcript } => {
                    let request = (self.ask)(&session_transcript);
                    self.transcript = session_transcript;
                    self.verifier.handle(CRYPTO, now, Input::Request(&request));
                }
                Output::Response { device_response, .. } => self.harvest = Some(device_response),
                Output::Closed(_) => return None,
            }
        }
        None
    }
}
