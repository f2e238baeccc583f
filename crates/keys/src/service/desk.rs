//! Where requests are dealt with: rights, rate, journal, custodian, in this order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use vocabulary::time::Instant;

use super::decide::{Rights, decide, vouches_for_ours};
use super::keepers::Leaving;
use super::rate::Bucket;
use super::status::Status;
use super::uses::{Deed, Outcome, Use, Uses};
use crate::custody::{Custody, KeepError, Key, KeyHandle, Pending, State};
use crate::vault::desk::{Hands, deal};
use crate::vault::express::Handles;
use crate::vault::{NewSecret, Secret, SecretKind, Vault, VaultError};
use crate::wire::message::{Answer, Given, Request};
use crate::wire::refusal::Refusal;

/// Keys in one answer.
pub(crate) const KEYS_PER_ANSWER: usize = 64;
/// Bytes of the journal in one answer.
pub(crate) const USES_BYTES_PER_ANSWER: usize = 256 * 1024;
/// Bytes in memory for such an answer: a file of the journal, which is a batch longer than its limit
/// at the most.
pub(crate) const USES_BYTES_TO_READ: usize = 6 << 20;

/// What all connections share.
pub(crate) struct Desk {
    custody: Arc<dyn Custody>,
    vault: Option<Arc<dyn Vault>>,
    handles: Handles,
    uses: Arc<Uses>,
    status: Status,
    listed: Mutex<Listed>,
}

/// The keys as they were told last, and how often they had changed by then.
struct Listed {
    keys: Arc<[Key]>,
    version: u64,
}

/// A client at the desk.
pub(crate) struct Visitor {
    pub(crate) name: String,
    pub(crate) rights: Rights,
    pub(crate) bucket: Mutex<Bucket>,
}

impl Desk {
    pub(crate) fn new(
        custody: Arc<dyn Custody>,
        vault: Option<Arc<dyn Vault>>,
        uses: Uses,
        status: Status,
    ) -> Self {
        let listed = Mutex::new(Listed { keys: custody.keys(), version: 1 });
        Self { custody, vault, handles: Handles::default(), uses: Arc::new(uses), status, listed }
    }

    /// Deals with one request.
    pub(crate) async fn answer(
        &self,
        visitor: &Visitor,
        id: u64,
        request: Option<Request<'_>>,
    ) -> Answer {
        let outcome = match request {
            None => Err(Refusal::Unknown),
            Some(Request::Sign { handle, object }) => self.sign(visitor, &handle, object).await,
            Some(Request::Keys { from }) => Ok(self.keys(from)),
            Some(Request::Uses { from }) => self.journal(from).await,
            Some(Request::Status) => Ok(Given::Status(self.status.tell().await)),
            Some(Request::Vault { body }) => self.vault(visitor, body).await,
            Some(request) => self.keep(visitor, request).await,
        };
        Answer { id, version: self.version(), outcome }
    }

    async fn sign(
        &self,
        visitor: &Visitor,
        handle: &KeyHandle,
        object: &[u8],
    ) -> Result<Given, Refusal> {
        let at = now();
        let taken = visitor.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(at);
        taken.map_err(|retry_s| Refusal::TooMany { retry_s })?;
        let keys = self.custody.keys();
        let key = keys.iter().find(|key| key.handle == *handle).ok_or(Refusal::UnknownKey)?;
        let decided = decide(&visitor.rights, key, object)
            .and_then(|object| vouches_for_ours(&keys, key, &object).map(|()| object));
        let signed = match decided {
            Ok(object) => match self.custody.sign(handle, &object).await {
                Ok(signature) => Ok(Given::Signature(signature.as_bytes().to_vec())),
                Err(error) => {
                    tracing::warn!(%error, %handle, "a key does not sign");
                    Err(Refusal::of_signing(&error))
                }
            },
            Err(refusal) => Err(refusal),
        };
        let outcome = match &signed {
            Ok(_) => Outcome::Done,
            Err(refusal) => outcome_of(refusal),
        };
        let used = Use {
            at,
            client: visitor.name.clone(),
            deed: Deed::Sign,
            handle: Some(*handle),
            purpose: Some(key.purpose),
            digest: Some(sha256(object)),
            outcome,
        };
        // No record, no deed: without one the signature does not leave.
        self.uses.record(used).await.map_err(|_| Refusal::Unavailable)?;
        signed
    }

