//! SQLite: the embedded default. WAL, `synchronous=FULL`, foreign keys on.
//!
//! One thread writes: it takes all requests that wait (at most [`BATCH_MAX`]), runs each in a
//! savepoint of one transaction, commits once and only then answers, so that the price of a flush
//! is shared. Reads have connections of their own that cannot write and never wait for the writer.

mod convert;
mod readers;
mod schema;
mod writer;

use core::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot};

use crate::engine::{Engine, EngineError, Pending, Row, Statement, Step};
use readers::Readers;
use writer::Request;

pub use schema::SCHEMA_VERSION;
pub use writer::BATCH_MAX;

/// The name of the database in its folder.
pub const FILE_NAME: &str = "limen.db";
/// Requests that wait for the writer; one more waits outside.
pub const WAITING_MAX: usize = 4 * BATCH_MAX;

const BUSY_TIMEOUT_MS: u32 = 5_000;
const STATEMENTS_KEPT: usize = 256;
/// Pages in the write-ahead log before they are moved into the database (16 MiB).
const CHECKPOINT_PAGES: u32 = 4_096;

/// How to open a database.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder; made with mode 700 if it is not there.
    pub folder: PathBuf,
    /// Pages of 4 KiB that the database may grow to; none but the disk's limit when absent.
    pub pages_max: Option<u32>,
}

/// An open database.
pub struct Sqlite {
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    readers: Readers,
}

impl Sqlite {
    /// Opens the database in the folder, makes it if it is not there, and brings it to
    /// [`SCHEMA_VERSION`].
    ///
    /// # Errors
    /// [`OpenError`]; a database of a newer schema is left as it is.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let path = options.folder.join(FILE_NAME);
        prepare_file(&options.folder, &path)?;
        let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        schema::migrate(&mut connection)?;
        if let Some(pages) = options.pages_max {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        let readers = Readers::open(&path)?;
        let (sender, requests) = mpsc::channel(WAITING_MAX);
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer::run(&connection, requests))
            .map_err(OpenError::Folder)?;
        Ok(Self { requests: Some(sender), writer: Some(writer), readers })
    }
}

impl Engine for Sqlite {
    fn read(&self, statement: Statement) -> Pending<'_, Vec<Row>> {
        Box::pin(self.readers.read(statement))
    }

    fn transact(&self, steps: Vec<Step>) -> Pending<'_, Vec<Row>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let requests = self.requests.as_ref().ok_or(EngineError::Closed)?;
            let request = Request { steps, answer };
            requests.send(request).await.map_err(|_| EngineError::Closed)?;
            answered.await.map_err(|_| EngineError::Closed)?
        })
    }
}

impl Drop for Sqlite {
    /// Waits until what was handed in is written.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sqlite(..)")
    }
}

/// Folder and file belong to their owner alone; SQLite gives its side files the same mode.
fn prepare_file(folder: &Path, path: &Path) -> Result<(), OpenError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(OpenError::Folder)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map(drop).map_err(OpenError::Folder)
}

fn connect(path: &Path, mode: OpenFlags) -> Result<Connection, OpenError> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.pragma_update(None, "busy_timeout", BUSY_TIMEOUT_MS)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What a savepoint may have to undo stays in memory; by default it goes to a file of its own.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// Why a database was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// The folder or the file cannot be made or read.
    Folder(std::io::Error),
    /// A newer program has written the database.
    NewerSchema {
        /// The version in the database.
        found: i64,
    },
    /// SQLite failed.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(_) => f.write_str("open database: its folder cannot be used"),
            Self::NewerSchema { found } => write!(
                f,
                "open database: it has schema version `{found}`, this program knows up to \
                 `{SCHEMA_VERSION}`: use a newer program"
            ),
            Self::Sqlite(_) => f.write_str("open database: SQLite refused it"),
        }
    }
}

impl core::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Folder(source) => Some(source),
            Self::Sqlite(source) => Some(source),
            Self::NewerSchema { .. } => None,
        }
    }
}
