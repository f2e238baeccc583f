//! Ceremonies: creating a city, certifying an operator, making a token at the machine.
//!
//! The root key has a custodian of its own, who is asked here and nowhere else. Below it stand
//! an issuing authority per operator (IACA, ISO/IEC 18013-5 B.1.2), one reader authority, and the
//! signers of status lists and bundles. Run these while no server runs on the same folder: a
//! server does not see keys that another process adds.

use std::time::Duration;

use credential::x509::build;
use identity::operator::{NewOperator, register_operator};
use identity::token::{NewToken, TokenEntropy, create_token};
use keys::custody::{Custody, Key, NewKey, State};
use keys::purpose::Purpose;
use keys::unlock::Unlock;
use policy::action::Action;
use policy::actor::{Actor, Resource, Subject};
use policy::authorize::authorize;
use policy::role::{Role, Roles};
use reader::bundle::CITY_BYTES_MAX;
use reader::roots::Root;
use store::commit::{Change, Commit};
use store::store::Store;
use vocabulary::code::OperatorCode;
use vocabulary::text::Line;
use vocabulary::time::Instant;

use super::certificate::{Wanted, certificate};
use super::clock;
use super::facts::{Facts, city};
use super::files::make_folder_of;
use crate::config::Config;
use crate::lock::FolderLock;
use crate::record::{Deed, Recorder};
use crate::server::open_store;
use crate::sign::sign;
use crate::start::StartError;
use crate::suites::Suites;
use crate::world::entropy;

/// How long the root of a city holds.
pub const ROOT_LIFE: Duration = Duration::from_secs(20 * 365 * 86_400);
/// How long an authority holds.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(9 * 365 * 86_400);
/// How long a signer of bundles or status lists holds.
pub const SIGNER_LIFE: Duration = Duration::from_secs(3 * 365 * 86_400);
/// How long a first token holds.
pub const FIRST_TOKEN_LIFE: Duration = Duration::from_secs(365 * 86_400);

/// Who holds the keys of a city while it is created.
#[derive(Clone, Copy)]
pub struct Custodians<'c> {
    /// Of the root, and of nothing else. It may hold one already, from a ceremony; otherwise one is
    /// made.
    pub root: &'c dyn Custody,
    /// Of all other keys. It must hold none yet.
    pub city: &'c dyn Custody,
}

impl<'c> Custodians<'c> {
    /// No root is at hand: what needs one is refused, since who holds the other keys never holds it.
    #[must_use]
    pub const fn without_root(city: &'c dyn Custody) -> Self {
        Self { root: city, city }
    }
}

/// A city to be created.
#[derive(Clone, Debug)]
pub struct Founding {
    /// Its name for people.
    pub name: Line<CITY_BYTES_MAX>,
    /// Two capital letters (ISO 3166-1).
    pub country: String,
    /// Its first operators; the city's own, `city`, comes by itself.
    pub operators: Vec<NewOperator>,
}

/// The first token of an operator, shown this once.
#[derive(Clone)]
pub struct FirstToken {
    /// Whose it is.
    pub operator: OperatorCode,
    /// What stands after `Authorization: Bearer`.
    pub secret: String,
}

/// Creates a city where `config` says that its data lies: keys, certificates, database, operators.
/// Returns one token per operator: `registrar` and `owner` for `city`, `owner` for others.
///
/// # Errors
/// [`CeremonyError`]; files that were made until then stay, and must be removed before the next try.
/// Keys that were made are destroyed again, or named by [`CeremonyError::KeysLeft`].
pub async fn create_city(
    config: &Config,
    custodians: Custodians<'_>,
    founding: &Founding,
    now: Instant,
) -> Result<Vec<FirstToken>, CeremonyError> {
    config.check().map_err(StartError::Config)?;
    // Refuses a URL that no issuer can have, before anything is made.
    issuance::issuer::Issuer::new(city(), String::new(), &config.http.public_url)
        .map_err(StartError::PublicUrl)?;
    if !custodians.city.keys().is_empty() {
        return Err(CeremonyError::Exists);
    }
    let before = custodians.root.keys();
    let made = make_city(config, custodians, founding, now).await;
    let Err(error) = made else { return made };
    let mut left = destroy_made(custodians.city, &[], now).await;
    left.extend(destroy_made(custodians.root, &before, now).await);
    let source = Box::new(error);
    Err(if left.is_empty() { *source } else { CeremonyError::KeysLeft { keys: left, source } })
}

