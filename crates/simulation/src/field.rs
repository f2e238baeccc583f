//! One reader, from its enrolment to the end: it learns when it can and decides all the time.

use credential::crypto::Crypto;
use credential::mdoc::{self, verify_issuer_signed};
use credential::rejection::{Culprit, Rejection};
use credential::rights::{DOC_TYPE, Rights};
use credential::status::{self, VerifiedStatusList};
use credential::x509::{Judgement, Profile, TrustAnchors};
use fleet::bundle::{City, Numbered, make_bundle};
use fleet::change::Change;
use fleet::reader::{JournalHead, Reader, ReaderCertificate, ReaderState};
use fleet::secret::SecretHash;
use policy::action::Action;
use policy::actor::{Actor, Resource};
use policy::authorize::authorize;
use policy::compile::Product;
use policy::place::{Grant, PlaceTree};
use reader::bundle::{Freshness, Pin, VerifiedBundle};
use reader::snapshot::{ClassPolicy, Stale};
use reader::table::Claim;
use vocabulary::id::ReaderId;

use crate::city::{History, Snapshot, marked};
use crate::memory::Memory;
use crate::outage::{last_fetch, outages, within};
use crate::papers::{Papers, STATUS_URI, gate};
use crate::random::Stream;
use crate::record::{Level, Tally};
use crate::run::Fault;
use crate::scenario::{DAY, HOUR, Minute, Scenario, instant};

/// A reader that comes back soon after it learnt does not ask at once.
const SYNC_PAUSE: Minute = 12 * HOUR;

/// The world of all readers.
pub(crate) struct World<'w> {
    pub(crate) scenario: &'w Scenario,
    pub(crate) history: &'w History,
    pub(crate) papers: &'w Papers,
    pub(crate) tree: &'w PlaceTree,
    pub(crate) products: &'w [Product],
    pub(crate) grants: &'w [Vec<Grant>],
    pub(crate) seed: u64,
    /// For readers whose bundles are signed for real, and for the others.
    pub(crate) real: &'w dyn Crypto,
    pub(crate) marking: &'w dyn Crypto,
}

/// One reader.
struct Gate<'w> {
    world: &'w World<'w>,
    crypto: &'w dyn Crypto,
    is_sampled: bool,
    /// The number of its operator.
    own: usize,
    record: Reader,
    roots: TrustAnchors,
    held: Option<Held>,
    /// The hour of its certificate.
    certificate: Minute,
    /// The day of its status list.
    list: Option<Minute>,
    believes: Believes,
}

struct Held {
    bundle: VerifiedBundle,
    snapshot: usize,
    until: Minute,
}

/// Until when the reader believed each old key, `None` for as long as it does.
#[derive(Default)]
struct Believes {
    root: Option<Minute>,
    issuing: Minute,
    signer: Minute,
    status: Minute,
    bundle: Option<Minute>,
}

enum Event {
    Sync,
    Tap,
}

/// Lives through all of one reader's time.
pub(crate) fn live(
    world: &World<'_>,
    number: u32,
    memory: &mut Memory,
    tally: &mut Tally,
) -> Result<(), Fault> {
    let scenario = world.scenario;
    let end = scenario.end();
    let mut random = Stream::new(world.seed, "reader", number.into());
    let away = outages(&scenario.outage, end, &mut random);
    tally.minutes += u64::from(end);
    tally.offline_minutes += away.iter().map(|(from, until)| u64::from(until - from)).sum::<u64>();
    let mut events = syncs(scenario, &away, &mut random);
    for day in 0..scenario.days {
        let taps = (0..scenario.taps_per_day).map(|_| day * DAY + within(&mut random, DAY));
        events.extend(taps.map(|at| (at, Event::Tap)));
    }
    events.sort_by_key(|(at, event)| (*at, matches!(event, Event::Tap)));
    let mut gate = Gate::new(world, number, &mut random)?;
    // It was enrolled with its first bundle in hand.
    gate.sync(0, memory, tally)?;
    for (at, event) in events {
        match event {
            Event::Sync => gate.sync(at, memory, tally)?,
            Event::Tap => gate.tap(at, &mut random, memory, tally)?,
        }
    }
    gate.close(memory, tally)
}

