//! The city: its keys, driven by `keys::rotation`, and what it publishes at every moment.

use std::sync::Arc;

use audit::note::VerifierKey;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use core::time::Duration;
use credential::crypto::{Crypto, P256Secret, PublicKey, Signature, Signer as KeySigner};
use credential::rustcrypto::RustCrypto;
use credential::unsigned::Unsigned;
use credential::x509::build::{self, CertificateDer, Request, Signer, Subject};
use credential::x509::{Certificate, TrustAnchors};
use keys::custody::{Key, KeyHandle, State};
use keys::purpose::{Purpose, Suite};
use keys::rotation::lives::{DOCUMENT_SIGNER_LIFE, Lives};
use keys::rotation::{Step, begin, due};
use reader::bundle::Issuer;
use reader::roots::Root;
use vocabulary::code::OperatorCode;

use crate::random::Stream;
use crate::record::Level;
use crate::run::Fault;
use crate::scenario::{HOUR, Minute, Scenario, instant, minute_of};

/// The origin of the city's log.
pub(crate) const LOG: &str = "city.example/v1/log";
/// Rounds in which all that is due at one moment is done.
const ROUNDS_MAX: usize = 16;
const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// What the simulated city rotates: one purpose per level, the operators' for each operator.
const PURPOSES: [(Purpose, Level); 7] = [
    (Purpose::CityRoot, Level::Root),
    (Purpose::IssuingAuthority, Level::IssuingAuthority),
    (Purpose::DocumentSignerMdoc, Level::DocumentSigner),
    (Purpose::ReaderAuthority, Level::ReaderAuthority),
    (Purpose::StatusList, Level::StatusList),
    (Purpose::Bundle, Level::Bundle),
    (Purpose::Checkpoint, Level::Checkpoint),
];

/// A certified key that signs.
#[derive(Clone)]
pub(crate) struct Sealer {
    pub(crate) der: Arc<[u8]>,
    pub(crate) key: PublicKey,
    signer: Arc<dyn KeySigner>,
}

impl Sealer {
    pub(crate) fn sign<T>(&self, unsigned: Unsigned<T>) -> Result<T, Fault> {
        let signature = self.signer.sign(unsigned.to_be_signed()).map_err(|_| Fault("sign"))?;
        Ok(unsigned.complete(&signature))
    }
}

/// What the city is and publishes from one minute on, until the next of these.
pub(crate) struct Snapshot {
    pub(crate) from: Minute,
    pub(crate) roots: Vec<Root>,
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) status_signers: Vec<Vec<u8>>,
    pub(crate) bundle_signer: Sealer,
    pub(crate) status_signer: Sealer,
    pub(crate) reader_authority: Sealer,
    pub(crate) reader_authorities: TrustAnchors,
    /// One for each operator.
    pub(crate) document_signers: Vec<Sealer>,
    pub(crate) log_keys: Vec<VerifierKey>,
    pub(crate) log_signers: Vec<(VerifierKey, Arc<Ed25519KeyPair>)>,
}

/// The keys that signed when the rotation began.
#[derive(Clone, Default)]
pub(crate) struct Old {
    handles: Vec<KeyHandle>,
    pub(crate) certificates: Vec<Arc<[u8]>>,
    /// With the last minute of each.
    pub(crate) document_signers: Vec<(Arc<[u8]>, Minute)>,
    pub(crate) log_keys: Vec<VerifierKey>,
}

impl Old {
    pub(crate) fn holds(&self, der: &[u8]) -> bool {
        self.certificates.iter().any(|old| &**old == der)
    }
}

/// When the steps of a level were taken.
#[derive(Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) first_use: Option<Minute>,
    pub(crate) retired: Option<Minute>,
}

/// The city's whole history.
pub(crate) struct History {
    pub(crate) operators: Vec<OperatorCode>,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) old: Old,
    times: Vec<(Level, Times)>,
}

