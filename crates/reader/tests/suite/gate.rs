//! A gate and a phone on one table: the host of an engine, with a journal and a memory that can
//! fail, and a wallet that can be bent.

use core::time::Duration;

use audit::journal::{Head, verify_run};
use credential::crypto::P256Secret;
use credential::mdoc::{DeviceRequest, IssuerSigned, device_response, disclose};
use presentation::apdu::LinkLimits;
use presentation::holder::{self, Holder};
use presentation::session::message::SessionStatus;
use reader::decision::Reason;
use reader::engine::{Config, Engine, Input, Memory, Output};
use reader::journal::Event;
use vocabulary::time::Instant;

use crate::city::{CRYPTO, City, READER, key, place, sign};

/// A wallet with one pass.
#[derive(Clone)]
pub(crate) struct Phone {
    pub(crate) issuer_signed: Vec<u8>,
    pub(crate) device: P256Secret,
    pub(crate) bent: Bent,
}

/// How a wallet misbehaves.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Bent {
    #[default]
    Not,
    /// It changes a value that the issuer signed the digest of.
    Alters,
    /// It withholds the claim of this name.
    Withholds(&'static str),
    /// It answers with no document.
    Empty,
    /// Its owner says no.
    Declines,
}

impl Phone {
    /// The answer of this wallet to a request, or nothing if its owner declines.
    pub(crate) fn answer(&self, request: &[u8], transcript: &[u8]) -> Option<Vec<u8>> {
        let request = DeviceRequest::parse(request).unwrap();
        let asked = &request.doc_requests[0];
        match self.bent {
            Bent::Declines => return None,
            Bent::Empty => return Some(device_response(&[], &[asked.doc_type])),
            Bent::Not | Bent::Alters | Bent::Withholds(_) => {}
        }
        let held = IssuerSigned::parse(&self.issuer_signed).unwrap();
        let chosen: Vec<(&str, &str)> = asked
            .elements
            .iter()
            .filter(|asked| held.items.iter().any(|item| item.element == asked.element))
            .filter(|asked| self.bent != Bent::Withholds(leak(asked.element)))
            .map(|asked| (asked.name_space, asked.element))
            .collect();
        let disclosure = disclose(&self.issuer_signed, &chosen).unwrap();
        let document = sign(&self.device, disclosure.sign(transcript).unwrap());
        let response = device_response(&[document], &[]);
        Some(if self.bent == Bent::Alters { altered(response) } else { response })
    }
}

fn leak(text: &str) -> &'static str {
    credential::rights::CLAIMS.into_iter().find(|claim| *claim == text).unwrap_or("")
}

/// The zones `A` and `B` of a ticket made `C` and `D`.
fn altered(mut response: Vec<u8>) -> Vec<u8> {
    let zones = b"\x82\x61A\x61B";
    let at = response.windows(zones.len()).position(|window| window == zones).unwrap();
    response[at + 2] = b'C';
    response[at + 4] = b'D';
    response
}

/// What a person at the gate sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Unlocked,
    Refused(Reason),
}

/// The host of a reader.
pub(crate) struct Gate {
    pub(crate) engine: Engine,
    pub(crate) journal: Vec<Vec<u8>>,
    pub(crate) memory: Vec<u8>,
    pub(crate) disk_full: bool,
    /// The disk takes records and says nothing.
    pub(crate) stalled: bool,
    pub(crate) rejected: Vec<&'static str>,
    pub(crate) seen: Vec<Seen>,
    /// What the phone sent in the last tap.
    pub(crate) recorded: Vec<Vec<u8>>,
    /// How long the phone takes for the next response.
    pub(crate) took: Box<dyn FnMut() -> Duration>,
    pub(crate) taps: u8,
}

impl Gate {
    /// A reader that was just enrolled.
    pub(crate) fn new(city: &City) -> Self {
        Self::with(city.config())
    }

    pub(crate) fn with(config: Config) -> Self {
        let head = Head::start(*READER.as_bytes());
        let engine = Engine::new(CRYPTO, config, Memory::default(), head, 0);
        Self::around(engine, Vec::new(), Memory::default().encode())
    }

    pub(crate) fn around(engine: Engine, journal: Vec<Vec<u8>>, memory: Vec<u8>) -> Self {
        let mut gate = Self {
            engine,
            journal,
            memory,
            disk_full: false,
            stalled: false,
            rejected: Vec::new(),
            seen: Vec::new(),
            recorded: Vec::new(),
            took: Box::new(|| Duration::ZERO),
            taps: 0,
        };
        gate.drain(crate::city::noon(), None);
        gate
    }

    /// A reader with its first bundle and a status list of an hour.
    pub(crate) fn ready(city: &City) -> Self {
        let mut gate = Self::new(city);
        gate.give(Input::Bundle(&city.signed(&city.bundle(1))));
        gate.give(Input::StatusList(&city.status_list(crate::city::hours(1))));
        assert_eq!(gate.rejected, [""; 0]);
        gate
    }

    /// The same reader after a loss of power.
    pub(crate) fn restart(&self, city: &City) -> Self {
        let head = verify_run(&Head::start(*READER.as_bytes()), &self.journal.concat(), |_| {});
        let memory = Memory::decode(&self.memory).unwrap();
        let engine = Engine::new(CRYPTO, city.config(), memory, head.unwrap(), 0);
        let woken = Self::around(engine, self.journal.clone(), self.memory.clone());
        // Entropy never comes again, not even after a restart.
        Self { taps: self.taps, ..woken }
    }