/// When the reader asks the city: in its rhythm while it is online, and when it comes back.
fn syncs(
    scenario: &Scenario,
    away: &[(Minute, Minute)],
    random: &mut Stream,
) -> Vec<(Minute, Event)> {
    let every = scenario.sync_hours * HOUR;
    let mut found = Vec::new();
    let (mut at, mut last) = (within(random, every), 0);
    let mut away = away.iter().peekable();
    while at < scenario.end() {
        while away.next_if(|(_, until)| *until <= at).is_some() {}
        match away.peek() {
            Some((from, until)) if *from <= at => {
                at = (*until).max(last + SYNC_PAUSE);
                continue;
            }
            _ => {}
        }
        found.push((at, Event::Sync));
        last = at;
        // Coming back from an outage before the next turn is a reason to ask.
        let back = away.peek().map_or(Minute::MAX, |(_, until)| (*until).max(at + SYNC_PAUSE));
        at = (at + every).min(back.max(at + 1));
    }
    found
}

impl<'w> Gate<'w> {
    fn new(world: &'w World<'w>, number: u32, random: &mut Stream) -> Result<Self, Fault> {
        let operators = &world.history.operators;
        let own = number as usize % operators.len().max(1);
        let operator = operators.get(own).ok_or(Fault("find an operator"))?.clone();
        let mut id = [0; 16];
        id.iter_mut().skip(12).zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
        let id = ReaderId::from_bytes(id);
        let first = world.history.at(0)?;
        let root = first.roots.first().ok_or(Fault("find the root"))?;
        let roots = TrustAnchors::from_ders([root.certificate.as_slice()]);
        let is_sampled = random.unit() < world.scenario.sampled_share;
        Ok(Self {
            world,
            crypto: if is_sampled { world.real } else { world.marking },
            is_sampled,
            own,
            record: Reader {
                delivery_keys: None,
                id,
                label: "gate".parse().map_err(|_| Fault("name a reader"))?,
                doors: vec![gate(&operator).parse().map_err(|_| Fault("name a door"))?],
                operator,
                state: ReaderState::Enrolled,
                key: [4; 65],
                secret: SecretHash::from_bytes([0; 32]),
                certificate: ReaderCertificate {
                    der: Vec::new(),
                    not_before: instant(0),
                    not_after: instant(0),
                },
                bundle_epoch: 0,
                journal: JournalHead::start(id),
                watermark: None,
                enrolled_at: instant(0),
                version: 1,
            },
            roots: roots.map_err(|_| Fault("read the root"))?,
            held: None,
            certificate: 0,
            list: None,
            believes: Believes::default(),
        })
    }

    /// Fetches bundle, status list and certificate.
    fn sync(&mut self, at: Minute, memory: &mut Memory, tally: &mut Tally) -> Result<(), Fault> {
        let history = self.world.history;
        let day = at / DAY;
        // A list needs no word with the city: it may come by another carrier, before the bundle.
        if self.held.as_ref().is_some_and(|held| at < held.until) {
            if self.believes_list(day, at, memory)? {
                self.list = Some(day);
            } else {
                tally.at(Level::StatusList).wrong_denials += 1;
            }
        }
        let snapshot = history.at(at)?;
        let bytes = self.bundle(snapshot, at)?;
        tally.bundles += 1;
        tally.bundles_sampled += u64::from(self.is_sampled);
        let pin = Pin {
            root: &self.roots,
            reader: self.record.id,
            epoch: self.record.bundle_epoch,
            at: instant(at),
        };
        match VerifiedBundle::verify(self.crypto, &bytes, &pin) {
            // The rule of `reader::engine`: a signer that was followed gives no more orders.
            Ok(next) if self.held.as_ref().is_none_or(|held| follows(&next, &held.bundle)) => {
                self.install(next, history.index_at(at), at, memory)?;
            }
            Ok(_) => tally.at(Level::Bundle).wrong_denials += 1,
            Err(rejection) => tally.at(level_of_bundle(&rejection)).wrong_denials += 1,
        }
        if self.believes_list(day, at, memory)? {
            self.list = Some(day);
        }
        if at < self.world.scenario.rotation_at() || self.certificate < at / HOUR {
            self.certificate = at / HOUR;
        }
        Ok(())
    }

