//! The server at work: everything that handlers and jobs share, opened once from a configuration.
//!
//! Nothing here is a global: two servers can run in one process. The root of the city is never
//! among what is opened.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use credential::aws_lc::AwsLc;
use issuance::issuer::Issuer;
use issuance::nonce::NonceKey;
use keys::custody::Custody;
use keys::remote::Remote;
use keys::unlock::Unlock;
use keys::vault::remote::RemoteVault;
use policy::actor::Subject;
use store::commit::{Change, Commit, CommitError, Committed};
use store::engine::EngineError;
use store::job::NewJob;
use store::log::Folder;
use store::sqlite::{Options, Sqlite};
use store::store::Store;
use tokio::sync::Notify;
use vocabulary::code::OperatorCode;
use vocabulary::id::JobId;
use vocabulary::time::Instant;

use crate::caller::{Rates, Tokens};
use crate::city::facts::Facts;
use crate::city::files::{Keeper, open_keeper};
use crate::config::{Config, Limits};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::record::{Deed, Recorder};
use crate::start::StartError;
use crate::suites::Suites;
use crate::work::findings::Findings;
use crate::work::uses::Progress;
use crate::world::{NoEntropy, entropy};

/// The folder of the audit log, inside the data folder.
pub const LOG_FOLDER: &str = "log";

/// A server; cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

/// What a server consists of. Nothing of it is seen outside.
pub struct Inner {
    pub(crate) store: Store,
    pub(crate) custody: Arc<dyn Custody>,
    /// The keys of readers and cards; none where nobody holds any.
    pub(crate) vault: Option<Arc<RemoteVault>>,
    /// The custodian, where it is the key service.
    pub(crate) key_service: Option<Arc<Remote>>,
    pub(crate) crypto: AwsLc,
    /// As it was found at the start: name, country and log never change, its roots do
    /// ([`Server::facts`]).
    pub(crate) city: Facts,
    pub(crate) public_url: String,
    pub(crate) limits: Limits,
    pub(crate) suites: Suites,
    pub(crate) log: Folder,
    pub(crate) metrics: Metrics,
    pub(crate) nonce_key: NonceKey,
    pub(crate) rates: Rates,
    pub(crate) recorder: Recorder,
    pub(crate) tokens: Tokens,
    /// What background work has found.
    pub(crate) findings: Findings,
    /// How far the journal of the key service was read.
    pub(crate) uses: tokio::sync::Mutex<Option<Progress>>,
    /// Rings when there is a job to do.
    pub(crate) jobs: Notify,
    /// Held by whoever publishes a status list, so that nobody signs the same list twice.
    pub(crate) publishing: tokio::sync::Mutex<()>,
    /// Held by whoever has keys for readers made, so that nobody makes the same key twice.
    pub(crate) making: tokio::sync::Mutex<()>,
}

impl Deref for Server {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Server {
    /// Opens store, keys and log of a city that was created before.
    ///
    /// # Errors
    /// [`StartError`] naming what cannot be opened.
    pub async fn open(config: &Config) -> Result<Self, StartError> {
        let keeper = open_keeper(config).await?;
        Self::with_keeper(config, keeper, open_store(&config.store.data)?).await
    }

    /// Opens a server whose keys and rows somebody else has opened.
    ///
    /// # Errors
    /// [`StartError`] naming what cannot be opened.
    pub async fn with(
        config: &Config,
        custody: Arc<dyn Custody>,
        store: Store,
    ) -> Result<Self, StartError> {
        Self::with_keeper(config, Keeper { custody, service: None }, store).await
    }

    async fn with_keeper(
        config: &Config,
        keeper: Keeper,
        store: Store,
    ) -> Result<Self, StartError> {
        let Keeper { custody, service } = keeper;
        let vault = vault_of(service.as_ref()).await;
        config.check().map_err(StartError::Config)?;
        let city = Facts::load(&store).await?;
        let recorder = Recorder::open(&Recorder::path(&config.keys));
        Ok(Self(Arc::new(Inner {
            store,
            custody,
            vault,
            key_service: service,
            crypto: AwsLc,
            city,
            public_url: config.http.public_url.clone(),
            limits: config.limits.clone(),
            suites: config.keys.suites.clone(),
            log: Folder::new(&config.store.data.join(LOG_FOLDER)),
            metrics: Metrics::new().map_err(StartError::Metrics)?,
            nonce_key: NonceKey::new(entropy().map_err(StartError::Entropy)?),
            rates: Rates::new(config.limits.requests_per_minute),
            recorder: recorder.map_err(StartError::Io)?,
            tokens: Tokens::default(),
            findings: Findings::default(),
            uses: tokio::sync::Mutex::new(None),
            jobs: Notify::new(),
            publishing: tokio::sync::Mutex::new(()),
            making: tokio::sync::Mutex::new(()),
        })))
    }

