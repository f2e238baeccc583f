//! Starting and stopping: locks, custodian, journal, socket, and an end in order.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::geteuid;
use serde_json::json;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::config::{Client, Config};
use super::desk::{Desk, Visitor, now};
use super::keepers::{Keepers, Leaving};
use super::lock::Lock;
use super::rate::Bucket;
use super::session::{Known, talk, turn_away};
use super::status::{Examined, Recent, Status};
use super::uses::{self, Uses};
use crate::config_file::ConfigError;
use crate::custody::Custody;
use crate::file::FileError;
use crate::software;
use crate::token::TokenError;
use crate::token::pin::PinError;
use crate::unlock::UnlockError;
use crate::vault::Vault;
use crate::wire::handshake::TurnedAway;
use crate::wire::pairing::{Pairing, PairingError};
use crate::wire::socket;

/// Connections at a time; who comes then is turned away.
pub const CONNECTIONS_MAX: usize = 64;
/// Requests of one connection that are dealt with at the same time; the next one waits.
pub const IN_FLIGHT_MAX: usize = 256;
/// Bytes of those requests together, and of what is read for their answers; the next one waits.
pub const BYTES_IN_FLIGHT_MAX: usize = 16 << 20;

/// How long those who are connected may take to end.
const END_PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after the system refused a connection, for lack of open files perhaps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long the instant of a move is waited for without another look at the clock.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(30);
/// How long to wait after the old custodian could not be silenced.
const SILENCE_PAUSE: Duration = Duration::from_secs(1);

/// A key service that has its socket and waits for [`Service::run`].
pub struct Service {
    listener: UnixListener,
    socket: PathBuf,
    clients: Arc<[Known]>,
    desk: Arc<Desk>,
    same_user: bool,
    leaving: Option<Leaving>,
    locks: Vec<Lock>,
}