/// Destroys the keys of `custody` that are not among those of `before`; gives those that stay.
async fn destroy_made(custody: &dyn Custody, before: &[Key], at: Instant) -> Vec<Key> {
    let is_new = |key: &&Key| !before.iter().any(|it| it.handle == key.handle);
    let mut left = Vec::new();
    for key in custody.keys().iter().filter(is_new) {
        // A key that signs is not destroyed.
        let retired = custody.set_state(&key.handle, State::Retired, at).await;
        if retired.is_err() || custody.destroy(&key.handle).await.is_err() {
            left.push(key.clone());
        }
    }
    left
}

async fn make_city(
    config: &Config,
    custodians: Custodians<'_>,
    founding: &Founding,
    now: Instant,
) -> Result<Vec<FirstToken>, CeremonyError> {
    let Custodians { root, city: keeper } = custodians;
    let (suites, public_url) = (&config.keys.suites, config.http.public_url.as_str());
    let authority = Authority { custody: root, public_url, country: &founding.country };
    let root_key = match root.newest(Purpose::CityRoot, None) {
        Some(key) if key.certificate.is_some() => key,
        _ => authority.make_root(suites, &founding.name, now).await?,
    };
    for (purpose, name, profile, life) in [
        (Purpose::ReaderAuthority, "readers", build::Purpose::Authority, AUTHORITY_LIFE),
        (Purpose::StatusList, "status lists", build::Purpose::Leaf, SIGNER_LIFE),
        (Purpose::Bundle, "bundles", build::Purpose::BundleSigner, SIGNER_LIFE),
    ] {
        let key = generate(keeper, suites, purpose, None, now).await?;
        let name = format!("{} {name}", founding.name);
        let subject = Subordinate { name: &name, organization: None, profile, life };
        authority.certify(keeper, &root_key, &key, &subject, now).await?;
    }
    generate(keeper, suites, Purpose::Checkpoint, None, now).await?;
    let pseudonyms = Recorder::path(&config.keys);
    make_folder_of(&pseudonyms)?;
    Unlock::create_key_file(&pseudonyms).map_err(StartError::Unlock)?;

    let root = root_key.certificate.as_deref().unwrap_or_default().to_vec();
    let facts = Facts {
        name: founding.name.clone(),
        country: founding.country.clone(),
        log_origin: log_origin(public_url),
        root: root.clone(),
        roots: vec![Root { certificate: root, link: None }],
    };
    let registry = Registry::open(config)?;
    let own = NewOperator { code: city(), name: founding.name.as_str().parse()? };
    let facts = vec![Change::Setting(facts.setting(1)), Change::Setting(clock::note(now, 1))];
    registry.register(own, facts, now).await?;
    let roles = Roles::only(Role::Registrar).with(Role::Owner);
    let mut tokens = vec![registry.token(&city(), roles, "founding", FIRST_TOKEN_LIFE, now).await?];
    for operator in &founding.operators {
        let done = admit(&registry, keeper, &authority, suites, &root_key, operator.clone(), now);
        tokens.push(done.await?);
    }
    Ok(tokens)
}

/// Certifies an operator's issuing authority with the root and makes its first token. The operator
/// is registered, unless it has been over the network already.
///
/// # Errors
/// [`CeremonyError`].
pub async fn add_operator(
    config: &Config,
    custodians: Custodians<'_>,
    operator: NewOperator,
    now: Instant,
) -> Result<FirstToken, CeremonyError> {
    let Custodians { root, city: keeper } = custodians;
    let registry = Registry::open(config)?;
    let _lock = FolderLock::take(&config.store.data)?;
    let facts = Facts::load(&registry.store).await?;
    let root_key = present_root(root, &facts)?;
    let public_url = config.http.public_url.as_str();
    let authority = Authority { custody: root, public_url, country: &facts.country };
    admit(&registry, keeper, &authority, &config.keys.suites, &root_key, operator, now).await
}

/// Makes a token of `operator` at the machine that holds the data. A running server takes it at once.
///
/// # Errors
/// [`CeremonyError`].
pub async fn make_token(
    config: &Config,
    operator: &OperatorCode,
    roles: Roles,
    label: &str,
    life: Duration,
    now: Instant,
) -> Result<FirstToken, CeremonyError> {
    Registry::open(config)?.token(operator, roles, label, life, now).await
}

/// The key of the root under which the city certifies now: a successor waits for its time.
pub(super) fn present_root(root: &dyn Custody, facts: &Facts) -> Result<Key, CeremonyError> {
    let keys = root.keys();
    let mut found = keys.iter().filter(|key| key.certificate.as_deref() == Some(&*facts.root));
    found.next().cloned().ok_or(CeremonyError::NoRoot)
}