impl History {
    /// The city of a scenario, from its founding to the end of the simulation.
    pub(crate) fn of(scenario: &Scenario, lives: Lives, seed: u64) -> Result<Self, Fault> {
        let operators = (0..scenario.operators).map(|number| format!("operator-{number}").parse());
        let operators = operators.collect::<Result<Vec<OperatorCode>, _>>();
        let operators = operators.map_err(|_| Fault("name operators"))?;
        let mut city = City::found(operators.clone(), lives, seed)?;
        let times = PURPOSES.map(|(_, level)| (level, Times::default())).to_vec();
        let snapshots = vec![city.snapshot(0)?];
        let mut history = Self { operators, snapshots, old: Old::default(), times };
        let mut at = HOUR;
        while at <= scenario.end() {
            let began = at == scenario.rotation_at();
            if began {
                history.old = city.old();
                city.begin(at)?;
            }
            let taken = city.work(at)?;
            taken.iter().for_each(|(step, key)| history.note(step, key, at, scenario));
            if began || !taken.is_empty() {
                history.snapshots.push(city.snapshot(at)?);
            }
            at += HOUR;
        }
        Ok(history)
    }

    fn note(&mut self, step: &Step, key: &Key, at: Minute, scenario: &Scenario) {
        let level = PURPOSES.iter().find(|(purpose, _)| *purpose == key.purpose).map(|(_, it)| *it);
        let Some((_, times)) = self.times.iter_mut().find(|(known, _)| Some(*known) == level)
        else {
            return;
        };
        let is_first = key.created_at == instant(scenario.rotation_at());
        match step {
            Step::Activate(_) if is_first => times.first_use = Some(at),
            Step::Retire(handle) if self.old.handles.contains(handle) => times.retired = Some(at),
            _ => {}
        }
    }

    pub(crate) fn times(&self, level: Level) -> Times {
        self.times.iter().find(|(known, _)| *known == level).map(|(_, it)| *it).unwrap_or_default()
    }

    /// The number of the snapshot that counts at `at`.
    pub(crate) fn index_at(&self, at: Minute) -> usize {
        self.snapshots.partition_point(|snapshot| snapshot.from <= at).saturating_sub(1)
    }

    pub(crate) fn at(&self, at: Minute) -> Result<&Snapshot, Fault> {
        self.snapshots.get(self.index_at(at)).ok_or(Fault("find the city's state"))
    }
}

enum Secret {
    P256(Arc<dyn KeySigner>),
    Ed25519(Arc<Ed25519KeyPair>),
}

struct Holding {
    key: Key,
    secret: Secret,
    link: Option<Vec<u8>>,
}

struct City {
    holdings: Vec<Holding>,
    operators: Vec<OperatorCode>,
    lives: Lives,
    random: Stream,
    serial: u64,
}

impl City {
    fn found(operators: Vec<OperatorCode>, lives: Lives, seed: u64) -> Result<Self, Fault> {
        let random = Stream::new(seed, "keys", 0);
        let mut city = Self { holdings: Vec::new(), operators, lives, random, serial: 0 };
        for (purpose, level) in PURPOSES {
            let is_operators = matches!(level, Level::IssuingAuthority | Level::DocumentSigner);
            let owners = if is_operators {
                city.operators.iter().cloned().map(Some).collect()
            } else {
                vec![None]
            };
            for operator in owners {
                let handle = city.make(purpose, operator, 0)?;
                if purpose != Purpose::Checkpoint {
                    city.certify(handle, 0)?;
                }
                city.set_state(handle, State::Active, 0);
            }
        }
        Ok(city)
    }

    /// Makes the successor of every key that signs.
    fn begin(&mut self, at: Minute) -> Result<(), Fault> {
        let keys = self.keys();
        for (purpose, _) in PURPOSES {
            let owners = self.operators.clone().into_iter().map(Some).chain([None]);
            for operator in owners.collect::<Vec<_>>() {
                if let Some(Step::Make { purpose, operator, .. }) =
                    begin(&keys, purpose, operator.as_ref())
                {
                    self.make(purpose, operator, at)?;
                }
            }
        }
        Ok(())
    }