    /// Silences the old custodian of a move: from `at` on it signs nothing. Whether that is done.
    pub(crate) async fn silence(&self, leaving: &Leaving, at: Instant) -> bool {
        let pair = &leaving.pair;
        if let Some(old) = &leaving.vault
            && let Err(error) = self.succeed_zones(&**old, at).await
        {
            tracing::error!(%error, "a zone key has no successor; it is tried again");
            return false;
        }
        let keys = pair.old().keys();
        let left: Vec<&Key> = keys.iter().filter(|key| key.state != State::Retired).collect();
        for key in pair.unready() {
            tracing::error!(purpose = %key.purpose, "the old custodian ends, and no key follows");
        }
        for key in &left {
            let used = Use {
                at: now(),
                client: "move".into(),
                deed: Deed::SetState,
                handle: Some(key.handle),
                purpose: Some(key.purpose),
                digest: None,
                outcome: Outcome::Ordered,
            };
            if self.uses.record(used).await.is_err() {
                return false;
            }
        }
        match pair.retire_old(at).await {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(%error, "the old custodian does not end; it is tried again");
                false
            }
        }
    }

    /// Makes the next version of every zone key of the old vault, which gives them out no more.
    async fn succeed_zones(&self, old: &dyn Vault, at: Instant) -> Result<(), VaultError> {
        let Some(vault) = &self.vault else { return Ok(()) };
        let is_left = |it: &&Secret| it.kind == SecretKind::Zone && it.state != State::Retired;
        for secret in old.secrets().iter().filter(is_left) {
            let current = secret.scope.as_ref().and_then(|it| vault.current(secret.kind, it, 0));
            if current.is_none_or(|current| current.handle == secret.handle) {
                let (kind, scope) = (secret.kind, secret.scope.clone());
                let (epoch, kdf, state, after) = (0, None, State::Active, secret.version);
                vault.generate(NewSecret { kind, scope, epoch, kdf, state, after, at }).await?;
            }
            old.set_state(&secret.handle, State::Retired, at).await?;
        }
        Ok(())
    }

    /// Asks the vault. What it gives leaves only once the deed stands in the journal.
    async fn vault(&self, visitor: &Visitor, body: &[u8]) -> Result<Given, Refusal> {
        let at = now();
        let taken = visitor.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(at);
        taken.map_err(|retry_s| Refusal::TooMany { retry_s })?;
        let vault = self.vault.as_ref().ok_or(Refusal::Unknown)?;
        let keys = self.custody.keys();
        let hands = Hands { vault, handles: &self.handles, keys: &keys };
        let dealt = deal(hands, &visitor.rights.vault, body, at).await;
        if dealt.is_deed {
            let used = Use {
                at,
                client: visitor.name.clone(),
                deed: Deed::Vault,
                handle: None,
                purpose: None,
                digest: Some(sha256(body)),
                outcome: match (dealt.is_forbidden, dealt.is_done) {
                    (true, _) => Outcome::NotAllowed,
                    (false, true) => Outcome::Done,
                    (false, false) => Outcome::Failed,
                },
            };
            self.uses.record(used).await.map_err(|_| Refusal::Unavailable)?;
        }
        Ok(Given::Vault(dealt.body))
    }

    /// Deeds that change a key. They stand in the journal before they are begun, and take from the
    /// client's bucket like signatures.
    async fn keep(&self, visitor: &Visitor, request: Request<'_>) -> Result<Given, Refusal> {
        let (deed, handle, is_allowed) = match &request {
            Request::Attach { handle, .. } => {
                (Deed::Attach, Some(*handle), visitor.rights.generate)
            }
            Request::SetState { handle, .. } => {
                (Deed::SetState, Some(*handle), visitor.rights.set_state)
            }
            Request::Destroy { handle } => (Deed::Destroy, Some(*handle), visitor.rights.destroy),
            _ => (Deed::Generate, None, visitor.rights.generate),
        };
        let at = now();
        let taken = visitor.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(at);
        taken.map_err(|retry_s| Refusal::TooMany { retry_s })?;
        let key = handle.and_then(|handle| self.find(&handle));
        let purpose = match &request {
            Request::Generate(new) => Some(new.purpose),
            _ => key.map(|key| key.purpose),
        };
        let is_allowed =
            is_allowed && purpose.is_none_or(|purpose| visitor.rights.sign.contains(&purpose));
        let mut used = Use {
            at,
            client: visitor.name.clone(),
            deed,
            handle,
            purpose,
            digest: None,
            outcome: if is_allowed { Outcome::Ordered } else { Outcome::NotAllowed },
        };
        self.uses.record(used.clone()).await.map_err(|_| Refusal::Unavailable)?;
        if !is_allowed {
            return Err(Refusal::NotAllowed { deed: deed.as_str().into(), purpose });
        }
        let done = self.change(request).await;
        used.outcome = if done.is_ok() { Outcome::Done } else { Outcome::Failed };
        if let Ok(Given::Key(key)) = &done {
            used.handle = Some(key.handle);
        }
        // It was announced; that it is done may be missing where the disk is full by now.
        let _ = self.uses.record(used).await;
        done
    }

    async fn change(&self, request: Request<'_>) -> Result<Given, Refusal> {
        let key = async |done: Pending<'_, Key, KeepError>| {
            done.await.map(|key| Given::Key(Box::new(key)))
        };
        let done = match request {
            Request::Generate(new) => key(self.custody.generate(new)).await,
            Request::Attach { handle, certificate } => {
                key(self.custody.attach_certificate(&handle, certificate)).await
            }
            Request::SetState { handle, state, at } => {
                key(self.custody.set_state(&handle, state, at)).await
            }
            Request::Destroy { handle } => {
                self.custody.destroy(&handle).await.map(|()| Given::Done)
            }
            _ => return Err(Refusal::Unknown),
        };
        done.map_err(|error| {
            tracing::warn!(%error, "a key is not kept");
            Refusal::of_keeping(&error)
        })
    }

    fn keys(&self, from: u64) -> Given {
        let keys = self.custody.keys();
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let some = keys.iter().skip(from).take(KEYS_PER_ANSWER).cloned().collect();
        Given::Keys { total: u64::try_from(keys.len()).unwrap_or(u64::MAX), keys: some }
    }

    async fn journal(&self, from: u64) -> Result<Given, Refusal> {
        // It reads a file, and may wait for a flush.
        let uses = Arc::clone(&self.uses);
        let read = move || uses.read(from, USES_BYTES_PER_ANSWER);
        let read = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other);
        let read = read.flatten().map_err(|error| {
            tracing::error!(%error, "the journal of uses cannot be read");
            Refusal::Unavailable
        });
        let (journal, entries, records) = read?;
        Ok(Given::Uses { journal, entries, records })
    }

    fn find(&self, handle: &KeyHandle) -> Option<Key> {
        self.custody.keys().iter().find(|key| key.handle == *handle).cloned()
    }

    /// How often the keys have changed; asked for after a deed, so that its change is counted.
    fn version(&self) -> u64 {
        let keys = self.custody.keys();
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&listed.keys, &keys) && listed.keys != keys {
            listed.version += 1;
        }
        listed.keys = keys;
        listed.version
    }
}

const fn outcome_of(refusal: &Refusal) -> Outcome {
    match refusal {
        Refusal::NotAllowed { .. } => Outcome::NotAllowed,
        Refusal::WrongType { .. } | Refusal::WrongSuite { .. } => Outcome::WrongType,
        Refusal::NotActive { .. } => Outcome::NotActive,
        _ => Outcome::Failed,
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, bytes);
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

/// Now, by the clock of this machine.
pub(crate) fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
