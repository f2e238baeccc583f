//! The job queue: work that must follow a deed, enqueued in its transaction.
//!
//! A worker leases jobs, does them and completes them. A lease that runs out makes its job waiting again,
//! so that a job may run twice and must be idempotent. A job that fails is tried again, later each
//! time; after [`ATTEMPTS_MAX`] tries it is dead and waits for a person.

use core::fmt;
use core::time::Duration;

use vocabulary::code::OperatorCode;
use vocabulary::id::JobId;
use vocabulary::time::Instant;

use crate::commit::{CommitError, PAYLOAD_BYTES_MAX, Plan, Table, row};
use crate::engine::{EngineError, Statement, Value};
use crate::page::{Cursor, Key, Listing, Page};
use crate::rows::{Columns, ReadError, entities};
use crate::store::CityStore;

/// Bytes in the kind of a job, and in what makes it unique.
pub const KIND_BYTES_MAX: usize = 64;
/// Jobs that one call leases.
pub const LEASED_MAX: u16 = 64;
/// Tries after which a job is dead.
pub const ATTEMPTS_MAX: u32 = 12;
/// Bytes of a reason that are kept.
pub const REASON_BYTES_MAX: usize = 500;
/// The wait after the first failure; it doubles with each further one.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
pub const BACKOFF_MAX: Duration = Duration::from_secs(3600);

/// A job to be enqueued with a deed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Its identifier.
    pub id: JobId,
    /// Which work it is: names the code that does it.
    pub kind: String,
    /// What the work needs, JSON.
    pub payload: String,
    /// Makes it unique among the operator's jobs of its kind: while one with the same text exists, a
    /// further one is not enqueued.
    pub dedup: Option<String>,
    /// When it may run for the first time.
    pub run_at: Instant,
}

/// A job that a worker holds for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its identifier.
    pub id: JobId,
    /// Whose job it is.
    pub operator: OperatorCode,
    /// Which work it is.
    pub kind: String,
    /// What the work needs, JSON.
    pub payload: String,
    /// Which try this is, from 1. It also proves the lease.
    pub attempt: u32,
}

/// A job that failed too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadJob {
    /// The job, with its last try.
    pub job: Job,
    /// Why it failed the last time.
    pub reason: String,
}

/// What became of a failed job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// It is tried again then.
    RetryAt(Instant),
    /// It was tried [`ATTEMPTS_MAX`] times and is dead.
    Dead,
}

impl NewJob {
    pub(crate) fn plan(&self, plan: &mut Plan<'_>) -> Result<(), CommitError> {
        let longest = self.kind.len().max(self.dedup.as_ref().map_or(0, String::len));
        if longest > KIND_BYTES_MAX || self.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(CommitError::TooLarge);
        }
        let values = vec![
            self.id.as_bytes().into(),
            plan.tenant.as_str().into(),
            self.kind.as_str().into(),
            self.payload.as_str().into(),
            self.dedup.as_deref().into(),
            self.run_at.into(),
        ];
        let sql = "INSERT INTO job (id, operator, kind, payload, dedup, run_at, attempts) \
                   VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT DO NOTHING";
        let name = row(Table::Job, self.id);
        // A job that must be unique and is there already needs no second row.
        match self.dedup {
            Some(_) => plan.any(name, sql, values),
            None => plan.one(name, sql, values),
        }
        Ok(())
    }
}

/// How long a job waits after its failed try number `attempt`, from 1.
#[must_use]
pub fn backoff(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}

impl CityStore {
    /// Leases at most `limit` jobs of any operator that may run at `now`, the longest waiting first.
    /// Each is this worker's until `now + lease`.
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn lease_jobs(
        &self,
        now: Instant,
        lease: Duration,
        limit: u16,
    ) -> Result<Vec<Job>, JobError> {
        let until = now.saturating_add(lease);
        let sql = "UPDATE job SET leased_until = $1, attempts = attempts + 1 WHERE id IN \
                   (SELECT id FROM job WHERE dead_reason IS NULL AND run_at <= $2 \
                   AND (leased_until IS NULL OR leased_until <= $2) \
                   ORDER BY run_at, id LIMIT $3) \
                   RETURNING id, operator, kind, payload, attempts";
        let values: Vec<Value> = vec![until.into(), now.into(), limit.min(LEASED_MAX).into()];
        let step = Statement::page(sql, values).expecting_any();
        let rows = self.engine().transact(vec![step]).await?;
        Ok(entities(rows, Table::Job, job)?)
    }

    /// Ends a job that is done.
    ///
    /// # Errors
    /// [`JobError::LeaseLost`] when another worker has it by now.
    pub async fn complete_job(&self, job: &Job) -> Result<(), JobError> {
        let sql = "DELETE FROM job WHERE id = $1 AND attempts = $2 AND dead_reason IS NULL";
        let values = vec![job.id.as_bytes().into(), job.attempt.into()];
        let step = Statement::row(sql, values).expecting_one();
        self.engine().transact(vec![step]).await?;
        Ok(())
    }