    /// Does a deed: what changes, its record and what must follow, together or not at all.
    pub(crate) async fn commit(
        &self,
        deed: Deed,
        changes: Vec<Change>,
        jobs: Vec<NewJob>,
    ) -> Result<Committed, Problem> {
        Ok(self.attempt(deed, changes, jobs).await?)
    }

    /// As [`Self::commit`], for who has an answer to a conflict.
    pub(crate) async fn attempt(
        &self,
        deed: Deed,
        changes: Vec<Change>,
        jobs: Vec<NewJob>,
    ) -> Result<Committed, CommitError> {
        let entry = self.recorder.entry(&deed);
        let entry =
            entry.map_err(|error| CommitError::Failed(EngineError::Failed(error.into())))?;
        let has_jobs = !jobs.is_empty();
        let commit = Commit { changes, entry, jobs };
        let committed = self.store.for_operator(&deed.operator).commit(commit).await?;
        if has_jobs {
            self.jobs.notify_one();
        }
        Ok(committed)
    }

    /// The facts of the city as they are now: a ceremony changes its roots beside a server that runs.
    pub(crate) async fn facts(&self) -> Result<Facts, Problem> {
        Facts::load(&self.store).await.map_err(|error| Problem::fault(&error))
    }

    /// The credential issuer of `operator`, if there is such an operator.
    pub(crate) async fn issuer(&self, operator: &OperatorCode) -> Result<Option<Issuer>, Problem> {
        let Some(operator) = self.store.city().operator(operator).await? else { return Ok(None) };
        let name = operator.name.as_str().to_owned();
        let issuer = Issuer::new(operator.code, name, &self.public_url);
        issuer.map(Some).map_err(|error| Problem::fault(&error))
    }
}

/// The vault of the key service, where it has one for this server. A server never holds one itself.
async fn vault_of(service: Option<&Arc<Remote>>) -> Option<Arc<RemoteVault>> {
    let vault = RemoteVault::over(Arc::clone(service?)).await.ok()?;
    Some(Arc::new(vault))
}

/// A job of `kind` that may run at once.
pub(crate) fn job(
    kind: &str,
    payload: &serde_json::Value,
    at: Instant,
) -> Result<NewJob, NoEntropy> {
    let id = JobId::new(at, entropy()?);
    Ok(NewJob { id, kind: kind.into(), payload: payload.to_string(), dedup: None, run_at: at })
}

/// A deed of the server's own worker.
pub(crate) const fn worker_deed(
    operator: OperatorCode,
    what: &'static str,
    object: String,
    at: Instant,
) -> Deed {
    Deed { operator, subject: Subject::Worker, what, object, at, more: None }
}

pub(crate) fn open_store(folder: &Path) -> Result<Store, StartError> {
    let options = Options { folder: folder.into(), pages_max: None };
    Ok(Store::new(Sqlite::open(&options).map_err(StartError::Store)?))
}

/// What opens the keystore of the server, as the configuration says.
pub(crate) fn unlock(config: &Config) -> Result<Unlock, StartError> {
    if let Some(path) = &config.keys.key_file {
        return Unlock::key_file(path, &config.store.data).map_err(StartError::Unlock);
    }
    let path = config.keys.passphrase_file.as_deref().unwrap_or(Path::new(""));
    let named = |error: std::io::Error| {
        let text = format!("passphrase file `{}`: {error}", path.display());
        StartError::Io(std::io::Error::new(error.kind(), text))
    };
    let text = std::fs::read_to_string(path).map_err(named)?;
    Unlock::passphrase(text.trim_end_matches(['\r', '\n'])).map_err(StartError::Unlock)
}