async fn admit(
    registry: &Registry,
    keeper: &dyn Custody,
    authority: &Authority<'_>,
    suites: &Suites,
    root_key: &Key,
    operator: NewOperator,
    now: Instant,
) -> Result<FirstToken, CeremonyError> {
    let NewOperator { code, name } = operator.clone();
    if registry.store.city().operator(&code).await.map_err(StartError::Read)?.is_none() {
        registry.register(operator, Vec::new(), now).await?;
    }
    let key = generate(keeper, suites, Purpose::IssuingAuthority, Some(code.clone()), now).await?;
    let subject = Subordinate {
        name: name.as_str(),
        organization: Some(code.as_str()),
        profile: build::Purpose::Authority,
        life: AUTHORITY_LIFE,
    };
    authority.certify(keeper, root_key, &key, &subject, now).await?;
    let roles = Roles::only(Role::Owner);
    registry.token(&code, roles, "first", FIRST_TOKEN_LIFE, now).await
}

/// The root at work.
pub(super) struct Authority<'a> {
    pub(super) custody: &'a dyn Custody,
    pub(super) public_url: &'a str,
    pub(super) country: &'a str,
}

pub(super) struct Subordinate<'s> {
    pub(super) name: &'s str,
    pub(super) organization: Option<&'s str>,
    pub(super) profile: build::Purpose,
    pub(super) life: Duration,
}

impl Authority<'_> {
    async fn make_root(
        &self,
        suites: &Suites,
        name: &Line<CITY_BYTES_MAX>,
        now: Instant,
    ) -> Result<Key, CeremonyError> {
        let key = generate(self.custody, suites, Purpose::CityRoot, None, now).await?;
        let name = format!("{name} root");
        let subject = Subordinate {
            name: &name,
            organization: None,
            profile: build::Purpose::Root,
            life: ROOT_LIFE,
        };
        self.certify(self.custody, &key, &key, &subject, now).await
    }

    /// Certifies `key`, which `keeper` holds, with the key `root`.
    pub(super) async fn certify(
        &self,
        keeper: &dyn Custody,
        root: &Key,
        key: &Key,
        subject: &Subordinate<'_>,
        now: Instant,
    ) -> Result<Key, CeremonyError> {
        let wanted = Wanted {
            purpose: subject.profile,
            common_name: subject.name,
            organization: subject.organization,
            country: self.country,
            public_url: self.public_url,
            key: &key.public_key,
            life: subject.life,
        };
        let unsigned = certificate(&wanted, root.certificate.as_deref(), now);
        let unsigned = unsigned.map_err(CeremonyError::fault)?;
        let signed = sign(self.custody, root, unsigned).await.map_err(CeremonyError::fault)?;
        let kept = keeper.attach_certificate(&key.handle, signed.as_bytes()).await;
        kept.map_err(CeremonyError::fault)
    }
}

async fn generate(
    keeper: &dyn Custody,
    suites: &Suites,
    purpose: Purpose,
    operator: Option<OperatorCode>,
    at: Instant,
) -> Result<Key, CeremonyError> {
    let usual = NewKey::active(purpose, operator, at);
    let request = NewKey { suite: suites.of(purpose), ..usual };
    keeper.generate(request).await.map_err(CeremonyError::fault)
}

/// The database and the record, for who sits at the machine.
pub(super) struct Registry {
    pub(super) store: Store,
    pub(super) recorder: Recorder,
}

impl Registry {
    pub(super) fn open(config: &Config) -> Result<Self, CeremonyError> {
        let store = open_store(&config.store.data)?;
        let recorder = Recorder::open(&Recorder::path(&config.keys));
        Ok(Self { store, recorder: recorder.map_err(StartError::Io)? })
    }

    async fn register(
        &self,
        operator: NewOperator,
        mut changes: Vec<Change>,
        now: Instant,
    ) -> Result<(), CeremonyError> {
        let resource = Resource::of(city());
        let permit = authorize(&Actor::host(city()), Action::OperatorRegister, resource);
        let permit = permit.map_err(CeremonyError::fault)?;
        let existing = self.store.city().operator(&operator.code).await;
        let existing = existing.map_err(StartError::Read)?;
        let object = operator.code.to_string();
        let change = register_operator(&permit, existing.as_ref(), operator, now);
        changes.push(change.map_err(CeremonyError::fault)?.into());
        self.commit(city(), permit.action().as_str(), object, changes, now).await
    }

