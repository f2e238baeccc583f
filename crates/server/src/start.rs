//! Starting and stopping: bind, serve, work in the background, and end in order.
//!
//! On the order to stop, no new connection is taken and those at hand may finish; then the jobs
//! stop; then the log publishes what was committed last.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use audit::note::{SIGNATURE_BYTES, VerifierKey};
use credential::crypto::PublicKey;
use keys::custody::{Custody, Key, KeyHandle, State};
use keys::object::{ObjectType, TypedObject};
use keys::purpose::Purpose;
use store::log::sequencer::{CheckpointSigner, SequenceError, Sequencer, Signing};
use store::store::ReadError;
use tokio::sync::watch;

use crate::config::Config;
use crate::listener::Listener;
use crate::lock::FolderLock;
use crate::routes;
use crate::server::Server;
use crate::work;
use crate::world::{NoEntropy, now};

/// A server that has its port and waits for [`Started::run`].
pub struct Started {
    server: Server,
    listener: Listener,
    sequencer: Sequencer,
    /// Of the data folder; none where somebody else has opened the rows.
    lock: Option<FolderLock>,
}

/// Opens the city that `config` names and binds its port; nothing is served yet.
///
/// # Errors
/// [`StartError`] naming what stands in the way.
pub async fn start(config: &Config) -> Result<Started, StartError> {
    let server = Server::open(config).await?;
    // Before anything is signed or written.
    let lock = FolderLock::take(&config.store.data)?;
    let started = start_server(server, config).await?;
    Ok(Started { lock: Some(lock), ..started })
}

/// Binds the port for a server that is open.
///
/// # Errors
/// [`StartError`] naming what stands in the way.
pub async fn start_server(server: Server, config: &Config) -> Result<Started, StartError> {
    work::chores::first(&server, now()).await;
    let signer = Arc::new(LogSigner::of(&server)?);
    let sequencer = Sequencer::open(&server.store, server.log.clone(), signer).await;
    let sequencer = sequencer.map_err(StartError::Log)?;
    let listener = Listener::bind(&config.http, &config.limits).await.map_err(StartError::Io)?;
    Ok(Started { server, listener, sequencer, lock: None })
}

impl Started {
    /// The address that is really bound.
    ///
    /// # Errors
    /// [`io::Error`] of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.address()
    }

    /// Serves until `stop` turns true, then ends in order.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let Self { server, listener, sequencer, lock } = self;
        // Jobs and log outlive the last connection, so that what it did is done to the end.
        let (end, ended) = watch::channel(false);
        let log = tokio::spawn(sequencer.run(ended.clone()));
        let worker = tokio::spawn(work::run(server.clone(), ended));
        listener.serve(routes::router(server), stop).await;
        end.send_replace(true);
        for task in [worker, log] {
            if let Err(error) = task.await {
                tracing::error!(%error, "a background task ended badly");
            }
        }
        drop(lock);
    }
}

/// Signs checkpoints with the city's keys for them, whichever are active at that moment.
pub(crate) struct LogSigner {
    custody: Arc<dyn Custody>,
    origin: String,
}

impl LogSigner {
    pub(crate) fn of(server: &Server) -> Result<Self, StartError> {
        let (custody, origin) = (Arc::clone(&server.custody), server.city.log_origin.clone());
        let has_key = !log_keys(&*custody, &origin, &[State::Active]).is_empty();
        if has_key { Ok(Self { custody, origin }) } else { Err(StartError::NoLogKey) }
    }
}

/// The keys of the log whose origin is `origin` that are in one of `states`, oldest first.
pub(crate) fn log_keys(
    custody: &dyn Custody,
    origin: &str,
    states: &[State],
) -> Vec<(KeyHandle, VerifierKey)> {
    let keys = custody.keys();
    let of_log = keys.iter().filter(|key| key.purpose == Purpose::Checkpoint);
    let of_log = of_log.filter(|key| states.contains(&key.state));
    let verifier = |key: &Key| match &key.public_key {
        PublicKey::Ed25519(bytes) => Some((key.handle, VerifierKey::new(origin, bytes).ok()?)),
        _ => None,
    };
    of_log.filter_map(verifier).collect()
}