    /// The next bundle for this reader, as the city makes it.
    fn bundle(&mut self, snapshot: &Snapshot, at: Minute) -> Result<Vec<u8>, Fault> {
        let World { scenario, tree, products, grants, .. } = self.world;
        let operator = self.record.operator.clone();
        let resource = Resource::reader(operator.clone(), self.record.id);
        let actor = Actor::reader(operator, self.record.id);
        let permit = authorize(&actor, Action::BundleFetch, resource);
        let permit = permit.map_err(|_| Fault("permit a bundle"))?;
        let policy = ClassPolicy {
            status_age_max: core::time::Duration::from_secs(7 * 86_400),
            stale: Stale::Accept,
        };
        let products: Vec<Product> =
            products.iter().filter(|it| it.operator == self.record.operator).cloned().collect();
        let city = City {
            deliveries: &[],
            name: &"Utopia".parse().map_err(|_| Fault("name the city"))?,
            tree,
            products: &products,
            grants: grants.get(self.own).ok_or(Fault("find grants"))?,
            roots: &snapshot.roots,
            issuers: &snapshot.issuers,
            document_signers: &[],
            status_signers: &snapshot.status_signers,
            freshness: Freshness { low: policy, normal: policy, high: policy },
            unlock_ms: 5_000,
            taps: reader::taps::Taps::default(),
            life: core::time::Duration::from_secs(86_400) * scenario.bundle_life_days,
            signer: &snapshot.bundle_signer.der,
        };
        let made = make_bundle(&permit, &self.record, &city, instant(at));
        let Numbered { change, bundle } = made.map_err(|_| Fault("make a bundle"))?;
        if let Change::UpdateReader(next) = change {
            self.record = next;
        }
        if self.is_sampled {
            snapshot.bundle_signer.sign(bundle)
        } else {
            marked(&snapshot.bundle_signer, bundle)
        }
    }

    fn install(
        &mut self,
        bundle: VerifiedBundle,
        snapshot: usize,
        at: Minute,
        memory: &mut Memory,
    ) -> Result<(), Fault> {
        let until = at + self.world.scenario.bundle_life_days * DAY;
        self.forget(at, memory)?;
        self.roots = bundle.roots().clone();
        self.held = Some(Held { bundle, snapshot, until });
        // A list whose signer the new bundle does not name is lost.
        if let Some(day) = self.list
            && !self.believes_list(day, at, memory)?
        {
            self.list = None;
        }
        if at >= self.world.scenario.rotation_at() {
            self.learn(at);
        }
        Ok(())
    }

    /// Closes the time for which the bundle before this moment was believed.
    fn forget(&mut self, at: Minute, memory: &mut Memory) -> Result<(), Fault> {
        let old = &self.world.history.old;
        let Some(held) = &self.held else { return Ok(()) };
        let until = at.min(held.until);
        let issuers = &held.bundle.bundle().issuers;
        if issuers.iter().any(|issuer| old.holds(&issuer.certificate)) {
            self.believes.issuing = self.believes.issuing.max(until);
        }
        if held.bundle.bundle().status_signers.iter().any(|signer| old.holds(signer)) {
            self.believes.status = self.believes.status.max(until);
        }
        for (number, (signer, end)) in old.document_signers.iter().enumerate() {
            let until = until.min(*end);
            if until <= self.believes.signer {
                continue;
            }
            let key = (held.snapshot, self.own, number, until == *end);
            let is_believed = memory.signers.to(key, || {
                let anchors = held.bundle.issuers();
                Ok(judge(self.crypto, anchors, Profile::DocumentSigner, signer, until).is_ok())
            })?;
            if is_believed {
                self.believes.signer = until;
            }
        }
        Ok(())
    }

    /// Notes which old keys that count beyond a bundle's life are believed no more.
    fn learn(&mut self, at: Minute) {
        let old = &self.world.history.old;
        let Some(held) = &self.held else { return };
        if self.believes.root.is_none() && !self.roots.certificates().any(|der| old.holds(der)) {
            self.believes.root = Some(at);
        }
        let rotated = instant(self.world.scenario.rotation_at());
        if self.believes.bundle.is_none() && held.bundle.signer_since() >= rotated {
            self.believes.bundle = Some(at);
        }
    }

    fn believes_list(&self, day: Minute, at: Minute, memory: &mut Memory) -> Result<bool, Fault> {
        let (Some(held), Some(token)) = (&self.held, self.world.papers.lists.get(day as usize))
        else {
            return Ok(false);
        };
        let at = at.min(day * DAY + 7 * DAY - 1);
        memory.lists.to((held.snapshot, day, at / DAY), || {
            let anchors = held.bundle.status_signers();
            let expectation =
                status::Expectation { anchors, at: instant(at), uri: Some(STATUS_URI) };
            Ok(VerifiedStatusList::verify_cwt(self.crypto, token, &expectation).is_ok())
        })
    }

