//! Background work: jobs that deeds left behind, and chores that come with time.
//!
//! Everything here is idempotent: it may run twice, be cut in between, or be done by a handler
//! before its job comes up.

use std::time::Duration;

use serde_json::Value;
use store::job::{AfterFailure, Job, JobError};
use tokio::sync::watch;
use vocabulary::time::Instant;

use crate::problem::Problem;
use crate::server::Server;
use crate::world::now;

pub(crate) mod chores;
pub(crate) mod findings;
pub(crate) mod rotation;
pub(crate) mod secrets;
pub(crate) mod status;
pub(crate) mod uses;

/// How long a job is one worker's.
const LEASE: Duration = Duration::from_secs(60);
/// Jobs that are taken at a time.
const BATCH: u16 = 16;
/// How long to wait for a ring before looking for jobs that came another way.
const IDLE: Duration = Duration::from_secs(5);
/// How long a status list that could not be published waits at the most.
const LIST_RETRY_MAX: Duration = Duration::from_secs(60);
/// How often chores are done.
const CHORES_EVERY: Duration = Duration::from_secs(3_600);
/// How often the uses of keys are anchored in the log.
const ANCHOR_EVERY: Duration = Duration::from_secs(30);

/// Works until `ended` is true or its sender is gone.
pub(crate) async fn run(server: Server, mut ended: watch::Receiver<bool>) {
    let mut chores_at: Option<Instant> = None;
    let mut anchor_at: Option<Instant> = None;
    while !*ended.borrow() {
        let at = now();
        if chores_at.is_none_or(|due| due <= at) {
            chores::all(&server, at).await;
            chores_at = Some(at.saturating_add(CHORES_EVERY));
        }
        if anchor_at.is_none_or(|due| due <= at) {
            uses::anchor(&server, at).await;
            anchor_at = Some(at.saturating_add(ANCHOR_EVERY));
        }
        if work_off(&server).await {
            continue;
        }
        tokio::select! {
            () = server.jobs.notified() => {}
            () = tokio::time::sleep(IDLE) => {}
            changed = ended.changed() => if changed.is_err() { break },
        }
    }
    // What the last deeds left behind is done now rather than at the next start.
    work_off(&server).await;
    uses::anchor(&server, now()).await;
}

/// Does the jobs that wait; whether there may be more.
async fn work_off(server: &Server) -> bool {
    // Every job of today needs a signature. While nobody signs they wait, and none of their tries is
    // used up.
    if server.key_service.as_ref().is_some_and(|service| !service.is_connected()) {
        return false;
    }
    let jobs = match server.store.city().lease_jobs(now(), LEASE, BATCH).await {
        Ok(jobs) => jobs,
        Err(error) => {
            tracing::error!(%error, "jobs cannot be read");
            return false;
        }
    };
    for job in &jobs {
        let done = match work(server, job).await {
            Ok(()) => server.store.city().complete_job(job).await,
            Err(problem) => put_back(server, job, &problem).await,
        };
        if let Err(error) = done {
            tracing::warn!(job = %job.id, %error, "a job was not taken off the queue");
        }
    }
    !jobs.is_empty()
}

/// A list that is not published lags, whatever the reason: its job is tried every minute at the least,
/// and never given up.
async fn put_back(server: &Server, job: &Job, problem: &Problem) -> Result<(), JobError> {
    let city = server.store.city();
    if job.kind == status::KIND {
        tracing::warn!(job = %job.id, status = %problem.status(), "a status list waits");
        return city.put_back_job(job, LIST_RETRY_MAX, now()).await.map(drop);
    }
    let reason = format!("status {}", problem.status());
    if city.fail_job(job, &reason, now()).await? == AfterFailure::Dead {
        tracing::error!(job = %job.id, kind = job.kind, "a job is dead");
    }
    Ok(())
}

async fn work(server: &Server, job: &Job) -> Result<(), Problem> {
    let payload: Value = serde_json::from_str(&job.payload).unwrap_or_default();
    match (job.kind.as_str(), status::list_of(&payload)) {
        (status::KIND, Some(number)) => status::publish(server, &job.operator, number).await,
        _ => {
            tracing::error!(job = %job.id, kind = job.kind, "a job of an unknown kind");
            Err(Problem::internal())
        }
    }
}
