//! A phone with a wallet, and what it takes to hold it to a reader.

use core::time::Duration;

use credential::rights::{DOC_TYPE, Rights};
use presentation::apdu::LinkLimits;
use vocabulary::time::Instant;
use wallet::choose::Proposal;
use wallet::log::Entry;
use wallet::pass::{Content, Document, Pass};
use wallet::secure_element::{Presence, PresenceRule, SecureElement};
use wallet::software::SoftwareElement;
use wallet::state::State;
use wallet::tap::{Consent, Hands, Input, Output, Shown, Tap, TapError};
use wallet::trust::Trust;

use crate::city::{CRYPTO, City, days, key, noon, ticket};

/// The other end of a tap.
pub(crate) trait Reader {
    /// The next command, given the response to the one before; nothing when it goes away.
    fn next(&mut self, now: Instant, response: Option<&[u8]>) -> Option<Vec<u8>>;
}

pub(crate) struct Phone {
    pub(crate) state: State,
    pub(crate) element: SoftwareElement,
    /// What its owner says.
    pub(crate) consent: Consent,
    /// How long its owner takes to say it.
    pub(crate) hesitation: Duration,
    pub(crate) trusts_anyone: bool,
    pub(crate) link: LinkLimits,
    /// What its owner was asked in the last tap.
    pub(crate) asked: Option<Proposal>,
    /// The response APDUs of the last tap.
    pub(crate) sent: Vec<Vec<u8>>,
    pub(crate) taps: u8,
}

pub(crate) const SHOW: Consent = Consent::Show { candidate: 0, presence: Presence::Unknown };

impl Phone {
    /// A wallet of this city, without a pass.
    pub(crate) fn empty(city: &City) -> Self {
        let trust = Trust::new(city.parts()).unwrap();
        Self {
            state: State { trust, ..State::default() },
            element: SoftwareElement::new(),
            consent: SHOW,
            hesitation: Duration::ZERO,
            trusts_anyone: false,
            link: LinkLimits::EXTENDED,
            asked: None,
            sent: Vec::new(),
            taps: 0,
        }
    }

    /// A wallet of this city with one ticket.
    pub(crate) fn with_ticket(city: &City) -> Self {
        let mut phone = Self::empty(city);
        phone.add(city, "Ticket", 1, PresenceRule::NotNeeded);
        phone
    }

    /// Puts so many documents of one pass into the wallet, as if they had been collected.
    pub(crate) fn add(&mut self, city: &City, name: &str, documents: u8, rule: PresenceRule) {
        self.add_with(city, name, (documents, rule), &ticket());
    }

    pub(crate) fn add_with(
        &mut self,
        city: &City,
        name: &str,
        (documents, rule): (u8, PresenceRule),
        rights: &Rights,
    ) {
        let documents = (0..documents).map(|_| {
            let entropy = [150 + self.element_keys(); 32];
            let device = self.element.generate(CRYPTO, entropy, rule).unwrap();
            let public = self.element.public_key(device).unwrap();
            let content = Content::Mdoc(city.pass(DOC_TYPE, rights, &public));
            let anchors = self.state.trust.issuer_anchors();
            Document::accept(CRYPTO, content, &[(device, public)], anchors, noon()).unwrap()
        });
        let documents = documents.collect();
        let (issuer, configuration) = ("https://city.example".into(), "ticket".into());
        self.state.passes.push(Pass { name: name.into(), issuer, configuration, documents });
    }

    /// Puts so many access documents of one pass into the wallet.
    pub(crate) fn add_access(
        &mut self,
        city: &City,
        name: &str,
        (documents, rule): (u8, PresenceRule),
        rights: &Rights,
    ) {
        let documents = (0..documents).map(|_| {
            let entropy = [150 + self.element_keys(); 32];
            let key = self.element.generate(CRYPTO, entropy, rule).unwrap();
            let public = self.element.public_key(key).unwrap();
            let content = Content::AccessDocument(city.access_document(rights, &public));
            let valid_from = noon().saturating_sub(days(1));
            let valid_until = noon().saturating_add(days(20));
            let kind = "aliro-a".into();
            Document { content, key, kind, valid_from, valid_until, shown: 0 }
        });
        let documents = documents.collect();
        let (issuer, configuration) = ("https://city.example".into(), "access".into());
        self.state.passes.push(Pass { name: name.into(), issuer, configuration, documents });
    }

    fn element_keys(&self) -> u8 {
        let keys = (0..u32::from(u8::MAX)).map(wallet::secure_element::DeviceKey);
        keys.filter(|key| self.element.public_key(*key).is_ok()).count().try_into().unwrap()
    }

    /// One whole tap.
    pub(crate) fn hold(&mut self, reader: &mut dyn Reader) -> Result<Shown, TapError> {
        let now = noon();
        self.taps += 1;
        (self.asked, self.sent) = (None, Vec::new());
        let mut tap = Tap::new(CRYPTO, now, key(100 + self.taps), self.link).unwrap();
        if self.trusts_anyone {
            tap.danger_trust_anyone();
        }
        let entries = self.state.log.len();
        let mut command = reader.next(now, None);
        let mut finished = None;
        while let Some(bytes) = command {
            let response = self.answer(&mut tap, now, Input::Command(&bytes), &mut finished);
            command = reader.next(now, response.as_deref());
        }
        self.answer(&mut tap, now, Input::LinkLost, &mut finished);
        assert!(self.state.log.len() > entries || entries == wallet::log::ENTRIES_MAX, "an entry");
        finished.expect("a tap says how it ended")
    }

    fn answer(
        &mut self,
        tap: &mut Tap,
        now: Instant,
        input: Input<'_>,
        finished: &mut Option<Result<Shown, TapError>>,
    ) -> Option<Vec<u8>> {
        let Self { state, element, consent, hesitation, asked, sent, .. } = self;
        let taps = self.taps;
        let (mut keep, mut entropy) = (|_: &State| true, || Some([77 + taps; 32]));
        let (keep, entropy) = (&mut keep, &mut entropy);
        let mut hands = Hands { crypto: CRYPTO, state, element, keep, entropy };
        tap.handle(&mut hands, now, input);
        let mut response = None;
        while let Some(output) = tap.poll_output() {
            match output {
                Output::Response(apdu) => {
                    sent.push(apdu.clone());
                    assert!(response.replace(apdu).is_none(), "one response to one command");
                }
                Output::Ask(proposal) => {
                    *asked = Some(proposal);
                    let then = now.saturating_add(*hesitation);
                    tap.handle(&mut hands, then, Input::Consent(*consent));
                }
                Output::Finished(result) => {
                    assert!(finished.replace(result).is_none(), "said once");
                }
            }
        }
        response
    }

    pub(crate) fn last_entry(&self) -> &Entry {
        self.state.log.last().unwrap()
    }
}