    /// A phone with a good document at a door that it may pass: every refusal but one is wrong.
    fn tap(
        &self,
        at: Minute,
        random: &mut Stream,
        memory: &mut Memory,
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        let World { scenario, history, .. } = self.world;
        let (foreign, age, wallet) = (random.below(5) == 0, random.next(), random.next());
        let operators = history.operators.len().max(1);
        let operator = (self.own + usize::from(foreign)) % operators;
        let day = (at / DAY).saturating_sub(
            Minute::try_from(age % u64::from(scenario.document_life_days)).unwrap_or(0),
        );
        tally.taps += 1;
        let Some(held) = self.held.as_ref().filter(|held| at < held.until) else {
            tally.refused_expired += 1;
            return Ok(());
        };
        // The phone proves the reader first.
        let refused = self.refused_reader(wallet % u64::from(scenario.wallets), at, memory)?;
        if let Some(level) = refused {
            tally.at(level).wrong_denials += 1;
            return Ok(());
        }
        if self.list.is_none() {
            tally.at(Level::StatusList).wrong_denials += 1;
            return Ok(());
        }
        let key = (held.snapshot, self.own, operator, day, at / DAY);
        let verdict = memory.documents.to(key, || self.verdict(held, operator, day, at))?;
        if let Some(level) = verdict {
            tally.at(level).wrong_denials += 1;
        }
        Ok(())
    }

    /// The level to which a phone's refusal of this reader is due, if it refuses.
    fn refused_reader(
        &self,
        wallet: u64,
        at: Minute,
        memory: &mut Memory,
    ) -> Result<Option<Level>, Fault> {
        let World { scenario, history, papers, seed, .. } = self.world;
        let paper = papers.certificates.get(self.certificate as usize);
        let paper = paper.ok_or(Fault("find a certificate"))?;
        // From when the phone last fetched the city's trust.
        let moment = history.index_at(last_fetch(scenario, *seed, "wallet", wallet, at));
        let known = history.snapshots.get(moment).ok_or(Fault("find the city's state"))?;
        let judge = || {
            let judged =
                judge(self.crypto, &known.reader_authorities, Profile::Reader, &paper.der, at);
            Ok(judged.err().map(|rejection| match rejection.culprit {
                Culprit::Time => Level::ReaderCertificate,
                _ => Level::ReaderAuthority,
            }))
        };
        if paper.until <= at {
            return judge();
        }
        memory.certificates.to((moment, self.certificate), judge)
    }

    /// The level to which the refusal of a document is due, if it is refused.
    fn verdict(
        &self,
        held: &Held,
        operator: usize,
        day: Minute,
        at: Minute,
    ) -> Result<Option<Level>, Fault> {
        let World { history, papers, .. } = self.world;
        let code = history.operators.get(operator).ok_or(Fault("find an operator"))?;
        let document = papers.documents.get(operator).and_then(|days| days.get(day as usize));
        let document = document.ok_or(Fault("find a document"))?;
        let Some(anchors) = held.bundle.issuers_of(code) else {
            return Ok(Some(Level::IssuingAuthority));
        };
        let expectation = mdoc::Expectation {
            crypto: self.crypto,
            anchors,
            at: instant(at),
            doc_type: Some(DOC_TYPE),
            session: None,
        };
        let verified = match verify_issuer_signed(&document.bytes, &expectation, None) {
            Ok(verified) => verified,
            Err(rejection) if rejection.culprit == Culprit::Trust => {
                return Ok(Some(Level::IssuingAuthority));
            }
            Err(_) => return Ok(Some(Level::DocumentSigner)),
        };
        let rights = Rights::from_document(&verified).map_err(|_| Fault("read rights"))?;
        let door = self.record.doors.first().and_then(|door| held.bundle.bundle().table.door(door));
        let claim = Claim {
            operator: &rights.operator,
            product: &rights.product,
            class: None,
            zones: &rights.zones,
            places: &rights.places,
        };
        let opens = door.is_some_and(|door| door.judge(&claim).is_ok());
        if opens { Ok(None) } else { Err(Fault("open the door to a pass that names it")) }
    }

    fn close(mut self, memory: &mut Memory, tally: &mut Tally) -> Result<(), Fault> {
        let end = self.world.scenario.end();
        self.forget(end, memory)?;
        let began = self.world.scenario.rotation_at();
        let mut note = |level, until: Minute| {
            tally.at(level).note(Some((until < end).then_some(until.max(began))));
        };
        note(Level::Root, self.believes.root.unwrap_or(end));
        note(Level::Bundle, self.believes.bundle.unwrap_or(end));
        note(Level::IssuingAuthority, self.believes.issuing);
        note(Level::DocumentSigner, self.believes.signer);
        note(Level::StatusList, self.believes.status);
        Ok(())
    }
}

fn follows(next: &VerifiedBundle, held: &VerifiedBundle) -> bool {
    next.signer_since() >= held.signer_since()
}

fn level_of_bundle(rejection: &Rejection) -> Level {
    match rejection.code {
        "untrusted-signer" | "bundle-roots" => Level::Root,
        _ => Level::Bundle,
    }
}

fn judge(
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    profile: Profile,
    leaf: &[u8],
    at: Minute,
) -> Result<(), Rejection> {
    Judgement { crypto, anchors, at: instant(at), profile }.signer(&[leaf], None).map(drop)
}
