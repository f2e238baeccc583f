//! Connections that only read.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use rusqlite::{Connection, OpenFlags};

use super::convert::{collect, fault, prepare};
use super::{OpenError, connect};
use crate::engine::{EngineError, Reach, Row, Statement};

/// Connections for reading; further reads wait.
pub(super) const READERS: usize = 4;

pub(super) struct Readers {
    connections: Arc<[Mutex<Connection>]>,
    next: AtomicUsize,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let connections: Result<Vec<_>, OpenError> =
            (0..READERS).map(|_| open_reader(path).map(Mutex::new)).collect();
        Ok(Self { connections: connections?.into(), next: AtomicUsize::new(0) })
    }

    pub(super) async fn read(&self, statement: Statement) -> Result<Vec<Row>, EngineError> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % READERS;
        if statement.reach == Reach::Row
            && let Some(answer) = self.read_here(first, &statement)
        {
            return answer;
        }
        let connections = Arc::clone(&self.connections);
        let job = tokio::task::spawn_blocking(move || {
            let connection = connections.get(first).ok_or(EngineError::Closed)?;
            run(&connection.lock().unwrap_or_else(PoisonError::into_inner), &statement)
        });
        job.await.map_err(|error| EngineError::Failed(Box::new(error)))?
    }

    /// Reads on a connection that is free now: a row by its key costs less than a change of thread.
    fn read_here(
        &self,
        first: usize,
        statement: &Statement,
    ) -> Option<Result<Vec<Row>, EngineError>> {
        let order = self.connections.iter().cycle().skip(first).take(READERS);
        for connection in order {
            match connection.try_lock() {
                Ok(connection) => return Some(run(&connection, statement)),
                Err(TryLockError::Poisoned(held)) => {
                    return Some(run(&held.into_inner(), statement));
                }
                Err(TryLockError::WouldBlock) => {}
            }
        }
        None
    }
}

fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    // Read-write at the level of the file, since readers take part in the shared index; the pragma
    // is what forbids writing.
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn run(connection: &Connection, statement: &Statement) -> Result<Vec<Row>, EngineError> {
    prepare(connection, statement)
        .and_then(|mut prepared| collect(&mut prepared))
        .map_err(|error| fault(error, 0))
}