    /// Takes every step that is due; what was taken, with the key as it was then.
    fn work(&mut self, at: Minute) -> Result<Vec<(Step, Key)>, Fault> {
        let mut taken = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let steps = due(&self.keys(), &self.lives, instant(at));
            if steps.is_empty() {
                return Ok(taken);
            }
            for step in steps {
                let handle = match &step {
                    Step::Make { purpose, operator, .. } => {
                        self.make(*purpose, operator.clone(), at)?
                    }
                    Step::Certify(handle)
                    | Step::Activate(handle)
                    | Step::Retire(handle)
                    | Step::Destroy(handle) => *handle,
                };
                let key = self.find(handle)?.key.clone();
                match &step {
                    Step::Make { .. } => {}
                    Step::Certify(_) => self.certify(handle, at)?,
                    Step::Activate(_) => self.set_state(handle, State::Active, at),
                    Step::Retire(_) => self.set_state(handle, State::Retired, at),
                    Step::Destroy(_) => self.holdings.retain(|held| held.key.handle != handle),
                }
                taken.push((step, key));
            }
        }
        Err(Fault("finish what is due"))
    }

    fn keys(&self) -> Vec<Key> {
        self.holdings.iter().map(|held| held.key.clone()).collect()
    }

    fn find(&self, handle: KeyHandle) -> Result<&Holding, Fault> {
        let found = self.holdings.iter().find(|held| held.key.handle == handle);
        found.ok_or(Fault("find a key"))
    }

    fn set_state(&mut self, handle: KeyHandle, state: State, at: Minute) {
        if let Some(held) = self.holdings.iter_mut().find(|held| held.key.handle == handle) {
            (held.key.state, held.key.state_since) = (state, instant(at));
        }
    }

    fn make(
        &mut self,
        purpose: Purpose,
        operator: Option<OperatorCode>,
        at: Minute,
    ) -> Result<KeyHandle, Fault> {
        let seed = self.random.block();
        let (secret, public_key) = if purpose.suite() == Suite::Ed25519 {
            let pair =
                Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| Fault("make a key"))?;
            let public = pair.public_key().as_ref().try_into().map_err(|_| Fault("make a key"))?;
            (Secret::Ed25519(Arc::new(pair)), PublicKey::Ed25519(public))
        } else {
            let secret = P256Secret::from_bytes(seed);
            let public = RustCrypto.p256_public(&secret).map_err(|_| Fault("make a key"))?;
            let signer = RustCrypto.p256_signer(&secret).map_err(|_| Fault("make a key"))?;
            (Secret::P256(Arc::from(signer)), PublicKey::P256(public))
        };
        let handle = KeyHandle::of(public_key.as_bytes());
        let key = Key {
            handle,
            purpose,
            suite: purpose.suite(),
            operator,
            created_at: instant(at),
            public_key,
            certificate: None,
            state: State::Published,
            state_since: instant(at),
            held_by: Arc::from("simulation"),
        };
        self.holdings.push(Holding { key, secret, link: None });
        Ok(handle)
    }

    /// The newest active key of a purpose, to sign with.
    fn sealer(&self, purpose: Purpose, operator: Option<&OperatorCode>) -> Result<Sealer, Fault> {
        let mut found = self.holdings.iter().rev().filter(|held| {
            held.key.purpose == purpose
                && held.key.operator.as_ref() == operator
                && held.key.state == State::Active
        });
        sealer_of(found.next().ok_or(Fault("find a key that signs"))?)
    }

    fn certify(&mut self, handle: KeyHandle, at: Minute) -> Result<(), Fault> {
        let key = self.find(handle)?.key.clone();
        let own = match &self.find(handle)?.secret {
            Secret::P256(signer) => Arc::clone(signer),
            Secret::Ed25519(_) => return Err(Fault("certify a log key")),
        };
        let (profile, life) = match key.purpose {
            Purpose::CityRoot => (build::Purpose::Root, YEAR * 20),
            Purpose::IssuingAuthority | Purpose::ReaderAuthority => {
                (build::Purpose::Authority, YEAR * 9)
            }
            Purpose::DocumentSignerMdoc => (build::Purpose::DocumentSigner, DOCUMENT_SIGNER_LIFE),
            Purpose::Bundle => (build::Purpose::BundleSigner, YEAR * 3),
            _ => (build::Purpose::Leaf, YEAR * 3),
        };
        let name = match (&key.operator, key.purpose) {
            (None, Purpose::CityRoot) => "Utopia root".to_owned(),
            (operator, purpose) => {
                format!("{} {purpose}", operator.as_ref().map_or("Utopia", OperatorCode::as_str))
            }
        };
        let wanted = Wanted { profile, name: &name, key: &key.public_key, at, life };
        let root = self.sealer(Purpose::CityRoot, None).ok();
        let (der, link) = match (key.purpose, root) {
            (Purpose::CityRoot, root) => {
                let itself = certificate(&wanted, None, self.next_serial())?;
                let signature = own.sign(itself.to_be_signed()).map_err(|_| Fault("sign"))?;
                let link = match root {
                    Some(root) => Some(self.issue(&wanted, &root)?.into_bytes()),
                    None => None,
                };
                (itself.complete(&signature), link)
            }
            (Purpose::DocumentSignerMdoc, _) => {
                let authority = self.sealer(Purpose::IssuingAuthority, key.operator.as_ref())?;
                (self.issue(&wanted, &authority)?, None)
            }
            (_, root) => (self.issue(&wanted, &root.ok_or(Fault("find the root"))?)?, None),
        };
        if let Some(held) = self.holdings.iter_mut().find(|held| held.key.handle == handle) {
            held.key.certificate = Some(Arc::from(der.into_bytes()));
            held.link = link;
        }
        Ok(())
    }

    fn issue(&mut self, wanted: &Wanted<'_>, by: &Sealer) -> Result<CertificateDer, Fault> {
        by.sign(certificate(wanted, Some(&by.der), self.next_serial())?)
    }

    fn next_serial(&mut self) -> [u8; 16] {
        self.serial += 1;
        u128::from(self.serial).to_be_bytes()
    }

    fn of(&self, purpose: Purpose) -> impl Iterator<Item = &Holding> {
        self.holdings.iter().filter(move |held| held.key.purpose == purpose)
    }

    fn old(&self) -> Old {
        let active = || self.holdings.iter().filter(|held| held.key.state == State::Active);
        let signers = active().filter(|held| held.key.purpose == Purpose::DocumentSignerMdoc);
        Old {
            handles: active().map(|held| held.key.handle).collect(),
            certificates: active().filter_map(|held| held.key.certificate.clone()).collect(),
            document_signers: signers
                .filter_map(|held| {
                    let der = held.key.certificate.clone()?;
                    let end = minute_of(Certificate::parse(&der).ok()?.not_after);
                    Some((der, end))
                })
                .collect(),
            log_keys: self.of(Purpose::Checkpoint).filter_map(log_key).collect(),
        }
    }

    fn snapshot(&self, from: Minute) -> Result<Snapshot, Fault> {
        let ders = |purpose| {
            self.of(purpose).filter_map(|held| held.key.certificate.as_deref().map(<[u8]>::to_vec))
        };
        let roots = self.of(Purpose::CityRoot).filter(|held| held.key.state != State::Retired);
        let roots = roots.filter_map(|held| {
            let certificate = held.key.certificate.as_deref()?.to_vec();
            Some(Root { certificate, link: held.link.clone() })
        });
        let issuers = self.of(Purpose::IssuingAuthority).filter_map(|held| {
            let certificate = held.key.certificate.as_deref()?.to_vec();
            Some(Issuer { operator: held.key.operator.clone()?, certificate })
        });
        let authorities: Vec<Vec<u8>> = ders(Purpose::ReaderAuthority).collect();
        let reader_authorities = TrustAnchors::from_ders(authorities.iter().map(Vec::as_slice));
        let signers = self
            .operators
            .iter()
            .map(|operator| self.sealer(Purpose::DocumentSignerMdoc, Some(operator)));
        let log = || self.of(Purpose::Checkpoint);
        let signing = log().filter(|held| held.key.state == State::Active);
        Ok(Snapshot {
            from,
            roots: roots.collect(),
            issuers: issuers.collect(),
            status_signers: ders(Purpose::StatusList).collect(),
            bundle_signer: self.sealer(Purpose::Bundle, None)?,
            status_signer: self.sealer(Purpose::StatusList, None)?,
            reader_authority: self.sealer(Purpose::ReaderAuthority, None)?,
            reader_authorities: reader_authorities.map_err(|_| Fault("read an authority"))?,
            document_signers: signers.collect::<Result<_, _>>()?,
            // A retired key is believed no more by whoever asks.
            log_keys: log()
                .filter(|held| held.key.state != State::Retired)
                .filter_map(log_key)
                .collect(),
            log_signers: signing
                .filter_map(|held| match &held.secret {
                    Secret::Ed25519(pair) => Some((log_key(held)?, Arc::clone(pair))),
                    Secret::P256(_) => None,
                })
                .collect(),
        })
    }
}

