//! The one thread that writes, with group commit.

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::convert::{collect, fault, prepare};
use crate::engine::{EngineError, Expect, Row, Step};

/// Requests that share one flush.
pub const BATCH_MAX: usize = 512;

pub(super) struct Request {
    pub(super) steps: Vec<Step>,
    pub(super) answer: oneshot::Sender<Answer>,
}

type Answer = Result<Vec<Row>, EngineError>;

/// Writes until every sender is gone.
pub(super) fn run(connection: &Connection, mut requests: mpsc::Receiver<Request>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while requests.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let answers = write(connection, &batch);
        // Whoever no longer waits has not been promised anything.
        match answers {
            Ok(answers) => {
                for (request, answer) in batch.drain(..).zip(answers) {
                    let _ = request.answer.send(answer);
                }
            }
            Err(error) => refuse_all(&mut batch, &error),
        }
    }
}

/// Runs all requests in one transaction. An error here undoes all of them.
fn write(connection: &Connection, batch: &[Request]) -> Result<Vec<Answer>, EngineError> {
    run_plain(connection, "BEGIN IMMEDIATE")?;
    let written: Result<Vec<Answer>, EngineError> =
        batch.iter().map(|request| in_savepoint(connection, &request.steps)).collect();
    let committed = written.and_then(|answers| {
        run_plain(connection, "COMMIT")?;
        Ok(answers)
    });
    // A full disk may already have undone the transaction.
    if committed.is_err() && !connection.is_autocommit() {
        run_plain(connection, "ROLLBACK")?;
    }
    committed
}

/// Runs one request so that its failure undoes it alone. The outer error means that the whole
/// transaction cannot go on.
fn in_savepoint(connection: &Connection, steps: &[Step]) -> Result<Answer, EngineError> {
    run_plain(connection, "SAVEPOINT request")?;
    let answer = run_steps(connection, steps);
    match answer {
        Ok(_) => {}
        Err(EngineError::Conflict { .. } | EngineError::Dangling { .. }) => {
            run_plain(connection, "ROLLBACK TO request")?;
        }
        Err(other) => return Err(other),
    }
    run_plain(connection, "RELEASE request")?;
    Ok(answer)
}

fn run_steps(connection: &Connection, steps: &[Step]) -> Answer {
    let mut returned = Vec::new();
    for (position, step) in steps.iter().enumerate() {
        let fault = |error| fault(error, position);
        let mut prepared = prepare(connection, &step.statement).map_err(fault)?;
        let changed = if prepared.column_count() > 0 {
            returned = collect(&mut prepared).map_err(fault)?;
            returned.len()
        } else {
            returned.clear();
            prepared.raw_execute().map_err(fault)?
        };
        if step.expect == Expect::One && changed != 1 {
            return Err(EngineError::Conflict { step: position });
        }
    }
    Ok(returned)
}

fn run_plain(connection: &Connection, sql: &str) -> Result<(), EngineError> {
    let run = || connection.prepare_cached(sql)?.raw_execute();
    run().map(drop).map_err(|error| fault(error, 0))
}

fn refuse_all(batch: &mut Vec<Request>, error: &EngineError) {
    match error {
        EngineError::Full => {
            tracing::error!("the disk of the database is full: nothing is written")
        }
        other => tracing::error!(error = %chain(other), "the database failed: nothing is written"),
    }
    for request in batch.drain(..) {
        let same = match error {
            EngineError::Full => EngineError::Full,
            other => EngineError::Failed(chain(other).into()),
        };
        let _ = request.answer.send(Err(same));
    }
}

fn chain(error: &dyn core::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
