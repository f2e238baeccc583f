//! A gate of the city: the engine of a real reader, with a journal and a memory that never fail.

use core::time::Duration;

use audit::journal::{Head, verify_run};
use credential::x509::TrustAnchors;
use presentation::apdu::LinkLimits;
use presentation::profile::Profile;
use reader::bundle::{Bundle, Freshness, Issuer};
use reader::decision::Reason;
use reader::engine::{Config, Engine, Input, Memory, Output, ReaderKey, StandardIdentity};
use reader::journal::{Event, Outcome};
use reader::snapshot::{ClassPolicy, Stale};
use reader::table::{AccessTable, Door, Need, Rule, ZoneClass};
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use crate::city::{CRYPTO, City, days, key, noon, sign};
use crate::phone::Reader;

pub(crate) const READER: ReaderId = ReaderId::from_bytes([7; 16]);
const DOOR: &str = "harbour/gate-b";

pub(crate) struct Gate {
    engine: Engine,
    journal: Vec<Vec<u8>>,
    taps: u8,
    /// What it did in the last tap: it opened, or why it did not.
    pub(crate) deed: Option<Result<(), Reason>>,
}

impl Gate {
    /// A gate in zone B that admits tickets.
    pub(crate) fn new(city: &City) -> Self {
        Self::with(city, None)
    }

    /// A gate that proves itself so in standard taps.
    pub(crate) fn with(city: &City, standard: Option<StandardIdentity>) -> Self {
        let config = Config {
            reader: READER,
            root: TrustAnchors::from_ders([city.root.der.as_slice()]).unwrap(),
            chain: vec![city.reader.der.clone()],
            key: ReaderKey::Held(city.reader.key.clone()),
            journal_records_max: 1000,
            link: LinkLimits::EXTENDED,
            bounds: reader::taps::TimeBounds::default(),
            restarts: 1,
            standard,
            least: Profile::Express,
        };
        let head = Head::start(*READER.as_bytes());
        let engine = Engine::new(CRYPTO, config, Memory::default(), head, 0);
        let mut gate = Self { engine, journal: Vec::new(), taps: 0, deed: None };
        gate.install(&bundle(city), city);
        assert!(gate.engine.bundle().is_some());
        gate
    }

    /// By which profile the last pass that was verified was shown.
    pub(crate) fn profile(&self) -> Option<Profile> {
        let mut last = None;
        let start = Head::start(*READER.as_bytes());
        let run = verify_run(&start, &self.journal.concat(), |record| {
            last = Event::decode(record.payload).unwrap().tap;
        });
        run.unwrap();
        last.map(|tap| tap.profile())
    }

    fn install(&mut self, bundle: &Bundle, city: &City) {
        let signed = sign(&city.bundle_signer.key, bundle.unsigned(&city.bundle_signer.der));
        self.engine.handle(CRYPTO, noon(), Input::Bundle(&signed));
        self.drain(noon());
    }

    /// Whether the last tap opened, and whether its record says so too.
    pub(crate) fn opened(&self) -> bool {
        let mut last = None;
        let start = Head::start(*READER.as_bytes());
        let run = verify_run(&start, &self.journal.concat(), |record| {
            last = Some(Event::decode(record.payload).unwrap().outcome);
        });
        run.unwrap();
        let opened = self.deed == Some(Ok(()));
        assert_eq!(opened, matches!(last, Some(Outcome::Granted { .. })));
        opened
    }

    fn drain(&mut self, now: Instant) -> Option<Vec<u8>> {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Command(command) => return Some(command),
                Output::Record(record) => {
                    self.journal.push(record);
                    self.engine.handle(CRYPTO, now, Input::Recorded);
                }
                Output::Persist(_) => self.engine.handle(CRYPTO, now, Input::Persisted),
                Output::Unlock { .. } => self.deed = Some(Ok(())),
                Output::Refused { reason, .. } => self.deed = Some(Err(reason)),
                Output::Installed(_) => {}
                Output::Sign(_) | Output::OpenHandle { .. } | Output::Rejected(_) => {
                    panic!("{output:?}")
                }
            }
        }
        None
    }
}

impl Reader for Gate {
    fn next(&mut self, now: Instant, response: Option<&[u8]>) -> Option<Vec<u8>> {
        let input = match response {
            Some(bytes) => Input::Response { bytes, took: Duration::ZERO },
            None => {
                self.taps += 1;
                self.deed = None;
                Input::Tap { door: DOOR.parse().unwrap(), secret: key(200 + self.taps) }
            }
        };
        self.engine.handle(CRYPTO, now, input);
        self.drain(now)
    }
}

fn bundle(city: &City) -> Bundle {
    // The documents here name no status list, so that the class of the door decides.
    let policy = ClassPolicy { status_age_max: Duration::from_secs(3600), stale: Stale::Accept };
    let rule = Rule {
        operator: "transit".parse().unwrap(),
        product: "ticket".parse().unwrap(),
        class: None,
        need: Need::Zone,
    };
    let zone = "B".parse().unwrap();
    let door = Door::new(DOOR.parse().unwrap(), Some(zone), ZoneClass::Low, vec![rule]).unwrap();
    Bundle {
        city: "Testville".parse().unwrap(),
        reader: READER,
        epoch: 1,
        issued_at: noon().saturating_sub(days(1)),
        expires_at: noon().saturating_add(days(90)),
        roots: Vec::new(),
        issuers: [&city.authority, &city.signer]
            .map(|identity| Issuer {
                operator: "transit".parse().unwrap(),
                certificate: identity.der.clone(),
            })
            .to_vec(),
        status_signers: Vec::new(),
        freshness: Freshness { low: policy, normal: policy, high: policy },
        unlock_ms: 3000,
        taps: reader::taps::Taps::default(),
        deliveries: Vec::new(),
        table: AccessTable::new(vec![door]).unwrap(),
    }
}
