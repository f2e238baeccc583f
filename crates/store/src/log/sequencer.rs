//! The sequencer: takes the leaves that were committed, extends the tree, publishes checkpoints.
//!
//! Leaves wait at most [`POOL_WAIT_MAX`] or until [`POOL_LEAVES_MAX`] of them have come together. Then,
//! in this order: tiles, flushed; the signature; the head in the database, swapped only if nobody
//! else published meanwhile; the checkpoint file. Whatever fails in between is done again from the
//! head in the database, and gives the same bytes.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::sync::Arc;

use audit::checkpoint::Checkpoint;
use audit::hash::Hash;
use audit::merkle::Tree;
use audit::note::{NoteError, SIGNATURE_BYTES, VerifierKey, cosign};
use audit::tiles::{AppendError, Appender, ResumeError};
use tokio::sync::watch;

use super::Folder;
use crate::commit::CommitError;
use crate::rows::event::LogHead;
use crate::store::{CityStore, ReadError, Store};

/// How long a leaf waits for others before it is published.
pub const POOL_WAIT_MAX: Duration = Duration::from_millis(200);
/// Leaves that are published without further waiting.
pub const POOL_LEAVES_MAX: u64 = 256;
/// Leaves in one round of publishing.
pub const ROUND_LEAVES_MAX: u32 = 4_096;

/// How long to wait after a failure, and how often to look for leaves that came another way.
const PAUSE: Duration = Duration::from_secs(1);

/// Whoever holds the key of the log.
pub trait CheckpointSigner: Send + Sync {
    /// The public keys that sign now, with the log's origin as their name, oldest first: one, and two
    /// while a key is followed by the next.
    fn keys(&self) -> Vec<VerifierKey>;

    /// Signs the text of a checkpoint with `key` (Ed25519); nothing when it cannot be signed now.
    fn sign<'a>(&'a self, key: &'a VerifierKey, text: &'a [u8]) -> Signing<'a>;
}

/// A signature that may take a while.
pub type Signing<'a> = Pin<Box<dyn Future<Output = Option<[u8; SIGNATURE_BYTES]>> + Send + 'a>>;

/// Publishes the log of one store into one folder.
pub struct Sequencer {
    city: CityStore,
    folder: Folder,
    signer: Arc<dyn CheckpointSigner>,
    /// The tree as published; none before the first round and after a failure.
    grown: Option<Grown>,
    committed: watch::Receiver<u64>,
    published: watch::Sender<u64>,
}

struct Grown {
    appender: Appender,
    /// The size in the database's head, if there is a head.
    head: Option<u64>,
}

impl Sequencer {
    /// A sequencer that goes on where the last one ended.
    ///
    /// # Errors
    /// [`SequenceError`] when database and folder contradict each other.
    pub async fn open(
        store: &Store,
        folder: Folder,
        signer: Arc<dyn CheckpointSigner>,
    ) -> Result<Self, SequenceError> {
        let mut sequencer = Self {
            city: store.city(),
            folder,
            signer,
            grown: None,
            committed: store.log_growth(),
            published: watch::Sender::new(0),
        };
        let grown = sequencer.resume().await?;
        sequencer.published.send_replace(grown.head.unwrap_or(0));
        sequencer.grown = Some(grown);
        Ok(sequencer)
    }

