//! The journal of uses: every use of a key, in a hash chain on disk, before its result leaves.
//!
//! Records are those of `audit::journal`; what they hold is CBOR, as `specs/key-service.md` says.
//! They lie in files of at most some [`SEGMENT_BYTES_MAX`], each named by the number of its first record.
//! Many uses that wait at the same time share one flush. Where a record cannot be written the use
//! is refused; the next one tries again.

mod book;
mod record;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

pub use book::{Book, OpenError, SEGMENT_BYTES_MAX};
pub use record::{Deed, Outcome, Use};

/// Uses that wait for their flush, at most; one more is refused.
pub const WAITING_MAX: usize = 65_536;
/// Records that share one flush, at most.
pub const BATCH_MAX: usize = 4_096;

type Done = oneshot::Sender<Result<(), NotRecorded>>;

/// The journal at work; its file belongs to a thread of its own.
#[derive(Debug)]
pub struct Uses {
    sender: SyncSender<(Use, Done)>,
    book: Arc<Mutex<Book>>,
}

impl Uses {
    /// Opens the journal in `folder`, which exists, and checks the end of it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let book = Arc::new(Mutex::new(Book::open(folder)?));
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let kept = Arc::clone(&book);
        let thread = std::thread::Builder::new().name("uses".into());
        thread.spawn(move || keep(&kept, &receiver)).map_err(OpenError::Thread)?;
        Ok(Self { sender, book })
    }

    /// Records `used`; answers once it is durable.
    ///
    /// # Errors
    /// [`NotRecorded`]: then the use must not happen, or its result not leave.
    pub async fn record(&self, used: Use) -> Result<(), NotRecorded> {
        let (done, recorded) = oneshot::channel();
        match self.sender.try_send((used, done)) {
            Ok(()) => recorded.await.unwrap_or(Err(NotRecorded)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(NotRecorded),
        }
    }

    /// Records from number `from` on, as many as `bytes_max` hold, with the number of all records
    /// and the name of the journal. It reads a file: not for a thread that must not wait.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn read(&self, from: u64, bytes_max: usize) -> io::Result<([u8; 16], u64, Vec<u8>)> {
        // What is read lies in files that only grow; the lock is not held meanwhile.
        let reader = self.book.lock().unwrap_or_else(PoisonError::into_inner).reader();
        reader.read(from, bytes_max)
    }

    /// How many records there are.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).entries()
    }
}

fn keep(book: &Mutex<Book>, receiver: &Receiver<(Use, Done)>) {
    while let Ok(first) = receiver.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX {
            let Ok(next) = receiver.try_recv() else { break };
            batch.push(next);
        }
        let uses = batch.iter().map(|(used, _)| used);
        let written = book.lock().unwrap_or_else(PoisonError::into_inner).append(uses);
        if let Err(error) = &written {
            tracing::error!(%error, "a use of a key cannot be recorded, and is refused");
        }
        for (_, done) in batch {
            // Who has gone does not want to know.
            let _ = done.send(written.as_ref().map(drop).map_err(|_| NotRecorded));
        }
    }
}

/// A use that does not stand in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRecorded;

impl fmt::Display for NotRecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("record use of key: the journal cannot be written")
    }
}

impl std::error::Error for NotRecorded {}