    /// Puts a job back whose try at `now` failed because of `reason`, which must hold no personal
    /// data.
    ///
    /// # Errors
    /// [`JobError::LeaseLost`] when another worker has it by now.
    pub async fn fail_job(
        &self,
        job: &Job,
        reason: &str,
        now: Instant,
    ) -> Result<AfterFailure, JobError> {
        let is_dead = job.attempt >= ATTEMPTS_MAX;
        let run_at = now.saturating_add(backoff(job.attempt));
        let reason = reason.get(..reason.floor_char_boundary(REASON_BYTES_MAX));
        let sql = "UPDATE job SET leased_until = NULL, run_at = $1, dead_reason = $2 \
                   WHERE id = $3 AND attempts = $4 AND dead_reason IS NULL";
        let values = vec![
            run_at.into(),
            reason.filter(|_| is_dead).into(),
            job.id.as_bytes().into(),
            job.attempt.into(),
        ];
        let step = Statement::row(sql, values).expecting_one();
        self.engine().transact(vec![step]).await?;
        Ok(if is_dead { AfterFailure::Dead } else { AfterFailure::RetryAt(run_at) })
    }

    /// Puts a job back whose try at `now` failed, and which must not be given up: it never dies, and
    /// runs again after `longest` at the latest.
    ///
    /// # Errors
    /// [`JobError::LeaseLost`] when another worker has it by now.
    pub async fn put_back_job(
        &self,
        job: &Job,
        longest: Duration,
        now: Instant,
    ) -> Result<Instant, JobError> {
        let run_at = now.saturating_add(backoff(job.attempt).min(longest));
        let sql = "UPDATE job SET leased_until = NULL, run_at = $1 \
                   WHERE id = $2 AND attempts = $3 AND dead_reason IS NULL";
        let values = vec![run_at.into(), job.id.as_bytes().into(), job.attempt.into()];
        let step = Statement::row(sql, values).expecting_one();
        self.engine().transact(vec![step]).await?;
        Ok(run_at)
    }

    /// Lets a dead job run again from `now` on, with all its tries.
    ///
    /// # Errors
    /// [`JobError::LeaseLost`] when it is not dead.
    pub async fn revive_job(&self, id: JobId, now: Instant) -> Result<(), JobError> {
        let sql = "UPDATE job SET dead_reason = NULL, attempts = 0, run_at = $1 \
                   WHERE id = $2 AND dead_reason IS NOT NULL";
        let values = vec![now.into(), id.as_bytes().into()];
        let step = Statement::row(sql, values).expecting_one();
        self.engine().transact(vec![step]).await?;
        Ok(())
    }

    /// The dead jobs by their identifiers.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn dead_jobs(&self, page: &Page) -> Result<Listing<DeadJob>, ReadError> {
        let sql = "SELECT id, operator, kind, payload, attempts, dead_reason FROM job \
                   WHERE dead_reason IS NOT NULL AND id > $1 ORDER BY id LIMIT $2";
        let values = vec![Cursor::blob(page.after.as_ref()), page.size.and_one()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        let items = entities(rows, Table::Job, |columns| {
            Some(DeadJob { job: job(columns)?, reason: columns.take()? })
        })?;
        Ok(Listing::of(items, page.size, |item| Key::Bytes(item.job.id.as_bytes())))
    }
}

fn job(columns: &mut Columns) -> Option<Job> {
    Some(Job {
        id: columns.take()?,
        operator: columns.parse()?,
        kind: columns.take()?,
        payload: columns.take()?,
        attempt: columns.take()?,
    })
}

/// Why the queue did not do what it was asked.
#[derive(Debug)]
pub enum JobError {
    /// The job is another worker's, done, or in another state.
    LeaseLost,
    /// The disk is full.
    Full,
    /// A row is corrupt.
    Read(ReadError),
    /// The store failed.
    Failed(EngineError),
}

impl From<EngineError> for JobError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Conflict { .. } => Self::LeaseLost,
            EngineError::Full => Self::Full,
            other => Self::Failed(other),
        }
    }
}

impl From<ReadError> for JobError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeaseLost => "job: it is no longer this worker's",
            Self::Full => "job: the disk is full",
            Self::Read(_) => "job: its row is corrupt",
            Self::Failed(_) => "job: the store failed",
        })
    }
}

impl core::error::Error for JobError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Read(source) => Some(source),
            Self::Failed(source) => Some(source),
            Self::LeaseLost | Self::Full => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_limit() {
        let waits: Vec<u64> = [1, 2, 3, 12, 13, 14, u32::MAX].map(|n| backoff(n).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 2048, 3600, 3600, 3600]);
    }
}