impl CheckpointSigner for LogSigner {
    fn keys(&self) -> Vec<VerifierKey> {
        let active = log_keys(&*self.custody, &self.origin, &[State::Active]);
        active.into_iter().map(|(_, key)| key).collect()
    }

    fn sign<'a>(&'a self, key: &'a VerifierKey, text: &'a [u8]) -> Signing<'a> {
        Box::pin(async move {
            let active = log_keys(&*self.custody, &self.origin, &[State::Active]);
            let (handle, _) = active.into_iter().find(|(_, own)| own == key)?;
            let object = TypedObject::parse(ObjectType::Checkpoint, text).ok()?;
            let signature = self.custody.sign(&handle, &object).await.ok()?;
            <[u8; SIGNATURE_BYTES]>::try_from(signature.as_bytes()).ok()
        })
    }
}

/// Why a server does not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration contradicts itself.
    Config(keys::config_file::ConfigError),
    /// The keystore cannot be opened.
    Keystore(keys::software::OpenError),
    /// What opens the keystore cannot be used.
    Unlock(keys::unlock::UnlockError),
    /// There is no connection to the key service.
    KeyService(keys::remote::ConnectError),
    /// The secret shared with the key service cannot be used.
    Pairing(keys::wire::pairing::PairingError),
    /// The database cannot be opened.
    Store(store::sqlite::OpenError),
    /// The database cannot be read.
    Read(ReadError),
    /// Another server, or a ceremony, runs on the same data folder.
    Busy,
    /// There is no city in the database.
    NoCity,
    /// The public URL is not one that wallets can be given.
    PublicUrl(issuance::issuer::OriginError),
    /// The keystore holds no key for the audit log.
    NoLogKey,
    /// The audit log cannot go on.
    Log(SequenceError),
    /// The figures cannot be set up.
    Metrics(prometheus::Error),
    /// The system gives no random bytes.
    Entropy(NoEntropy),
    /// A file or the port cannot be used.
    Io(io::Error),
}

impl From<ReadError> for StartError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config(_) => "start server: its configuration is not taken",
            Self::Keystore(_) => "start server: its keystore cannot be opened",
            Self::Unlock(_) => "start server: what opens its keystore cannot be used",
            Self::KeyService(_) => "start server: its keys cannot be reached",
            Self::Pairing(_) => "start server: its secret for the key service cannot be used",
            Self::Store(_) => "start server: its database cannot be opened",
            Self::Read(_) => "start server: its database cannot be read",
            Self::Busy => "start server: another one runs on its data folder: stop that one first",
            Self::NoCity => "start server: there is no city in its database yet",
            Self::PublicUrl(_) => "start server: its public URL cannot be given to wallets",
            Self::NoLogKey => "start server: its keystore holds no key for the audit log",
            Self::Log(_) => "start server: the audit log cannot go on",
            Self::Metrics(_) => "start server: its figures cannot be set up",
            Self::Entropy(_) => "start server: the system gives no random bytes",
            Self::Io(_) => "start server: a file or the port cannot be used",
        })
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(source) => Some(source),
            Self::Keystore(source) => Some(source),
            Self::Unlock(source) => Some(source),
            Self::KeyService(source) => Some(source),
            Self::Pairing(source) => Some(source),
            Self::Store(source) => Some(source),
            Self::Read(source) => Some(source),
            Self::PublicUrl(source) => Some(source),
            Self::Log(source) => Some(source),
            Self::Metrics(source) => Some(source),
            Self::Entropy(source) => Some(source),
            Self::Io(source) => Some(source),
            Self::Busy | Self::NoCity | Self::NoLogKey => None,
        }
    }
}