fn sealer_of(held: &Holding) -> Result<Sealer, Fault> {
    let der = held.key.certificate.clone().ok_or(Fault("find a certificate"))?;
    match &held.secret {
        Secret::P256(signer) => {
            Ok(Sealer { der, key: held.key.public_key.clone(), signer: Arc::clone(signer) })
        }
        Secret::Ed25519(_) => Err(Fault("sign with a log key")),
    }
}

fn log_key(held: &Holding) -> Option<VerifierKey> {
    match &held.key.public_key {
        PublicKey::Ed25519(key) => VerifierKey::new(LOG, key).ok(),
        _ => None,
    }
}

/// What is to be certified.
pub(crate) struct Wanted<'w> {
    pub(crate) profile: build::Purpose,
    pub(crate) name: &'w str,
    pub(crate) key: &'w PublicKey,
    pub(crate) at: Minute,
    pub(crate) life: Duration,
}

/// A certificate that waits for the holder of `authority`, or for its own subject.
pub(crate) fn certificate(
    wanted: &Wanted<'_>,
    authority: Option<&[u8]>,
    serial_entropy: [u8; 16],
) -> Result<Unsigned<CertificateDer>, Fault> {
    let authority = authority.map(Certificate::parse).transpose();
    let authority = authority.map_err(|_| Fault("read a certificate"))?;
    let not_before = instant(wanted.at);
    let not_after = not_before.saturating_add(wanted.life);
    let not_after = authority.as_ref().map_or(not_after, |above| not_after.min(above.not_after));
    let request = Request {
        purpose: wanted.profile,
        subject: Subject { common_name: wanted.name, organization: None, country: "UT" },
        key: wanted.key,
        not_before,
        not_after,
        serial_entropy,
        issuer_uri: "https://city.example",
        crl_uri: "https://city.example/crl",
    };
    let signer = authority.as_ref().map_or(Signer::Subject, Signer::Authority);
    build::certificate(&request, signer).map_err(|_| Fault("make a certificate"))
}

/// A signature that stands for one by the key of `sealer`.
pub(crate) fn marked<T>(sealer: &Sealer, unsigned: Unsigned<T>) -> Result<T, Fault> {
    let mark = crate::crypto::mark(&sealer.key, unsigned.to_be_signed());
    let signature = Signature::new(sealer.key.algorithm(), &mark).map_err(|_| Fault("mark"))?;
    Ok(unsigned.complete(&signature))
}