    pub(crate) fn give(&mut self, input: Input<'_>) {
        self.give_at(crate::city::noon(), input);
    }

    pub(crate) fn give_at(&mut self, now: Instant, input: Input<'_>) {
        self.engine.handle(CRYPTO, now, input);
        self.drain(now, None);
    }

    pub(crate) fn tap(&mut self, phone: &Phone, door: &str) -> Seen {
        self.tap_at(crate::city::noon(), phone, door)
    }

    pub(crate) fn tap_at(&mut self, now: Instant, phone: &Phone, door: &str) -> Seen {
        self.tap_over(now, phone, door, |response| response)
    }

    /// A tap over a wire that changes what the phone sends.
    pub(crate) fn tap_over(
        &mut self,
        now: Instant,
        phone: &Phone,
        door: &str,
        wire: impl FnMut(Vec<u8>) -> Vec<u8>,
    ) -> Seen {
        self.present(now, phone, door, wire);
        self.last()
    }

    /// A tap of which nothing need have come yet.
    pub(crate) fn try_tap(&mut self, phone: &Phone, door: &str) -> Vec<Seen> {
        self.present(crate::city::noon(), phone, door, |response| response);
        self.seen.clone()
    }

    fn present(
        &mut self,
        now: Instant,
        phone: &Phone,
        door: &str,
        mut wire: impl FnMut(Vec<u8>) -> Vec<u8>,
    ) {
        self.taps += 1;
        let holder = Holder::new(CRYPTO, now, key(100 + self.taps), LinkLimits::EXTENDED).unwrap();
        self.recorded.clear();
        self.begin(now, door);
        let mut field = Field { holder, phone, wire: &mut wire };
        self.drain(now, Some(&mut field));
    }

    /// A tap by a device that plays back what it recorded.
    pub(crate) fn replay(&mut self, now: Instant, door: &str, recording: &[Vec<u8>]) -> Seen {
        self.taps += 1;
        self.begin(now, door);
        for response in recording {
            self.drain(now, None);
            let input = Input::Response { bytes: response, took: Duration::ZERO };
            self.engine.handle(CRYPTO, now, input);
        }
        self.drain(now, None);
        self.engine.handle(CRYPTO, now, Input::LinkLost);
        self.drain(now, None);
        self.last()
    }

    pub(crate) fn begin(&mut self, now: Instant, door: &str) {
        self.seen.clear();
        let secret = key(200 + self.taps % 50);
        self.engine.handle(CRYPTO, now, Input::Tap { door: place(door), secret });
    }

    fn last(&self) -> Seen {
        assert_eq!(self.seen.len(), 1, "{:?}", self.seen);
        self.seen[0]
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let start = Head::start(*READER.as_bytes());
        let head = verify_run(&start, &self.journal.concat(), |record| {
            events.push(Event::decode(record.payload).unwrap());
        });
        assert_eq!(head.as_ref(), Ok(self.engine.journal_head()));
        events
    }

    pub(crate) fn drain(&mut self, now: Instant, mut field: Option<&mut Field<'_>>) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Command(command) => {
                    if let Some(response) = field.as_mut().and_then(|f| f.send(now, &command)) {
                        self.recorded.push(response.clone());
                        let input = Input::Response { bytes: &response, took: (self.took)() };
                        self.engine.handle(CRYPTO, now, input);
                    }
                }
                Output::Sign(_) => panic!("the key is held here"),
                Output::OpenHandle { .. } => panic!("no element here holds an epoch key"),
                Output::Record(_) if self.disk_full => {
                    self.engine.handle(CRYPTO, now, Input::RecordFailed);
                }
                Output::Record(record) if self.stalled => self.journal.push(record),
                Output::Record(record) => {
                    self.journal.push(record);
                    self.engine.handle(CRYPTO, now, Input::Recorded);
                }
                Output::Unlock { duration_ms, .. } => {
                    assert!(duration_ms > 0);
                    self.seen.push(Seen::Unlocked);
                }
                Output::Refused { reason, .. } => self.seen.push(Seen::Refused(reason)),
                Output::Persist(_) if self.disk_full => {
                    self.engine.handle(CRYPTO, now, Input::PersistFailed);
                }
                Output::Persist(memory) => {
                    self.memory = memory;
                    self.engine.handle(CRYPTO, now, Input::Persisted);
                }
                Output::Installed(_) => {}
                Output::Rejected(rejection) => self.rejected.push(rejection.code),
            }
        }
    }
}

/// A phone in the field of a gate.
pub(crate) struct Field<'f> {
    holder: Holder,
    phone: &'f Phone,
    wire: &'f mut dyn FnMut(Vec<u8>) -> Vec<u8>,
}

impl Field<'_> {
    fn send(&mut self, now: Instant, command: &[u8]) -> Option<Vec<u8>> {
        self.holder.handle(CRYPTO, now, holder::Input::Command(command));
        let mut sent = None;
        while let Some(output) = self.holder.poll_output() {
            match output {
                holder::Output::Response(response) => sent = Some((self.wire)(response)),
                holder::Output::Request { device_request, session_transcript, .. } => {
                    let answer = self.phone.answer(&device_request, &session_transcript);
                    let input = match &answer {
                        Some(answer) => holder::Input::Respond(answer),
                        None => holder::Input::Decline(SessionStatus::Termination),
                    };
                    self.holder.handle(CRYPTO, now, input);
                }
                holder::Output::Closed(_) => {}
            }
        }
        sent
    }
}
