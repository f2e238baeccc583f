//! The client of the key service: a custodian whose keys are another process's.
//!
//! One connection carries everything, many requests at a time. When it breaks, requests fail as
//! unavailable, and the next one tries to connect again; meanwhile the list of keys stays as it was
//! last seen. What others do to the keys is noticed with the next answer, or within
//! [`LOOK_EVERY`].

mod line;

use std::fmt;
use std::future::ready;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use credential::crypto::Signature;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use vocabulary::time::Instant;

use crate::custody::{Custody, KeepError, Key, KeyHandle, NewKey, Pending, SignError, State};
use crate::object::TypedObject;
use crate::wire::message::{Answer, Given, Request, write_request};
use crate::wire::pairing::Pairing;
use crate::wire::refusal::Refusal;

pub use line::ConnectError;

/// How long an answer may take; a token at work is slow.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(20);
/// How often the keys are asked after, where nothing else is asked.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Requests that wait for their turn; one more waits with its caller.
pub const WAITING_MAX: usize = 1_024;
/// Pages of keys that are read for one list.
const PAGES_MAX: usize = 256;

/// Where the service is and who asks.
#[derive(Debug)]
pub struct Settings {
    /// The socket.
    pub socket: PathBuf,
    /// The user as whom the service runs; none: who owns the folder of the socket.
    pub uid: Option<u32>,
    /// Name and secret of this client.
    pub pairing: Pairing,
}

/// Keys that the key service holds.
pub struct Remote {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// A request on its way.
struct Call {
    id: u64,
    body: Vec<u8>,
    answer: oneshot::Sender<Result<Answer, Lost>>,
}

/// The connection is gone, or there is none.
#[derive(Clone, Copy, Debug)]
struct Lost;

struct Shared {
    calls: mpsc::Sender<Call>,
    numbers: AtomicU64,
    is_connected: AtomicBool,
    listed: RwLock<Listed>,
    /// Held by who brings the list up to date.
    looking: tokio::sync::Mutex<()>,
}

struct Listed {
    keys: Arc<[Key]>,
    /// The version of the service that this is, and which connection told it.
    version: Option<u64>,
}

impl Remote {
    /// Connects and reads the list of keys. The connection lives on the runtime that this is called
    /// on.
    ///
    /// # Errors
    /// [`ConnectError`]; nothing goes on in the background then.
    pub async fn connect(settings: Settings) -> Result<Self, ConnectError> {
        let first = line::open(&settings).await?;
        let (calls, queue) = mpsc::channel(WAITING_MAX);
        let listed = RwLock::new(Listed { keys: Arc::new([]), version: None });
        let looking = tokio::sync::Mutex::new(());
        let shared = Arc::new(Shared {
            calls,
            numbers: AtomicU64::new(0),
            is_connected: AtomicBool::new(true),
            listed,
            looking,
        });
        let task = tokio::spawn(line::run(settings, first, queue, Arc::downgrade(&shared)));
        let remote = Self { shared, task: task.abort_handle() };
        remote.shared.look().await.map_err(|_| ConnectError::Silent)?;
        Ok(remote)
    }

    /// Whether there is a connection, as far as is known.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared.is_connected.load(Ordering::Relaxed)
    }

    /// Records of the service's journal of uses from number `from` on: the name of the journal, how
    /// many records there are in all, and some of them. Ask again from behind them.
    ///
    /// # Errors
    /// [`SignError::Unavailable`].
    pub async fn uses(&self, from: u64) -> Result<([u8; 16], u64, Vec<u8>), SignError> {
        match self.shared.ask(Request::Uses { from }).await {
            Ok(Ok(Given::Uses { journal, entries, records })) => Ok((journal, entries, records)),
            _ => Err(SignError::Unavailable),
        }
    }

    /// What the service says of itself, as JSON.
    ///
    /// # Errors
    /// [`SignError::Unavailable`].
    pub async fn status(&self) -> Result<String, SignError> {
        match self.shared.ask(Request::Status).await {
            Ok(Ok(Given::Status(status))) => Ok(status),
            _ => Err(SignError::Unavailable),
        }
    }

    async fn sign_there(
        &self,
        handle: &KeyHandle,
        object: &TypedObject<'_>,
    ) -> Result<Signature, SignError> {
        let keys = self.keys();
        let key = keys.iter().find(|key| key.handle == *handle);
        let key = key.ok_or(SignError::UnknownKey { handle: *handle })?;
        let request = Request::Sign { handle: *handle, object: object.bytes() };
        match self.shared.ask(request).await {
            Ok(Ok(Given::Signature(signature))) => {
                let signature = Signature::new(key.public_key.algorithm(), &signature);
                signature.map_err(|_| SignError::Unavailable)
            }
            Ok(Err(refusal)) => Err(refusal.into_sign_error(*handle, object.object_type())),
            _ => Err(SignError::Unavailable),
        }
    }