    async fn token(
        &self,
        operator: &OperatorCode,
        roles: Roles,
        label: &str,
        life: Duration,
        now: Instant,
    ) -> Result<FirstToken, CeremonyError> {
        let known = self.store.city().operator(operator).await.map_err(StartError::Read)?;
        known.ok_or_else(|| CeremonyError::NoOperator(operator.clone()))?;
        let resource = Resource::token_with(operator.clone(), roles);
        let permit = authorize(&Actor::host(operator.clone()), Action::TokenCreate, resource);
        let permit = permit.map_err(CeremonyError::fault)?;
        let in_force = self.store.for_operator(operator).tokens_in_force(now).await;
        let in_force = in_force.map_err(StartError::Read)?;
        let request = NewToken { label: label.parse()?, expires_at: now.saturating_add(life) };
        let entropy = TokenEntropy {
            id: entropy().map_err(CeremonyError::fault)?,
            secret: entropy().map_err(CeremonyError::fault)?,
        };
        let made = create_token(&permit, in_force, request, now, &entropy);
        let (change, token) = made.map_err(CeremonyError::fault)?;
        let (what, object) = (permit.action().as_str(), token.id().to_string());
        self.commit(operator.clone(), what, object, vec![change.into()], now).await?;
        Ok(FirstToken { operator: operator.clone(), secret: token.danger_text() })
    }

    async fn commit(
        &self,
        operator: OperatorCode,
        what: &'static str,
        object: String,
        changes: Vec<Change>,
        at: Instant,
    ) -> Result<(), CeremonyError> {
        self.record(host_deed(operator, what, object, at), changes).await
    }

    /// Writes a deed of whoever sits at the machine.
    pub(super) async fn record(
        &self,
        deed: Deed,
        changes: Vec<Change>,
    ) -> Result<(), CeremonyError> {
        let entry = self.recorder.entry(&deed).map_err(CeremonyError::fault)?;
        let commit = Commit { changes, entry, jobs: Vec::new() };
        let done = self.store.for_operator(&deed.operator).commit(commit).await;
        done.map(drop).map_err(CeremonyError::fault)
    }
}

/// A deed of whoever sits at the machine.
pub(super) const fn host_deed(
    operator: OperatorCode,
    what: &'static str,
    object: String,
    at: Instant,
) -> Deed {
    Deed { operator, subject: Subject::Host, what, object, at, more: None }
}

/// The log is named after where it is found, without the scheme (C2SP tlog-checkpoint).
fn log_origin(public_url: &str) -> String {
    let authority = public_url.split_once("://").map_or(public_url, |(_, rest)| rest);
    format!("{authority}/v1/log")
}

/// Why a ceremony was not held to its end.
#[derive(Debug)]
pub enum CeremonyError {
    /// Files of the city cannot be opened or made.
    Start(StartError),
    /// There are keys of a city already where this one's would be.
    Exists,
    /// The file of the root holds no key.
    NoRoot,
    /// There is no such operator.
    NoOperator(OperatorCode),
    /// A name is not one that can be shown.
    Name(vocabulary::text::ParseTextError),
    /// What was asked for would close doors, or its time has not come; the text says when it has.
    Refused(String),
    /// Something refused or failed on the way.
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// A city was not created, and keys that were made for it could not be destroyed.
    KeysLeft {
        /// Which.
        keys: Vec<Key>,
        /// Why there is no city.
        source: Box<CeremonyError>,
    },
}

impl CeremonyError {
    pub(super) fn fault(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl From<StartError> for CeremonyError {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

impl From<vocabulary::text::ParseTextError> for CeremonyError {
    fn from(error: vocabulary::text::ParseTextError) -> Self {
        Self::Name(error)
    }
}

impl std::fmt::Display for CeremonyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("change the keys of the city: ")?;
        match self {
            Self::Start(_) => f.write_str("a file of the city is not usable"),
            Self::Exists => {
                f.write_str("there are some here already: take another folder or an empty token")
            }
            Self::NoRoot => f.write_str("the file of the root holds no key"),
            Self::NoOperator(code) => write!(f, "there is no operator `{code}`"),
            Self::Name(_) => f.write_str("a name cannot be shown to people"),
            Self::Refused(reason) => f.write_str(reason),
            Self::Failed(_) => f.write_str("a step failed"),
            Self::KeysLeft { keys, .. } => {
                f.write_str("destroy these before the next try, with the vendor's tool: ")?;
                keys.iter()
                    .try_for_each(|key| write!(f, "`{}` on `{}`, ", key.handle, key.held_by))?;
                f.write_str("which were made before it failed")
            }
        }
    }
}

impl std::error::Error for CeremonyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(source) => Some(source),
            Self::Name(source) => Some(source),
            Self::Failed(source) => Some(source.as_ref()),
            Self::KeysLeft { source, .. } => Some(source.as_ref()),
            Self::Exists | Self::NoRoot | Self::NoOperator(_) | Self::Refused(_) => None,
        }
    }
}