impl Service {
    /// Opens the keystore, or the token with the halves beside it, that `config` names and binds the socket; nothing is served yet.
    ///
    /// # Errors
    /// [`StartError`] naming what stands in the way.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let Keepers { custody, vault, examined, locks, leaving } = Keepers::open(config)?;
        let mut service = Self::before(config, custody, vault, examined, leaving)?;
        service.locks.extend(locks);
        Ok(service)
    }

    /// Binds the socket for a custodian that somebody else has opened.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn with(config: &Config, custody: Arc<dyn Custody>) -> Result<Self, StartError> {
        Self::with_vault(config, custody, None)
    }

    /// Binds the socket for a custodian and a vault that somebody else has opened.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn with_vault(
        config: &Config,
        custody: Arc<dyn Custody>,
        vault: Option<Arc<dyn Vault>>,
    ) -> Result<Self, StartError> {
        Self::before(config, custody, vault, None, None)
    }

    fn before(
        config: &Config,
        custody: Arc<dyn Custody>,
        vault: Option<Arc<dyn Vault>>,
        token: Option<Examined>,
        leaving: Option<Leaving>,
    ) -> Result<Self, StartError> {
        let own = geteuid().as_raw();
        let clients: Result<Vec<Known>, StartError> =
            config.clients.iter().map(|client| known(client, own, config.same_user)).collect();
        let clients: Arc<[Known]> = clients?.into();
        folder(&config.journal, 0o700)?;
        let lock = lock(&config.journal.join("served"), &config.journal)?;
        let uses = Uses::open(&config.journal).map_err(StartError::Journal)?;
        let status = json!({
            "pid": std::process::id(),
            "uid": own,
            "same_user": config.same_user,
            "halves": config.halves.is_some(),
            "clients": config.clients.iter().map(|it| &it.name).collect::<Vec<_>>(),
        });
        let (leaving_too, examination) = (leaving.clone(), Recent::default());
        let status = Status { service: status, token, leaving: leaving_too, examination };
        let desk = Arc::new(Desk::new(custody, vault, uses, status));
        let (listener, of_socket) = bind(config)?;
        let (socket, same_user) = (config.socket.clone(), config.same_user);
        let locks = vec![lock, of_socket];
        Ok(Self { listener, socket, clients, desk, same_user, leaving, locks })
    }

    /// Whether a client may run as the user of the service, who can read all that it can.
    #[must_use]
    pub const fn same_user(&self) -> bool {
        self.same_user
    }

    /// Serves until `stop` turns true, then ends in order: requests at hand are answered, and the
    /// socket goes away.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut talks = JoinSet::new();
        if let Some(leaving) = self.leaving.clone() {
            let desk = Arc::clone(&self.desk);
            let mut stop = stop.clone();
            talks.spawn(async move {
                tokio::select! {
                    () = silence(&desk, &leaving) => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            });
        }
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            while talks.try_join_next().is_some() {}
            let peer = accepted.and_then(|(stream, _)| Ok((stream.peer_cred()?.uid(), stream)));
            let Ok((uid, stream)) = peer else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            if !self.clients.iter().any(|known| known.uid == uid) {
                tracing::warn!(uid, "a user that is no client's was turned away");
                talks.spawn(turn_away(stream, TurnedAway::User));
                continue;
            }
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                tracing::warn!(uid, "a connection too many was turned away");
                talks.spawn(turn_away(stream, TurnedAway::Busy));
                continue;
            };
            let (clients, desk) = (Arc::clone(&self.clients), Arc::clone(&self.desk));
            let stop = stop.clone();
            talks.spawn(async move {
                talk(stream, uid, clients, desk, stop).await;
                drop(slot);
            });
        }
        // Nobody finds it any more.
        let _ = fs::remove_file(&self.socket);
        let all = async { while talks.join_next().await.is_some() {} };
        if tokio::time::timeout(END_PATIENCE, all).await.is_err() {
            tracing::warn!("a client does not end, and is let go");
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// Silences the old custodian of a move from the named instant on.
async fn silence(desk: &Desk, leaving: &Leaving) {
    let Some(at) = leaving.at else { return };
    loop {
        let left = at.duration_since(now());
        if !left.is_zero() {
            // By the clock of the machine, which may be set meanwhile.
            tokio::time::sleep(left.min(LOOK_AT_CLOCK)).await;
        } else if desk.silence(leaving, at).await {
            return;
        } else {
            tokio::time::sleep(SILENCE_PAUSE).await;
        }
    }
}

fn known(client: &Client, own: u32, same_user: bool) -> Result<Known, StartError> {
    let uid = client.uid.unwrap_or(own);
    if uid == own && !same_user {
        return Err(StartError::SameUser { client: client.name.clone() });
    }
    let pairing = Pairing::open(&client.name, &client.pairing);
    let pairing =
        pairing.map_err(|source| StartError::Pairing { client: client.name.clone(), source })?;
    let bucket = Mutex::new(Bucket::new(client.signatures_per_minute, now()));
    let rights = client.rights().map_err(|word| {
        let reason = format!("`{word}` is no purpose");
        StartError::Config(ConfigError::Setting { key: "client.sign", reason })
    })?;
    let visitor = Arc::new(Visitor { name: client.name.clone(), rights, bucket });
    Ok(Known { pairing, uid, visitor })
}

pub(super) fn lock(path: &Path, what: &Path) -> Result<Lock, StartError> {
    let taken = Lock::take(path).map_err(|source| StartError::Io { path: path.into(), source })?;
    taken.ok_or_else(|| StartError::Busy { what: what.into() })
}

fn folder(path: &Path, mode: u32) -> Result<(), StartError> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|source| StartError::Io { path: path.into(), source })
}

/// Whether a folder that somebody else made, and whose permissions stay as they are, may hold the socket:
/// nobody else can put another there, and the group that may reach it gets in.
fn may_serve_from(parent: &Path, group: Option<u32>) -> Result<(), StartError> {
    let path = || parent.to_path_buf();
    let metadata =
        fs::metadata(parent).map_err(|source| StartError::Io { path: path(), source })?;
    let mode = metadata.permissions().mode();
    let (is_sticky, others_write) = (mode & 0o1000 != 0, mode & 0o022 != 0);
    if others_write && !is_sticky {
        return Err(StartError::LooseFolder { path: path() });
    }
    let gets_in = |group: u32| {
        let of_group = metadata.gid() == group && mode & 0o010 != 0;
        of_group || (metadata.gid() != group && mode & 0o001 != 0)
    };
    match group.filter(|group| !gets_in(*group)) {
        Some(group) => Err(StartError::ClosedFolder { path: path(), group }),
        None => Ok(()),
    }
}