    /// The size of the newest checkpoint, as it grows.
    #[must_use]
    pub fn published(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    /// Publishes until `stop` is true or its sender is gone, and once more then.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            tokio::select! {
                () = self.pool() => {}
                stopped = stop.changed() => if stopped.is_err() { break },
            }
            if let Err(error) = self.publish().await {
                tracing::error!(error = %error, "the log's checkpoint is delayed");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    stopped = stop.changed() => if stopped.is_err() { break },
                }
            }
        }
        if let Err(error) = self.publish().await {
            tracing::error!(error = %error, "the log's last checkpoint before the end is missing");
        }
    }

    /// Publishes all leaves that are committed now; returns the size of the newest checkpoint.
    ///
    /// # Errors
    /// [`SequenceError`]; the log is then as it was, and the next call tries again.
    pub async fn publish(&mut self) -> Result<u64, SequenceError> {
        loop {
            let mut grown = match self.grown.take() {
                Some(grown) => grown,
                None => self.resume().await?,
            };
            let first = grown.appender.size();
            let leaves = self.city.leaves(first, ROUND_LEAVES_MAX).await?;
            if leaves.is_empty() && grown.head.is_some() {
                self.grown = Some(grown);
                return Ok(first);
            }
            for leaf in &leaves {
                grown.appender.append(leaf)?;
            }
            // On an error the half-grown tree is dropped here, and built again from the head.
            self.publish_round(&mut grown).await?;
            self.published.send_replace(grown.appender.size());
            self.grown = Some(grown);
        }
    }

    async fn publish_round(&self, grown: &mut Grown) -> Result<(), SequenceError> {
        let files = grown.appender.take_files();
        let folder = self.folder.clone();
        let files = in_background(move || folder.write_tiles(&files).map(|()| files)).await?;
        let tree = Tree { size: grown.appender.size(), root: grown.appender.root() };
        let note = self.sign(&tree).await?;
        let head = LogHead { size: tree.size, note };
        self.city.swap_log_head(grown.head, &head).await?;
        grown.head = Some(tree.size);
        let folder = self.folder.clone();
        in_background(move || {
            folder.write_checkpoint(&head.note)?;
            folder.remove_partials(&files);
            Ok(())
        })
        .await
    }

    /// The checkpoint of `tree`, signed by every key that signs now.
    async fn sign(&self, tree: &Tree) -> Result<String, SequenceError> {
        let keys = self.signer.keys();
        let (first, others) = keys.split_first().ok_or(SequenceError::NotSigned)?;
        let unsigned = Checkpoint::unsigned(tree, first)?;
        let text = unsigned.to_be_signed().to_vec();
        let signature = self.signer.sign(first, &text).await;
        let mut note = unsigned.complete(&signature.ok_or(SequenceError::NotSigned)?)?;
        for key in others {
            let signature = self.signer.sign(key, &text).await;
            note = cosign(&note, key, &signature.ok_or(SequenceError::NotSigned)?)?;
        }
        Ok(note)
    }

    /// Waits until leaves have come together, or some time has passed.
    async fn pool(&mut self) {
        let published = *self.published.borrow();
        let waiting = |committed: u64| committed.saturating_sub(published);
        let first = tokio::time::timeout(PAUSE, self.committed.wait_for(|size| waiting(*size) > 0));
        if first.await.is_err() {
            return;
        }
        let full = self.committed.wait_for(|size| waiting(*size) >= POOL_LEAVES_MAX);
        let _ = tokio::time::timeout(POOL_WAIT_MAX, full).await;
    }

    /// The tree of the database's head, checked against the tiles and the checkpoint file.
    async fn resume(&self) -> Result<Grown, SequenceError> {
        let head = self.city.log_head().await?;
        let folder = self.folder.clone();
        let file = in_background(move || folder.checkpoint()).await?;
        let size = head.as_ref().map_or(0, |head| head.size);
        if file.as_deref().and_then(size_in).is_some_and(|published| published > size) {
            return Err(SequenceError::Behind);
        }
        if size > self.city.leaves_count().await? {
            return Err(SequenceError::LeavesMissing);
        }
        let Some(head) = head else {
            return Ok(Grown { appender: Appender::default(), head: None });
        };
        let folder = self.folder.clone();
        let resume = move || Ok(Appender::resume(size, |tile| folder.tile(tile)));
        let appender = in_background(resume).await??;
        if root_in(&head.note) != Some(appender.root()) {
            return Err(SequenceError::OtherRoot);
        }
        if file.as_ref() != Some(&head.note) {
            let folder = self.folder.clone();
            in_background(move || folder.write_checkpoint(&head.note)).await?;
        }
        Ok(Grown { appender, head: Some(size) })
    }
}

fn size_in(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}

fn root_in(note: &str) -> Option<Hash> {
    Hash::parse_base64(note.lines().nth(2)?)
}

/// Files are read and written where it may block.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, SequenceError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| SequenceError::Files(std::io::Error::other(error)))?
        .map_err(SequenceError::Files)
}

impl fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequencer").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Why no checkpoint was published. The published log is unharmed.
#[derive(Debug)]
pub enum SequenceError {
    /// The checkpoint in the folder is ahead of the database, which must be an old copy: going on
    /// would fork the log.
    Behind,
    /// The database has fewer leaves than its checkpoint covers.
    LeavesMissing,
    /// The tiles lead to another root than the checkpoint's.
    OtherRoot,
    /// The key of the log cannot sign now.
    NotSigned,
    /// Another process published in between, or the head was not written.
    Head(CommitError),
    /// A tile of the right edge is missing or damaged.
    Resume(ResumeError),
    /// A leaf cannot be appended.
    Append(AppendError),
    /// The checkpoint is no note, or its signature is wrong.
    Note(NoteError),
    /// A file was not read or written.
    Files(std::io::Error),
    /// The store was not read.
    Read(ReadError),
}

macro_rules! sources {
    ($($source:ty => $variant:ident;)*) => {
        $(impl From<$source> for SequenceError {
            fn from(source: $source) -> Self {
                Self::$variant(source)
            }
        })*

        impl core::error::Error for SequenceError {
            fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
                match self {
                    $(Self::$variant(source) => Some(source),)*
                    Self::Files(source) => Some(source),
                    Self::Behind | Self::LeavesMissing | Self::OtherRoot | Self::NotSigned => None,
                }
            }
        }
    };
}

sources! {
    CommitError => Head;
    ResumeError => Resume;
    AppendError => Append;
    NoteError => Note;
    ReadError => Read;
}

impl fmt::Display for SequenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Behind => {
                "publish log: the folder has a newer checkpoint than the database, which seems \
                 to be an old copy"
            }
            Self::LeavesMissing => "publish log: the database lacks leaves that were published",
            Self::OtherRoot => "publish log: the tiles do not lead to the checkpoint's root",
            Self::NotSigned => "publish log: the key of the log cannot sign now",
            Self::Head(CommitError::Conflict(_)) => {
                "publish log: another process published in between"
            }
            Self::Head(_) => "publish log: the head was not written",
            Self::Resume(_) => "publish log: a tile is missing or damaged",
            Self::Append(_) => "publish log: a leaf cannot be appended",
            Self::Note(_) => "publish log: the signature is not by the log's key",
            Self::Files(_) => "publish log: a file was not read or written",
            Self::Read(_) => "publish log: the store was not read",
        })
    }
}