    /// Has something done to a key; by then the list shows it.
    async fn keep(
        &self,
        request: Request<'_>,
        handle: Option<KeyHandle>,
        deed: &'static str,
    ) -> Result<Option<Key>, KeepError> {
        let given = match self.shared.ask(request).await {
            Ok(Ok(given)) => given,
            Ok(Err(refusal)) => return Err(refusal.into_keep_error(handle, deed)),
            Err(Lost) => return Err(KeepError::Unavailable),
        };
        // It is done; a list that is old is brought up to date later.
        let _ = self.shared.look().await;
        match given {
            Given::Key(key) => Ok(Some(*key)),
            Given::Done => Ok(None),
            _ => Err(KeepError::Unavailable),
        }
    }

    async fn keep_key(
        &self,
        request: Request<'_>,
        handle: Option<KeyHandle>,
        deed: &'static str,
    ) -> Result<Key, KeepError> {
        self.keep(request, handle, deed).await?.ok_or(KeepError::Unavailable)
    }
}

impl Shared {
    async fn ask(&self, request: Request<'_>) -> Result<Result<Given, Refusal>, Lost> {
        Ok(self.ask_whole(request).await?.outcome)
    }

    async fn ask_whole(&self, request: Request<'_>) -> Result<Answer, Lost> {
        let id = self.numbers.fetch_add(1, Ordering::Relaxed);
        let body = write_request(id, &request);
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.calls.send(Call { id, body, answer }).await.map_err(|_| Lost)?;
            answered.await.map_err(|_| Lost)?
        };
        tokio::time::timeout(ANSWER_PATIENCE, asked).await.map_err(|_| Lost)?
    }

    /// Whether the list is that of `version`.
    fn is_at(&self, version: u64) -> bool {
        self.listed.read().unwrap_or_else(PoisonError::into_inner).version == Some(version)
    }

    /// Notes whether there is a connection.
    fn note_connection(&self, is_connected: bool) {
        self.is_connected.store(is_connected, Ordering::Relaxed);
    }

    /// Forgets of which version the list is: another process may answer from now on.
    fn doubt(&self) {
        self.listed.write().unwrap_or_else(PoisonError::into_inner).version = None;
    }

    /// Brings the list of keys up to date.
    async fn look(&self) -> Result<(), Lost> {
        let _turn = self.looking.lock().await;
        let (mut keys, mut version) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let from = u64::try_from(keys.len()).unwrap_or(u64::MAX);
            let answer = self.ask_whole(Request::Keys { from }).await?;
            let Ok(Given::Keys { total, keys: some }) = answer.outcome else { return Err(Lost) };
            if version.is_some_and(|version| version != answer.version) {
                // They changed meanwhile: from the beginning.
                (keys, version) = (Vec::new(), None);
                continue;
            }
            if self.is_at(answer.version) {
                return Ok(());
            }
            version = Some(answer.version);
            let is_last = some.is_empty();
            keys.extend(some);
            if is_last || u64::try_from(keys.len()).unwrap_or(u64::MAX) >= total {
                let mut listed = self.listed.write().unwrap_or_else(PoisonError::into_inner);
                *listed = Listed { keys: keys.into(), version };
                return Ok(());
            }
        }
        Err(Lost)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote(..)")
    }
}

impl Custody for Remote {
    fn keys(&self) -> Arc<[Key]> {
        let listed = self.shared.listed.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&listed.keys)
    }

    fn sign<'a>(
        &'a self,
        handle: &'a KeyHandle,
        object: &'a TypedObject<'a>,
    ) -> Pending<'a, Signature, SignError> {
        Box::pin(self.sign_there(handle, object))
    }

    fn generate(&self, request: NewKey) -> Pending<'_, Key, KeepError> {
        Box::pin(self.keep_key(Request::Generate(request), None, "generate"))
    }

    fn attach_certificate<'a>(
        &'a self,
        handle: &'a KeyHandle,
        certificate: &'a [u8],
    ) -> Pending<'a, Key, KeepError> {
        if certificate.len() > crate::custody::CERTIFICATE_BYTES_MAX {
            return Box::pin(ready(Err(KeepError::Certificate)));
        }
        let request = Request::Attach { handle: *handle, certificate };
        Box::pin(self.keep_key(request, Some(*handle), "attach"))
    }

    fn set_state<'a>(
        &'a self,
        handle: &'a KeyHandle,
        state: State,
        at: Instant,
    ) -> Pending<'a, Key, KeepError> {
        let request = Request::SetState { handle: *handle, state, at };
        Box::pin(self.keep_key(request, Some(*handle), "set-state"))
    }

    fn destroy<'a>(&'a self, handle: &'a KeyHandle) -> Pending<'a, (), KeepError> {
        let request = Request::Destroy { handle: *handle };
        Box::pin(async move { self.keep(request, Some(*handle), "destroy").await.map(drop) })
    }
}