/// Binds the socket in a folder, and makes the folder where there is none: for the user alone, or for
/// the user and one group.
fn bind(config: &Config) -> Result<(UnixListener, Lock), StartError> {
    let path = &config.socket;
    let fail = |source| StartError::Io { path: path.clone(), source };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.ok_or_else(|| StartError::Socket { path: path.clone() })?;
    if parent.exists() {
        may_serve_from(parent, config.group)?;
    } else {
        folder(parent, 0o700)?;
        if config.group.is_some() {
            chown(parent, None, config.group).map_err(fail)?;
            fs::set_permissions(parent, fs::Permissions::from_mode(0o750)).map_err(fail)?;
        }
    }
    let for_socket = if config.group.is_some() { 0o660 } else { 0o600 };
    let lock = lock(&Lock::beside(path), path)?;
    // Whoever left it there does not run any more: we hold its lock.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    let listener = socket::listen(path).map_err(fail)?;
    if config.group.is_some() {
        chown(path, None, config.group).map_err(fail)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(for_socket)).map_err(fail)?;
    Ok((listener, lock))
}

/// Why a key service does not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration is not taken.
    Config(ConfigError),
    /// The configuration does not say who holds the keys.
    NoKeeper,
    /// A client would run as the user of the service.
    SameUser {
        /// Which.
        client: String,
    },
    /// The secret of a client cannot be used.
    Pairing {
        /// Whose.
        client: String,
        /// Why.
        source: PairingError,
    },
    /// Another key service serves from there.
    Busy {
        /// The keystore or the journal.
        what: PathBuf,
    },
    /// The socket has no folder of its own.
    Socket {
        /// Its path.
        path: PathBuf,
    },
    /// Others may write into the folder of the socket, and put one of their own there.
    LooseFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The group that may reach the socket does not get into its folder.
    ClosedFolder {
        /// The folder.
        path: PathBuf,
        /// The group, by number.
        group: u32,
    },
    /// The keystore cannot be opened.
    Keystore(software::OpenError),
    /// The file of ML-DSA halves cannot be opened.
    Halves(software::OpenError),
    /// The token cannot be opened.
    Token(TokenError),
    /// The PIN of the token cannot be had.
    Pin(PinError),
    /// What opens the keystore cannot be used.
    Unlock(UnlockError),
    /// The file of a passphrase cannot be read.
    Secret(FileError),
    /// The journal of uses cannot be gone on with.
    Journal(uses::OpenError),
    /// A file, a folder or the socket cannot be used.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("start key service: ")?;
        match self {
            Self::Config(_) => f.write_str("its configuration is not taken"),
            Self::NoKeeper => f.write_str("its configuration names no keystore"),
            Self::SameUser { client } => write!(
                f,
                "its client `{client}` would run as the same user and could read all that the \
                 service can: set `uid` of the client, or `same_user = true` to try things out"
            ),
            Self::Pairing { client, .. } => write!(f, "the secret of `{client}` cannot be used"),
            Self::Busy { what } => {
                write!(f, "another one serves from `{}`: stop that one first", what.display())
            }
            Self::Socket { path } => {
                write!(f, "`{}` has no folder of its own", path.display())
            }
            Self::LooseFolder { path } => {
                let path = path.display();
                write!(f, "others may write into `{path}`: run `chmod go-w {path}`")
            }
            Self::ClosedFolder { path, group } => {
                let path = path.display();
                write!(
                    f,
                    "group `{group}` does not get into `{path}`: run `chgrp {group} {path} && \
                     chmod 750 {path}`"
                )
            }
            Self::Keystore(_) => f.write_str("its keystore cannot be opened"),
            Self::Halves(_) => f.write_str("the halves of its hybrid keys cannot be opened"),
            Self::Token(_) => f.write_str("its token cannot be opened"),
            Self::Pin(_) => f.write_str("the PIN of its token cannot be had"),
            Self::Unlock(_) => f.write_str("what opens its keystore cannot be used"),
            Self::Secret(_) => f.write_str("the file of its passphrase cannot be read"),
            Self::Journal(_) => f.write_str("its journal cannot be gone on with"),
            Self::Io { path, .. } => write!(f, "`{}` cannot be used", path.display()),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(source) => Some(source),
            Self::Pairing { source, .. } => Some(source),
            Self::Keystore(source) | Self::Halves(source) => Some(source),
            Self::Token(source) => Some(source),
            Self::Pin(source) => Some(source),
            Self::Unlock(source) => Some(source),
            Self::Secret(source) => Some(source),
            Self::Journal(source) => Some(source),
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
